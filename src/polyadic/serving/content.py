"""What a request is written in, and what its answer shall be written in: headers -> formats, bodies and encodings."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from typing import IO, Any

from flask import Response, request

from polyadic.errors import shorten
from polyadic.formats import Form, Format, json
from polyadic.serving import spool
from polyadic.serving.instances import Refusal, names_of
from polyadic.serving.settings import MIB
from polyadic.serving.spool import Spool

MOST_DRAINED_BYTES = 128 * MIB
LEAST_PACKED_BYTES = 8192
"""A shorter answer is not gzipped: it fits into a few packets as it is."""
GZIP_LEVEL, GZIP_WINDOW = 1, 31
QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")
CHARSETS = {
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin-1", "latin1"), "iso8859-1"),
    **dict.fromkeys(("iso-8859-15", "iso8859-15", "latin-9"), "iso8859-15"),
    **dict.fromkeys(("windows-1252", "cp1252"), "cp1252"),
    **{name: name for name in ("utf8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "utf-32")},
    **{"utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "utf16": "utf-16", "utf32": "utf-32"},
}
"""What a text may be written in, and how Python calls it; Python itself would remember every name it is asked for."""
UTF_8 = ("utf-8", "us-ascii")
WIDE = ("utf-16", "utf-32")
"""How the names of charsets begin in which a line feed is more than a byte."""
TEXTS = (Form.DOCUMENT, Form.LINES, Form.TABLE)


def body(limit: int, advice: str = "send fewer instances a request") -> bytes | IO[bytes]:
    """The body of the request under way, unpacked; of one that is large a file, which is gone once it is closed.

    Refused with 413 where it is larger than `limit` bytes, with 415 for an unknown Content-Encoding, with 400 where it
    is cut or broken, with 507 where the disk has no room for it.
    """
    stated = request.content_length or 0
    too_large = Refusal(413, f"the body is larger than {limit / MIB:g} MiB: {advice}")
    read = _gathered(_read, limit) if stated <= limit else None  # A chunked body states no length.
    if read is None:
        drain()
        raise too_large
    with ExitStack() as opened:
        if not isinstance(read, bytes):
            opened.enter_context(read)
        if (size := size_of(read)) < stated:
            raise Refusal(400, f"the body ends after {size} of {stated} bytes: send it whole", connection="close")
        unpacked = _unpacked(read, limit)
        if unpacked is None:
            raise too_large
        if unpacked is read:
            opened.pop_all()
    return unpacked


def _read(size: int) -> bytes:
    """The next bytes of the body under way."""
    try:
        data: bytes = request.environ["wsgi.input"].read(size)
    except Exception as error:  # Each server has errors of its own for a body that it cannot read.
        text = f"the body breaks off, or its chunks are broken: {error}"
        raise Refusal(400, text.rstrip(": "), connection="close") from None
    return data


def _gathered(read: Callable[[int], bytes], limit: int) -> bytes | IO[bytes] | None:
    """All that can be read: in memory, or in a file where it is large; None where it is more than `limit` bytes."""
    most = min(limit, spool.MOST_IN_MEMORY)
    first = read(most + 1)
    if len(first) <= most:
        return first
    if len(first) > limit:
        return None
    held, chunk = Spool(), first
    try:
        while chunk:
            with on_disk("body"):
                held.append(chunk)
            if held.size > limit:
                held.close()
                return None
            chunk = read(MIB)
    except BaseException:
        held.close()
        raise
    return held.whole()


@contextmanager
def on_disk(what: str) -> Iterator[None]:
    """507 where the disk has no room for what is written."""
    try:
        yield
    except OSError as error:
        sentence = f"the disk has no room for the {what} ({error.strerror}): send fewer instances a request"
        raise Refusal(507, sentence, connection="close") from None


def size_of(read: bytes | IO[bytes]) -> int:
    """The bytes of a body."""
    return len(read) if isinstance(read, bytes) else os.fstat(read.fileno()).st_size


def drain() -> None:
    """Reads what the client is still sending: a connection cut in mid-body would hide the answer from it."""
    stream, left = request.environ["wsgi.input"], MOST_DRAINED_BYTES
    with suppress(Exception):  # Each server has errors of its own for a body that breaks off.
        while left > 0 and (chunk := stream.read(min(left, MIB))):
            left -= len(chunk)


def _unpacked(packed: bytes | IO[bytes], limit: int) -> bytes | IO[bytes] | None:
    """A body without its Content-Encoding, of which gzip is known; None where it is longer than `limit`."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return packed
    if encoding not in ("gzip", "x-gzip"):
        raise Refusal(415, f"Content-Encoding {encoding!r} is not taken here: send the body as it is, or gzip")
    try:
        source = io.BytesIO(packed) if isinstance(packed, bytes) else packed
        with source, gzip.GzipFile(fileobj=source) as file:
            return _gathered(file.read, limit)
    except (EOFError, OSError, zlib.error) as error:
        raise Refusal(400, f"the body is not gzip, as its Content-Encoding says: {error}") from None


def request_format(spoken: Sequence[Format]) -> Format:
    """The format that a request is written in; 415 for one that the model does not speak."""
    asked = _by_content_type(request.content_type, spoken)
    if asked is None:
        raise Refusal(415, f"content type {request.content_type!r} is not taken here: send {names_of(spoken)}")
    return asked


def charset() -> str:
    """What the body is written in, as its Content-Type says."""
    return request.mimetype_params.get("charset", "utf-8") if ";" in (request.content_type or "") else "utf-8"


def is_wide(charset: str) -> bool:
    """Whether a text in this charset can be told into lines only once it is decoded."""
    return CHARSETS.get(charset.lower().replace("_", "-"), "").startswith(WIDE)


def in_utf8(text: bytes, asked: Format, charset: str) -> bytes:
    """A text in UTF-8, whatever charset it is written in; 415 for an unknown one, 400 where it is not in it."""
    if asked.form not in TEXTS or charset.lower() in UTF_8:
        return text
    name = CHARSETS.get(charset.lower().replace("_", "-"))
    if name is None:
        raise Refusal(415, f"charset {shorten(charset)} is not taken here: send UTF-8")
    try:
        return text.decode(name).encode()
    except UnicodeError as error:
        raise Refusal(400, f"the body is not written in {charset}, as its Content-Type says: {error}") from None


def answer_format(spoken: Sequence[Format], asked: Format, default: str | None) -> Format | Refusal:
    """The format that Accept wants most; of several equal ones the server's default or that of the request.

    Each format has the quality of the most specific range that it matches (RFC 9110, 12.5.1); parameters that are not
    understood exclude none. The refusal where none is left: 406.
    """
    accept = request.headers.get("Accept", "").strip()
    usual = _by_content_type(default, spoken) if default else asked
    if accept in ("", "*/*", "*"):
        if usual is None:
            text = f"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT {default!r} cannot be met: ask for {names_of(spoken)}"
            return Refusal(406, text)
        return usual
    ranges = _accepted(accept)
    wishes = {each.name: _wish(each, ranges) for each in spoken}
    best = max(spoken, key=lambda each: (wishes[each.name], each is usual))  # Of equal ones the first.
    if wishes[best.name][0] <= 0:
        return Refusal(406, f"Accept {accept!r} cannot be met: ask for {names_of(spoken)}")
    return best


@lru_cache(256)
def _accepted(accept: str) -> list[tuple[str, float]]:
    """The ranges of Accept in the order in which they are written, each with its quality."""
    accepted = []
    for part in accept.split(","):
        kind, *parameters = (text.strip() for text in part.split(";"))
        quality = next((text[2:] for text in parameters if text.lower().startswith("q=")), "1")
        if kind and QUALITY.fullmatch(quality):
            accepted.append((kind.lower(), float(quality)))
    return accepted or [("*/*", 1.0)]


def _wish(of: Format, ranges: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """How much a format is wanted: its quality, and how early the range is written that it matches."""
    matching = [
        (kind != "*/*" and kind != "*", not kind.endswith("/*"), -place, quality)
        for place, (kind, quality) in enumerate(ranges)
        if any(_matches(kind, own) for own in of.content_types)
    ]
    if not matching:
        return 0.0, 0
    *_, place, quality = max(matching)
    return quality, place


def respond(
    wanted: Format, data: bytes | Iterable[bytes], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in a format, whole or in parts; a long text is gzipped where the client asks for it."""
    long = not isinstance(data, bytes) or len(data) >= LEAST_PACKED_BYTES
    packs = (
        wanted.form in TEXTS and long and "Accept-Encoding" in request.headers and request.accept_encodings["gzip"] > 0
    )
    answer: Any = data
    if packs and isinstance(data, bytes):
        answer = gzip.compress(data, GZIP_LEVEL, mtime=0)
    elif packs:
        answer = _packed(data)
    response = Response(answer, status, dict(headers or {}), content_type=wanted.content_types[0])
    if packs:
        response.headers["Content-Encoding"] = "gzip"
    if wanted.form in TEXTS:
        response.headers["Vary"] = "Accept-Encoding"
    return response


def document(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return respond(json.FORMAT, json.encode(value), status, headers)


def _packed(parts: Iterable[Any]) -> Iterator[bytes]:
    """Gzip of a stream, each part readable as soon as it has come."""
    packer = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_WINDOW)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _bare(content_type: str) -> str:
    """A content type without its parameters: those that are not understood exclude no format."""
    return content_type.partition(";")[0].strip().lower()


def _matches(wanted: str, content_type: str) -> bool:
    return wanted in (content_type, "*/*", "*") or (wanted.endswith("/*") and content_type.startswith(wanted[:-1]))


def _by_content_type(content_type: str | None, spoken: Sequence[Format]) -> Format | None:
    """The format of a content type, whatever its parameters; None where it is none of these."""
    bare = _bare(content_type or "")
    return next((each for each in spoken if bare in each.content_types), None)

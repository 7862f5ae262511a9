"""What a request is written in, and what its answer shall be written in: Content-Type and Accept -> formats."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence

from flask import request

from polyadic.formats import Format
from polyadic.serving.instances import Refusal, names_of


def unpacked(body: bytes, limit: int) -> bytes | None:
    """A body without its Content-Encoding, of which gzip is known; None where it is longer than `limit`.

    Refused with 415 for another encoding, and with 400 for gzip that is broken or ends early.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Refusal(415, f"Content-Encoding {encoding!r} is not taken here: send the body as it is, or gzip")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            plain = file.read(limit + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise Refusal(400, f"the body is not gzip, as its Content-Encoding says: {error}") from None
    return plain if len(plain) <= limit else None


def request_format(spoken: Sequence[Format]) -> Format:
    """The format that a request is written in; 415 for one that the model does not speak."""
    asked = _by_content_type(request.content_type, spoken)
    if asked is None:
        raise Refusal(415, f"content type {request.content_type!r} is not taken here: send {names_of(spoken)}")
    return asked


def answer_format(spoken: Sequence[Format], asked: Format, default: str | None) -> Format:
    """The format that Accept asks for; where it asks for nothing, the server's default or that of the request."""
    usual = _by_content_type(default, spoken) if default else asked
    accepted = [_bare(kind) for kind, quality in request.accept_mimetypes if quality > 0]
    for kind in accepted or ["*/*"]:
        if kind in ("*/*", "*"):
            if usual is None:
                raise Refusal(
                    406, f"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT {default!r} cannot be met: ask for {names_of(spoken)}"
                )
            return usual
        wanted = next((each for each in spoken if any(_matches(kind, own) for own in each.content_types)), None)
        if wanted is not None:
            return wanted
    raise Refusal(406, f"Accept {request.headers.get('Accept')!r} cannot be met: ask for {names_of(spoken)}")


def _bare(content_type: str) -> str:
    """A content type without its parameters: those that are not understood exclude no format."""
    return content_type.partition(";")[0].strip().lower()


def _matches(wanted: str, content_type: str) -> bool:
    return wanted == content_type or (wanted.endswith("/*") and content_type.startswith(wanted[:-1]))


def _by_content_type(content_type: str | None, spoken: Sequence[Format]) -> Format | None:
    """The format of a content type, whatever its parameters; None where it is none of these."""
    bare = _bare(content_type or "")
    return next((each for each in spoken if bare in each.content_types), None)

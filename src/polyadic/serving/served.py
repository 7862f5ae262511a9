"""A model that is being served: requests in, answers out, whole or line by line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from flask import Response, request

from polyadic.errors import UserError
from polyadic.formats import Form, Format, json
from polyadic.room import room, size
from polyadic.serving import content, large, metrics
from polyadic.serving.batching import Batcher, Full, Gone, Late, Slots, Work
from polyadic.serving.instances import Refusal, arrange, parse_all, read_instances, spoken_formats
from polyadic.serving.record import Record, current, log_fault
from polyadic.serving.settings import Settings

if TYPE_CHECKING:
    from polyadic.jobs.model import Model

MOST_NUMBERS, NUMBER_BYTES = 10_000_000, 64
"""An answer of more numbers must be a stream; what one takes as a Python number and in the text of an answer."""


class Served:
    """A loaded model and the answers that it gives.

    name: of the model where there are several; algorithm: what made it.
    """

    def __init__(self, model: Model, settings: Settings, algorithm: str = "", name: str = "") -> None:
        self.model, self.settings, self.algorithm, self.name = model, settings, algorithm, name
        self.batcher = Batcher(model, partial(metrics.batch, algorithm))
        self.spoken = spoken_formats(model)

    def answer(self) -> Response:
        """The answer to the request under way: checks in the order 413, 415, 400, 406, then predicts.

        Of a large body 406 comes before 400.

        Where an answer is written line by line and is longer than one batch, it is sent as it is computed.
        """
        record = current()
        record.algorithm, record.model = self.algorithm, self.name
        body = content.body(self.settings.largest_body)
        with contextlib.nullcontext() if isinstance(body, bytes) else body:
            return self._answer(body, record)

    def _answer(self, body: bytes | IO[bytes], record: Record) -> Response:
        asked = content.request_format(self.spoken)
        charset = content.charset()
        wanted = content.answer_format(self.spoken, asked, self.settings.default_accept)
        lines = isinstance(wanted, Format) and wanted.ends_lines and not self.settings.batch_transform
        if not isinstance(body, bytes):
            return self._answer_large(body, asked, charset, wanted, record)
        work = self._work(partial(self._parse, body, asked, charset, wanted), lines)
        predictions = self._run(work, record)
        assert isinstance(wanted, Format)
        if work.parts:
            return self._stream(wanted, work, predictions, record)
        with record.phase("encode"):
            data = wanted.encode(arrange(wanted, predictions, self.model))
        if self.settings.batch_transform and wanted.ends_lines:
            # A transform job that assembles by line ends each answer with a line break of its own.
            data = data.rstrip(b"\r\n")
        return content.respond(wanted, data)

    def _work(self, parse: Callable[[], list[Any]], may_stream: bool = False) -> Work:
        """A request, or a piece of one, of the client of the request under way."""
        there = getattr(request.environ.get("gunicorn.socket"), "there", _always)
        return Work(parse, self._refuse_large, may_stream, time.monotonic() + self.settings.deadline, there)

    def _answer_large(
        self, body: IO[bytes], asked: Format, charset: str, wanted: Format | Refusal, record: Record
    ) -> Response:
        """The answer to a body in a file, piece by piece, each within the time that a request has."""
        if isinstance(wanted, Refusal):
            raise wanted
        rows, number, work = 0, 0, self._work(list)
        answer = large.Answer(wanted, self.model, self.settings.batch_transform)
        with contextlib.ExitStack() as opened:
            opened.callback(answer.close)
            try:
                for piece in large.pieces(body, asked, charset, wanted):
                    number += 1
                    if not work.there():
                        raise Gone
                    work.parse, work.parts = partial(self._parse, piece, asked, charset, wanted), None
                    work.deadline = time.monotonic() + self.settings.deadline
                    predictions = self._run(work, record)
                    rows += work.instances
                    with record.phase("encode"):
                        answer.add(predictions)
            except UserError as error:
                raise Refusal(400, str(error)) from None
            except Gone:
                raise Refusal(499, "the client has gone", connection="close") from None
            except Refusal as refusal:
                where = f"in piece {number}" if asked.form is Form.ARRAY else f"after {rows:,} instances"
                sentence = f"{where}: {refusal}" if rows and refusal.status == 400 else str(refusal)
                raise Refusal(refusal.status, sentence, **refusal.headers) from None
            finally:
                record.rows = rows
            if not rows:
                raise Refusal(400, "the body holds no instances")
            data = answer.data()
            opened.pop_all()
        return content.respond(wanted, data)

    def _parse(self, body: bytes, asked: Format, charset: str, wanted: Format | Refusal) -> list[Any]:
        """The instances of a body, each checked by the model; 400 for the first that it refuses, and then 406."""
        try:
            body = content.in_utf8(body, asked, charset)
            instances, configuration = read_instances(self.model, asked, body, self.settings.default_configuration)
            parsed = parse_all(self.model, instances, configuration)
        except UserError as error:
            raise Refusal(400, str(error)) from None
        if isinstance(wanted, Refusal):
            raise wanted
        return parsed

    def _refuse_large(self, instances: list[Any]) -> None:
        """Refuses an answer that would fill the memory."""
        weighed = self.batcher.weighed
        numbers = sum(map(weighed.numbers, instances)) if weighed else 0
        if numbers > MOST_NUMBERS and numbers * NUMBER_BYTES > room().bytes / 2:
            raise Refusal(
                400,
                f"the answer to this request has {numbers:,} numbers, for which {size(room().bytes)} are too little: "
                "send fewer instances a request, or ask for application/jsonlines, which comes line by line",
            )

    def _run(self, work: Work, record: Record) -> list[dict[str, Any]]:
        """The predictions of a request, or of its next part."""
        try:
            return self.batcher.run(work)
        except UserError as error:
            raise Refusal(400, str(error)) from None
        except Gone:
            raise Refusal(499, "the client has gone", connection="close") from None
        except Late:
            text = f"no answer within {self.settings.deadline} s: send fewer instances a request"
            raise Refusal(503, text, retry_after="1") from None
        finally:
            record.rows = work.instances
            record.phases.update(work.seconds)

    def _stream(self, wanted: Format, work: Work, predictions: list[dict[str, Any]], record: Record) -> Response:
        """The answer part by part, each computed once the one before it is on its way.

        What fails later ends the answer with a line that says so, and without the end that HTTP has for it.
        """
        with record.phase("encode"):
            first = wanted.encode(arrange(wanted, predictions, self.model))

        def lines() -> Iterator[bytes]:
            yield first
            try:
                while work.parts:
                    work.deadline = time.monotonic() + self.settings.deadline
                    following = self._run(work, record)
                    with record.phase("encode"):
                        data = wanted.encode(arrange(wanted, following, self.model))
                    yield data
            except Exception as error:
                sentence = str(error) if isinstance(error, Refusal) else log_fault(error)[0]
                record.failed = True
                yield json.encode({"error": sentence}) + b"\n"
                raise BrokenPipeError("the answer could not be computed to its end") from None

        return content.respond(wanted, lines())


def in_slot(slots: Slots, view: Callable[..., Response]) -> Callable[..., Response]:
    """A view that answers within one of the slots, and with 503 where there is none."""

    def answer(**given: Any) -> Response:
        try:
            slots.take()
        except Full:
            content.drain()
            raise Refusal(503, f"{slots.count} requests are under way: try again", retry_after="1") from None
        return ended(lambda: view(**given), slots.give)

    return answer


def ended(answer: Callable[[], Response], end: Callable[[], None]) -> Response:
    """An answer, at whose end something is done: once it is made, or for a stream, sent."""
    try:
        response = answer()
    except BaseException:
        end()
        raise
    if response.is_streamed:
        response.call_on_close(end)
    else:
        end()
    return response


def _always() -> bool:
    return True

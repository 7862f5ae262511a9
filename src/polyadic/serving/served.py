"""A model that is being served: requests in, answers out, whole or line by line."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Response, request

from polyadic.errors import UserError
from polyadic.formats import Format, json
from polyadic.jobs.model import Weighed
from polyadic.room import room, size
from polyadic.serving import content, metrics
from polyadic.serving.batching import Batcher, Full, Slots, Work
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

        Where an answer is written line by line and is longer than one batch, it is sent as it is computed.
        """
        record = current()
        record.algorithm, record.model = self.algorithm, self.name
        with record.phase("decode"):
            instances, asked = self._read()
        record.rows = len(instances)
        wanted = content.answer_format(self.spoken, asked, self.settings.default_accept)
        parts = list(self.batcher.cut(instances))
        if len(parts) > 1 and wanted.ends_lines and not self.settings.batch_transform:
            return self._stream(wanted, parts, record)
        self._refuse_large(instances)
        return self._whole(wanted, parts, record)

    def _read(self) -> tuple[list[Any], Format]:
        """The instances of the body, each checked by the model, and its format; 400 for the first that it refuses."""
        body = content.body(self.settings.largest_body)
        asked = content.request_format(self.spoken)
        body = content.in_utf8(body, asked)
        try:
            instances, configuration = read_instances(self.model, asked, body, self.settings.default_configuration)
            return parse_all(self.model, instances, configuration), asked
        except UserError as error:
            raise Refusal(400, str(error)) from None

    def _refuse_large(self, instances: list[Any]) -> None:
        """Refuses an answer that would fill the memory."""
        if not isinstance(self.model, Weighed):
            return
        numbers = sum(map(self.model.numbers, instances))
        if numbers > MOST_NUMBERS and numbers * NUMBER_BYTES > room().bytes / 2:
            raise Refusal(
                400,
                f"the answer to this request has {numbers:,} numbers, for which {size(room().bytes)} are too little: "
                "send fewer instances a request, or ask for application/jsonlines, which comes line by line",
            )

    def _whole(self, wanted: Format, parts: list[tuple[list[Any], int]], record: Record) -> Response:
        """The answer in one piece. A part is queued once the one before it is predicted: others go between them."""
        deadline = time.monotonic() + self.settings.deadline
        predictions = list[dict[str, Any]]()
        there = _client()
        for part, weight in parts:
            predictions += self._result(self.batcher.submit(part, weight, there), deadline, record)
        with record.phase("encode"):
            data = wanted.encode(arrange(wanted, predictions, self.model))
        if self.settings.batch_transform and wanted.ends_lines:
            # A transform job that assembles by line ends each answer with a line break of its own.
            data = data.rstrip(b"\r\n")
        return content.respond(wanted, data)

    def _stream(self, wanted: Format, parts: list[tuple[list[Any], int]], record: Record) -> Response:
        """The answer as its parts are predicted, each while the one before it is sent; the first is waited for.

        What fails later ends the answer with a line that says so, and without the end that HTTP has for it.
        """
        works = self._ahead(parts, record)
        with record.phase("encode"):
            first = wanted.encode(arrange(wanted, next(works), self.model))

        def lines() -> Iterator[bytes]:
            yield first
            try:
                for predictions in works:
                    with record.phase("encode"):
                        data = wanted.encode(arrange(wanted, predictions, self.model))
                    yield data
            except GeneratorExit:
                works.close()
                raise
            except Exception as error:
                sentence = str(error) if isinstance(error, Refusal) else log_fault(error)[0]
                record.failed = True
                yield json.encode({"error": sentence}) + b"\n"
                raise BrokenPipeError("the answer could not be computed to its end") from None

        return content.respond(wanted, lines())

    def _ahead(self, parts: list[tuple[list[Any], int]], record: Record) -> Generator[list[dict[str, Any]]]:
        """The predictions of each part, of which the next is queued before the last is given."""
        there = _client()
        work = self.batcher.submit(*parts[0], there)
        try:
            for number in range(len(parts)):
                predictions = self._result(work, time.monotonic() + self.settings.deadline, record)
                parts[number] = ([], 0)
                if number + 1 < len(parts):
                    work = self.batcher.submit(*parts[number + 1], there)
                yield predictions
        finally:
            work.answer.cancel()

    def _result(self, work: Work, deadline: float, record: Record) -> list[dict[str, Any]]:
        """The predictions of a part; 400 for what the model refuses, 503 where the deadline passes."""
        began = time.monotonic()
        try:
            return work.answer.result(timeout=max(0.0, deadline - began))
        except UserError as error:
            raise Refusal(400, str(error)) from None
        except CancelledError:
            raise Refusal(499, "the client has gone", connection="close") from None
        except TimeoutError:
            work.answer.cancel()  # What nobody waits for any more is not predicted.
            raise Refusal(
                503, f"no answer within {self.settings.deadline} s: send fewer instances a request", retry_after="1"
            ) from None
        finally:
            record.add("queue", work.waited)
            record.add("predict", time.monotonic() - began - work.waited)


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


def _client() -> Callable[[], bool]:
    """Tells whether the client of the request under way is still there, as far as the server knows."""
    return getattr(request.environ.get("gunicorn.socket"), "there", lambda: True)

"""Altered bodies, generated requests and what parsers stumble over: refused with a sentence, or answered."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from polyadic.formats import npy
from scripts.load import models
from scripts.load.server import Server, serving
from scripts.soak.fuzz import CSV, INSTANCES, JSON, LINES, NPY, RECORDIO, Fuzzer, bodies
from scripts.soak.mutate import mutants

BODIES = 1500
CASES = [(name, kind) for name in INSTANCES for kind in bodies(name)]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """A server of each algorithm, of one worker."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.delenv("POLYADIC_IMAGE", raising=False)
        with contextlib.ExitStack() as opened:
            quiet = {"MODEL_SERVER_ACCESS_LOG": "false", "MAX_CONTENT_LENGTH": str(2**20)}
            yield {
                name: opened.enter_context(serving(models.written(name, Path(folder) / name, small=True), quiet))
                for name in INSTANCES
            }


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_bodies_that_are_altered_are_valid(servers: dict[str, Server], name: str, kind: str) -> None:
    with Fuzzer(servers[name]) as fuzzer:
        assert [fuzzer.sent(kind, body)[1] for body in bodies(name)[kind]] == [200] * len(bodies(name)[kind])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_an_altered_body_is_answered_or_refused(servers: dict[str, Server], name: str, kind: str) -> None:
    before = servers[name].resident_bytes()
    with Fuzzer(servers[name]) as fuzzer:
        result = fuzzer.fuzz(kind, bodies(name)[kind], BODIES, seed=3)
    assert not result.found
    assert set(result.statuses) <= {200, 400}
    assert result.statuses[200] and result.statuses[400] > BODIES / 2
    assert servers[name].resident_bytes() - before < 64 * 2**20


def test_the_same_seed_alters_the_same_way() -> None:
    valid = bodies("cp")[JSON]
    assert list(mutants(valid, 50, 1)) == list(mutants(valid, 50, 1)) != list(mutants(valid, 50, 2))


ARRAY = npy.encode(np.zeros((1, 3), np.int64))
DEEP, DIGITS = 100_000, 100_000
NASTY = {
    "deep lists": (JSON, b'{"instances":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "deep lists without an end": (JSON, b"[" * DEEP),
    "deep objects": (JSON, b'{"instances":[' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"]}"),
    "deep lists and NaN": (JSON, b'{"instances":[NaN,' + b"[" * DEEP + b"]" * DEEP + b"]}"),
    "a number of many digits": (JSON, b'{"instances":[' + b"9" * DIGITS + b"]}"),
    "a number of many digits and NaN": (JSON, b'{"instances":[NaN,' + b"9" * DIGITS + b"]}"),
    "a huge exponent": (JSON, b'{"instances":[1e99999999999]}'),
    "the same key twice": (JSON, b'{"instances":[[0,0,0]],"instances":[[1,1,1]]}'),
    "a lone surrogate": (JSON, b'{"instances":["\\ud800"]}'),
    "a lone surrogate and NaN": (JSON, b'{"instances":["\\ud800",NaN]}'),
    "a lone surrogate as a key": (JSON, b'{"instances":[{"\\udfff":NaN}],"configuration":{"\\udfff":1}}'),
    "bytes that are no UTF-8": (JSON, b'{"instances":["\xed\xa0\x80"]}'),
    "a configuration that is none": (JSON, b'{"instances":[1],"configuration":[NaN]}'),
    "many lines of nothing": (LINES, b"\n" * 500_000),
    "many cells": (CSV, b"," * 500_000),
    "one long cell": (CSV, b"1" * 500_000),
    "an open quotation": (CSV, b'"' + b"a\n" * 200_000),
    "a shape that no array has": (
        NPY,
        npy.encode(np.zeros((1, 3), int)).replace(b"(1, 3)", b"(99999999999, 9999999999)"),
    ),
    "a negative shape": (NPY, npy.encode(np.zeros((1, 3), int)).replace(b"(1, 3)", b"(-1, 3)")),
    "an array of objects": (NPY, npy.encode(np.zeros((1, 3), int)).replace(b"'<i8'", b"'|O8'")),
    "a header that is code": (NPY, npy.encode(np.zeros((1, 3), int)).replace(b"False", b"exit()")),
    "records that are longer than the body": (RECORDIO, b"\x0a\x23\xd7\xce\xff\xff\xff\x1f" + b"\0" * 64),
    "a record of no bytes": (RECORDIO, b"\x0a\x23\xd7\xce\0\0\0\0" * 1000),
    "a message that is longer than its record": (RECORDIO, b"\x0a\x23\xd7\xce\x08\0\0\0\x0a\xff\xff\xff\xff\x0f\0\0"),
}


@pytest.mark.parametrize("name", list(INSTANCES))
@pytest.mark.parametrize("case", list(NASTY))
def test_what_parsers_stumble_over_is_refused(servers: dict[str, Server], name: str, case: str) -> None:
    kind, body = NASTY[case]
    with Fuzzer(servers[name]) as fuzzer:
        why, status, _ = fuzzer.sent(kind, body)
    assert not why
    assert status in ((200, 400) if case == "the same key twice" else (400, 415)), (case, status)


@pytest.mark.parametrize("name", list(INSTANCES))
def test_a_bomb_is_too_large(servers: dict[str, Server], name: str) -> None:
    before = servers[name].resident_bytes()
    bomb = gzip.compress(b" " * 500 * 2**20, 9, mtime=0)
    assert len(bomb) < 2**20
    with Fuzzer(servers[name]) as fuzzer:
        why, status, _ = fuzzer.sent(JSON, bomb, **{"Content-Encoding": "gzip"})
    assert (why, status) == (None, 413)
    assert servers[name].resident_bytes() - before < 64 * 2**20


@schemathesis.serializer(LINES, CSV, NPY, RECORDIO)
def _as_it_is(context: object, value: Any) -> bytes:
    """The bytes of what OpenAPI calls a string."""
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("name", list(INSTANCES))
def test_what_the_server_says_of_itself_holds_under_generated_requests(
    servers: dict[str, Server], name: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{servers[name].port}/openapi.json")
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    statuses = set[int]()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        if mode is GenerationMode.NEGATIVE and found.ok().method.upper() != "POST":
            continue  # Nothing is asked of them that could be wrong.

        @given(found.ok().as_strategy(generation_mode=mode))
        @settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        def holds(case: Any) -> None:
            answer = case.call()
            statuses.add(answer.status_code)
            case.validate_response(answer, checks=checks)

        holds()
    assert 400 in statuses and (200 in statuses or mode is GenerationMode.NEGATIVE)

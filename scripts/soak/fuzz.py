"""Altered bodies against a server: never a fault, a traceback, a hang or growing memory."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polyadic.formats import Row, npy, pack_rows, recordio
from scripts.load.models import SMALL_SHAPE, SMALL_TERMS
from scripts.load.server import Server
from scripts.soak.mutate import mutants

MOST_SECONDS, MOST_GROWTH = 2.0, 0.05
PATIENCE_SECONDS = 20.0
JSON, LINES, CSV, NPY, RECORDIO = (
    *("application/json", "application/jsonlines", "text/csv", "application/x-npy", "application/x-recordio-protobuf"),
)
INSTANCES: Mapping[str, Sequence[Any]] = {
    "cp": [
        [0, 4, 3],
        {"index": [0, 1, 2]},
        {"index": [None, 2, 2]},
        {"index": [None, 1, 2], "top_k": 3, "exclude": [0], "smallest": True},
        {"indices": [[0, 0, 0], [5, 4, 3]]},
        {"fold_in": {"mode": 2, "slab": [[1.0, None, 0.5, -1, 2]] * 6}, "index": [0, 1]},
        {"fold_in": {"mode": 0, "indices": [[0, 0], [4, 3]], "values": [2, 1.5], "absent": "zeros"}},
    ],
    "lda": [
        {"features": [1, 0, 0, 2, 0, 0, 0, 0]},
        {"data": {"features": {"keys": [1, 7], "shape": [SMALL_TERMS], "values": [2, 1]}}},
        {"features": {"values": [1, 0, 0, 2, 0, 0, 0, 0]}},
    ],
    "forecaster": [
        {"start": "2020-01-01 00:00:00", "target": [1, None, "NaN", 2.5, 1e-3]},
        {"start": "2020-01-01", "target": [1.5, 2.5] * 12},
    ],
}
CONFIGURATION = {"num_samples": 5, "quantiles": ["0.1", "0.9"], "output_types": ["mean", "quantiles", "samples"]}


@dataclass
class Fuzzed:
    """How altered bodies of a content type were answered, and those that were answered as none may be."""

    statuses: Counter[int] = field(default_factory=Counter)
    found: list[tuple[str, bytes]] = field(default_factory=list)
    slowest: float = 0.0


def bodies(name: str) -> dict[str, list[bytes]]:
    """Valid bodies for the small model of that name, by content type."""
    instances = INSTANCES[name]
    more = {"configuration": CONFIGURATION} if name == "forecaster" else {}
    lines = [json.dumps(instance).encode() + b"\n" for instance in instances]
    valid = {
        JSON: [json.dumps({"instances": each, **more}).encode() for each in [instances, *([one] for one in instances)]],
        LINES: [*lines, b"".join(lines)],
    }
    if name == "cp":
        index = np.array([[0] * len(SMALL_SHAPE), [rows - 1 for rows in SMALL_SHAPE]])
        valid[CSV] = [b"0,4,3\n", b"0,4,3\r\n5,0,0\r\n"]
        valid[NPY] = [npy.encode(index), npy.encode(index.astype(np.uint8))]
    elif name == "lda":
        counts = np.eye(2, SMALL_TERMS, 3) + 1
        rows = [Row(1, np.array([1, 7]), np.array([2.0, 1.0]), SMALL_TERMS), Row(2, None, counts[0], SMALL_TERMS)]
        valid[CSV] = [b"1,0,0,2,0,0,0,0\n", b"1,0,0,2,0,0,0,0\n0,0,0,0,0,0,0,3\n"]
        valid[NPY] = [npy.encode(counts), npy.encode(counts.astype(np.int32))]
        valid[RECORDIO] = [recordio.encode(pack_rows(rows[:1])), recordio.encode(pack_rows(rows))]
    return valid


class Fuzzer:
    """A keep-alive client that sends one body after the other."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Fuzzer:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fuzz(self, kind: str, valid: Sequence[bytes], count: int, seed: int) -> Fuzzed:
        """Altered bodies of a content type, the same for the same seed."""
        result = Fuzzed()
        for body in mutants(valid, count, seed):
            why, status, seconds = self.sent(kind, body)
            result.statuses[status] += 1
            result.slowest = max(result.slowest, seconds)
            if why:
                result.found.append((f"{kind}: {why}", body))
        return result

    def sent(self, kind: str, body: bytes, **headers: str) -> tuple[str | None, int, float]:
        """What is wrong about the answer to a body, if anything is; its status, and the seconds that it took."""
        began = time.monotonic()
        try:
            self._connection.request("POST", "/invocations", body, {"Content-Type": kind, **headers})
            answer = self._connection.getresponse()
            status, data = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return f"no answer: {error!r}", 0, time.monotonic() - began
        seconds = time.monotonic() - began
        if status >= 500:
            return f"status {status}: {data[:300]!r}", status, seconds
        if b"Traceback" in data and b"Traceback" not in body:
            return f"a traceback: {data[:300]!r}", status, seconds
        if seconds > MOST_SECONDS:
            return f"{seconds:.1f} s", status, seconds
        if status != 200 and not _is_fault(data):
            return f"status {status} without a sentence: {data[:300]!r}", status, seconds
        return None, status, seconds


def _is_fault(data: bytes) -> bool:
    try:
        return bool(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return False

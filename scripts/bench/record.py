"""What a benchmark leaves in docs/benchmarks/NAME.json: its rows, and the machine, the versions and the date of them.

A file is one JSON object:

    schema        1; it grows when a field changes its meaning
    name          the benchmark, as `python -m scripts.bench NAME` takes it
    date          the day of the run, YYYY-MM-DD
    command       what to type to measure again
    machine       the processor's model, cores, memory and GPU, in words
    versions      {distribution: version}; only what is known of a run that was carried over
    carried_over  where figures of an earlier run were copied from, or "" for a run that wrote this file itself
    remarks       sentences about the run: its errors, its conditions, corrections
    rows          a list of the fields of Row
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import torch

FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
SCHEMA = 1
ALWAYS = ("polyadic", "torch", "numpy", "numba")
Role = Literal["polyadic", "peer", "floor"]
TargetKind = Literal["", "ratio at least", "value at least", "value at most"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number.

    key: the row's name within its file, CASE.PROGRAM. work: what was measured, in words. program: who did the work.
    role: `polyadic`, `peer` (another program, or polyadic in another way) or `floor` (the least that the work can
    cost). value: in `unit`; None where the goal was not reached. spread: the standard deviation over seeds.
    ratio: value / polyadic's value of the same case. target: what `target_kind` says of ratio or value.
    met: whether the target was met; None without a target.
    """

    key: str
    work: str
    program: str
    role: Role
    value: float | None
    unit: str
    spread: float | None = None
    ratio: float | None = None
    target: float | None = None
    target_kind: TargetKind = ""
    met: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """A benchmark's file; the module's docstring says what its fields are."""

    name: str
    date: str
    command: str
    machine: str
    versions: dict[str, str]
    rows: list[Row]
    carried_over: str = ""
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raises ValueError where two rows have the same key."""
        keys = [row.key for row in self.rows]
        if repeated := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"{self.name} has more than one row {', '.join(repeated)}")

    def row(self, key: str) -> Row:
        """The row of this key. Raises KeyError with the keys that there are."""
        for row in self.rows:
            if row.key == key:
                return row
        raise KeyError(f"{self.name} has no row {key}: there are {', '.join(row.key for row in self.rows)}")

    def write(self, folder: Path = FOLDER) -> Path:
        """Writes NAME.json into a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(f"{text}\n")
        return path


def read(path: Path) -> Record:
    """The record of a file. Raises ValueError where its schema is another."""
    content = json.loads(path.read_text())
    if (schema := content.pop("schema", None)) != SCHEMA:
        raise ValueError(f"{path.name} has schema {schema}, not {SCHEMA}: measure it again")
    return Record(**content | {"rows": [Row(**row) for row in content["rows"]]})


def of_run(name: str, peers: Sequence[str], rows: list[Row], remarks: list[str]) -> Record:
    """The record of a run that has just ended, here and today."""
    return Record(
        name=name,
        date=date.today().isoformat(),
        command=f"python -m scripts.bench {name}",
        machine=machine(),
        versions=versions(peers),
        rows=rows,
        remarks=remarks,
    )


def machine() -> str:
    """This machine in words: the processor's model, cores, memory, GPU; no name and no path."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GB of memory, {gpu}"


def versions(peers: Sequence[str]) -> dict[str, str]:
    """The versions of Python, of what polyadic computes with, and of the peers."""
    return {"python": platform.python_version(), **{name: version(name) for name in (*ALWAYS, *peers)}}


def missing(distributions: Sequence[str]) -> list[str]:
    """Those of the distributions that are not installed."""
    return [name for name in distributions if not _installed(name)]


def finite(value: float) -> float | None:
    """The value, or None where it is infinite or no number, neither of which JSON can say."""
    return float(value) if math.isfinite(value) else None


def slug(text: str) -> str:
    """A name that a key can hold: small letters and digits, and `_` between words."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()

"""What a benchmark leaves: rows that are read back as they were written, on a machine described in words."""

from __future__ import annotations

import dataclasses
import json
import math
import socket
from pathlib import Path

import pytest

from scripts.bench import record
from scripts.bench.record import Record, Row

ROW = Row(
    key="cube.pyttb",
    work="CP of a cube",
    program="pyttb",
    role="peer",
    value=0.5,
    unit="seconds per sweep",
    ratio=5.0,
    target=4.0,
    target_kind="ratio at least",
    met=True,
)


def _record(*rows: Row) -> Record:
    return record.of_run("cp_dense", ["pydantic"], list(rows), ["The machine was quiet."])


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = _record(ROW)
    assert record.read(written.write(tmp_path / "new")) == written
    assert (tmp_path / "new" / "cp_dense.json").exists()


def test_the_file_has_the_fields_that_the_schema_names(tmp_path: Path) -> None:
    content = json.loads(_record(ROW).write(tmp_path).read_text())
    documented = {line.split()[0] for line in (record.__doc__ or "").splitlines() if line.startswith("    ")}
    assert documented - {"schema"} == {field.name for field in dataclasses.fields(Record)}
    assert set(content) == documented
    assert set(content["rows"][0]) == {field.name for field in dataclasses.fields(Row)}


def test_another_schema_is_refused(tmp_path: Path) -> None:
    path = _record(ROW).write(tmp_path)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(ValueError, match=r"cp_dense.json has schema 99, not 1: measure it again"):
        record.read(path)


def test_two_rows_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="cp_dense has more than one row cube.pyttb"):
        _record(ROW, ROW)


def test_an_unknown_row_is_an_error_that_names_the_known() -> None:
    with pytest.raises(KeyError, match="cp_dense has no row cube.nothing: there are cube.pyttb"):
        _record(ROW).row("cube.nothing")


def test_the_versions_are_those_of_what_computes_and_of_the_peers() -> None:
    assert list(_record(ROW).versions) == ["python", "polyadic", "torch", "numpy", "numba", "pydantic"]


def test_the_machine_is_described_without_its_name_and_paths() -> None:
    text = record.machine()
    assert "cores" in text
    assert "GB of memory" in text
    assert socket.gethostname() not in text
    assert "/" not in text


def test_what_is_not_installed_is_named() -> None:
    assert record.missing(["torch", "no-such-distribution"]) == ["no-such-distribution"]


@pytest.mark.parametrize(("value", "expected"), [(1.5, 1.5), (math.inf, None), (math.nan, None)])
def test_json_holds_finite_numbers_alone(value: float, expected: float | None) -> None:
    assert record.finite(value) == expected


def test_a_slug_has_small_letters_digits_and_underscores() -> None:
    assert record.slug("tomotopy, 2 workers") == "tomotopy_2_workers"

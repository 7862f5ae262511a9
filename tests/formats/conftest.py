"""What the tests of file formats share."""

from __future__ import annotations

import pytest

from polyadic.formats import _archive, _dense, _lines, _whole_lines, parquet


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are read in as many pieces as large ones."""
    monkeypatch.setattr(_lines, "BLOCK_BYTES", 256)
    monkeypatch.setattr(_archive, "CHUNK_BYTES", 256)
    monkeypatch.setattr(_dense, "CHUNK_BYTES", 256)
    monkeypatch.setattr(_whole_lines, "BATCH_BYTES", 64)
    monkeypatch.setattr(parquet, "BATCH_RECORDS", 16)

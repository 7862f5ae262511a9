"""GPUs are counted without a CUDA context."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyadic.devices import count_gpus


def test_visible_gpus_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: x)'\necho 'GPU 1: NVIDIA H200 (UUID: y)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert count_gpus({}) == 2
    assert count_gpus({"CUDA_VISIBLE_DEVICES": "1"}) == 1
    assert count_gpus({"CUDA_VISIBLE_DEVICES": ""}) == 0

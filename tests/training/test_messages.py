"""What launcher and workers tell each other."""

from __future__ import annotations

from pathlib import Path

import torch

from polyadic.errors import AlgorithmError, PlatformError, UserError
from polyadic.training import messages
from polyadic.training.job import kind_of


def test_the_cause_comes_before_its_consequences(tmp_path: Path) -> None:
    assert messages.first_failure(tmp_path) is None
    messages.write_failure(tmp_path, 0, PlatformError("a peer was lost"))
    messages.write_failure(tmp_path, 1, UserError("rank is 0"))
    messages.write_failure(tmp_path, 2, AlgorithmError("later"))
    first = messages.first_failure(tmp_path)
    assert isinstance(first, UserError)
    assert str(first) == "rank is 0"


def test_stop_is_asked_for_through_the_folder(tmp_path: Path) -> None:
    assert not messages.stop_requested(tmp_path)
    messages.request_stop(tmp_path)
    assert messages.stop_requested(tmp_path)


def test_torch_s_failures_have_kinds() -> None:
    assert isinstance(kind_of(RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer")), PlatformError)
    memory = kind_of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"))
    assert isinstance(memory, UserError)
    assert "lower mini_batch_size" in str(memory)
    assert isinstance(kind_of(ValueError("x")), AlgorithmError)
    assert isinstance(kind_of(OSError(28, "No space left on device")), PlatformError)

"""safetensors files as dense tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from polyadic.errors import UserError
from polyadic.formats import safetensors
from tests.helpers.format_checks import check_damaged, check_round_trip, plain_arrays

pytestmark = pytest.mark.usefixtures("small_blocks")
KINDS = ["bfloat16", "float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(7, 5, 40), (2, 3), (1, 300, 2)])
def test_rows_of_any_mode_are_read_alone(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    tensor = torch.from_numpy(np.random.default_rng(0).integers(0, 100, shape)).to(getattr(torch, kind))
    (tmp_path / "a.safetensors").write_bytes(save({"anything": tensor}))
    file = safetensors.open_tensor(tmp_path / "a.safetensors")
    assert file.shape == shape
    assert np.array_equal(safetensors.decode(save({"tensor": tensor})), tensor.float().numpy())
    for mode, rows in enumerate(shape):
        for start, stop in ((0, rows), (rows // 3, rows // 2 + 1), (rows, rows)):
            wanted = tensor.narrow(mode, start, stop - start).double().numpy()
            out = np.full(wanted.shape, np.nan)
            file.fill(out, mode, start, stop)
            assert np.array_equal(out, wanted)


def test_the_tensor_of_that_name_is_meant(tmp_path: Path) -> None:
    data = save({"a": torch.ones(2), "tensor": torch.zeros(3, 4)})
    (tmp_path / "a.safetensors").write_bytes(data)
    assert safetensors.decode(data).shape == safetensors.open_tensor(tmp_path / "a.safetensors").shape == (3, 4)


ONE = save({"a": torch.ones(20)})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (save({}), r"holds 0 tensors \(none\): give one, or name the one meant `tensor`"),
        (save({"a": torch.ones(2), "b": torch.ones(2)}), r"holds 2 tensors \(a, b\): give one"),
        (save({"a": torch.ones(2, dtype=torch.complex64)}), "holds C64: it must hold BF16 or one of BOOL, I8"),
        (save({"a": torch.ones(2).to(torch.float8_e4m3fn)}), "holds F8_E4M3: it must hold BF16 or one of BOOL, I8"),
        (ONE[:-10], "is not a readable safetensors file: "),
        (ONE[:20], "is not a readable safetensors file: "),
        (b"", "is not a readable safetensors file: "),
        (b"hello, this is text", "is not a readable safetensors file: "),
    ],
)
def test_what_is_no_tensor_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^the body {message}"):
        safetensors.decode(data)
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(UserError, match=rf"^a\.safetensors {message}"):
        safetensors.open_tensor(tmp_path / "a.safetensors")


def test_a_file_that_is_not_there_is_the_platforms_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        safetensors.open_tensor(tmp_path / "a.safetensors")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=plain_arrays, data=st.data())
def test_any_tensor_comes_back(value: Any, data: st.DataObject) -> None:
    check_round_trip(safetensors.FORMAT, value)
    check_damaged(safetensors.FORMAT, value, data)

"""The tensor of the tiny jobs."""

from __future__ import annotations

import numpy as np

from polyadic.formats import npy
from polyadic.lowrank.tiny import tiny_tensor


def test_it_is_of_rank_3_but_for_noise_and_gaps_are_nan() -> None:
    whole = np.asarray(npy.decode(tiny_tensor()["train"]["tensor.npy"]))
    sizes = np.linalg.svd(whole.reshape(6, 20), compute_uv=False)
    assert sizes[3] < 0.05 * sizes[0]
    holes = np.isnan(np.asarray(npy.decode(tiny_tensor(gaps=True)["train"]["tensor.npy"])))
    assert holes.sum() == 3

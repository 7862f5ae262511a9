"""The data of the tiny jobs of decompositions."""

from __future__ import annotations

import numpy as np

from polyadic.formats import npy


def tiny_tensor(gaps: bool = False) -> dict[str, dict[str, bytes]]:
    """Channel `train`: a tensor of 6 x 5 x 4, of rank 3 but for some noise; with gaps, three of its entries are NaN."""
    random = np.random.default_rng(0)
    factors = [random.random((rows, 3)) for rows in (6, 5, 4)]
    tensor = np.einsum("ir,jr,kr->ijk", *factors) + 0.05 * random.random((6, 5, 4))
    if gaps:
        tensor[[0, 3, 5], [0, 2, 4], [1, 2, 3]] = np.nan
    return {"train": {"tensor.npy": npy.encode(tensor)}}

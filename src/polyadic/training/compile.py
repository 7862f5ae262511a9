"""Compiles the kernels of every algorithm, by running its tiny job in each precision, on dense and on sparse data."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyadic.algorithms import ALGORITHMS, choose
from polyadic.distributed import World
from polyadic.formats import Coordinates, npy, tns
from polyadic.jobs.algorithm import Algorithm
from polyadic.jobs.channels import Channel
from polyadic.jobs.job import Job
from polyadic.training.checkpoint import NoCheckpoints

Files = Mapping[str, Mapping[str, bytes]]


def main() -> None:
    """Runs the jobs one after the other; numba keeps what it compiled where NUMBA_CACHE_DIR says."""
    for algorithm in ALGORITHMS.values():
        for hyperparameters, channels in _jobs(algorithm):
            with tempfile.TemporaryDirectory() as folder:
                _fit(hyperparameters, _laid_out(Path(folder), channels))


def _jobs(algorithm: Algorithm) -> Iterator[tuple[Mapping[str, str], Files]]:
    given, channels = algorithm.tiny_job.hyperparameters, algorithm.tiny_job.channels()
    if "num_topics" in given:
        for topics in ("2", "8", "12", "20"):  # Kernels are compiled for the widths of their registers.
            yield {**given, "num_topics": topics}, channels
        return
    if "dtype" not in given:
        yield given, channels
        return
    for dtype in ("float32", "float64"):
        yield {**given, "dtype": dtype}, channels
        if "tensor.npy" in channels["train"]:
            yield {**given, "dtype": dtype}, {"train": {"tensor.npy": npy.encode(_large())}}
        if algorithm.name == "tucker" and dtype == "float64":  # Which the kernel takes for both.
            for method in ("hooi", "nonnegative"):
                yield {**given, "dtype": dtype, "method": method}, channels
        if algorithm.name == "cp":
            for rank in ("2", "12"):
                yield {**given, "dtype": dtype, "method": "als", "rank": rank}, channels
            sparse = {"train": {"tensor.tns": _sparse(channels["train"]["tensor.npy"])}}
            yield {**given, "dtype": dtype}, sparse
            yield {**given, "dtype": dtype, "entries": "missing"}, sparse


def _large() -> NDArray[np.float64]:
    """A tensor of so many entries that kernels take it."""
    random = np.random.default_rng(0)
    tensor: NDArray[np.float64] = np.einsum("ir,jr,kr->ijk", *(random.random((128, 3)) for _ in range(3)))
    return tensor


def _sparse(dense: bytes) -> bytes:
    """The records of some entries of a dense tensor."""
    tensor = np.asarray(npy.decode(dense))
    index = np.argwhere(np.random.default_rng(0).random(tensor.shape) < 0.5)
    return tns.encode(Coordinates(index.T.astype(np.int32), tensor[tuple(index.T)], None, (None,) * tensor.ndim))


def _laid_out(folder: Path, channels: Files) -> dict[str, Channel]:
    opened = {}
    for name, files in channels.items():
        (folder / name).mkdir()
        for file, data in files.items():
            (folder / name / file).write_bytes(data)
        opened[name] = Channel(name, folder / name, tuple(sorted((folder / name).iterdir())))
    return opened


def _fit(hyperparameters: Mapping[str, str], channels: dict[str, Channel]) -> None:
    algorithm, settings = choose(hyperparameters)
    algorithm.fit(
        Job(
            algorithm=algorithm.name,
            hyperparameters=settings,
            world=World.alone(),
            channels=channels,
            checkpoints=NoCheckpoints(),
        )
    )


if __name__ == "__main__":
    main()

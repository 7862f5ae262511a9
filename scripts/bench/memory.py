"""Peak memory of a fit beyond what the interpreter and the libraries take: dense and sparse CP, each in a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from polyadic.decomposition.cp.fit import cp
from scripts.bench.measure import OURS, Bound, Case
from scripts.bench.sparse_data import zipf

LARGE_RANK, SMALL_RANK = 2000, 16
CASES = {"dense": 1.5, "dense rank 2000": None, "sparse": 3.0}
"""The most that a peak may be of its data; at rank 2,000 the Gram matrices alone are larger than this tensor."""
COORDINATE_BYTES = 8


def run() -> Iterator[Case]:
    """Peak and data side by side; the target is the most that a peak may be of its data."""
    for name, most in CASES.items():
        process = subprocess.run([sys.executable, "-m", __name__, name], check=True, capture_output=True, text=True)
        peak, data = map(float, process.stdout.split()[-2:])
        what = "tensor" if "dense" in name else "coordinates"
        yield Case(
            key=name.replace(" ", "_"),
            title=f"peak memory, {name} CP",
            figures={OURS: peak, what: data},
            unit="MB",
            roles={what: "floor"},
            bounds=[Bound(f"peak relative to the {what}", peak / data, most)] if most else [],
            facts={} if most else {"peak": f"{peak / data:.2f} times the {what}"},
        ).reported()


def _case(name: str) -> None:
    """Prints the peak MB of a fit, the data included, and the MB of the data (coordinates: 8 bytes per index)."""
    cp(torch.rand(40, 40, 40), SMALL_RANK, max_iterations=3, method="als")  # What compiling takes is no fit's memory.
    if name == "sparse":
        cp(zipf(2_000), SMALL_RANK, max_iterations=3, method="als")
        tensor = zipf(2_000_000)
        size = tensor.indices.numel() * COORDINATE_BYTES
        own = tensor.indices.numel() * tensor.indices.element_size() + tensor.values.numel() * 4
        before = _begin()
        cp(tensor, SMALL_RANK, max_iterations=3, method="als")
    else:
        before, own = _begin(), 0
        dense = torch.rand(300, 300, 300)
        size = dense.numel() * dense.element_size()
        large = str(LARGE_RANK) in name
        cp(dense, LARGE_RANK if large else SMALL_RANK, max_iterations=1 if large else 3, method="als")
    print((memory_bytes("VmHWM") - before + own) / 1e6, size / 1e6)


def _begin() -> float:
    """Forgets the peak so far, and returns the memory that is taken now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory_bytes("VmRSS")


def memory_bytes(name: str) -> float:
    """A line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    _case(sys.argv[1])

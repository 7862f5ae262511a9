"""Peak memory of a fit beyond what the interpreter and the libraries take: dense and sparse CP, each in a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from polyadic.decomposition.cp.als import cp
from scripts.bench.measure import OURS, Case
from scripts.bench.sparse_data import zipf

CASES = {"dense": 1.5, "dense rank 2000": None, "sparse": 3.0}
"""The most that a peak may be of its data; at rank 2,000 the Gram matrices alone are larger than this tensor."""


def run() -> None:
    """Prints peak and data side by side; the target is the most that a peak may be of its data."""
    for name, most in CASES.items():
        done = subprocess.run([sys.executable, "-m", __name__, name], check=True, capture_output=True, text=True)
        peak, data = map(float, done.stdout.split()[-2:])
        figures = {OURS: peak, "tensor" if "dense" in name else "coordinates": data}
        verdict = f", to be {most} at most, {'met' if peak <= most * data else 'MISSED'}" if most else ""
        more = {"peak": f"{peak / data:.2f} x{verdict}"}
        Case(f"peak memory, {name} CP", figures, unit="MB", more=more).report()


def _case(name: str) -> None:
    """Peak MB of a fit, the data included, and MB of the data (coordinates: 8 bytes an index)."""
    cp(torch.rand(40, 40, 40), 16, max_iterations=3)  # What compiling takes is no fit's memory.
    if name == "sparse":
        cp(zipf(2_000), 16, max_iterations=3)
        tensor = zipf(2_000_000)
        size, own = tensor.indices.numel() * 8, tensor.indices.numel() * 4 + tensor.values.numel() * 4
        before = _begin()
        cp(tensor, 16, max_iterations=3)
    else:
        before, own = _begin(), 0
        dense = torch.rand(300, 300, 300)
        size = dense.numel() * 4
        cp(dense, 2000 if "2000" in name else 16, max_iterations=1 if "2000" in name else 3)
    print((memory("VmHWM") - before + own) / 1e6, size / 1e6)


def _begin() -> float:
    """Forgets the peak so far; the memory that is taken now."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(name: str) -> float:
    """A line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    _case(sys.argv[1])

"""Peak memory of a fit beyond what the interpreter and the libraries take: dense and sparse CP, each in a process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import torch

from polyadic.decomposition.cp import cp
from scripts.bench.measure import OURS, Case
from scripts.bench.sparse_data import zipf

CASES = {"dense": 1.5, "dense rank 2000": 1.5, "sparse": 3.0}


def run() -> None:
    """Prints peak and data side by side; the target is the most that a peak may be of its data."""
    for name, most in CASES.items():
        done = subprocess.run([sys.executable, "-m", __name__, name], check=True, capture_output=True, text=True)
        peak, data = map(float, done.stdout.split()[-2:])
        figures = {OURS: peak, "tensor" if "dense" in name else "coordinates": data}
        more = {"peak": f"{peak / data:.2f} x, to be {most} at most, {'met' if peak <= most * data else 'MISSED'}"}
        Case(f"peak memory, {name} CP", figures, unit="MB", more=more).report()


def _case(name: str) -> None:
    """Peak MB of a fit, the data included, and MB of the data (coordinates: 8 bytes an index)."""
    cp(torch.rand(5, 6, 7), 2, max_iterations=2)
    if name == "sparse":
        tensor = zipf(2_000_000)
        size, own = tensor.indices.numel() * 8, tensor.indices.numel() * 4 + tensor.values.numel() * 4
        before = _begin()
        cp(tensor, 16, max_iterations=3)
    else:
        before, own = _begin(), 0
        dense = torch.rand(300, 300, 300)
        size = dense.numel() * 4
        cp(dense, 2000 if "2000" in name else 16, max_iterations=1 if "2000" in name else 3)
    print((_memory("VmHWM") - before + own) / 1e6, size / 1e6)


def _begin() -> float:
    """Forgets the peak so far; the memory that is taken now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> float:
    """A line of this process's status, in bytes."""
    return 1024.0 * int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])  # type: ignore[index]


if __name__ == "__main__":
    _case(sys.argv[1])

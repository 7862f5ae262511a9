"""Peak memory of a fit beyond what the interpreter and the libraries take: dense and sparse CP, each in a process."""

from __future__ import annotations

import resource
import subprocess
import sys

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
        before = _peak()
        cp(tensor, 16, max_iterations=3)
    else:
        before = _peak()
        dense = torch.rand(300, 300, 300)
        size, own = dense.numel() * 4, 0
        cp(dense, 2000 if "2000" in name else 16, max_iterations=1 if "2000" in name else 3)
    print((_peak() - before + own) / 1e6, size / 1e6)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    _case(sys.argv[1])

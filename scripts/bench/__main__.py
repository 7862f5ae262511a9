"""python -m scripts.bench [NAME ...]: the named benchmarks, or all of them, after the versions they ran on."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import torch

from scripts.bench import measure

BENCHMARKS = (
    *("cp_dense", "cp_sparse", "cp_sampled", "cp_ranks", "tucker", "tensor_train", "memory", "cells"),
    *(
        "lda_synthetic",
        "lda_ap",
        "lda_scale",
        "parity",
        "cp_indian_pines",
        "accuracy",
        "forecast_speed",
        "forecast_gpu",
    ),
)
PACKAGES = (
    *("polyadic", "torch", "numpy", "numba", "tensorly", "pyttb", "torchTT", "scikit-learn", "tomotopy"),
    *("gluonts", "lightning"),
)


def main(names: Sequence[str]) -> int:
    """Runs each benchmark's run(), which prints its table."""
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    measure.environment |= {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        **_versions(),
    }
    print(", ".join(f"{name} {value}" for name, value in measure.environment.items()))
    for name in names or BENCHMARKS:
        print(f"\n## {name}", flush=True)
        importlib.import_module(f"scripts.bench.{name}").run()
    return 0


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

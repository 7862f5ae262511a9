"""python -m scripts.bench [NAME ...]: the named benchmarks, or all of them, after the versions they ran on."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

BENCHMARKS = ("cp_dense", "cp_indian_pines", "los_speed")
PACKAGES = ("polyadic", "torch", "numpy", "tensorly")


def main(names: Sequence[str]) -> int:
    """Runs each benchmark's run(), which prints its table."""
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}", *_versions(), sep=", ")
    for name in names or BENCHMARKS:
        print(f"\n## {name}", flush=True)
        importlib.import_module(f"scripts.bench.{name}").run()
    return 0


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} absent")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""python -m scripts.bench [NAME ...] [--out DIR] [--remark TEXT]: measures, prints, and writes DIR/NAME.json.

Without names, all benchmarks run. One that cannot run here, for want of a GPU, a peer or data, writes nothing and says
why. `python -m scripts.bench.page` makes docs/benchmarks.md of the files.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from scripts.bench import record
from scripts.bench.catalogue import ACCURACY, BENCHES, Bench, chosen
from scripts.bench.measure import UnavailableError


def main(arguments: Sequence[str]) -> int:
    """Runs the named benchmarks one after the other; 2 where a name is unknown."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench",
        description="Measures speed and accuracy.",
        epilog="example: python -m scripts.bench cp_dense lda_short --out out/bench",
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=record.FOLDER, metavar="DIR", help="where the JSON files go")
    parser.add_argument("--remark", default="", metavar="TEXT", help="a sentence about the conditions of this run")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(BENCHES) - {ACCURACY})
    if unknown:
        print(f"no benchmark {', '.join(unknown)}: there are {', '.join([ACCURACY, *BENCHES])}", file=sys.stderr)
        return 2
    print(f"{record.machine()}; threads {torch.get_num_threads()}")
    print(", ".join(f"{name} {version}" for name, version in record.versions(()).items()))
    for bench in chosen(options.names):
        print(f"\n## {bench.name}", flush=True)
        try:
            print(f"\nwritten: {measured(bench, options.remark).write(options.out).name}", flush=True)
        except UnavailableError as error:
            print(f"\nnothing written: {error}", flush=True)
    return 0


def measured(bench: Bench, remark: str = "") -> record.Record:
    """Runs a benchmark, which prints its tables. Raises UnavailableError where a peer, data or a GPU is missing."""
    if absent := record.missing(bench.peers):
        raise UnavailableError(f"{' and '.join(absent)} is not installed: pip install '.[bench,test]'")
    cases = list(importlib.import_module(bench.module_name()).run(*bench.arguments))
    rows = [row for case in cases for row in case.rows()]
    remarks = [text for case in cases for text in case.remarks()]
    return record.of_run(bench.name, bench.peers, rows, [*([remark] if remark else []), *remarks])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

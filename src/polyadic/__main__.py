"""python -m polyadic train [--dry-run] | schema ALGORITHM [--table] | algorithms."""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from collections.abc import Sequence

from polyadic.errors import PolyadicError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the package."""
    parser = argparse.ArgumentParser(prog="polyadic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="run the job that /opt/ml (or SAGEMAKER_BASE_DIR) describes")
    train.add_argument("--dry-run", action="store_true", help="check everything, run one batch, write nothing")
    schema = commands.add_parser("schema", help="print an algorithm's CreateAlgorithm training specification")
    schema.add_argument("algorithm")
    schema.add_argument("--table", action="store_true", help="its hyperparameters as a Markdown table instead")
    commands.add_parser("algorithms", help="print the names of the algorithms")
    given = parser.parse_args(arguments)
    if given.command == "train":
        sys.argv[1:] = ["--dry-run"] if given.dry_run else []
        runpy.run_module("polyadic.training.launcher", run_name="__main__", alter_sys=True)
    try:
        print(_describe(given))
    except PolyadicError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _describe(given: argparse.Namespace) -> str:
    from polyadic import algorithms
    from polyadic.jobs import schema

    if given.command == "algorithms":
        return "\n".join(f"{algorithm.name}: {algorithm.summary}" for algorithm in algorithms.ALGORITHMS.values())
    algorithm = algorithms.named(given.algorithm)
    return schema.table(algorithm) if given.table else json.dumps(schema.training_specification(algorithm), indent=2)


if __name__ == "__main__":
    sys.exit(main())

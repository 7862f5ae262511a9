"""The command line of the package: train, predict, describe, schema, algorithms."""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from polyadic.errors import PolyadicError, UserError

TRAIN = """\
Without FILE it runs the job that /opt/ml (or SAGEMAKER_BASE_DIR) describes. With files it trains on them; every other
option is a hyperparameter (docs/hyperparameters.md). Where --algorithm is left out it is cp, lda, forecaster
or tensor-regression: the one whose required hyperparameters are all there, cp with --rank alone.


  polyadic train tensor.npy --algorithm cp --rank 5 --output out/tensor
"""
DESCRIBE = """\
  polyadic describe out/tensor/model.tar.gz
"""
PREDICT = """\
FILE has instances as a request has them: a body of JSON, JSON Lines, CSV or NumPy; without one they come from the
standard input (docs/serving.md):

  polyadic predict out/tensor/model.tar.gz questions.csv --accept csv
"""
SCHEMA = """\
  polyadic schema cp --table
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the package."""
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if rest and given.command != "train":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if given.command == "train":
            return _train(given, rest)
        if given.command == "predict":
            return _predict(given)
        print(_answer(given))
    except PolyadicError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="polyadic", description="Tensor methods, trained and served.")
    parser.add_argument("--version", action="version", version=f"polyadic {version('polyadic')}")
    commands = parser.add_subparsers(dest="command", required=True)
    as_written = argparse.RawDescriptionHelpFormatter

    train = commands.add_parser(
        "train", help="train a model", description=TRAIN, formatter_class=as_written, allow_abbrev=False,
        usage="polyadic train [FILE ...] [--HYPERPARAMETER VALUE ...] [--channel NAME=FILE] [--output DIR] [--open]",
    )  # fmt: skip
    train.add_argument("--dry-run", action="store_true", help="check everything, run one batch, write nothing")
    train.add_argument("--output", metavar="DIR", type=Path, default=Path("out"), help="gets the model and its report")
    train.add_argument("--channel", metavar="NAME=FILE", action="append", default=[], help="beside train, such as test")
    train.add_argument("--open", action="store_true", help="open the report in a browser")

    predict = commands.add_parser(
        "predict", help="answer with a model", description=PREDICT, formatter_class=as_written
    )
    predict.add_argument("model", type=Path, metavar="MODEL.tar.gz", help="or the folder of a model")
    predict.add_argument("file", type=Path, metavar="FILE", nargs="?", help="the instances (default: standard input)")
    predict.add_argument("--accept", metavar="FORMAT", default="json", help="json (the default), jsonlines, csv or npy")

    describe = commands.add_parser(
        "describe", help="print what a model is", description=DESCRIBE, formatter_class=as_written
    )
    describe.add_argument("model", type=Path, metavar="MODEL.tar.gz", help="or the folder of a model")

    schema = commands.add_parser(
        "schema", help="print an algorithm's CreateAlgorithm specification", description=SCHEMA,
        formatter_class=as_written,
    )  # fmt: skip
    schema.add_argument("algorithm")
    schema.add_argument("--table", action="store_true", help="its hyperparameters as a Markdown table instead")
    commands.add_parser(
        "algorithms", help="print the names of the algorithms", description="  polyadic algorithms\n",
        formatter_class=as_written,
    )  # fmt: skip
    return parser


def _train(given: argparse.Namespace, rest: Sequence[str]) -> int:
    from polyadic.training import on_files

    files, hyperparameters = on_files.split_options(rest)
    if not files and not hyperparameters and not given.channel:
        sys.argv[1:] = ["--dry-run"] if given.dry_run else []
        runpy.run_module("polyadic.training.launcher", run_name="__main__", alter_sys=True)
    channels: dict[str, list[Path]] = {"train": [Path(file) for file in files]}
    for text in given.channel:
        name, equals, file = text.partition("=")
        if not equals:
            raise UserError(f"--channel is {text!r}: write NAME=FILE, such as test={text}")
        channels.setdefault(name, []).append(Path(file))
    if not channels["train"]:
        raise UserError("no file to train on: give one or more, such as `polyadic train tensor.npy --rank 5`")
    return on_files.train(channels, hyperparameters, given.output, show=given.open, dry_run=given.dry_run)


def _predict(given: argparse.Namespace) -> int:
    from polyadic import trained

    model = trained.load(given.model)
    if given.file is None:
        name, body = "-", sys.stdin.buffer.read()
    elif given.file.is_file():
        name, body = given.file.name, given.file.read_bytes()
    else:
        raise UserError(f"{given.file} is no file: give one with instances, or none to read the standard input")
    answer = model.answer(body, name, given.accept)
    sys.stdout.buffer.write(answer if answer.endswith(b"\n") or given.accept == "npy" else answer + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _answer(given: argparse.Namespace) -> str:
    from polyadic import algorithms
    from polyadic.jobs import schema
    from polyadic.jobs.describe import describe

    if given.command == "describe":
        return describe(given.model)
    if given.command == "algorithms":
        return "\n".join(f"{algorithm.name}: {algorithm.summary}" for algorithm in algorithms.ALGORITHMS.values())
    algorithm = algorithms.named(given.algorithm)
    return schema.table(algorithm) if given.table else json.dumps(schema.training_specification(algorithm), indent=2)


if __name__ == "__main__":
    sys.exit(main())

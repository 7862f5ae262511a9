"""`python -m scripts.compare ENDPOINT`: which variant is better, as often as you like to look."""

import argparse
import sys
import time
from typing import Any

from scripts.ab.evidence import Evidence
from scripts.ab.picture import draw, picture
from scripts.ab.report import EXIT_CODES, as_json, table, verdict
from scripts.ab.study import Study, add_arguments, rehearsed
from scripts.aws import client, examples, main, resource_name, seconds, shared_arguments

CLEAR = "\033[H\033[J"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    codes = ", ".join(f"{code} {word}" for word, code in EXIT_CODES.items())
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare",
        description="Compare an endpoint's variants by captured answers and their actuals; valid at every look. The "
        f"exit code says the verdict: {codes}.",
        parents=[shared_arguments()],
        **examples(
            "compare ab --loss mase --season 12 --margin 1%",
            "compare ab --watch",
            "compare ab --loss column --column revenue --higher-is-better",
            "compare ab --json --picture ab.svg",
        ),
    )
    parser.add_argument("endpoint", type=resource_name, metavar="NAME")
    add_arguments(parser)
    parser.add_argument("--picture", type=picture, metavar="FILE", help="draw how the intervals narrowed: .png or .svg")
    show = parser.add_mutually_exclusive_group()
    show.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    show.add_argument(
        "--watch", type=seconds, nargs="?", const=10.0, metavar="SECONDS", help="look again until decided"
    )
    return parser


def compare(arguments: argparse.Namespace) -> int:
    """Look once, or until there is a verdict; the exit code says the verdict."""
    study = open_study(arguments)
    while True:
        evidence = study.look()
        show(evidence, arguments)
        if arguments.dry_run:
            return 0
        if arguments.watch is None or verdict(evidence) != "undecided":
            return EXIT_CODES[verdict(evidence)]
        time.sleep(arguments.watch)


def open_study(arguments: argparse.Namespace) -> Study:
    """The study that the arguments of a command ask for."""
    answers = rehearsed(arguments.champion)
    services: list[Any] = [client(name, arguments, answers) for name in ("sagemaker", "s3", "cloudwatch")]
    return Study(arguments, *services)


def show(evidence: Evidence, arguments: argparse.Namespace) -> None:
    """Print and draw what is asked for."""
    if arguments.dry_run:
        return
    if arguments.watch is not None and sys.stdout.isatty():
        print(CLEAR, end="")
    print(as_json(evidence) if arguments.json else table(evidence), flush=True)
    if arguments.picture is not None:
        draw(evidence, arguments.picture)


if __name__ == "__main__":
    main(compare, parser())

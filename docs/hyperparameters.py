"""python docs/hyperparameters.py: docs/hyperparameters.md and the README's table of algorithms, from the schema."""

from __future__ import annotations

import re
from pathlib import Path

from polyadic.algorithms import ALGORITHMS
from polyadic.jobs import schema

ROOT = Path(__file__).parents[1]
PAGE, README = ROOT / "docs" / "hyperparameters.md", ROOT / "README.md"
TABLE = re.compile(r"(<!-- table: algorithms -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = """# Hyperparameters

This page is written by `python docs/hyperparameters.py` from the schema that checks a job.

`algorithm` chooses; where it is absent, the one algorithm is meant whose required hyperparameters are all given.
Values may be strings, as SageMaker sends them: `10` and `"10"` are the same, and so are `true` and `"True"`. A
misspelt name is an error that names the nearest known one. `python -m polyadic schema cp --table` prints one of these
tables, and `python -m polyadic schema cp` the specification that CreateAlgorithm and tuners read.
"""


def page() -> str:
    """The page of all hyperparameters, channels and metrics."""
    return "\n".join([HEAD, *(_section(name) for name in ALGORITHMS)])


def with_algorithms(readme: str) -> str:
    """The README with its table of algorithms as they declare themselves."""
    rows = ["| algorithm | what it does | reads | answers |", "|---|---|---|---|"]
    rows += [f"| `{each.name}` | {each.summary} | {each.reads} | {each.answers} |" for each in ALGORITHMS.values()]
    return TABLE.sub(lambda match: "\n".join([match[1] + rows[0], *rows[1:], match[2]]), readme)


def _section(name: str) -> str:
    algorithm = ALGORITHMS[name]
    channels = ["| channel | | what it holds |", "|---|---|---|"]
    channels += [
        f"| `{channel.name}` | {'required' if channel.required else 'optional'} | {channel.about} |"
        for channel in algorithm.channels
    ]
    metrics = ["| metric | better | what it is |", "|---|---|---|"]
    metrics += [
        f"| `{metric.definition['Name']}` | {'lower' if metric.minimize else 'higher'} | {metric.about} |"
        for metric in algorithm.metrics
    ]
    parts = [
        f"## {name}\n",
        f"{_sentence(algorithm.summary)}\n",
        schema.table(algorithm),
        "",
        *channels,
        "",
        *metrics,
        "",
    ]
    return "\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


if __name__ == "__main__":
    PAGE.write_text(page())
    README.write_text(with_algorithms(README.read_text()))

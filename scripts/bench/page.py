"""python -m scripts.bench.page: writes docs/benchmarks.md, and every quoted figure, from docs/benchmarks/*.json.

Nobody types a number twice. A document that quotes a figure (README.md and the pages of docs/) names it:

    dense CP is <!-- figure: cp_dense.cube.tensorly_pytorch.ratio -->11<!-- end --> times faster than TensorLy

What stands between the two comments is rewritten by this command, and a test compares it. The name is
FILE.CASE.PROGRAM.FIELD: FILE is docs/benchmarks/FILE.json, CASE.PROGRAM is the `key` of one of its rows, and FIELD is

    value     the number, in the row's unit
    quantity  the number with its unit, as the page shows it: 8.0 ms per sweep
    spread    its standard deviation over seeds
    ratio     the number divided by polyadic's: how many times faster, or smaller, polyadic is
    share     polyadic's number divided by this one
    percent   by how many per cent polyadic's number is less than this one
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.bench import record
from scripts.bench.catalogue import BENCHES, SUBJECTS, Bench
from scripts.bench.record import Record, Row

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
FIGURE = re.compile(r"(<!-- figure: (\S+) -->)(.*?)(<!-- end -->)", re.DOTALL)
MILLI = 1e-3
HEAD = """# Benchmarks

This page is written by `python -m scripts.bench.page` from the files in docs/benchmarks, which the benchmarks write.
`make bench` runs all of them; the command beside each table runs one. Programs are measured in turn in one run, and the
median is kept. What cannot run on a machine (for want of a GPU, a peer or data) keeps its file as it was.

The column *relative* divides a result by polyadic's. Results are times, sizes or errors unless a row says otherwise, so
a number above 1 says how many times more the other program needs. A floor is the least that the work can cost on the
machine. Figures marked *carried over* were measured by an earlier version and copied into the file, not measured again.
"""


def page(records: Mapping[str, Record]) -> str:
    """The text of docs/benchmarks.md: one table for each benchmark that has a record."""
    parts = [HEAD, *_missed(records)]
    for subject in SUBJECTS:
        sections = [_section(bench, records[bench.name]) for bench in _benches(subject) if bench.name in records]
        parts += [f"## {subject}\n", *sections] if sections else []
    return "\n".join(parts)


def with_figures(text: str, records: Mapping[str, Record]) -> str:
    """A document with its quoted figures as the records have them. Raises KeyError where there is none."""
    return FIGURE.sub(lambda match: f"{match[1]}{figure(match[2], records)}{match[4]}", text)


def figure(name: str, records: Mapping[str, Record]) -> str:
    """A quoted figure, FILE.CASE.PROGRAM.FIELD, as text. Raises KeyError where there is no such figure."""
    file, _, rest = name.partition(".")
    key, _, field = rest.rpartition(".")
    if file not in records:
        raise KeyError(f"figure {name}: there is no docs/benchmarks/{file}.json")
    if field not in FIELDS:
        raise KeyError(f"figure {name}: no field {field}, there are {', '.join(FIELDS)}")
    row = records[file].row(key)
    text = FIELDS[field](row)
    if not text:
        raise KeyError(f"figure {name}: the row has no {field}")
    return text


def read_all(folder: Path = record.FOLDER) -> dict[str, Record]:
    """The records of a folder by their names."""
    records = [record.read(path) for path in sorted(folder.glob("*.json"))]
    return {each.name: each for each in records}


def documents(root: Path = ROOT) -> list[Path]:
    """The files that may quote figures."""
    return [path for path in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if path.name != PAGE.name]


def main() -> int:
    """Writes the page and the quoted figures."""
    records = read_all()
    PAGE.write_text(page(records))
    for path in documents():
        text = path.read_text()
        if (rewritten := with_figures(text, records)) != text:
            path.write_text(rewritten)
            print(f"rewritten: {path.relative_to(ROOT)}")
    return 0


def _benches(subject: str) -> list[Bench]:
    return [bench for bench in BENCHES.values() if bench.subject == subject]


def _missed(records: Mapping[str, Record]) -> list[str]:
    """What was promised and not reached, before all tables."""
    rows = [(BENCHES[name].title, row) for name in BENCHES if name in records for row in records[name].rows]
    items = [
        f"- {row.work}, {row.program}: {_target(row)} ([{title}](#{_anchor(title)}))."
        for title, row in rows
        if row.met is False
    ]
    return ["## Targets that were missed\n", *(items or ["None."]), ""]


def _section(bench: Bench, results: Record) -> str:
    ours = sorted({row.program for row in results.rows if row.role == "polyadic"})
    lines = [f"### {bench.title}\n", f"<!-- needs: minutes -->\n```bash\n{results.command}\n```\n"]
    lines += [f"| work | program | result | relative to {' or '.join(ours)} | target |", "|---|---|---|---|---|"]
    case = ""
    for row in results.rows:
        work = "" if row.work == case else row.work.removeprefix(f"{case}: ")
        case = row.work if work == row.work else case
        program = f"{row.program} (floor)" if row.role == "floor" else row.program
        lines.append(f"| {work} | {program} | {_quantity(row)} | {_relative(row)} | {_target(row)} |")
    remarks = [*(f"- {text}" for text in results.remarks), ""] if results.remarks else []
    return "\n".join([*lines, "", f"{_conditions(results)}\n", *remarks])


def _conditions(results: Record) -> str:
    known = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    carried = f" *Carried over from an earlier run*: {results.carried_over}." if results.carried_over else ""
    return f"Measured on {results.date}: {results.machine}; {known or 'versions not noted'}.{carried}"


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    quantity, _, bound = row.target_kind.partition(" ")
    of_what = "relative " if quantity == "ratio" else ""
    return f"{of_what}{bound} {_number(row.target)}: {'met' if row.met else '**missed**'}"


def _quantity(row: Row) -> str:
    """The value with its unit: seconds in the unit that suits them."""
    if row.value is None:
        return "not reached"
    if row.spread is not None:
        return f"{row.value:.3f} ± {row.spread:.3f} {row.unit}"
    first, _, rest = row.unit.partition(" ")
    if first != "seconds":
        return f"{_number(row.value, 4)} {row.unit}".strip()
    if row.value < 1:
        return f"{_number(row.value / MILLI)} ms {rest}".strip()
    return f"{_number(row.value)} s {rest}".strip()


def _relative(row: Row) -> str:
    return "" if row.role == "polyadic" else _ratio(row.ratio)


def _ratio(ratio: float | None) -> str:
    """Two digits, and no decimals from 10 on; three digits near 1, where the third decides."""
    if ratio is None:
        return ""
    return f"{ratio:.3f}" if 0.9 <= ratio < 1.1 else f"{ratio:.2f}" if ratio < 2 else _number(ratio, 2)


def _number(value: float, digits: int = 3) -> str:
    """Some digits that count, with commas between thousands and never a power of ten for what is 0.0001 or more."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _optional(value: float | None, text: Callable[[float], str]) -> str:
    return "" if value is None else text(value)


def _anchor(title: str) -> str:
    """The anchor that GitHub and MyST give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


FIELDS: dict[str, Callable[[Row], str]] = {
    "value": lambda row: _optional(row.value, lambda value: _number(value, 4)),
    "quantity": _quantity,
    "spread": lambda row: _optional(row.spread, lambda spread: f"{spread:.3f}"),
    "ratio": lambda row: _ratio(row.ratio),
    "share": lambda row: _optional(row.ratio, lambda ratio: f"{1 / ratio:.2g}"),
    "percent": lambda row: _optional(row.ratio, lambda ratio: f"{100 * (1 - 1 / ratio):.1f}"),
}


if __name__ == "__main__":
    sys.exit(main())

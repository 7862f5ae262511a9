"""`python -m scripts.feedback ENDPOINT FILE`: give actuals, by inference id, to the requests that were captured."""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.lib
import pyarrow.parquet

from scripts.ab.actuals import write_files
from scripts.ab.documents import read_json
from scripts.ab.places import actuals_uri, bucket_and_prefix, capture_uri
from scripts.aws import UsageError, client, examples, main, nearest, resource_name, s3_uri, say, shared_arguments
from scripts.endpoint import describe

IDENTITY, ACTUAL = "inference_id", "actual"
SHOWN = 5
FIELD_CHARACTERS = 2**27
"""Of one field of CSV: a long forecast's actuals are a long list."""
REHEARSED = {"DataCaptureConfig": {"DestinationS3Uri": "s3://DestinationS3Uri-from-DescribeEndpoint"}}


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.feedback",
        description="Give actuals to captured requests. They may come late, in parts, and again: the last one counts.",
        parents=[shared_arguments()],
        **examples("feedback ab actuals.csv", "feedback ab sales.parquet --id request", "feedback ab actuals.jsonl"),
    )
    parser.add_argument("endpoint", type=resource_name, metavar="NAME")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="CSV, Parquet or JSON Lines: a column of ids, and of what was true"
    )
    parser.add_argument("--id", default=IDENTITY, metavar="COLUMN", help=f"the column of ids (default: {IDENTITY})")
    parser.add_argument("--to", type=s3_uri, metavar="S3URI", help="default: beside the endpoint's capture")
    return parser


def feedback(arguments: argparse.Namespace) -> int:
    """Read the whole file, and only where all of it is sound put it into S3."""
    rows = list(read_rows(arguments.file, arguments.id))
    uri = arguments.to or _beside_the_capture(arguments)
    bucket, prefix = bucket_and_prefix(uri)
    s3 = client("s3", arguments, {})
    for key, body in _files(rows, arguments.file):
        s3.put_object(Bucket=bucket, Key=f"{prefix}{key}", Body=body.decode() if arguments.dry_run else body)
    if not arguments.dry_run:
        again = len(rows) - len({name for name, _ in rows})
        more = f"; {again} of them say again what an earlier row says: the last one counts" if again else ""
        say(f"{len(rows)} actuals are in {uri}{more}")
    return 0


def _files(rows: list[tuple[str, Any]], path: Path) -> list[tuple[str, bytes]]:
    """What is to be put, all of it; a UsageError for values that JSON cannot hold."""
    try:
        return list(write_files(rows, datetime.now(UTC)))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} holds what JSON cannot ({error}); give numbers, texts, lists and objects of them"
        ) from error


def _beside_the_capture(arguments: argparse.Namespace) -> str:
    answers = {"describe_endpoint": {"EndpointName": arguments.endpoint, **REHEARSED}}
    description = describe(client("sagemaker", arguments, answers), arguments.endpoint)
    return actuals_uri(capture_uri(description), arguments.endpoint)


def read_rows(path: Path, identity: str) -> Iterator[tuple[str, Any]]:
    """The id and the content of each row: the value itself where `actual` is all there is, else all columns."""
    problems: list[str] = []
    count = 0
    for place, row in _raw_rows(path, identity):
        if identity not in row:
            raise UsageError(
                f"{path} has no column {identity!r} in {place}; {nearest(identity, map(str, row))}; or give --id"
            )
        name, content = row[identity], {key: value for key, value in row.items() if key != identity}
        if name is None or name == "":
            problems.append(f"{place} has no {identity}")
        elif not isinstance(name, str | int) or isinstance(name, bool):
            problems.append(f"{place} has the {identity} {str(name)[:40]!r}, which is neither text nor a whole number")
        elif not content:
            raise UsageError(f"{path} has no column beside {identity!r}; one of actuals is needed, such as {ACTUAL!r}")
        else:
            count += 1
            yield str(name), content[ACTUAL] if set(content) == {ACTUAL} else content
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UsageError(f"{path}: {', '.join(problems[:SHOWN])}{more}; nothing was given")
    if not count:
        raise UsageError(f"{path} holds no row; nothing was given")


def _raw_rows(path: Path, identity: str) -> Iterator[tuple[str, dict[str, Any]]]:
    readers = {".csv": _csv_rows, ".parquet": _parquet_rows, ".jsonl": _json_rows, ".json": _json_rows}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} ends with {path.suffix or 'nothing'!r}; {nearest(path.suffix, readers)}")
    try:
        yield from readers[path.suffix.lower()](path, identity)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, OverflowError, csv.Error, pyarrow.lib.ArrowException) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def _csv_rows(path: Path, identity: str) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(FIELD_CHARACTERS)
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        names = [name.strip() for name in next(reader, [])]
        _require_different(path, names)
        for row in reader:
            place = f"line {reader.line_num}"
            if row and len(row) != len(names):
                raise UsageError(f'{path}, {place} has not as many fields as the header; quote lists: "[1, 2]"')
            if row:
                fields = zip(names, row, strict=True)
                yield place, {name: text.strip() if name == identity else _value(text) for name, text in fields}


def _require_different(path: Path, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{path} has the column {twice[0]!r} twice; give each a name of its own")


def _value(text: str) -> Any:
    """A field of CSV: empty is unknown, a number, a list or an object of JSON is that, else it is text."""
    try:
        return read_json(text) if text.strip() else None
    except ValueError:
        return text


def _parquet_rows(path: Path, _: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with pyarrow.parquet.ParquetFile(path) as file:
        _require_different(path, file.schema_arrow.names)
        number = 0
        for batch in file.iter_batches(10_000):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


def _json_rows(path: Path, _: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = read_json(line)
            except ValueError as error:
                raise UsageError(f"{path}, line {number} is not JSON: {error}; one object a line is allowed") from error
            if not isinstance(row, dict):
                raise UsageError(f"{path}, line {number}: got {line.strip()[:40]!r}; allowed is an object a line")
            yield f"line {number}", row


if __name__ == "__main__":
    main(feedback, parser())

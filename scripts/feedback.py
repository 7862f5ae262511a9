"""`python -m scripts.feedback ENDPOINT FILE`: give actuals, by inference id, to the requests that were captured."""

import argparse
import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.lib
import pyarrow.parquet

from scripts.ab.actuals import write_files
from scripts.ab.places import actuals_uri, bucket_and_prefix, capture_uri
from scripts.aws import UsageError, client, examples, main, nearest, resource_name, s3_uri, say, shared_arguments
from scripts.endpoint import describe

IDENTITY, ACTUAL = "inference_id", "actual"
SHOWN = 5
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
    for key, body in write_files(rows, datetime.now(UTC)):
        s3.put_object(Bucket=bucket, Key=f"{prefix}{key}", Body=body.decode() if arguments.dry_run else body)
    if not arguments.dry_run:
        say(f"{len(rows)} actuals are in {uri}")
    return 0


def _beside_the_capture(arguments: argparse.Namespace) -> str:
    answers = {"describe_endpoint": {"EndpointName": arguments.endpoint, **REHEARSED}}
    description = describe(client("sagemaker", arguments, answers), arguments.endpoint)
    return actuals_uri(capture_uri(description), arguments.endpoint)


def read_rows(path: Path, identity: str) -> Iterator[tuple[str, Any]]:
    """The id and the content of each row: the value itself where `actual` is all there is, else all columns."""
    problems: list[str] = []
    count = 0
    for place, raw in _raw_rows(path):
        row = {
            key: _value(each) if key != identity and path.suffix.lower() == ".csv" else each
            for key, each in raw.items()
        }
        if identity not in row:
            raise UsageError(f"{path} has no column {identity!r}; {nearest(identity, map(str, row))}; or give --id")
        name, content = row[identity], {key: value for key, value in row.items() if key != identity}
        if name in (None, ""):
            problems.append(f"{place} has no {identity}")
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


def _raw_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    readers = {".csv": _csv_rows, ".parquet": _parquet_rows, ".jsonl": _json_rows, ".json": _json_rows}
    if path.suffix.lower() not in readers:
        raise UsageError(f"{path} ends with {path.suffix or 'nothing'!r}; {nearest(path.suffix, readers)}")
    try:
        yield from readers[path.suffix.lower()](path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error, pyarrow.lib.ArrowException) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restkey="", strict=True)
        for row in reader:
            place = f"line {reader.line_num}"
            if "" in row or None in row.values():
                raise UsageError(f'{path}, {place} has not as many fields as the header; quote lists: "[1, 2]"')
            yield place, {key.strip(): text for key, text in row.items()}


def _value(text: str) -> Any:
    """A field of CSV: empty is unknown, a number, a list or an object of JSON is that, else it is text."""
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        return text


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    file = pyarrow.parquet.ParquetFile(path)
    number = 0
    for batch in file.iter_batches(10_000):
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UsageError(f"{path}, line {number} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise UsageError(f"{path}, line {number}: got {line.strip()[:40]!r}; allowed is an object a line")
            yield f"line {number}", row


if __name__ == "__main__":
    main(feedback, parser())

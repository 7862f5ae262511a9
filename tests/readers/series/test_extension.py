"""A new format of series is one file: a forecaster's channel is read through it, with no edit elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.forecasting.likelihoods import LIKELIHOODS
from polyadic.forecasting.store import SeriesStore
from polyadic.jobs.channels import Channel
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from polyadic.readers.series.channel import read_train
from polyadic.readers.series.formats import SERIES_FORMATS, content_types, suffixes
from polyadic.training.checkpoint import NoCheckpoints
from tests.helpers.extensions import member_of
from tests.helpers.series_files import HOUR, json_lines_of, record_of

COLONS = '''"""Series in lines such as 2021-01-01 00:00:00; 1; 2.5; -: a start and values, with - where one lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from polyadic.forecasting.calendar import Frequency
from polyadic.formats import opened, parse_number
from polyadic.readers.series.formats import NamedSeries, SeriesFormat, read_named_series


def read(path: Path, frequency: Frequency) -> Iterator[NamedSeries]:
    return read_named_series(path.name, _records(path), frequency)


def _records(path: Path) -> Iterator[tuple[str, object]]:
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            start, *values = line.decode().strip().split("; ")
            yield f"line {number}", {"start": start, "target": [parse_number(value) for value in values]}


SERIES_FORMAT = SeriesFormat(name="colons", suffixes=(".colons",), content_types=("text/x-colons",), read=read)
'''


class Settings(Hyperparameters):
    """Of a job that has nothing to set."""


@pytest.fixture(autouse=True)
def colons(tmp_path: Path) -> Iterator[None]:
    with member_of("polyadic.readers.series.formats", "colons", COLONS, tmp_path / "newcomer"):
        yield


def read(folder: Path, files: dict[str, bytes]) -> SeriesStore:
    paths = tuple(folder / name for name in files)
    for path in paths:
        path.write_bytes(files[path.name])
    job = Job(
        algorithm="forecaster",
        hyperparameters=Settings(),
        world=World.alone(),
        channels={"train": Channel("train", folder, paths)},
        checkpoints=NoCheckpoints(),
    )
    return read_train(job, HOUR, LIKELIHOODS["gaussian"])


def test_it_is_found() -> None:
    assert "colons" in list(SERIES_FORMATS)
    assert ".colons" in suffixes() and "text/x-colons" in content_types()


def test_a_channel_is_read_through_it_beside_other_formats(tmp_path: Path) -> None:
    series = read(
        tmp_path,
        {
            "a.colons": b"2021-01-01 00:00:00; 1; 2.5; -; 4\n2021-01-02 05:00:00; 7\n",
            "b.json": json_lines_of([record_of()]),
        },
    )
    assert [len(each.target) for each in series] == [4, 1, 3]
    np.testing.assert_array_equal(series[0].target, np.array([1, 2.5, np.nan, 4], np.float32))
    assert series[1].minutes[0] - series[0].minutes[0] == 29 * 60


def test_what_is_wrong_in_it_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"channel train, a\.colons, line 2: start is 'soon': it must be a time stamp"):
        read(tmp_path, {"a.colons": b"2021-01-01 00:00:00; 1\nsoon; 7\n"})

"""A channel's files as documents: every format, packed or piped, shared between ranks; and what is refused."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from polyadic.algorithms import cp
from polyadic.distributed import World
from polyadic.errors import PlatformError, UserError
from polyadic.formats import Row, Rows, csv, docword, jsonlines, ldac, pack_rows, recordio
from polyadic.jobs import hyperparameters as hyper
from polyadic.jobs.channels import Channel, ChannelSpec
from polyadic.jobs.job import Job
from polyadic.jobs.schema import training_specification
from polyadic.readers import pipes
from polyadic.readers.corpus import CorpusRead, read_corpus
from polyadic.readers.corpus_files import content_types
from polyadic.readers.vocabulary import read_vocabulary
from polyadic.topics.corpus import Corpus
from polyadic.training.channels import open_channels
from polyadic.training.checkpoint import NoCheckpoints
from polyadic.training.environment import read_environment
from tests.helpers.opt_ml import OptMl
from tests.helpers.ranks import on_ranks

TERMS = 6
TABLE = [[0, 2, 0, 0, 1, 0], [5, 0, 0, 0, 0, 1], [0, 0, 12, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 3, 0, 7]]


def rows_of(table: Sequence[Sequence[float]], width: int = -1) -> Rows:
    found = [(np.flatnonzero(row), np.array(row, float)) for row in table]
    return pack_rows(Row(number, keys, row[keys], width) for number, (keys, row) in enumerate(found, 1))


def sparse_lines(table: Sequence[Sequence[float]]) -> bytes:
    features = [
        {"keys": keys.tolist(), "shape": [width], "values": values.tolist()}
        for keys, values, width in rows_of(table, TERMS).each()
    ]
    return jsonlines.encode([{"data": {"features": one}} for one in features])


FORMATS: dict[str, tuple[str, bytes]] = {
    "RecordIO": ("matrix_0.pbr", recordio.encode(rows_of(TABLE, TERMS))),
    "RecordIO without a shape": ("a.recordio", recordio.encode(rows_of(TABLE))),
    "CSV": ("a.csv", csv.encode(TABLE)),
    "dense JSON Lines": ("a.jsonl", jsonlines.encode([{"features": row} for row in TABLE])),
    "sparse JSON Lines": ("a.json", sparse_lines(TABLE)),
    "lda-c": ("a.dat", ldac.encode(rows_of(TABLE))),
    "docword": ("docword.nips.txt", docword.encode(rows_of(TABLE, TERMS))),
}
CONTENT_TYPES = {
    "RecordIO": "application/x-recordio-protobuf",
    "RecordIO without a shape": "application/x-recordio",
    "CSV": "text/csv; label_size=0",
    "dense JSON Lines": "application/jsonlines",
    "sparse JSON Lines": "Application/JSONLines",
    "lda-c": "text/x-ldac",
    "docword": "text/x-docword",
}
each = pytest.mark.parametrize("what", FORMATS)


class Settings(hyper.Hyperparameters):
    """Of an algorithm."""


def job_of(channels: Mapping[str, Channel], world: World) -> Job[Settings]:
    return Job(algorithm="lda", hyperparameters=Settings(), world=world, channels=channels, checkpoints=NoCheckpoints())


@dataclass(frozen=True)
class Case:
    """The files of each host (one for all where the channel is replicated), and how they are read."""

    hosts: tuple[Mapping[str, bytes], ...]
    divided: bool = False
    terms: int | None = TERMS
    content_type: str | None = None


def lay_out(folder: Path, case: Case) -> None:
    for number, files in enumerate(case.hosts):
        (folder / str(number)).mkdir(parents=True)
        for name, data in files.items():
            (folder / str(number) / name).write_bytes(data)


def read(folder: Path, case: Case, world: World) -> CorpusRead:
    host = world.rank // world.local_size if len(case.hosts) > 1 else 0
    files = tuple(sorted((folder / str(host)).iterdir()))
    channel = Channel("train", folder / str(host), files, case.divided, case.content_type)
    return read_corpus(job_of({"train": channel}, world), "train", case.terms)


def alone(folder: Path, files: Mapping[str, bytes], **options: Any) -> CorpusRead:
    case = Case((files,), **options)
    lay_out(folder, case)
    return read(folder, case, World.alone())


def table(found: Corpus, terms: int = TERMS) -> list[list[float]]:
    """Every count of a corpus, whose form is checked."""
    assert found.terms == terms and found.offsets.dtype == found.words.dtype == torch.int64
    assert found.counts.dtype == torch.float32 and (found.counts > 0).all()
    out = torch.zeros(len(found), terms)
    out[found.document, found.words] = found.counts
    rows = [found.words[begin:end] for begin, end in zip(found.offsets, found.offsets[1:], strict=False)]
    assert all((row.diff() > 0).all() for row in rows)
    return out.tolist()


@each
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_is_read(what: str, packed: bool, tmp_path: Path) -> None:
    name, data = FORMATS[what]
    files = {name + ".gz": gzip.compress(data)} if packed else {name.upper(): data}
    found = alone(tmp_path, files)
    assert table(found.corpus) == TABLE and found.warnings == []


@each
@pytest.mark.parametrize("packed", [False, True])
def test_a_content_type_says_what_names_do_not(what: str, packed: bool, tmp_path: Path) -> None:
    data = FORMATS[what][1]
    found = alone(tmp_path, {"part-0": gzip.compress(data) if packed else data}, content_type=CONTENT_TYPES[what])
    assert table(found.corpus) == TABLE


def test_the_content_type_of_a_job_reaches_the_reader(tmp_path: Path) -> None:
    laid_out = OptMl(tmp_path, {}).channel("train", {"a.txt": csv.encode(TABLE)}, ContentType="text/csv")
    channels = open_channels(read_environment(laid_out.environ), PIPES, "lda")
    found = read_corpus(job_of(channels, World.alone()), "train", TERMS)
    assert channels["train"].content_type == "text/csv" and table(found.corpus) == TABLE


def test_where_a_name_and_a_content_type_differ_the_name_holds_but_for_what_a_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = "application/x-recordio-protobuf"
    files = {"a.csv": csv.encode(TABLE[:2]), "b.dat": FORMATS["RecordIO"][1]}
    assert len(alone(tmp_path, files, content_type=stated).corpus) == 2 + len(TABLE)
    assert f"has the content type {stated!r}, and 1 file (a.csv) is named as files of another format" in (
        capsys.readouterr().err
    )


@each
def test_a_file_is_known_by_what_it_begins_with(what: str, tmp_path: Path) -> None:
    assert table(alone(tmp_path, {"part-0": FORMATS[what][1]}).corpus) == TABLE


@each
@pytest.mark.parametrize("terms", [None, TERMS])
def test_the_number_of_terms_may_be_left_out(what: str, terms: int | None, tmp_path: Path) -> None:
    name, data = FORMATS[what]
    assert table(alone(tmp_path, {name: data}, terms=terms).corpus) == TABLE


def test_several_files_are_one_corpus_in_the_order_of_their_names(tmp_path: Path) -> None:
    found = alone(tmp_path, {"b.dat": ldac.encode(rows_of(TABLE[2:])), "a.csv": csv.encode(TABLE[:2])})
    assert table(found.corpus) == TABLE


def test_terms_in_disorder_or_twice_are_put_in_order(tmp_path: Path) -> None:
    found = alone(tmp_path, {"a.dat": b"3 4:1 1:1 1:1\n1 0:2\n2 5:0 0:1\n"})
    assert table(found.corpus) == [TABLE[0], [2, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]


def test_what_is_unusual_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"a.dat": b"2 1:0.5 2:2\n0\n1 3:0\n", "picture.png": b"?", "readme": b"a text"}
    warnings = alone(tmp_path, files).warnings
    assert (
        "channel train: 2 files (picture.png, readme) are not read, being of no known format" in capsys.readouterr().err
    )
    assert warnings == [
        "channel train: 1 of 2 counts are not whole: they are taken as they are",
        "channel train: 2 of 3 documents are empty: they are kept, and say nothing of the topics",
    ]


def test_texts_are_told_that_their_words_are_to_be_counted(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no file that can be read \(found: a\.txt\): Documents are counts of words, not texts: docs/"
    ):
        alone(tmp_path, {"a.txt": b"the cat sat\non the mat\n"})


def test_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyadic.formats._whole_lines.BATCH_BYTES", 16)
    for number, (name, data) in enumerate(FORMATS.values()):
        assert table(alone(tmp_path / str(number), {name: data}).corpus) == TABLE


GOOD = recordio.encode(rows_of(TABLE, TERMS))
REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({}, "channel train holds no files: give one or more"),
    "nothing known": ({"a.tns": b"", "b": b"text"}, "(found: a.tns, b): "),
    "empty files": ({"a.csv": b"\n"}, "channel train holds no documents: its files are empty"),
    "a key beyond": ({"a.dat": b"1 0:1\n1 6:1\n"}, "a.dat, line 2: the key 6 is beyond the 6 terms of feature_dim"),
    "a key beyond all": ({"a.dat": b"1 99999999999999999999:1\n"}, "a.dat, line 1: the key 9223372036854775807 is"),
    "a key below": ({"a.dat": b"1 -1:1\n"}, "a.dat, line 1: the key -1 is no term: terms count from 0"),
    "a key beyond in a record": (
        {"a.pbr": recordio.encode(pack_rows([Row(1, [0], [1]), Row(2, [0, 9], [1, 1])]))},
        "a.pbr, record 2: the key 9 is beyond",
    ),
    "negative": ({"a.csv": b"0,0,0,0,0,0\n1,0,-2,0,0,0\n"}, "a.csv, line 2: the count of term 2, -2, is negative"),
    "NaN": ({"a.csv": b"nan,0,0,0,0,0\n"}, "a.csv, line 1: the count of term 0, nan, is not finite"),
    "infinite": ({"a.csv": b"0,inf,0,0,0,0\n"}, "a.csv, line 1: the count of term 1, inf, is not finite"),
    "too large": ({"a.csv": b"0,1e39,0,0,0,0\n"}, "a.csv, line 1: the count of term 1, 1e+39, is too large"),
    "a little too large": (
        {"a.csv": b"16777216,16777218,0,0,0,0\n"},
        "the count of term 1, 1.67772e+07, is too large: give how often the term occurs, 0 to 16,777,216",
    ),
    "NaN in a record": (
        {"a.pbr": recordio.encode(rows_of([[1], [np.nan]]))},
        "a.pbr, record 2: the count of term 0, nan, is not finite",
    ),
    "negative in docword": ({"docword.a.txt": b"2\n6\n1\n2 3 -1\n"}, "docword.a.txt, document 2: the count of term 2"),
    "a short row": ({"a.csv": b"1,1,1,1,1\n"}, "a.csv, line 1: it has 5 terms where feature_dim has 6"),
    "a long row": ({"a.jsonl": b'\n{"features": [1,1,1,1,1,1,1]}'}, "a.jsonl, line 2: it has 7 terms where feature_d"),
    "another shape": ({"a.pbr": recordio.encode(rows_of(TABLE, 7))}, "a.pbr, record 1: it has 7 terms where feature_"),
    "another docword": ({"docword.a.txt": b"1\n7\n0\n"}, "docword.a.txt, document 1: it has 7 terms where feature_dim"),
    "another magic": ({"a.pbr": GOOD + b"\0" + GOOD[1:]}, "a.pbr, record 6: it begins with 00 23 d7 ce"),
    "early gzip": ({"a.pbr.gz": gzip.compress(GOOD)[:-12]}, "a.pbr.gz is not a readable gzip file: Compressed file en"),
    "early gzip of text": ({"a.csv.gz": gzip.compress(csv.encode(TABLE))[:-9]}, "a.csv.gz is not a readable gzip fi"),
    "broken gzip": ({"a.dat.gz": b"\x1f\x8bnonsense"}, "a.dat.gz is not a readable gzip file"),
    "a record cut short": ({"a.rec": GOOD[:-3]}, "a.rec, record 5: the data ends early"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    files, message = REFUSED[what]
    with pytest.raises(UserError) as caught:
        alone(tmp_path, files)
    assert message in str(caught.value)


UNSTATED: dict[str, tuple[dict[str, bytes], str]] = {
    "rows that differ": ({"a.csv": b"1,2\n\n1,2,3\n"}, "a.csv, line 3: it has 3 terms where a.csv, line 1, has 2"),
    "a key beyond": (
        {"a.csv": b"1,2\n", "b.dat": b"1 7:1\n"},
        "b.dat, line 1: the key 7 is beyond the 2 terms of a.cs",
    ),
    "an earlier key beyond": ({"a.dat": b"0\n2 0:1 7:1\n", "b.csv": b"1,2\n"}, "a.dat, line 2: the key 7 is beyond"),
}


@pytest.mark.parametrize("what", sorted(UNSTATED))
def test_what_is_refused_where_the_number_of_terms_is_left_out(what: str, tmp_path: Path) -> None:
    files, message = UNSTATED[what]
    with pytest.raises(UserError) as caught:
        alone(tmp_path, files, terms=None)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content_type", "message"),
    [
        ("text/x-tns", "'text/x-tns', which holds no documents: give application/x-recordio-protobuf, "),
        ("text/csv;label_size=1", "'text/csv;label_size=1': documents have no labels, so leave label_size out"),
    ],
)
def test_content_types_that_hold_no_documents_are_refused(content_type: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        alone(tmp_path, {"a.csv": csv.encode(TABLE)}, content_type=content_type)
    assert f"channel train has the content type {message}" in str(caught.value)


def test_the_content_types_begin_with_sagemakers_own() -> None:
    assert content_types()[0] == "application/x-recordio-protobuf"
    assert {one.partition(";")[0].lower() for one in CONTENT_TYPES.values()} < set(content_types())


MANY = [[float(row == column % 7) + column for column in range(TERMS)] for row in range(11)]
HALVES = ({"a.csv": csv.encode(MANY[:4]), "b.dat": ldac.encode(rows_of(MANY[4:5]))}, {"c.csv": csv.encode(MANY[5:])})
SHARED = {
    **{f"{what}": Case(({name: data},)) for what, (name, data) in FORMATS.items()},
    "many": Case(({"a.csv": csv.encode(MANY)},)),
    "one document": Case(({"a.csv": csv.encode(MANY[:1])},)),
    "one document, its width unknown": Case(({"a.csv": csv.encode(MANY[:1])},), terms=None),
}
REFUSED_BY_ALL = {
    "a fault of one": (Case(({"a.dat": b"0\n1 1:1\n0\n1 9:1\n"},)), "a.dat, line 4: the key 9 is beyond"),
    "no documents": (Case(({"a.dat": b""},)), "channel train holds no documents"),
    "widths that differ": (Case(({"a.csv": b"1,2\n1,2,3\n"},), terms=None), "has 2 terms and a.csv, line 2, has 3"),
}
DIVIDED = {
    "halves": (Case(HALVES, divided=True), [4, 1]),
    "an empty share": (Case(({}, HALVES[1]), divided=True), [0, 6]),
    "the same on both": (Case((HALVES[0], HALVES[0])), [3, 2]),
    "on one host alone": (Case((HALVES[0], {})), [5, 0]),
}
DIFFERING = Case(HALVES)
ODD = Case(({"a.dat": b"0\n0\n1 1:0.5\n"},))


def read_all(world: World, folder: Path, cases: dict[str, Case]) -> dict[str, Any]:
    def answer(what: str, case: Case) -> Any:
        try:
            found = read(folder / what, case, world)
            return table(found.corpus), found.warnings
        except UserError as error:
            return str(error)

    return {what: answer(what, case) for what, case in cases.items()}


def answers_of(folder: Path, hosts: int, cases: dict[str, Case]) -> list[dict[str, Any]]:
    for what, case in cases.items():
        lay_out(folder / what, case)
    return on_ranks(2, read_all, folder, cases, hosts=hosts)


@pytest.mark.slow
def test_the_ranks_of_a_host_deal_documents_out(tmp_path: Path) -> None:
    cases = SHARED | {what: case for what, (case, _) in REFUSED_BY_ALL.items()} | {"odd": ODD}
    answers = answers_of(tmp_path, 1, cases)
    for what in SHARED:
        whole = MANY if what == "many" else MANY[:1] if "one document" in what else TABLE
        assert [one[what] for one in answers] == [(whole[::2], []), (whole[1::2], [])], what
    for what, (_, message) in REFUSED_BY_ALL.items():
        assert message in answers[0][what] and answers[0][what] == answers[1][what]
    said = [one["odd"][1] for one in answers]
    assert "2 of 3 documents are empty" in said[0][1] and said[0] == said[1]


@pytest.mark.slow
def test_hosts_read_what_they_hold(tmp_path: Path) -> None:
    answers = answers_of(tmp_path, 2, {what: case for what, (case, _) in DIVIDED.items()} | {"differing": DIFFERING})
    found = {what: [answer[what] for answer in answers] for what in DIVIDED}
    assert [one for one, _ in found["halves"]] == [MANY[:5], MANY[5:]]
    assert [one for one, _ in found["an empty share"]] == [[], MANY[5:]]
    assert [one for one, _ in found["the same on both"]] == [MANY[:5:2], MANY[1:5:2]]
    assert [one for one, _ in found["on one host alone"]] == [MANY[:5], []]
    assert "the hosts hold different files (a.csv, b.dat and c.csv)" in answers[0]["differing"]


PIPES = (
    ChannelSpec("train", "documents", content_types(), pipes=True),
    ChannelSpec("vocabulary", "terms", (), False, pipes=True),
)


class Fed:
    """A pipe that is fed as SageMaker feeds one, from the moment that it is made."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data = path, data
        self.thread = threading.Thread(target=self._feed, daemon=True)
        self.thread.start()

    def _feed(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(self.path)
        with contextlib.suppress(BrokenPipeError), self.path.open("wb", buffering=0) as file:
            for begin in range(0, len(self.data), 7):
                file.write(self.data[begin : begin + 7])


def piped_job(folder: Path, **config: str) -> Job[Any]:
    job = OptMl(folder, {})
    for name in ("train", "vocabulary"):
        job.channel(name, {}, TrainingInputMode="Pipe", **config)
    channels = open_channels(read_environment(job.environ), PIPES, "lda")
    return job_of(channels, World.alone())


@each
@pytest.mark.parametrize("packed", [False, True])
def test_a_pipe_is_read_as_it_comes(what: str, packed: bool, tmp_path: Path) -> None:
    data = FORMATS[what][1]
    job = piped_job(tmp_path, ContentType=CONTENT_TYPES[what])
    Fed(tmp_path / "input" / "data" / "train_0", gzip.compress(data) if packed else data)
    assert table(read_corpus(job, "train", TERMS).corpus) == TABLE


def test_a_pipe_of_records_needs_no_content_type(tmp_path: Path) -> None:
    job = piped_job(tmp_path)
    Fed(tmp_path / "input" / "data" / "train_0", GOOD)
    assert table(read_corpus(job, "train", TERMS).corpus) == TABLE


def test_a_pipe_of_anything_is_refused_with_what_to_say(tmp_path: Path) -> None:
    job = piped_job(tmp_path)
    Fed(tmp_path / "input" / "data" / "train_0", b"hello, world")
    with pytest.raises(UserError, match=r"train_0 begins with b'hello.*set the channel's content type to one of"):
        read_corpus(job, "train", TERMS)


def test_a_vocabulary_may_be_piped(tmp_path: Path) -> None:
    job = piped_job(tmp_path)
    Fed(tmp_path / "input" / "data" / "vocabulary_0", b"a\nb\n")
    assert read_vocabulary(job, 2) == ["a", "b"]


def test_a_pipe_that_never_comes_is_not_awaited_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "SECONDS_FOR_A_PIPE", 0.1)
    with pytest.raises(PlatformError, match=r"the pipe of channel train, .*train_0, is not there after 0\.1 s"):
        read_corpus(piped_job(tmp_path), "train", TERMS)


def read_pipes(world: World, folder: Path) -> list[list[list[float]]]:
    channels = {
        name: Channel(name, folder, (folder / f"{name}_0",), name == "divided", piped=True)
        for name in ("replicated", "divided")
    }
    job = job_of(channels, world)
    return [table(read_corpus(job, name, TERMS).corpus) for name in channels]


def test_one_rank_of_a_host_reads_a_pipe(tmp_path: Path) -> None:
    for name in ("replicated", "divided"):
        Fed(tmp_path / f"{name}_0", GOOD)
    assert on_ranks(2, read_pipes, tmp_path) == [[TABLE, TABLE], [[], []]]


def test_only_what_can_be_piped_is_said_to_be() -> None:
    piping = replace(cp.ALGORITHM, channels=PIPES)
    channels: Any = training_specification(piping)["TrainingSpecification"]["TrainingChannels"]
    assert channels[0]["SupportedInputModes"] == ["File", "FastFile", "Pipe"]


DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not (DATA / "nips-train_1.pbr").exists(), reason="nips-train_1.pbr is not in ../shared/data")
def test_amazons_own_file_is_a_corpus() -> None:
    channel = Channel("train", DATA, (DATA / "nips-train_1.pbr",))
    found = read_corpus(job_of({"train": channel}, World.alone()), "train", 12_419)
    assert (len(found.corpus), found.corpus.terms, found.corpus.counts.sum().item()) == (350, 12_419, 451_275)
    assert found.warnings == []

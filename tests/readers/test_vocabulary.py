"""The vocabulary of documents: one term per line, the same on every rank; and what is refused."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.jobs.channels import Channel
from polyadic.readers.vocabulary import read_vocabulary
from tests.helpers.ranks import on_ranks
from tests.readers.test_corpus import Case, job_of, lay_out


def vocabulary(folder: Path, files: Mapping[str, bytes], terms: int | None = 3) -> list[str] | None:
    lay_out(folder, Case((files,)))
    channel = Channel("vocabulary", folder / "0", tuple(sorted((folder / "0").iterdir())))
    return read_vocabulary(job_of({"vocabulary": channel}, World.alone()), terms)


@pytest.mark.parametrize("text", [b"one\ntwo\nthree", b"one\r\n two\r\nthree\r\n\n", b"\xef\xbb\xbfone\ntwo\nthree\n"])
@pytest.mark.parametrize("terms", [None, 3])
def test_a_vocabulary_has_one_term_per_line(text: bytes, terms: int | None, tmp_path: Path) -> None:
    assert vocabulary(tmp_path / "plain", {"vocab.txt": text}, terms) == ["one", "two", "three"]
    assert vocabulary(tmp_path / "packed", {"vocab.txt.gz": gzip.compress(text)}, terms) == ["one", "two", "three"]


def test_there_need_be_no_vocabulary() -> None:
    assert read_vocabulary(job_of({}, World.alone()), 3) is None


NO_VOCABULARY = {
    "another length": ({"v.txt": b"one\ntwo\n"}, "v.txt has 2 terms and the corpus has 3 (feature_dim)"),
    "no file": ({}, "channel vocabulary holds no file: give one text, with one term per line"),
    "two files": ({"a": b"x", "b": b"y"}, "channel vocabulary holds 2 files (a, b): give one text"),
    "an empty line": ({"v.txt": b"one\n\nthree\n"}, "v.txt, line 2 is empty: give one term per line"),
    "an empty file": ({"v.txt": b""}, "v.txt, line 1 is empty"),
    "other bytes": ({"v.txt": b"one\n\xff\nthree"}, "v.txt, line 2: 'utf-8' codec can't decode"),
    "early gzip": ({"v.txt.gz": gzip.compress(b"one\ntwo\nthree" * 9)[:-9]}, "v.txt.gz is not a readable gzip file"),
}


@pytest.mark.parametrize("what", sorted(NO_VOCABULARY))
def test_vocabularies_that_are_refused(what: str, tmp_path: Path) -> None:
    files, message = NO_VOCABULARY[what]
    with pytest.raises(UserError) as caught:
        vocabulary(tmp_path, files)
    assert message in str(caught.value)


def vocabularies(world: World, folder: Path) -> Any:
    files = tuple((folder / str(world.rank)).iterdir())
    channel = Channel("vocabulary", folder / str(world.rank), files, divided=True)
    return read_vocabulary(job_of({"vocabulary": channel}, world), 2)


def test_a_vocabulary_on_one_host_serves_all(tmp_path: Path) -> None:
    lay_out(tmp_path, Case(({}, {"v.txt": b"one\ntwo\n"})))
    assert on_ranks(2, vocabularies, tmp_path, hosts=2) == [["one", "two"]] * 2

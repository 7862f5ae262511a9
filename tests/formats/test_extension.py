"""A new format is one file: it keeps the contract, is served, and is read as a channel, with no edit elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from polyadic.distributed import World
from polyadic.formats import FORMATS, Form, Format, by_content_type, by_file_name
from polyadic.jobs.channels import Channel
from polyadic.jobs.hyperparameters import Hyperparameters
from polyadic.jobs.job import Job
from polyadic.readers import corpus_files, tensor
from polyadic.readers.corpus import read_corpus
from polyadic.readers.tensor import read_tensor
from polyadic.tensor.sparse import SparseTensor
from polyadic.training.checkpoint import NoCheckpoints
from tests.formats import test_contract as contract
from tests.helpers.extensions import member_of
from tests.helpers.small_models import PEOPLE, small_cp
from tests.serving.test_app import post, ready

BARS = '''"""text/x-bars: a table with one row per line and | between cells; as a file, counts or a sparse tensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from polyadic.errors import UserError
from polyadic.formats import Coordinates, Dealer, Examples, Form, Format, Row, Rows, pack_rows, parse_number


def decode(data: bytes) -> list[list[Any]]:
    try:
        lines = data.decode().split("\\n")
    except UnicodeDecodeError as error:
        raise UserError(f"broken bars: {error}") from None
    return [[_parse_cell(cell) for cell in line.split("|")] for line in lines if line]


def _parse_cell(text: str) -> Any:
    number = parse_number(text)
    return text if number is None else number


def encode(rows: list[list[Any]]) -> bytes:
    return "".join("|".join(map(str, row)) + "\\n" for row in rows).encode()


def read_rows(file: IO[bytes], name: str, dealer: Dealer) -> Iterator[Rows]:
    rows = decode(file.read())
    if any(isinstance(cell, str) for row in rows for cell in row):
        raise UserError(f"{name} holds text: give counts")
    yield pack_rows([Row(number, None, row) for number, row in enumerate(rows, 1)][dealer.mine(len(rows))])


def read_coordinates(path: Path, part: int, parts: int, labelled: frozenset[int] = frozenset()) -> Coordinates:
    *indices, values = np.array(decode(path.read_bytes())[part::parts], float).T
    return Coordinates(np.array(indices, np.int32), values, None, (None,) * len(indices))


def _examples() -> Examples:
    return Examples([[[1, 2.5, "a"], [-3, 0, ""]], [[1]]], [b"\\xff|1", b"1|\\xc3"])


FORMAT = Format(
    name="bars",
    suffixes=(".bars",),
    content_types=("text/x-bars",),
    form=Form.TABLE,
    decode=decode,
    encode=encode,
    examples=_examples,
    ends_lines=True,
    read_rows=read_rows,
    read_coordinates=read_coordinates,
    begins=lambda head: b"|" in head,
)
'''
NUMBERS = "2|1|0.5\n0|3|-1\n1|1|2\n"


class Settings(Hyperparameters):
    """Of a job that has nothing to set."""


@pytest.fixture
def bars(tmp_path: Path) -> Iterator[Format]:
    with member_of("polyadic.formats", "bars", BARS, tmp_path / "newcomer"):
        yield FORMATS["bars"]


def job_of(folder: Path, files: dict[str, str], content_type: str | None = None) -> Job[Settings]:
    paths = tuple(folder / name for name in files)
    for path in paths:
        path.write_text(files[path.name])
    return Job(
        algorithm="test",
        hyperparameters=Settings(),
        world=World.alone(),
        channels={"train": Channel("train", folder, paths, content_type=content_type)},
        checkpoints=NoCheckpoints(),
    )


def test_it_keeps_the_contract(bars: Format) -> None:
    assert "bars" in list(FORMATS) and bars.form is Form.TABLE
    contract.test_examples_come_back_and_broken_bytes_are_refused("bars")
    contract.test_no_bytes_whatever_raise_another_error(name="bars")
    contract.test_a_format_is_found_by_its_content_types("bars")
    contract.test_a_format_is_found_by_its_suffixes("bars")
    contract.test_what_a_file_can_be_is_declared_as_a_whole("bars")
    contract.test_no_two_formats_share_a_content_type_or_a_suffix()


@pytest.mark.usefixtures("bars")
def test_a_model_that_speaks_its_form_is_asked_and_answers_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model, dense = small_cp()
    client = ready(monkeypatch, model)
    answer = post(client, f"2|{PEOPLE[1]}|3\n0|{PEOPLE[0]}|0\n".encode(), "text/x-bars")
    assert (answer.status_code, answer.content_type.partition(";")[0]) == (200, "text/x-bars")
    expected = [dense[2, 1, 3].item(), dense[0, 0, 0].item()]
    np.testing.assert_allclose([float(line) for line in answer.text.splitlines()], expected, rtol=1e-12)
    answer = post(client, b'{"instances": [[2, 1, 3]]}', "application/json", "text/x-bars;q=0.9, image/png")
    assert float(answer.text) == pytest.approx(expected[0], rel=1e-12)
    answer = post(client, b"", "text/x-bars")
    assert (answer.status_code, "send a table, with one instance per row" in answer.text) == (400, True)
    assert "text/x-bars" in post(client, b"", "text/plain").text


@pytest.mark.usefixtures("bars")
@pytest.mark.parametrize(("batch", "answer"), [("true", b"6.0"), ("false", b"6.0\n")])
def test_a_transform_job_puts_its_lines_together(batch: str, answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(monkeypatch, Adder(), SAGEMAKER_BATCH=batch)
    assert post(client, b"1|2|3\n", "text/x-bars").data == answer


class Adder:
    """A model of tables that answers with the sum of a row."""

    def parse(self, instance: list[float], configuration: object) -> list[float]:
        return instance

    def predict(self, instances: list[list[float]]) -> list[dict[str, float]]:
        return [{"value": float(sum(instance))} for instance in instances]

    def from_table(self, table: list[list[float]]) -> list[list[float]]:
        return table

    def to_table(self, predictions: list[dict[str, float]]) -> list[list[float]]:
        return [[prediction["value"]] for prediction in predictions]


@pytest.mark.usefixtures("bars")
def test_its_files_are_tensors(tmp_path: Path) -> None:
    assert ".bars" in tensor.sparse_suffixes() and "text/x-bars" in tensor.tensor_channel("train").content_types
    data = read_tensor(job_of(tmp_path, {"a.bars": NUMBERS}), dtype=torch.float64).data
    assert isinstance(data, SparseTensor) and data.shape == (3, 4)
    assert data.to_dense().nonzero().tolist() == [[0, 3], [1, 1], [2, 1]]


@pytest.mark.usefixtures("bars")
@pytest.mark.parametrize(("name", "content_type"), [("a.bars", None), ("a", "text/x-bars"), ("a", None)])
def test_its_files_are_documents(name: str, content_type: str | None, tmp_path: Path) -> None:
    assert ".bars" in corpus_files.suffixes() and "text/x-bars" in corpus_files.content_types()
    corpus = read_corpus(job_of(tmp_path, {name: "0|2|1\n3|0|0\n"}, content_type), "train", 3).corpus
    assert (corpus.words.tolist(), corpus.counts.tolist()) == ([1, 2, 0], [2, 1, 3])


def test_it_is_gone_with_its_file(tmp_path: Path) -> None:
    with member_of("polyadic.formats", "bars", BARS, tmp_path):
        assert by_file_name("a.bars") is by_content_type("text/x-bars") is FORMATS["bars"]
    assert by_file_name("a.bars") is None and "bars" not in FORMATS


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (BARS.replace("FORMAT =", "FORMT ="), ImportError, r"polyadic\.formats\.bars declares FORMAT = None"),
        (BARS.replace("decode=decode", "decoder=decode"), TypeError, "unexpected keyword argument 'decoder'"),
        (BARS.replace("    encode=encode,\n", ""), TypeError, "missing 1 required keyword-only argument: 'encode'"),
        (BARS.replace('name="bars"', 'name="bar"'), ImportError, "declares the name 'bar': it must be the module's"),
    ],
)
def test_what_is_declared_wrongly_is_an_error_at_import(
    text: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with member_of("polyadic.formats", "bars", text, tmp_path), pytest.raises(error, match=message):
        list(FORMATS)

"""The report of a decomposition: its files, its page, its pictures, and what its numbers are."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from polyadic.distributed import World
from polyadic.jobs.job import Job, Reporting
from polyadic.lowrank.model import DecompositionModel, numbered
from polyadic.reports import decomposition as report
from polyadic.reports import decomposition_figures as figures
from polyadic.reports.spectrum import bond_singular_values, spectra
from polyadic.training import job as training
from polyadic.training.checkpoint import NoCheckpoints
from tests.helpers.small_models import build_cp, small_cp

ROOT = Path(__file__).parents[2]
VOID = {"meta", "img"}


class Page(HTMLParser):
    """The text of each element, every one of them closed in its turn; pictures and references apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []
        self.pictures: dict[str, bytes] = {}
        self.references: list[str] = []
        self.seen: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.seen.append(tag)
        self.references += [str(given[name]) for name in ("src", "href") if name in given]
        if tag == "img":
            assert given["alt"]
            kind, _, data = str(given["src"]).partition(",")
            assert kind == "data:image/png;base64"
            self.pictures[str(given["alt"])] = base64.b64decode(data, validate=True)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("th", "td", "title"):
            self.cells.append(data)


def stand_in(shape: Sequence[int]) -> Any:
    """A builder of a tensor that knows its shape, for models that are only drawn."""
    return lambda tensors, error: SimpleNamespace(shape=tuple(shape))


def cp_model(shape: Sequence[int], rank: int, **more: Any) -> DecompositionModel:
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, rank, generator=random) for rows in shape]
    tensors = {"weights": torch.rand(rank, generator=random), **numbered("factor", factors)}
    return DecompositionModel("cp", tensors, stand_in(shape), 0.25, {"rank": rank}, **more)


def train_model(shape: Sequence[int], rank: int) -> DecompositionModel:
    ranks = [1, *[rank] * (len(shape) - 1), 1]
    random = torch.Generator().manual_seed(0)
    cores = [torch.randn(ranks[n], rows, ranks[n + 1], generator=random) for n, rows in enumerate(shape)]
    return DecompositionModel("tensor-train", numbered("core", cores), stand_in(shape), 0.25, {"max_rank": rank})


def tucker_model(shape: Sequence[int], ranks: Sequence[int]) -> DecompositionModel:
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, rank, generator=random) for rows, rank in zip(shape, ranks, strict=True)]
    tensors = {"core": torch.randn(*ranks, generator=random), **numbered("factor", factors)}
    return DecompositionModel("tucker", tensors, stand_in(shape), 0.25, {"ranks": list(ranks)})


def sizes(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            found[path.name] = image.size
    return found


def test_every_tensor_and_picture_and_one_page_are_written(tmp_path: Path) -> None:
    model = small_cp(history=[0.5, 0.3, 0.29], seconds=1.5, metrics={"train:core_consistency": 97.25})[0]
    model.report(tmp_path / "data")
    names = {path.name for path in (tmp_path / "data").iterdir()}
    arrays = {"weights.npy", "factor_0.npy", "factor_1.npy", "factor_2.npy"}
    pictures = {"fit.png", "spectrum.png", "factors_0.png", "factors_1.png", "factors_2.png"}
    assert names == arrays | pictures | {"report.html"}
    for name in arrays:
        np.testing.assert_array_equal(np.load(tmp_path / "data" / name), model.tensors[name[:-4]].numpy())
    page = Page((tmp_path / "data" / "report.html").read_text())
    assert sorted(page.pictures.values()) == sorted((tmp_path / "data" / name).read_bytes() for name in pictures)
    for picture in page.pictures.values():
        image = Image.open(io.BytesIO(picture))
        assert image.width == 1200 and len(image.convert("RGB").getcolors(2**24) or []) > 10


def test_the_page_stands_alone_and_states_the_facts(tmp_path: Path) -> None:
    model = small_cp(history=[0.5, 0.3, 0.29], seconds=1.5, metrics={"train:core_consistency": 97.25})[0]
    model.report(tmp_path)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.seen[:3] == ["html", "head", "meta"] and page.seen.count("title") == 1
    assert all(one.startswith("data:") for one in page.references)
    assert not re.search(r"https?://|<script|@import|url\(", text)
    facts = dict(zip(page.cells[1::2], page.cells[2::2], strict=True))
    assert page.cells[0] == "cp of a 6 x 5 x 4 tensor"
    expected = {
        "algorithm": "cp",
        "shape": "6 x 5 x 4",
        "ranks": "3",
        "relative error": f"{model.relative_error:.6g}",
        "numbers": "48 for 120 entries, 1 for 2.5",
        "sweeps": "3",
        "seconds": "1.5",
        "train:core_consistency": "97.25",
        "rank": "3",
        "weights.npy": "3, float64",
        "factor_1.npy": "5 x 3, float64",
    }
    assert {name: facts.get(name) for name in expected} == expected


def test_what_the_user_named_is_text_in_the_page() -> None:
    model = DecompositionModel("cp", cp_model((3, 3), 1).tensors, build_cp, 0.1, {"init": "<b>&\"'"})
    assert "<b>" not in report.page(model, {})
    assert "&lt;b&gt;&amp;" in report.page(model, {})


@pytest.mark.parametrize(
    ("shape", "rank"),
    [
        ((3, 4), 1),
        ((3, 4), 7),
        ((3, 4), 250),
        ((1, 41, 2), 1),
        ((1, 41, 2), 6),
        ((1, 41, 2), 40),
        ((2, 3, 4, 5, 6, 7, 8, 9), 1),
        ((2, 3, 4, 5, 6, 7, 8, 9), 30),
    ],
)
def test_any_rank_and_any_order_is_drawn(shape: tuple[int, ...], rank: int, tmp_path: Path) -> None:
    model = cp_model(shape, rank, history=[0.9, 0.001])
    model.report(tmp_path)
    assert sizes(tmp_path).keys() == {"fit.png", "spectrum.png", *(f"factors_{n}.png" for n in range(len(shape)))}
    assert all(width == 1200 and 250 < height < 1800 for width, height in sizes(tmp_path).values())
    assert report.facts(model)["ranks"] == str(rank)


@pytest.mark.parametrize(
    ("model", "ranks"),
    [
        (train_model((4, 50, 3), 2), "2, 2"),
        (train_model((3, 3, 3, 3, 3, 3, 3, 3), 12), "12, 12, 12, 12, 12, 12, 12"),
        (train_model((5, 6), 1), "1"),
        (tucker_model((9, 50, 3), (3, 9, 1)), "3 x 9 x 1"),
        (tucker_model((9, 8), (2, 2)), "2 x 2"),
        (tucker_model((3, 3, 3, 3, 3, 3, 3, 3), (2, 2, 2, 2, 2, 2, 2, 2)), "2 x 2 x 2 x 2 x 2 x 2 x 2 x 2"),
    ],
)
def test_trains_and_tucker_tensors_are_drawn(model: DecompositionModel, ranks: str, tmp_path: Path) -> None:
    model.report(tmp_path)
    order = len(model.modes)
    assert sizes(tmp_path).keys() == {"spectrum.png", *(f"factors_{n}.png" for n in range(order))}
    assert report.facts(model)["ranks"] == ranks
    assert "sweeps" not in report.facts(model) and "seconds" not in report.facts(model)


@pytest.mark.parametrize("rank", [1, 9])
def test_zeros_are_drawn(rank: int, tmp_path: Path) -> None:
    models = [cp_model((3, 60), rank, history=[1.0]), tucker_model((3, 60), (2, rank)), train_model((3, 60), rank)]
    for number, model in enumerate(models):
        zeros = {name: torch.zeros_like(tensor) for name, tensor in model.tensors.items()}
        DecompositionModel(model.name, zeros, model.build, 1.0, {}, history=model.history).report(
            tmp_path / str(number)
        )
        assert (tmp_path / str(number) / "report.html").exists()


def test_labels_of_any_kind_are_drawn(tmp_path: Path) -> None:
    labels = ("$5", "x_{", "漢字", "a\nb\x00", "", "word " * 20, "<b>")
    model = cp_model((7, 41), 2, labels=(labels, tuple(map(str, range(41)))))
    model.report(tmp_path)
    unnamed = cp_model((7, 41), 2)
    assert report.draw(unnamed)["factors_0.png"] != report.draw(model)["factors_0.png"]
    assert report.draw(unnamed)["factors_1.png"] == report.draw(model)["factors_1.png"], "41 labels have no room"


def test_a_huge_factor_is_drawn_by_a_sample_of_its_rows(tmp_path: Path) -> None:
    rows = 10_000_000
    narrow = torch.arange(rows, dtype=torch.float32)[:, None]
    tensors = {"weights": torch.ones(1), "factor_0": narrow, "factor_1": torch.ones(2, 1)}
    model = DecompositionModel("cp", tensors, stand_in((rows, 2)), 0.1, {})
    assert len(report.draw(model)["factors_0.png"][1]) < 200_000
    places = figures.sample(rows)
    assert len(places) == figures.ROWS_DRAWN and places[0] == 0 and places[-1] == rows - 1
    assert (np.diff(places) > 0).all()
    assert figures.sample(3).tolist() == [0, 1, 2] and figures.sample(1).tolist() == [0]


def test_the_weights_are_shown_by_size_with_their_numbers() -> None:
    (shown,) = spectra({"weights": torch.tensor([1.0, -3.0, 2.0]), "factor_0": torch.ones(1, 3)})
    assert shown.curves["weight"].tolist() == [3, 2, 1]
    assert shown.ticks == ("1", "2", "0")
    assert shown.title == "Weights of 3 components: 3 down to 1"


def test_the_core_s_energy_is_that_of_the_unfoldings() -> None:
    factors = [torch.linalg.qr(torch.randn(rows, rank))[0] for rows, rank in ((6, 3), (5, 2), (4, 3))]
    dense = torch.randn(6, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bases = [torch.linalg.svd(dense.movedim(n, 0).flatten(1), full_matrices=False)[0] for n in range(3)]
    core = torch.einsum("ijk,ia,jb,kc->abc", dense, *bases)
    (shown,) = spectra({"core": core, **numbered("factor", factors)})
    for mode in range(3):
        squares = torch.linalg.svdvals(dense.movedim(mode, 0).flatten(1)).square()
        np.testing.assert_allclose(shown.curves[f"mode {mode}"], (squares / squares.sum()).numpy(), rtol=1e-9)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5), (2, 3, 2, 3, 2)])
def test_bond_singular_values_are_those_of_the_dense_unfoldings(shape: tuple[int, ...]) -> None:
    cores: list[Tensor] = list(train_model(shape, 2).tensors.values())
    dense = cores[0].double()
    for core in cores[1:]:
        dense = torch.tensordot(dense, core.double(), 1)
    dense = dense.reshape(shape)
    found = bond_singular_values(cores)
    assert len(found) == len(shape) - 1
    for bond, values in enumerate(found, 1):
        expected = torch.linalg.svdvals(dense.flatten(0, bond - 1).flatten(1))[: len(values)]
        np.testing.assert_allclose(values, expected.numpy(), rtol=1e-9, atol=1e-12)
    (ranks, _) = spectra(numbered("core", cores))
    assert ranks.curves["rank"].tolist() == [2.0] * (len(shape) - 1)


def test_serving_does_not_read_matplotlib() -> None:
    code = "import sys, polyadic.reports.decomposition; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_leaves_no_state_behind(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import matplotlib; before = matplotlib.rcParams.copy()\n"
        "from pathlib import Path; from small_models import small_cp\n"
        "small_cp(history=[0.5])[0].report(Path(sys.argv[1]))\n"
        "sys.exit(before != matplotlib.rcParams.copy() or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, cwd=ROOT).returncode == 0


def job(output: Path | None) -> Job[Any]:
    return Job(None, World.alone(), {}, NoCheckpoints(), output=output)  # type: ignore[type-var]


def test_a_fault_in_the_report_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = cp_model((3, 4), 2)
    broken = DecompositionModel("cp", {**model.tensors, "weights": torch.ones(5)}, model.build, 0.1, {})
    training.write_report(broken, job(tmp_path / "data"))
    said = capsys.readouterr().err
    assert said.startswith(f"warning: the report in {tmp_path / 'data'} is incomplete: ") and said.count("\n") == 1
    assert (tmp_path / "data" / "factor_0.npy").exists() and not (tmp_path / "data" / "report.html").exists()


def test_without_a_place_or_without_a_model_that_reports_nothing_is_written(tmp_path: Path) -> None:
    training.write_report(cp_model((3, 4), 2), job(None))
    training.write_report(SimpleNamespace(), job(tmp_path / "data"))  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()
    assert isinstance(cp_model((3, 4), 2), Reporting)

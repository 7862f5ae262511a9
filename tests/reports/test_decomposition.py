"""The report of a decomposition: its files, its page, and that a model of any kind, rank and order has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from polyadic.lowrank.model import DecompositionModel
from polyadic.reports import decomposition as report
from polyadic.tensor.numbered_names import numbered
from tests.helpers.pages import Page, colours_of, size_of
from tests.helpers.small_models import small_cp


def drawn_model(
    algorithm: str, tensors: dict[str, torch.Tensor], shape: Sequence[int], **more: Any
) -> DecompositionModel:
    """A model that is only drawn: its tensor knows its shape and nothing else."""
    settings: dict[str, Any] = {"relative_error": 0.25, "hyperparameters": {}, **more}
    tensor: Any = SimpleNamespace(shape=tuple(shape))
    return DecompositionModel(algorithm=algorithm, tensors=tensors, build=lambda tensors, error: tensor, **settings)


def cp_model(shape: Sequence[int], rank: int, **more: Any) -> DecompositionModel:
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, rank, generator=random) for rows in shape]
    tensors = {"weights": torch.rand(rank, generator=random), **numbered("factor", factors)}
    return drawn_model("cp", tensors, shape, **more)


def train_model(shape: Sequence[int], rank: int) -> DecompositionModel:
    ranks = [1, *[rank] * (len(shape) - 1), 1]
    random = torch.Generator().manual_seed(0)
    cores = [torch.randn(ranks[n], rows, ranks[n + 1], generator=random) for n, rows in enumerate(shape)]
    return drawn_model("tensor-train", numbered("core", cores), shape)


def tucker_model(shape: Sequence[int], ranks: Sequence[int]) -> DecompositionModel:
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(rows, rank, generator=random) for rows, rank in zip(shape, ranks, strict=True)]
    tensors = {"core": torch.randn(*ranks, generator=random), **numbered("factor", factors)}
    return drawn_model("tucker", tensors, shape)


def fitted_cp() -> DecompositionModel:
    return small_cp(history=[0.5, 0.3, 0.29], seconds=1.5, metrics={"train:core_consistency": 97.25})[0]


def test_every_tensor_and_picture_and_one_page_are_written(tmp_path: Path) -> None:
    model, folder = fitted_cp(), tmp_path / "data"
    report.write_report(folder, model)
    arrays = {"weights.npy", "factor_0.npy", "factor_1.npy", "factor_2.npy"}
    pictures = {"fit.png", "spectrum.png", "factors_0.png", "factors_1.png", "factors_2.png"}
    assert {path.name for path in folder.iterdir()} == arrays | pictures | {"report.html", "labels_1.txt"}
    assert (folder / "labels_1.txt").read_text().splitlines() == list(model.labels[1] or ())
    for name in arrays:
        np.testing.assert_array_equal(np.load(folder / name), model.tensors[name.removesuffix(".npy")].numpy())
    page = Page((folder / "report.html").read_text())
    assert sorted(page.pictures.values()) == sorted((folder / name).read_bytes() for name in pictures)
    for picture in page.pictures.values():
        assert size_of(picture)[0] == 1200 and colours_of(picture) > 10


def test_the_page_stands_alone_and_states_what_was_measured(tmp_path: Path) -> None:
    model = fitted_cp()
    report.write_report(tmp_path, model)
    page = Page((tmp_path / "report.html").read_text())
    assert page.stands_alone
    assert page.cells[0] == "cp of a 6 x 5 x 4 tensor"
    stated = dict(zip(page.cells[1::2], page.cells[2::2], strict=True))
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
        "factor_0.npy": "6 x 3, float64",
        "factor_1.npy": "5 x 3, float64",
        "factor_2.npy": "4 x 3, float64",
        "labels_1.txt": "the labels of mode 1, in the order of its rows",
    }
    assert stated == expected


def test_a_hyperparameter_is_text_in_the_page() -> None:
    page = Page(report.page(cp_model((3, 3), 1, hyperparameters={"init": "<b>&\"'"}), {}))
    assert "b" not in page.elements and "<b>&\"'" in page.cells


@pytest.mark.parametrize(
    ("shape", "rank"),
    [
        ((3, 4), 1),
        ((3, 4), 250),
        ((1, 41, 2), 6),
        ((2, 3, 4, 5, 6), 30),
    ],
)
def test_any_rank_and_any_order_is_drawn(shape: tuple[int, ...], rank: int) -> None:
    model = cp_model(shape, rank, history=[0.9, 0.001])
    pictures = report.draw(model)
    assert list(pictures) == ["fit.png", "spectrum.png", *(f"factors_{mode}.png" for mode in range(len(shape)))]
    for picture in pictures.values():
        width, height = size_of(picture.png)
        assert width == 1200 and 250 < height < 1800 and colours_of(picture.png) > 10
    assert report.summarise(model)["ranks"] == str(rank)


@pytest.mark.parametrize(
    ("model", "ranks"),
    [
        (train_model((4, 50, 3), 2), "2, 2"),
        (train_model((3, 3, 3, 3, 3), 12), "12, 12, 12, 12"),
        (train_model((5, 6), 1), "1"),
        (tucker_model((9, 50, 3), (3, 9, 1)), "3 x 9 x 1"),
        (tucker_model((9, 8), (2, 2)), "2 x 2"),
        (tucker_model((3, 3, 3, 3, 3), (2, 2, 2, 2, 2)), "2 x 2 x 2 x 2 x 2"),
    ],
)
def test_trains_and_tucker_tensors_are_drawn(model: DecompositionModel, ranks: str) -> None:
    pictures = report.draw(model)
    assert list(pictures) == ["spectrum.png", *(f"factors_{mode}.png" for mode in range(len(model.modes)))]
    assert all(colours_of(picture.png) > 10 for picture in pictures.values())
    summary = report.summarise(model)
    assert summary["ranks"] == ranks and "sweeps" not in summary and "seconds" not in summary


def curves_of(figure: Figure) -> list[Any]:
    """The curves of a factor's bands, without the lines at their zeros."""
    lines = [np.asarray(line.get_ydata()) for line in figure.axes[0].lines]
    return [line for line in lines if len(line) > 2]


def test_the_columns_of_a_cp_factor_are_drawn_from_the_strongest_component_on(drawn: list[Figure]) -> None:
    model = cp_model((3, 60), 3)
    weights = torch.tensor([0.5, -2.0, 1.0])
    report.draw(replace(model, tensors={**model.tensors, "weights": weights}))
    figure = drawn[2]
    names = ["component 1, weight -2", "component 2, weight 1", "component 0, weight 0.5"]
    assert [text.get_text() for text in figure.axes[0].texts] == names
    curves = curves_of(figure)
    for curve, component in zip(curves, (1, 2, 0), strict=True):
        column = model.tensors["factor_1"][:, component].numpy()
        np.testing.assert_allclose(curve - curve[0], column - column[0], atol=1e-6)
    assert figure.get_suptitle() == "Mode 1: 60 rows, 3 components, strongest first"


def test_a_core_of_a_train_is_drawn_by_its_pairs_of_bond_indices(drawn: list[Figure]) -> None:
    model = train_model((3, 60, 4), 2)
    report.draw(model)
    figure = drawn[2]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0, 0", "0, 1", "1, 0", "1, 1"]
    curve, column = curves_of(figure)[2], model.tensors["core_1"][1, :, 0].numpy()
    np.testing.assert_allclose(curve - curve[0], column - column[0], atol=1e-6)
    assert figure.get_suptitle() == "Mode 1: 60 rows, 4 pairs of bond indices"


def test_of_many_columns_the_first_hundred_are_drawn(drawn: list[Figure]) -> None:
    report.draw(cp_model((1, 60), 250))
    titles = [figure.get_suptitle() for figure in drawn[1:]]
    assert titles == [
        f"Mode {n}: {rows}, 100 of 250 components, strongest first" for n, rows in enumerate(("1 row", "60 rows"))
    ]
    image = drawn[2].axes[0].images[0].get_array()
    assert image is not None and image.shape == (100, 60)


@pytest.mark.parametrize("rank", [1, 9])
@pytest.mark.parametrize("kind", ["cp", "tucker", "train"])
def test_a_model_of_zeros_has_a_whole_report(kind: str, rank: int, tmp_path: Path, drawn: list[Figure]) -> None:
    shape = (3, 60)
    models = {"cp": cp_model(shape, rank), "tucker": tucker_model(shape, (2, rank)), "train": train_model(shape, rank)}
    model = models[kind]
    zeros = {name: torch.zeros_like(tensor) for name, tensor in model.tensors.items()}
    report.write_report(tmp_path, replace(model, tensors=zeros, relative_error=1.0, history=[1.0]))
    page = Page((tmp_path / "report.html").read_text())
    assert len(page.pictures) == len(drawn) == 4
    assert page.cells[page.cells.index("relative error") + 1] == "1"
    last_mode = drawn[3].axes[0]
    if rank == 1:
        assert not np.asarray(last_mode.lines[-1].get_ydata()).any()
    else:
        loadings = last_mode.images[0].get_array()
        assert loadings is not None and loadings.shape == (9, 60) and not loadings.any()


def test_labels_in_a_script_that_the_font_lacks_are_drawn(drawn: list[Figure]) -> None:
    report.draw(cp_model((2, 41), 2, labels=(("漢字", "$5"), tuple(map(str, range(41))))))
    names = [[label.get_text() for label in figure.axes[-1].get_xticklabels()] for figure in drawn[1:]]
    assert names[0] == ["漢字", "$5"]
    assert drawn[2].axes[-1].get_xlabel() == "row", "41 labels have no room"


def test_a_huge_factor_is_drawn_by_a_sample_of_its_rows(drawn: list[Figure]) -> None:
    rows = 10_000_000
    column = torch.arange(rows, dtype=torch.float32)[:, None]
    tensors = {"weights": torch.ones(1), "factor_0": column, "factor_1": torch.ones(2, 1)}
    pictures = report.draw(drawn_model("cp", tensors, (rows, 2)))
    assert len(pictures["factors_0.png"].png) < 200_000
    line = drawn[1].axes[0].lines[-1]
    np.testing.assert_array_equal(line.get_ydata(), np.asarray(line.get_xdata(), dtype=np.float32))
    assert len(np.asarray(line.get_xdata())) == 2000


def test_a_fault_in_a_picture_leaves_the_tensors(tmp_path: Path) -> None:
    model = cp_model((3, 4), 2)
    with pytest.raises(IndexError):
        report.write_report(tmp_path, replace(model, tensors={**model.tensors, "weights": torch.ones(5)}))
    assert {path.name for path in tmp_path.iterdir()} == {"weights.npy", "factor_0.npy", "factor_1.npy"}

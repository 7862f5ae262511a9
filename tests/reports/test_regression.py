"""The report of a regression: its files, its page, and that a model of any kind of modality has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from polyadic.reports import regression
from polyadic.reports import regression_figures as figures
from polyadic.reports.regression import Component, RegressionReport, draw, page, write_report
from polyadic.reports.regression_figures import View
from tests.helpers.samples import npz_bytes, pictures_and_questions, planted, table
from tests.helpers.tiny_jobs import job, lines

PNG = b"\x89PNG"
PICTURE = View("picture", np.arange(-6.0, 6.0).reshape(3, 4))
CURVE = View("sensor", np.sin(np.arange(30.0)))
WORDS = View("question", np.array([0.5, -2.0, 0.0, 1.0]), ("red", "a $b$", "is", "語"))
CONFUSION = np.array([[8, 2], [0, 5]])
CALIBRATION = np.array([[0, 0, 0], [10, 0.2, 0.3], [5, 0.9, 1.0]])


def report(**changes: Any) -> RegressionReport:
    given: dict[str, Any] = {
        "name": "tensor-regression",
        "hyperparameters": {"rank": 2},
        "step": "sweep",
        "history": [(0.5, None), (0.2, None)],
        "tested": {
            "train": regression.Tested({"objective_loss": 0.2}),
            "test": regression.Tested({"r2": 0.5}, pairs=np.ones((4, 2))),
        },
    }
    return RegressionReport(**given | changes)


def test_the_words_that_count_most_come_with_their_signs() -> None:
    assert WORDS.top_words(1) == [(1.0, "語"), (-2.0, "a $b$")]
    assert WORDS.top_words(9) == [(1.0, "語"), (0.5, "red"), (-2.0, "a $b$")]


def test_a_component_says_which_classes_it_speaks_for() -> None:
    assert figures.weighed([1.25], ()) == "weight 1.25"
    assert figures.weighed([0.1, -3.0, 2.0], ("a", "b", "c")) == "b -3, c +2"


def test_every_picture_is_drawn_of_what_there_is(tmp_path: Path) -> None:
    components = [Component([1.5, -0.5], [PICTURE, CURVE, WORDS]), Component([0.5, 0.1], [PICTURE, WORDS])]
    tested = {"test": regression.Tested({"multiclass_accuracy": 0.9}, CONFUSION, CALIBRATION)}
    write_report(tmp_path, report(components=components, classes=["no", "yes"], tested=tested))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "report.html", "evaluation.json", "components.json", "components.png", "confusion.png", "calibration.png",
        "loss.png",
    }  # fmt: skip
    assert all(path.read_bytes().startswith(PNG) for path in tmp_path.glob("*.png"))
    told = orjson.loads((tmp_path / "components.json").read_bytes())
    assert told[0]["looks_at"]["question"] == {"語": 1.0, "red": 0.5, "a $b$": -2.0}
    assert told[0]["looks_at"]["picture"] == PICTURE.values.tolist()
    measured = orjson.loads((tmp_path / "evaluation.json").read_bytes())["test"]
    assert measured["confusion"] == CONFUSION.tolist()
    assert measured["calibration"][1] == {"count": 10, "probability": 0.2, "came_true": 0.3}


def test_numbers_have_labels_and_no_confusion() -> None:
    assert set(draw(report())) == {"labels.png", "loss.png"}
    assert set(draw(report(history=[(float("nan"), None)]))) == {"labels.png"}


def test_the_page_names_intervals_and_escapes_names() -> None:
    shown = report(coefficients=[("[0, 1]", 2.0, 1.5, 2.5)], hyperparameters={"encoders": "<b>"})
    told = page(shown, draw(shown))
    assert "1.5 to 2.5" in told and "&lt;b&gt;" in told and "<b>" not in told
    assert "objective_loss" in told and "nan" in told


def reported(algorithm: Any, folder: Path, model: Any) -> None:
    algorithm.report(folder, model)


def texts() -> dict[str, bytes]:
    words = ["good film", "bad film", "a good day", "a bad day", "$x$ good", "bad, bad"]
    return {"a.jsonl": lines([{"text": text, "label": "good" in text} for text in words * 5])}


def several() -> dict[str, bytes]:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(60, 4)), random.normal(size=(60, 3))
    return {"a.npz": npz_bytes(a=a, b=b, label=(a[:, 0] * b[:, 0] > 0).astype(int) + 2 * (b[:, 1] > 0))}


CASES: dict[str, tuple[dict[str, str], dict[str, bytes], list[str]]] = {
    "a tensor": (
        {"predictor_type": "regressor"}, {"a.jsonl": table(*planted(40))}, ["features, mode 0", "features, mode 1"],
    ),
    "a vector": ({"predictor_type": "regressor"}, {"a.jsonl": table(*planted(40, shape=(6,)))}, ["features"]),
    "counts": (
        {"predictor_type": "regressor", "loss": "poisson"},
        {"a.jsonl": table(planted(40)[0], np.random.default_rng(0).poisson(3, 40))},
        ["features, mode 0", "features, mode 1"],
    ),
    "a picture": (
        {"predictor_type": "binary_classifier", "encoders": "picture=raw,question=bag"},
        pictures_and_questions(30),
        ["picture", "question"],
    ),
    "texts": ({"predictor_type": "binary_classifier"}, texts(), ["text"]),
    "categories": ({"predictor_type": "binary_classifier", "encoders": "text=category"}, texts(), ["text"]),
    "several": ({"predictor_type": "multiclass_classifier"}, several(), ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_job_tells_what_its_components_look_at(case: str, tmp_path: Path) -> None:
    settings, files, views = CASES[case]
    told = {**settings, "rank": "1" if case in ("a vector", "texts", "categories") else "2", "wd": "0.01"}
    algorithm, prepared = job(told, tmp_path / "job", {"train": files})
    model = algorithm.fit(prepared)
    reported(algorithm, tmp_path / "report", model)
    components = orjson.loads((tmp_path / "report" / "components.json").read_bytes())
    assert all(list(component["looks_at"]) == views for component in components)
    assert (tmp_path / "report" / "components.png").read_bytes().startswith(PNG)
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000


def test_a_network_has_losses_and_no_components(tmp_path: Path) -> None:
    settings = {"predictor_type": "regressor", "solver": "adam", "epochs": "3"}
    algorithm, prepared = job(settings, tmp_path / "job", {"train": {"a.jsonl": table(*planted(40))}})
    reported(algorithm, tmp_path / "report", algorithm.fit(prepared))
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.html", "evaluation.json", "labels.png", "loss.png"}


def test_what_is_drawn_does_not_depend_on_the_unit(tmp_path: Path) -> None:
    x, y = planted(150, noise=0.0)
    drawn = []
    for name, scale in (("metres", 1.0), ("millimetres", 1000.0)):
        scaled = x * np.array([1, scale, 1, 1, 1, 1])[:, None]
        algorithm, prepared = job(
            {"predictor_type": "regressor", "rank": "1", "wd": "1e-6"},
            tmp_path / name,
            {"train": {"a.jsonl": table(scaled, y)}},
        )
        reported(algorithm, tmp_path / f"{name} report", algorithm.fit(prepared))
        [component] = orjson.loads((tmp_path / f"{name} report" / "components.json").read_bytes())
        curve = np.array(component["looks_at"]["features, mode 0"])
        drawn.append(curve / np.linalg.norm(curve) * np.sign(curve[0]))
    np.testing.assert_allclose(drawn[0], drawn[1], atol=2e-3)

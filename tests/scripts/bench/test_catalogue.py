"""Every benchmark of the catalogue is a module of scripts.bench, and every record is one of the catalogue's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.bench import accuracy, record
from scripts.bench.catalogue import BENCHES, SUBJECTS, Bench, chosen

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES)
def test_its_module_measures(bench: Bench) -> None:
    text = ROOT.joinpath(*bench.module_name().split(".")).with_suffix(".py").read_text()
    assert "\ndef run(" in text
    assert bench.subject in SUBJECTS


def test_every_task_of_accuracy_is_in_the_catalogue_and_has_its_recipes() -> None:
    assert [bench.arguments for bench in chosen(["accuracy"])] == [(task,) for task in accuracy.TASKS]


def test_every_recipe_is_one_of_hyperparameters() -> None:
    recipes = list(accuracy.RECIPES.glob("*.json"))
    assert recipes
    assert all(json.loads(path.read_text())["algorithm"] == "forecaster" for path in recipes)


def test_every_record_is_a_benchmark_s() -> None:
    names = {path.stem for path in record.FOLDER.glob("*.json")}
    assert names
    assert names <= set(BENCHES)


def test_without_names_all_are_chosen() -> None:
    assert chosen([]) == list(BENCHES.values())


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        chosen(["nothing"])

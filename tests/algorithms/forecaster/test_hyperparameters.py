"""The hyperparameters of a forecaster: typed values, and the options of every cell."""

from __future__ import annotations

from typing import Any

import pytest

from polyadic.algorithms.forecaster.hyperparameters import Hyperparameters, cell_options, with_cell_options
from polyadic.errors import UserError
from polyadic.forecasting.calendar import Frequency
from polyadic.forecasting.cells import CELLS
from polyadic.forecasting.cells.lstm import LSTM
from polyadic.jobs.hyperparameters import parse
from polyadic.options import Options, option

REQUIRED: dict[str, object] = {"time_freq": "15min", "context_length": "6", "prediction_length": "3", "epochs": "1"}


def test_a_frequency_is_a_value_that_is_written_as_it_was_given() -> None:
    for text, frequency in (("15min", Frequency(15, "min")), ("1H", Frequency(1, "H")), ("h", Frequency(1, "H"))):
        settings = parse(Hyperparameters, {**REQUIRED, "time_freq": text})
        assert settings.time_freq == frequency
        assert settings.model_dump()["time_freq"] == text
        assert Hyperparameters(**settings.model_dump()) == settings


@pytest.mark.parametrize("given", ["[0.1, 0.25]", "0.1,0.25", '"[0.1, 0.25]"', [0.1, 0.25]])
def test_quantiles_are_a_tuple_that_is_written_as_a_list(given: object) -> None:
    settings = parse(Hyperparameters, {**REQUIRED, "test_quantiles": given})
    assert settings.test_quantiles == (0.1, 0.25)
    assert settings.model_dump()["test_quantiles"] == [0.1, 0.25]
    assert Hyperparameters(**settings.model_dump()) == settings


@pytest.mark.parametrize("name", list(CELLS))
def test_every_cell_finds_its_options(name: str) -> None:
    kind = CELLS[name]
    assert kind.options.model_fields.keys() <= Hyperparameters.model_fields.keys()
    assert cell_options(parse(Hyperparameters, {**REQUIRED, "cell": name}), kind) == kind.options()


def test_the_options_of_cells_stand_behind_the_choice_of_the_cell() -> None:
    names = list(Hyperparameters.model_fields)
    options = {option for kind in CELLS.values() for option in kind.options.model_fields}
    first = names.index("cell") + 1
    assert set(names[first : first + len(options)]) == options and names[first + len(options)] == "num_cells"


def cell_with(**declared: Any) -> Any:
    """A cell with options of its own."""
    annotations = dict.fromkeys(declared, float)
    kind = type("OtherOptions", (Options,), {"__annotations__": annotations, "__module__": __name__, **declared})
    return type("Other", (LSTM,), {"options": kind})


def test_options_of_one_name_must_be_one_declaration() -> None:
    mine, same, other = (cell_with(leak=option("a leak", default, ge=0)) for default in (0.5, 0.5, 0.25))
    assert "leak" in with_cell_options({"mine": mine, "same": same}).model_fields
    with pytest.raises(
        ImportError, match=r"option leak is declared by .*OtherOptions, and otherwise by .*OtherOptions"
    ):
        with_cell_options({"mine": mine, "other": other})
    with pytest.raises(ImportError, match=r"option epochs is declared by .*WindowOptions, and otherwise by"):
        with_cell_options({"mine": cell_with(epochs=option("another meaning", 1.0))})


def test_an_option_is_checked_where_a_job_is_read() -> None:
    kind = with_cell_options({"mine": cell_with(leak=option("a leak", 0.5, ge=0))})
    assert parse(kind, {**REQUIRED, "leak": "0.25"}).leak == 0.25
    with pytest.raises(UserError, match="hyperparameter leak is '-1': it must be a number, 0 or more"):
        parse(kind, {**REQUIRED, "leak": "-1"})

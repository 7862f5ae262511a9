"""A cell that nobody has heard of: one file with an option of its own, trained, saved, loaded and documented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CELL = '''
"""plain-gru: the gated recurrent unit of Cho et al. (2014)."""

import torch
from torch import nn

from polyadic.forecasting.cells import Cell
from polyadic.options import Options, option


class GruOptions(Options):
    plain_gru_bias: bool = option("whether the gates have a bias", True)


class GRU(Cell):
    """A gated recurrent unit."""

    name = "plain-gru"
    options = GruOptions

    def __init__(self, input_size, hidden_size, bias):
        super().__init__()
        self.hidden_size, self.bias = hidden_size, bias
        self.gru = nn.GRU(input_size, hidden_size, bias=bias, batch_first=True)

    @classmethod
    def make(cls, input_size, hidden_size, options):
        return cls(input_size, hidden_size, options.plain_gru_bias)

    def initial(self, x_BTD):
        return (x_BTD.new_zeros(len(x_BTD), self.hidden_size),)

    def forward(self, x_BTD, state):
        h_BTH, h = self.gru(x_BTD, state[0][None].contiguous())
        return h_BTH, (h[0],)

    def reference(self, x_BTD, state):
        weights = list(self.gru.parameters())
        biases = weights[2:] or [x_BTD.new_zeros(3 * self.hidden_size)] * 2
        (h,), outputs = state, []
        for x in x_BTD.unbind(1):
            (xr, xz, xn), (hr, hz, hn) = (
                (value @ weight.T + bias).chunk(3, -1) for value, weight, bias in zip((x, h), weights, biases)
            )
            r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
            h = (1 - z) * (xn + r * hn).tanh() + z * h
            outputs.append(h)
        return torch.stack(outputs, 1), (h,)

    def count(self):
        return 3 * self.hidden_size * (self.gru.input_size + self.hidden_size + 2 * self.bias)


CELL = GRU
'''
# Hyperparameters are composed when they are imported, so the cell has to be there before: in a process of its own.
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import pytest

folder = Path(sys.argv[1])
import polyadic.forecasting.cells
polyadic.forecasting.cells.__path__.append(str(folder / "cells"))
from polyadic.algorithms import named
from polyadic.artifact import Artifact
from polyadic.errors import UserError
from polyadic.jobs.schema import table, training_specification
from tests.forecasting.cells import test_contract
from tests.helpers.tiny_jobs import train

algorithm = named("forecaster")
model = train("forecaster", folder / "job", {"cell": "Plain-GRU", "plain_gru_bias": "false"})
assert model.settings.cell == "plain-gru" and model.settings.plain_gru_bias is False
assert "encoder.cells.0.gru.weight_ih_l0" in model.artifact().tensors
assert not [name for name in model.artifact().tensors if "gru.bias" in name]
model.artifact().write(folder / "model")
again = algorithm.load(Artifact.read(folder / "model"))
instance = {"start": "2021-05-01 03:00:00", "target": [1.0, 2, 4, 3, 6, 5]}
first, second = (each.predict([each.parse(instance, {})])[0]["mean"] for each in (model, again))
assert np.isfinite(first).all() and np.array_equal(first, second)

with pytest.raises(UserError, match="hyperparameter plain_gru_bias is 'often': it must be true or false"):
    train("forecaster", folder / "wrong", {"cell": "plain-gru", "plain_gru_bias": "often"})
row = "| `plain_gru_bias` | `True` | true or false | whether the gates have a bias |"
assert row in table(algorithm).splitlines()
specification = training_specification(algorithm)["TrainingSpecification"]
options = {option["Name"]: option for option in specification["SupportedHyperParameters"]}
assert options["plain_gru_bias"]["DefaultValue"] == "True"
assert "plain-gru" in options["cell"]["Range"]["CategoricalParameterRangeSpecification"]["Values"]

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-k", "plain-gru", test_contract.__file__]))
"""


@pytest.mark.slow
def test_a_new_cell_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "plain_gru.py").write_text(CELL)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "failed" not in done.stdout

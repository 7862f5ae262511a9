"""What a recurrent cell is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from polyadic.options import Options

State = tuple[Tensor, ...]
"""What a cell remembers between two steps: tensors whose first dimension is the batch."""


class Cell(nn.Module, ABC):
    """A recurrence over time: it maps inputs B x T x D and a state to hidden states B x T x H and the next state.

    Shapes: B sequences, T steps, D inputs, H hidden units.
    name: as a job calls the cell; its file has the same name with underscores for dashes. options: the class of what
    the cell lets a job set; these hyperparameters are the forecaster's as well.
    """

    name: ClassVar[str]
    options: ClassVar[type[Options]] = Options
    hidden_size: int

    @classmethod
    @abstractmethod
    def make(cls, input_size: int, hidden_size: int, options: Any) -> Cell:
        """An untrained cell for D = input_size inputs and H = hidden_size units; options: an instance of `cls.options`.

        Its weights are drawn from torch's global generator.
        """

    @abstractmethod
    def initial(self, x_BTD: Tensor) -> State:
        """The state before the first step of x (B x T x D), on x's device and of x's type."""

    @abstractmethod
    def forward(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """The hidden states of all steps (B x T x H), and the state after the last step; x is B x T x D."""

    @abstractmethod
    def reference(self, x_BTD: Tensor, state: State) -> tuple[Tensor, State]:
        """The same as `forward`, written as the equation stands, whatever it costs."""

    @abstractmethod
    def count(self) -> int:
        """The number of parameters, by a formula."""

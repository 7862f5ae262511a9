"""What a regression is given, checked on every rank, and measured in units in which penalties mean the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError, unknown
from polyadic.regression.losses import LOSSES, Loss, named
from polyadic.regression.product import Product
from polyadic.regression.weights import WEIGHTS
from polyadic.tensor.arguments import Dense, dense, whole

PIECE_NUMBERS = 2**22
"""Of samples that are squared at a time."""
ROW_NUMBERS = 1024


@dataclass(frozen=True)
class Given:
    """This rank's samples, their labels (B, float64) and weights (B; None: all 1); squares: of samples, if known."""

    samples: Tensor | Product
    label_B: Tensor
    weight_B: Tensor | None
    squares: float | None = None

    @staticmethod
    def of(
        samples: Any, label: Dense, sample_weight: Dense | None, loss: Loss, outputs: int, world: World, name: str = ""
    ) -> Given:
        """What a rank is given; a collective. UserError on every rank for what one of them cannot be fitted to.

        name: of these samples, for messages, such as "validation ".
        """
        return _agreed(world, lambda: _checked(samples, label, sample_weight, loss, outputs, world.device, name))

    def count(self, world: World) -> int:
        """The samples of all ranks; a collective."""
        return int(world.sum_(torch.tensor([len(self.label_B)], device=world.device)))


@dataclass(frozen=True)
class Units:
    """Labels are centre + scale times numbers about 1, entries of samples `size` times numbers about 1."""

    centre: float
    scale: float
    size: float

    @staticmethod
    def of(given: Given, loss: Loss, world: World) -> Units:
        """The units of what all ranks are given; a collective. Of a Product the size is 1: it is taken as it is."""
        label_B = world.gather_rows(given.label_B.to(world.device))
        if given.weight_B is not None:
            label_B = label_B[world.gather_rows(given.weight_B.to(world.device)) > 0]
        centre, scale = (float(label_B.median()), loss.scale(label_B)) if loss.degree else (0.0, 1.0)
        if isinstance(given.samples, Product):
            return Units(centre, scale, 1.0)
        x = given.samples
        own = _squares(x) if given.squares is None else given.squares
        sums = torch.tensor([own, float(x.numel())], dtype=torch.float64, device=world.device)
        squares, entries = world.sum_(sums).tolist()
        size = math.sqrt(squares / max(entries, 1))
        return Units(centre, scale, size if size > 0 else 1.0)


def _squares(x: Tensor) -> float:
    """The sum of the squares, a few samples at a time, for nothing as large as the samples is made."""
    step = max(1, PIECE_NUMBERS // max(1, x[:1].numel()))
    return sum(_squares_of_piece(x[begin : begin + step].reshape(-1)) for begin in range(0, len(x), step))


def _squares_of_piece(piece: Tensor) -> float:
    """Norms of short rows in the type of the numbers, their sum in float64; all in float64 where one is too large."""
    even = len(piece) // ROW_NUMBERS * ROW_NUMBERS
    norms = torch.linalg.vector_norm(piece[:even].view(-1, ROW_NUMBERS), dim=1).double()
    squares = float(norms.square().sum() + piece[even:].double().square().sum())
    return squares if math.isfinite(squares) else float(piece.double().square().sum())


def _checked(
    samples: Any, label: Dense, sample_weight: Dense | None, loss: Loss, outputs: int, device: torch.device, name: str
) -> Given:
    x = samples if isinstance(samples, Product) else dense(samples, f"{name}samples").detach().to(device)
    if len(x.shape) < 2 or 0 in x.shape[1:]:
        raise UserError(
            f"{name}samples have shape {tuple(x.shape)}: give them along the first mode, one or more rows in each other"
        )
    label_B = dense(label, f"{name}label").detach().to(device, torch.float64).reshape(-1)
    if len(label_B) != len(x):
        raise UserError(f"there are {len(x)} {name}samples and {len(label_B)} labels: give a label for each sample")
    weight_B = None
    if sample_weight is not None:
        weight_B = dense(sample_weight, "sample_weight").detach().to(device, torch.float64).reshape(-1)
        if len(weight_B) != len(x) or not bool((torch.isfinite(weight_B) & (weight_B >= 0)).all()):
            raise UserError(f"sample_weight: give {len(x)} finite numbers, one for each sample, none below 0")
    parts = x.parts if isinstance(x, Product) else (x,)
    squares = sum(_squares(part) for part in parts)
    if not math.isfinite(squares):
        raise UserError(
            f"{name}samples hold a number that is not finite: leave its sample out, or put a number in its place"
        )
    wrong = label_B[~loss.allowed(label_B)]
    if len(wrong):
        raise UserError(f"{name}label {float(wrong[0]):g}: the loss {loss.name} takes {loss.takes}")
    if loss.name == "softmax" and bool((label_B >= outputs).any()):
        raise UserError(f"a {name}label is {int(label_B.max())}, and outputs {outputs}: labels count from 0")
    return Given(x, label_B, weight_B, squares)


def form_and_loss(weight: str, loss: str, outputs: Any, product: bool) -> tuple[Any, Loss, int]:
    """The form of the weight, the loss, and the number of scores; UserError for what does not go together."""
    if str(weight) not in WEIGHTS:
        raise UserError(unknown("weight", str(weight), list(WEIGHTS)))
    if str(loss) not in LOSSES:
        raise UserError(unknown("loss", str(loss), list(LOSSES)))
    if product and weight != "cp":
        raise UserError(f"weight is {weight}: several modalities that are multiplied have one in CP form, weight cp")
    count = whole(outputs, "outputs", 1)
    if count > 1 and loss != "softmax":
        raise UserError(f"outputs is {count}: the loss {loss} has 1, softmax has one for each class")
    return WEIGHTS[weight], named(loss), count


def ranks_given(rank: Any) -> int | list[int]:
    """A rank, or a list of them, as whole numbers; UserError for anything else."""
    if isinstance(rank, Sequence) and not isinstance(rank, str | bytes):
        return [whole(number, f"rank[{place}]") for place, number in enumerate(rank)]
    return whole(rank, "rank")


def _agreed(world: World, attempt: Callable[[], Given]) -> Given:
    """What an attempt returns; where any rank raises a UserError, all ranks raise that of the first such rank."""
    value, fault = None, None
    try:
        value = attempt()
    except UserError as error:
        fault = str(error)
    first = next((text for text in world.collect(fault) if text is not None), None)
    if first is not None or value is None:
        raise UserError(first or "there are no samples")
    total = value.label_B.numel() if value.weight_B is None else float(value.weight_B.sum())
    if not float(world.sum_(torch.tensor([float(total)], dtype=torch.float64, device=world.device))) > 0:
        raise UserError("there are no samples, or none of a weight above 0: give one or more")
    return value

"""Tensor regression: y = b + <W, X> with W of low rank, from samples, labels and ranks to the best weight found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polyadic.distributed import World
from polyadic.errors import UserError
from polyadic.regression.als import Problem, State, als
from polyadic.regression.coarse import coarse, refined
from polyadic.regression.given import Given, Units, form_and_loss, ranks_given
from polyadic.regression.losses import Loss, named
from polyadic.regression.product import Product
from polyadic.regression.smoothing import mapped, smoothed, smoothing, unmapped
from polyadic.regression.weights import Weight
from polyadic.regression.weights.cp import CP
from polyadic.tensor.arguments import Dense, dense, real, whole

SAME = 1e-3
"""Two starts whose objectives differ by less than this share have found the same."""
MOST_STARTS = 8
SCREENING_SWEEPS = 6
LARGE_NUMBERS = 2**23
"""Numbers of samples from which starts are compared after a few sweeps, not at their ends."""
MOST_MOMENT_NUMBERS = 2**22
"""Of a moment that a start is a decomposition of."""
EDGE_ROUNDS = 5


@dataclass(frozen=True)
class Regression:
    """A fitted regression: scores of a sample X are intercept + <W, X>.

    weight: W; one in CP form has columns of length 1, components by falling size. intercept_C: C. unit: what the fit
    measured labels in. objective: after each sweep of the fit that was kept. mean_loss: over all samples, without the
    penalty. samples: how many there were, or the sum of their weights. starts: how many were tried.
    """

    weight: Weight
    intercept_C: Tensor
    loss: str
    unit: float
    objective: tuple[float, ...]
    mean_loss: float
    samples: float
    starts: int

    @property
    def bic(self) -> float:
        """-2 log-likelihood + ln n (degrees of freedom + intercepts): the ranks with the least are the likeliest."""
        likelihood = named(self.loss).log_likelihood(self.mean_loss * self.samples, self.samples)
        return -2 * likelihood + math.log(self.samples) * (self.weight.degrees_of_freedom + len(self.intercept_C))

    @torch.no_grad()
    def scores(self, samples: Dense | Product) -> Tensor:
        """The scores of samples (B x I_1 x ... x I_N): B x C; for Poisson logarithms of the means.

        Raises UserError for samples of another shape.
        """
        x = samples.to(self.intercept_C) if isinstance(samples, Product) else dense(samples, "samples")
        if x.shape[1:] != self.weight.shape:
            raise UserError(f"samples have shape {tuple(x.shape)}: those of the fit are n x {self.weight.shape}")
        return self.weight.scores(x.to(self.intercept_C)) + self.intercept_C

    def losses(self, samples: Dense | Product, label_B: Tensor) -> Tensor:
        """The loss of each sample: B, float64."""
        kind, score_BC = named(self.loss), self.scores(samples).double()
        label_B = label_B.to(score_BC)
        return kind.value(score_BC / self.unit, label_B / self.unit) * self.unit**kind.degree


@torch.no_grad()
def tensor_regression(
    samples: Dense | Product,
    label: Dense,
    rank: int | Sequence[int],
    *,
    weight: str = "cp",
    loss: str = "squared",
    outputs: int = 1,
    wd: float = 1e-6,
    smoothness: float = 0.0,
    edges: bool = False,
    sample_weight: Dense | None = None,
    restarts: int | None = None,
    max_sweeps: int = 200,
    stop_tol: float = 1e-6,
    seed: int = 0,
    world: World | None = None,
    init: Weight | None = None,
    after_sweep: Callable[[State], bool] = lambda _: True,
) -> Regression:
    """The low-rank weight W and the intercepts b of the scores b + <W, X> that fit labels best.

    samples: B x I_1 x ... x I_N, float32 or float64, this rank's part of them; or a Product of vectors, for a weight in
    CP form. label: B, of what the loss takes. rank: R of cp; of tucker one for each mode, of tensor-train one between
    each two, or a number for all. weight: "cp", "tucker" or "tensor-train".
    loss: "squared", "absolute", "huber", "logistic", "softmax" (outputs: the number of classes) or "poisson".
    wd: times |W|² / 2, added to the mean loss, where labels are measured in their deviation and entries of samples in
    their root mean square (under smoothness that of the samples as it maps them), so that it means the same whatever
    the units are; a Product is taken as it is. Samples of
    which the mean is far larger than the deviation are better centred first.
    smoothness: s of the norm that wd penalises, |W ×_1 (1 + s D'D)^(1/2) ...|, D the differences of neighbouring rows
    of each mode of 16 and more: for pictures and curves. It takes a copy of the samples, and none of a Product.
    edges: that W is flat between edges: five more fits, each begun at the one before, weigh a difference of rows the
    more, the smaller it was (`polyadic.regression.smoothing`); of a Product they are none. It needs smoothness.
    sample_weight: B numbers, 0 or more. restarts: starts of which the best is kept; None for as many as it takes until
    two of them find the same, and of many samples for a few that are compared after some sweeps. init: a weight to
    begin at, instead of starts.
    max_sweeps, stop_tol: a fit ends after so many sweeps, or when a sweep lowers the objective by less than this share.

    Each block of W is solved for exactly by iteratively reweighted least squares, the others held: Zhou, Li and Zhu,
    Tensor regression with applications in neuroimaging data analysis, JASA 2013, algorithm 1, with the penalty |W|²
    that does not depend on how the factors are scaled. Starts are a decomposition of Σ (y - mean y) X, for long modes a
    fit to samples of half their resolution, and random ones.

    Raises UserError for labels that the loss does not take, ranks that the shape does not allow, samples that are not
    finite, and numbers of samples and labels that differ.
    """
    world = world or World.alone()
    kind, loss_of, outputs = form_and_loss(weight, loss, outputs, isinstance(samples, Product))
    given = Given.of(samples, label, sample_weight, loss_of, outputs, world)
    ranks = _ranks(kind, loss, ranks_given(rank), given.samples.shape[1:], outputs)
    shape, strength = given.samples.shape[1:], real(smoothness, "smoothness", 0)
    if edges and not strength:
        raise UserError("edges are between rows that smoothness makes alike: give smoothness above 0, such as 16")
    settings = {
        "kind": kind,
        "ranks": ranks,
        "outputs": outputs,
        "seed": whole(seed, "seed", 0) % 2**63,
        "max_sweeps": whole(max_sweeps, "max_sweeps", 1),
        "stop_tol": real(stop_tol, "stop_tol"),
        "large": math.prod(shape) * given.count(world) > LARGE_NUMBERS,
    }
    penalty, most = real(wd, "wd", 0), None if restarts is None else whole(restarts, "restarts", 1)
    stopped = False

    def watched(state: State) -> bool:
        nonlocal stopped
        stopped = stopped or not after_sweep(state)
        return not stopped

    def fitted(maps: Mapping[int, Tensor], init: Weight | None) -> Regression:
        seen = given
        if maps and not isinstance(given.samples, Product):
            seen = replace(given, samples=smoothed(given.samples, maps), squares=None)
        units = Units.of(seen, loss_of, world)
        search = _Search(problem=_problem(seen, units, loss_of, penalty, world), **settings)
        if init is None:
            best, starts = search.best(most, watched)
        else:
            begun = _begun(init, search, 1 / units.scale)
            mapped(begun, maps)
            best, starts = search.fit(begun, after_sweep=watched), 1
        return _unmapped(best, search.problem, units, maps, starts)

    if isinstance(given.samples, Product) or not strength:
        return fitted({}, init)
    found = fitted(smoothing(shape, strength), init)
    for _ in range(EDGE_ROUNDS if edges else 0):
        if not stopped:
            starts = found.starts
            found = replace(fitted(smoothing(shape, strength, found.weight), found.weight), starts=starts)
    return found


def _unmapped(best: State, problem: Problem, units: Units, maps: Mapping[int, Tensor], starts: int) -> Regression:
    """What was found, in the units of the samples and the labels."""
    weight, loss = best.weight, problem.loss
    weight.scale_(units.scale)
    unmapped(weight, maps)
    return Regression(
        weight=weight.canonical() if isinstance(weight, CP) else weight,
        intercept_C=best.intercept_C * units.scale + units.centre,
        loss=loss.name,
        unit=units.scale,
        objective=tuple(best.objective),
        mean_loss=problem.mean_loss(best.score_BC) * units.scale**loss.degree,
        samples=problem.total,
        starts=starts,
    )


def _problem(given: Given, units: Units, loss: Loss, wd: float, world: World) -> Problem:
    """The problem in units in which labels and the entries of samples are about 1; samples stay as they are."""
    x = given.samples
    return Problem(
        samples=x,
        label_B=((given.label_B - units.centre) / units.scale).to(x.dtype),
        weight_B=None if given.weight_B is None else given.weight_B.to(x.dtype),
        loss=loss,
        wd=wd * units.size**2,
        world=world,
    )


def _begun(init: Weight, search: _Search, scale: float) -> Weight:
    """A copy of a weight to begin at, in the units of the fit; UserError for one of another form or shape."""
    x = search.problem.samples
    if not isinstance(init, search.kind) or (init.shape, init.outputs) != (tuple(x.shape[1:]), search.outputs):
        raise UserError(
            f"init is no {search.kind.name} weight of {tuple(x.shape[1:])} and {search.outputs} outputs: give one of "
            "an earlier fit to such samples"
        )
    copied = search.kind.of_tensors({name: part.clone() for name, part in init.tensors().items()})
    copied = copied.to(x.device, x.dtype)
    copied.scale_(scale)
    return copied


def _ranks(
    kind: type[Weight], loss: str, rank: int | Sequence[int], shape: Sequence[int], outputs: int
) -> tuple[int, ...]:
    """The ranks of a fit. Classes may all have the same added to their scores: K is one less than there are of them."""
    ranks = kind.ranks_of(rank, shape, outputs)
    if loss != "softmax" or kind is CP:
        return ranks
    return (*ranks[:-1], min(ranks[-1], max(outputs - 1, 1)))


@dataclass(frozen=True, kw_only=True)
class _Search:
    """The best of several starts."""

    problem: Problem
    kind: type[Weight]
    ranks: tuple[int, ...]
    outputs: int
    seed: int
    max_sweeps: int
    stop_tol: float
    large: bool

    def fit(
        self,
        begin: Weight,
        sweeps: int | None = None,
        after_sweep: Callable[[State], bool] = lambda _: True,
        hidden_BC: Tensor | None = None,
    ) -> State:
        """Sweeps from a weight, which is changed; hidden_BC: its scores, if they are known."""
        hidden_BC = begin.scores(self.problem.samples) if hidden_BC is None else hidden_BC
        return als(
            self.problem,
            begin,
            self._intercepts(hidden_BC),
            max_sweeps=sweeps or self.max_sweeps,
            stop_tol=self.stop_tol,
            after_sweep=after_sweep,
            hidden_BC=hidden_BC,
        )

    def best(self, restarts: int | None, after_sweep: Callable[[State], bool]) -> tuple[State, int]:
        """The state of the least objective, and how many starts there were.

        Large problems compare starts after a few sweeps; small ones at their ends, until two have found the same.
        """
        stop = False

        def watched(state: State) -> bool:
            nonlocal stop
            stop = stop or not after_sweep(state)
            return not stop

        large = self.large
        most = restarts or (3 if large else MOST_STARTS)
        best, count, agreed = None, 0, False
        for begin, hidden_BC in self._starts(most):
            state = self.fit(begin, SCREENING_SWEEPS if large and most > 1 else None, watched, hidden_BC)
            count += 1
            if best is not None and not large:
                agreed = abs(state.objective[-1] - best.objective[-1]) <= SAME * abs(best.objective[-1]) + 1e-10
            if best is None or state.objective[-1] < best.objective[-1] or math.isnan(best.objective[-1]):
                best = state
            if stop or (agreed and restarts is None) or best.objective[-1] < 1e-10:
                break
        assert best is not None
        if large and most > 1 and not stop:
            begun = best.objective
            best = als(
                self.problem,
                best.weight,
                best.intercept_C,
                max_sweeps=self.max_sweeps,
                stop_tol=self.stop_tol,
                after_sweep=watched,
            )
            best = replace(best, objective=begun + best.objective)
        return best, count

    def _starts(self, most: int) -> Iterator[tuple[Weight, Tensor | None]]:
        """A decomposition of the moment, for long modes a fit to coarser samples, and random ones.

        Each with its scores, where they are known.
        """
        generator = torch.Generator().manual_seed(self.seed)
        made = 0
        for make in (self._of_moment, self._of_coarse):
            begin = make(generator) if made < most else None
            if begin is not None:
                made += 1
                yield begin
        while made < most:
            made += 1
            random = self.kind.random(self.problem.samples.shape[1:], self.ranks, self.outputs, generator)
            yield self._here(random), None

    def _here(self, weight: Weight) -> Weight:
        """A weight where the samples are, the same on every rank."""
        here = weight.to(self.problem.samples.device, self.problem.samples.dtype)
        same = {name: self.problem.world.from_first_(part.contiguous()) for name, part in here.tensors().items()}
        return self.kind.of_tensors(same)

    def _intercepts(self, hidden_BC: Tensor | None = None) -> Tensor:
        """The scores of a model that sees no features; of labels with a unit, less what the scores of a weight say."""
        problem = self.problem
        label_B = problem.label_B
        if hidden_BC is not None and problem.loss.degree:
            label_B = label_B - hidden_BC[:, 0]
        weight_B = torch.ones_like(label_B) if problem.weight_B is None else problem.weight_B
        return problem.loss.start(problem.world.gather_rows(label_B), problem.world.gather_rows(weight_B), self.outputs)

    def _of_moment(self, generator: torch.Generator) -> tuple[Weight, Tensor] | None:
        """A weight near -Σ slope X, of a size that fits the scores, and its scores."""
        problem, x = self.problem, self.problem.samples
        if math.prod(x.shape[1:]) * self.outputs > MOST_MOMENT_NUMBERS:
            return None
        score_BC = self._intercepts().expand(len(x), -1)
        slope_BC = -problem.loss.gradient(score_BC, problem.label_B)
        if problem.weight_B is not None:
            slope_BC = slope_BC * problem.weight_B[:, None]
        if isinstance(x, Product):
            moment = x.moment(slope_BC)
        else:
            moment = (x.flatten(1).T @ slope_BC).reshape(*x.shape[1:], self.outputs)
        moment = problem.world.sum_(moment.contiguous()).double().cpu() / problem.total
        if not float(moment.norm()) > 0:
            return None
        weight = self._here(self.kind.near(moment / moment.norm(), self.ranks, generator))
        hidden_BC = weight.scores(x)
        sums = torch.stack([(hidden_BC * slope_BC).sum(), hidden_BC.square().sum()]).double()
        along, size = problem.world.sum_(sums).tolist()
        scale = along / size if size > 0 and along > 0 else 1.0
        weight.scale_(scale)
        return weight, hidden_BC * scale

    def _of_coarse(self, generator: torch.Generator) -> tuple[Weight, None] | None:
        """A fit to samples of half the resolution along long modes, a quarter if large, refined; None if none is."""
        x, times = self.problem.samples, 2 if self.large else 1
        if isinstance(x, Product) or (smaller := coarse(x, times)) is None:
            return None
        problem = replace(self.problem, samples=smaller)
        ranks = _cut(self.kind, problem.loss.name, self.ranks, tuple(smaller.shape[1:]), self.outputs)
        search = replace(self, problem=problem, ranks=ranks)
        state, _ = search.best(2, lambda _: True)
        return (refined(state.weight, tuple(x.shape[1:]), times), None) if ranks == self.ranks else None


def _cut(
    kind: type[Weight], loss: str, ranks: tuple[int, ...], shape: tuple[int, ...], outputs: int
) -> tuple[int, ...]:
    """The ranks of a coarser problem; other ones where its shape does not allow these."""
    asked = ranks[0] if kind is CP else ranks[:-1]
    try:
        return _ranks(kind, loss, asked, shape, outputs)
    except UserError:
        return _ranks(kind, loss, 1, shape, outputs)

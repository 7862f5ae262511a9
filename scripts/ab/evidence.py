"""What is known of an endpoint's variants now: captured answers joined with actuals, and how they compare."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from polyadic.variants import (
    Actual,
    Answer,
    Comparison,
    Joined,
    VariantError,
    compare_pairs,
    compare_split,
    join,
    pairs,
    rate_interval,
)
from polyadic.variants.guardrails import Guardrail, latency
from scripts.ab.capture import Captured
from scripts.ab.drawing import Drawn, SampleRatio, drawn_by_chance, sample_ratio
from scripts.ab.measures import Numbers
from scripts.ab.propensities import Propensities
from scripts.ab.question import Question
from scripts.ab.scoring import Scored, Scores
from scripts.aws import UsageError

PAIR_WORTH = 3
"""A pair tells at least as much as three drawn answers do, even with a covariate."""
MISSING_ALPHA = 0.01


@dataclass(frozen=True)
class Side:
    """One variant: how many of its answers were captured and scored, and their means."""

    variant: str
    captured: int
    scored: int
    loss: float
    covered: float | None


@dataclass(frozen=True)
class Contest:
    """One challenger against the champion. design: pairs or split."""

    challenger: str
    design: str
    comparison: Comparison
    guardrails: tuple[Guardrail, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """What the comparison says, unless a guard-rail speaks against it."""
        rung = any(rail.violated for rail in self.guardrails)
        return "worse" if rung else str(self.comparison.verdict)


@dataclass(frozen=True)
class Evidence:
    """All of it: what a table, a picture, a page and a promotion are made of."""

    endpoint: str
    champion: str
    question: Question
    sides: tuple[Side, ...]
    contests: tuple[Contest, ...]
    ratio: SampleRatio | None
    joined: Joined
    notes: tuple[str, ...] = ()

    def contest(self, challenger: str) -> Contest | None:
        """The contest of a challenger, or None where there is none."""
        return next((each for each in self.contests if each.challenger == challenger), None)

    def is_mismatched(self, contest: Contest) -> bool:
        """Whether a contest cannot be read, because its split does not follow the weights."""
        return contest.design == "split" and self.ratio is not None and self.ratio.mismatch


@dataclass
class Material:
    """What evidence is made of. `scores` keeps the losses from one look to the next."""

    endpoint: str
    champion: str
    challengers: Sequence[str]
    captured: Iterable[Captured]
    actuals: Iterable[Actual]
    propensities: Propensities
    question: Question
    now: float
    design: str = "auto"
    topics: Mapping[str, Numbers] = field(default_factory=dict)
    guardrails: Callable[[str], tuple[Guardrail, ...]] = lambda challenger: ()
    notes: Sequence[str] = ()
    scores: Scores = field(default_factory=Scores)
    rails_since: float = -math.inf


@dataclass(frozen=True)
class Row:
    """A drawn answer that has a loss."""

    scored: Scored
    shares: Mapping[str, float]


def gather(material: Material) -> Evidence:
    """Join, score, check the sample ratio, and compare each challenger with the champion."""
    known = [each for each in material.captured if each.variant in (material.champion, *material.challengers)]
    joined = join(map(_answer, known), material.actuals)
    scored, score_notes = material.scores.score(joined, material.question, material.topics)
    drawn, draw_notes = drawn_by_chance(known, material.propensities, material.now)
    sides = tuple(_side(name, known, scored) for name in (material.champion, *material.challengers))
    contests = tuple(_contest(name, scored, drawn, material) for name in material.challengers)
    told = [note for contest in contests for note in contest.notes]
    notes = (*material.notes, *score_notes, *draw_notes, *_unnamed(scored, material.question), *told)
    ratio = sample_ratio(drawn)
    return Evidence(
        material.endpoint, material.champion, material.question, sides, contests, ratio, joined, tuple(notes)
    )


def _answer(captured: Captured) -> Answer:
    return Answer(captured.identity, captured.variant, captured.order, captured)


def _side(name: str, known: Sequence[Captured], scored: Sequence[Scored]) -> Side:
    own = [each.measured for each in scored if each.answer.variant == name]
    covered = [each.covered for each in own if each.covered is not None]
    return Side(
        name,
        sum(each.variant == name for each in known),
        len(own),
        sum(each.loss for each in own) / len(own) if own else math.nan,
        sum(covered) / len(covered) if covered else None,
    )


def _unnamed(scored: Sequence[Scored], question: Question) -> list[str]:
    """A note where series have no name, so that their requests of a day cannot be told apart."""
    if question.cluster not in ("auto", "series-day"):
        return []
    clusters = [each.measured.cluster for each in scored if isinstance(each.measured.cluster, tuple)]
    count = sum(cluster[0] is None for cluster in clusters)
    what = "requests name no series (item_id or cat): those of one day are one fact, unless --cluster says otherwise"
    return [f"{count} {what}"] if count else []


def _contest(challenger: str, scored: Sequence[Scored], drawn: Sequence[Drawn], material: Material) -> Contest:
    champion = material.champion
    rails = (*material.guardrails(challenger), *_latency(challenger, scored, material))
    paired = pairs(((each.answer, each.measured.loss) for each in scored), champion, challenger)
    choice = [each for each in drawn if each.shares.get(challenger) and each.shares.get(champion)]
    losses = {id(each.captured): each for each in scored}
    rows = [Row(losses[id(each.captured)], each.shares) for each in choice if id(each.captured) in losses]
    is_auto = material.design == "auto"
    by_pairs = len(paired) * PAIR_WORTH >= len(rows) if is_auto else material.design == "pairs"
    try:
        if by_pairs:
            comparison = _pairs(paired, scored, material)
            notes = _unread(challenger, len(rows), "drawn answers", "split")
        else:
            comparison = _split(challenger, rows, material)
            notes = _unread(challenger, len(paired), "pairs", "pairs") + _missing((champion, challenger), choice, rows)
    except VariantError as error:
        raise UsageError(str(error)) from error
    return Contest(challenger, "pairs" if by_pairs else "split", comparison, rails, tuple(notes))


def _latency(challenger: str, scored: Sequence[Scored], material: Material) -> list[Guardrail]:
    """The guard-rail of the p99, where clients fed back the seconds that they waited.

    A shadow answers nobody: of a request that several variants answered nobody knows whom the client waited for.
    """
    live = [each for each in scored if each.captured.replayed is None and each.captured.seconds >= material.rails_since]
    answered = Counter(each.answer.inference_id for each in live)
    waited: dict[str, list[float]] = {material.champion: [], challenger: []}
    for each in live:
        if each.seconds is not None and answered[each.answer.inference_id] == 1 and each.answer.variant in waited:
            waited[each.answer.variant].append(each.seconds)
    if not all(waited.values()):
        return []
    limit = None if material.question.p99_ms is None else material.question.p99_ms / 1000
    return [latency(waited[material.champion], waited[challenger], limit)]


def _unread(challenger: str, count: int, what: str, design: str) -> list[str]:
    """What the design that was chosen does not read."""
    return [f"{count} {what} of {challenger} are not read; --design {design} reads them alone"] if count else []


def _missing(names: tuple[str, str], choice: Sequence[Drawn], rows: Sequence[Row]) -> list[str]:
    """A note where one side's losses are known more often than the other's: then the split compares what came."""
    drawn, known = Counter(each.captured.variant for each in choice), Counter(row.scored.answer.variant for row in rows)
    one, other = (rate_interval(known[name], drawn[name], MISSING_ALPHA / 2) for name in names)
    if one[1] >= other[0] and other[1] >= one[0]:
        return []
    told = " and of ".join(f"{known[name] / max(drawn[name], 1):.1%} of {name}'s" for name in names)
    return [f"the loss is known of {told} drawn answers: the split compares those alone; wait for the others"]


def _pairs(paired: Sequence[tuple[Answer, float, float]], scored: Sequence[Scored], material: Material) -> Comparison:
    # A replay does not know the user: what was answered live comes last, and has the last word.
    ordered = sorted(scored, key=lambda each: each.captured.replayed is None)
    clusters = {each.answer.inference_id: _cluster(each, material.question, sticky=False) for each in ordered}
    plan = material.question.plan(len(material.challengers), 0.05)
    losses = [champion for _, champion, _ in paired], [other for _, _, other in paired]
    return compare_pairs(*losses, plan, [clusters[answer.inference_id] for answer, _, _ in paired])


def _split(challenger: str, rows: Sequence[Row], material: Material) -> Comparison:
    champion = material.champion
    shares = {name: [row.shares[name] for row in rows] for name in (champion, challenger)}
    floor = min((min(each) for each in shares.values() if each), default=0.05) * 0.999
    return compare_split(
        [row.scored.measured.loss for row in rows],
        [row.scored.answer.variant for row in rows],
        shares,
        champion,
        challenger,
        material.question.plan(len(material.challengers), floor),
        [_cluster(row.scored, material.question, sticky=True) for row in rows],
        _covariates([row.scored.measured.covariate for row in rows]),
    )


def _covariates(beside: Sequence[float | None]) -> list[float] | None:
    """The covariates, with their mean where one is not known: it depends on no draw, and so favours nobody."""
    known = [value for value in beside if value is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    return [mean if value is None else value for value in beside]


def _cluster(scored: Scored, question: Question, sticky: bool) -> Hashable:
    """What a request belongs together with: its user where users keep their variant, else its series and day."""
    user = scored.captured.assignment.user if scored.captured.assignment else None
    series = scored.measured.cluster
    alone = scored.answer.inference_id
    if question.cluster != "auto":
        return {"request": alone, "series-day": series or alone, "user": user or alone}[question.cluster]
    return (user or series or alone) if sticky else (series or user or alone)

"""What is known of an endpoint's variants now: captured answers joined with actuals, and how they compare."""

import math
from collections import Counter, defaultdict
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
    running_sample_ratio,
)
from polyadic.variants.guardrails import Guardrail
from scripts.ab.capture import Captured
from scripts.ab.measures import Measured, Numbers, Settings, Unscored, measure
from scripts.ab.propensities import Propensities
from scripts.ab.question import Question
from scripts.aws import UsageError

RATIO_ALPHA = 0.01
CAPTURE_SECONDS = 300.0
"""What is older is captured, of all variants."""
LEAST_FLOOR = 1e-3


@dataclass(frozen=True)
class Scored:
    """An answer with its loss."""

    answer: Answer
    captured: Captured
    measured: Measured


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

    @property
    def verdict(self) -> str:
        """What the comparison says, unless a guard-rail speaks against it."""
        rung = any(rail.violated for rail in self.guardrails)
        return "worse" if rung else str(self.comparison.verdict)


@dataclass(frozen=True)
class SampleRatio:
    """Whether the variants were drawn by their weights: observed and expected counts, and the p-value at any look."""

    observed: Mapping[str, int]
    expected: Mapping[str, float]
    p: float

    @property
    def mismatch(self) -> bool:
        """Whether something other than the weights decides who answers; then no split can be read."""
        return self.p < RATIO_ALPHA


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


@dataclass
class Material:
    """What evidence is made of."""

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


def gather(material: Material) -> Evidence:
    """Join, score, check the sample ratio, and compare each challenger with the champion."""
    known = [each for each in material.captured if each.variant in (material.champion, *material.challengers)]
    joined = join(map(_answer, known), material.actuals)
    scored, notes = _scored(joined, known, material)
    drawn = _drawn(known, material.now)
    ratio, ratio_notes = _sample_ratio(drawn, material.propensities)
    sides = tuple(_side(name, known, scored) for name in (material.champion, *material.challengers))
    loss = sides[0].loss
    alone = {id(each) for each in drawn}
    contests = tuple(_contest(name, scored, alone, material, loss) for name in material.challengers)
    return Evidence(
        material.endpoint,
        material.champion,
        material.question,
        sides,
        contests,
        ratio,
        joined,
        (*material.notes, *notes, *ratio_notes),
    )


def _answer(captured: Captured) -> Answer:
    return Answer(captured.identity, captured.variant, captured.order, captured)


def _scored(joined: Joined, known: Sequence[Captured], material: Material) -> tuple[list[Scored], list[str]]:
    question = material.question
    settings = Settings(question.season, question.freq, question.column, question.higher_is_better, material.topics)
    scored, reasons = [], Counter[str]()
    for answer, actual in joined.matched:
        captured: Captured = answer.content
        try:
            parts = captured.request, captured.answer, actual.content
            scored.append(Scored(answer, captured, measure(question.loss, *parts, settings, captured.variant)))
        except Unscored as reason:
            reasons[str(reason)] += 1
    return scored, [f"{count} answers have no loss: {reason}" for reason, count in reasons.most_common(3)]


def _drawn(known: Iterable[Captured], now: float) -> list[Captured]:
    """What belongs to a split: answered by one variant alone, no replay, and captured of every variant by now.

    Each variant's capture arrives in its own time: what is newer than another's newest may lack the other's answers.
    """
    live = [each for each in known if not each.replayed]
    by: dict[str, set[str]] = defaultdict(set)
    newest: dict[str, float] = {}
    for each in live:
        by[each.identity].add(each.variant)
        newest[each.variant] = each.seconds
    complete = min((max(last, now - CAPTURE_SECONDS) for last in newest.values()), default=now)
    return [each for each in live if len(by[each.identity]) == 1 and each.seconds <= complete]


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


def _sample_ratio(alone: Sequence[Captured], propensities: Propensities) -> tuple[SampleRatio | None, list[str]]:
    rows, unknown = [], 0
    users: set[str] = set()
    for each in alone:
        if each.assignment is not None:
            if each.assignment.user in users:
                continue  # A user who keeps the variant is drawn once.
            users.add(each.assignment.user)
        shares = shares_of(each, propensities)
        if shares is None:
            unknown += 1
        elif max(shares.values()) < 1 or shares.get(each.variant, 0.0) == 0:
            rows.append((each.variant, shares))
    notes = (
        [f"{unknown} requests were answered while the weights changed, and are left out of the split"]
        if unknown
        else []
    )
    if not rows:
        return None, notes
    names = sorted({name for variant, shares in rows for name in (variant, *shares)})
    drawn = [names.index(variant) for variant, _ in rows]
    table = [[shares.get(name, 0.0) for name in names] for _, shares in rows]
    evidence = running_sample_ratio(drawn, table)
    expected = {name: sum(row[place] for row in table) for place, name in enumerate(names)}
    observed = Counter(variant for variant, _ in rows)
    return SampleRatio(dict(observed), expected, math.exp(-max(0.0, float(evidence.max())))), notes


def shares_of(captured: Captured, propensities: Propensities) -> Mapping[str, float] | None:
    """With what chance each variant could have answered: as the client logged it, or by the weights of the moment."""
    return captured.assignment.propensities if captured.assignment else propensities.at(captured.seconds)


def _contest(
    challenger: str, scored: Sequence[Scored], alone: set[int], material: Material, champion_loss: float
) -> Contest:
    rails = material.guardrails(challenger)
    paired = pairs(((each.answer, each.measured.loss) for each in scored), material.champion, challenger)
    split = [each for each in scored if id(each.captured) in alone]
    known = [(each, shares) for each in split if (shares := shares_of(each.captured, material.propensities))]
    drawn = [(each, shares) for each, shares in known if shares.get(challenger) and shares.get(material.champion)]
    try:
        by_pairs = len(paired) >= len(drawn) if material.design == "auto" else material.design == "pairs"
        if by_pairs:
            clusters = {each.answer.inference_id: _cluster(each, material.question, sticky=False) for each in scored}
            plan = material.question.plan(len(material.challengers), champion_loss, 0.05)
            labels = [clusters[answer.inference_id] for answer, _, _ in paired]
            losses = [champion for _, champion, _ in paired], [other for _, _, other in paired]
            return Contest(challenger, "pairs", compare_pairs(*losses, plan, labels), rails)
        return Contest(challenger, "split", _split(challenger, drawn, material, champion_loss), rails)
    except VariantError as error:
        raise UsageError(str(error)) from error


def _split(
    challenger: str, drawn: Sequence[tuple[Scored, Mapping[str, float]]], material: Material, champion_loss: float
) -> Comparison:
    champion = material.champion
    shares = {name: [row.get(name, 0.0) for _, row in drawn] for name in (champion, challenger)}
    floor = max(LEAST_FLOOR, min((min(each) for each in shares.values() if each), default=0.05) * 0.999)
    beside = [each.measured.covariate for each, _ in drawn]
    covariate = [value for value in beside if value is not None]
    return compare_split(
        [each.measured.loss for each, _ in drawn],
        [each.answer.variant for each, _ in drawn],
        shares,
        champion,
        challenger,
        material.question.plan(len(material.challengers), champion_loss, floor),
        [_cluster(each, material.question, sticky=True) for each, _ in drawn],
        covariate if len(covariate) == len(beside) else None,
    )


def _cluster(scored: Scored, question: Question, sticky: bool) -> Hashable:
    """What a request belongs together with: its user where users keep their variant, else its series and day."""
    user = scored.captured.assignment.user if scored.captured.assignment else None
    series = scored.measured.cluster
    alone = scored.answer.inference_id
    if question.cluster != "auto":
        return {"request": alone, "series-day": series or alone, "user": user or alone}[question.cluster]
    return (user or series or alone) if sticky else (series or user or alone)

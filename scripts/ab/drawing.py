"""Which answers belong to a split: those whose variant was drawn, with a chance that is known."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from polyadic.variants import running_sample_ratio
from scripts.ab.capture import Captured
from scripts.ab.propensities import Propensities

RATIO_ALPHA = 0.01
CAPTURE_SECONDS = 300.0
"""What is older is captured, of all variants."""
Shares = Mapping[str, float]


@dataclass(frozen=True)
class Drawn:
    """An answer whose variant was drawn, and with what chance each variant could have answered."""

    captured: Captured
    shares: Shares


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


def drawn_by_chance(
    captured: Iterable[Captured], propensities: Propensities, now: float
) -> tuple[list[Drawn], list[str]]:
    """The answers of a split, and what was left out of it: what is answered twice, what nobody knows the weights of.

    Each variant's capture arrives in its own time: what is newer than another's newest may lack the other's answers.
    """
    ordered = sorted(captured, key=lambda each: each.order)
    live = [(each, shares_of(each, propensities)) for each in ordered if each.replayed is None]
    draws = [(each, shares) for each, shares in live if _is_draw(each.variant, shares)]
    answered: dict[str, set[str]] = defaultdict(set)
    newest = {name: -math.inf for _, shares in draws if shares for name, share in shares.items() if share}
    for each, _ in draws:
        answered[each.identity].add(each.variant)
        newest[each.variant] = each.seconds
    complete = min((max(last, now - CAPTURE_SECONDS) for last in newest.values()), default=now)
    kept: dict[str, Drawn] = {}
    left_out = Counter[str]()
    for each, shares in draws:
        if len(answered[each.identity]) > 1:
            left_out["are of requests that several variants answered"] += 1
        elif shares is None:
            left_out["were answered while the weights changed, or were not known"] += 1
        elif each.seconds > complete:
            left_out["are newer than what is captured of another variant, and wait for it"] += 1
        else:
            kept.setdefault(each.identity, Drawn(each, shares))
    return list(kept.values()), [f"{count} answers {why}: left out of the split" for why, count in left_out.items()]


def shares_of(captured: Captured, propensities: Propensities) -> Shares | None:
    """With what chance each variant could have answered: as the client logged it, or by the weights of the moment."""
    return captured.assignment.propensities if captured.assignment else propensities.at(captured.seconds)


def _is_draw(variant: str, shares: Shares | None) -> bool:
    """Whether there was a choice, or an answer of whom could not be chosen; a shadow's copy is neither."""
    return shares is None or (variant in shares and (max(shares.values()) < 1 or shares[variant] == 0))


def sample_ratio(drawn: Sequence[Drawn]) -> SampleRatio | None:
    """Whether the draws follow their shares; None where nothing was drawn. A user who keeps a variant is drawn once."""
    once: dict[str, Drawn] = {}
    for each in drawn:
        user = each.captured.assignment.user if each.captured.assignment else None
        once.setdefault(f"id {each.captured.identity}" if user is None else f"user {user}", each)
    if not once:
        return None
    rows = list(once.values())
    names = sorted({name for row in rows for name in row.shares})
    table = [[row.shares.get(name, 0.0) for name in names] for row in rows]
    observed = Counter(row.captured.variant for row in rows)
    evidence = float(running_sample_ratio([names.index(row.captured.variant) for row in rows], table).max())
    expected = {name: sum(row[place] for row in table) for place, name in enumerate(names)}
    return SampleRatio(dict(observed), expected, math.exp(-max(0.0, evidence)))

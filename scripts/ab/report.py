"""Evidence as a table, as JSON, and as one word."""

import json
import math
from collections.abc import Sequence
from typing import Any

from scripts.ab.documents import finite
from scripts.ab.evidence import Contest, Evidence

FEW = 30
EXIT_CODES = {"better": 0, "equivalent": 10, "undecided": 11, "worse": 12, "mismatch": 13}
"""better: some challenger is; worse: all of them are; mismatch: the split cannot be read."""


def verdict(evidence: Evidence) -> str:
    """One word for all contests: mismatch first, then better, undecided, equivalent, worse."""
    if any(evidence.is_mismatched(contest) for contest in evidence.contests):
        return "mismatch"
    said = {contest.verdict for contest in evidence.contests}
    return next((word for word in ("better", "undecided", "equivalent", "worse") if word in said), "undecided")


def sentence(contest: Contest, champion: str) -> str:
    """What a contest says, for somebody who knows no statistics."""
    name, comparison = contest.challenger, contest.comparison
    rung = [rail.name for rail in contest.guardrails if rail.violated]
    if rung:
        return f"{name} breaks a guard-rail ({', '.join(rung)}): not to be promoted, whatever its loss"
    match str(comparison.verdict):
        case "better":
            return f"{name} is better than {champion}"
        case "worse":
            return f"{name} is worse than {champion}"
        case "equivalent":
            return f"{name} and {champion} differ by less than the margin"
    needed = comparison.requests_needed
    if not comparison.requests:
        return f"undecided: no request tells {name} from {champion} yet"
    if needed is None:
        hint = "" if comparison.margin else "; a --margin would let them be called equivalent"
        if len(comparison.sequence) < FEW:
            return f"undecided: {len(comparison.sequence)} facts are too few to tell"
        return f"undecided, and no number of requests is in sight: {name} and {champion} hardly differ{hint}"
    return f"undecided: about {needed:,} more requests, if the difference stays as it is"


def table(evidence: Evidence) -> str:
    """The variants, the contests, the sample ratio, and what was left out."""
    rows = [["variant", "captured", "with actual", "mean loss", "covers"]]
    for side in evidence.sides:
        covered = "-" if side.covered is None else f"{side.covered:.0%}"
        role = " (champion)" if side.variant == evidence.champion else ""
        rows.append([f"{side.variant}{role}", f"{side.captured:,}", f"{side.scored:,}", number(side.loss), covered])
    lines = [f"{evidence.endpoint}: {evidence.question.sentence()}", "", *aligned(rows), ""]
    if evidence.contests:
        lines += [*aligned(_contest_rows(evidence)), ""]
        lines += [sentence(contest, evidence.champion) for contest in evidence.contests]
    else:
        lines += [f"nothing to compare: {evidence.champion} is alone; deploy another variant, or replay one"]
    lines += [_rail_line(contest) for contest in evidence.contests if contest.guardrails]
    lines += [ratio_sentence(evidence), evidence.joined.sentence(), *evidence.notes]
    return "\n".join(line for line in lines if line is not None)


def ratio_sentence(evidence: Evidence) -> str:
    """Whether the variants got their shares."""
    ratio = evidence.ratio
    if ratio is None:
        return "sample ratio: nothing was drawn by weight"
    counts = ", ".join(
        f"{name} {ratio.observed.get(name, 0):,} of {expected:,.0f} expected"
        for name, expected in ratio.expected.items()
    )
    if ratio.mismatch:
        return (
            f"SAMPLE RATIO MISMATCH: {counts} (p {ratio.p:.2g}): something beside the weights decides who answers or "
            "is captured; find it before you read the split"
        )
    return f"sample ratio: {counts} (p {ratio.p:.2g}): as the weights say"


def as_json(evidence: Evidence) -> str:
    """One document for machines; null for what is not known or not finite."""
    ratio = evidence.ratio
    document = {
        "endpoint": evidence.endpoint,
        "champion": evidence.champion,
        "question": evidence.question.sentence(),
        "verdict": verdict(evidence),
        "variants": [vars(side) for side in evidence.sides],
        "challengers": [_contest_document(contest, evidence.champion) for contest in evidence.contests],
        "sample_ratio": None if ratio is None else {**vars(ratio), "mismatch": ratio.mismatch},
        "ratio": ratio_sentence(evidence),
        "joined": evidence.joined.sentence(),
        "notes": list(evidence.notes),
    }
    return json.dumps(finite(document))


def number(value: float | None) -> str:
    """A number of four digits, or a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines of columns, the first one flush left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _contest_rows(evidence: Evidence) -> list[list[str]]:
    rows = [["challenger", "by", "requests", "facts", "difference", "from", "to", "relative", "verdict"]]
    for contest in evidence.contests:
        comparison = contest.comparison
        low, high = comparison.interval
        relative = comparison.estimate / abs(comparison.champion) if comparison.champion else math.nan
        rows.append([
            contest.challenger, contest.design, f"{comparison.requests:,}", f"{len(comparison.sequence):,}",
            number(comparison.estimate), number(low), number(high),
            f"{relative:+.1%}" if math.isfinite(relative) else "-", contest.verdict,
        ])  # fmt: skip
    return rows


def _rail_line(contest: Contest) -> str:
    parts = []
    for rail in contest.guardrails:
        own, other = (
            f"{value:.2%}" if rail.name == "errors" else f"{1000 * value:.3g} ms"
            for value in (rail.challenger, rail.champion)
        )
        parts.append(f"{rail.name} {own} against {other}{' (TOO MUCH)' if rail.violated else ''}")
    return f"guard-rails of {contest.challenger}: {', '.join(parts)}"


def _contest_document(contest: Contest, champion: str) -> dict[str, Any]:
    comparison = contest.comparison
    low, high = comparison.interval
    return {
        "variant": contest.challenger,
        "design": contest.design,
        "verdict": contest.verdict,
        "sentence": sentence(contest, champion),
        "requests": comparison.requests,
        "facts": len(comparison.sequence),
        "difference": comparison.estimate,
        "lower": low,
        "upper": high,
        "margin": comparison.margin,
        "level": comparison.plan.level,
        "requests_needed": comparison.requests_needed,
        "guardrails": [vars(rail) for rail in contest.guardrails],
        "sequence": points(contest),
    }


def points(contest: Contest, most: int = 200) -> list[tuple[int, float, float, float]]:
    """The sequence at up to `most` looks, evenly over the logarithm of their number: (n, estimate, lower, upper)."""
    sequence = contest.comparison.sequence
    count = len(sequence)
    looks = sorted({max(1, round(count ** (place / most))) for place in range(1, most + 1)}) if count else []
    rows = (
        (look, float(sequence.estimate[look - 1]), float(sequence.lower[look - 1]), float(sequence.upper[look - 1]))
        for look in looks
    )
    return [row for row in rows if all(map(math.isfinite, row))]

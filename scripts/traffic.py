"""`python -m scripts.traffic show | split | promote | rollback`: how variants share the traffic."""

import argparse
import math
from pathlib import Path
from typing import Any

from scripts import history, weight_tags
from scripts.ab.report import ratio_sentence, sentence
from scripts.ab.study import add_arguments, rehearsed
from scripts.aws import (
    CommandError,
    Invalid,
    UsageError,
    client,
    examples,
    main,
    nearest,
    poll_argument,
    resource_name,
    shared_arguments,
    warn,
)
from scripts.compare import open_study
from scripts.endpoint import describe, failure, require_in_service, settle, shares, weights
from scripts.history import Change, Weights
from scripts.variants import weight

REMEDY = "wait for it, or give --force with a --reason that is kept"


def assignment(text: str) -> tuple[str, float]:
    """Read `VARIANT=WEIGHT`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Invalid(f"got {text!r}; allowed is VARIANT=WEIGHT, such as A=0.7")
    return name, weight(value)


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.traffic",
        description="Show and change the weights of an endpoint's variants.",
        **examples(
            "traffic show ab",
            "traffic split ab A=0.5 B=0.5",
            "traffic promote ab B",
            "traffic rollback ab",
        ),
    )
    actions = parser.add_subparsers(dest="action", required=True)
    show = actions.add_parser("show", parents=[shared_arguments()], help="print each variant's weight and share")
    changing = [shared_arguments(), poll_argument()]
    split = actions.add_parser("split", parents=changing, help="set weights; variants left out keep theirs")
    promote = actions.add_parser("promote", parents=changing, help="all traffic to what the comparison favours")
    rollback = actions.add_parser("rollback", parents=changing, help="undo the last split or promotion that stands")
    for action in (show, split, promote, rollback):
        action.add_argument("endpoint", type=resource_name, metavar="NAME")
    split.add_argument("weights", type=assignment, nargs="+", metavar="VARIANT=WEIGHT")
    promote.add_argument("variant", metavar="VARIANT")
    promote.add_argument("--force", action="store_true", help="promote whatever the comparison says; needs --reason")
    promote.add_argument("--reason", metavar="TEXT", help="kept in the history")
    add_arguments(promote)
    for action in (split, rollback):
        action.add_argument("--history", type=Path, default=Path("weights.jsonl"), metavar="FILE")
    return parser


def traffic(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says."""
    {"show": _show, "split": _split, "promote": _promote, "rollback": _rollback}[arguments.action](arguments)
    return 0


def _show(arguments: argparse.Namespace) -> None:
    answers = {"describe_endpoint": _as_described(arguments.endpoint, {})}
    description = describe(client("sagemaker", arguments, answers), arguments.endpoint)
    if not arguments.dry_run:
        print(f"endpoint {arguments.endpoint}: {description['EndpointStatus']}")
        _print_table(weights(description))


def _print_table(weight: Weights) -> None:
    width = max(len("variant"), *map(len, weight))
    share = shares(weight)
    print(f"{'variant':<{width}}  weight   share")
    for name, value in weight.items():
        print(f"{name:<{width}}  {value:<6g}  {share[name]:>6.1%}")


def _split(arguments: argparse.Namespace) -> None:
    after = dict(arguments.weights)
    if len(after) < len(arguments.weights):
        raise UsageError("a variant is given twice; give each one weight")
    _change(arguments, after)


def _promote(arguments: argparse.Namespace) -> None:
    if bool(arguments.force) != bool(arguments.reason and arguments.reason.strip()):
        raise UsageError("--force and --reason TEXT go together: give both, or neither")
    sagemaker = client("sagemaker", arguments, rehearsed(arguments.variant))
    now = weights(describe(sagemaker, arguments.endpoint))
    if arguments.variant not in now:
        raise UsageError(
            f"endpoint {arguments.endpoint!r} has no variant {arguments.variant!r} with a weight; "
            f"{nearest(arguments.variant, now)} (a shadow is deployed as a variant first)"
        )
    reason = f"forced: {arguments.reason.strip()}" if arguments.force else _evidence(arguments)
    _change(arguments, {name: float(name == arguments.variant) for name in now}, reason=reason)


def _evidence(arguments: argparse.Namespace) -> str:
    """What the comparison says for a promotion; a CommandError where it says nothing for it."""
    try:
        study = open_study(arguments)
        if not (study.is_asked or arguments.loss or arguments.dry_run):
            raise CommandError(
                f"nobody has asked which variant is better: `python -m scripts.compare {arguments.endpoint}`"
            )
        evidence = study.look()
    except UsageError:
        raise
    except CommandError as error:
        raise CommandError(f"not promoted: {error}; {REMEDY}") from error
    if arguments.dry_run:
        return "rehearsed"
    contest = evidence.contest(arguments.variant)
    if contest is None:
        raise CommandError(
            f"{arguments.variant} is the champion already; there is nothing to promote it over (`traffic split` gives "
            "it all of the traffic)"
        )
    said = ratio_sentence(evidence) if evidence.is_mismatched(contest) else sentence(contest, evidence.champion)
    if evidence.is_mismatched(contest) or contest.verdict not in ("better", "equivalent"):
        raise CommandError(f"not promoted: {said}; {REMEDY}")
    print(said)
    return said


def _rollback(arguments: argparse.Namespace) -> None:
    last = history.last_standing(history.read(arguments.history, arguments.endpoint))
    if last is None:
        name = arguments.endpoint
        raise CommandError(f"nothing to roll back: {arguments.history} holds no standing split of {name!r}")
    _change(arguments, last.before, expected=last.after)


def _change(
    arguments: argparse.Namespace, wanted: Weights, expected: Weights | None = None, reason: str | None = None
) -> None:
    """Set the wanted weights in one call, record the change, wait until it holds."""
    name = arguments.endpoint
    sagemaker = client("sagemaker", arguments, {"describe_endpoint": _as_described(name, expected or wanted)})
    description = describe(sagemaker, name)
    before = weights(description)
    _check(name, before, wanted)
    require_in_service(description)
    if expected is not None and not _equal(before, expected):
        warn(f"the weights are not those of the last recorded change, {expected}; they were {before}")
    if not arguments.dry_run:
        history.require_appendable(arguments.history)
    desired = [{"VariantName": variant, "DesiredWeight": value} for variant, value in wanted.items()]
    change = Change(history.now(), name, arguments.action, before, before | wanted, reason=reason)
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=desired)
    if arguments.dry_run:
        return
    history.append(arguments.history, change)
    reached = settle(sagemaker, name, arguments.poll)
    if not _equal(weights(reached), change.after):
        raise CommandError(f"endpoint {name} went back to {weights(reached)}: {failure(reached)}")
    weight_tags.tag(sagemaker, reached["EndpointArn"], history.settle(arguments.history, change))
    _print_table(change.after)


def _check(endpoint: str, before: Weights, wanted: Weights) -> None:
    for name in wanted:
        if name not in before:
            raise UsageError(f"endpoint {endpoint!r} has no variant {name!r}; {nearest(name, before)}")
    if not any((before | wanted).values()):
        raise UsageError("all weights would be 0; give at least one variant a weight above 0")


def _equal(left: Weights, right: Weights) -> bool:
    # AWS keeps weights in single precision.
    same_names = left.keys() == right.keys()
    return same_names and all(math.isclose(left[name], right[name], rel_tol=1e-5) for name in left)


def _as_described(endpoint: str, weight: Weights) -> dict[str, Any]:
    variants = [{"VariantName": name, "CurrentWeight": value} for name, value in weight.items()]
    return {"EndpointName": endpoint, "EndpointStatus": "InService", "ProductionVariants": variants}


if __name__ == "__main__":
    main(traffic, parser())

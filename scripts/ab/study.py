"""The study of one endpoint: where its capture and actuals lie, who is the champion, and what is asked."""

import argparse
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from polyadic.variants import guardrails
from scripts import history, weight_tags
from scripts.ab.actuals import ActualsReader
from scripts.ab.capture import Captured, CaptureReader, require_captured
from scripts.ab.evidence import Evidence, Material, gather
from scripts.ab.measures import MEASURES, Numbers
from scripts.ab.places import actuals_uri, capture_uri, replay_uri
from scripts.ab.propensities import Propensities, model_starts
from scripts.ab.question import CLUSTERS, TAG, Question, read_tag
from scripts.ab.scoring import Scores
from scripts.aws import CommandError, Invalid, UsageError, nearest, s3_uri
from scripts.endpoint import describe, weights

SHADOWS = "ShadowProductionVariants"
MOST_DATAPOINTS = 1440
"""That one answer of CloudWatch's may have."""


def rehearsed(*names: str | None) -> dict[str, Any]:
    """What a rehearsal takes for the answers of AWS: an endpoint with the variants that the arguments name."""
    variants = dict.fromkeys(("A", "B", *filter(None, names)), 0.1)
    return {
        "describe_endpoint": {
            "EndpointName": "NAME",
            "EndpointArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint/name",
            "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
            "DataCaptureConfig": {"DestinationS3Uri": "s3://DestinationS3Uri-from-DescribeEndpoint"},
            "ProductionVariants": [{"VariantName": name, "CurrentWeight": each} for name, each in variants.items()],
        }
    }


def share(text: str) -> float:
    """Read a share such as 0.02, or a percentage such as 2%."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise Invalid(f"got {text!r}; allowed is a share from 0 to 1 such as 0.02, or a percentage such as 2%")
    return value


def topics(text: str) -> tuple[str, Path]:
    """Read `VARIANT=FILE.npy`."""
    name, equals, path = text.partition("=")
    if not name or not equals:
        raise Invalid(f"got {text!r}; allowed is VARIANT=FILE.npy")
    return name, Path(path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a comparison, for every command that makes one."""
    asked = parser.add_argument_group("the question, which the first comparison fixes for all later ones")
    asked.add_argument("--loss", choices=MEASURES, help="default: pinball, the scaled loss of a forecast's quantiles")
    asked.add_argument("--champion", metavar="VARIANT", help="default: the variant with the greatest weight")
    asked.add_argument("--season", type=int, metavar="STEPS", help="of the series, for pinball and mase; default: 1")
    asked.add_argument(
        "--freq", help="of the series, such as 15min or H: forecasts of a series on one day are one fact"
    )
    asked.add_argument("--column", help="of the actuals, for --loss column")
    asked.add_argument("--higher-is-better", action="store_true", default=None, help="of the column")
    asked.add_argument("--alpha", type=share, help="how many verdicts may be wrong, over all looks; default: 5%%")
    asked.add_argument("--margin", type=share, help="what counts as no difference, as a share of the champion's loss")
    asked.add_argument("--horizon", type=int, metavar="N", help="after how many facts the interval is tightest: 2000")
    asked.add_argument("--low", type=float, help="least loss there can be, with --high: an interval that is exact")
    asked.add_argument("--high", type=float, help="greatest loss there can be")
    asked.add_argument("--cluster", choices=CLUSTERS, help="what is one fact")
    asked.add_argument(
        "--p99-ms",
        type=float,
        metavar="MS",
        help="a guard-rail on the column `seconds` of the actuals; default: by the champion's",
    )
    asked.add_argument("--ask-anew", action="store_true", help="replace the question; earlier looks no longer count")
    parser.add_argument(
        "--design", choices=("auto", "pairs", "split"), default="auto", help="default: by what there is"
    )
    parser.add_argument("--capture", type=s3_uri, metavar="S3URI", help="default: where the endpoint captures")
    parser.add_argument("--actuals", type=s3_uri, metavar="S3URI", help="default: where scripts.feedback puts them")
    parser.add_argument("--topics", type=topics, action="append", default=[], metavar="VARIANT=FILE.npy")
    parser.add_argument("--history", type=Path, default=Path("weights.jsonl"), metavar="FILE")


class Study:
    """Looks at an endpoint again and again; what was read once is not read again."""

    def __init__(self, arguments: argparse.Namespace, sagemaker: Any, s3: Any, cloudwatch: Any) -> None:
        self._arguments, self._sagemaker, self._cloudwatch = arguments, sagemaker, cloudwatch
        name = arguments.endpoint
        description = describe(sagemaker, name)
        self._arn = description.get("EndpointArn", "")
        capture = (arguments.capture or capture_uri(description)).rstrip("/")
        self._uri = capture
        live, replays = CaptureReader(s3, capture, name), CaptureReader(s3, replay_uri(capture), name, replayed=True)
        self._readers: tuple[CaptureReader, CaptureReader] = live, replays
        self._actuals = ActualsReader(s3, arguments.actuals or actuals_uri(capture, name))
        self._tags = weight_tags.all_tags(sagemaker, self._arn) if self._arn else {}
        self._new_tag: dict[str, str] | None = None
        self.question = self._asked(description)
        self._scores = Scores()
        self._topics = {variant: _read_topics(path) for variant, path in arguments.topics}

    @property
    def is_asked(self) -> bool:
        """Whether an earlier comparison has fixed the question."""
        return self._new_tag is None

    def look(self) -> Evidence:
        """What is known now."""
        name, champion = self._arguments.endpoint, str(self.question.champion)
        description = describe(self._sagemaker, name)
        captured = [each for reader in self._readers for each in reader.read()]
        if not self._arguments.dry_run and getattr(self._arguments, "watch", None) is None:
            require_captured(captured, self._uri, name)
        self._fix()
        now, known = weights(description), weight_tags.known(self._tags_now(), self._arguments.history, name)
        starts, since = model_starts(known.changes), _since(known.changes, description)
        current = [each for each in captured if is_of_today(each, starts)]
        variants = dict.fromkeys([*now, *_shadows(description), *sorted({each.variant for each in current})])
        return gather(
            Material(
                name,
                champion,
                [variant for variant in variants if variant != champion],
                current,
                self._actuals.read(),
                Propensities(known.changes, now, known.forgotten),
                self.question,
                time.time(),
                self._arguments.design,
                self._topics,
                self._guardrails(champion, since),
                self._left_out(len(captured) - len(current)),
                self._scores,
                since.timestamp() if known.changes else -math.inf,
            )
        )

    def _left_out(self, older: int) -> list[str]:
        broken = self._actuals.broken + sum(reader.broken for reader in self._readers)
        notes = [f"{broken} lines are broken, and count nowhere"] if broken else []
        why = "are of models that served before under the same name, or of the time of their replacement"
        return notes + ([f"{older} answers {why}, and are left out"] if older else [])

    def _tags_now(self) -> dict[str, str]:
        return weight_tags.all_tags(self._sagemaker, self._arn) if self._arn else {}

    def _asked(self, description: dict[str, Any]) -> Question:
        """The question that the endpoint's tag has, or the first one, which becomes the tag."""
        arguments = self._arguments
        given = {
            key: value for key in Question.__dataclass_fields__ if (value := getattr(arguments, key, None)) is not None
        }
        fixed = read_tag(self._tags[TAG]) if TAG in self._tags and not arguments.ask_anew else None
        if fixed is not None:
            serving = {*weights(description), *_shadows(description)}
            if fixed.champion not in serving and not arguments.dry_run:
                raise UsageError(
                    f"the question's champion {fixed.champion!r} serves no longer; ask with --ask-anew --champion "
                    f"VARIANT: {nearest(str(fixed.champion), serving)}"
                )
            changed = [key for key, value in given.items() if value != getattr(fixed, key)]
            if changed:
                raise UsageError(
                    f"--{changed[0].replace('_', '-')} differs from what was asked first ({fixed.sentence()}); a "
                    "question that changes with what one sees is wrong more often than it says: give --ask-anew if "
                    "you must"
                )
            return fixed
        question = _with_champion(Question(**given), description)
        question.check()
        self._new_tag = question.tag()
        return question

    def _fix(self) -> None:
        """Keep the question, once there was something to ask it of."""
        if self._arn and self._new_tag is not None:
            self._sagemaker.add_tags(ResourceArn=self._arn, Tags=[self._new_tag])
            self._new_tag = None

    def _guardrails(self, champion: str, since: datetime) -> Callable[[str], tuple[guardrails.Guardrail, ...]]:
        """The guard-rail of errors, of the requests that CloudWatch counted since a moment."""
        counts = {champion: self._errors(champion, since)}

        def rails(challenger: str) -> tuple[guardrails.Guardrail, ...]:
            own = self._errors(challenger, since)
            return (guardrails.errors(counts[champion], own),) if own[1] and counts[champion][1] else ()

        return rails

    def _errors(self, variant: str, since: datetime) -> tuple[int, int]:
        """How many requests of a variant failed by its server's fault, and how many there were."""
        failed, requests = (self._sum(name, variant, since) for name in ("Invocation5XXErrors", "Invocations"))
        return min(failed, requests), requests

    def _sum(self, metric: str, variant: str, since: datetime) -> int:
        now = datetime.now(UTC) + timedelta(minutes=1)  # CloudWatch counts in whole minutes.
        answer = self._cloudwatch.get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[
                {"Name": "EndpointName", "Value": self._arguments.endpoint},
                {"Name": "VariantName", "Value": variant},
            ],
            StartTime=since,
            EndTime=now,
            Period=_period((now - since).total_seconds()),
            Statistics=["Sum"],
        )
        return round(float(sum(point["Sum"] for point in answer.get("Datapoints", []))))


def _period(seconds: float) -> int:
    """The least period that CloudWatch allows for metrics so old, in one answer."""
    days = seconds / 86400
    unit = 60 if days < 15 else 300 if days < 63 else 3600
    return unit * max(1, math.ceil(seconds / unit / MOST_DATAPOINTS))


def is_of_today(captured: Captured, starts: Mapping[str, float]) -> bool:
    """Whether an answer is of the model that the variant has now."""
    moment = captured.seconds if captured.replayed is None else captured.replayed
    return moment >= starts.get(captured.variant, -math.inf)


def _since(changes: Iterable[history.Change], description: Mapping[str, Any]) -> datetime:
    """Since when the shares are what they are: over a change of shares, counts of good and bad hours would be mixed."""
    changed = [history.seconds_of(each.settled or each.time) for each in changes]
    return datetime.fromtimestamp(max(changed), UTC) if changed else description["CreationTime"]


def _with_champion(question: Question, description: Mapping[str, Any]) -> Question:
    """The question with its champion, which is by default the variant with the greatest weight."""
    now = weights(dict(description))
    if not now:
        raise CommandError(f"endpoint {description['EndpointName']} serves no variant: {description['EndpointStatus']}")
    if question.champion is not None and question.champion not in {*now, *_shadows(description)}:
        raise UsageError(f"the endpoint has no variant {question.champion!r}; {nearest(question.champion, now)}")
    return replace(question, champion=question.champion or max(now, key=lambda name: now[name]))


def _shadows(description: Mapping[str, Any]) -> list[str]:
    return [variant["VariantName"] for variant in description.get(SHADOWS) or []]


def _read_topics(path: Path) -> Numbers:
    try:
        topics = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(
            f"cannot read the topics {path}: {error}; give a K x V matrix as numpy.save writes it"
        ) from error
    if topics.ndim != 2 or topics.dtype.kind not in "fiu":
        raise UsageError(f"{path} holds {topics.dtype} of shape {topics.shape}; allowed is a K x V matrix of numbers")
    return np.asarray(topics, dtype=np.float64)

"""What a comparison asks, fixed before anyone looks: a tag of the endpoint keeps it, so that every look asks alike."""

import math
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from polyadic.variants import Plan, VariantError
from scripts.ab.measures import FREQUENCY, MEASURES
from scripts.aws import UsageError

TAG = "polyadic:comparison"
TAG_CHARACTERS = 256
DESIGNS = 2
"""Pairs and split; who may take either takes the better one, so that both share the level."""
CLUSTERS = ("auto", "request", "series-day", "user")
TAG_TEXT = re.compile(r"[\w .:/=+\-@]*")


@dataclass(frozen=True)
class Question:
    """The options of `scripts.compare`. margin: a share of the champion's mean loss. column: of the actuals."""

    loss: str = "pinball"
    champion: str | None = None
    season: int = 1
    freq: str | None = None
    column: str | None = None
    higher_is_better: bool = False
    alpha: float = 0.05
    margin: float = 0.0
    horizon: int = 2000
    low: float | None = None
    high: float | None = None
    cluster: str = "auto"
    p99_ms: float | None = None

    def check(self) -> None:
        """A UsageError for what cannot be asked."""
        if self.loss not in MEASURES or self.cluster not in CLUSTERS:
            raise UsageError(f"got loss {self.loss!r} and cluster {self.cluster!r}; one of them is not known")
        if (self.loss == "column") != (self.column is not None):
            raise UsageError("--loss column and --column NAME go together: give both, or neither")
        if (self.low is None) != (self.high is None):
            raise UsageError("--low and --high go together: give both, or neither")
        if self.low is not None and self.high is not None and not -math.inf < self.low < self.high < math.inf:
            raise UsageError(f"got --low {self.low} --high {self.high}; allowed are two numbers, the lower first")
        if self.season < 1 or self.horizon < 1:
            raise UsageError(f"got season {self.season}, horizon {self.horizon}; allowed are numbers of 1 or more")
        if self.freq is not None and not FREQUENCY.fullmatch(self.freq):
            raise UsageError(f"got --freq {self.freq!r}; allowed are frequencies such as 15min, H, D or W-MON")
        if self.p99_ms is not None and not 0 < self.p99_ms < math.inf:
            raise UsageError(f"got --p99-ms {self.p99_ms:g}; allowed is a number of milliseconds above 0")
        self.plan(1, 0.05)

    def plan(self, challengers: int, floor: float) -> Plan:
        """The plan of the statistics: each challenger may be compared by pairs and by a split."""
        bounds = None if self.low is None or self.high is None else (self.low, self.high)
        sign = -1 if self.higher_is_better else 1
        if bounds is not None and sign < 0:
            bounds = (-bounds[1], -bounds[0])
        tests = DESIGNS * max(1, challengers)
        try:
            return Plan(self.alpha, 0.0, self.margin, self.horizon, bounds, floor, tests)
        except VariantError as error:
            raise UsageError(str(error)) from error

    def sentence(self) -> str:
        """What is asked, for a reader."""
        what = f"{self.column} ({'more' if self.higher_is_better else 'less'} is better)" if self.column else self.loss
        season = f", season {self.season}" if self.loss in ("pinball", "mase") else ""
        margin = f", margin {self.margin:.2%}" if self.margin else ", no margin"
        return f"{what}{season}; of equal models at most {self.alpha:.1%} ever get a winner{margin}"

    def tag(self) -> dict[str, str]:
        """The question as a tag: what differs from the defaults."""
        default = Question()
        told = {name: value for name, value in asdict(self).items() if value != getattr(default, name)}
        text = " ".join(f"{name}={value}" for name, value in told.items()) or "defaults"
        if len(text) > TAG_CHARACTERS or not TAG_TEXT.fullmatch(text) or any(" " in str(v) for v in told.values()):
            raise UsageError(
                f"the question {text!r} does not fit a tag; take shorter names, of letters and digits alone"
            )
        return {"Key": TAG, "Value": text}


def read_tag(text: str) -> Question:
    """The question that a tag keeps; a UsageError where it is none."""
    kinds = {each.name: str(each.type) for each in fields(Question)}
    words = [word.partition("=") for word in text.split()] if text != "defaults" else []
    try:
        question = Question(**{name: _read(kinds[name], value) for name, _, value in words})
        question.check()
    except (KeyError, ValueError, UsageError) as error:
        raise UsageError(f"the tag {TAG} is {text!r}, which is no question; give --ask-anew to replace it") from error
    return question


def _read(kind: str, value: str) -> Any:
    if "bool" in kind:
        return value == "True"
    if "str" in kind:
        return value
    return int(value) if "int" in kind else float(value)

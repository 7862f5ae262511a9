"""Runs `python -m scripts.compare` beside the page: only while somebody looks, and only when there is something new."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from local_mode.front_door import surroundings
from local_mode.front_door.hosting.endpoints import KIND
from local_mode.front_door.page.comparison import ComparisonView
from local_mode.front_door.page.reading import Reader
from local_mode.front_door.resources import Document

ROOT = Path(__file__).parents[3]
QUESTION = "polyadic:comparison"
"""The tag that `scripts.compare` keeps its question in."""
PAUSE_SECONDS = 10.0
LIMIT_SECONDS = 120.0
VERDICT_CODES = {0, 10, 11, 12, 13}
COUNT = "SELECT count(*) FROM documents WHERE kind = 'object' AND name >= ? AND name < ?"


@dataclass
class _Look:
    """The last look at an endpoint: at what, when, and what it said."""

    at: tuple[object, ...] = ()
    ended: float = 0.0
    view: ComparisonView | None = None


class Comparisons:
    """The comparison of each endpoint, at most some seconds old; it is made in another process, of low priority."""

    def __init__(self, reader: Reader, state: Path) -> None:
        self._reader, self._state = reader, state
        self._lock, self._busy = threading.Lock(), threading.Semaphore()
        self._looks: dict[str, _Look] = {}

    def of(self, name: str, url: str) -> ComparisonView | None:
        """What is known now; None where nothing is captured. Starts a new look where there is something new."""
        document = self._reader.get(KIND, name)
        capture = (document or {}).get("DataCaptureConfig") or {}
        if document is None or not capture.get("DestinationS3Uri"):
            return None
        if not any(tag["Key"] == QUESTION for tag in document.get("Tags") or []):
            return ComparisonView(
                "nothing is asked yet",
                problem=f"python -m scripts.compare {name} --loss ... asks which variant is better",
            )
        now = self._material(document, capture["DestinationS3Uri"])
        with self._lock:
            look = self._looks.setdefault(name, _Look())
            new = look.at != now and time.monotonic() - look.ended > PAUSE_SECONDS
            if new and self._busy.acquire(blocking=False):
                look.at = now
                threading.Thread(target=self._compare, args=(name, url, look), daemon=True).start()
        return look.view or ComparisonView("is being made")

    def _material(self, document: Document, destination: str) -> tuple[object, ...]:
        """What a comparison is made of, as far as it must be known to tell that something is new."""
        prefix = destination.removeprefix("s3://").rstrip("/")  # Replays and actuals begin with it as well.
        count = self._reader.count(COUNT, prefix, prefix + "\U0010ffff")
        weights = [(each["VariantName"], each["CurrentWeight"]) for each in document["ProductionVariants"]]
        return count, str(weights), str(document.get("Tags"))

    def _compare(self, name: str, url: str, look: _Look) -> None:
        try:
            look.view = self._run(name, url)
        except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            look.view = ComparisonView("none", problem=f"scripts.compare did not end as it should: {error!r}")
        finally:
            look.ended = time.monotonic()
            self._busy.release()

    def _run(self, name: str, url: str) -> ComparisonView:
        command = ["nice", "-n", "10", sys.executable, "-m", "scripts.compare", name, "--json"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        kept |= surroundings.variables(self._state / surroundings.SETTINGS_FILE, url)
        done = subprocess.run(
            [*command, "--history", str(self._state / "weights.jsonl")],
            cwd=ROOT, env=kept, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=LIMIT_SECONDS,
        )  # fmt: skip
        if done.returncode not in VERDICT_CODES:
            words = done.stderr.strip().splitlines() or ["scripts.compare said nothing"]
            return ComparisonView("none yet", problem=words[-1].removeprefix("error: "))
        return ComparisonView.of(json.loads(done.stdout))

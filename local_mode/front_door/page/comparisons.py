"""Runs `python -m scripts.compare` beside the page: only while somebody looks, and only when there is something new."""

import json
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
SETTLING_SECONDS, SETTLING_STEP_SECONDS = 360.0, 60.0
COUNT = "SELECT count(*) FROM documents WHERE kind = 'object' AND name >= ? AND name < ?"
NEWEST = (
    "SELECT coalesce(max(cast(strftime('%s', json_extract(document, '$.modified')) AS INTEGER)), 0) FROM documents "
    "WHERE kind = 'object' AND name >= ? AND name < ?"
)


@dataclass
class _Look:
    """The last look at an endpoint: at what, when it ended, and what it said."""

    material: tuple[object, ...] = ()
    ended: float = 0.0
    view: ComparisonView | None = None


class Comparisons:
    """The comparison of each endpoint, at most some seconds old; it is made in another process, of low priority."""

    def __init__(self, reader: Reader, state: Path) -> None:
        self._reader, self._state = reader, state
        self._lock, self._busy = threading.Lock(), threading.Semaphore()
        self._looks: dict[str, _Look] = {}
        self._process: subprocess.Popen[str] | None = None
        self._closing = False

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
        material = self._material(document, capture["DestinationS3Uri"])
        with self._lock:
            look = self._looks.get(name)
            if look is None or look.material[:1] != material[:1]:  # Another endpoint of that name.
                look = self._looks[name] = _Look()
            is_new = look.material != material and time.monotonic() - look.ended > PAUSE_SECONDS
            if is_new and not self._closing and self._busy.acquire(blocking=False):
                look.material = material
                threading.Thread(target=self._compare, args=(name, url, look), daemon=True).start()
        return look.view or ComparisonView("is being made")

    def close(self) -> None:
        """Ends the look that is under way."""
        with self._lock:
            self._closing = True
            if self._process is not None:
                self._process.kill()

    def _material(self, document: Document, destination: str) -> tuple[object, ...]:
        """What a comparison is made of, as far as it must be known to tell that something is new.

        For some minutes after the last object time alone is something new: what one variant captured waits for the
        others, and CloudWatch counts later.
        """
        prefix = destination.removeprefix("s3://").rstrip("/")  # Replays and actuals begin with it as well.
        count = self._reader.count(COUNT, prefix, prefix + "\U0010ffff")
        newest = self._reader.count(NEWEST, prefix, prefix + "\U0010ffff")
        age = time.time() - newest
        weights = [(each["VariantName"], each["CurrentWeight"]) for each in document["ProductionVariants"]]
        settling = int(age // SETTLING_STEP_SECONDS) if age < SETTLING_SECONDS else None
        return document["CreationTime"], count, str(weights), str(document.get("Tags")), settling

    def _compare(self, name: str, url: str, look: _Look) -> None:
        try:
            look.view = self._run(name, url)
        except subprocess.TimeoutExpired:
            self._failed(look, f"scripts.compare did not end within {LIMIT_SECONDS:g} seconds")
        except (OSError, ValueError, KeyError) as error:
            self._failed(look, f"scripts.compare did not say what it should: {error}")
        finally:
            look.ended = time.monotonic()
            self._busy.release()

    def _failed(self, look: _Look, problem: str) -> None:
        look.view, look.material = ComparisonView("none", problem=problem), look.material[:1]

    def _run(self, name: str, url: str) -> ComparisonView:
        command = ["nice", "-n", "10", sys.executable, "-m", "scripts.compare", name, "--json"]
        with self._lock:
            if self._closing:
                return ComparisonView("none")
            self._process = subprocess.Popen(
                [*command, "--history", str(self._state / "weights.jsonl")],
                cwd=ROOT, env=surroundings.environment(self._state / surroundings.SETTINGS_FILE, url), text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        with self._process as process:
            try:
                printed, said = process.communicate(timeout=LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        if process.returncode not in VERDICT_CODES:
            words = said.strip().splitlines() or ["scripts.compare said nothing"]
            return ComparisonView("none yet", problem=words[-1].removeprefix("error: "))
        return ComparisonView.of(json.loads(printed))

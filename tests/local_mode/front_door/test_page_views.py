"""The page's views of a store that a test has filled: what they show, escape, replace, and how fast."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local_mode.front_door.page import logs
from local_mode.front_door.page.charts import LEFT, RIGHT, WIDTH, line_chart, sequence_chart
from local_mode.front_door.page.comparison import ComparisonRow, ComparisonView, Sequence, SequencePoint
from local_mode.front_door.page.curves import MOST_POINTS, Curves
from local_mode.front_door.page.fragments import Renderer
from local_mode.front_door.page.reading import Reader
from local_mode.front_door.page.units import duration, latency, rate, share
from local_mode.front_door.page.views import Views
from local_mode.front_door.server import FrontDoor, FrontDoorSettings
from local_mode.front_door.store import Store
from local_mode.processes import ProcessBackend

EVIL = "<script>alert(1)</script>"
COMPARED = ComparisonView(
    "better",
    "squared-error; no margin",
    (f"B is better than A {EVIL}", "as the weights say"),
    (
        ComparisonRow("A", 120, 0.42, None, None, None, "champion"),
        ComparisonRow("B", 118, 0.40, -0.02, -0.035, -0.004, "better (pairs)"),
    ),
    (
        Sequence(
            "B less A",
            (
                SequencePoint(10, -0.01, float("-inf"), float("inf")),
                SequencePoint(20, -0.01, -0.3, 0.28),
                SequencePoint(70, -0.02, -0.05, 0.01),
                SequencePoint(120, -0.02, -0.035, -0.004),
            ),
            0.01,
        ),
    ),
)


def document(name: str, moment: float, **members: Any) -> dict[str, Any]:
    """A training job as the store has it."""
    return {
        "TrainingJobName": name,
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "SecondaryStatusTransitions": [{"Status": "Starting", "StartTime": moment, "EndTime": moment + 2.0}],
        "CreationTime": moment,
        "TrainingEndTime": moment + 75,
        "AlgorithmSpecification": {"TrainingImage": "polyadic", "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
        "HyperParameters": {"padding": "x" * 1_000},
        **members,
    }


class Filled:
    """A store, and the views of it."""

    def __init__(self, state: Path) -> None:
        self.state, self.store = state, Store(state)
        self.pool = ThreadPoolExecutor(1)
        self.door = FrontDoor(FrontDoorSettings(0, state / "door", ProcessBackend))
        self.reader = Reader(state)
        self.renderer = Renderer(environment="environment", tags={}, below="/_page/")
        self.renderer._environment.globals["tags"] = dict.fromkeys(
            ("icon.svg", "pico.min.css", "page.css", "htmx.min.js", "page.js"), ""
        )
        self.views = Views(self.renderer, self.reader, self.door.runtime, state, lambda name, url: COMPARED)

    def job(self, name: str, moment: float = 0.0, **members: Any) -> None:
        self.store.put("training-job", name, document(name, moment, **members))

    def endpoint(self, name: str, **members: Any) -> None:
        variants = [
            {"VariantName": variant, "CurrentWeight": weight, "CurrentInstanceCount": 1}
            for variant, weight in (("A", 3.0), ("B", 1.0))
        ]
        config = {"ProductionVariants": [{"VariantName": each, "ModelName": f"model-{each}"} for each in "AB"]}
        endpoint = {"EndpointName": name, "EndpointStatus": "InService", "EndpointConfigName": "c", "CreationTime": 0.0}
        self.store.put("endpoint", name, {**endpoint, "ProductionVariants": variants, "Config": config, **members})

    def overview(self, number: int = 1) -> str:
        return self.renderer.page(self.views.overview(number, 1, "token", None, ""), here="/_page/overview")

    def close(self) -> None:
        self.reader.close()
        self.pool.shutdown()
        self.door.close()
        self.store.close()


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Filled]:
    made = Filled(tmp_path / "state")
    yield made
    made.close()


def test_an_empty_page_says_what_to_type_first(filled: Filled) -> None:
    page = filled.overview()
    assert "source environment\npython examples/fit_and_deploy.py" in page
    filled.job("one")
    assert "examples/fit_and_deploy.py" not in filled.overview() and "scripts.deploy --help" in filled.overview()


def test_names_reasons_and_lines_are_escaped(filled: Filled) -> None:
    filled.job("one", TrainingJobStatus="Failed", FailureReason=f"AlgorithmError: {EVIL}", HyperParameters={EVIL: EVIL})
    folder = filled.state / "logs"
    folder.mkdir()
    line = {"timestamp": 1, "message": EVIL}
    (folder / "%2Faws%2Fsagemaker%2FTrainingJobs%2Fone%2Falgo-1.jsonl").write_text(json.dumps(line) + "\n")
    filled.endpoint("ab", FailureReason=EVIL)
    job = filled.renderer.page(filled.views.training("one"), here="/_page/training/one")
    for page in (filled.overview(), job):
        assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert not re.search(r"<script>|\sstyle=|\son\w+=", page)
    assert job.count("&lt;script&gt;") == 4


def test_a_thousand_jobs_are_shown_by_pages_and_fast(filled: Filled) -> None:
    for number in range(1_000):
        filled.job(f"job-{number:04d}", float(number))
    first = filled.overview()
    assert "job-0999" in first and "job-0980" in first and "job-0979" not in first
    assert "page 1 of 50" in first and len(first) < 50_000
    assert "job-0000" in filled.overview(50) and "job-0000" in filled.overview(51)
    times = []
    for number in range(20):
        filled.job("job-0999", 999.0, Changed=number)  # What was read is no longer true.
        began = time.perf_counter()
        filled.renderer.changes(filled.views.overview(1, 1, "token", None, ""), [])
        times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.1, times


def test_only_what_has_changed_is_sent(filled: Filled) -> None:
    filled.job("one")
    filled.endpoint("ab")
    keys = re.findall(r'name="seen" value="([^"]+)"', filled.overview())
    assert filled.renderer.changes(filled.views.overview(1, 1, "token", None, ""), keys) == ""
    filled.job("two", 5.0)
    changes = filled.renderer.changes(filled.views.overview(1, 1, "token", None, ""), keys)
    assert re.findall(r'<div id="([^"]+)"', changes) == ["trainings"] and 'hx-swap-oob="true"' in changes
    without = [key for key in keys if not key.startswith("trainings")]
    assert filled.renderer.changes(filled.views.overview(1, 1, "token", None, ""), without) == ""


def test_endpoints_come_and_go(filled: Filled) -> None:
    filled.endpoint("ab")
    keys = re.findall(r'name="seen" value="([^"]+)"', filled.overview())
    filled.endpoint("new")
    filled.store.drop("endpoint", "ab")
    changes = filled.renderer.changes(filled.views.overview(1, 1, "token", None, ""), keys)
    assert '<div hx-swap-oob="beforeend:#endpoints"><article id="endpoint-new">' in changes
    assert '<div id="endpoint-ab" hx-swap-oob="delete"></div>' in changes


def test_a_job_shows_its_curve_its_steps_and_its_progress(filled: Filled) -> None:
    filled.job("one", 100.0, TrainingJobStatus="InProgress", HyperParameters={"epochs": "8"})
    (filled.state / "metrics").mkdir()
    (filled.state / "logs").mkdir()
    with (filled.state / "metrics" / "metrics.jsonl").open("w") as file:
        for moment, value in ((50.0, 9.0), (101.0, 3.0), (102.5, 2.0)):
            file.write(json.dumps(metric("one", moment, value)) + "\n")
        file.write('{"cut short')
    line = {"timestamp": 1, "message": "#quality_metric: host=algo-1, epoch=5, train loss <loss>=2"}
    (filled.state / "logs" / "%2Faws%2Fsagemaker%2FTrainingJobs%2Fone%2Falgo-1.jsonl").write_text(json.dumps(line))
    page = filled.renderer.page(filled.views.training("one"), here="/_page/training/one")
    assert '<progress value="5" max="8">' in page and "5 of 8 epochs" in page
    assert "train:loss: <strong>2</strong> <small>2 values</small>" in page  # The first was of a job before it.
    assert "2 × ml.m5.large" in page and "2.0 s" in page


def metric(job: str, moment: float, value: float) -> dict[str, Any]:
    """A line of CloudWatch's file."""
    values = {"Sum": value, "Minimum": value, "Maximum": value, "SampleCount": 1}
    dimensions = [{"Name": "TrainingJobName", "Value": job}]
    return {
        "namespace": "/aws/sagemaker/TrainingJobs", "dimensions": dimensions, "name": "train:loss", "moment": moment,
        "unit": "None", "values": values,
    }  # fmt: skip


def test_curves_follow_their_file_and_stay_small(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    curves = Curves(file)
    assert curves.of("one", 0.0) == {}
    with file.open("a") as stream:
        stream.writelines(json.dumps(metric("one", float(each), float(each))) + "\n" for each in range(5_000))
    points = curves.of("one", 0.0)["train:loss"]
    assert len(points) <= MOST_POINTS and points[0] == (0.0, 0.0) and points[-1] == (4_999.0, 4_999.0)
    with file.open("a") as stream:
        stream.write(json.dumps(metric("one", 6_000.0, 7.0)) + "\n")
    assert curves.of("one", 0.0)["train:loss"][-1] == (6_000.0, 7.0)
    assert curves.of("other", 0.0) == {}


def test_the_tail_of_a_log_is_bounded(tmp_path: Path) -> None:
    with (tmp_path / "g%2Fjob%2Fhost.jsonl").open("w") as file:
        for number in range(5_000):
            file.write(json.dumps({"timestamp": number, "message": f"line {number} {'é' * 50}"}) + "\n")
    lines = logs.tail(tmp_path, "g", "job/")
    assert len(lines) == logs.TAIL_LINES and lines[-1].startswith("line 4999 ")
    assert logs.tail(tmp_path, "g", "other/") == logs.tail(tmp_path / "none", "g", "job/") == []


def test_a_comparison_is_shown_and_drawn(filled: Filled) -> None:
    filled.endpoint("ab")
    page = filled.overview()
    assert "Comparison: better" in page and "&lt;script&gt;" in page and "-0.035 to -0.004" in page
    assert all(f'class="{name}"' in page for name in ("band", "zero", "margin", "line"))
    chart = sequence_chart(COMPARED.sequences[0])
    assert chart is not None and [tick.label for tick in chart.margins] == ["0.01", "0.01"]
    assert [tick.label for tick in chart.x] == ["20", "120"]  # Bounds that are infinite are left out.
    assert [tick.label for tick in chart.y] == ["-0.05", "0.01"]  # The first bounds are cut off.
    assert chart.margins[0].place < chart.zero < chart.margins[1].place
    assert chart.band.endswith("Z") and chart.band.count("L") == 5
    assert chart.line.startswith(f"M{LEFT} ") and f"L{WIDTH - RIGHT} " in chart.line
    assert sequence_chart(Sequence("B less A", ())) is None


def test_a_curve_of_one_value_is_a_dot() -> None:
    chart = line_chart("loss", [(5.0, 0.25)])
    assert chart.last == "0.25" and len(chart.y) == 1 and chart.line.count("L") == 1


def test_numbers_have_units() -> None:
    assert [latency(each) for each in (None, 0.00123, 0.25, 1.5)] == ["–", "1.23 ms", "250 ms", "1.50 s"]
    assert [duration(each) for each in (0.04, 75, 3_700, 90_000)] == ["0.0 s", "1 min 15 s", "1 h 1 min", "1 d 1 h"]
    assert [rate(0.25), rate(1234.5), share(0.125)] == ["0.2 /s", "1234 /s", "12.5 %"]

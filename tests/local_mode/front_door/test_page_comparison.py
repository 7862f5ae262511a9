"""The page compares variants by the command, while somebody looks, and a click promotes what the comparison favours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from local_mode.front_door import surroundings
from local_mode.front_door.page.comparison import ComparisonView
from tests.helpers import browser
from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import ROLE, Door, make_model, settled
from tests.scripts.captured import START, entry, truth

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
ROOT = Path(__file__).parents[3]
SECONDS = 60


@pytest.fixture(scope="module")
def chromium() -> Iterator[WebDriver]:
    lacking = browser.missing()
    if lacking and os.environ.get("POLYADIC_REQUIRE_BROWSER") == "1":
        pytest.fail(lacking)
    if lacking:
        pytest.skip(lacking)
    with browser.browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def won(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """An endpoint whose captured traffic and actuals say that B is better than A."""
    make_model(door, "sound", archive=make_archive(tmp_path_factory.mktemp("model")))
    weights = {"A": 0.7, "B": 0.3}
    door.client("sagemaker").create_endpoint_config(
        EndpointConfigName="won",
        ExecutionRoleArn=ROLE,
        ProductionVariants=[
            {
                "VariantName": name, "ModelName": "sound", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
                "InitialVariantWeight": weight,
            }
            for name, weight in weights.items()
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://data/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        },
    )  # fmt: skip
    door.client("sagemaker").create_endpoint(EndpointName="won", EndpointConfigName="won")
    settled(door, "won")
    return door


def fill(door: Door) -> None:
    """Captured answers of both, and the actuals, as objects."""
    chance, s3 = np.random.default_rng(0), door.client("s3")
    names = chance.choice(["A", "B"], 2000, p=[0.7, 0.3])
    for variant, deviation in (("A", 1.0), ("B", 0.5)):
        lines = [
            entry(f"w{number}", START + number, chance.normal(0, deviation))
            for number in range(2000)
            if names[number] == variant
        ]
        s3.put_object(Bucket="data", Key=f"capture/won/{variant}/2026/11/28/12/a.jsonl", Body=b"".join(lines))
    body = "\n".join(truth(f"w{number}", 0.0) for number in range(2000))
    s3.put_object(Bucket="data", Key="capture-actuals/won/2026/11/28/13/a.jsonl", Body=body)


def ask(door: Door, *options: str) -> subprocess.CompletedProcess[str]:
    """`scripts.compare` as a user runs it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    kept |= surroundings.variables(ROOT / "absent", door.url)
    command = [sys.executable, "-m", "scripts.compare", "won", *options]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)


def compared(driver: WebDriver) -> str:
    return str(driver.execute_script("return document.getElementById('comparison-won')?.textContent ?? ''"))


def weights(door: Door) -> dict[str, float]:
    return {each["VariantName"]: each["CurrentWeight"] for each in settled(door, "won")["ProductionVariants"]}


def test_the_verdict_comes_to_the_page_and_a_click_promotes(won: Door, chromium: WebDriver, tmp_path: Path) -> None:
    chromium.get(won.url)
    assert "nothing is asked yet" in compared(chromium) and "python -m scripts.compare won --loss" in compared(chromium)
    fill(won)
    said = ask(won, "--loss", "squared-error", "--history", str(tmp_path / "weights.jsonl"))
    assert said.returncode == 0, said.stderr
    browser.awaited(chromium, lambda driver: "Comparison: better" in compared(driver), SECONDS)
    words = compared(chromium)
    assert "B is better than A" in words and "as the weights say" in words and "B less A" in words
    assert chromium.find_elements(By.CSS_SELECTOR, "#comparison-won svg path.band")
    browser.choose(chromium, "form[action$='/won/promote'] select", "B")
    browser.press(chromium, "form[action$='/won/promote'] button")
    browser.awaited(chromium, lambda _: weights(won) == {"A": 0.0, "B": 1.0}, SECONDS)
    message = chromium.find_element(By.ID, "message-won")
    browser.awaited(chromium, lambda _: "B is better than A" in message.text, SECONDS)


def test_a_mismatch_is_a_problem_and_what_is_not_known_is_left_out() -> None:
    side: dict[str, Any] = {"captured": 5, "scored": 5, "loss": None, "covered": None}
    contest: dict[str, Any] = {
        "variant": "B", "design": "split", "verdict": "undecided", "sentence": "undecided", "difference": None,
        "lower": None, "upper": None, "margin": 0.0, "sequence": [],
    }  # fmt: skip
    document: dict[str, Any] = {
        "verdict": "mismatch", "question": "mase", "champion": "A", "challengers": [contest], "ratio": "A MISMATCH",
        "variants": [{"variant": "A", **side}, {"variant": "B", **side}], "joined": "5 answers", "notes": ["one"],
    }  # fmt: skip
    view = ComparisonView.of(document)
    assert view.problem == "A MISMATCH" and view.sentences == ("undecided", "5 answers", "one")
    assert [row.verdict for row in view.rows] == ["champion", "undecided (split)"]
    assert view.sequences[0].points == () and view.sequences[0].margin is None
    assert ComparisonView.of(document | {"verdict": "undecided"}).problem is None

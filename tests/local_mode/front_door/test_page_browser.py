"""The page as people use it, in a real browser: it follows by itself, moves traffic, fits a phone, needs no script."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from tests.helpers import browser
from tests.helpers.browser import awaited
from tests.helpers.pages import colours_of
from tests.local_mode.conftest import make_archive
from tests.local_mode.front_door.conftest import Door, asked, ended, job, make_config, make_model, settled

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
SIZES = [(1280, 900), (360, 740)]


@pytest.fixture(scope="module", autouse=True)
def has_browser() -> None:
    lacking = browser.missing()
    if lacking and os.environ.get("POLYADIC_REQUIRE_BROWSER") == "1":
        pytest.fail(lacking)
    if lacking:
        pytest.skip(lacking)


@pytest.fixture(scope="module")
def served(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """A front door with an endpoint of two variants, and a job that trains until it is stopped."""
    make_model(door, "sound", archive=make_archive(tmp_path_factory.mktemp("model")))
    make_config(door, "ab", A=("sound", 0.9, 1), B=("sound", 0.1, 1))
    door.client("sagemaker").create_endpoint(EndpointName="ab", EndpointConfigName="ab")
    definitions = [{"Name": "train:loss", "Regex": r"train loss <loss>=(\S+)"}]
    specification = {"TrainingImage": "polyadic", "TrainingInputMode": "File", "MetricDefinitions": definitions}
    hyperparameters = {"behaviour": "wait", "epochs": "40"}
    asking = job("running", AlgorithmSpecification=specification, HyperParameters=hyperparameters)
    door.client("sagemaker").create_training_job(**asking)
    settled(door, "ab")
    return door


@pytest.fixture(scope="module")
def chromium(has_browser: None) -> Iterator[WebDriver]:
    with browser.browser() as driver:
        yield driver


@pytest.fixture
def quiet(chromium: WebDriver) -> Iterator[WebDriver]:
    """The browser, whose console has said nothing at the end."""
    chromium.get_log("browser")  # type: ignore[no-untyped-call]
    yield chromium
    assert chromium.get_log("browser") == []  # type: ignore[no-untyped-call]


def text_of(driver: WebDriver, name: str) -> str:
    return str(driver.execute_script("return document.getElementById(arguments[0])?.textContent ?? ''", name))


def weights(door: Door) -> dict[str, float]:
    return {each["VariantName"]: each["CurrentWeight"] for each in settled(door, "ab")["ProductionVariants"]}


def press(driver: WebDriver, action: str) -> None:
    browser.press(driver, f"form[action$='/ab/{action}'] button")


def give(driver: WebDriver, variant: str, weight: str) -> None:
    browser.give(driver, f"[name='weight.{variant}']", weight)


def test_a_click_moves_the_traffic_and_another_takes_it_back(served: Door, quiet: WebDriver) -> None:
    browser.show(quiet, served.url, *SIZES[0])
    quiet.execute_script("window.mark = 'the same page'")
    give(quiet, "A", "0.25")
    give(quiet, "B", "0.75")
    press(quiet, "split")
    awaited(quiet, lambda driver: "split:" in text_of(driver, "message-ab"))
    assert weights(served) == pytest.approx({"A": 0.25, "B": 0.75})
    awaited(quiet, lambda driver: "75.0 %" in text_of(driver, "numbers-ab"))
    press(quiet, "rollback")
    awaited(quiet, lambda driver: "rollback:" in text_of(driver, "message-ab"))
    assert weights(served) == pytest.approx({"A": 0.9, "B": 0.1})
    assert quiet.execute_script("return window.mark") == "the same page"


def test_a_promotion_that_is_refused_is_insisted_on_with_a_reason(served: Door, quiet: WebDriver) -> None:
    browser.show(quiet, served.url, *SIZES[0])
    browser.choose(quiet, "[name='variant']", "B")
    press(quiet, "promote")
    awaited(quiet, lambda driver: "promote:" in text_of(driver, "message-ab"))
    assert "Promote B all the same" in text_of(quiet, "message-ab")
    insisting = quiet.find_element(By.CSS_SELECTOR, "#message-ab form")
    insisting.find_element(By.NAME, "reason").send_keys("a try")
    insisting.find_element(By.TAG_NAME, "button").click()
    awaited(quiet, lambda driver: driver.find_elements(By.CSS_SELECTOR, "#message-ab .done") != [])
    assert weights(served) == {"A": 0.0, "B": 1.0}
    press(quiet, "rollback")
    awaited(quiet, lambda driver: "rollback:" in text_of(driver, "message-ab"))
    assert weights(served) == pytest.approx({"A": 0.9, "B": 0.1})


def test_it_follows_without_being_loaded_again(served: Door, quiet: WebDriver) -> None:
    browser.show(quiet, served.url, *SIZES[0])
    quiet.execute_script("window.mark = 'the same page'")
    before = text_of(quiet, "numbers-ab")
    for _ in range(30):
        asked(served, "ab", TargetVariant="B")
    awaited(quiet, lambda driver: text_of(driver, "numbers-ab") != before)
    rate = re.search(r"10\.0 %\s+([\d.]+) /s\s+[\d.]+ ms", text_of(quiet, "numbers-ab"))
    assert rate and float(rate[1]) > 0
    make_config(served, "more", A=("sound", 1.0, 1))
    served.client("sagemaker").create_endpoint(EndpointName="more", EndpointConfigName="more")
    awaited(quiet, lambda driver: "InService" in text_of(driver, "status-more"))
    served.client("sagemaker").delete_endpoint(EndpointName="more")
    awaited(quiet, lambda driver: not driver.find_elements(By.ID, "endpoint-more"))
    assert quiet.execute_script("return window.mark") == "the same page"


def test_what_is_typed_and_scrolled_stays_while_it_follows(served: Door, quiet: WebDriver) -> None:
    browser.show(quiet, served.url, *SIZES[1])
    give(quiet, "A", "0.12")
    field = quiet.find_element(By.NAME, "weight.A")  # It is being written in: nothing is exchanged under a hand.
    scroll = "const box = document.getElementById('numbers-ab').parentElement; {} return box.scrollLeft"
    assert quiet.execute_script(scroll.format("box.scrollLeft = 80;")) == 80
    change = [{"VariantName": "B", "DesiredWeight": 0.3}]
    served.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="ab", DesiredWeightsAndCapacities=change
    )
    awaited(quiet, lambda driver: "0.3" in text_of(driver, "numbers-ab"))
    field.send_keys("5")  # The very element is still there, and so is its focus.
    assert field.get_attribute("value") == "0.125"
    assert quiet.execute_script(scroll.format("")) == 80
    change[0]["DesiredWeight"] = 0.1
    served.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName="ab", DesiredWeightsAndCapacities=change
    )
    settled(served, "ab")


def test_a_job_shows_its_curve_and_its_log_until_it_has_ended(served: Door, quiet: WebDriver) -> None:
    browser.show(quiet, f"{served.url}/_page/training/running", *SIZES[0])
    awaited(quiet, lambda driver: "39 of 40 epochs" in text_of(driver, "training"))
    box: dict[str, float] = {}
    awaited(quiet, lambda driver: box.update(driver.find_element(By.CSS_SELECTOR, "svg .line").rect) is None)
    assert box["width"] > 100 and box["height"] > 50
    assert "epoch=39" in text_of(quiet, "log") and "waiting" in text_of(quiet, "log")
    served.client("sagemaker").stop_training_job(TrainingJobName="running")
    ended(served, "running")
    awaited(quiet, lambda driver: "Stopped" in text_of(driver, "training"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=["desk", "phone"])
def test_it_fits_its_screen(served: Door, quiet: WebDriver, size: tuple[int, int], dark: bool, tmp_path: Path) -> None:
    for path in ("/", "/_page/training/running"):
        browser.show(quiet, served.url + path, *size, dark)
        widths = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        wide, room = quiet.execute_script(widths)
        assert wide <= room <= size[0]
        ground = quiet.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        channels = [int(each) for each in re.findall(r"\d+", str(ground))[:3]]
        assert max(channels) < 60 if dark else min(channels) > 200


def test_it_works_without_scripts(served: Door) -> None:
    with browser.browser(scripts=False) as driver:
        browser.show(driver, served.url, *SIZES[0])
        assert driver.find_element(By.LINK_TEXT, "Load again").is_displayed()
        give(driver, "A", "0.7")
        give(driver, "B", "0.3")
        press(driver, "split")
        awaited(driver, lambda driver: "split:" in driver.find_element(By.CSS_SELECTOR, "#message-ab .done").text)
        assert weights(served) == pytest.approx({"A": 0.7, "B": 0.3})
        press(driver, "rollback")
        awaited(driver, lambda driver: "rollback:" in driver.find_element(By.CSS_SELECTOR, "#message-ab .done").text)
        driver.find_element(By.LINK_TEXT, "running").click()
        awaited(driver, lambda driver: "train:loss" in driver.find_element(By.CSS_SELECTOR, "figcaption").text)


def test_it_says_that_the_front_door_has_gone_and_goes_on_with_the_next(
    open_door: Callable[..., AbstractContextManager[Door]], chromium: WebDriver
) -> None:
    with open_door() as door:
        browser.show(chromium, door.url, *SIZES[0])
        stale = chromium.find_element(By.ID, "stale")
        assert not stale.is_displayed() and "examples/fit_and_deploy.py" in text_of(chromium, "hint")
    awaited(chromium, lambda _: stale.is_displayed())
    with open_door("--port", door.url.rpartition(":")[2]):
        awaited(chromium, lambda _: not stale.is_displayed())
        chromium.get("about:blank")


def test_a_picture_of_it_can_be_taken(served: Door, tmp_path: Path) -> None:
    for name, dark in (("light.png", False), ("dark.png", True)):
        browser.screenshot(served.url, tmp_path / name, 800, 600, dark)
        with Image.open(tmp_path / name) as image:
            assert image.size == (800, 600)
        assert colours_of((tmp_path / name).read_bytes()) > 10

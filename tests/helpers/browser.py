"""A headless Chromium, as Debian's packages chromium and chromium-driver bring it, and pictures that it takes."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

NAMES = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"


def missing() -> str | None:
    """A sentence on what this machine lacks for a browser; None where it has one."""
    lacking = [
        name for name, found in (("chromium", _program()), ("chromium-driver", shutil.which(DRIVER))) if not found
    ]
    return f"no {' and no '.join(lacking)}: apt-get install chromium chromium-driver" if lacking else None


@contextmanager
def browser(*, scripts: bool = True) -> Iterator[webdriver.Chrome]:
    """A browser that is ended afterwards; scripts: whether pages may run any."""
    options = Options()
    options.binary_location = _program() or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = webdriver.Chrome(options, Service(shutil.which(DRIVER)))  # Named, it is not looked for elsewhere.
    try:
        driver.set_page_load_timeout(30)
        yield driver
    finally:
        driver.quit()


def show(driver: webdriver.Chrome, url: str, width: int, height: int, dark: bool = False) -> None:
    """Opens a page as a screen of so many pixels shows it, in a dark room or not."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get(url)


def awaited(driver: WebDriver, condition: Callable[[WebDriver], bool], seconds: float = 20) -> None:
    """Waits for a condition; one whose element the page has exchanged meanwhile is tried again."""
    WebDriverWait(driver, seconds, 0.1, [StaleElementReferenceException]).until(condition)


def press(driver: WebDriver, selector: str) -> None:
    """Clicks what a CSS selector finds, as soon as it is there."""

    def clicked(driver: WebDriver) -> bool:
        driver.find_element(By.CSS_SELECTOR, selector).click()
        return True

    awaited(driver, clicked)


def give(driver: WebDriver, selector: str, text: str) -> None:
    """Types a text into a field instead of the one in it."""

    def typed(driver: WebDriver) -> bool:
        field = driver.find_element(By.CSS_SELECTOR, selector)
        field.clear()
        field.send_keys(text)
        return True

    awaited(driver, typed)


def choose(driver: WebDriver, selector: str, text: str) -> None:
    """Chooses an option of a field by the text that it shows."""

    def chosen(driver: WebDriver) -> bool:
        Select(driver.find_element(By.CSS_SELECTOR, selector)).select_by_visible_text(text)
        return True

    awaited(driver, chosen)


def screenshot(url: str, path: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """Writes a PNG picture of a page."""
    with browser() as driver:
        show(driver, url, width, height, dark)
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        path.write_bytes(base64.b64decode(shot["data"]))


def _program() -> str | None:
    """The browser's program; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)

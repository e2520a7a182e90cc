"""The page in a real browser: what a reader can do with it, at any width, by keyboard; and that it asks nobody."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium and its driver are not installed"),
    pytest.mark.skipif(find_spec("selenium") is None, reason="selenium is not installed"),
    pytest.mark.slow,
]
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = CHROMIUM
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def files(tmp_path_factory, page, hostile_page) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "hostile.html").write_text(hostile_page, encoding="utf-8")
    return folder


@pytest.fixture
def opened(browser, files):
    """Open a page at a width."""

    def go(name: str = "page", width: int = 1280, dark: bool = False) -> Any:
        features = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        wanted = [{"name": feature, "value": value} for feature, value in features.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get((files / f"{name}.html").as_uri())
        browser.execute_script("localStorage.clear()")
        browser.refresh()
        return browser

    return go


def first_column(driver, shown_only: bool = True) -> list[str]:
    return driver.execute_script(
        "return Array.from(document.querySelectorAll('#row-table tbody tr'))"
        f".filter(r => !({str(shown_only).lower()} && r.hidden)).map(r => r.cells[0].textContent)"
    )


def values(driver, column: int) -> list[float]:
    return driver.execute_script(
        "return Array.from(document.querySelectorAll('#row-table tbody tr'))"
        ".map(r => Number(r.cells[arguments[0]].dataset.sort))",
        column,
    )


def test_the_row_table_sorts_and_says_so(opened):
    driver = opened()
    head = driver.find_element("css selector", "#row-table thead th:nth-child(3)")
    button = head.find_element("css selector", "button")
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    down = values(driver, 2)
    assert down == sorted(down, reverse=True)
    button.send_keys("\ue007")  # by keyboard: Enter
    assert head.get_attribute("aria-sort") == "ascending"
    assert values(driver, 2) == sorted(down)
    rows = driver.find_element("css selector", "#row-table thead th:first-child")
    rows.find_element("css selector", "button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert first_column(driver) == sorted(first_column(driver), key=int)


def test_the_row_table_searches(opened, findings):
    driver = opened()
    box = driver.find_element("id", "row-table-search")
    box.send_keys("24")
    found = first_column(driver)
    assert sorted(found) == sorted(str(v) for v in findings.memberships["obs_id"].values if "24" in str(v))
    output = driver.find_element("css selector", "#row-table output")
    assert output.text == f"{len(found)} rows"
    box.clear()
    box.send_keys("no such row")
    assert output.text == "0 rows"
    box.clear()
    box.send_keys(" ")
    driver.find_element("id", "row-table-open").click()
    open_rows = int((findings.memberships["probability"].max("cluster") < 0.9).sum())
    assert len(first_column(driver)) == open_rows


def background(driver) -> str:
    return driver.execute_script("return getComputedStyle(document.body).backgroundColor")


def test_the_theme_follows_the_system_and_then_the_reader(opened):
    light = background(opened())
    driver = opened(dark=True)
    dark = background(driver)
    assert light != dark
    button = driver.find_element("id", "theme")
    assert button.text == "Light theme"
    button.click()
    assert background(driver) == light
    assert button.text == "Dark theme"
    driver.refresh()
    assert background(driver) == light


def test_figures_change_colour_with_the_theme(opened):
    script = "return getComputedStyle(document.querySelector('#fig-criteria svg text')).fill"
    assert opened().execute_script(script) != opened(dark=True).execute_script(script)


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_no_request_leaves_and_nothing_is_refused(opened, name):
    driver = opened()
    driver.get_log("performance")
    driver.get_log("browser")
    opened(name)
    asked = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    assert all(url.startswith(("file:", "data:")) for url in asked), asked
    assert driver.get_log("browser") == []


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("name", ["page", "hostile"])
def test_nothing_is_wider_than_the_window(opened, name, width):
    driver = opened(name, width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_hostile_names_do_nothing(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    driver = opened("hostile")
    cell = driver.find_element("css selector", "#row-table tbody th")
    ActionChains(driver).move_to_element(cell).perform()
    # An alert would make this raise.
    assert "<b onmouseover" in cell.text
    assert driver.title.startswith("<script>")


@pytest.mark.skipif(find_spec("axe_selenium_python") is None, reason="axe-selenium-python is not installed")
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_axe_finds_nothing_serious(opened, width, dark):
    import axe_selenium_python

    driver = opened(width=width, dark=dark)
    source = next(Path(axe_selenium_python.__file__).parent.rglob("axe.min.js")).read_text("utf-8")
    # The page's policy forbids other scripts, not the driver's.
    driver.execute_script(source)
    found = driver.execute_async_script("const done = arguments[arguments.length - 1]; axe.run().then(done)")
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    told = [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in serious]
    assert not told


def test_print_cuts_no_figure(opened):
    """Each figure fits on a sheet of A4 and may not be broken."""
    driver = opened()
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 688, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    )
    heights = driver.execute_script(
        "return Array.from(document.querySelectorAll('figure'))"
        ".map(f => [f.offsetHeight, getComputedStyle(f).breakInside])"
    )
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert heights
    # 297 mm less two margins of 16 mm, at 96 dots per inch.
    assert all(height < 1000 and rule == "avoid" for height, rule in heights), heights

"""The explorer in real JupyterLab in headless Chromium, 1280 pixels wide, light and dark: `make test-browser`.

Runs notebook 08 with the small preset, moves its controls by keyboard and mouse, and leaves screenshots and timings in
`data/results/browser/`. Its name keeps it out of an ordinary test run.
"""

import time

import pytest
from lab import (
    CAUGHT_INPUT,
    CONTRAST,
    THEMES,
    TIMED,
    button,
    command,
    note,
    opened,
    picture,
    screenshot,
    served,
    status,
)
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from hide_utils import paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    """The notebook open in the browser, with all its cells run."""
    with served(folder) as url, opened(url, tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


def test_notebook_ran_without_an_error(page):
    assert not page.find_elements(By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.stderr']")
    assert "Traceback" not in page.find_element(By.CSS_SELECTOR, ".jp-Notebook").text
    assert len(page.find_elements(By.CSS_SELECTOR, ".hide-explorer img")) >= 3


def test_fits_a_page_of_1280_pixels(page):
    box = page.find_element(By.CSS_SELECTOR, ".hide-explorer")
    inner, outer = page.execute_script("return [arguments[0].scrollWidth, arguments[0].clientWidth]", box)
    assert inner <= outer + 1, "nothing is cut off or scrolled"
    left, right = box.rect["x"], box.rect["x"] + box.rect["width"]
    assert 0 <= left and right <= 1280
    tops = [e.rect["y"] for e in page.find_elements(By.CSS_SELECTOR, ".hide-explorer img")]
    assert min(tops) - box.rect["y"] < 80, "the picture stands beside the controls, not below them"


@pytest.mark.parametrize("theme", THEMES)
def test_is_legible_in_both_themes(page, theme):
    page.execute_async_script(
        "jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]}).then(arguments[1])", THEMES[theme]
    )
    time.sleep(1)
    screenshot(page, f"explorer_{theme}")
    worst = page.execute_script(CONTRAST)
    assert worst[0][0] >= 4.5, worst


@pytest.mark.parametrize(
    ("label", "value"),
    [("α", "ArrowLeft"), ("σ (cells)", "ArrowRight"), ("layer", "ArrowRight"), ("layout", "bounding crop")],
)
def test_moving_a_control_redraws(page, label, value):
    took = [page.execute_async_script(TIMED, label, value)]
    if value.startswith("Arrow") and label != "layer":
        took += [page.execute_async_script(TIMED, label, value) for _ in range(2)]
    note(f"{label}: control to panes in the page", sorted(took)[len(took) // 2] / 1000)
    assert min(took) < 2000


def test_slider_follows_the_mouse_and_ends_where_it_was_dropped(page):
    row = next(
        r for r in page.find_elements(By.CSS_SELECTOR, ".hide-explorer .widget-inline-hbox") if r.text.startswith("α")
    )
    handle, before = row.find_element(By.CSS_SELECTOR, ".noUi-handle"), command(page)
    drag = ActionChains(page, duration=20).click_and_hold(handle)
    for _ in range(15):
        drag = drag.move_by_offset(-3, 0)
    drag.release().perform()
    WebDriverWait(page, 20).until(lambda d: command(d) != before)
    time.sleep(0.5)
    value = float(row.find_element(By.CSS_SELECTOR, ".widget-readout").text)
    words = command(page).split()
    assert float(words[words.index("alpha") + 1]) == value


def test_every_control_can_be_reached_with_tab_and_has_a_name(page):
    controls = page.find_elements(
        By.CSS_SELECTOR, ".hide-explorer :is(select, input:not([type=file]), textarea, button, [role=slider])"
    )
    controls = [one for one in controls if one.is_displayed()]
    nameless = [one.get_attribute("outerHTML")[:120] for one in controls if not one.accessible_name.strip()]
    assert not nameless
    controls[0].click()
    page.execute_script("arguments[0].focus()", controls[0])
    seen = set()
    for _ in range(3 * len(controls)):
        seen.add(page.switch_to.active_element.id)
        ActionChains(page).send_keys(Keys.TAB).perform()
    missed = [one.get_attribute("outerHTML")[:120] for one in controls if one.id not in seen and one.is_enabled()]
    assert not missed


def test_answer_again_runs_the_model_and_says_so(page):
    started = time.perf_counter()
    button(page, "Answer again").click()
    WebDriverWait(page, 60).until(lambda d: status(d).startswith("answering: done"))
    note("answer again", time.perf_counter() - started)
    shown = page.find_element(By.CSS_SELECTOR, ".hide-explorer").text
    assert "not asked with these settings" not in shown and "%" in shown
    screenshot(page, "explorer_answered")


def test_leaving_a_token_out_and_choosing_another_sample(page):
    page.find_element(By.CSS_SELECTOR, ".hide-explorer .widget-toggle-button").click()
    WebDriverWait(page, 20).until(lambda d: "-p tokens_off '[0]'" in command(d))
    before = picture(page)
    choice = next(
        r
        for r in page.find_elements(By.CSS_SELECTOR, ".hide-explorer .widget-inline-hbox")
        if r.text.startswith("sample")
    )
    started = time.perf_counter()
    choice.find_elements(By.TAG_NAME, "option")[-1].click()
    WebDriverWait(page, 60).until(lambda d: status(d).startswith("searching: done") and picture(d) != before)
    note("another sample", time.perf_counter() - started)


def test_command_can_be_copied_and_the_view_saved(page, folder):
    button(page, "Copy command").click()
    said = command(page)
    assert page.execute_script("return getSelection().toString()").strip() == said.strip()
    assert said.startswith("hide run 08_explorer")
    started = time.perf_counter()
    button(page, "Save as figure").click()
    WebDriverWait(page, 60).until(lambda d: status(d).startswith("saving: done"))
    note("save as figure", time.perf_counter() - started)
    saved = sorted(p.suffix for p in (folder / "figures" / "08_explorer").glob("view-*"))
    assert saved == [".json", ".pdf", ".png"]


def test_uploaded_picture_is_searched(page):
    page.execute_script(CAUGHT_INPUT)
    button(page, "Own picture (0)").click()
    field = page.find_element(By.CSS_SELECTOR, ".hide-explorer input[type=file]")
    page.execute_script("arguments[0].style.display = 'block'", field)
    field.send_keys(str(paths.FIGURES / "00_quickstart" / "stages.png"))
    WebDriverWait(page, 30).until(lambda d: "picture loaded" in status(d))
    started = time.perf_counter()
    button(page, "Search this question").click()
    WebDriverWait(page, 90).until(lambda d: status(d).startswith("searching: done"))
    note("search in an own picture", time.perf_counter() - started)
    assert "-p image" in command(page)
    screenshot(page, "explorer_own_picture")


def test_console_has_no_error_of_the_page_itself(page):
    own = [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [message for message in own if "127.0.0.1" in message and "favicon" not in message], own

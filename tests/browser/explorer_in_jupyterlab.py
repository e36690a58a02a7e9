"""The explorer in real JupyterLab in headless Chromium, 1280 pixels wide, light and dark: `make test-browser`.

Runs notebook 08 with the small preset, moves its controls by keyboard and mouse, and leaves screenshots and timings in
`data/results/browser/`. Its name keeps it out of an ordinary test run.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from hide_utils import paths

OUT = paths.RESULTS / "browser"
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --window-size=1280,1000""".split()
PATIENCE = 240  # seconds for the notebook to run on a busy machine
KERNEL = "jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

# From a change made by `act` to the new picture in the page, in milliseconds.
TIMED = """
const [name, value, done] = arguments;
const image = () => document.querySelector('.hide-explorer img');
const before = image().src, start = performance.now();
const drawn = () => image() && image().src !== before && image().complete;
const watch = () => drawn() ? done(performance.now() - start) : setTimeout(watch, 2);
const row = [...document.querySelectorAll('.hide-explorer .widget-inline-hbox')]
  .find(box => box.querySelector('label')?.textContent === name);
if (value === 'key') {
  const handle = row.querySelector('.noUi-handle');
  handle.focus();
  handle.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
} else {
  const select = row.querySelector('select');
  select.value = [...select.options].find(option => option.text === value).value;
  select.dispatchEvent(new Event('change', {bubbles: true}));
}
watch();
"""
# Contrast of text with what is painted behind it (WCAG 2), the least over the texts of the explorer.
CONTRAST = """
const parse = colour => { const p = colour.match(/[\\d.]+/g).map(Number); return p.length > 3 ? p : [...p, 1]; };
const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = node => { for (; node; node = node.parentElement) {
  const c = parse(getComputedStyle(node).backgroundColor); if (c[3] > 0.5) return c; } return [255, 255, 255, 1]; };
const found = [];
const walk = document.createTreeWalker(document.querySelector('.hide-explorer'), NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const node = walk.currentNode.parentElement, style = getComputedStyle(node);
  if (!walk.currentNode.textContent.trim() || !node.offsetParent || node.closest('style, option, :disabled')) continue;
  const [a, b] = [light(parse(style.color)), light(ground(node))].sort((x, y) => y - x);
  if (/^[▬╍]+$/.test(walk.currentNode.textContent.trim())) continue;
  found.push([(a + 0.05) / (b + 0.05), walk.currentNode.textContent.trim().slice(0, 40)]);
}
return found.sort((x, y) => x[0] - y[0]).slice(0, 5);
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A JupyterLab server on a copy of the notebook; the copy's figures go elsewhere too."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(paths.NOTEBOOKS / "08_explorer.ipynb", folder)
    settings = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight stay in the page
    }
    for name, values in settings.items():
        file = folder / ".settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    places = {name: str(folder / f".{name.lower()}") for name in ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_WORKSPACES_DIR")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"), "HIDE_FIGURES": str(folder / "figures")}
    environment = os.environ | places | {"HIDE_PRESET": "smoke", "JUPYTER_PREFER_ENV_PATH": "1"}
    environment.pop("PYTHONPATH", None)  # holds the browser's driver, which the kernel needs not
    port = free_port()
    words = ["--no-browser", "--allow-root", "--expose-app-in-browser", f"--port={port}", "--ServerApp.token=t"]
    command = [sys.executable, "-m", "jupyterlab", *words, f"--ServerApp.root_dir={folder}"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token=t").status == 200, 90)
            yield f"http://127.0.0.1:{port}/lab/tree/08_explorer.ipynb?token=t", folder
        finally:
            server.terminate()
            server.wait(30)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"not so after {seconds} s")
        time.sleep(0.3)


@pytest.fixture(scope="module")
def page(address, tmp_path_factory):
    """The notebook open in the browser, with all its cells run."""
    OUT.mkdir(parents=True, exist_ok=True)
    options = Options()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(60)
    try:
        url, _ = address
        driver.get(url)
        wait = WebDriverWait(driver, PATIENCE)
        wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell"))
        wait.until(lambda d: d.execute_script(f"return {KERNEL}?.status") == "idle")
        started = time.perf_counter()
        driver.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
        wait.until(lambda d: "view.png" in last_output(d))
        note("run all cells", time.perf_counter() - started)
        show(driver)
        yield driver
    except TimeoutException:
        driver.save_screenshot(str(OUT / "failed.png"))
        raise
    finally:
        (OUT / "timings.json").write_text(json.dumps(TIMINGS, indent=1))
        driver.quit()


TIMINGS = {}


def note(what, seconds):
    TIMINGS[what] = round(seconds, 3)


def last_output(driver):
    cells = driver.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .jp-OutputArea-output")
    return cells[-1].text if cells else ""


def show(driver):
    driver.execute_script("document.querySelector('.hide-explorer').scrollIntoView({block: 'start'})")
    time.sleep(0.5)


def status(driver):
    return driver.find_element(By.CSS_SELECTOR, ".hide-explorer [role=status]").text


def button(driver, text):
    found = driver.find_elements(By.CSS_SELECTOR, ".hide-explorer button")
    return next(one for one in found if one.text.strip() == text)


def picture(driver):
    return driver.find_element(By.CSS_SELECTOR, ".hide-explorer img").get_attribute("src")


def screenshot(driver, name):
    show(driver)
    driver.save_screenshot(str(OUT / f"{name}.png"))
    box = driver.find_element(By.CSS_SELECTOR, ".hide-explorer")
    box.screenshot(str(OUT / f"{name}_whole.png"))


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
    ("label", "value"), [("α", "key"), ("σ (cells)", "key"), ("layer", "key"), ("layout", "bounding crop")]
)
def test_moving_a_control_redraws(page, label, value):
    took = [page.execute_async_script(TIMED, label, value)]
    if value == "key":
        took += [page.execute_async_script(TIMED, label, value) for _ in range(2)] if label != "layer" else []
    note(f"{label}: control to picture in the page", sorted(took)[len(took) // 2] / 1000)
    assert min(took) < 2000


def test_slider_follows_the_mouse_and_ends_where_it_was_dropped(page):
    row = next(
        r for r in page.find_elements(By.CSS_SELECTOR, ".hide-explorer .widget-inline-hbox") if r.text.startswith("α")
    )
    handle, before = row.find_element(By.CSS_SELECTOR, ".noUi-handle"), picture(page)
    drag = ActionChains(page, duration=20).click_and_hold(handle)
    for _ in range(15):
        drag = drag.move_by_offset(3, 0)
    drag.release().perform()
    WebDriverWait(page, 20).until(lambda d: picture(d) != before)
    time.sleep(0.5)
    value = float(row.find_element(By.CSS_SELECTOR, ".widget-readout").text)
    assert f"-p alpha {value:g} " in page.find_element(By.CSS_SELECTOR, ".hide-explorer code").text


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
    before = picture(page)
    page.find_element(By.CSS_SELECTOR, ".hide-explorer .widget-toggle-button").click()
    WebDriverWait(page, 20).until(lambda d: picture(d) != before)
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


def test_command_can_be_copied_and_the_view_saved(page, address):
    button(page, "Copy command").click()
    command = page.find_element(By.CSS_SELECTOR, ".hide-explorer code").text
    assert page.execute_script("return getSelection().toString()").strip() == command.strip()
    assert command.startswith("python -m hide_utils.run 08_explorer")
    started = time.perf_counter()
    button(page, "Save as figure").click()
    WebDriverWait(page, 60).until(lambda d: status(d).startswith("saving: done"))
    note("save as figure", time.perf_counter() - started)
    _, folder = address
    saved = sorted(p.suffix for p in (folder / "figures" / "08_explorer").glob("view-*"))
    assert saved == [".json", ".pdf", ".png"]


def test_uploaded_picture_is_searched(page):
    field = page.find_element(By.CSS_SELECTOR, ".hide-explorer input[type=file]")
    page.execute_script("arguments[0].style.display = 'block'", field)
    field.send_keys(str(paths.FIGURES / "00_quickstart" / "stages.png"))
    WebDriverWait(page, 30).until(lambda d: "picture loaded" in status(d))
    started = time.perf_counter()
    button(page, "Search this question").click()
    WebDriverWait(page, 90).until(lambda d: status(d).startswith("searching: done"))
    note("search in an own picture", time.perf_counter() - started)
    assert "-p image" in page.find_element(By.CSS_SELECTOR, ".hide-explorer code").text
    screenshot(page, "explorer_own_picture")


def test_console_has_no_error_of_the_page_itself(page):
    own = [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [message for message in own if "127.0.0.1" in message and "favicon" not in message], own

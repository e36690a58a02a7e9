"""A JupyterLab server and Chromium before it: what the browser's tests stand on, and where they leave what they saw."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from hide_utils import paths

OUT = paths.RESULTS / "browser"
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --window-size=1280,1000""".split()
PATIENCE = 480  # seconds for the notebook to run on a busy machine
KERNEL = "jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

# From a change of a control to the new panes in the page, in milliseconds.
TIMED = """
const [name, value, done] = arguments;
const command = () => document.querySelector('.hide-explorer code')?.textContent;
const loaded = () => [...document.querySelectorAll('.hide-explorer img')].every(image => image.complete);
const before = command(), start = performance.now();
const drawn = () => command() !== before && loaded();  // the command is written last, and names every setting
const watch = () => drawn() ? done(performance.now() - start) : setTimeout(watch, 2);
const row = [...document.querySelectorAll('.hide-explorer .widget-inline-hbox')]
  .find(box => box.querySelector('label')?.textContent === name);
if (value.startsWith('Arrow')) {
  const handle = row.querySelector('.noUi-handle');
  handle.focus();
  handle.dispatchEvent(new KeyboardEvent('keydown', {key: value, bubbles: true}));
} else {
  const select = row.querySelector('select');
  select.value = [...select.options].find(option => option.text.replace(/\\u00a0/g, ' ') === value).value;
  select.dispatchEvent(new Event('change', {bubbles: true}));
}
watch();
"""
# The picture's input is in no document, and opens a window of the system's: it is put into the page instead.
CAUGHT_INPUT = """
HTMLInputElement.prototype.click = function () { document.querySelector('.hide-explorer').append(this); };
"""
# Contrast of text with what is painted behind it (WCAG 2), the least over the texts of the explorer.
CONTRAST = """
const parse = color => { const p = color.match(/[\\d.]+/g).map(Number); return p.length > 3 ? p : [...p, 1]; };
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
TIMINGS = {}  # seconds that each interaction took, written beside the screenshots


@contextmanager
def served(folder):
    """A JupyterLab server on a copy of the notebook in `folder`, where the copy's figures go too: its address."""
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
    environment["PYTHONPATH"] = str(paths.ROOT)  # without the browser's driver, which the kernel needs not
    port = free_port()
    words = ["--no-browser", "--allow-root", "--expose-app-in-browser", f"--port={port}", "--ServerApp.token=t"]
    command = [sys.executable, "-m", "jupyterlab", *words, f"--ServerApp.root_dir={folder}"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token=t").status == 200, 90)
            yield f"http://127.0.0.1:{port}/lab/tree/08_explorer.ipynb?token=t"
        finally:
            server.terminate()
            server.wait(30)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


@contextmanager
def opened(url, profile):
    """The notebook open in the browser, with all its cells run; `profile` is a folder for the browser's own files."""
    OUT.mkdir(parents=True, exist_ok=True)
    options = Options()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(60)
    try:
        driver.get(url)
        wait = WebDriverWait(driver, PATIENCE)
        wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell"))
        wait.until(lambda d: d.execute_script(f"return {KERNEL}?.status") == "idle")
        started = time.perf_counter()
        driver.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
        wait.until(lambda d: "08_explorer" in last_output(d))
        note("run all cells", time.perf_counter() - started)
        show(driver)
        yield driver
    except TimeoutException:
        driver.save_screenshot(str(OUT / "failed.png"))
        raise
    finally:
        (OUT / "timings.json").write_text(json.dumps(TIMINGS, indent=1))
        driver.quit()


def note(what, seconds):
    TIMINGS[what] = round(seconds, 3)


def last_output(driver):
    cells = driver.find_elements(By.CSS_SELECTOR, ".jp-CodeCell .jp-OutputArea-output")
    return cells[-1].text if cells else ""


def show(driver):
    driver.execute_script("document.querySelector('.hide-explorer').scrollIntoView({block: 'start'})")
    time.sleep(0.5)


def read(driver, selector, what):
    """A property of a part of the explorer, in one step: between two the part may be drawn anew."""
    return driver.execute_script(f"return document.querySelector('.hide-explorer {selector}').{what}")


def status(driver):
    return read(driver, "[role=status]", "textContent")


def button(driver, text):
    found = driver.find_elements(By.CSS_SELECTOR, ".hide-explorer button")
    return next(one for one in found if one.text.strip() == text)


def command(driver):
    return read(driver, "code", "textContent")


def picture(driver):
    return read(driver, "img", "src")


def screenshot(driver, name):
    show(driver)
    driver.save_screenshot(str(OUT / f"{name}.png"))
    box = driver.find_element(By.CSS_SELECTOR, ".hide-explorer")
    box.screenshot(str(OUT / f"{name}_whole.png"))

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
--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --window-size=1366,900""".split()
PATIENCE = 480  # seconds for the notebook to run on a busy machine
KERNEL = "jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
HEIGHT, WHOLE = 900, 3200  # of the window, and of one that shows all of the explorer

TIMINGS = {}  # seconds that each interaction took, written beside the screenshots


@contextmanager
def served(folder):
    """A JupyterLab server on a copy of the notebook in `folder`, where the copy's figures go too: its address."""
    book = (paths.NOTEBOOKS / "08_explorer.ipynb").read_text(encoding="utf-8")
    assert "other_model = None" in book
    book = book.replace("other_model = None", f"other_model = '{other_model(folder)}'")
    (folder / "08_explorer.ipynb").write_text(book, encoding="utf-8")
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


def other_model(folder):
    """The miniature again, with settings of its own: a second model to compare with."""
    other = folder / "other"
    other.mkdir()
    for file in paths.MINI.iterdir():
        if file.name != "hide.json":
            (other / file.name).symlink_to(file)
    settings = json.loads((paths.MINI / "hide.json").read_text(encoding="utf-8"))
    (other / "hide.json").write_text(json.dumps(settings | {"layer": 5, "alpha": 0.6}), encoding="utf-8")
    return other


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
    options.add_experimental_option("prefs", {"download.default_directory": str(profile / "downloads")})
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
    time.sleep(0.3)


def look(driver, width, theme):
    """The window's width, and the theme."""
    driver.set_window_size(width, HEIGHT)
    command = "jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]}).then(arguments[1])"
    driver.execute_async_script(command, THEMES[theme])
    time.sleep(1)
    show(driver)

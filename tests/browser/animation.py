"""A short animation of the explorer, by driving it in headless Chromium: `make animation`.

Writes `figures/08_explorer/explorer.gif`, which the README shows. The frames are of notebook 08 with the small
preset, whose scenes are clear at that size.
"""

import io
import os
import tempfile
import time
from pathlib import Path

import explorer_page
import lab
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from hide_utils import paths

FILE = paths.FIGURES / "08_explorer" / "explorer.gif"
MOST_BYTES = 3_000_000
WIDTHS, COLORS = (820, 760, 700, 640, 560), 160  # the first width whose file is small enough is taken
SHOT, LONG = 450, 1400  # milliseconds that a frame stays


class Film:
    """Frames of the explorer's upper part, and how long each stays."""

    def __init__(self, driver):
        self.driver, self.frames, self.stays = driver, [], []

    def shoot(self, stays=SHOT):
        time.sleep(0.4)
        frame = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        box = self.driver.find_element(By.CSS_SELECTOR, ".hide-explorer").rect
        left, right = int(box["x"]) - 6, int(box["x"] + box["width"]) + 6
        self.frames.append(frame.crop((left, 86, right, frame.height - 30)))  # without JupyterLab's own bars
        self.stays.append(stays)

    def write(self):
        for width in WIDTHS:
            height = round(width * self.frames[0].height / self.frames[0].width)
            small = [frame.resize((width, height), Image.Resampling.LANCZOS) for frame in self.frames]
            palette = small[0].quantize(COLORS, method=Image.Quantize.MEDIANCUT)  # for all: what stays is stored once
            drawn = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
            stream = io.BytesIO()
            drawn[0].save(stream, "GIF", save_all=True, append_images=drawn[1:], duration=self.stays, loop=0)
            if stream.tell() < MOST_BYTES:
                FILE.write_bytes(stream.getvalue())
                return print(f"{FILE}: {len(drawn)} frames of {width} x {height} px, {stream.tell() / 1e6:.2f} MB")
        raise SystemExit(f"no width of {WIDTHS} gives a file below {MOST_BYTES} bytes: take fewer frames")


def thumbs(driver, section):
    return driver.find_elements(By.CSS_SELECTOR, ".hide-gallery")[section].find_elements(By.CSS_SELECTOR, ".hide-thumb")


def look_closer(driver, film):
    """A slider, steps of the map, layers, heads."""
    lab.show(driver)
    film.shoot(LONG)
    for key in ["ArrowRight"] * 3:
        for _ in range(6):
            driver.execute_async_script(explorer_page.TIMED, "α", key)
        film.shoot()
    explorer_page.press(driver, "Reset")
    for step in ("raw attention", "noise prior", "purified"):
        explorer_page.choose(driver, "map", step)
        lab.show(driver)
        film.shoot(LONG // 2)
    for layer in (1, 3, 5, 8):
        driver.execute_script("arguments[0].click()", thumbs(driver, 1)[layer])
        film.shoot()
    explorer_page.choose(driver, "map", "purified")
    heads = driver.find_elements(By.CSS_SELECTOR, ".hide-explorer .widget-checkbox input")[-1]
    heads.click()
    explorer_page.until(driver, lambda: "read in" in explorer_page.status(driver))
    for head in (3, 5):
        driver.execute_script("arguments[0].click()", thumbs(driver, 2)[head])
        lab.show(driver)
        film.shoot(LONG // 2)
    heads.click()


def ask_and_compare(driver, film):
    """Words, a region by hand, two panes."""
    explorer_page.press(driver, "Reset")
    explorer_page.done(driver, "resetting")
    lab.show(driver)
    for number in (5, 7):
        word = driver.find_elements(By.CSS_SELECTOR, ".hide-token")[number]
        driver.execute_script("arguments[0].click()", word)
        film.shoot(LONG // 2)
    explorer_page.press(driver, "Reset")
    explorer_page.press(driver, "▭ own region")
    explorer_page.drag(driver, (0.05, 0.05), (0.35, 0.3))
    lab.show(driver)
    film.shoot(LONG // 2)
    explorer_page.press(driver, "Answer")
    explorer_page.done(driver, "answering")
    lab.show(driver)
    film.shoot(LONG)
    explorer_page.press(driver, "Reset")
    explorer_page.done(driver, "resetting")
    explorer_page.press(driver, "Pin beside")
    explorer_page.done(driver, "pinning")
    driver.execute_script("arguments[0].click()", thumbs(driver, 1)[3])
    lab.show(driver)
    ActionChains(driver).move_to_element(driver.find_element(By.CSS_SELECTOR, ".hide-explorer h4")).perform()
    film.shoot(2 * LONG)


def main():
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as lab_folder, tempfile.TemporaryDirectory() as profile:
        with lab.served(Path(lab_folder)) as url, lab.opened(url, Path(profile)) as driver:
            driver.set_window_size(1366, 1500)
            driver.execute_script("jupyterapp.commands.execute('application:toggle-left-area')")
            time.sleep(1)
            film = Film(driver)
            look_closer(driver, film)
            ask_and_compare(driver, film)
    film.write()


if __name__ == "__main__":
    main()

"""The explorer in real JupyterLab in headless Chromium, 1366 and 900 pixels wide, light and dark: `make test-browser`.

Runs notebook 08 with the small preset and a second model, does everything that can be done there by mouse and keyboard
(the rest in `explorer_in_use.py`), and leaves screenshots and timings in `data/results/browser/`. The names keep both
out of an ordinary test run.
"""

import time
from statistics import median

import numpy as np
import pytest
from explorer_page import (
    CONTRAST,
    CRAMPED,
    EVERYWHERE,
    SLIDE,
    TIMED,
    bar,
    canvas,
    choose,
    command,
    drag,
    find,
    pixels,
    press,
    row,
    screenshot,
    thumbs,
    tick,
    until,
    value_in,
)
from lab import note
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By

pytest_plugins = ["explorer_page"]


def test_notebook_ran_without_an_error(page):
    assert not page.find_elements(By.CSS_SELECTOR, "[data-mime-type='application/vnd.jupyter.stderr']")
    assert "Traceback" not in page.find_element(By.CSS_SELECTOR, ".jp-Notebook").text
    assert len(find(page, "canvas")) > 12


@EVERYWHERE
def test_fits_the_page_and_is_legible(fresh):
    box = fresh.find_element(By.CSS_SELECTOR, ".hide-explorer")
    inner, outer = fresh.execute_script("return [arguments[0].scrollWidth, arguments[0].clientWidth]", box)
    assert inner <= outer + 1, "nothing is cut off or scrolled"
    assert box.rect["x"] + box.rect["width"] <= fresh.get_window_size()["width"]
    assert canvas(fresh).rect["y"] - box.rect["y"] < 110, "the picture stands at the top, beside the controls or above"
    screenshot(fresh, f"{fresh.look}_first")
    assert not fresh.execute_script(CRAMPED)
    worst = fresh.execute_script(CONTRAST)
    assert worst[0][0] >= 4.5, worst


@EVERYWHERE
def test_every_step_of_the_map_is_drawn_with_its_scale(fresh):
    seen = set()
    for step in [one.text for one in row(fresh, "map").find_elements(By.TAG_NAME, "option")]:
        choose(fresh, "map", step)
        until(fresh, lambda step=step: bar(fresh).startswith(step))
        assert len(bar(fresh).split("\n")) == 4, "what it is, and three numbers"
        seen.add(pixels(fresh))
    assert len(seen) == 6


@EVERYWHERE
def test_pointer_zoom_pan_and_opacity(fresh):
    whole, target = pixels(fresh), canvas(fresh)
    ActionChains(fresh).move_to_element(target).perform()
    assert " px (row " in find(fresh, ".hide-reading")[-1].text
    press(fresh, "+")
    zoomed = pixels(fresh)
    drag(fresh, (0.5, 0.5), (0.3, 0.4))
    moved = pixels(fresh)
    wheel = ActionChains(fresh).key_down(Keys.CONTROL)
    wheel.scroll_from_origin(ScrollOrigin.from_element(canvas(fresh)), 0, -100).key_up(Keys.CONTROL).perform()
    nearer = pixels(fresh)
    assert len({whole, zoomed, moved, nearer}) == 4
    press(fresh, "whole")
    until(fresh, lambda: pixels(fresh) == whole)
    slider = find(fresh, "input[type=range]")[-1]
    took = [fresh.execute_script(SLIDE, slider, value) for value in (0, 0.3, 0.5, 1)]
    note(f"opacity: redraw, {fresh.look}", median(took) / 1000)
    assert pixels(fresh) != whole
    fresh.execute_script(SLIDE, slider, 0.8)
    assert pixels(fresh) == whole


@pytest.mark.parametrize(
    ("label", "value"),
    [("α", "ArrowLeft"), ("σ (cells)", "ArrowRight"), ("layer", "ArrowRight"), ("layout", "bounding crop")],
)
@EVERYWHERE
def test_moving_a_control_redraws(fresh, label, value):
    moves = [value, *["ArrowRight", "ArrowLeft"] * 5] if value.startswith("Arrow") else [value, "spatial aggregate"] * 3
    took = np.array([fresh.execute_async_script(TIMED, label, move) for move in moves]) / 1000
    for what, seconds in zip(("the map drawn", "all drawn"), took.T, strict=True):
        note(f"{label}: control to {what}, median, {fresh.look}", median(seconds))
        note(f"{label}: control to {what}, least, {fresh.look}", min(seconds))
    assert took.min() < 1


@EVERYWHERE
def test_slider_follows_the_mouse_and_ends_where_it_was_dropped(fresh):
    handle, before = row(fresh, "α").find_element(By.CSS_SELECTOR, ".noUi-handle"), command(fresh)
    chain = ActionChains(fresh, duration=20).click_and_hold(handle)
    for _ in range(15):
        chain = chain.move_by_offset(-3, 0)
    chain.release().perform()
    until(fresh, lambda: command(fresh) != before)
    said = float(row(fresh, "α").find_element(By.CSS_SELECTOR, ".widget-readout").text)
    until(fresh, lambda: float(value_in(fresh, "alpha")) == said)


@EVERYWHERE
def test_tokens_layers_and_heads_are_pressed(fresh):
    thumbs(fresh, 0)[0].click()
    until(fresh, lambda: value_in(fresh, "tokens_off") == "[0]")
    thumbs(fresh, 0)[0].click()
    until(fresh, lambda: value_in(fresh, "tokens_off") == "[]")
    started = time.perf_counter()
    thumbs(fresh, 1)[3].click()
    until(fresh, lambda: value_in(fresh, "layer") == "3")
    note(f"layer pressed in the strip, {fresh.look}", time.perf_counter() - started)
    press(fresh, "▶ play")
    until(fresh, lambda: value_in(fresh, "layer") not in "3 4".split())
    press(fresh, "■ stop")
    started = time.perf_counter()
    tick(fresh, "show the heads of the layer")
    until(fresh, lambda: find(fresh, ".hide-said")[-1].text.startswith("read: mean of all"))
    note(f"heads of a layer, first time, {fresh.look}", time.perf_counter() - started)
    started = time.perf_counter()
    thumbs(fresh, 2)[1].click()
    until(fresh, lambda: value_in(fresh, "heads") == "[1]")
    note(f"another head, {fresh.look}", time.perf_counter() - started)
    thumbs(fresh, 2)[4].click()
    until(fresh, lambda: value_in(fresh, "heads") == "[1, 4]")
    assert "mean of 2, 5" in find(fresh, ".hide-said")[-1].text
    thumbs(fresh, 1)[7].click()
    until(fresh, lambda: value_in(fresh, "layer") == "7")
    screenshot(fresh, f"{fresh.look}_heads")
    assert not fresh.execute_script(CRAMPED)
    tick(fresh, "show the heads of the layer")
    until(fresh, lambda: value_in(fresh, "heads") == "[]")

"""The explorer asked, compared and taken away, in real JupyterLab; see `explorer_in_jupyterlab.py`."""

import time

import numpy as np
from explorer_page import (
    CAUGHT_INPUT,
    CRAMPED,
    EVERYWHERE,
    bar,
    choose,
    command,
    done,
    drag,
    find,
    forget_status,
    pixels,
    press,
    read,
    row,
    screenshot,
    status,
    thumbs,
    type_in,
    until,
    value_in,
    words,
)
from lab import note
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from hide_utils import paths

pytest_plugins = ["explorer_page"]


@EVERYWHERE
def test_words_show_where_they_look_and_a_place_shows_who_looks(fresh):
    press(fresh, "Answer")
    done(fresh, "answering")
    all_tokens = bar(fresh)
    (reply,) = words(fresh, "direct reply")[:1]
    ActionChains(fresh).move_to_element(reply).perform()
    until(fresh, lambda: "(direct reply)" in bar(fresh))
    ActionChains(fresh).move_to_element(row(fresh, "map")).perform()
    until(fresh, lambda: bar(fresh) == all_tokens)
    words(fresh, "asked directly")[4].click()
    ActionChains(fresh).move_to_element(row(fresh, "map")).perform()
    until(fresh, lambda: "(asked directly)" in bar(fresh))
    press(fresh, "◎ who looks?")
    drag(fresh, (0.6, 0.1), (0.95, 0.4))
    until(fresh, lambda: "at the marked place" in find(fresh, ".hide-words .hide-said")[0].text)
    screenshot(fresh, f"{fresh.look}_words")
    press(fresh, "clear marks")
    until(fresh, lambda: "at the marked place" not in find(fresh, ".hide-words .hide-said")[0].text)


@EVERYWHERE
def test_regions_drawn_by_hand_are_answered_and_reset(fresh):
    press(fresh, "▭ own region")
    drag(fresh, (0.1, 0.1), (0.4, 0.3))
    drag(fresh, (0.6, 0.6), (0.9, 0.9))
    until(fresh, lambda: value_in(fresh, "own_boxes").count("[") == 3)
    started = time.perf_counter()
    press(fresh, "Answer")
    done(fresh, "answering")
    note(f"answer, {fresh.look}", time.perf_counter() - started)
    assert "not asked with these settings" not in fresh.find_element(By.CSS_SELECTOR, ".hide-panes").text
    screenshot(fresh, f"{fresh.look}_own_regions")
    press(fresh, "Reset")
    done(fresh, "resetting")
    assert value_in(fresh, "own_boxes") == "[]"


@EVERYWHERE
def test_two_panes_mark_what_differs(fresh):
    choose(fresh, "model", "mini")
    press(fresh, "Pin beside")
    done(fresh, "pinning")
    assert len(find(fresh, "canvas.hide-canvas")) == 2
    thumbs(fresh, 1)[5].click()
    until(fresh, lambda: "layer" in find(fresh, ".hide-table")[0].text)
    before = pixels(fresh, 0)
    press(fresh, "+")
    assert pixels(fresh, 0) != before, "both panes zoom together"
    press(fresh, "whole")
    screenshot(fresh, f"{fresh.look}_two_layers")
    assert not fresh.execute_script(CRAMPED)
    box = fresh.find_element(By.CSS_SELECTOR, ".hide-explorer")
    assert fresh.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth + 1", box)
    press(fresh, "Reset")
    done(fresh, "resetting")
    question = read(fresh, "textarea", "value")
    type_in(fresh, "question", "What is the color of the robot?")
    type_in(fresh, "entities", "robot")
    press(fresh, "Search this question")
    done(fresh, "searching")
    assert "question" in find(fresh, ".hide-table")[0].text
    screenshot(fresh, f"{fresh.look}_two_questions")
    type_in(fresh, "question", question)
    type_in(fresh, "entities", "")
    press(fresh, "Search this question")
    done(fresh, "searching")
    started = time.perf_counter()
    choose(fresh, "model", [one.text for one in row(fresh, "model").find_elements(By.TAG_NAME, "option")][1])
    done(fresh, "asking the other model")
    note(f"the other model, {fresh.look}", time.perf_counter() - started)
    assert "model" in find(fresh, ".hide-table")[0].text
    screenshot(fresh, f"{fresh.look}_two_models")
    choose(fresh, "model", "mini")
    done(fresh, "asking the other model")


@EVERYWHERE
def test_samples_are_filtered_and_chosen(fresh):
    options = row(fresh, "sample").find_elements(By.TAG_NAME, "option")
    started = time.perf_counter()
    forget_status(fresh)
    options[-1].click()
    done(fresh, "searching")
    note(f"another sample, {fresh.look}", time.perf_counter() - started)
    choose(fresh, "direct", "wrong")
    until(fresh, lambda: len(row(fresh, "sample").find_elements(By.TAG_NAME, "option")) < len(options))
    choose(fresh, "direct", "any")
    until(fresh, lambda: len(row(fresh, "sample").find_elements(By.TAG_NAME, "option")) == len(options))
    forget_status(fresh)
    row(fresh, "sample").find_elements(By.TAG_NAME, "option")[0].click()
    done(fresh, "searching")


@EVERYWHERE
def test_view_is_taken_away(fresh, folder, profile):
    press(fresh, "Copy command")
    said = command(fresh)
    assert fresh.execute_script("return getSelection().toString()").strip() == said.strip()
    assert said.startswith("hide run 08_explorer")
    press(fresh, "Download arrays")
    file = profile / "downloads" / "explorer.npz"
    until(fresh, file.is_file)
    assert "purified" in np.load(file)
    file.unlink()
    started = time.perf_counter()
    press(fresh, "Save as figure")
    done(fresh, "saving")
    note(f"save as figure, {fresh.look}", time.perf_counter() - started)
    assert {p.suffix for p in (folder / "figures" / "08_explorer").glob("view-*")} == {".json", ".pdf", ".png"}


@EVERYWHERE
def test_uploaded_picture_is_shown_at_once_and_then_searched(fresh):
    before = pixels(fresh)
    fresh.execute_script(CAUGHT_INPUT)
    (upload,) = [one for one in find(fresh, "button") if one.text.strip().startswith("Own picture")]
    upload.click()
    field = fresh.find_elements(By.CSS_SELECTOR, ".hide-explorer input[type=file]")[-1]
    fresh.execute_script("arguments[0].style.display = 'block'; arguments[0].value = ''", field)
    started = time.perf_counter()
    field.send_keys(str(paths.FIGURES / "00_quickstart" / "stages.png"))
    until(fresh, lambda: "picture loaded" in status(fresh))
    until(fresh, lambda: pixels(fresh) != before)
    note(f"an upload is shown, {fresh.look}", time.perf_counter() - started)
    fresh.execute_script("arguments[0].remove()", field)
    started = time.perf_counter()
    press(fresh, "Search this question")
    done(fresh, "searching")
    note(f"search in an own picture, {fresh.look}", time.perf_counter() - started)
    assert "-p image" in command(fresh) and "means nothing" in fresh.find_element(By.CSS_SELECTOR, ".hide-panes").text
    screenshot(fresh, f"{fresh.look}_own_picture")
    options = row(fresh, "sample").find_elements(By.TAG_NAME, "option")
    forget_status(fresh)
    options[0].click()
    done(fresh, "searching")


def test_every_control_can_be_reached_with_tab_and_has_a_name(page):
    controls = find(page, ":is(select, input:not([type=file]), textarea, button, [role=slider])")
    nameless = [one.get_attribute("outerHTML")[:120] for one in controls if not one.accessible_name.strip()]
    assert not nameless
    page.execute_script("arguments[0].focus()", controls[0])
    seen = set()
    for _ in range(3 * len(controls)):
        seen.add(page.switch_to.active_element.id)
        ActionChains(page).send_keys(Keys.TAB).perform()
    missed = [one.get_attribute("outerHTML")[:120] for one in controls if one.id not in seen and one.is_enabled()]
    assert not missed


def test_console_has_no_error_of_the_page_itself(page):
    own = [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [message for message in own if "127.0.0.1" in message and "favicon" not in message], own

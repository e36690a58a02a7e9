"""The gallery of a run in headless Chromium, opened from its file: `make test-browser`.

Its cases are the shipped answers of notebook 05, and its screenshots lie in `data/results/browser/`.
"""

import shutil

import pandas as pd
import pytest
from lab import FLAGS, OUT
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from hide_utils import load_benchmark, paths
from hide_utils.evaluation.failures import write_page
from hide_utils.evaluation.store import read_rows

N = 60


@pytest.fixture(scope="module")
def answers():
    found = [pd.DataFrame(read_rows(path)[1]) for path in paths.ANSWERS.glob("05_benchmarks-answers-*.parquet")]
    return next(rows for rows in found if rows["sample_id"].str.contains("-test-1024-").all())


@pytest.fixture(scope="module")
def page(answers, tmp_path_factory):
    """All cases of the first scenes, open in the browser."""
    OUT.mkdir(parents=True, exist_ok=True)
    samples = load_benchmark("scenes", n=N, resolution=1024)
    few = answers[answers["sample_id"].isin({sample.id for sample in samples})]
    few = few[few["method"].isin(["direct", "hide", "oracle"])]
    path, n = write_page(few, samples, OUT / "gallery.html", which="all", title="Notebook 05", about="mini · scenes")
    assert n == N
    options = Options()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.get(path.as_uri())
    yield driver
    driver.quit()


def choose(driver, name, value):
    Select(driver.find_element(By.ID, name)).select_by_value(value)
    return driver.find_element(By.ID, "count").text


def ids(driver):
    return driver.execute_script("return [...document.querySelectorAll('article')].map(one => one.dataset.id)")


def right(answers, method):
    return answers[answers["method"] == method].set_index("sample_id")["correct"].head(N)


def test_filters_show_what_the_rows_say(page, answers):
    hide, direct = right(answers, "hide"), right(answers, "direct")
    wanted = {"gained": hide & ~direct, "lost": direct & ~hide, "failures": ~hide, "both right": hide & direct}
    for name, mask in wanted.items():
        assert choose(page, "which", name) == f"{mask.sum()} of {N} cases"
        assert ids(page) == list(mask.index[mask])[:24]
    page.save_screenshot(str(OUT / "gallery.png"))
    choose(page, "which", "all")
    kinds = answers.drop_duplicates("sample_id")["kind"].head(N)
    assert choose(page, "kind", kinds[0]) == f"{(kinds == kinds[0]).sum()} of {N} cases"
    choose(page, "kind", "")


def test_sorting_words_and_more(page, answers):
    recall = answers[answers["method"] == "hide"].set_index("sample_id")["recall50"].head(N)
    choose(page, "sort", "recall")
    shown = recall[ids(page)]
    assert len(shown) == 24 and shown.is_monotonic_increasing
    page.find_element(By.ID, "more").click()
    assert len(ids(page)) == 48
    choose(page, "order", "-1")
    assert recall[ids(page)].dropna().is_monotonic_decreasing
    page.find_element(By.ID, "words").send_keys("scenes-test-1024-s0-00007")
    assert page.find_element(By.ID, "count").text == f"1 of {N} cases"
    page.find_element(By.ID, "words").clear()
    choose(page, "sort", "number")


def test_pictures_are_drawn_and_nothing_is_asked_of_a_network(page):
    size = "const i = document.querySelector('.compact img'); return [i.complete, i.naturalWidth]"
    complete, width = page.execute_script(size)
    assert complete and width > 10
    rects = page.execute_script("return document.querySelectorAll('article svg rect').length")
    assert rects > 24
    assert (
        page.execute_script("return performance.getEntriesByType('resource').filter(r => /^http/.test(r.name)).length")
        == 0
    )
    assert not [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone_in_both_schemes(page, scheme):
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    page.set_window_size(500, 900)
    inner, outer = page.execute_script("return [document.body.scrollWidth, window.innerWidth]")
    page.save_screenshot(str(OUT / f"gallery_{scheme}.png"))
    page.set_window_size(1280, 1000)
    page.save_screenshot(str(OUT / f"gallery_wide_{scheme}.png"))
    assert inner <= outer

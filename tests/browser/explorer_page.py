"""The explorer's page for the browser's tests: its fixtures, and how its parts are read and pressed.

It has no assertions of its own (PYTEST_DONT_REWRITE), and the tests import it before pytest does.
"""

import os
import shlex

import pytest
from lab import HEIGHT, OUT, THEMES, WHOLE, look, note, opened, served, show
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

# From a change of a control to the main map drawn anew, and to all else, in milliseconds.
TIMED = """
const [name, value, done] = arguments;
const bars = document.querySelectorAll('.hide-explorer .hide-bar'), start = performance.now();
const seen = (part, tell) => {
  const watch = new MutationObserver(() => { watch.disconnect(); tell(performance.now() - start); });
  watch.observe(part, {childList: true, characterData: true, subtree: true});
};
let map = Infinity;  // until the scale below the map is drawn again, which it is not where nothing of the map changes
seen(bars[bars.length - 1], time => { map = time; });
seen(document.querySelector('.hide-explorer code'), time => done([Math.min(map, time), time]));  // written last
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
"""
# Controls that lie over each other, and texts that are cut off: what cramped pages have.
CRAMPED = """
const shown = [...document.querySelectorAll(
  '.hide-explorer :is(button, select, input, textarea, canvas.hide-canvas, .widget-label, .hide-said)')]
  .filter(one => one.offsetParent && one.getClientRects().length && one.type !== 'file');
const box = one => one.getBoundingClientRect();
const name = one => (one.textContent || one.title || one.tagName).slice(0, 30);
const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
const found = [];
shown.forEach((one, i) => shown.slice(i + 1).forEach(other => {
  const nested = one.contains(other) || other.contains(one);
  if (!nested && over(box(one), box(other))) found.push(`${name(one)} | ${name(other)}`);
}));
for (const one of document.querySelectorAll('.hide-explorer .widget-label, .hide-explorer button'))
  if (one.offsetParent && one.scrollWidth > one.clientWidth + 1) found.push(`cut: ${name(one)}`);
return found;
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
# Sets an opacity; milliseconds until the picture is drawn again.
SLIDE = """
const [slider, value] = arguments, start = performance.now();
slider.value = value;
slider.oninput();
return performance.now() - start;
"""

LOOKS = [(width, theme) for width in (1366, 900) for theme in THEMES]
EVERYWHERE = pytest.mark.parametrize(
    "shown", LOOKS, ids=lambda one: f"{one[0]}-{one[1]}", indirect=True, scope="module"
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def profile(tmp_path_factory):
    return tmp_path_factory.mktemp("chromium")


@pytest.fixture(scope="session")
def page(folder, profile):
    """The notebook open in the browser, with all its cells run."""
    with served(folder) as url, opened(url, profile) as driver:
        note("load average of the machine", os.getloadavg()[0])
        yield driver


@pytest.fixture(scope="module")
def shown(page, request):
    """The page at a width and in a theme."""
    look(page, *request.param)
    page.look = "{}_{}".format(*request.param)
    return page


@pytest.fixture
def fresh(shown):
    """The page as the model's own settings have it, with one pane."""
    if any(one.text.strip() == "Unpin" for one in shown.find_elements(By.CSS_SELECTOR, ".hide-explorer button")):
        press(shown, "Unpin")
        done(shown, "pinning")
    press(shown, "Reset")
    done(shown, "resetting")
    press(shown, "✥ move")
    press(shown, "whole")
    return shown


def find(page, selector):
    return [one for one in page.find_elements(By.CSS_SELECTOR, f".hide-explorer {selector}") if one.is_displayed()]


def thumbs(page, section):
    """Buttons of a row of small maps: 0 tokens, 1 layers, 2 heads."""
    return page.find_elements(By.CSS_SELECTOR, ".hide-gallery")[section].find_elements(By.CSS_SELECTOR, ".hide-thumb")


def bar(page):
    return find(page, ".hide-bar")[-1].text


def words(page, start):
    """The tokens of the text whose title begins so."""
    (line,) = [one for one in find(page, ".hide-words p") if one.text.startswith(start)]
    return line.find_elements(By.CSS_SELECTOR, ".hide-token")


def tick(page, text):
    (box,) = [one for one in find(page, ".widget-checkbox") if one.text.strip() == text]
    box.find_element(By.TAG_NAME, "input").click()


def read(driver, selector, what):
    """A property of a part of the explorer, in one step: between two the part may be drawn anew."""
    return driver.execute_script(f"return document.querySelector('.hide-explorer {selector}').{what}")


def status(driver):
    return read(driver, "[role=status]", "textContent")


def command(driver):
    return read(driver, "code", "textContent")


def value_in(driver, name):
    """A parameter's value in the command."""
    words = shlex.split(command(driver))
    return words[words.index(name) + 1]


def button(driver, text):
    found = driver.find_elements(By.CSS_SELECTOR, ".hide-explorer button")
    return next(one for one in found if one.is_displayed() and one.text.strip() == text)


def press(driver, text):
    """Press a button; a click of the mouse lands only where nothing lies over it."""
    one = button(driver, text)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", one)
    forget_status(driver)
    one.click()


def forget_status(driver):
    """Empty the status line, so that `done` waits for what comes next and not for what went before."""
    driver.execute_script("document.querySelector('.hide-explorer [role=status]').textContent = ''")


def done(driver, start, seconds=90):
    """Wait for the status line to say how an action ended."""
    WebDriverWait(driver, seconds).until(lambda d: status(d).startswith(f"{start}: done"))


def until(driver, condition, seconds=20):
    patient = WebDriverWait(driver, seconds, ignored_exceptions=[StaleElementReferenceException])
    return patient.until(lambda _: condition())  # a part may be drawn anew while it is read


def row(driver, label):
    """The row of a control."""
    found = driver.find_elements(By.CSS_SELECTOR, ".hide-explorer .widget-inline-hbox")
    return next(one for one in found if one.text.split("\n")[0] == label)


def choose(driver, label, text):
    """Choose in a list."""
    options = row(driver, label).find_elements(By.TAG_NAME, "option")
    forget_status(driver)
    next(one for one in options if one.text.replace("\u00a0", " ") == text).click()


def type_in(driver, label, text):
    """Type into a field, and leave it."""
    field = row(driver, label).find_element(By.CSS_SELECTOR, "input, textarea")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text or Keys.DELETE, Keys.TAB)


def canvas(driver, pane=-1):
    """The picture of a pane, in view; the pinned one is the first."""
    shown = [one for one in driver.find_elements(By.CSS_SELECTOR, "canvas.hide-canvas") if one.is_displayed()]
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", shown[pane])
    return shown[pane]


def pixels(driver, pane=-1):
    """What a pane's picture shows, as one text."""
    return driver.execute_script("return arguments[0].toDataURL()", canvas(driver, pane))


def drag(driver, start, end):
    """Drag over the main picture, from and to parts of its sides."""
    target = canvas(driver)
    size = target.size
    x0, x1 = ((point[0] - 0.5) * size["width"] for point in (start, end))
    y0, y1 = ((point[1] - 0.5) * size["height"] for point in (start, end))
    chain = ActionChains(driver, duration=50).move_to_element_with_offset(target, int(x0), int(y0)).click_and_hold()
    chain.move_by_offset(int((x1 - x0) / 2), int((y1 - y0) / 2)).move_by_offset(int((x1 - x0) / 2), int((y1 - y0) / 2))
    chain.release().perform()


def screenshot(driver, name):
    """All of the explorer, in a window that is high enough."""
    width = driver.get_window_size()["width"]
    driver.set_window_size(width, WHOLE)
    show(driver)
    driver.find_element(By.CSS_SELECTOR, ".hide-explorer").screenshot(str(OUT / f"{name}.png"))
    driver.set_window_size(width, HEIGHT)
    show(driver)

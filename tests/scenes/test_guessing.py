"""No scene benchmark may be guessed: lists made guessable are caught, a fair one passes, and so do the scenes."""

import functools
from string import ascii_uppercase

import numpy as np
import pytest
from guessing import MARGIN, READERS, Specification, guessing
from yardstick import cpu_seconds, million_squares

from hide_utils.scenes import COLORS, DIFFICULTIES, KINDS, ask, stream
from hide_utils.scenes.settings import scene_config

N = 2000
PALETTE, NOUNS = list(COLORS), ["dog", "cat", "car", "tree", "mug", "key", "star", "tent"]


def fair_list(n=N, seed=0):
    """Colors of nouns: the right one is any of the options, each of which occurs as often as any other."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        options = [str(o) for o in rng.choice(PALETTE, 4, replace=False)]
        noun = str(rng.choice(NOUNS))
        counts = rng.integers(1, 6, 4)
        values = [option for option, count in zip(options, counts, strict=True) for _ in range(count)]
        yield rng, noun, options, int(rng.integers(4)), values


def specification(noun, options, right, values, question="What is the color of the {}?"):
    return Specification("color", question.format(noun), options, ascii_uppercase[right], values)


def fair():
    return [specification(*parts) for _, *parts in fair_list()]


def places():
    """The third option is right a little more often."""
    return [specification(noun, options, 2 if rng.random() < 0.15 else right, values)
            for rng, noun, options, right, values in fair_list()]  # fmt: skip


def texts():
    """Purple, cyan and pink are right only where it cannot be helped."""
    found = []
    for _, noun, options, right, values in fair_list():
        while options[right] in ("purple", "cyan", "pink"):
            right = (right + 1) % 4
        found.append(specification(noun, options, right, values))
    return found


def lengths():
    """The right option is more often the one that says most."""
    found = []
    for rng, noun, options, right, values in fair_list():
        options = [f"{option}{' and bright' if i == right and rng.random() < 0.3 else ''}"
                   for i, option in enumerate(options)]  # fmt: skip
        found.append(specification(noun, options, right, values))
    return found


def company():
    """Wrong options differ from the right one in one word, as distractors are often made."""
    found = []
    for rng, _, colors, _, values in fair_list():
        nouns = [str(noun) for noun in rng.choice(NOUNS, 2, replace=False)]
        pairs = [f"{colors[0]} {nouns[0]}", f"{colors[1]} {nouns[0]}", f"{colors[0]} {nouns[1]}"]
        order = rng.permutation(4)
        options = [[*pairs, f"{colors[2]} {colors[3]}"][i] for i in order]
        found.append(specification("picture", options, int(np.argmin(order)), values, "What is in the {}?"))
    return found


def words():
    """Dogs are mostly yellow where yellow can be chosen, and cats red."""
    found = []
    for rng, noun, options, right, values in fair_list():
        usual = {"dog": "yellow", "cat": "red", "key": "pink", "tent": "blue"}.get(noun)
        right = options.index(usual) if usual in options and rng.random() < 0.8 else right
        found.append(specification(noun, options, right, values))
    return found


def first_named():
    """What is named first is right."""
    found, rng = [], np.random.default_rng(3)
    for _ in range(N):
        options = [str(noun) for noun in rng.choice(NOUNS, 2, replace=False)]
        right = int(rng.integers(2))
        early = options[right if rng.random() < 0.6 else 1 - right]
        late = options[1 - options.index(early)]
        text = f"Which is larger, the {early} or the {late}?"
        found.append(Specification("relation", text, options, ascii_uppercase[right]))
    return found


def commonest():
    """Wrong options are colors that few things have."""
    return [specification(noun, options, right, values + [options[right]] * int(rng.integers(3)))
            for rng, noun, options, right, values in fair_list()]  # fmt: skip


def rarest():
    """Every wrong option is a color that some more things have."""
    return [specification(noun, options, right, values + [o for i, o in enumerate(options) if i != right])
            for _, noun, options, right, values in fair_list()]  # fmt: skip


def second():
    """The right color is neither the commonest nor the rarest."""
    found = []
    for rng, noun, options, _, _ in fair_list():
        counts = rng.permutation([1, 2, 3, 4])
        values = [option for option, count in zip(options, counts, strict=True) for _ in range(count)]
        found.append(specification(noun, options, int(np.argmax(counts == 2)), values))
    return found


MADE = {places: "options", texts: "options", lengths: "options", company: "options", words: "text",
        first_named: "text", commonest: "commonest", rarest: "rarest", second: "counts"}  # fmt: skip


@functools.cache
def judged(made):
    return guessing(made())


def verdicts(table):
    return table.set_index("reader")["fair"].to_dict()


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.__name__)
def test_a_list_made_guessable_is_caught(made):
    row = judged(made).set_index("reader").loc[MADE[made]]
    assert not row["fair"] and row["low"] > row["chance"] + 0.02


def test_each_reader_sees_its_own_part_alone():
    """What betrays the answer to one reader is nothing to those that do not see it."""
    unseen = {places: ("commonest", "rarest", "counts"), words: ("options", "counts", "commonest", "rarest"),
              commonest: ("options", "text"), rarest: ("options", "text"), second: ("options", "text")}  # fmt: skip
    for made, readers in unseen.items():
        found = verdicts(judged(made))
        assert all(found[reader] for reader in readers), (made.__name__, found)


def test_a_fair_list_passes_within_seconds():
    tables = []
    seconds = cpu_seconds(lambda: tables.append(guessing(fair())))
    assert seconds < 200 * million_squares()
    (table,) = tables
    assert list(table["reader"]) == list(READERS) and table["fair"].all(), table
    assert (table["n"] == N).all() and (table["chance"] == 0.25).all()
    assert ((table["low"] < table["accuracy"]) & (table["accuracy"] < table["high"])).all()
    assert (table["high"] - table["low"] < MARGIN).all()


def test_relations_whose_both_answers_stand_side_by_side_are_fair():
    """Every question occurs twice, with one answer each: learning by heart on one half misleads on the other."""
    rng, asked = np.random.default_rng(5), []
    for _ in range(N // 2):
        one, other = (f"{rng.choice(PALETTE)} {rng.choice(NOUNS)}" for _ in range(2))
        options = ["left", "right"] if rng.random() < 0.5 else ["right", "left"]
        asked += [Specification("relation", f"Is the {one} on the left or right side of the {other}?", options, letter,
                                (one, other)) for letter in "AB"]  # fmt: skip
    assert guessing(asked)["fair"].all(), guessing(asked)


def test_kinds_are_judged_apart_and_with_their_own_chance():
    two = [Specification("two", "Is it on the left?", ["yes", "no"], "AB"[i % 7 % 2], ()) for i in range(N)]
    table = guessing([*fair(), *two])
    assert table.groupby("kind", sort=False)["chance"].first().to_dict() == {"color": 0.25, "two": 0.5}
    assert table[table["kind"] == "color"]["fair"].all()
    # A is right in four of seven: the readers of options see that, those of counts have nothing to go by.
    found = table[table["kind"] == "two"].set_index("reader")["accuracy"]
    assert found["options"] == pytest.approx(4 / 7, abs=0.01) and found["commonest"] == found["rarest"] == 0.5


def test_values_are_compared_as_texts_are_read():
    one = Specification("k", "?", ["Red ", "blue"], "A", ["red", "RED", "blue"])
    table = guessing([one] * 4).set_index("reader")["accuracy"]
    assert (table["commonest"], table["rarest"]) == (1, 0)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="need some"):
        guessing([])
    with pytest.raises(ValueError, match=r"letters, not \[1\]"):
        guessing([Specification("k", "?", ["x", "y"], letter) for letter in "AC"])


# --- the drawn scenes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_scenes_cannot_be_guessed(difficulty):
    """From what is asked and which things there are, before anything is placed or drawn.

    A thousand of each kind are enough: chance lies three standard errors from the margin.
    """
    config, found, n = scene_config(difficulty, {}), [], 1000
    for kind in KINDS:
        for index in range(n):
            asked = ask(stream("test", 0, index, "question"), kind, config)
            values = [value for pair in asked.pairs for value in pair]
            found.append(Specification(kind, asked.text, asked.options, asked.label, values))
    table = guessing(found)
    assert (table["n"] == n).all() and table["fair"].all(), table

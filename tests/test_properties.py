"""What holds for every input: regions, compaction, purified maps, letters, and stores that are closed at any time."""

import re
import unicodedata

import numpy as np
import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from hide_utils.evaluation.store import ResultStore
from hide_utils.method import lpd, tad
from hide_utils.scoring import PROTOCOLS, parse_letter

SIZE_WH = (37, 53)
MAPS = arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1, width=32)
)
ROWS = arrays(
    np.float32, st.tuples(st.integers(3, 7), st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 1000)
)


# Pixel boxes inside the picture, of up to nine pixels a side.
BOXES = st.lists(
    st.tuples(*(st.integers(0, side - 1) for side in SIZE_WH), st.integers(1, 9), st.integers(1, 9)).map(
        lambda box: (*box[:2], min(box[0] + box[2], SIZE_WH[0]), min(box[1] + box[3], SIZE_WH[1]))
    ),
    min_size=1,
    max_size=7,
)


def merged(boxes) -> list[tuple[int, int, int, int]]:
    """Regions as `merge_boxes` gives them: disjoint, not touching, inside the picture, sorted."""
    return lpd.merge_boxes(normalised(boxes), SIZE_WH)


def normalised(boxes) -> np.ndarray:
    """Whole pixels as shares of the picture; a millionth of a pixel keeps truncation from losing one."""
    return (np.array(boxes, np.float64).reshape(-1, 4) + 1e-6) / np.array(SIZE_WH * 2)


def numbered_picture() -> Image.Image:
    """Every pixel has a color of its own."""
    code = np.arange(SIZE_WH[0] * SIZE_WH[1]).reshape(SIZE_WH[::-1])
    return Image.fromarray(np.stack([code % 256, code // 256, code * 0], axis=-1).astype(np.uint8))


def area(boxes) -> int:
    return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes)


@settings(max_examples=100)
@given(MAPS, st.floats(0.01, 1), st.integers(1, 300), st.integers(1, 300))
def test_from_maps_to_regions_inside_apart_and_never_larger_than_the_picture(maps, alpha, width, height):
    found = lpd.regions_of(maps, alpha, (width, height))
    assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height for x0, y0, x1, y1 in found)
    for i, (x0, y0, x1, y1) in enumerate(found):
        assert all(x1 < a or c < x0 or y1 < b or d < y0 for a, b, c, d in found[i + 1 :]), "apart, not even touching"
    assert area(found) <= width * height
    assert found == sorted(found)


@settings(max_examples=100)
@given(BOXES)
def test_merging_what_is_merged_changes_nothing(boxes):
    found = merged(boxes)
    assert lpd.merge_boxes(normalised(found), SIZE_WH) == found


@settings(max_examples=100)
@given(BOXES, st.permutations(range(7)))
def test_the_order_in_which_boxes_come_has_no_influence(boxes, order):
    found = merged(boxes)
    shuffled = [found[i] for i in order if i < len(found)]
    places = dict(zip(map(tuple, found), lpd.mapping(found), strict=True))
    assert [places[region] for region in shuffled] == lpd.mapping(shuffled)


@settings(max_examples=100)
@given(BOXES)
def test_compaction_keeps_sizes_order_and_pixels_and_is_never_larger(boxes):
    found = merged(boxes)
    places = lpd.mapping(found)
    compact = lpd.compact_image(numbered_picture(), found)
    assert compact.width <= SIZE_WH[0] and compact.height <= SIZE_WH[1] and area(places) == area(found)
    for region, place in zip(found, places, strict=True):
        assert compact.crop(place).convert("RGB").tobytes() == numbered_picture().crop(region).tobytes()
    before, after = np.array(found), np.array(places)
    for corner in range(4):  # left, upper, right and lower edges keep their order; equal ones stay equal
        signs = [np.sign(values[:, None, corner] - values[None, :, corner]) for values in (before, after)]
        np.testing.assert_array_equal(*signs)
    assert np.count_nonzero(np.asarray(compact.getchannel("A"))) == area(found)


@settings(max_examples=100)
@given(BOXES)
def test_compacting_the_compact_image_gives_it_again(boxes):
    found = merged(boxes)
    compact = lpd.compact_image(numbered_picture(), found)
    places = lpd.mapping(found)
    assert lpd.mapping(places) == places
    assert lpd.compact_image(compact, places).tobytes() == compact.tobytes()


@settings(max_examples=60)
@given(ROWS, st.integers(0, 3), st.sampled_from([0, 0.5, 2.0]), st.lists(st.integers(-20, 20), min_size=7, max_size=7))
def test_purified_maps_lie_in_0_1_whatever_each_row_is_multiplied_by(attention, n_noise, sigma, powers):
    """Factors of two are exact in floating point, so the maps are the same to the last bit."""
    maps = tad.purify(attention, n_noise, sigma)
    assert maps.dtype == np.float32 and np.isfinite(maps).all()
    assert maps.min(initial=0) >= 0 and maps.max(initial=0) <= 1
    factors = np.exp2(np.array(powers[: len(attention)], np.float32)).reshape(-1, 1, 1)
    np.testing.assert_array_equal(tad.purify(attention * factors, n_noise, sigma), maps)


OPTIONS = ["red car", "the left", "none", "2 dogs"]
WORDS = [
    "the",
    "answer",
    "is",
    "option",
    "choose",
    "not",
    "(",
    ")",
    ".",
    ":",
    "or",
    "\n",
    "I",
    "a",
    "red",
    "car",
    "B2",
    "C++",
]
WORDS += [
    "A",
    "B",
    "C",
    "D",
    "(A)",
    "(d)",
    "**B**",
    "Answer:",
    "Final",
    "E",
    "(F)",
    "maybe",
    "because",
    "vitamin",
    "答案是",
]


@settings(max_examples=300)
@given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), st.text(max_size=40)))
@example("The answer is D, not A.")
def test_a_letter_is_never_guessed(reply):
    letter = parse_letter(reply, OPTIONS, "strict")
    plain = unicodedata.normalize("NFKC", reply)
    assert letter in {None, *"ABCD"}
    if letter is not None:
        assert re.search(rf"(?<![A-Za-z0-9]){letter}(?![A-Za-z0-9])", plain, re.I), "stated in so many words"
    assert parse_letter(reply, ["x", "y", "z", "w"], "strict") == letter or letter is None, (
        "and not for an option's text"
    )


@settings(max_examples=100)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from(sorted(set(PROTOCOLS) - {"logits"}))
)
def test_without_a_latin_letter_no_protocol_finds_one(reply, protocol):
    bare = "".join(c for c in reply if not re.search("[A-Za-z]", unicodedata.normalize("NFKC", c)))
    assert parse_letter(bare, OPTIONS, protocol) is None


ACTIONS = st.lists(
    st.one_of(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), max_size=4).map(lambda keys: ("append", keys)),
        st.just(("close", None)),
        st.just(("reopen", None)),
        st.integers(1, 60).map(lambda n: ("kill while appending", n)),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(ACTIONS)
def test_a_store_holds_the_first_row_of_each_key_whatever_happens_between(tmp_path_factory, actions):
    path = tmp_path_factory.mktemp("store") / "rows.parquet"
    store, expected = ResultStore(path, {"alpha": 0.7}), {}
    for number, (action, given_) in enumerate(actions):
        if action == "append":
            rows = [{"sample_id": f"s{s}", "method": f"m{m}", "value": number} for s, m in given_]
            store.append(rows)
            for row in rows:
                expected.setdefault((row["sample_id"], row["method"]), row)
        elif action == "close":
            store.close()
        else:
            if action == "kill while appending" and store.journal.exists():  # a torn line at the end of the journal
                with store.journal.open("ab") as journal:
                    journal.write(
                        b'{"sample_id": "s0", "method": "m0", "value": "torn and never whole .........'[:given_]
                    )
            store = ResultStore(path, {"alpha": 0.7})
    store.close()
    found = ResultStore(path).load()
    assert found.to_dict("records") == list(expected.values())
    again = ResultStore(path, {"alpha": 0.7})
    assert again.append(list(expected.values())) == 0, "storing everything again changes nothing"
    again.close()
    pd.testing.assert_frame_equal(ResultStore(path).load(), found)

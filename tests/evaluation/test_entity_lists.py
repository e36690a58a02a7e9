"""Scores of extracted entities: what counts as found, hand-computed ratios, and the committed questions."""

import json

import numpy as np
import pytest

from hide_utils.evaluation import entity_lists
from hide_utils.evaluation.entity_lists import Question, count_matches, head_noun, score_questions, scores_by
from hide_utils.method.entities import Extractor
from hide_utils.models import load_model


def test_the_committed_questions():
    questions = entity_lists.load_questions()
    content = json.loads(entity_lists.QUESTIONS.read_text(encoding="utf-8"))
    assert len(questions) >= 50 and len({q.type for q in questions}) >= 8 and content["guidelines"]
    assert {q.type for q in questions} == set(content["types"])
    assert all(not q.entities for q in questions if q.type == "no visual entity")
    assert all(q.entities for q in questions if q.type != "no visual entity")
    for q in questions:  # every noun of a reference stands in its question
        assert all(head_noun(name) in q.text.lower() for name in q.entities), q


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "b"}, "an id repeats"),
        ({"type": "song"}, "type 'song' is none"),
        ({"entities": ["The Dog "]}, "not in cleaned form"),
    ],
)
def test_faulty_questions_are_refused(tmp_path, change, message):
    rows = [{"id": i, "type": "plural", "question": "Are the dogs wet?", "entities": ["dogs"]} for i in "ab"]
    rows[0] |= change
    (tmp_path / "q.json").write_text(json.dumps({"types": {"plural": ""}, "questions": rows}))
    with pytest.raises(ValueError, match=message):
        entity_lists.load_questions(tmp_path / "q.json")


def test_what_counts_as_found():
    reference = ("truck with large size with blue color", "bag of woman")
    reordered = ("truck with blue color with large size", "bag of woman")
    assert count_matches(reordered, reference) == 2  # properties in any order
    assert count_matches(("truck with blue color", "bag"), reference) == 0
    assert count_matches(("truck with blue color", "bag"), reference, "head") == 2
    assert count_matches(("truck", "truck"), reference, "head") == 1  # each reference once
    assert count_matches((), reference) == count_matches(("dog",), ()) == 0
    assert [head_noun(n) for n in ("traffic light with red state", "door of old shed", "")] == ["light", "door", ""]
    with pytest.raises(ValueError, match="unknown match 'fuzzy'"):
        count_matches((), (), "fuzzy")


def test_scores_by_hand():
    questions = [
        Question("a", "t", "", ("dog", "cat")),
        Question("b", "t", "", ("cup",)),
        Question("c", "none", "", ()),
    ]
    rows = score_questions(questions, {"x": [("dog",), ("cup", "bowl"), ()]}, ["canonical"])
    assert rows["exact"].tolist() == [False, False, True]
    table = scores_by(rows).set_index("measure")["estimate"]
    assert table.to_dict() == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "exact": 1 / 3})
    by_type = scores_by(rows, ["type", "extractor", "match"]).set_index(["type", "measure"])["estimate"]
    assert np.isnan(by_type["none", "recall"]) and by_type["none", "exact"] == 1


def test_a_reply_that_cannot_be_read_has_found_nothing():
    ways = entity_lists.extractors(Extractor(load_model("mini", device="cpu", dtype="float32"), max_new_tokens=12))
    texts = ("What is the color of the star?", "Zyx, wvu?")
    assert ways["model's prompt"](texts)[0] == ("star",)
    assert ways["whole question"](texts)[1] == ("zyx wvu?",)
    assert ways["rules"](texts)[0] == ("star",)
    mute = Extractor(load_model("mini", device="cpu", dtype="float32"), max_new_tokens=1)  # no room for the tags
    assert entity_lists.extractors(mute)["model's prompt"](texts) == [(), ()]

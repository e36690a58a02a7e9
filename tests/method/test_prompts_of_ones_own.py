"""Prompts of one's own: in any language, from texts or a file, counted from the text and held by stored rows' keys."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from checkpoints import KINDS_OF_FAMILY, checkpoint, tiny_model
from model_helpers import picture

from hide_utils import HiDe, evaluate, load_model, paths
from hide_utils.evaluation.captured import RowCache
from hide_utils.evaluation.keys import run_settings
from hide_utils.evaluation.store import SettingsError
from hide_utils.evaluation.workers import Recipe, Worker
from hide_utils.method import Extractor, tad
from hide_utils.method.entities import parse_entities
from hide_utils.prompts import ANSWER_INSTRUCTION, EXTRACTION_PROMPT, SEARCH_INSTRUCTION, Prompts, multiple_choice
from hide_utils.samples import Sample

QUESTION, OPTIONS = "Welche Farbe hat der Hund?", ["rot", "grün"]
GERMAN = Prompts(
    search="Suche die folgenden Dinge in den Bildern:",
    answer="Antworte nur mit dem Buchstaben.",
    extraction="Nenne die Dinge.\nFrage: {question}\nSchreibe sie zwischen <FINAL_OUTPUT> und </FINAL_OUTPUT>.",
)
CHINESE = "在图像中搜索以下实体："


def sample(**changes):
    fixed = {"question": QUESTION, "options": OPTIONS, "label": "A", "kind": "direct_attributes"}
    return Sample("s", render=lambda: picture(200, 150), entities=["dog"], **fixed | changes)


@pytest.mark.parametrize("family", KINDS_OF_FAMILY)
@pytest.mark.parametrize("search", [GERMAN.search, CHINESE, "Finde {alle} 🔎"])
def test_the_prior_is_of_the_given_instruction_s_tokens(family, search):
    model, image = tiny_model(family), picture(230, 170, 3)
    result = HiDe(model, layer=1, sigma=1.0, prompts={"search": search})(image, QUESTION, None, ["dog", "red star"])
    text = f"{search} dog, red star"
    prompt = model.prompt(image, text)
    span, at = prompt.texts[0], len(search) + 1
    noise = [i for i, (a, b) in enumerate(span.offsets, span.start) if 2 * (len(search) - a) > b - a]
    assert model.decode(prompt.ids[noise].tolist()).strip() == search
    named = span.positions(at, at + 3) + span.positions(at + 5, at + 13)
    rows = model.capture(prompt, noise + named, [1]).maps[0][0]
    np.testing.assert_allclose(result.maps, tad.purify(rows, len(noise), 1.0), atol=1e-4)


def test_every_prompt_is_the_given_one(monkeypatch):
    model, image, asked = tiny_model("qwen3_vl"), picture(200, 150), []
    original = model.prompt
    monkeypatch.setattr(model, "prompt", lambda *parts: asked.append(parts[-1]) or original(*parts))
    result = HiDe(model, prompts=GERMAN)(image, QUESTION, OPTIONS)
    answer = f"{QUESTION}\nA. rot\nB. grün\n{GERMAN.answer}"
    wanted = [
        f"Nenne die Dinge.\nFrage: {QUESTION}\nSchreibe sie zwischen <FINAL_OUTPUT> und </FINAL_OUTPUT>.",
        f"{GERMAN.search} {result.entities.text}",
        answer,
    ]
    assert [text for text in asked if text != "?"] == [*wanted, answer]
    assert asked.count("?") == 1


@pytest.mark.parametrize("where", ["{question} Liste", "Frage: {question}", "A\n\n{question}\n\nB"])
def test_the_kept_beginning_of_an_extraction_prompt_changes_no_reply(where):
    model = tiny_model("qwen3_vl")
    prompts = Prompts(extraction=f"{where} <FINAL_OUTPUT></FINAL_OUTPUT>")
    questions = ["What is the color of the dog?", "{question}?", "Is the truck red?"]
    kept, whole = (Extractor(model, reuse, 12, prompts=prompts) for reuse in (True, False))
    assert [one.entities for one in kept.many(questions)] == [one.entities for one in whole.many(questions)]
    assert prompts.for_extraction("{question}?").count("{question}?") == 1


def test_defaults_are_the_words_that_were():
    usual = Prompts()
    assert usual.for_search("dog, cat") == f"{SEARCH_INSTRUCTION} dog, cat"
    assert usual.for_extraction("Who?") == f"{EXTRACTION_PROMPT} Who?" and usual.before_question == EXTRACTION_PROMPT
    for style in ("letters", "mme_realworld"):
        assert usual.for_answer("Who?", ["a", "b"], style) == multiple_choice("Who?", ["a", "b"], style)
    assert usual.own == {} and usual.for_answer("Who?", None) == "Who?"


def test_an_answer_instruction_of_one_s_own_replaces_a_benchmark_s_wording():
    assert GERMAN.for_answer("Wer?", ["a", "b"], "mme_realworld") == f"Wer?\nA. a\nB. b\n{GERMAN.answer}"
    assert Prompts(search="Finde:").for_answer("?", ["a", "b"], "mme_realworld").endswith("The best answer is:")


def test_replies_in_other_scripts_are_read():
    assert parse_entities("<FINAL_OUTPUT> 卡车，狗、红色的星 。</FINAL_OUTPUT>")[0] == ("卡车", "狗", "红色的星")
    assert parse_entities("<FINAL_OUTPUT>شاحنة، كلب</FINAL_OUTPUT>")[0] == ("شاحنة", "كلب")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"search": ""}, "prompt 'search' is empty"),
        ({"answer": " \n"}, "prompt 'answer' is empty"),
        ({"search": ["a"]}, "prompt 'search': want a text"),
        ({"extraction": "List. <FINAL_OUTPUT></FINAL_OUTPUT>"}, "0 places for the question: write {question}"),
        ({"extraction": "{question} {question} <FINAL_OUTPUT></FINAL_OUTPUT>"}, "2 places"),
        ({"extraction": "List: {question} <FINAL_OUTPUT>"}, "lacks </FINAL_OUTPUT>"),
        ({"serach": "Find:"}, "unknown prompt 'serach'; known: search, answer, extraction"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(given, says):
    with pytest.raises(ValueError, match=says):
        HiDe(tiny_model("qwen3_vl"), prompts=given)


def test_prompts_come_from_a_file(tmp_path):
    file = tmp_path / "german.yaml"
    file.write_text(f"search: '{GERMAN.search}'\nanswer: |\n  {GERMAN.answer}\n")
    hide = HiDe(tiny_model("qwen3_vl"), prompts=file)
    assert hide.prompts == Prompts(search=GERMAN.search, answer=GERMAN.answer)
    for content, says in (
        ("- a", "want a mapping"),
        ("search: ''", "german.yaml: prompt 'search' is empty"),
        ("a: b: c", "no YAML"),
    ):
        file.write_text(content)
        with pytest.raises(ValueError, match=says):
            HiDe(hide.model, prompts=str(file))
    with pytest.raises(FileNotFoundError, match="no file of prompts"):
        HiDe(hide.model, prompts=tmp_path / "none.yaml")


def test_a_model_s_folder_may_bring_its_prompts(tmp_path):
    folder = shutil.copytree(checkpoint("qwen3_vl"), tmp_path / "own")
    record = {"layer": 1, "sigma": 1.0, "alpha": 0.5, "prompts": {"search": GERMAN.search}}
    (folder / "hide.json").write_text(json.dumps(record))
    model = load_model(folder, device="cpu", dtype="float32")
    hide = HiDe(model)
    assert hide.prompts.search == hide.extractor.prompts.search == GERMAN.search
    assert hide.open(picture(90, 60)).prompts == hide.open(picture(90, 60)).beside().prompts == hide.prompts
    assert HiDe(model, prompts=Prompts()).prompts == Prompts()
    cached, ((rows,), _) = (
        RowCache(tmp_path / "rows"),
        RowCache(tmp_path / "rows").load(model, [sample()], [1], progress=False),
    )
    wanted = hide.open(sample().image).searches(
        hide.locate(hide.open(sample().image), QUESTION, ["dog"]).entities, [1]
    )[0]
    np.testing.assert_array_equal(rows.noise, wanted.noise)
    cached.load(tiny_model("qwen3_vl"), [sample()], [1], progress=False)
    assert (cached.hits, cached.captured) == (0, 1), "rows of another instruction are others"
    for words, says in (({"search": " "}, "prompt 'search' is empty"), ("/etc/words.yaml", "prompts want a mapping")):
        (folder / "hide.json").write_text(json.dumps(record | {"prompts": words}))
        with pytest.raises(ValueError, match=rf"hide\.json: {says}"):
            load_model(folder, device="cpu", dtype="float32")


def test_rows_of_other_prompts_never_mix(tmp_path):
    model, out = tiny_model("qwen3_vl"), tmp_path / "rows.parquet"
    evaluate(model, [sample()], ["hide"], out, progress=False)
    with pytest.raises(SettingsError, match="own_prompts"):
        evaluate(model, [sample()], ["hide"], out, hide=HiDe(model, prompts=GERMAN), progress=False)
    usual, own = (run_settings(HiDe(model, prompts=given), "strict") for given in (None, GERMAN))
    assert "own_prompts" not in usual and own.pop("own_prompts") == GERMAN.own and own == usual


def test_workers_tell_the_model_the_same():
    hide = HiDe(tiny_model("qwen3_vl"), prompts=GERMAN)
    assert Worker(Recipe.of(hide, ["hide"], "strict")).hide.prompts == GERMAN


def test_rows_that_ship_were_made_with_the_usual_prompts():
    """Their keys hold what they held before prompts could be given."""
    now = run_settings(HiDe(load_model("mini", device="cpu", dtype="float32")), "strict")
    files = sorted(paths.ANSWERS.glob("*.parquet"))
    stored = [json.loads(pq.read_metadata(file).metadata[b"hide_settings"]) for file in files]
    same = [{name: one[name] for name in now} == now for one in stored if one["layer"] == now["layer"]]
    assert all(same) and len(same) > len(stored) / 2
    assert ANSWER_INSTRUCTION in Prompts().for_answer("?", ["a", "b"])

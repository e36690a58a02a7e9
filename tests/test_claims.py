"""Claims are read from the file beside an analysis, with what the paper reports in full, and become cards."""

from pathlib import Path

import pandas as pd
import pytest

from hide_utils import analyses, findings
from hide_utils.evaluation import provenance
from hide_utils.findings import cards_of, claims_beside, published

FILE = """\
repeated:
  - &shown it was shown it
answers:
  gain:
    method: hide
    against: direct
    statement: It helps.
    taught: *shown
    paper: {experiment: main, text: "{V* / hide | overall} % ({model})", models: [Qwen2.5-VL-7B]}
    source: main results
  loss:
    method: random
    against: direct
    statement: It harms.
    expected: -1
"""
MODULES = [Path(file) for file in sorted(Path(analyses.__path__[0]).glob("*.yaml"))]


@pytest.fixture
def claims(tmp_path):
    (tmp_path / "some.yaml").write_text(FILE, encoding="utf-8")
    return claims_beside(str(tmp_path / "some.py"))


def answers(**right):
    rows = [(f"s{i}", f"s{i}", m, "k", bool(one)) for m, values in right.items() for i, one in enumerate(values)]
    table = pd.DataFrame(rows, columns=["sample_id", "image_id", "method", "kind", "correct"])
    return table.astype({"correct": "boolean"})


def test_groups_have_their_claims_and_what_is_repeated_is_none(claims):
    assert list(claims) == ["answers"] and list(claims["answers"]) == ["gain", "loss"]
    gain, loss = claims["answers"].values()
    number = published("main", "Qwen2.5-VL-7B", "V* / hide", "overall")
    assert gain["paper"] == f"{number:g} % (Qwen2.5-VL-7B)" and gain["taught"] == "it was shown it"
    assert (loss["paper"], loss["expected"]) == ("", -1)


def test_a_number_that_the_paper_lacks_is_an_error(tmp_path):
    (tmp_path / "some.yaml").write_text(FILE.replace("overall", "nothing"), encoding="utf-8")
    with pytest.raises(ValueError, match="nothing"):
        claims_beside(str(tmp_path / "some.py"))


def test_a_card_is_made_where_both_methods_were_answered(claims):
    rows = answers(hide=[1, 1, 0], direct=[0, 1, 0])
    (card,) = cards_of(rows, claims["answers"])
    assert (card.claim, card.n, card.source) == ("gain", 3, "main results") and card.estimate == pytest.approx(100 / 3)
    assert cards_of(rows, claims["answers"], ["loss"]) == []
    with pytest.raises(KeyError):
        cards_of(rows, claims["answers"], ["another"])


def test_the_methods_that_are_compared_stand_once(claims):
    assert findings.compared(claims["answers"]) == ["hide", "direct", "random"]


def test_kinds_are_parts_only_where_there_are_several():
    rows = answers(hide=[1, 0])
    assert findings.by_kind(rows) == {}
    rows["kind"] = ["a_b", "c"]
    assert {kind: len(part) for kind, part in findings.by_kind(rows).items()} == {"a b": 1, "c": 1}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_every_file_of_claims_is_beside_an_analysis_and_its_statements_are_sentences(file):
    assert file.with_suffix(".py").is_file()
    for claims in claims_beside(str(file)).values():
        for claim, words in claims.items():
            assert words["statement"].endswith("."), claim
            assert not words["paper"] or words["source"], claim


def test_a_figure_depends_on_the_words_of_its_notebooks_claims_alone(monkeypatch):
    seen = {}
    for notebook in ("04_layout_ablations", "01_background_interference"):
        monkeypatch.setattr(
            provenance, "hash_files", lambda files, folder, n=notebook: str(seen.setdefault(n, set(files)))
        )
        provenance.hash_code(notebook)
    words = {
        name: {file.name for file in files if file.suffix == ".yaml" and file.parent.name == "analyses"}
        for name, files in seen.items()
    }
    assert words == {"04_layout_ablations": {"layouts.yaml"}, "01_background_interference": {"background.yaml"}}

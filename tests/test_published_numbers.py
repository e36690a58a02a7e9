import pytest

from hide_utils import findings


def test_the_papers_numbers_are_read_by_experiment():
    assert len(findings.paper_numbers("upscale")) == 20 and findings.paper_numbers("no such").empty


def test_one_number_of_the_paper_is_found_by_its_place_or_refused():
    assert findings.published("main", "Qwen2.5-VL-7B", "V* / hide", "overall") == 92.1
    with pytest.raises(ValueError, match=r"'Qwen2.5-VL-7B \| V\* / hid \| overall'.*\| V\* / hide \| overall"):
        findings.published("main", "Qwen2.5-VL-7B", "V* / hid", "overall")


def test_a_text_quotes_numbers_as_they_are_printed_for_each_model():
    text = "{model}, attribute {1.0 | attribute} → {1.5 | attribute} %"
    said = "Qwen2.5-VL-7B, attribute 80.9 → 87.0 %; InternVL3-8B, attribute 81.7 → 83.5 %"
    assert findings.quoted("upscale", text) == said
    assert findings.quoted("upscale", text, ["InternVL3-8B"]) == said.split("; ")[1]

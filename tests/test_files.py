"""Texts and JSON are written whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from hide_utils import paths
from hide_utils.files import crc, replace_file, to_json, write_json, write_text


def test_text_is_written_as_utf8_into_folders_that_are_made(tmp_path):
    file = tmp_path / "a" / "b" / "text.md"
    write_text(file, "σ ≥ 1\n")
    assert file.read_bytes() == "σ ≥ 1\n".encode()
    assert [path.name for path in file.parent.iterdir()] == ["text.md"], "no leftovers"


def test_json_is_read_back_as_it_was_given(tmp_path):
    value = {"grid": np.arange(4).reshape(2, 2), "box": (1, 2.5), "where": paths.DATA / "mini", "α": None}
    write_json(tmp_path / "v.json", value)
    text = (tmp_path / "v.json").read_text(encoding="utf-8")
    assert json.loads(text) == to_json(value) == {
        "grid": [[0, 1], [2, 3]], "box": [1, 2.5], "where": "data/mini", "α": None,
    }  # fmt: skip
    assert '"α"' in text and text.endswith("}\n")
    assert crc(json.loads(text)) == crc(to_json(value))


@pytest.mark.parametrize(
    "write",
    [
        lambda file: write_json(file, {"a": object()}),
        lambda file: write_text(file, "\ud800"),
        lambda file: replace_file(file, lambda _: None),
    ],
    ids=["not JSON", "not UTF-8", "nothing written"],
)
def test_what_fails_leaves_the_file_before(tmp_path, write):
    file = tmp_path / "v.json"
    write_json(file, [1])
    with pytest.raises((TypeError, ValueError, FileNotFoundError)):
        write(file)
    assert json.loads(file.read_text()) == [1] and list(Path(tmp_path).iterdir()) == [file]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(tmp_path, there):
    far, link = tmp_path / "far" / "v.json", tmp_path / "link.json"
    if there:
        write_json(far, [0])
    link.symlink_to(far)
    write_json(link, [1])
    assert link.is_symlink() and json.loads(far.read_text()) == [1]
    assert list(far.parent.iterdir()) == [far] and sorted(tmp_path.iterdir()) == [far.parent, link]

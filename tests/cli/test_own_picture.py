"""Notebook 00 on a picture of one's own: what it writes names that picture, and no benchmark is answered."""

import hashlib
import json

import nbformat
from PIL import Image

from hide_utils import paths
from hide_utils.cli import run
from hide_utils.report.captions import measured_on


def test_figures_name_the_picture_and_no_benchmark_is_answered(tmp_path, monkeypatch):
    picture = tmp_path / "own.png"
    Image.effect_noise((256, 192), 60).convert("RGB").save(picture)
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT))
    before = {path: path.stat().st_mtime_ns for path in (paths.RESULTS / "00_quickstart").glob("*")}
    words = ["00", "-p", "image", str(picture), "-p", "question", "What color is it?"]
    assert run.main([*words, "-p", "options", "['red', 'blue']"], runs=tmp_path / "runs") == 0
    assert {path: path.stat().st_mtime_ns for path in (paths.RESULTS / "00_quickstart").glob("*")} == before
    sidecars = sorted((tmp_path / "runs").rglob("figures/00_quickstart/*.json"))
    assert [path.stem for path in sidecars] == ["lpd", "question", "stages", "tad"]
    for path in sidecars:
        entry = json.loads(path.read_text())
        assert entry["picture"] == {
            "file": "own.png",
            "hash": hashlib.sha256(picture.read_bytes()).hexdigest()[:16],
            "question": "What color is it?",
            "options": ["red", "blue"],
        }
        assert "benchmark" not in entry and entry["parameters"]["benchmark"] is None
        assert str(tmp_path) not in path.read_text()
        assert measured_on(entry) == "Embedded miniature, own.png, “What color is it?”."
    assert entry["parameters"]["image"] == "own.png"
    caption = json.loads(sidecars[2].read_text())["caption"]
    assert caption == "All stages of HiDe on own.png: a picture of your own."
    (book,) = (tmp_path / "runs").rglob("00_quickstart.ipynb")
    shown = json.dumps([cell.get("outputs", []) for cell in nbformat.read(book, 4).cells])
    assert "own.png: a picture of your own" in shown and "samples fulfil the rule" not in shown
    assert "what it says of another picture means nothing" in shown

import numpy as np
import pytest
from checkpoints import tiny_model
from model_helpers import picture

from hide_utils import HiDe
from hide_utils.config import RunConfig
from hide_utils.evaluation import stored_measures
from hide_utils.samples import Sample


class Config(RunConfig):
    notebook: str = "99_measures"


def sample(number, seed=None):
    shown = picture(112, 84, number if seed is None else seed)
    return Sample(f"s{number}", "What?", ["red", "blue"], "A", "drawn", lambda: shown)


def redness(hide, session, sample):
    """The mean of the picture's red, and a list."""
    return {"red": float(np.asarray(session.image)[..., 0].mean()), "pair": [[1.0, 2.0], [3.0, 4.0]]}


def blueness(hide, session, sample):
    return {"blue": float(np.asarray(session.image)[..., 2].mean())}


@pytest.fixture
def hide(monkeypatch, tmp_path):
    monkeypatch.setenv("HIDE_RESULTS", str(tmp_path / "results"))
    return HiDe(tiny_model("qwen3_vl"))


def test_measures_come_back_as_they_were_in_the_order_asked_for(hide):
    samples = [sample(0), sample(1)]
    made = stored_measures(hide, samples, redness, Config(), progress=False)
    again = stored_measures(hide, samples[::-1], redness, Config(), progress=False)
    assert made["red"].tolist() == again["red"].tolist()[::-1] and made["sample_id"].tolist() == ["s0", "s1"]
    assert np.array(again["pair"].tolist()).tolist() == [[[1.0, 2.0], [3.0, 4.0]]] * 2
    assert list(made) == ["sample_id", "image_id", "kind", "red", "pair"]


def test_only_what_is_missing_or_of_another_picture_is_measured(hide, monkeypatch):
    opened, really = [], hide.open
    monkeypatch.setattr(hide, "open", lambda images: opened.append(images[0].size) or really(images))
    counts, reds = [], []
    for samples in ([sample(0)], [sample(0), sample(1)], [sample(0), sample(1)], [sample(0, seed=7), sample(1)]):
        table = stored_measures(hide, samples, redness, Config(), progress=False)
        counts.append(len(opened))
        reds.append(table["red"][0])
    assert counts == [1, 2, 2, 3]
    assert reds[0] == reds[1] == reds[2] != reds[3]


def test_another_measure_has_a_file_of_its_own(hide, tmp_path):
    stored_measures(hide, [sample(0)], redness, Config(), progress=False)
    stored_measures(hide, [sample(0)], blueness, Config(), progress=False)
    files = sorted((tmp_path / "results" / "99_measures").glob("*.parquet"))
    assert len(files) == 2

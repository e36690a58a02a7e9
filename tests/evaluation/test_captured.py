import os
from dataclasses import replace

import numpy as np
import pytest
from checkpoints import LAYERS, tiny_model
from model_helpers import picture, search_rows

from hide_utils import HiDe
from hide_utils.evaluation.captured import RowCache
from hide_utils.evaluation.keys import model_key
from hide_utils.method.entities import given_entities
from hide_utils.method.session import Session
from hide_utils.samples import Sample


def sample(number=0, entities=("red star", "dog"), seed=None):
    shown = picture(112, 84, number if seed is None else seed)
    boxes = [(10.0, 10.0, 40.0, 40.0)]
    return Sample(f"s{number}", "What?", ["red", "blue"], "A", "drawn", lambda: shown, boxes, list(entities))


@pytest.fixture
def model():
    return tiny_model("qwen3_vl")


@pytest.fixture
def cache(tmp_path):
    return RowCache(tmp_path / "rows")


def same(one, other):
    return (
        one.layers == other.layers
        and one.tokens == other.tokens
        and np.array_equal(one.noise, other.noise)
        and np.array_equal(one.semantic, other.semantic)
    )


def test_second_run_reads_the_very_rows_and_runs_no_model(model, cache):
    samples = [sample(0), sample(1)]
    first, sizes = cache.load(model, samples, progress=False)
    before = sum(model.counts.values())
    again = RowCache(cache.folder)
    second, sizes_again = again.load(model, samples, progress=False)
    assert sum(model.counts.values()) == before
    assert (cache.captured, cache.hits, again.captured, again.hits) == (2, 0, 0, 2)
    assert sizes == sizes_again == [(112, 84)] * 2
    assert first[0].layers == tuple(range(LAYERS))
    assert all(same(a, b) for a, b in zip(first, second, strict=True))
    assert all(same(a, b) for a, b in zip(first, search_rows(model, samples), strict=True))
    assert second[0].semantic.dtype == np.float32


def test_other_picture_text_or_layers_are_never_taken_for_these(model, cache):
    cache.load(model, [sample(0)], [1, 2], progress=False)
    others = [sample(0, seed=7), sample(0, entities=["dog"])]
    cache.load(model, others, [1, 2], progress=False)
    (one,), _ = cache.load(model, [sample(0)], [2], progress=False)
    assert (cache.captured, cache.hits) == (4, 0)
    assert one.layers == (2,)
    cache.load(model, [sample(5, seed=0)], [2, 1, 1], progress=False)
    assert (cache.captured, cache.hits) == (4, 1), "neither the id nor the order of the layers is part of the rows"


def test_key_tells_models_apart(model):
    key, other = model_key(model), model_key(tiny_model("qwen2_5_vl"))
    assert key["weights"] != other["weights"]
    assert key == model_key(model)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_file_is_said_and_captured_anew(model, cache, damage):
    (right,), _ = cache.load(model, [sample(0)], progress=False)
    (path,) = cache.folder.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[:100]), "empty": b""}[damage])
    again = RowCache(cache.folder)
    with pytest.warns(UserWarning, match="damaged: its rows are captured anew"):
        (mended,), _ = again.load(model, [sample(0)], progress=False)
    assert same(mended, right)
    assert (again.damaged, again.captured, again.hits) == (1, 1, 0)
    assert "1 damaged" in repr(again)
    (clean,), _ = again.load(model, [sample(0)], progress=False)
    assert same(clean, right) and again.hits == 1 and len(list(cache.folder.iterdir())) == 1


def test_folder_stays_below_its_limit_and_the_longest_unused_go_first(model, cache):
    cache.load(model, [sample(0)], progress=False)
    (path,) = cache.folder.iterdir()
    small = RowCache(cache.folder, limit_bytes=int(2.5 * path.stat().st_size))
    small.load(model, [sample(1)], progress=False)
    for number, file in enumerate(sorted(cache.folder.iterdir(), key=lambda file: file == path)):
        os.utime(file, (number, number))  # the first one's file is now the newer of the two
    small.load(model, [sample(2)], progress=False)
    assert sum(file.stat().st_size for file in cache.folder.iterdir()) <= small.limit_bytes
    assert small.removed == 1 and path.exists()
    small.load(model, [sample(0), sample(2)], progress=False)
    assert small.hits == 2
    assert f"2 files, {2 * path.stat().st_size / 1e6:.1f} of at most" in repr(small)


def test_file_that_a_killed_run_left_is_counted_and_removed_in_time(model, cache):
    cache.folder.mkdir()
    left = cache.folder / ".half-written-1.npz"
    left.write_bytes(b"x" * 10_000)
    os.utime(left, (1, 1))
    size = RowCache(cache.folder.parent / "other")
    size.load(model, [sample(0)], progress=False)
    (whole,) = size.folder.iterdir()
    bounded = RowCache(cache.folder, limit_bytes=whole.stat().st_size)
    bounded.load(model, [sample(0)], progress=False)
    assert not left.exists() and len(list(cache.folder.iterdir())) == 1


def test_heads_are_kept_apart_on_request_in_files_of_their_own(model, cache):
    (usual,), _ = cache.load(model, [sample(0)], [1, 3], progress=False)
    (apart,), _ = cache.load(model, [sample(0)], [1, 3], heads=True, progress=False)
    assert usual.noise_heads is None and (cache.captured, cache.hits) == (2, 0)
    wanted = Session(model, sample(0).image).search(given_entities(["red star", "dog"]), [1, 3], heads=True)
    np.testing.assert_array_equal(apart.semantic_heads, wanted.semantic_heads)
    np.testing.assert_array_equal(apart.noise_heads, wanted.noise_heads)
    again = RowCache(cache.folder)
    (read,), _ = again.load(model, [sample(0)], [1, 3], heads=True, progress=False)
    assert again.hits == 1 and same(read, apart) and np.array_equal(read.semantic_heads, apart.semantic_heads)
    (read,), _ = again.load(model, [sample(0)], [1, 3], progress=False)
    assert again.hits == 2 and same(read, usual) and read.semantic_heads is None


def test_sample_without_entities_is_searched_for_the_models_own(model, cache):
    bare = replace(sample(0), entities=[])
    (found,), _ = cache.load(model, [bare], [1], progress=False)
    own = HiDe(model).extractor(bare.question)
    assert same(found, Session(model, bare.image).search(own, [1]))
    before = sum(model.counts.values())
    (again,), _ = cache.load(model, [bare], [1], progress=False)
    assert sum(model.counts.values()) == before and same(again, found), "nor are the entities listed again"
    cache.load(model, [replace(bare, question="Where is the dog?")], [1], progress=False)
    assert cache.captured == 2


def test_what_it_refuses(cache):
    with pytest.raises(ValueError, match="limit_bytes=0"):
        RowCache(cache.folder, 0)
    assert not cache.folder.exists()

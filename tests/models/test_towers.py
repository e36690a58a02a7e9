"""The vision tower's attention: equal to the stock path, few calls, and chosen with a reason."""

import functools
from functools import partial

import pytest
import torch
from checkpoints import FAMILIES, checkpoint
from model_helpers import picture
from torch.overrides import TorchFunctionMode

from hide_utils.models import backends, load_model, towers

loaded = functools.cache(partial(load_model, device="cpu"))  # for tests that change nothing of a model
SDPA = torch.nn.functional.scaled_dot_product_attention
SIZES = {"even windows": (448, 224), "cut windows": (1000, 333), "less than a window": (40, 40)}


class Calls(TorchFunctionMode):
    """Counts calls of scaled dot-product attention."""

    n = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.n += func is SDPA
        return func(*args, **(kwargs or {}))


def features(model, *images):
    """What the tower hands to the text model, and the calls of attention that it took."""
    inputs = model.inputs_of([model.prepare(image) for image in images])
    with torch.inference_mode(), Calls() as calls:
        found = model.model.model.get_image_features(**inputs).pooler_output
    return torch.cat(list(found)) if isinstance(found, tuple | list) else found, calls.n


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_windows_together_equal_the_stock_path(family, size):
    stock, ours = (loaded(checkpoint(family), vision=name) for name in ("stock", "batched"))
    images = picture(*size), picture(300, 700, 1)
    (wanted, _), (found, _) = features(stock, *images), features(ours, *images)
    torch.testing.assert_close(found, wanted, atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_takes_a_call_for_each_block_and_not_for_each_window(family):
    ours = loaded(checkpoint(family))
    assert ours.choices["vision"].value == "batched"
    vision = ours.model.config.vision_config
    blocks = getattr(vision, "depth", None) or vision.num_hidden_layers
    assert features(ours, picture(448, 224))[1] == blocks


def test_cut_windows_take_a_call_for_each_length():
    stock, ours = (loaded(checkpoint("qwen2_5_vl"), vision=name) for name in ("stock", "batched"))
    vision, image = ours.model.config.vision_config, picture(1000, 333)
    full = len(vision.fullatt_block_indexes)
    assert features(ours, image)[1] <= full + 4 * (vision.depth - full)  # whole, cut right, cut below, cut twice
    assert features(stock, image)[1] > 4 * features(ours, image)[1]


def test_pictures_are_told_apart_by_positions_where_borders_are_not_given():
    """As towers of some versions of transformers call it; without borders a picture would see the next one."""
    made = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 10, 8, generator=made) for _ in range(3))
    attend = towers.AttentionInterface()[towers.TOWERS["batched"]]
    places = torch.tensor([[0, 1, 16, 17, 0, 1, 2, 16, 17, 18]])  # row * 16 + column of 2 x 2 and 2 x 3 patches
    found, _ = attend(torch.nn.Module(), query, key, value, None, position_ids=places)
    apart = [SDPA(query[:, :, s], key[:, :, s], value[:, :, s]) for s in (slice(0, 4), slice(4, 10))]
    torch.testing.assert_close(found, torch.cat(apart, dim=2).transpose(1, 2))


def random_windows(lengths, heads=2, dim=8, seed=0):
    made = torch.Generator().manual_seed(seed)
    parts = [torch.randn(1, heads, sum(lengths), dim, generator=made) for _ in range(3)]
    return parts, torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32)


def one_by_one(parts, borders):
    """Each window in a call of its own, as (1, patches, heads, dim)."""
    pieces = zip(*(t.split(borders.diff().tolist(), dim=2) for t in parts), strict=True)
    return torch.cat([SDPA(*piece) for piece in pieces], dim=2).transpose(1, 2)


@pytest.mark.parametrize("lengths", [[4, 4, 4], [16], [4, 2, 4, 2, 1], [1, 1, 7]])
def test_batched_windows_do_not_see_each_other(lengths):
    parts, borders = random_windows(lengths)
    torch.testing.assert_close(towers.batched(*parts, borders), one_by_one(parts, borders))


def test_varlen_hands_its_kernel_packed_sequences(monkeypatch):
    """The kernel itself runs on CUDA alone: here a slow one of the same signature stands for it."""
    import torch.nn.attention.varlen as module

    def kernel(query, key, value, starts, same, longest, also):
        assert starts.dtype == torch.int32 and longest == also == int(starts.diff().max())
        assert torch.equal(starts, same)
        return one_by_one([t.transpose(0, 1)[None] for t in (query, key, value)], starts)[0]

    monkeypatch.setattr(module, "varlen_attn", kernel)
    stock, ours = (load_model(checkpoint("qwen2_5_vl"), device="cpu", vision="stock") for _ in range(2))
    ours.model.set_attn_implementation({"vision_config": towers.TOWERS["varlen"]})
    image = picture(1000, 333)
    torch.testing.assert_close(features(ours, image)[0], features(stock, image)[0], atol=1e-5, rtol=1e-5)


def test_windows_are_ordered_within_their_picture():
    model = load_model(checkpoint("qwen2_5_vl"), device="cpu")
    tower = model.model.model.visual
    grids = torch.tensor([[1, 22, 34], [1, 10, 18]])
    _, named = towers._order(tower, (), {"grid_thw": grids})
    lengths, tokens = named["cu_window_seqlens"].diff(), grids.prod(1) // 4
    assert sorted(named["window_index"].tolist()) == list(range(int(tokens.sum())))
    first = named["window_index"][: tokens[0]]
    assert int(first.max()) < tokens[0]
    cut = int((named["cu_window_seqlens"] <= grids[0].prod()).sum()) - 1
    for of_picture in (lengths[:cut], lengths[cut:]):
        assert of_picture.tolist() == sorted(of_picture.tolist(), reverse=True)


def test_the_choice_says_why():
    cpu = torch.device("cpu")
    chosen = backends.choose_vision(None, cpu, torch.float32, "sdpa")
    assert chosen.value == "batched" and "CUDA" in chosen.reason
    for asked in ("varlen", "flash"):
        chosen = backends.choose_vision(asked, cpu, torch.float32, "sdpa")
        assert chosen.value == "batched" and chosen.reason.startswith("fallback: ")
    assert backends.choose_vision("stock", cpu, torch.float32, "sdpa") == ("stock", "asked for")
    assert backends.choose_vision(None, cpu, torch.float32, "flash").value == "flash"
    with pytest.raises(ValueError, match="varlen, batched, stock"):
        backends.choose_vision("fast", cpu, torch.float32, "sdpa")

"""What of the method holds for one checkpoint, tried on the model itself: the table of `hide check-model`.

Each check compares with something that is not ours: the stock model's eager attention, the stock image processor, the
chat template as text, torch's counter, or a full pass in place of a shared one. Pictures are small, so that a large
model on one GPU gets through. Texts are plain ASCII, which every terminal shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hide_utils.evaluation.levers import by_processor, stock_text
from hide_utils.evaluation.tried_model import Broken, NotPossible, Subject, compare_rows, entering, kernels
from hide_utils.method import HiDe
from hide_utils.models import NAMES, VLM
from hide_utils.models.towers import TOWERS

SEARCH = "Search the following entities in the images: truck with blue color, dog"
QUESTION = "What is the color of the truck?\nA. red\nB. green\nAnswer with the option's letter directly."
HOLDS, FAILS, NOT_POSSIBLE = "holds", "fails", "not possible"


@dataclass(frozen=True)
class Check:
    """One line of the table.

    Attributes:
        what: what should hold.
        verdict: `HOLDS`, `FAILS` or `NOT_POSSIBLE`.
        result: what was found; where it is not possible here, why.
    """

    what: str
    verdict: str
    result: str


def settings(of: Subject) -> str:
    """Layer, sigma and alpha, and where they come from."""
    found = of.vlm.defaults
    said = f"layer {found.layer} (counted from 0), sigma {found.sigma:g}, alpha {found.alpha:g}: {found.source}"
    if found.layer not in of.vlm.row_layers:
        raise Broken(f"{said}; that layer has no rows")
    if found.guessed:
        raise NotPossible(f"{said}; hide calibrate chooses them on annotated pictures")
    return said


def layers(of: Subject) -> str:
    """Layers whose attention can be read."""
    if not of.vlm.row_layers:
        raise Broken("none")
    return f"{len(of.vlm.row_layers)} of {of.vlm.n_layers}"


def tower_inputs(of: Subject) -> str:
    """What the tower takes is what the stock image processor makes, to the bit."""
    vlm, names = of.vlm, set[str]()
    for image in (of.image, of.tall, of.long):
        wanted = by_processor(vlm, image)
        for name, tensor in vlm.inputs_of([vlm.prepare(image)]).items():
            theirs = torch.as_tensor(wanted[name]).to(tensor)
            if theirs.ndim == tensor.ndim + 1:  # tiles in a batch of pictures, which some models take without
                theirs = theirs.flatten(0, 1)
            if theirs.shape != tensor.shape or not torch.equal(theirs, tensor):
                raise Broken(f"{name} of a picture of {image.width}x{image.height} pixels differs")
            names.add(name)
    return f"{', '.join(sorted(names))} of three pictures"


def tower(of: Subject) -> str:
    """What the tower hands to the text model is what it hands over under the stock kernel."""
    vlm, prompt = of.vlm, of.prompt(of.image, of.tall, SEARCH)
    ours = entering(vlm, prompt)
    with kernels(vlm, NAMES[vlm.choices["attention"].value], "sdpa"):
        theirs = entering(vlm, prompt)
    apart = float((ours - theirs).norm() / theirs.norm())
    if not apart <= of.tolerance.tower:
        raise Broken(f"features differ by {apart:.1e} of their norm (at most {of.tolerance.tower})")
    return f"within {apart:.1e} of their norm, by {vlm.choices['vision'].value}"


def template(of: Subject) -> str:
    """A prompt's tokens are those of the chat template as text, its picture's token repeated, in one go."""
    prompt = of.prompt(of.image, QUESTION)
    (span,) = prompt.images
    wanted = of.vlm.tokenizer(stock_text(of.vlm, span.picture, QUESTION), add_special_tokens=False).input_ids
    if prompt.ids.tolist() != list(wanted):
        raise Broken(f"{len(prompt)} tokens, the template's text has {len(wanted)} or others")
    return f"{len(prompt)} tokens"


def grid(of: Subject) -> str:
    """Cells of the grid are different image tokens, and lie where their pixels are.

    A white corner of a black picture changes the tokens at that corner of the grid more than the others.
    """
    vlm, ratios = of.vlm, []
    for size in (of.image.size, of.tall.size):
        black = Image.new("RGB", size)
        prompt = of.prompt(black, SEARCH)
        (span,) = prompt.images
        cells, (rows, columns) = span.positions, span.grid_hw
        if len(cells.unique()) != rows * columns or (prompt.ids[cells] != vlm.image_token_id).any():
            raise Broken(f"two cells of {rows}x{columns} share a token, or one is no token of the picture")
        if vlm.prompt(black, SEARCH).n_image_tokens != vlm.n_image_tokens(size):
            raise Broken(f"n_image_tokens({size}) is not what the picture takes")
        empty = entering(vlm, prompt)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            marked = black.copy()
            marked.paste((255, 255, 255), _corner(size, down, right))
            change = (entering(vlm, of.prompt(marked, SEARCH)) - empty).norm(dim=-1)[cells]
            left, top, right_edge, bottom = _corner((columns, rows), down, right)
            inside = torch.zeros(rows, columns, dtype=torch.bool)
            inside[top:bottom, left:right_edge] = True
            ratios.append(float(change[inside].mean() / change[~inside].mean()))
    if not min(ratios) > 1:
        raise Broken(f"a white corner changes its own cells only {min(ratios):.2f} times as much as the others")
    return f"a white corner changes its own cells at least {min(ratios):.1f} times as much as the others"


def _corner(size_wh: tuple[int, int], down: int, right: int) -> tuple[int, int, int, int]:
    """A corner of half the width and half the height, as xyxy."""
    width, height = size_wh
    half_w, half_h = (width + 1) // 2, (height + 1) // 2
    left, top = right * (width - half_w), down * (height - half_h)
    return left, top, left + half_w, top + half_h


def rows(of: Subject) -> str:
    """Captured rows are those of eager attention."""
    return compare_rows(of, of.prompt(of.image, SEARCH))


def rows_alone(of: Subject) -> str:
    """The same without a shared prefix, and with the pass stopped early: not a bit changes by that."""
    vlm, prompt = of.vlm, of.prompt(of.image, SEARCH)
    asked = [len(prompt) - 1], of.vlm.row_layers[: len(of.vlm.row_layers) // 2 + 1]
    (stopped,), (whole,) = (vlm.capture(prompt, *asked, early_exit=early).maps for early in (True, False))
    if not np.array_equal(stopped, whole):
        raise Broken(f"rows of a pass that stops early differ by {np.abs(stopped - whole).max():.1e}")
    return compare_rows(of, prompt, shared=False)


def two_pictures(of: Subject) -> str:
    """Each of two pictures of different sizes has its own columns of the rows."""
    return compare_rows(of, of.prompt(of.image, "and", of.tall, SEARCH))


def long_picture(of: Subject) -> str:
    """A picture 40 times as long as high is read, counted and looked at."""
    found = of.vlm.prompt(of.long, SEARCH)
    if found.n_image_tokens != of.vlm.n_image_tokens(of.long.size):
        raise Broken("n_image_tokens is not what the picture takes")
    return compare_rows(of, of.prompt(of.long, SEARCH))


def _sharing(vlm: VLM) -> None:
    if not vlm.shares_prefix:
        raise NotPossible("the family's prompts cannot share a prefix, so each is a full pass")


def shared_tokens(of: Subject) -> str:
    """Replies behind a shared prefix are those of full passes, with a second picture too."""
    _sharing(of.vlm)
    prefix, said = of.vlm.prefill(of.prompt(of.image, SEARCH)), ""
    for parts in ((of.image, QUESTION), (of.image, of.tall, QUESTION)):
        prompt = of.prompt(*parts)
        said = of.same(of.vlm.generate(prompt, 8, prefix), of.vlm.generate(prompt, 8))
    return said


def shared_boxes(of: Subject) -> str:
    """HiDe's regions behind a shared prefix are those of full passes."""
    _sharing(of.vlm)
    found = []
    for reuse in (True, False):
        hide = HiDe(of.vlm, reuse_prefix=reuse)
        found.append(hide.locate(hide.open(of.image), "Where is the dog?", ["truck", "dog"]).regions)
    one, other = (_filled(regions, of.image.size) for regions in found)
    either = (one | other).sum()
    overlap = float((one & other).sum() / either) if either else 1.0
    if overlap < of.tolerance.regions:
        raise Broken(f"{found[0]} and {found[1]}")
    return f"{len(found[0])} regions, intersection over union {overlap:.2f}"


def _filled(regions: Sequence[Sequence[int]], size_wh: tuple[int, int]) -> np.ndarray:
    """Which pixels lie in some region."""
    inside = np.zeros(size_wh[::-1], bool)
    for x0, y0, x1, y1 in regions:
        inside[y0:y1, x0:x1] = True
    return inside


def three_forks(of: Subject) -> str:
    """Three replies in a row behind one prefix are the same: none leaves a trace in it."""
    _sharing(of.vlm)
    prompt = of.prompt(of.image, QUESTION)
    prefix = of.vlm.prefill(prompt)
    first, *others = (of.vlm.generate(prompt, 8, prefix) for _ in range(3))
    apart = max(float((first.first_logits - other.first_logits).abs().max()) for other in others)
    if apart > 1e-3 * float(first.first_logits.std()) or any(first.ids != other.ids for other in others):
        raise Broken(f"tokens {[reply.ids for reply in (first, *others)]}, logits {apart:.1e} apart")
    return f"{len(first.ids)} tokens thrice, logits within {apart:.1e}"


def flops(of: Subject) -> str:
    """FLOPs counted from the configuration are those that torch counts while it runs, within 2 percent.

    Torch knows the plain kernels, so these run: no flash attention, experts one after another.
    """
    vlm, before = of.vlm, of.vlm.counts.copy()
    prompt = of.prompt(of.image, QUESTION)
    text = vlm.model.get_decoder().config  # set there, since a family may have a text model of any kind
    experts, text._experts_implementation = text._experts_implementation, "eager"
    vlm.counts.clear()
    try:
        with kernels(vlm, NAMES["sdpa"], TOWERS["batched"]), sdpa_kernel(SDPBackend.MATH):
            with FlopCounterMode(display=False) as counter:
                vlm.generate(prompt, 3)
                vlm.capture(prompt, [len(prompt) - 1], [of.vlm.row_layers[0]])
    finally:
        ours, theirs = vlm.counts["flops"], counter.get_total_flops()
        text._experts_implementation = experts
        vlm.counts.clear()
        vlm.counts.update(before)
    if abs(ours / theirs - 1) > 0.02:
        raise Broken(f"{ours:.4g} counted, {theirs:.4g} by torch")
    return f"{ours:.4g} counted, {theirs:.4g} by torch"


CHECKS: dict[str, Callable[[Subject], str]] = {
    "layers with rows": layers,
    "settings published or calibrated": settings,
    "tower inputs are the image processor's": tower_inputs,
    "tower's features are the stock kernel's": tower,
    "tokens are the chat template's": template,
    "grid covers the picture": grid,
    "rows equal eager attention's": rows,
    "... in full passes, stopped early": rows_alone,
    "... of two pictures": two_pictures,
    "... of a 40:1 picture": long_picture,
    "shared prefix: tokens of full passes": shared_tokens,
    "shared prefix: boxes of full passes": shared_boxes,
    "three forks agree": three_forks,
    "FLOPs equal torch's counter": flops,
}


def checks(vlm: VLM) -> Iterator[Check]:
    """Try a model, check by check; one that cannot be finished fails with its error."""
    subject = Subject(vlm)
    for what, check in CHECKS.items():
        try:
            yield Check(what, HOLDS, check(subject))
        except NotPossible as why:
            yield Check(what, NOT_POSSIBLE, str(why))
        except Broken as found:
            yield Check(what, FAILS, str(found))
        except Exception as error:  # whatever a family that is new, or a damaged checkpoint, does
            yield Check(what, FAILS, " ".join(f"{type(error).__name__}: {error}".split())[:300])

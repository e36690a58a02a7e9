"""Token-wise attention decoupling (TAD): attention rows -> one purified map for each semantic token.

The tokens of the instruction ("Search the following entities in the images:") look at the picture too. They look at the
same places whatever is searched for. Their mean map is therefore the *noise prior*, and only what a semantic token's
map has above it is signal.

Maps are `(tokens, h, w)` arrays over the grid of visual tokens.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

# Differences of a few units in the last place are rounding, not attention. Min-max must not blow them up to [0, 1].
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def purify(
    attention: Float[np.ndarray, "rows h w"], n_noise: int = 8, sigma: float = 3.0
) -> Float[np.ndarray, "tokens h w"]:
    """Purified map of every semantic token (paper, section on TAD; exact against the authors' code).

    Each row is smoothed and scaled to [0, 1]. The mean of the instruction's maps is subtracted from the other maps, and
    what is left above 0 is scaled to [0, 1] again.

    Args:
        attention: `(n_noise + tokens, h, w)` attention of text tokens to the image grid, the instruction's rows first.
        n_noise: how many rows belong to the instruction. 0 subtracts nothing.
        sigma: standard deviation of the Gaussian in grid cells. 0 smooths nothing.

    Returns:
        `(tokens, h, w)` float32 in [0, 1]. A token with nothing above the prior is all zero.

    Raises:
        ValueError: rows are not finite or not three-dimensional, `n_noise` exceeds the rows, or `sigma` is negative.
    """
    rows = checked_rows(attention)
    if not 0 <= n_noise <= len(rows):
        raise ValueError(f"n_noise={n_noise}, but there are {len(rows)} attention rows: give 0 to {len(rows)}")
    prior = noise_prior(rows[:n_noise], sigma) if n_noise else np.zeros(rows.shape[1:], np.float32)
    return subtract_prior(minmax(smooth(rows[n_noise:], sigma)), prior)


def smooth(maps: Float[np.ndarray, "*lead h w"], sigma: float) -> Float[np.ndarray, "*lead h w"]:
    """Smooth each map with a Gaussian whose edges are reflected.

    Args:
        maps: any number of maps, each on its own grid `(h, w)`.
        sigma: standard deviation in grid cells. 0 smooths nothing.

    Returns:
        float32 maps of the same shape.

    Raises:
        ValueError: `sigma` is negative or not finite.
    """
    if not (np.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma={sigma}: the Gaussian's standard deviation in grid cells must be a number >= 0")
    maps = np.asarray(maps, np.float32)
    return ndimage.gaussian_filter(maps, sigma, axes=(-2, -1), mode="reflect") if sigma else maps


def minmax(maps: Float[np.ndarray, "*lead h w"]) -> Float[np.ndarray, "*lead h w"]:
    """Scale each map to [0, 1] on its own, as float32. A flat map prefers no place and becomes zero."""
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    span = high - low
    flat = span <= _ROUNDING * np.abs(high)
    return np.where(flat, np.float32(0), (maps - low) / np.where(flat, np.float32(1), span)).astype(np.float32)


def noise_prior(noise: Float[np.ndarray, "rows h w"], sigma: float) -> Float[np.ndarray, "h w"]:
    """What `purify` subtracts: the mean of the smoothed and scaled maps of the instruction's tokens.

    Args:
        noise: `(rows, h, w)` raw attention of the instruction's tokens.
        sigma: standard deviation of the Gaussian in grid cells.

    Returns:
        `(h, w)` float32 in [0, 1].

    Raises:
        ValueError: there is no row, or one is not finite.
    """
    if not len(noise):
        raise ValueError("no noise rows: a prior needs at least one row of the instruction's tokens")
    return minmax(smooth(checked_rows(noise), sigma)).mean(0)


def subtract_prior(
    scaled: Float[np.ndarray, "tokens h w"], prior: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "tokens h w"]:
    """What each scaled map has above the prior, scaled to [0, 1] again.

    Args:
        scaled: `(tokens, h, w)` maps in [0, 1].
        prior: `(h, w)` map in [0, 1] on the same grid.

    Returns:
        `(tokens, h, w)` float32 in [0, 1]. A map of which nothing is left is all zero.

    Raises:
        ValueError: the grids differ.
    """
    if prior.shape != scaled.shape[1:]:
        raise ValueError(
            f"prior has grid {prior.shape}, the maps {scaled.shape[1:]}: resize it first "
            "(hide_utils.evaluation.localisation.average_prior)"
        )
    left = np.maximum(scaled - prior.astype(np.float32), 0)
    left[left.max((1, 2), initial=0) <= _ROUNDING] = 0
    return minmax(left)


def assign_images(maps: Sequence[Float[np.ndarray, "tokens _ _"]]) -> Int[np.ndarray, " tokens"]:
    """With several images, the image that each token belongs to: where its raw map has the largest maximum.

    Args:
        maps: one `(tokens, h_i, w_i)` array of raw attention for each image.

    Returns:
        `(tokens,)` index of the image. Of equal maxima the earlier image counts.

    Raises:
        ValueError: there is no image, or a row is not finite.
    """
    if not len(maps):
        raise ValueError("no maps: give one (tokens, h, w) array per image")
    return np.argmax([checked_rows(m).max((1, 2)) for m in maps], axis=0)


def checked_rows(attention: np.ndarray) -> Float[np.ndarray, "rows h w"]:
    """Attention rows as float32.

    Raises:
        ValueError: they are not three-dimensional or have an empty grid, or some are not finite. The message has the
            numbers of those rows.
    """
    rows = np.asarray(attention, np.float32)
    if rows.ndim != 3 or 0 in rows.shape[1:]:
        raise ValueError(f"attention has shape {rows.shape}: expected (rows, h, w) with h and w at least 1")
    finite = np.isfinite(rows).all((1, 2))
    if not finite.all():
        bad = np.flatnonzero(~finite).tolist()
        raise ValueError(
            f"attention rows {bad} hold NaN or infinity: the model's numbers overflowed; run it in float32 or bfloat16"
        )
    return rows

"""Token-wise attention decoupling (TAD): attention rows -> one purified map per semantic token; localisation measures.

The instruction's own tokens ("Search the following entities in the images:") look at the picture too, and at the same
places whatever is searched. Their mean map is the *noise prior*; what a semantic token's map has above it is signal.
Maps are `(tokens, h, w)` arrays over the grid of visual tokens; boxes are normalised xyxy in [0, 1], half-open.
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

# Differences below a few units in the last place are rounding, not attention: min-max must not blow them up to [0, 1].
_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def purify(
    attention: Float[np.ndarray, "rows h w"],
    n_noise: int = 8,
    sigma: float = 3.0,
    prior: Float[np.ndarray, "h w"] | None = None,
) -> Float[np.ndarray, "tokens h w"]:
    """Purified map of every semantic token (the method's section on TAD; exact against the authors' code).

    attention: `(n_noise + tokens, h, w)` attention of text tokens to the image grid, instruction rows first.
    n_noise: how many rows belong to the instruction; 0 subtracts nothing.
    sigma: standard deviation of the Gaussian in grid cells; 0 smooths nothing.
    prior: `(h, w)` map in [0, 1] subtracted in place of the mean of the noise rows.

    Returns float32 in [0, 1]. A token with nothing above the prior is all zero.
    Raises ValueError for rows that are not finite, a wrong number of dimensions, `n_noise` out of range or `sigma` < 0.
    """
    rows = _checked(attention)
    if not 0 <= n_noise <= len(rows):
        raise ValueError(f"n_noise={n_noise}, but there are {len(rows)} attention rows: give 0 to {len(rows)}")
    if prior is None:
        prior = noise_prior(rows[:n_noise], sigma) if n_noise else np.zeros(rows.shape[1:], np.float32)
    return subtract_prior(minmax(smooth(rows[n_noise:], sigma)), prior)


def purify_grid(
    attention: Float[np.ndarray, "rows h w"], n_noise: int, sigmas: Collection[float]
) -> Float[np.ndarray, "sigmas tokens h w"]:
    """`purify` for several `sigmas` (grid cells): `(len(sigmas), tokens, h, w)`. Errors as for `purify`."""
    if not len(sigmas):
        raise ValueError("sigmas is empty: give at least one standard deviation in grid cells")
    return np.stack([purify(attention, n_noise, float(sigma)) for sigma in sigmas])


def smooth(maps: Float[np.ndarray, "*lead h w"], sigma: float) -> Float[np.ndarray, "*lead h w"]:
    """Gaussian smoothing over the grid (`sigma` in cells, edges reflected); float32. ValueError if `sigma` < 0."""
    if not (np.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma={sigma}: the Gaussian's standard deviation in grid cells must be a number >= 0")
    maps = np.asarray(maps, np.float32)
    return ndimage.gaussian_filter(maps, sigma, axes=(-2, -1), mode="reflect") if sigma else maps


def minmax(maps: Float[np.ndarray, "*lead h w"]) -> Float[np.ndarray, "*lead h w"]:
    """Each map scaled to [0, 1] on its own; a flat map (which prefers no place) becomes zero. float32."""
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    span = high - low
    flat = span <= _ROUNDING * np.abs(high)
    return np.where(flat, np.float32(0), (maps - low) / np.where(flat, np.float32(1), span)).astype(np.float32)


def noise_prior(noise: Float[np.ndarray, "rows h w"], sigma: float) -> Float[np.ndarray, "h w"]:
    """Mean of the smoothed, scaled maps of the instruction's tokens, in [0, 1]: what `purify` subtracts."""
    if not len(noise):
        raise ValueError("no noise rows: a prior needs at least one row of the instruction's tokens")
    return minmax(smooth(_checked(noise), sigma)).mean(0)


def subtract_prior(
    scaled: Float[np.ndarray, "tokens h w"], prior: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "tokens h w"]:
    """What each scaled map has above `prior`, scaled to [0, 1]; all zero if nothing is left. Grids must be equal."""
    if prior.shape != scaled.shape[1:]:
        raise ValueError(f"prior has grid {prior.shape}, the maps {scaled.shape[1:]}: resize it first (average_prior)")
    left = np.maximum(scaled - prior.astype(np.float32), 0)
    left[left.max((1, 2), initial=0) <= _ROUNDING] = 0
    return minmax(left)


def assign_images(maps: Sequence[Float[np.ndarray, "tokens _ _"]]) -> Int[np.ndarray, " tokens"]:
    """With several images, the index of the image each token belongs to: where its raw map has the largest maximum.

    maps: one `(tokens, h_i, w_i)` array of raw attention per image. Ties go to the earlier image.
    """
    if not len(maps):
        raise ValueError("no maps: give one (tokens, h, w) array per image")
    return np.argmax([_checked(m).max((1, 2)) for m in maps], axis=0)


def _checked(attention: np.ndarray) -> np.ndarray:
    """float32 rows, refused with the row's number if they are not finite or not three-dimensional."""
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

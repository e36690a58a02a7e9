"""Notebook 01. Object size against background interference: a factorial experiment on drawn scenes.

Enlarging a picture's background and shrinking its object both make the object a smaller share of the picture, so
accuracies by share cannot tell them apart. Here they vary independently: the object's size and the picture's in pixels,
the number of unnamed objects, and that of named ones. Halving the object's area and doubling the picture's change
the share by the same factor of two, which is the unit in which they are compared.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import patsy
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

from hide_utils.findings import in_points
from hide_utils.samples import Sample
from hide_utils.scenes.questions import scene_samples
from hide_utils.scenes.settings import AREA
from hide_utils.stats.rows import answered, with_holm

# Regressor -> (column of the cells, what one harmful unit is). The sign in `HARM` turns a regressor towards harm.
FACTORS = {
    "object": "halving the object's area",
    "picture": "doubling the picture's area",
    "unnamed": "unnamed objects from fewest to most",
    "named": "doubling the named objects",
}
HARM = {"object": -1, "picture": 1, "unnamed": 1, "named": 1}
BACKGROUND = ("picture", "unnamed", "named")
SIMILAR = 1.375 / 2.25  # of the named objects share an attribute with one asked about, as at the default difficulty
MATTERS = {
    "background": "Per factor of two in area, background matters more to {model} than object size.",
    "size": "Per factor of two in area, object size matters more to {model} than background.",
    "neither": "This does not show which matters more to {model} per factor of two in area, background or object size.",
    "unknown": "The regression cannot be estimated from these scenes: take more of them, or other levels.",
}


@dataclass(frozen=True)
class Design:
    """Levels of the factors. Every combination is a cell, and every scene index appears in every cell.

    Attributes:
        object_sizes: sides of all objects of a scene, in pixels.
        resolutions: sides of the square picture, in pixels.
        unnamed: numbers of unnamed objects in a picture, whatever its size.
        named: numbers of named objects in a picture, those asked about among them.
    """

    object_sizes: Sequence[int]
    resolutions: Sequence[int]
    unnamed: Sequence[int]
    named: Sequence[int]

    def cells(self) -> pd.DataFrame:
        """One row a cell: object_size, resolution, n_unnamed, n_named.

        Raises:
            ValueError: a factor has no level, a level twice, or one below 0 (below 4 for named objects).
        """
        levels = {
            "object_size": self.object_sizes,
            "resolution": self.resolutions,
            "n_unnamed": self.unnamed,
            "n_named": self.named,
        }
        for name, values in levels.items():
            if not values or len(set(values)) < len(values) or min(values) < 0:
                raise ValueError(f"{name} has levels {list(values)}: want at least one, each once, none below 0")
        if min(self.named) < 4:
            raise ValueError("n_named must be at least 4: a scene has no fewer named objects")
        return pd.DataFrame(list(itertools.product(*levels.values())), columns=list(levels))


def factorial_scenes(design: Design, n: int, seed: int = 0, split: str = "test") -> tuple[list[Sample], pd.DataFrame]:
    """Scenes of every cell, n indices in each, and a table that says which is which.

    The same index asks about the same things in every cell, of attributes in the same words and with the same right
    answer. But places and relations are drawn anew. So an index is a cluster of observations, not a matched pair.

    Args:
        design: the cells.
        n: scene indices in each cell.
        seed: draw of the scenes.
        split: of the scenes.

    Returns:
        Samples with unique ids that name their cell, and one row a sample: sample_id, index, kind, the cell's columns
        and the regressors `FACTORS`, each centred on the design's mean. object and picture are log2 of areas in pixels,
        unnamed runs from 0 (fewest) to 1 (most), named is log2 of their number.

    Raises:
        ValueError: a scene cannot hold its objects, or a level is bad.
    """
    samples, rows = [], []
    for cell in design.cells().to_dict("records"):
        counts = {"unnamed": cell["n_unnamed"], "named": cell["n_named"], "similar": SIMILAR * cell["n_named"]}
        knobs = {name: count * AREA / cell["resolution"] ** 2 for name, count in counts.items()}
        knobs |= {"resolution": cell["resolution"], "object_size": (cell["object_size"],) * 2}
        name = "-".join(f"{key}{value:g}" for key, value in cell.items() if key != "resolution")
        for index, sample in enumerate(scene_samples(split, n, seed, **knobs)):
            samples.append(replace(sample, id=f"{sample.id}-{name}", image_id=""))
            rows.append({"sample_id": samples[-1].id, "index": index, "kind": sample.kind} | cell)
    table = pd.DataFrame(rows)
    unnamed = table["n_unnamed"] - min(design.unnamed)
    regressors = {
        "object": 2 * np.log2(table["object_size"]),
        "picture": 2 * np.log2(table["resolution"]),
        "unnamed": unnamed / (unnamed.max() or 1),
        "named": np.log2(table["n_named"]),
    }
    factors = pd.DataFrame({name: values - values.mean() for name, values in regressors.items()})
    return samples, table.join(factors)


@dataclass(frozen=True)
class Contrast:
    """An estimate made of a regression's coefficients, its gradient in them, and their covariance (delta method).

    Intervals, of confidence `level`, and p refer to a t distribution with `df` degrees of freedom. The difference of
    two contrasts of one regression knows their correlation.
    """

    estimate: float
    gradient: np.ndarray = field(repr=False)
    covariance: np.ndarray = field(repr=False)
    df: int
    level: float = 0.95

    @property
    def se(self) -> float:
        """Standard error."""
        return float(np.sqrt(self.gradient @ self.covariance @ self.gradient))

    @property
    def low(self) -> float:
        """Lower end of the confidence interval."""
        return self.estimate - float(stats.t.ppf((1 + self.level) / 2, self.df)) * self.se

    @property
    def high(self) -> float:
        """Upper end of the confidence interval."""
        return self.estimate + float(stats.t.ppf((1 + self.level) / 2, self.df)) * self.se

    @property
    def p(self) -> float:
        """Two-sided p of zero. It is 1 where estimate and standard error are both zero."""
        if self.se == 0:
            return float(self.estimate == 0)
        return float(2 * stats.t.sf(abs(self.estimate / self.se), self.df))

    @property
    def points(self) -> str:
        """Estimate and interval in points of a hundred, for a sentence."""
        return in_points(self.estimate, self.low, self.high)

    def __sub__(self, other: Contrast) -> Contrast:
        return replace(self, estimate=self.estimate - other.estimate, gradient=self.gradient - other.gradient)


class InteractionModel:
    """Logistic regression of right answers on all varied factors, their interactions in pairs, and the question's kind.

    The covariance is clustered by scene index (statsmodels' sandwich with its small-sample correction). It is referred
    to a t distribution with clusters - 1 degrees of freedom. Kind, which sets the chance level, has an effect of its
    own and none on the others.

    Args:
        table: columns correct (0 or 1), index, kind and the regressors `FACTORS`. The fit leaves out rows without an
            answer, and a warning says how many. Effects are means over all rows of the design.
        level: of confidence of all intervals.

    Attributes:
        factors: those with more than one level.
        estimable: False, and every estimate NaN, where there are fewer than three clusters, a combination of factors
            predicts the outcomes perfectly, or the fit does not converge.
    """

    def __init__(self, table: pd.DataFrame, level: float = 0.95) -> None:
        self.table, self.level = table.reset_index(drop=True), level
        self.factors = [name for name in FACTORS if table[name].nunique() > 1]
        formula = f"({' + '.join(self.factors)})**2" if self.factors else "1"
        formula += " + C(kind)" if table["kind"].nunique() > 1 else ""
        self._matrix = patsy.dmatrix(formula, self.table, return_type="dataframe")
        self.names = list(self._matrix.columns)
        known = answered(self.table, "regression")
        self.n_clusters = known["index"].nunique()
        self.coefficients, self.covariance = self._fit(known)
        self.estimable = bool(np.isfinite(self.covariance).all())

    def _fit(self, known: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        failed = np.full(len(self.names), np.nan), np.full((len(self.names),) * 2, np.nan)
        if self.n_clusters < 3:
            return failed
        groups = {"groups": pd.factorize(known["index"])[0]}
        with warnings.catch_warnings():
            for warning in (ConvergenceWarning, PerfectSeparationWarning):
                warnings.simplefilter("error", warning)
            try:
                model = sm.Logit(known["correct"], self._matrix.loc[known.index])
                fit = model.fit(disp=False, cov_type="cluster", cov_kwds=groups)
            except (np.linalg.LinAlgError, ConvergenceWarning, PerfectSeparationWarning):
                return failed
        # towards infinity the likelihood is so flat that the search may call itself converged
        return failed if np.abs(fit.params).max() > 15 else (fit.params.to_numpy(), fit.cov_params().to_numpy())

    def _contrast(self, estimate: float, gradient: np.ndarray) -> Contrast:
        return Contrast(float(estimate), gradient, self.covariance, max(self.n_clusters - 1, 1), self.level)

    def contrast(
        self, above: Mapping[str, float | pd.Series], below: Mapping[str, float | pd.Series], scale: float = 1.0
    ) -> Contrast:
        """(mean accuracy with regressors shifted as `above` - with those shifted as `below`) / scale, over all rows."""
        total, gradient = 0.0, np.zeros(len(self.names))
        for shifts, sign in ((above, 1 / scale), (below, -1 / scale)):
            moved = self.table.assign(**{name: self.table[name] + shift for name, shift in shifts.items()})
            matrix = np.asarray(patsy.build_design_matrices([self._matrix.design_info], moved)[0])
            p = expit(matrix @ self.coefficients)
            total += sign * p.mean()
            gradient += sign * ((p * (1 - p))[:, None] * matrix).mean(0)
        return self._contrast(total, gradient)

    def fitted(self) -> np.ndarray:
        """Probability of a right answer for each row of the table."""
        return expit(np.asarray(self._matrix) @ self.coefficients)

    def marginal_effect(self, factor: str) -> Contrast:
        """Average marginal effect: accuracy per unit of `FACTORS[factor]` (a loss is negative)."""
        step = HARM[factor] * 1e-4
        return self.contrast({factor: step}, {factor: -step}, 2e-4)

    def worst_case(self, factors: Collection[str]) -> Contrast:
        """Mean accuracy with these factors at their most harmful levels less that at their least harmful, together."""
        ends: tuple[dict, dict] = ({}, {})
        for name in factors:
            values = self.table[name]
            best, worst = (values.min(), values.max())[:: HARM[name]]
            ends[0][name], ends[1][name] = worst - values, best - values
        return self.contrast(*ends)

    def effects(self) -> pd.DataFrame:
        """What each factor does: one row each, in the direction that should harm.

        Returns:
            Columns factor and unit. ame, the average marginal effect (accuracy per unit, a loss is negative), with low
            and high, p, and p_holm over the factors. odds_ratio of a right answer per standard deviation of the factor
            in the design, the others at their means, with or_low and or_high.
        """
        rows = []
        for name in self.factors:
            ame, sd = self.marginal_effect(name), self.table[name].std(ddof=0)
            odds = self._odds(HARM[name] * sd * (np.array(self.names) == name))
            rows.append((name, FACTORS[name], ame.estimate, ame.low, ame.high, ame.p, *odds[:3]))
        columns = ["factor", "unit", "ame", "low", "high", "p", "odds_ratio", "or_low", "or_high"]
        return with_holm(pd.DataFrame(rows, columns=columns))

    def interactions(self) -> pd.DataFrame:
        """Each pair of factors, by what both do together.

        Returns:
            Columns term, odds_ratio per unit of both in their harmful directions with low and high, p and p_holm. Below
            1 they harm more together than each by itself would have it, on the scale of log odds.
        """
        rows = []
        for term in (name for name in self.names if ":" in name):
            sign = np.prod([HARM[name] for name in term.split(":")])
            rows.append((term.replace(":", " × "), *self._odds(sign * (np.array(self.names) == term))))
        return with_holm(pd.DataFrame(rows, columns=["term", "odds_ratio", "low", "high", "p"]))

    def _odds(self, along: np.ndarray) -> tuple[float, float, float, float]:
        """Odds ratio of a step along a direction of coefficients, with its interval and p."""
        line = self._contrast(along @ self.coefficients, along)
        return (*np.exp([line.estimate, line.low, line.high]).tolist(), line.p)


def which_matters(size: Contrast, background: Contrast) -> str:
    """Which of two marginal effects, each for a factor of two in area, costs more accuracy.

    Args:
        size: effect of the object's size.
        background: effect of the background.

    Returns:
        A key of `MATTERS`: "background" or "size" where the interval of that effect is below zero and so is that of its
        difference from the other, "unknown" without estimates, else "neither".
    """
    if not np.isfinite([size.estimate, background.estimate, size.se, background.se]).all():
        return "unknown"
    if background.high < 0 and (background - size).high < 0:
        return "background"
    return "size" if size.high < 0 and (size - background).high < 0 else "neither"

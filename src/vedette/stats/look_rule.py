"""How z-scores are judged at one look of a group-sequential design: repeated intervals and repeated p-values.

The critical value is the design's boundary at this look, given when the looks before it were. With few degrees of
freedom it is taken at the same tail probability of Student's t. The p-value is the smallest alpha at which this look
would have rejected; it is read off a grid of boundaries, to about one part in a thousand.

Source: Jennison & Turnbull, Group sequential methods (2000), chapter 9.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from vedette.evidence.summary import FloatArray
from vedette.stats.group_sequential import Design, boundaries
from vedette.stats.sequential import Side

_GRID = 60
_SMALLEST = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRule:
    """The newest of some looks of a design, at the given fractions of its planned information (increasing).

    `final` says that no look follows, so that what is left of alpha is spent.
    """

    design: Design
    information: tuple[float, ...]
    final: bool = False
    kind: str = "repeated"

    @property
    def side(self) -> Side:
        """Say which departures count."""
        return self.design.side

    @property
    def boundary(self) -> float:
        """The critical z-value of this look."""
        return _boundary(replace(self.design, futility=None), self.information, self.final)

    def critical(self, df: FloatArray, clock: FloatArray) -> FloatArray:  # noqa: ARG002 - one shape for all rules
        """Give the boundary of this look."""
        level = self.boundary
        if np.isinf(df).all():
            return np.full(df.shape, level)
        finite = np.where(np.isinf(df), 1.0, df)
        return np.asarray(np.where(np.isinf(df), level, -stdtrit(finite, ndtr(-level))))

    def p_value(self, z: FloatArray, df: FloatArray, clock: FloatArray) -> FloatArray:  # noqa: ARG002 - one shape for all rules
        """Give the repeated p-value of this look."""
        signed = {Side.GREATER: z, Side.LESS: -z, Side.BOTH: np.abs(z)}[self.side]
        finite = np.where(np.isinf(df), 1.0, df)
        normal = np.where(np.isinf(df), signed, -ndtri(np.maximum(stdtr(finite, -signed), 1e-300)))
        levels, scores = _grid(replace(self.design, futility=None), self.information, self.final)
        found = np.interp(normal, levels, scores)
        beyond = (scores[-1] - scores[-2]) / (levels[-1] - levels[-2]) * (normal - levels[-1])
        found = np.where(normal > levels[-1], scores[-1] + beyond, found)
        return np.asarray(np.where(np.isnan(normal), np.nan, 2.0 * ndtr(-found)))


@lru_cache(maxsize=512)
def _boundary(design: Design, information: tuple[float, ...], final: bool) -> float:  # noqa: FBT001 - a cache's key
    return boundaries(design, information, maximum=1.0, final=final).boundary_z[-1]


@lru_cache(maxsize=64)
def _grid(design: Design, information: tuple[float, ...], final: bool) -> tuple[FloatArray, FloatArray]:  # noqa: FBT001 - a cache's key
    """Give critical values, rising, and each one's alpha as the z-score of a two-sided test: nearly a straight line."""
    # The design's own alpha is one of them, so that p-value and interval turn significant together.
    alphas = np.sort(np.append(np.geomspace(0.9999, _SMALLEST, _GRID), design.alpha))[::-1]
    levels = np.array([_boundary(replace(design, alpha=alpha), information, final) for alpha in alphas.tolist()])
    usable = np.isfinite(levels)
    return levels[usable], -ndtri(alphas[usable] / 2.0)

"""Optical thickness of single pixels, gathered per cell, and the highest that dark land allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numba as nb
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.aerosol.relations import Relation

    Floats = npt.NDArray[np.float32]

__all__ = [
    "BINS",
    "AerosolRetrieval",
    "Correction",
    "darkest",
    "quantile",
    "retrieve",
    "surface_at",
]

#: Borders of the bins in which the values of the pixels are counted. Single pixels may turn out
#: negative, which keeps their median unbiased in clean air.
BINS: Final = np.concatenate([np.arange(-0.6, 0.8, 0.01), np.arange(0.8, 2.41, 0.05)])
#: Error within which `darkest` is found.
BOUND_ERROR: Final = 0.005


@dataclass(frozen=True, slots=True)
class Correction:
    """Terms that turn reflectance of one band into surface reflectance at several AOT values.

    Attributes
    ----------
    path, gain, spherical_albedo, diffuse_ratio
        As in ``surface.linear_terms``, shape (aot, cell_y, cell_x).
    """

    path: Floats
    gain: Floats
    spherical_albedo: Floats
    diffuse_ratio: Floats

    @property
    def stacked(self) -> Floats:
        """All terms, shape (4, aot, cell_y, cell_x)."""
        return np.stack([self.path, self.gain, self.spherical_albedo, self.diffuse_ratio])


@dataclass(frozen=True, slots=True)
class AerosolRetrieval:
    """What the pixels of a relation say.

    Attributes
    ----------
    counts
        Pixels of each cell by their optical thickness in the bins of `BINS`,
        shape (bin, cell_y, cell_x).
    kinds
        How many kinds of surface they are, from `kinds`; 0 without pixels.
    relation
        What they were taken to obey.
    """

    counts: Floats
    kinds: float
    relation: Relation

    @property
    def middle(self) -> float:
        """Optical thickness below which half of the pixels lie."""
        total = self.counts.sum(axis=(1, 2))
        return float(quantile(total[:, np.newaxis, np.newaxis], 0.5)[0, 0])


def retrieve(
    relation: Relation,
    toa: Floats,
    around: Floats,
    place: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    aot_nodes: Floats,
    corrections: tuple[Correction, ...],
    kinds: float,
) -> AerosolRetrieval:
    """Optical thickness of chosen pixels, gathered per cell.

    Parameters
    ----------
    relation
        What their surface obeys.
    toa
        Top-of-atmosphere reflectance of its bands, shape (band, pixel).
    around
        The same averaged over the environment of each pixel. Without it the light that bright
        neighbours scatter into a dark pixel would pass for aerosol.
    place
        Row and column of the cell of each pixel.
    aot_nodes
        Optical thicknesses at which the corrections are given, ascending.
    corrections
        One for each band.
    kinds
        How many kinds of surface the pixels are, from `kinds`.

    Returns
    -------
    AerosolRetrieval
    """
    rows, cols = place
    weights = np.array([relation.intercept, *relation.weights], np.float32)
    terms = np.stack([correction.stacked for correction in corrections])
    values = _solve(toa, around, rows, cols, aot_nodes, terms, weights)
    told = np.isfinite(values)
    inside = np.clip(values[told], BINS[0], BINS[-1] - 1e-6)
    box = np.searchsorted(BINS, inside, "right") - 1
    counts = np.zeros((BINS.size - 1, *corrections[0].path.shape[1:]), np.float32)
    np.add.at(counts, (box, rows[told], cols[told]), 1.0)
    return AerosolRetrieval(counts, kinds if told.any() else 0.0, relation)


def quantile(counts: npt.NDArray[Any], share: float) -> npt.NDArray[np.float64]:
    """Optical thickness below which a share of the counts lies, shape (cell_y, cell_x)."""
    below = np.cumsum(counts, axis=0, dtype=np.float64)
    target = share * below[-1]
    place = np.minimum((below < target).sum(axis=0), len(counts) - 1)
    before = np.take_along_axis(below, np.maximum(place - 1, 0)[None], axis=0)[0]
    before = np.where(place > 0, before, 0.0)
    within = np.take_along_axis(counts, place[None], axis=0)[0]
    part = (target - before) / np.maximum(within, 1e-12)
    return np.asarray(BINS[place] + part * np.diff(BINS)[place])


def darkest(toa: Floats, around: Floats, nodes: Floats, terms: Floats, share: float) -> float:
    """Highest optical thickness at which no more than a share of pixels is negative.

    Parameters
    ----------
    toa, around
        Top-of-atmosphere reflectance of one band and of its environment, shape (pixel,).
    nodes
        Optical thicknesses of the terms, ascending.
    terms
        Mean terms of the scene as in `Correction.stacked`, shape (4, aot).
    share
        Share of pixels that noise and shadow may make negative.

    Returns
    -------
    float
        Between the outermost nodes.
    """

    def negative(aot550: float) -> bool:
        at = np.array([np.interp(aot550, nodes, term) for term in terms], np.float32)
        return bool((surface_at(toa, around, at) < 0.0).mean() > share)

    low, high = float(nodes[0]), float(nodes[-1])
    if negative(low):
        return low
    if not negative(high):
        return high
    while high - low > BOUND_ERROR:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if negative(middle) else (middle, high)
    return low


def surface_at(toa: Floats, around: Floats, terms: npt.NDArray[Any]) -> Floats:
    """Surface reflectance of pixels in given surroundings.

    Parameters
    ----------
    toa, around
        Top-of-atmosphere reflectance of pixels and of their environment, any shape.
    terms
        Path, gain, spherical albedo, diffuse ratio as in ``surface.linear_terms``, each broadcast
        against ``toa``.
    """
    path, gain, albedo, ratio = terms
    y = (around - path) * gain
    environment = y / (1.0 + albedo * y)
    direct = (toa - path) * gain * (1.0 - albedo * environment)
    return np.asarray(direct * (1.0 + ratio) - ratio * environment, dtype=np.float32)


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _solve(
    toa: Floats,
    around: Floats,
    rows: npt.NDArray[np.intp],
    cols: npt.NDArray[np.intp],
    nodes: Floats,
    terms: Floats,
    weights: Floats,
) -> Floats:
    """Optical thickness of each pixel, NaN where none within the nodes obeys the relation."""
    out = np.empty(toa.shape[1], np.float32)
    residual = np.empty(nodes.size, np.float32)
    one = np.float32(1.0)
    for i in range(toa.shape[1]):
        r = rows[i]
        c = cols[i]
        for k in range(nodes.size):
            total = weights[0]
            for b in range(toa.shape[0]):
                path, gain = terms[b, 0, k, r, c], terms[b, 1, k, r, c]
                albedo, ratio = terms[b, 2, k, r, c], terms[b, 3, k, r, c]
                y = (around[b, i] - path) * gain
                environment = y / (one + albedo * y)
                direct = (toa[b, i] - path) * gain * (one - albedo * environment)
                total += weights[b + 1] * (direct * (one + ratio) - ratio * environment)
            residual[k] = total
        out[i] = _root(residual, nodes)
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _root(residual: Floats, nodes: Floats) -> float:
    """Where a falling residual meets zero.

    Beyond the first and last node their segments are continued.
    """
    segment = nodes.size - 2
    for k in range(1, nodes.size):
        if residual[k] <= 0.0:
            segment = k - 1
            break
    step = nodes[segment + 1] - nodes[segment]
    slope = (residual[segment + 1] - residual[segment]) / step
    if slope > -1e-6:
        return np.nan
    return float(nodes[segment] - residual[segment] / slope)

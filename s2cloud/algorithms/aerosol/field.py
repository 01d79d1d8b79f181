"""Optical thickness of a scene from what its pixels say and what was known before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.aerosol.pixels import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from s2cloud.algorithms.aerosol.pixels import AerosolRetrieval

    Floats = npt.NDArray[np.float32]

__all__ = ["AerosolField", "Prior", "estimate"]

#: Fewer pixels than this in a cell say less than one independent sample.
MINIMUM_PIXELS: Final = 20
#: Weight of the whole scene against the pixels around a place.
FAR_AWAY: Final = 0.02
#: How much the optical thickness varies over a tile (one sigma), and the least error of a place.
VARIABILITY: Final = 0.08
LEAST_ERROR: Final = 0.01
#: Cells that share the kinds of vegetation they hold: their errors are one error.
LANDSCAPE_CELLS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of the optical thickness before looking.

    Attributes
    ----------
    mean, sigma
        Value and its one-sigma uncertainty.
    """

    mean: float
    sigma: float


@dataclass(frozen=True, slots=True)
class AerosolField:
    """Optical thickness of a scene with its uncertainty.

    Attributes
    ----------
    aot550
        Optical thickness of every cell, shape (cell_y, cell_x), not negative.
    sigma
        One-sigma uncertainty (posterior), same shape.
    prior_weight
        Share of the prior in the mean of the scene, 0 to 1.
    """

    aot550: Floats
    sigma: Floats
    prior_weight: float


def estimate(
    evidence: Sequence[AerosolRetrieval],
    sigma_cells: float,
    prior: Prior,
    shape: tuple[int, ...] | None = None,
) -> AerosolField:
    """Optical thickness of every cell from the pixels around it and the prior.

    Parameters
    ----------
    evidence
        From `retrieve`, one for each relation; those without pixels have no say.
    sigma_cells
        Standard deviation of the Gaussian neighbourhood. [cell]
    prior
        Counts for little where many pixels agree, and alone where there are none.
    shape
        Rows and columns of cells; needed without evidence.

    Returns
    -------
    AerosolField

    Notes
    -----
    A place errs by the scatter of its pixels over the root of the number of landscapes, or of
    kinds of surface, among them,
    the scene by that, by the scatter of kinds of surface over the root of their number, and by
    what the relation has in common everywhere. Relations are weighted by the inverse square of
    these errors. Places tend to the scene by how their error compares with the `VARIABILITY` of
    aerosols.
    """
    shape = evidence[0].counts.shape[1:] if shape is None else shape
    places = [_place(one, sigma_cells) for one in evidence if one.kinds > 0.0]
    if not places:
        return AerosolField(
            np.full(shape, prior.mean, np.float32), np.full(shape, prior.sigma, np.float32), 1.0
        )
    # A relation that asks for less than no aerosol is off by at least that much.
    means = np.array([max(place.mean, 0.0) for place in places])
    precisions = np.array([1.0 / place.mean_variance for place in places])
    mean = float((means * precisions).sum() / precisions.sum())
    # Within the scene only differences between places count, whatever the relation shares.
    local = np.stack([1.0 / place.variance for place in places])
    deviation = np.stack([place.value - place.mean for place in places])
    precision = local.sum(axis=0)
    share = VARIABILITY**2 / (VARIABILITY**2 + 1.0 / precision)
    seen = mean + share * (deviation * local).sum(axis=0) / precision
    variance = 1.0 / precisions.sum() + share / precision
    weight = variance / (variance + prior.sigma**2)
    aot550 = np.maximum(seen + weight * (prior.mean - seen), 0.0)
    return AerosolField(
        aot550.astype(np.float32),
        (np.sqrt(weight) * prior.sigma).astype(np.float32),
        float(weight.mean()),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """What one relation says of every cell and of the scene, each with its variance."""

    value: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    mean: float
    mean_variance: float


def _place(retrieval: AerosolRetrieval, sigma_cells: float) -> _Place:
    relation = retrieval.relation
    pixels = retrieval.counts.sum(axis=0)
    # A cell's say saturates: a hundred pixels share one air and are no independent proof.
    say = retrieval.counts / (pixels + MINIMUM_PIXELS)
    local = ndimage.gaussian_filter(say, (0.0, sigma_cells, sigma_cells), mode="nearest")
    density = local.sum(axis=0)
    # Some of the whole scene everywhere, so that no place is without a distribution.
    total = retrieval.counts.sum(axis=(1, 2))
    local += FAR_AWAY * (total / total.sum())[:, None, None]
    value = quantile(local, relation.quantile)
    scatter = 0.5 * (quantile(local, 0.84) - quantile(local, 0.16))
    # Cells that a Gaussian neighbourhood holds, no more than there are.
    reach = min(4.0 * np.pi * sigma_cells**2, float(pixels.size))
    # Independent samples: landscapes, or as many as there are kinds of surface among the pixels.
    samples = max(reach / LANDSCAPE_CELLS, retrieval.kinds * reach / pixels.size)
    landscapes = np.maximum(density * samples, 1e-3)
    variance = LEAST_ERROR**2 + scatter**2 / landscapes
    trust = density / variance
    mean = float((value * trust).sum() / trust.sum())
    among = float((scatter * trust).sum() / trust.sum())
    # Pixels of one kind agree with one another and may all be wrong.
    independent = float((pixels / (pixels + MINIMUM_PIXELS)).sum()) / LANDSCAPE_CELLS
    mean_variance = (
        relation.sigma**2
        + relation.scatter**2 / retrieval.kinds
        + among**2 / max(independent, min(retrieval.kinds, pixels.sum() / MINIMUM_PIXELS), 1e-3)
    )
    return _Place(value, variance, mean, mean_variance)

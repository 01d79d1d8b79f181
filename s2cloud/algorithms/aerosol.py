"""Aerosol optical thickness from dark dense vegetation (scene stage).

Over dense vegetation red surface reflectance follows the 2.2 um band, which aerosols hardly touch:
``red = 0.5 * swir`` (Kaufman et al. 1997, doi:10.1109/36.628795; Sentinel-2 L2A ATBD,
S2-PDGS-MPC-ATBD-L2A). For each such pixel the optical thickness is sought at which the corrected
bands obey the relation. Vegetation that is not quite dense is too red and looks hazy, seldom the
reverse, so a quantile below the median stands for a place and not the mean. It is taken over a
Gaussian neighbourhood of each place, so that the optical thickness may vary over the scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["AerosolRetrieval", "Correction", "dark_vegetation", "retrieve", "spread"]

RED_OVER_SWIR = 0.5
#: Share of the dark pixels of a cell that lie below the value taken for it. At this quantile field
#: spectra and Level-2A scenes of two continents obey the relation to 0.001
#: (benchmarks/dark_vegetation.py).
QUANTILE = 0.35
#: Fewer dark pixels than this tell nothing.
MINIMUM_PIXELS = 20
#: Weight of the whole scene against the dark pixels around a place.
FAR_AWAY = 0.02
#: How much the optical thickness varies over a tile (one sigma), and the least error of a place.
VARIABILITY = 0.08
LEAST_ERROR = 0.01
#: Borders of the bins in which the values of the pixels are counted. Single pixels may turn out
#: negative, which keeps their quantile unbiased in clean air.
BINS = np.concatenate([np.arange(-0.2, 0.6, 0.01), np.arange(0.6, 2.01, 0.05)])
#: Upper limits of the 2.2 um surface reflectance, tried in this order.
SWIR_LIMITS = (0.05, 0.10, 0.12)
SWIR_FLOOR = 0.01
#: Least normalised difference of B8A and B12, which aerosols hardly touch, of dense vegetation.
DENSE = 0.6


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
    """Result of a dark vegetation retrieval.

    Attributes
    ----------
    counts
        Dark pixels of each cell by their optical thickness in the bins of `BINS`,
        shape (bin, cell_y, cell_x).
    mean
        Quantile over all dark pixels; NaN if there are too few.
    dark_fraction
        Dark pixels over valid land pixels.
    """

    counts: Floats
    mean: float
    dark_fraction: float


def dark_vegetation(
    toa_red: Floats,
    toa_nir: Floats,
    boa_nir: Floats,
    boa_swir: Floats,
    vegetation: Mask,
    hidden: Mask,
    valid: Mask,
    minimum_fraction: float,
) -> Mask:
    """Pixels of dark dense vegetation far from clouds.

    Parameters
    ----------
    toa_red, toa_nir
        Top-of-atmosphere reflectance of B04 and B8A, shape (y, x).
    boa_nir, boa_swir
        First guess of the surface reflectance of B8A and B12.
    vegetation
        Pixels classified as vegetation.
    hidden
        Pixels in or near cloud, cirrus or shadow.
    valid
        Land pixels with data.
    minimum_fraction
        Share of valid pixels at which a limit of the 2.2 um reflectance is good enough.

    Returns
    -------
    numpy.ndarray
        Mask with the tightest limit of `SWIR_LIMITS` that yields the share, the loosest if none
        does.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ndvi = (toa_nir - toa_red) / np.maximum(toa_nir + toa_red, np.float32(1e-6))
        candidate = (
            vegetation
            & ~hidden
            & (toa_red <= 0.10)
            & (ndvi > 0.10)
            & (boa_nir < 0.38)
            & (boa_swir > SWIR_FLOOR)
            & ((boa_nir - boa_swir) > DENSE * (boa_nir + boa_swir))
        )
        wanted = minimum_fraction * max(int(valid.sum()), 1)
        for limit in SWIR_LIMITS:
            dark = candidate & (boa_swir < limit)
            if dark.sum() > wanted:
                break
    return np.asarray(dark)


def retrieve(
    toa: tuple[Floats, Floats],
    around: tuple[Floats, Floats],
    dark: Mask,
    aot_nodes: Floats,
    corrections: tuple[Correction, Correction],
    cell_px: int,
    valid_pixels: int,
) -> AerosolRetrieval:
    """Optical thickness of the dark pixels, gathered per cell.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance of B04 and B12, shape (y, x).
    around
        The same averaged over the environment of each pixel. Without it the light that bright
        neighbours scatter into a dark pixel would pass for aerosol.
    dark
        Pixels to use, from `dark_vegetation`.
    aot_nodes
        Optical thicknesses at which the corrections are given, ascending.
    corrections
        For B04 and B12.
    cell_px
        Pixels per side of a cell.
    valid_pixels
        Number of land pixels with data.

    Returns
    -------
    AerosolRetrieval
    """
    red, swir = corrections
    rows, cols = np.nonzero(dark)
    values = _solve(
        np.stack([toa[0][rows, cols], toa[1][rows, cols]]),
        np.stack([around[0][rows, cols], around[1][rows, cols]]),
        rows // cell_px,
        cols // cell_px,
        aot_nodes,
        np.stack([red.stacked, swir.stacked]),
    )
    shape = red.path.shape[1:]
    told = np.isfinite(values)
    place = np.searchsorted(BINS, np.clip(values[told], BINS[0], BINS[-1] - 1e-6), "right") - 1
    counts = np.zeros((BINS.size - 1, *shape), np.float32)
    np.add.at(counts, (place, rows[told] // cell_px, cols[told] // cell_px), 1.0)
    mean = float("nan")
    if told.sum() >= MINIMUM_PIXELS:
        everything = counts.sum(axis=(1, 2))[:, None, None]
        mean = max(float(_quantile(everything, QUANTILE)[0, 0]), 0.0)
    return AerosolRetrieval(counts, mean, float(dark.sum()) / max(valid_pixels, 1))


def spread(retrieval: AerosolRetrieval, sigma_cells: float) -> Floats:
    """Optical thickness of every cell: the quantile of the dark pixels around it.

    Parameters
    ----------
    retrieval
        From `retrieve`.
    sigma_cells
        Standard deviation of the Gaussian neighbourhood. [cell]

    Returns
    -------
    numpy.ndarray
        Shape (cell_y, cell_x), float32, not negative. Where dark pixels are few or contradict
        one another it tends to the value of the scene.

    Notes
    -----
    Dark pixels of one forest agree within a few hundredths; those of a patchwork of fields scatter
    by tenths, and always upwards. Half the width between the 10 % and the 50 % quantile therefore
    serves as the uncertainty of a place, and places are weighted by its inverse square.
    """
    pixels = retrieval.counts.sum(axis=0)
    # A cell's say saturates: a hundred dark pixels share one air and are no independent proof.
    say = retrieval.counts / (pixels + MINIMUM_PIXELS)
    local = ndimage.gaussian_filter(say, (0.0, sigma_cells, sigma_cells), mode="nearest")
    density = local.sum(axis=0)
    # Some of the whole scene everywhere, so that no place is without a distribution.
    local += FAR_AWAY * (retrieval.counts.sum(axis=(1, 2)) / max(pixels.sum(), 1.0))[:, None, None]
    value = _quantile(local, QUANTILE)
    scatter = 0.5 * (_quantile(local, 0.5) - _quantile(local, 0.1))
    variance = LEAST_ERROR**2 + scatter**2 + VARIABILITY**2 * FAR_AWAY / (density + FAR_AWAY)
    trust = density / variance
    scene = float((value * trust).sum() / max(float(trust.sum()), 1e-12))
    share = VARIABILITY**2 / (VARIABILITY**2 + variance)
    return np.asarray(np.maximum(scene + share * (value - scene), 0.0), dtype=np.float32)


def _quantile(counts: npt.NDArray[Any], quantile: float) -> npt.NDArray[np.float64]:
    """Optical thickness below which a share of the counts lies."""
    below = np.cumsum(counts, axis=0, dtype=np.float64)
    target = quantile * below[-1]
    place = np.minimum((below < target).sum(axis=0), len(counts) - 1)
    before = np.take_along_axis(below, np.maximum(place - 1, 0)[None], axis=0)[0]
    before = np.where(place > 0, before, 0.0)
    within = np.take_along_axis(counts, place[None], axis=0)[0]
    share = (target - before) / np.maximum(within, 1e-12)
    return np.asarray(BINS[place] + share * np.diff(BINS)[place])


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _solve(
    toa: Floats,
    around: Floats,
    rows: npt.NDArray[np.intp],
    cols: npt.NDArray[np.intp],
    nodes: Floats,
    terms: Floats,
) -> Floats:
    """Optical thickness of each pixel, NaN where none within the nodes obeys the relation."""
    out = np.empty(toa.shape[1], np.float32)
    residual = np.empty(nodes.size, np.float32)
    boa = np.empty(2, np.float32)
    for i in range(toa.shape[1]):
        r = rows[i]
        c = cols[i]
        for k in range(nodes.size):
            for b in range(2):
                path, gain = terms[b, 0, k, r, c], terms[b, 1, k, r, c]
                albedo, ratio = terms[b, 2, k, r, c], terms[b, 3, k, r, c]
                y = (around[b, i] - path) * gain
                environment = y / (1.0 + albedo * y)
                direct = (toa[b, i] - path) * gain * (1.0 - albedo * environment)
                boa[b] = direct * (1.0 + ratio) - ratio * environment
            residual[k] = boa[0] - RED_OVER_SWIR * boa[1]
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

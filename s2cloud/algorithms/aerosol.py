"""Aerosol optical thickness from dark dense vegetation (scene stage).

Over dense vegetation red surface reflectance follows the 2.2 um band, which aerosols hardly touch:
``red = 0.5 * swir`` (Kaufman et al. 1997, doi:10.1109/36.628795; Sentinel-2 L2A ATBD,
S2-PDGS-MPC-ATBD-L2A). For each such pixel the optical thickness is sought at which the corrected
bands obey the relation. Vegetation that is not quite dense is too red and looks hazy, seldom the
reverse, so a quantile below the median stands for a place and not the mean. A masked Gaussian then
spreads the values over the scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
#: Cells with fewer dark pixels tell nothing on their own.
MINIMUM_PIXELS = 5
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
    aot550
        Low quantile over the dark pixels of each cell, NaN where there are too few,
        shape (cell_y, cell_x).
    weight
        Number of dark pixels of each cell, 0 where there are too few.
    mean
        Low quantile over all dark pixels; NaN if there are too few.
    dark_fraction
        Dark pixels over valid land pixels.
    """

    aot550: Floats
    weight: Floats
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
    told = np.isfinite(values)
    values, rows, cols = values[told], rows[told], cols[told]
    shape = red.path.shape[1:]
    cells = np.full(shape, np.nan, np.float32)
    weight = np.zeros(shape, np.float32)
    number = (rows // cell_px) * shape[1] + cols // cell_px
    order = np.lexsort((values, number))
    found, first, count = np.unique(number[order], return_index=True, return_counts=True)
    enough = count >= MINIMUM_PIXELS
    at = first[enough] + (QUANTILE * (count[enough] - 1)).astype(np.intp)
    cells.flat[found[enough]] = values[order][at]
    weight.flat[found[enough]] = count[enough]
    mean = float(np.quantile(values, QUANTILE)) if values.size >= MINIMUM_PIXELS else float("nan")
    return AerosolRetrieval(
        cells,
        weight,
        mean if np.isnan(mean) else max(mean, 0.0),
        float(dark.sum()) / max(valid_pixels, 1),
    )


def spread(retrieval: AerosolRetrieval, sigma_cells: float, prior: float) -> Floats:
    """Optical thickness of every cell from those with dark pixels.

    Parameters
    ----------
    retrieval
        From `retrieve`.
    sigma_cells
        Standard deviation of the Gaussian. [cell]
    prior
        Value that cells far from any dark pixel tend to.

    Returns
    -------
    numpy.ndarray
        Shape (cell_y, cell_x), float32, not negative.
    """
    # A cell's say saturates: a hundred dark pixels share one air and are no independent proof.
    say = retrieval.weight / (retrieval.weight + 4 * MINIMUM_PIXELS)
    values = np.where(retrieval.weight > 0, np.nan_to_num(retrieval.aot550), 0.0)
    top = ndimage.gaussian_filter((values * say).astype(np.float64), sigma_cells, mode="nearest")
    base = ndimage.gaussian_filter(say.astype(np.float64), sigma_cells, mode="nearest")
    pull = 0.02
    field = (top + pull * prior) / (base + pull)
    return np.asarray(np.maximum(field, 0.0), dtype=np.float32)


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
        aot = _root(residual, nodes)
        out[i] = aot if -0.2 < aot < nodes[-1] else np.nan
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _root(residual: Floats, nodes: Floats) -> float:
    """Where a falling residual meets zero.

    Beyond the first node the first segment is continued: single pixels may then turn out slightly
    negative, which keeps their quantile unbiased in clean air.
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

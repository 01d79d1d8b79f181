"""Aerosol optical thickness from dark dense vegetation (scene stage).

Over dense vegetation the red and blue surface reflectances follow from the 2.2 um band, which
aerosols hardly touch: ``red = 0.5 * swir``, ``blue = 0.5 * red + 0.005`` (Kaufman et al. 1997,
doi:10.1109/36.628795; constants of the Sentinel-2 L2A ATBD, S2-PDGS-MPC-ATBD-L2A). For each such
pixel the optical thickness is sought at which the corrected bands obey these relations; red and
blue are weighted by how well each can tell. A masked Gaussian then spreads the values over the
scene, drawn towards their mean where there are few.
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
BLUE_OVER_RED = 0.5
BLUE_OFFSET = 0.005
#: Upper limits of the 2.2 um surface reflectance, tried in this order.
SWIR_LIMITS = (0.05, 0.10, 0.12)
SWIR_FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class Correction:
    """Terms that turn reflectance of one band into surface reflectance at several AOT values.

    Attributes
    ----------
    path, gain, spherical_albedo
        As in ``surface.uniform_surface``, shape (aot, cell_y, cell_x).
    """

    path: Floats
    gain: Floats
    spherical_albedo: Floats


@dataclass(frozen=True, slots=True)
class AerosolRetrieval:
    """Result of a dark vegetation retrieval.

    Attributes
    ----------
    aot550
        Weighted mean over the dark pixels of each cell, NaN where there is none,
        shape (cell_y, cell_x).
    weight
        Sum of inverse variances per cell, 0 where there is no dark pixel.
    mean
        Weighted mean over the scene.
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
        )
        wanted = minimum_fraction * max(int(valid.sum()), 1)
        for limit in SWIR_LIMITS:
            dark = candidate & (boa_swir < limit)
            if dark.sum() > wanted:
                break
    return np.asarray(dark)


def retrieve(
    toa: tuple[Floats, Floats, Floats],
    dark: Mask,
    aot_nodes: Floats,
    corrections: tuple[Correction, Correction, Correction],
    cell_px: int,
    valid_pixels: int,
) -> AerosolRetrieval:
    """Optical thickness of the dark pixels, gathered per cell.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance of B02, B04 and B12, shape (y, x).
    dark
        Pixels to use, from `dark_vegetation`.
    aot_nodes
        Optical thicknesses at which the corrections are given, ascending.
    corrections
        For B02, B04 and B12.
    cell_px
        Pixels per side of a cell.
    valid_pixels
        Number of land pixels with data.

    Returns
    -------
    AerosolRetrieval
    """
    blue, red, swir = corrections
    total, weight = _gather(
        *toa,
        dark,
        aot_nodes,
        np.stack([blue.path, red.path, swir.path]),
        np.stack([blue.gain, red.gain, swir.gain]),
        np.stack([blue.spherical_albedo, red.spherical_albedo, swir.spherical_albedo]),
        cell_px,
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        cells = (total / weight).astype(np.float32)
    summed = float(weight.sum())
    mean = float(total.sum()) / summed if summed > 0 else float("nan")
    fraction = float(dark.sum()) / max(valid_pixels, 1)
    return AerosolRetrieval(cells, weight.astype(np.float32), max(mean, 0.0), fraction)


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
    # A cell's say saturates: a thousand dark pixels share one surface and are no independent proof.
    say = np.minimum(retrieval.weight / max(float(np.median(_positive(retrieval.weight))), 1e-9), 1)
    values = np.where(retrieval.weight > 0, np.nan_to_num(retrieval.aot550), 0.0)
    top = ndimage.gaussian_filter((values * say).astype(np.float64), sigma_cells, mode="nearest")
    base = ndimage.gaussian_filter(say.astype(np.float64), sigma_cells, mode="nearest")
    pull = 0.02
    field = (top + pull * prior) / (base + pull)
    return np.asarray(np.maximum(field, 0.0), dtype=np.float32)


def _positive(values: Floats) -> Floats:
    chosen = values[values > 0]
    return chosen if chosen.size else np.ones(1, np.float32)


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _root(residual: Floats, nodes: Floats) -> tuple[float, float]:
    """Where a falling residual meets zero and its slope there.

    Beyond the first node the first segment is continued: single pixels may then turn out slightly
    negative, which keeps their mean unbiased in clean air.
    """
    last = nodes.size - 1
    segment = last - 1
    for k in range(1, last + 1):
        if residual[k] <= 0.0:
            segment = k - 1
            break
    step = nodes[segment + 1] - nodes[segment]
    slope = (residual[segment + 1] - residual[segment]) / step
    if slope > -1e-6:
        return np.nan, slope
    return nodes[segment] - residual[segment] / slope, slope


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _gather(  # noqa: PLR0913, PLR0917 - compiled code takes plain arrays
    toa_blue: Floats,
    toa_red: Floats,
    toa_swir: Floats,
    dark: Mask,
    nodes: Floats,
    path: Floats,
    gain: Floats,
    albedo: Floats,
    cell_px: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    height, width = dark.shape
    rows, cols = path.shape[2:]
    total = np.zeros((rows, cols))
    weight = np.zeros((rows, cols))
    residual_red = np.empty(nodes.size, np.float32)
    residual_blue = np.empty(nodes.size, np.float32)
    surface = np.empty(3, np.float32)
    for i in range(height):
        for j in range(width):
            if not dark[i, j]:
                continue
            r = i // cell_px
            c = j // cell_px
            for k in range(nodes.size):
                for b in range(3):
                    toa = (
                        toa_blue[i, j] if b == 0 else (toa_red[i, j] if b == 1 else toa_swir[i, j])
                    )
                    y = (toa - path[b, k, r, c]) * gain[b, k, r, c]
                    surface[b] = y / (1.0 + albedo[b, k, r, c] * y)
                model_red = RED_OVER_SWIR * surface[2]
                residual_red[k] = surface[1] - model_red
                residual_blue[k] = surface[0] - (BLUE_OVER_RED * model_red + BLUE_OFFSET)
            aot_red, slope_red = _root(residual_red, nodes)
            aot_blue, slope_blue = _root(residual_blue, nodes)
            # Scatter of the relations: a floor plus a share of the 2.2 um reflectance.
            sigma = 0.004 + 0.10 * max(surface[2], 0.0)
            estimate = 0.0
            trust = 0.0
            for aot, slope in ((aot_red, slope_red), (aot_blue, slope_blue)):
                if aot > -0.2 and aot < nodes[-1]:
                    w = (slope / sigma) ** 2
                    estimate += w * aot
                    trust += w
            if trust > 0.0:
                total[r, c] += estimate
                weight[r, c] += trust
    return total, weight

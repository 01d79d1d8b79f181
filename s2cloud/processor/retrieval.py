"""Aerosol and water vapour on the cells of a scene: what is seen, and what stands in for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms import aerosol, resampling, surface, water_vapour
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import CLOUD_CLASSES, SCL
from s2cloud.processor.optics import (
    CellOptics,
    SceneInput,
    cell_means,
    on_pixels,
    vapour_column,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["AOT_METHODS", "aerosol_field", "clear_masks", "vapour_field"]

logger = logging.getLogger(__name__)

#: Cells per side of the larger cells in which dark pixels are gathered.
AEROSOL_CELLS: Final = 5
#: Optical thicknesses at which the dark pixels are corrected.
AOT_NODES: Final = np.array(
    [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0], np.float32
)
AOT_METHODS: Final = ("dark_vegetation", "cams", "constant")
#: Distance within which cloud spoils a dark pixel (ATBD: box mean of the 0/255 mask above 5). [m]
CLOUD_REACH_M: Final = 1000.0


def clear_masks(
    scl: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Pixels that show the surface, and those of them that are land."""
    hidden = np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW])
    near = ndimage.binary_dilation(hidden, iterations=2)
    empty = scl <= SCL.SATURATED_OR_DEFECTIVE
    clear = ~near & ~empty
    return clear, clear & np.isin(scl, [SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.SNOW_ICE])


def aerosol_field(
    given: SceneInput,
    toa: Floats,
    scl: npt.NDArray[np.uint8],
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    tcwv: Floats,
) -> tuple[Floats, int, float]:
    """Optical thickness on the cells by the first method of the ladder that succeeds."""
    options = given.config.aerosol
    cams = given.meteorology.aot550
    constant = options.fallback_aot550
    prior = constant if np.isnan(cams) else cams
    fraction = 0.0
    if options.method == "dark_vegetation":
        found = _dark_vegetation(given, toa, scl, land, pressure, tcwv, prior)
        fraction = found.dark_fraction
        if fraction >= options.minimum_dark_fraction and np.isfinite(found.mean):
            step = given.cell_px * given.grid.pixel_size * AEROSOL_CELLS
            spread = aerosol.spread(found, options.smoothing_km * 1000.0 / step)
            field: Floats = resampling.interpolate_cells(
                spread, float(AEROSOL_CELLS), (0, 0), given.cells
            )
            return field, AOT_METHODS.index("dark_vegetation"), fraction
        logger.warning(
            "dark vegetation covers %.2f %% of the clear land, %.2f %% are needed: "
            "aerosol falls back to %s",
            100.0 * fraction,
            100.0 * options.minimum_dark_fraction,
            "the configured constant" if np.isnan(cams) else "CAMS",
        )
    if options.method != "constant" and not np.isnan(cams):
        return np.full(given.cells, cams, np.float32), AOT_METHODS.index("cams"), fraction
    if options.method == "cams":
        logger.warning("product has no CAMS forecast: aerosol is the configured %g", constant)
    return np.full(given.cells, constant, np.float32), AOT_METHODS.index("constant"), fraction


def _dark_vegetation(
    given: SceneInput,
    toa: Floats,
    scl: npt.NDArray[np.uint8],
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    tcwv: Floats,
    prior: float,
) -> aerosol.AerosolRetrieval:
    hidden = np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW])
    side = 2 * round(CLOUD_REACH_M / given.grid.pixel_size / 2) + 1
    near = ndimage.uniform_filter(hidden.astype(np.float32), side, mode="nearest") > 5 / 255
    clear, _ = clear_masks(scl)
    optics = CellOptics(given, pressure)
    guess = np.full(given.cells, prior, np.float32)
    first = {
        band: surface.uniform_surface(
            toa[BAND_INDEX[band]],
            *(on_pixels(given, t, given.cell_px) for t in optics.terms(band, guess, tcwv)[:3]),
        )
        for band in ("b8a", "b12")
    }
    dark = aerosol.dark_vegetation(
        toa[BAND_INDEX["b04"]],
        toa[BAND_INDEX["b8a"]],
        first["b8a"],
        first["b12"],
        scl == SCL.VEGETATION,
        near,
        land,
        given.config.aerosol.minimum_dark_fraction,
    )
    cell_px = given.cell_px * AEROSOL_CELLS
    whole = np.ones(given.cells, dtype=bool)
    coarse_pressure, _ = cell_means(pressure, whole, AEROSOL_CELLS)
    coarse_tcwv, _ = cell_means(tcwv, whole, AEROSOL_CELLS)
    coarse = CellOptics(given, coarse_pressure, AEROSOL_CELLS)
    bands = ("b04", "b12")
    corrections = []
    for band in bands:
        nodes = [
            coarse.terms(band, np.full(coarse_pressure.shape, aot, np.float32), coarse_tcwv)
            for aot in AOT_NODES
        ]
        path, gain, albedo, ratio = (np.stack([n[k] for n in nodes]) for k in range(4))
        corrections.append(aerosol.Correction(path, gain, albedo, ratio))
    red, swir = corrections
    toa_red, toa_swir = (toa[BAND_INDEX[band]] for band in bands)
    return aerosol.retrieve(
        (toa_red, toa_swir),
        (_surroundings(given, toa_red, clear), _surroundings(given, toa_swir, clear)),
        dark,
        AOT_NODES,
        (red, swir),
        cell_px,
        int(land.sum()),
    )


def _surroundings(given: SceneInput, toa: Floats, clear: npt.NDArray[np.bool_]) -> Floats:
    """Mean reflectance around each overview pixel; the pixel itself without adjacency."""
    half_side = given.environment_cells
    if half_side < 1:
        return toa
    means, share = cell_means(toa, clear, given.cell_px)
    around, _ = surface.environment(means, share > 0, half_side)
    return on_pixels(given, around, given.cell_px)


def vapour_field(
    given: SceneInput,
    toa: Floats,
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    aot550: Floats,
) -> tuple[Floats, float]:
    """Column on the cells, filled where it cannot be seen."""
    optics = CellOptics(given, pressure)
    prior = np.full(given.cells, given.meteorology.tcwv, np.float32)
    b8a, share = cell_means(toa[BAND_INDEX["b8a"]], land, given.cell_px)
    b09, _ = cell_means(toa[BAND_INDEX["b09"]], land, given.cell_px)
    boa = surface.uniform_surface(b8a, *optics.terms("b8a", aot550, prior)[:3])
    column = vapour_column(given, b09, boa, optics.vapour(aot550), prior)
    options = given.config.water_vapour
    sigma = options.smoothing_km * 1000.0 / (given.cell_px * given.grid.pixel_size)
    # A cell counts when a third of it is clear land; fewer pixels are too noisy to lead others.
    field, fraction = water_vapour.fill(column, share > 0.33, sigma, given.meteorology.tcwv)
    if fraction == 0.0:
        logger.warning(
            "no clear land: water vapour is the %s value %.1f kg m-2",
            given.meteorology.sources["tcwv"],
            given.meteorology.tcwv,
        )
    return field, fraction

"""Flags and uncertainty: of the scene on its cells, and of one block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms import flags, geometry, illumination, resampling, surface, uncertainty
from s2cloud.model.bands import BAND_INDEX, BAND_INFO, BANDS, SENSORS
from s2cloud.model.schema import NODATA, SATURATED, Flag
from s2cloud.processor.optics import CellOptics, cell_means, decoded, thinning
from s2cloud.processor.relief import limits, mean_sun
from s2cloud.processor.surroundings import surroundings

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.processor.band_input import BandInput
    from s2cloud.processor.scene import Scene
    from s2cloud.processor.windows import Block

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = ["flags_of_block", "flags_of_cells", "uncertainty_of_block", "uncertainty_of_cells"]


def flags_of_cells(scene: Scene) -> npt.NDArray[np.uint16]:
    """Flags that hold for whole cells, shape (cell_y, cell_x)."""
    given = scene.given
    optics = CellOptics(given, scene.pressure)
    bounds = optics.table.bounds
    sza, _, _ = geometry.angles_at(given.points, 0, optics.x, optics.y)
    seen: dict[str, Any] = {"sza": sza, "aot550": scene.aot550, "pressure": scene.pressure}
    outside = np.zeros(given.cells, dtype=bool)
    for name, values in seen.items():
        low, high = bounds[name]
        outside |= (values < low) | (values > high)
    for band in BANDS:
        _, vza, _ = geometry.angles_at(given.points, BAND_INDEX[band], optics.x, optics.y)
        outside |= vza > bounds["vza"][1]
    options = given.config.aerosol
    dark = scene.aerosol.dark_fraction
    return flags.combined(
        given.cells,
        {
            Flag.VALID: True,
            Flag.SZA_ABOVE_70: sza > 70.0,
            Flag.AOT_ABOVE_1: scene.aot550 > 1.0,
            Flag.OUTSIDE_LUT: outside,
            Flag.LOW_DARK_VEGETATION: dark < max(options.minimum_dark_fraction, 1e-9),
            Flag.ADJACENCY_OFF: not scene.adjacency,
        },
    )


def flags_of_block(
    block: Block,
    *arrays: Any,
    bands: tuple[BandInput, ...],
    detectors: int,
    cirrus: bool,
    fields: bool,
    overview_px: int,
) -> npt.NDArray[np.uint16]:
    """`Flag` bits of the pixels of a block.

    Parameters
    ----------
    block
        Place of the block.
    arrays
        Counts of the bands; numbers of the detectors of some of them with a rim of one overview
        pixel; B10 without ground if there is a `cirrus`; ``illumination.FIELDS`` if there are
        `fields`; the scene and `flags_of_cells`.
    bands
        How the counts come onto the block.
    detectors
        Number of the maps of detectors.
    cirrus, fields
        See `arrays`.
    overview_px
        Pixels of the block along one of the overview.
    """
    *rest, scene, cells = arrays
    counts, rest = rest[: len(bands)], rest[len(bands) :]
    shape = (block.height, block.width)
    saturated = np.zeros(shape, dtype=bool)
    valid = np.ones(shape, dtype=bool)
    for band, values in zip(bands, counts, strict=True):
        least, most = band.extremes(block, values)
        saturated |= most == SATURATED
        valid &= least != NODATA
    rows, cols = (
        _below(block.row, block.height, overview_px),
        _below(block.col, block.width, overview_px),
    )
    edge = np.zeros((rows[-1] + 1, cols[-1] + 1), dtype=bool)
    for numbers in rest[:detectors]:
        edge |= flags.detector_edges(numbers)
    conditions: dict[Flag, Any] = {
        Flag.VALID: valid,
        Flag.SATURATED: saturated & valid,
        Flag.DETECTOR_EDGE: edge[np.ix_(rows, cols)],
    }
    if cirrus and scene.cirrus.slopes:
        excess = rest[detectors] > np.float32(scene.cirrus.background)
        conditions[Flag.CIRRUS_CORRECTED] = excess[1:-1, 1:-1][np.ix_(rows, cols)]
    if fields and scene.given.relief is not None and scene.given.relief.rugged:
        place = rest[-1]
        turn = limits(scene.given, 0.0)[1]
        conditions[Flag.TERRAIN_SHADOW] = place[3] < 0.5
        conditions[Flag.STEEP_SLOPE_LIMITED] = (place[1] < turn) & (place[3] > 0)
    made = flags.combined(shape, conditions)
    side = scene.given.cell_px * overview_px
    of_cells = cells[
        np.ix_(
            np.minimum((block.row + np.arange(block.height)) // side, cells.shape[0] - 1),
            np.minimum((block.col + np.arange(block.width)) // side, cells.shape[1] - 1),
        )
    ]
    return np.where(valid, made | of_cells, np.uint16(0))


def _below(start: int, size: int, px: int) -> npt.NDArray[np.intp]:
    """Overview pixels below the pixels of a block, counted from the first of them."""
    return (start % px + np.arange(size)) // px


def uncertainty_of_cells(scene: Scene, band: str, overview: Counts) -> Floats:
    """``uncertainty.parabola`` of a band, shape (3, cell_y, cell_x).

    Parameters
    ----------
    scene
        Result of the scene stage.
    band
        Name of the band.
    overview
        Its counts on the 60 m grid.
    """
    given, options = scene.given, scene.given.config.uncertainty
    optics = CellOptics(given, scene.pressure)
    aot550, tcwv = scene.aot550, scene.tcwv
    path, gain, albedo, ratio = optics.terms(band, aot550, tcwv)
    toa, share = cell_means(decoded(given, band, overview), scene.clear, given.cell_px)
    molecular = optics.molecular_share(band, aot550)
    around = surroundings(given, toa, share > 0, molecular, (path, gain, albedo), band=band)
    if not scene.adjacency:
        ratio = np.zeros_like(ratio)

    def corrected(with_optics: CellOptics, aot: Floats, vapour: Floats) -> tuple[Floats, Floats]:
        path, gain, albedo, scattered = with_optics.terms(band, aot, vapour)
        if not scene.adjacency:
            scattered = np.zeros_like(scattered)
        return surface.linear_terms(path, gain, albedo, scattered, around)

    best = corrected(optics, aot550, tcwv)
    changes = []
    low, high, step = _around(aot550, scene.aerosol.spread)
    ends = (corrected(optics, aot, tcwv) for aot in (low, high))
    changes.append(uncertainty.derivative(ends, step))
    low, high, step = _around(tcwv, scene.vapour.sigma)
    ends = (corrected(optics, aot550, column) for column in (low, high))
    changes.append(uncertainty.derivative(ends, step))
    # Another aerosol would also have been found to be thicker or thinner.
    for other in scene.aerosol.alternatives:
        aot = np.maximum(aot550 + np.float32(other.change) * thinning(given), np.float32(0.0))
        there = corrected(CellOptics(given, scene.pressure, model=other.model), aot, tcwv)
        weight = np.full_like(gain, other.sigmas)
        changes.append(uncertainty.derivative((best, there), weight))
    nothing = np.zeros_like(gain)
    slope = best[0]
    changes.extend(
        [
            np.stack([slope * np.float32(options.calibration), nothing]),
            np.stack([nothing, slope * (options.path * path + np.float32(options.path_floor))]),
        ]
    )
    # What the surroundings change: the light they reflect into the air and back, and the light
    # they send into the view.
    lost = -(1 + ratio) * gain * albedo
    share_around = np.float32(options.surroundings) * around
    changes.append(np.stack([lost * share_around, (path * lost + ratio) * share_around]))
    irradiance = BAND_INFO[band].irradiance[SENSORS.index(given.sensor)]
    noise = uncertainty.noise(band, irradiance, mean_sun(given)[0])
    return uncertainty.parabola(changes, slope, noise)


def _around(values: Floats, sigma: Floats) -> tuple[Floats, Floats, Floats]:
    """Values a sigma below and above, not below zero, and sigma over their distance."""
    low, high = np.maximum(values - sigma, np.float32(0.0)), values + sigma
    return low, high, np.asarray(sigma / np.maximum(high - low, np.float32(1e-6)))


def uncertainty_of_block(
    block: Block,
    counts: Counts,
    *places: Any,
    band: BandInput,
    ratio: float,
    field_px: int = 0,
) -> Floats:
    """One-sigma uncertainty of the surface reflectance of a block, NaN for no-data.

    Parameters
    ----------
    block, counts, band, ratio, field_px
        As in ``tasks.correct``.
    places
        ``illumination.FIELDS`` if there is a `field_px`; `Planes`; `uncertainty_of_cells`; the
        scene.
    """
    *maps, planes, terms, scene = places
    toa = band.reflectance(block, counts)
    origin = (block.row, block.col)

    def on_pixels(cells: Floats) -> Floats:
        pixels: Floats = resampling.interpolate_cells(
            np.ascontiguousarray(cells), ratio, origin, toa.shape
        )
        return pixels

    level: Floats = uncertainty.sigma(toa, *(on_pixels(term) for term in terms))
    if planes.detailed is None or planes.detailed.shape[1] != illumination.TERMS:
        return level
    cells = planes.detailed.mean(axis=0)
    return _on_slopes(block, level, toa, cells, scene, on_pixels, maps[-1], field_px)


def _on_slopes(
    block: Block,
    level: Floats,
    toa: Floats,
    cells: Floats,
    scene: Scene,
    on_pixels: Any,
    fields: Floats,
    field_px: int,
) -> Floats:
    if field_px > 1:
        start = (block.row // field_px - 1, block.col // field_px - 1)
        place = np.stack(
            [
                resampling.upsample(
                    np.ascontiguousarray(f), field_px, start, (block.row, block.col), toa.shape
                )
                for f in fields
            ]
        )
    else:
        place = illumination.block_means(fields, max(1, -field_px))
    height = place[0]
    base = [on_pixels(cells[k]) + height * on_pixels(cells[k + 6]) for k in (0, 1, 2, 3, 4)]
    y = toa * base[0] - base[1]
    boa = y / (1 + base[2] * y)
    least, *_ = limits(scene.given, 0.0)
    light = illumination.factor(np.stack([base[3], base[4], on_pixels(cells[5])]), place, least)
    direct = place[3] * (1.0 - base[4] + base[3])
    tilt = scene.given.config.uncertainty.slope / np.cos(np.radians(mean_sun(scene.given)[0]))
    return uncertainty.on_slopes(level, boa / light, light, direct, float(tilt))

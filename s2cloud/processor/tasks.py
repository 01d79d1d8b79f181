"""What a task does with one block: pure functions of pixels and scene, nothing lazy here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.algorithms import cirrus, illumination, resampling, surface
from s2cloud.model.schema import NODATA
from s2cloud.processor.band_input import UPSAMPLE_HALO
from s2cloud.processor.optics import vapour_column
from s2cloud.processor.retrieval import VapourResult

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.processor.band_input import BandInput
    from s2cloud.processor.scene import Planes, Scene, VapourTerms
    from s2cloud.processor.windows import Block

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

#: See ``illumination.correct``.
Limits = tuple[float, float, float, float, float]
NO_LIMITS: Final[Limits] = (0.0, 0.0, 1.0, 0.0, 3.0)

__all__ = [
    "cirrus_light",
    "correct",
    "interpolate",
    "refine",
    "water_vapour",
]


def correct(
    block: Block,
    counts: Counts,
    *places: Any,
    band: BandInput,
    ratio: float,
    cirrus_px: int = 0,
    detector_px: int = 0,
    field_px: int = 0,
    limits: Limits = NO_LIMITS,
) -> Floats:
    """Surface reflectance of one band, NaN for no-data.

    Parameters
    ----------
    block, counts
        Place and pixels.
    places
        B10 if there is a `cirrus_px`, with a rim of one pixel if that is more than one; numbers of
        the detectors if there is a `detector_px`; ``illumination.FIELDS``
        if there is a `field_px`; `Planes` last.
    band
        How the counts come onto the block.
    ratio
        Cell side over pixel side.
    cirrus_px
        Pixels of the block along one of B10.
    detector_px
        Pixels of the block along one with a detector number.
    field_px
        Pixels of the block along one of the fields, then with a rim of one; -3 if three of the
        fields lie along one of the block.
    limits
        See ``illumination.correct``.
    """
    *maps, planes = places
    toa = band.reflectance(block, counts)
    if cirrus_px:
        toa = _without_cirrus(block, toa, maps.pop(0), planes, cirrus_px)
    origin = (block.row, block.col)
    detailed = planes.detailed
    if detailed is None:
        return _level(toa, planes, ratio, origin)
    detectors = maps[0] if detector_px else np.zeros((1, 1), np.uint8)
    if detailed.shape[1] == illumination.TERMS:
        fields, scale, halo = maps[-1], field_px, int(field_px > 1)
        if field_px < 0:
            fields, scale = illumination.block_means(fields, -field_px), 1
        sloped: Floats = illumination.correct(
            *(toa, detailed, detectors, max(1, detector_px), np.ascontiguousarray(fields)),
            *(scale, halo, ratio, origin, limits),
        )
        return sloped
    boa: Floats = surface.correct_by_detector(toa, detailed, detectors, detector_px, ratio, origin)
    return boa


def cirrus_light(block: Block, counts: Counts, *, band: BandInput) -> Floats:
    """B10 without single odd pixels, NaN for no-data."""
    median: Floats = resampling.median3(band.reflectance(block, counts))
    return median


def _without_cirrus(block: Block, toa: Floats, b10: Floats, planes: Planes, px: int) -> Floats:
    if planes.cirrus is None:
        return toa
    if px > 1:
        start = (block.row // px - UPSAMPLE_HALO, block.col // px - UPSAMPLE_HALO)
        b10 = resampling.upsample(b10, px, start, (block.row, block.col), toa.shape)
    return cirrus.take_away(toa, b10, *planes.cirrus)


def _level(toa: Floats, planes: Planes, ratio: float, origin: tuple[int, int]) -> Floats:
    if planes.linear:
        boa: Floats = resampling.linear_by_cells(
            toa, planes.terms[0], planes.terms[1], ratio, origin
        )
        return boa
    terms = (resampling.interpolate_cells(term, ratio, origin, toa.shape) for term in planes.terms)
    return surface.uniform_surface(toa, *terms)


def water_vapour(  # noqa: PLR0913 - pixels, scene and how they nest
    block: Block,
    counts_b8a: Counts,
    counts_b09: Counts,
    scene: Scene,
    planes: Planes,
    terms: VapourTerms,
    *,
    b8a: BandInput,
    b09: BandInput,
    overview_px: int,
) -> Floats:
    """Water vapour column of each pixel. [kg m-2], NaN for no-data.

    Where the pixel itself cannot tell (water, cloud, shadow) the scene's field does.
    """
    halo = b09.halo
    shape = (block.height + 2 * halo, block.width + 2 * halo)
    origin = (block.row - halo, block.col - halo)
    ratio = float(scene.given.cell_px * overview_px)

    def on_pixels(field: Floats) -> Floats:
        pixels: Floats = resampling.interpolate_cells(
            np.ascontiguousarray(field), ratio, origin, shape
        )
        return pixels

    toa_b8a = b8a.reflectance(block, counts_b8a)
    toa_b09 = b09.reflectance(block, counts_b09)
    if planes.linear:
        boa = toa_b8a * on_pixels(planes.terms[0]) - on_pixels(planes.terms[1])
    else:
        boa = surface.uniform_surface(toa_b8a, *(on_pixels(term) for term in planes.terms))
    field = on_pixels(scene.tcwv)
    optics = np.stack([on_pixels(term) for term in terms.terms])
    # The slope of the surface between the bands comes from the overview, which reads no more bands.
    boa *= VapourResult.ratio(_overview(scene.vapour.coded_ratio, origin, shape, overview_px))
    beside = None if planes.around is None else on_pixels(planes.around) * np.float32(terms.ratio)
    column, _ = vapour_column(scene.given, toa_b09, boa, optics, field, beside)
    seen = np.isfinite(column) & _overview(scene.clear_land, origin, shape, overview_px)
    column = np.where(seen, column, field).astype(np.float32)
    smooth: Floats = resampling.median3(column)
    valid = np.isfinite(toa_b8a + toa_b09)[halo:-halo, halo:-halo]
    return np.where(valid, smooth, np.float32(np.nan))


def _overview(
    plane: npt.NDArray[Any], origin: tuple[int, int], shape: tuple[int, int], factor: int
) -> npt.NDArray[Any]:
    """Part of a plane of the overview on the pixels of a block."""
    rows = np.clip((origin[0] + np.arange(shape[0])) // factor, 0, plane.shape[0] - 1)
    cols = np.clip((origin[1] + np.arange(shape[1])) // factor, 0, plane.shape[1] - 1)
    return np.asarray(plane[np.ix_(rows, cols)])


def refine(block: Block, coarse: Floats, *, factor: int) -> Floats:
    """Bilinear interpolation of a coarser result, handed over with a halo of one pixel."""
    start = (block.row // factor - UPSAMPLE_HALO, block.col // factor - UPSAMPLE_HALO)
    fine: Floats = resampling.upsample(
        coarse, factor, start, (block.row, block.col), (block.height, block.width)
    )
    return fine


def interpolate(block: Block, counts: Counts, scene: Scene, *, ratio: float, down: int) -> Floats:
    """Aerosol optical thickness of each pixel, NaN where the reference band has no data."""
    field: Floats = resampling.interpolate_cells(
        scene.aot550,
        ratio,
        (block.row, block.col),
        (block.height, block.width),
    )
    reference = counts[::down, ::down] if down > 1 else counts
    return np.where(reference == NODATA, np.float32(np.nan), field)

"""What a task does with one block: pure functions of pixels and scene, nothing lazy here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from s2cloud.algorithms import resampling, surface
from s2cloud.model.schema import NODATA
from s2cloud.processor.band_input import UPSAMPLE_HALO
from s2cloud.processor.optics import vapour_column

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.processor.band_input import BandInput
    from s2cloud.processor.scene import Planes, Scene, VapourTerms
    from s2cloud.processor.windows import Block

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = [
    "correct",
    "interpolate",
    "refine",
    "water_vapour",
]


def correct(
    block: Block,
    counts: Counts,
    planes: Planes,
    *,
    band: BandInput,
    ratio: float,
) -> Floats:
    """Surface reflectance of one band, NaN for no-data."""
    toa = band.reflectance(block, counts)
    origin = (block.row, block.col)
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
    column = vapour_column(scene.given, toa_b09, boa, optics, field)
    seen = np.isfinite(column) & _overview_mask(scene.clear_land, origin, shape, overview_px)
    column = np.where(seen, column, field).astype(np.float32)
    smooth: Floats = resampling.median3(column)
    valid = np.isfinite(toa_b8a + toa_b09)[halo:-halo, halo:-halo]
    return np.where(valid, smooth, np.float32(np.nan))


def _overview_mask(
    mask: npt.NDArray[np.bool_], origin: tuple[int, int], shape: tuple[int, int], factor: int
) -> npt.NDArray[np.bool_]:
    rows = np.clip((origin[0] + np.arange(shape[0])) // factor, 0, mask.shape[0] - 1)
    cols = np.clip((origin[1] + np.arange(shape[1])) // factor, 0, mask.shape[1] - 1)
    return np.asarray(mask[np.ix_(rows, cols)])


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

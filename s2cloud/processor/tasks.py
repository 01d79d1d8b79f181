"""What a task does with one block: pure functions of pixels and scene, nothing lazy here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms import resampling, surface
from s2cloud.algorithms.classification import HALO, classify_block
from s2cloud.model.schema import NODATA
from s2cloud.processor.optics import vapour_column

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.config import ClassificationConfig
    from s2cloud.processor.scene import Planes, Scene, VapourTerms
    from s2cloud.processor.windows import Block

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = [
    "UPSAMPLE_HALO",
    "BandInput",
    "classify",
    "correct",
    "decimate_classes",
    "interpolate",
    "refine",
    "water_vapour",
]

#: Source pixels needed beyond a block to interpolate to a finer grid.
UPSAMPLE_HALO = 1
#: Probability of no-data pixels, as in ESA's EOPF products.
NO_PROBABILITY = 101


@dataclass(frozen=True, slots=True)
class BandInput:
    """How the counts of one band come onto the grid of a block.

    Attributes
    ----------
    scale, offset
        ``reflectance = counts * scale + offset``.
    down
        Source pixels per block pixel along one axis, 1 if the source is not finer.
    up
        Block pixels per source pixel, 1 if the source is not coarser.
    halo
        Block pixels wanted around the block.
    """

    scale: float
    offset: float
    down: int = 1
    up: int = 1
    halo: int = 0

    @property
    def source_halo(self) -> int:
        """Source pixels that the reader of the block must hand over on each side."""
        if self.up > 1:
            return -(-self.halo // self.up) + UPSAMPLE_HALO
        return self.halo * self.down

    def reflectance(self, block: Block, counts: Counts) -> Floats:
        """Top-of-atmosphere reflectance of the block with its halo, NaN for no-data."""
        if self.up == 1:
            means: Floats = resampling.mean_reflectance(counts, self.down, self.scale, self.offset)
            return means
        coarse = resampling.mean_reflectance(counts, 1, self.scale, self.offset)
        start = (
            block.row // self.up - self.source_halo,
            block.col // self.up - self.source_halo,
        )
        origin = (block.row - self.halo, block.col - self.halo)
        shape = (block.height + 2 * self.halo, block.width + 2 * self.halo)
        fine: Floats = resampling.upsample(coarse, self.up, start, origin, shape)
        return fine

    def saturated(self, block: Block, counts: Counts) -> npt.NDArray[np.bool_]:
        """Pixels of the block with its halo that hold a saturated count."""
        if self.up == 1:
            flags: npt.NDArray[np.bool_] = resampling.any_saturated(counts, self.down)
            return flags
        rows = _coarse_index(block.row, block.height, self)
        cols = _coarse_index(block.col, block.width, self)
        coarse = resampling.any_saturated(counts, 1)
        return np.asarray(coarse[np.ix_(rows, cols)])


def _coarse_index(first: int, size: int, band: BandInput) -> npt.NDArray[np.int64]:
    """Index into the coarse source below each fine pixel of a block with halo."""
    fine = np.arange(first - band.halo, first + size + band.halo)
    return fine // band.up - (first // band.up - band.source_halo)


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


def classify(
    block: Block,
    *inputs: Any,
    bands: tuple[BandInput, ...],
    options: ClassificationConfig,
    elevation: float,
) -> npt.NDArray[np.uint8]:
    """Scene class, cloud and snow probability, shape (3, y, x)."""
    toa = np.stack(
        [band.reflectance(block, counts) for band, counts in zip(bands, inputs, strict=True)]
    )
    saturated = np.zeros(toa.shape[1:], dtype=bool)
    for band, counts in zip(bands, inputs, strict=True):
        saturated |= band.saturated(block, counts)
    scl, cloud, snow = classify_block(
        toa,
        altitude=elevation,
        snow_possible=options.snow_possible,
        variant=options.variant,
        defective=saturated,
    )
    inner = (slice(HALO, HALO + block.height), slice(HALO, HALO + block.width))
    out = np.stack([scl[inner], cloud[inner], snow[inner]])
    out[1:, out[0] == NODATA] = NO_PROBABILITY
    return out


def decimate_classes(
    block: Block, scl: npt.NDArray[np.uint8], *, factor: int
) -> npt.NDArray[np.uint8]:
    """Median class of ``factor`` x ``factor`` pixels, as ESA derives 60 m from 20 m."""
    square = scl.reshape(block.height, factor, block.width, factor)
    ordered = square.swapaxes(1, 2).reshape(block.height, block.width, factor * factor)
    return np.asarray(np.sort(ordered, axis=-1)[..., factor * factor // 2])


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

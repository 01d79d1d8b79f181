"""How the counts of a band come onto the grid of a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s2cloud.algorithms import resampling

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.processor.windows import Block

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = ["UPSAMPLE_HALO", "BandInput"]

#: Source pixels needed beyond a block to interpolate to a finer grid.
UPSAMPLE_HALO = 1


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
        coarse = resampling.any_saturated(counts, 1)
        return np.asarray(coarse[self._below(block)])

    def extremes(self, block: Block, counts: Counts) -> tuple[Counts, Counts]:
        """Least and largest count below each pixel of the block with its halo.

        0 is no-data, 65535 saturated; coarser bands give the pixel that lies below.
        """
        if self.up == 1:
            found: tuple[Counts, Counts] = resampling.extremes(counts, self.down)
            return found
        below = counts[self._below(block)]
        return below, below

    def _below(self, block: Block) -> tuple[npt.NDArray[np.int64], ...]:
        """Index into the coarser source of each pixel of the block with its halo."""
        return np.ix_(
            _coarse_index(block.row, block.height, self),
            _coarse_index(block.col, block.width, self),
        )


def _coarse_index(first: int, size: int, band: BandInput) -> npt.NDArray[np.int64]:
    """Index into the coarse source below each fine pixel of a block with halo."""
    fine = np.arange(first - band.halo, first + size + band.halo)
    return fine // band.up - (first // band.up - band.source_halo)

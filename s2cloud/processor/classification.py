"""Scene classification of one block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms.classification import HALO, classify_block
from s2cloud.model.schema import NODATA

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.config import ClassificationConfig
    from s2cloud.processor.band_input import BandInput
    from s2cloud.processor.windows import Block

__all__ = ["classify", "decimate_classes"]

#: Probability of no-data pixels, as in ESA's EOPF products.
NO_PROBABILITY = 101


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

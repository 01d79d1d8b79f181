"""Small whole-tile images for statistics over the scene: block means and resampled low-passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["block_mean", "discard_for", "low_pass_to_blocks"]


#: Samples next to no-data that are mixed with it: three levels of the wavelet reach 14 pixels of
#: the image to both sides (1.75 samples), beyond 10 pixels with less than a hundredth.
MIXED: Final = 3


def block_mean(counts: npt.NDArray[np.unsignedinteger], factor: int) -> npt.NDArray[np.uint16]:
    """Means of blocks of pixels, rounded half up.

    Parameters
    ----------
    counts
        Image, 0 is no-data, shape (y, x).
    factor
        Side of a block. [pixel] Blocks at the lower and right edge may be partial.

    Returns
    -------
    array
        0 where any pixel of the block is 0.
    """
    if factor == 1:
        return counts.astype(np.uint16, copy=False)
    rows = np.arange(0, counts.shape[0], factor)
    cols = np.arange(0, counts.shape[1], factor)
    sums = np.add.reduceat(np.add.reduceat(counts, cols, axis=1, dtype=np.uint32), rows, axis=0)
    least = np.minimum.reduceat(np.minimum.reduceat(counts, cols, axis=1), rows, axis=0)
    high = np.diff(np.append(rows, counts.shape[0]))
    wide = np.diff(np.append(cols, counts.shape[1]))
    number = np.outer(high, wide).astype(np.uint32)
    means = (sums + number // 2) // number
    return np.where(least == 0, 0, means).astype(np.uint16)


def discard_for(factor: int) -> int:
    """Wavelet levels to leave out so that low-pass samples are not finer than blocks.

    A factor of 6 (10 m to 60 m) takes three levels (80 m), a factor of 3 takes two.
    """
    return max(0, (factor - 1).bit_length())


def low_pass_to_blocks(
    low: npt.NDArray[np.unsignedinteger], discard: int, factor: int, shape: tuple[int, int]
) -> npt.NDArray[np.uint16]:
    """Low-pass image of a 5/3 wavelet, resampled bilinearly to the centres of blocks.

    Parameters
    ----------
    low
        Reduced image whose sample i is centred on pixel ``2**discard * i``, shape (y, x).
    discard
        Wavelet levels left out.
    factor
        Side of a block. [pixel]
    shape
        Rows and columns of the result.

    Returns
    -------
    array
        0 where any contributor is 0, and within `MIXED` samples of one.
    """
    empty = low == 0
    if empty.any():
        empty = ndimage.maximum_filter(empty, 2 * MIXED + 1)
    smooth = _bilinear(low.astype(np.float32), discard, factor, shape)
    out: npt.NDArray[np.uint16] = np.floor(smooth + np.float32(0.5)).astype(np.uint16)
    if empty.any():
        out[_bilinear(empty.astype(np.float32), discard, factor, shape) > 0] = 0
    return out


def _bilinear(
    image: npt.NDArray[np.float32], discard: int, factor: int, shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    for axis in (0, 1):
        size = image.shape[axis]
        # Block centre in pixels, then in samples: sample i sits on the even pixel 2**k i.
        centre = (np.arange(shape[axis]) * factor + (factor - 1) / 2) / 2**discard
        position = np.clip(centre, 0, size - 1)
        first = np.minimum(position.astype(np.intp), max(size - 2, 0))
        weight = (position - first).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight[None, :]
        after = np.minimum(first + 1, size - 1)
        image = np.asarray(
            image.take(first, axis) * (1 - weight) + image.take(after, axis) * weight, np.float32
        )
    return image

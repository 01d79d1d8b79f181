"""Low-pass of the wavelet of JPEG 2000, from pixels.

ESA's images hold reduced resolutions: the low-pass of the reversible 5/3 wavelet (ISO/IEC
15444-1, annex F) of each tile of the image. Forms of a product that hold pixels only, such as
Zarr, get the same numbers by doing the transform again, so that their statistics over the scene
are the same to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dask.array as da
import numpy as np

from s2cloud.io.jp2_array import REDUCE_PIXELS
from s2cloud.io.l1c_tree import block_means
from s2cloud.io.overview import discard_for, low_pass_to_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Resolution

__all__ = ["low_pass", "overview_of"]

#: Side of the tiles of ESA's images. [pixel]
TILE_PX: Final[dict[Resolution, int]] = {10: 1024, 20: 640, 60: 192}

#: Largest value of ESA's images, which have 15 bits.
LARGEST: Final = 2**15 - 1


def low_pass(tile: npt.NDArray[np.unsignedinteger], levels: int) -> npt.NDArray[np.uint16]:
    """Low-pass of one tile of an image.

    Parameters
    ----------
    tile
        Pixels of a tile that starts on even pixels at each level, shape (y, x).
    levels
        Wavelet levels; each halves the image.

    Returns
    -------
    array
        Shape (ceil(y / 2**levels), ceil(x / 2**levels)).
    """
    image = tile.astype(np.int32)
    for _ in range(levels):
        image = _halved(_halved(image).T).T
    # It swings over at sharp edges; decoders keep within the range of the image.
    return np.clip(image, 0, LARGEST).astype(np.uint16)


def overview_of(array: da.Array, resolution: Resolution, factor: int) -> da.Array:
    """Whole image on the grid of blocks of ``factor`` pixels, as `JP2Image.overview` makes it.

    Parameters
    ----------
    array
        Pixels, uint16, shape (y, x).
    resolution
        Nominal pixel size, which tells the tiles of ESA's images. [m]
    factor
        Side of a block. [pixel]
    """
    shape = tuple(-(-size // factor) for size in array.shape)
    levels = discard_for(factor)
    if not levels or array.size < REDUCE_PIXELS:
        return block_means(array, factor)
    tiles = array.rechunk(TILE_PX[resolution])
    chunks = tuple(tuple(-(-size // 2**levels) for size in sizes) for sizes in tiles.chunks)
    low = da.map_blocks(low_pass, tiles, levels, dtype=np.uint16, chunks=chunks).rechunk(-1)
    return da.map_blocks(
        _to_blocks, low, levels, factor, shape, dtype=np.uint16, chunks=((shape[0],), (shape[1],))
    )


def _to_blocks(
    low: npt.NDArray[np.uint16], levels: int, factor: int, shape: tuple[int, int]
) -> npt.NDArray[np.uint16]:
    return low_pass_to_blocks(low, levels, factor, shape)


def _halved(image: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Even rows of an image after one lifting step, mirrored at its edges."""
    even, odd = image[0::2], image[1::2]
    if not len(odd):
        return even
    after = np.concatenate([even[1:], even[-1:]]) if len(even) == len(odd) else even[1:]
    detail = odd - ((even[: len(odd)] + after[: len(odd)]) >> 1)
    before = np.concatenate([detail[:1], detail])
    behind = np.concatenate([detail, detail[-1:]])
    return np.asarray(even + ((before[: len(even)] + behind[: len(even)] + 2) >> 2), np.int32)

"""Images and masks coded as ESA codes them, and the brightness of the true colour image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.io.jp2_encode import IMAGE_TILE, Jp2Profile, coded_jp2, mask_profile

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Resolution
    from s2cloud.model.grid import Grid

__all__ = ["encode_image", "encode_mask", "true_colour"]


def encode_image(
    image: npt.NDArray[Any], grid: Grid, resolution: Resolution, *, tlm: bool
) -> bytes:
    """Losslessly code a band (15 bit) or a true colour image (8 bit).

    Parameters
    ----------
    image
        Counts, uint16 of shape (y, x) or uint8 of shape (colour, y, x).
    grid
        Its grid.
    resolution
        Nominal pixel size, which decides the size of the tiles. [m]
    tlm
        Whether the main header gets a table of tile-part lengths, as from baseline 05.12 on.

    Returns
    -------
    bytes
        A JP2 file.
    """
    bits = 15 if image.dtype == np.uint16 else 0
    profile = Jp2Profile(str(image.dtype), IMAGE_TILE[resolution], bits=bits, tlm=tlm)
    return coded_jp2(image, grid, profile)


def encode_mask(mask: npt.NDArray[np.uint8], grid: Grid, resolution: Resolution) -> bytes:
    """Losslessly code a raster mask of one or more layers.

    Parameters
    ----------
    mask
        Shape (y, x) or (layer, y, x).
    grid, resolution
        As for `encode_image`.

    Returns
    -------
    bytes
        A JP2 file.
    """
    return coded_jp2(mask, grid, mask_profile(resolution, tlm=False))


def true_colour(counts: npt.NDArray[np.uint16], offset: int) -> npt.NDArray[np.uint8]:
    """Brightness of a band in the true colour image.

    Parameters
    ----------
    counts
        Counts of the band, 0 where there is no data.
    offset
        Radiometric offset, -1000 or 0. [count]

    Returns
    -------
    ndarray
        1 to 255 for reflectances from 0 to 0.3558 as in ESA's images, 0 for no data.
    """
    bright = np.clip((counts.astype(np.float32) + offset) * np.float32(255 / 3558), 1, 255)
    return np.where(counts > 0, bright, 0).astype(np.uint8)

"""JPEG 2000 files coded as ESA codes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.transform import Affine

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Resolution
    from s2cloud.model.grid import Grid

__all__ = ["encode_image", "encode_mask", "true_colour"]

#: Sides of the tiles of images and of masks. [pixel] Read from products of baseline 05.10.
_IMAGE_TILE: Final[dict[Resolution, int]] = {10: 1024, 20: 640, 60: 192}
_MASK_TILE: Final[dict[Resolution, int]] = {10: 1024, 20: 2048, 60: 256}

_COMMON: Final[dict[str, str]] = {
    "REVERSIBLE": "YES",
    "QUALITY": "100",
    "YCBCR420": "NO",
    "PLT": "YES",
    "RESOLUTIONS": "5",
    "CODEBLOCK_WIDTH": "64",
    "CODEBLOCK_HEIGHT": "64",
    "PROGRESSION": "LRCP",
    "PROFILE": "UNRESTRICTED",
    "JPX": "NO",
    "GMLJP2": "YES",
    "GEOJP2": "NO",
}


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
        A JP2 file: reversible 5/3 wavelet, five resolutions, 64 x 64 code blocks, 256 x 256
        precincts, LRCP, packet lengths (PLT), georeference as GML.
    """
    depth = {"NBITS": "15"} if image.dtype == np.uint16 else {}
    return _encode(image, grid, _IMAGE_TILE[resolution], 256, TLM="YES" if tlm else "NO", **depth)


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
    precinct = 128 if resolution == 60 else 256
    return _encode(mask, grid, _MASK_TILE[resolution], precinct, TLM="NO")


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


def _encode(image: npt.NDArray[Any], grid: Grid, tile: int, precinct: int, **options: str) -> bytes:
    layers = image if image.ndim == 3 else image[np.newaxis]
    profile = {
        "width": grid.width,
        "height": grid.height,
        "count": layers.shape[0],
        "dtype": layers.dtype,
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
    }
    precincts = ",".join([f"{{{precinct},{precinct}}}"] * 5)
    # Written by way of an array in memory: rasterio drops block sizes when it writes JP2 itself.
    with (
        rasterio.Env(GDAL_NUM_THREADS="1"),
        rasterio.open("pixels", "w", driver="MEM", **profile) as source,
        MemoryFile(ext=".jp2") as coded,
    ):
        source.write(layers)
        if layers.shape[0] == 3:
            source.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        rasterio.shutil.copy(
            source,
            coded.name,
            driver="JP2OpenJPEG",
            BLOCKXSIZE=str(tile),
            BLOCKYSIZE=str(tile),
            PRECINCTS=precincts,
            **_COMMON,
            **options,
        )
        coded.seek(0)
        return bytes(coded.read())

"""JPEG 2000 files coded as ESA codes them, from blocks, with one row of tiles in memory."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from s2cloud.model.grid import Grid

    Pixels = npt.NDArray[Any]
    Component = tuple[Sequence[Sequence[Pixels]], Callable[[Pixels], Pixels] | None]

__all__ = ["IMAGE_TILE", "MASK_TILE", "Jp2Profile", "coded_jp2", "encode_jp2", "mask_profile"]

#: Sides of the tiles of images and of masks by resolution. [pixel] Read from products of baseline
#: 05.10.
IMAGE_TILE: Final = {10: 1024, 20: 640, 60: 192}
MASK_TILE: Final = {10: 1024, 20: 2048, 60: 256}

#: Blocks that GDAL keeps in memory, of all files in work together. Its default, 5 % of the memory
#: of the machine, would hold whole bands of which each pixel is asked for once. [MB]
_CACHE_MB: Final = 64

_COLOURS: Final = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
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


@dataclass(frozen=True, slots=True)
class Jp2Profile:
    """How an image is coded.

    Attributes
    ----------
    dtype
        ``uint8`` or ``uint16``.
    tile, precinct
        Sides of tiles and precincts. [pixel]
    bits
        Significant bits; 0 for those of the type. ESA codes reflectance with 15.
    tlm
        Whether the main header gets a table of the lengths of the tiles, so that a reader of a
        part needs no scan of the file; in ESA's products from baseline 05.12 on.
    """

    dtype: str
    tile: int
    precinct: int = 256
    bits: int = 0
    tlm: bool = True


def mask_profile(resolution: int, *, tlm: bool = True) -> Jp2Profile:
    """How masks of a resolution are coded."""
    return Jp2Profile("uint8", MASK_TILE[resolution], 128 if resolution == 60 else 256, tlm=tlm)


def coded_jp2(image: Pixels, grid: Grid, profile: Jp2Profile) -> bytes:
    """A JP2 file of an image in memory.

    Parameters
    ----------
    image
        Shape (y, x) or (component, y, x).
    grid
        Its grid.
    profile
        How it is coded.

    Notes
    -----
    Reversible 5/3 wavelet, five resolutions, 64 x 64 code blocks, LRCP, packet lengths (PLT),
    georeference as GML (OGC 05-047r3).
    """
    layers = image if image.ndim == 3 else image[np.newaxis]
    with (
        rasterio.Env(GDAL_NUM_THREADS="1"),
        rasterio.open("pixels", "w", **_shape(grid, profile, len(layers)), driver="MEM") as source,
        MemoryFile(ext=".jp2") as coded,
    ):
        source.write(layers)
        if len(layers) == 3:
            source.colorinterp = _COLOURS
        _copy(source, coded.name, profile)
        coded.seek(0)
        return bytes(coded.read())


def encode_jp2(
    path: Path, grid: Grid, profile: Jp2Profile, components: Sequence[Component]
) -> None:
    """Write blocks as one JP2 file, coded as by `coded_jp2`.

    Parameters
    ----------
    path
        File to write.
    grid
        Its grid.
    profile
        How it is coded.
    components
        For each component its blocks in rows and columns, and what is to be made of a block on
        its way, None for nothing.

    Notes
    -----
    GDAL codes tile by tile from a raster it can read at any place. That raster is a file beside
    the result, not an array: tiles of 1024 pixels do not meet blocks of 1830, and a whole band
    in memory would cost 241 MB more for each file in work.
    """
    with (
        rasterio.Env(GDAL_NUM_THREADS="1", GDAL_CACHEMAX=_CACHE_MB),
        _pixels_beside(path, grid, profile, components) as source,
        rasterio.open(source) as opened,
    ):
        _copy(opened, str(path), profile)


def _shape(grid: Grid, profile: Jp2Profile, components: int) -> dict[str, Any]:
    return {
        "width": grid.width,
        "height": grid.height,
        "count": components,
        "dtype": profile.dtype,
        "crs": grid.crs,
        "transform": Affine(*grid.transform),
    }


def _copy(source: Any, path: str, profile: Jp2Profile) -> None:
    """Losslessly code an open dataset. rasterio drops block sizes when it writes JP2 itself."""
    options = {"NBITS": str(profile.bits)} if profile.bits else {}
    rasterio.shutil.copy(
        source,
        path,
        driver="JP2OpenJPEG",
        BLOCKXSIZE=str(profile.tile),
        BLOCKYSIZE=str(profile.tile),
        PRECINCTS=",".join([f"{{{profile.precinct},{profile.precinct}}}"] * 5),
        TLM="YES" if profile.tlm else "NO",
        **_COMMON,
        **options,
    )


@contextmanager
def _pixels_beside(
    path: Path, grid: Grid, profile: Jp2Profile, components: Sequence[Component]
) -> Iterator[str]:
    count = len(components)
    layout = {"driver": "GTiff", "interleave": "pixel" if count == 3 else "band"}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        name = str(Path(folder) / "pixels.tif")
        with rasterio.open(name, "w", **_shape(grid, profile, count), **layout) as out:
            for index, (table, convert) in enumerate(components, 1):
                top = 0
                for row in table:
                    left = 0
                    for block in row:
                        pixels = block if convert is None else convert(block)
                        height, width = pixels.shape
                        window = Window(left, top, width, height)  # type: ignore[call-arg, unused-ignore]
                        out.write(np.asarray(pixels, profile.dtype), index, window=window)
                        left += width
                    top += height
            if count == 3:
                out.colorinterp = _COLOURS
        yield name

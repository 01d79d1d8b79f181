"""One raster to one cloud-optimised GeoTIFF on local disk, through GDAL's COG driver.

The whole of the encoding is behind `encode_cog`; an encoder of our own would replace it alone.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from s2cloud.model.errors import CapacityError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from s2cloud.model.grid import Grid

__all__ = ["CogProfile", "encode_cog"]

#: GDAL's own cache per process while encoding; the pixels are in memory anyway. [MB]
_CACHE_MB: Final = 64


@dataclass(frozen=True, slots=True)
class CogProfile:
    """How a raster is laid out in its file.

    Attributes
    ----------
    dtype
        Type of the pixels.
    nodata
        Stored no-data value.
    bands
        Descriptions of the bands.
    scale, offset, unit
        Meaning of the stored integers, the same for all bands.
    predictor
        Whether differences of neighbours are stored; no gain for classes.
    overviews
        How overviews are made.
    tags
        Metadata of the file. No time of writing: equal pixels make equal bytes.
    rgb
        Whether the three bands are colours.
    """

    dtype: str
    nodata: int
    bands: tuple[str, ...]
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    predictor: bool = True
    overviews: Literal["AVERAGE", "MODE", "NEAREST"] = "AVERAGE"
    tags: dict[str, str] = field(default_factory=dict)
    rgb: bool = False


def encode_cog(
    path: Path,
    grid: Grid,
    profile: CogProfile,
    blocks: Iterable[tuple[int, int, int, npt.NDArray[np.generic]]],
) -> None:
    """Write a cloud-optimised GeoTIFF.

    Parameters
    ----------
    path
        Local file to make.
    grid
        Place of the pixels.
    profile
        Layout and meaning.
    blocks
        Band index from 1, first row, first column and pixels of each part, in any order.

    Raises
    ------
    CapacityError
        If the disk is full.

    Notes
    -----
    ZSTD level 1 with horizontal differencing and 512-pixel tiles: sensor noise dominates, higher
    levels and other codecs cost two to ten times the processor time for a tenth of the bytes.
    """
    options: dict[str, Any] = {
        "driver": "COG",
        "height": grid.height,
        "width": grid.width,
        "count": len(profile.bands),
        "dtype": profile.dtype,
        "nodata": profile.nodata,
        "transform": Affine(*grid.transform),
        "compress": "ZSTD",
        "level": 1,
        "predictor": "YES" if profile.predictor else "NO",
        "blocksize": 512,
        "overview_resampling": profile.overviews,
        "bigtiff": "IF_SAFER",
        # The tasks of a run are the parallelism; threads inside would oversubscribe the cores.
        "num_threads": 1,
    }
    if grid.crs:
        options["crs"] = grid.crs
    count = len(profile.bands)
    # The file and its overviews uncompressed, twice: the driver keeps overviews in a file beside.
    needed = 3 * count * grid.height * grid.width * np.dtype(profile.dtype).itemsize
    with (
        _translated(path, needed),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_MB),
        rasterio.open(path, "w", **options) as file,
    ):
        for band, row, col, pixels in blocks:
            height, width = pixels.shape
            file.write(pixels, band, window=Window(col, row, width, height))
        if (profile.scale, profile.offset) != (1.0, 0.0):
            file.scales = (profile.scale,) * count
            file.offsets = (profile.offset,) * count
        if profile.unit:
            file.units = (profile.unit,) * count
        for index, description in enumerate(profile.bands, start=1):
            file.set_band_description(index, description)
        if profile.rgb:
            file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
        file.update_tags(**profile.tags)


@contextlib.contextmanager
def _translated(path: Path, needed: int) -> Iterator[None]:
    try:
        yield
    except rasterio.errors.CRSError as error:
        raise InputError(
            "unknown coordinate reference system", where=path.name, found=str(error)
        ) from error
    except Exception as error:
        if not _is_disk_full(error, path, needed):
            raise
        raise CapacityError(
            "no space left for a temporary file",
            where=path.name,
            found=str(error),
            fix="free space in the temporary folder or set TMPDIR to a bigger disk",
        ) from error


def _is_disk_full(error: Exception, path: Path, needed: int) -> bool:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    # GDAL raises exceptions of its own, outside OSError, that tell which step failed and not why:
    # "Write error", "Error fetching directory count". The room left is the only evidence.
    gdal = isinstance(error, RasterioError) or type(error).__module__.startswith("rasterio")
    return gdal and shutil.disk_usage(path.parent).free < needed

"""One raster to one cloud-optimised GeoTIFF on local disk."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import numpy as np
import rasterio.errors

from s2cloud.io.cog_file import TILE, Level, template_tags, write_levels
from s2cloud.io.cog_overviews import halved
from s2cloud.model.errors import CapacityError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from s2cloud.io.cog_overviews import Resampling
    from s2cloud.model.grid import Grid

    Pixels = npt.NDArray[Any]

__all__ = ["CogProfile", "encode_cog"]

#: Rows worked on at a time; two rows of tiles make one row of tiles of the first overview.
_STRIP: Final = 2 * TILE
_LEVEL: Final = 1


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
    overviews: Resampling = "AVERAGE"
    tags: dict[str, str] = field(default_factory=dict)
    rgb: bool = False


def encode_cog(
    path: Path,
    grid: Grid,
    profile: CogProfile,
    planes: Sequence[Sequence[Sequence[Pixels]]],
    convert: Callable[[Pixels], Pixels] | None = None,
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
    planes
        Blocks of each band as rows of blocks.
    convert
        From the pixels of the blocks to those of the file.

    Raises
    ------
    CapacityError
        If the disk is full, or the file too large for the format.

    Notes
    -----
    ZSTD level 1 with horizontal differencing and 512-pixel tiles: sensor noise dominates, higher
    levels and other codecs cost two to ten times the processor time for a tenth of the bytes.
    """
    with _translated(path):
        tags = template_tags(
            grid,
            dtype=profile.dtype,
            nodata=profile.nodata,
            names=profile.bands,
            scale=profile.scale,
            offset=profile.offset,
            unit=profile.unit,
            tags=profile.tags,
            rgb=profile.rgb,
        )
        levels = _levels(grid, profile, planes, convert)
        write_levels(path, tags, levels, predictor=profile.predictor)


def _levels(
    grid: Grid,
    profile: CogProfile,
    planes: Sequence[Sequence[Sequence[Pixels]]],
    convert: Callable[[Pixels], Pixels] | None,
) -> list[Level]:
    """The image and its overviews until one tile holds all."""
    tiles: list[bytes] = []
    reduced = []
    further = max(grid.shape) > TILE
    for top in range(0, grid.height, _STRIP):
        stop = min(top + _STRIP, grid.height)
        parts = [_strip(plane, top, stop, grid.width) for plane in planes]
        image = np.stack([convert(p) if convert else p for p in parts], axis=-1)
        tiles += _encoded(image, profile)
        if further:
            reduced.append(halved(image, profile.nodata, profile.overviews))
    levels = [Level(grid.height, grid.width, tiles)]
    if further:
        image = np.concatenate(reduced)
        levels.append(_level(image, profile))
        while max(image.shape[:2]) > TILE:
            image = halved(image, profile.nodata, profile.overviews)
            levels.append(_level(image, profile))
    return levels


def _level(image: Pixels, profile: CogProfile) -> Level:
    return Level(image.shape[0], image.shape[1], list(_encoded(image, profile)))


def _strip(plane: Sequence[Sequence[Pixels]], top: int, stop: int, width: int) -> Pixels:
    """Some rows of a band put together from its blocks."""
    out = np.empty((stop - top, width), dtype=plane[0][0].dtype)
    first = 0
    for blocks in plane:
        last = first + blocks[0].shape[0]
        low, high = max(first, top), min(last, stop)
        if low < high:
            left = 0
            for block in blocks:
                right = left + block.shape[1]
                out[low - top : high - top, left:right] = block[low - first : high - first]
                left = right
        first = last
    return out


def _encoded(image: Pixels, profile: CogProfile) -> Iterator[bytes]:
    """Compressed tiles of an image in reading order, those at its edges filled up."""
    height, width = image.shape[:2]
    for row in range(0, height, TILE):
        for col in range(0, width, TILE):
            tile = image[row : row + TILE, col : col + TILE]
            missing = (TILE - tile.shape[0], TILE - tile.shape[1])
            if any(missing):
                # Repeated pixels cost next to nothing when differences are stored.
                tile = np.pad(tile, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
            tile = np.ascontiguousarray(tile)
            if profile.predictor:
                tile = imagecodecs.delta_encode(tile, axis=1)
            yield bytes(imagecodecs.zstd_encode(tile.tobytes(), level=_LEVEL))


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except rasterio.errors.CRSError as error:
        raise InputError(
            "unknown coordinate reference system", where=path.name, found=str(error)
        ) from error
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise CapacityError(
            "no space left for a temporary file",
            where=path.name,
            found=str(error),
            fix="free space in the temporary folder or set TMPDIR to a bigger disk",
        ) from error

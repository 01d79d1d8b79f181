"""One raster to one cloud-optimised GeoTIFF on local disk."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import imagecodecs
import numpy as np
import rasterio.errors

from s2cloud.io.cog_file import TILE, Level, template_tags, write_levels
from s2cloud.io.cog_pixels import cut_tile, halved
from s2cloud.model.errors import CapacityError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from s2cloud.io.cog_pixels import Resampling
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
    convert: Callable[[Pixels, Pixels], object] | None = None,
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
        From the pixels of the blocks, its first argument, to those of the file, its second.

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
    convert: Callable[[Pixels, Pixels], object] | None,
) -> list[Level]:
    """The image and its overviews until one tile holds all."""
    tiles: list[bytes] = []
    reduced = []
    further = max(grid.shape) > TILE
    # One buffer for all strips: fresh memory costs more than filling it.
    strip = np.empty((min(_STRIP, grid.height), grid.width, len(planes)), profile.dtype)
    for top in range(0, grid.height, _STRIP):
        stop = min(top + _STRIP, grid.height)
        image = strip[: stop - top]
        for band, plane in enumerate(planes):
            _fill(image[..., band], plane, top, convert)
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


def _fill(
    out: Pixels,
    plane: Sequence[Sequence[Pixels]],
    top: int,
    convert: Callable[[Pixels, Pixels], object] | None,
) -> None:
    """Put the blocks of a band together in a strip of its rows."""
    stop = top + out.shape[0]
    first = 0
    for blocks in plane:
        last = first + blocks[0].shape[0]
        low, high = max(first, top), min(last, stop)
        if low < high:
            left = 0
            for block in blocks:
                right = left + block.shape[1]
                part = block[low - first : high - first]
                place = out[low - top : high - top, left:right]
                if convert is None:
                    place[:] = part
                else:
                    convert(part, place)
                left = right
        first = last


def _encoded(image: Pixels, profile: CogProfile) -> Iterator[bytes]:
    """Compressed tiles of an image in reading order, those at its edges filled up."""
    height, width = image.shape[:2]
    tile = np.empty((TILE, TILE, image.shape[2]), image.dtype)
    plain = cast("Any", tile.reshape(-1).view(np.uint8))  # the stub knows bytes only
    for row in range(0, height, TILE):
        for col in range(0, width, TILE):
            cut_tile(image, row, col, tile, differences=profile.predictor)
            yield bytes(imagecodecs.zstd_encode(plain, level=_LEVEL))


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

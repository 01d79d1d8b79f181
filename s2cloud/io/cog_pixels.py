"""Pixels of an image on their way into a file: its tiles, and its reduced images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["Resampling", "cut_tile", "halved"]

F = TypeVar("F", bound="Callable[..., Any]")

Resampling = Literal["AVERAGE", "MODE"]


def _compiled(function: F) -> F:
    return cast("F", numba.njit(cache=True, nogil=True)(function))


def cut_tile(
    image: npt.NDArray[Any], row: int, col: int, out: npt.NDArray[Any], *, differences: bool
) -> None:
    """Cut a tile out of an image, in one pass.

    Parameters
    ----------
    image
        Pixels, unsigned integers, contiguous, shape (y, x, band).
    row, col
        First pixel of the tile.
    out
        The tile, filled here, shape (side, side, band). Beyond the edges of the image the last
        pixels are repeated: that costs next to nothing when differences are stored.
    differences
        Whether each pixel becomes its difference to the one before it in its row (TIFF's
        predictor 2); the first stays.
    """
    bands = out.shape[2]
    lines, to = image.reshape(image.shape[0], -1), out.reshape(out.shape[0], -1)
    _cut(lines, row, col * bands, bands, differences, to)


@_compiled
def _cut(image: Any, row: int, col: int, bands: int, differences: bool, out: Any) -> None:  # noqa: FBT001
    rows = min(out.shape[0], image.shape[0] - row)
    cols = min(out.shape[1], image.shape[1] - col)
    for y in range(rows):
        line, to = image[row + y, col : col + cols], out[y]
        if differences:
            before = image[row + y, col : col + cols - bands]
            for x in range(bands):
                to[x] = line[x]
            after, change = line[bands:], to[bands:]
            for x in range(before.size):
                change[x] = after[x] - before[x]
            to[cols:] = 0
        else:
            to[:cols] = line
            for x in range(cols, out.shape[1]):
                to[x] = to[x - bands]
    for y in range(rows, out.shape[0]):
        out[y] = out[rows - 1]


def halved(image: npt.NDArray[Any], nodata: int, resampling: Resampling) -> npt.NDArray[Any]:
    """Image of half the size.

    Parameters
    ----------
    image
        Pixels, uint8 or uint16, shape (y, x, band).
    nodata
        Value of pixels without data.
    resampling
        ``AVERAGE``: mean of those of the four pixels that have data, halves rounded up. ``MODE``:
        the most frequent of those, the first of equals in reading order.

    Returns
    -------
    ndarray
        Of the same type, shape (ceil(y / 2), ceil(x / 2), band). A last odd row or column counts
        alone; no-data where none of the four has data.
    """
    height, width, bands = image.shape
    out = np.empty((-(-height // 2), -(-width // 2), bands), dtype=image.dtype)
    pixels, empty = np.ascontiguousarray(image), image.dtype.type(nodata)
    if resampling == "MODE":
        _mode(pixels, empty, out)
    elif bands == 1:
        _average_plane(pixels[..., 0], empty, out[..., 0])
    else:
        _average(pixels, empty, out)
    return out


@_compiled
def _average_plane(image: Any, nodata: Any, out: Any) -> None:
    """`_average` of one band: first as if all pixels had data, in vector instructions."""
    height, width = image.shape
    whole = width // 2
    for row in range(out.shape[0]):
        upper, to = image[2 * row], out[row]
        lower = image[min(2 * row + 1, height - 1)]
        gaps = 2 * row + 1 >= height
        if not gaps:
            for col in range(whole):
                a, b, c, d = upper[2 * col], upper[2 * col + 1], lower[2 * col], lower[2 * col + 1]
                gaps |= (a == nodata) | (b == nodata) | (c == nodata) | (d == nodata)
                total = np.uint32(a) + np.uint32(b) + np.uint32(c) + np.uint32(d)
                to[col] = np.uint32(total + np.uint32(2)) >> np.uint32(2)
        for col in range(0 if gaps else whole, out.shape[1]):
            to[col] = _mean_of_four(image, nodata, row, col)


@_compiled
def _mean_of_four(image: Any, nodata: Any, row: int, col: int) -> Any:
    total = np.uint32(0)
    count = np.uint32(0)
    for y in range(2 * row, min(2 * row + 2, image.shape[0])):
        for x in range(2 * col, min(2 * col + 2, image.shape[1])):
            value = image[y, x]
            if value != nodata:
                total += np.uint32(value)
                count += np.uint32(1)
    if count:
        return (np.uint32(2) * total + count) // (np.uint32(2) * count)
    return np.uint32(nodata)


@_compiled
def _average(image: Any, nodata: Any, out: Any) -> None:
    """`_average_plane` of several bands; three are colours, whose loop is unrolled."""
    height, width, bands = image.shape
    whole = width // 2 if bands == 3 else 0
    for row in range(out.shape[0]):
        upper, to = image[2 * row], out[row]
        lower = image[min(2 * row + 1, height - 1)]
        gaps = 2 * row + 1 >= height
        if not gaps:
            for col in range(whole):
                for band in range(3):
                    a, b = upper[2 * col, band], upper[2 * col + 1, band]
                    c, d = lower[2 * col, band], lower[2 * col + 1, band]
                    gaps |= (a == nodata) | (b == nodata) | (c == nodata) | (d == nodata)
                    total = np.uint32(a) + np.uint32(b) + np.uint32(c) + np.uint32(d)
                    to[col, band] = np.uint32(total + np.uint32(2)) >> np.uint32(2)
        for col in range(0 if gaps else whole, out.shape[1]):
            for band in range(bands):
                to[col, band] = _mean_of_four(image[..., band], nodata, row, col)


@_compiled
def _mode(image: Any, nodata: Any, out: Any) -> None:
    height, width, bands = image.shape
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            for band in range(bands):
                best, most = nodata, 0
                for y in range(2 * row, min(2 * row + 2, height)):
                    for x in range(2 * col, min(2 * col + 2, width)):
                        value = image[y, x, band]
                        count = 0
                        for v in range(2 * row, min(2 * row + 2, height)):
                            for u in range(2 * col, min(2 * col + 2, width)):
                                count += image[v, u, band] == value
                        if value != nodata and count > most:
                            best, most = value, count
                out[row, col, band] = best

"""Reduced images: each pixel from the four below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["Resampling", "halved"]

F = TypeVar("F", bound="Callable[..., Any]")

Resampling = Literal["AVERAGE", "MODE"]


def _compiled(function: F) -> F:
    return cast("F", numba.njit(cache=True, nogil=True)(function))


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
    kernel = _average if resampling == "AVERAGE" else _mode
    kernel(np.ascontiguousarray(image), image.dtype.type(nodata), out)
    return out


@_compiled
def _average(image: Any, nodata: Any, out: Any) -> None:
    height, width, bands = image.shape
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            for band in range(bands):
                total = np.uint32(0)
                count = np.uint32(0)
                for y in range(2 * row, min(2 * row + 2, height)):
                    for x in range(2 * col, min(2 * col + 2, width)):
                        value = image[y, x, band]
                        if value != nodata:
                            total += np.uint32(value)
                            count += np.uint32(1)
                if count == 4:
                    out[row, col, band] = (total + np.uint32(2)) >> np.uint32(2)
                elif count:
                    out[row, col, band] = (np.uint32(2) * total + count) // (np.uint32(2) * count)
                else:
                    out[row, col, band] = nodata


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

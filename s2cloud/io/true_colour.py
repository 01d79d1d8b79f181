"""Colours of the true-colour image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from s2cloud.model.schema import ENCODINGS

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["true_colour"]


def true_colour(
    counts: npt.NDArray[np.uint16], out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Byte of one colour of the true-colour image from stored reflectance.

    Parameters
    ----------
    counts
        Stored reflectance, 0 for no-data, shape (..., y, x).
    out
        Where to put it, a new array if None.

    Returns
    -------
    ndarray of uint8
        ``clip(10000 rho, 0, 2500) * 254 / 2500 + 1`` without the fraction, 0 for no-data: white
        from a reflectance of 0.25 on. Valid pixels are never 0, as in ESA's product.

    Examples
    --------
    >>> true_colour(np.array([0, 1001, 1100, 2000, 3500], np.uint16))
    array([  0,   1,  11, 102, 255], dtype=uint8)
    """
    if out is None:
        out = np.empty(counts.shape, np.uint8)
    if counts.ndim == 2:
        _look_up(counts, _TRUE_COLOUR, out)
    else:
        out[...] = _TRUE_COLOUR[counts]
    return out


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _look_up(counts: Any, table: Any, out: Any) -> None:
    for i in range(counts.shape[0]):
        for j in range(counts.shape[1]):
            out[i, j] = table[counts[i, j]]


def _true_colour_table() -> npt.NDArray[np.uint8]:
    encoding = ENCODINGS["reflectance"]
    zero = round(-encoding.offset / encoding.scale)
    number = np.clip(np.arange(65536) - zero, 0, 2500)
    table = (number * 254 // 2500 + 1).astype(np.uint8)
    table[encoding.fill] = 0
    return table


_TRUE_COLOUR: Final = _true_colour_table()

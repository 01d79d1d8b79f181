"""What is special about a pixel: one bit each, see `s2cloud.model.schema.Flag`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from s2cloud.model.schema import Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

__all__ = ["combined", "detector_edges"]


def combined(
    shape: tuple[int, int], conditions: Mapping[Flag, npt.NDArray[np.bool_] | bool]
) -> npt.NDArray[np.uint16]:
    """Bit mask of conditions.

    Parameters
    ----------
    shape
        Rows and columns.
    conditions
        Whether a flag holds, for each pixel or for all of them.

    Returns
    -------
    numpy.ndarray
        0 where `Flag.VALID` is not set: a pixel without data has no other flags.
    """
    out = np.zeros(shape, np.uint16)
    for flag, holds in conditions.items():
        out |= np.where(holds, np.uint16(flag), np.uint16(0))
    out[out & np.uint16(Flag.VALID) == 0] = 0
    return out


def detector_edges(numbers: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Pixels next to which another detector sees the ground.

    Parameters
    ----------
    numbers
        Number of the detector, 0 for none, shape (y + 2, x + 2).

    Returns
    -------
    numpy.ndarray
        Shape (y, x).
    """
    edges: npt.NDArray[np.bool_] = _mixed(numbers)
    return edges


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _mixed(numbers: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether two detectors are among the 3 x 3 pixels; no detector is not another detector."""
    height, width = numbers.shape[0] - 2, numbers.shape[1] - 2
    out = np.empty((height, width), np.bool_)
    for i in range(height):
        line = out[i]
        for j in range(width):
            highest, lowest = np.uint8(0), np.uint8(255)
            for k in range(3):
                for m in range(3):
                    number = numbers[i + k, j + m]
                    highest = max(highest, number)
                    lowest = min(lowest, np.uint8(255) if number == 0 else number)
            line[j] = highest > lowest
    return out

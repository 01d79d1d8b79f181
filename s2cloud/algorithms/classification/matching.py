"""Heights of clouds from their shadows: how far a cloud must be moved to cover dark ground.

Parallax between two bands is about a metre per hundred metres of height, so over bright or uneven
ground the heights it yields are rough. A cloud's own shadow tells better where it is seen: each
piece of cloud is moved along the line on which its shadow must lie, and the height counts at
which most of it falls on what the spectrum takes for shadow (Zhu and Woodcock 2012,
doi:10.1016/j.rse.2011.10.028).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification.rules import compiled, single

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["matched_heights"]

#: Heights that are tried. [m]
_HEIGHTS: Final = np.arange(200.0, 6001.0, 100.0)
#: Side of the squares into which wide clouds are cut. [pixel]
_CELL: Final = 50
#: Moved pixels beside the clouds that a match needs, and the share of them that must be dark.
_ENOUGH: Final = 10
_MATCH: Final = 0.5
#: Standard deviation of heights from parallax, and around the scene's mean. [m]
_PARALLAX_STD: Final = 1000.0
_PRIOR_STD: Final = 1500.0
_PRIOR: Final = 2000.0
_HALF: Final = single(0.5)


def matched_heights(
    cloud: Mask, shade: Mask, valid: Mask, measured: Floats | None, down: Floats, right: Floats
) -> Floats:
    """Height of each cloudy pixel by the shadow of its piece of cloud.

    Parameters
    ----------
    cloud, shade, valid
        Clouds, what looks like shadow, and pixels with data; shape (y, x).
    measured
        Heights by parallax, shape (y, x); None if there are none. [m]
    down, right
        Way from a cloud as seen to its shadow, shape (y, x) or (1, 1). [pixel/m]

    Returns
    -------
    ndarray
        NaN where no match was found, else shape (y, x). [m]
    """
    labels, groups = ndimage.label(cloud, np.ones((3, 3)))
    out = np.full(cloud.shape, np.nan, np.float32)
    if not groups:
        return out
    rows, columns = (np.arange(size) // _CELL for size in cloud.shape)
    cells = rows[:, np.newaxis] * (columns[-1] + 1) + columns
    keys = labels[cloud].astype(np.int64) * (int(cells[-1, -1]) + 1) + cells[cloud]
    found, inverse = np.unique(keys, return_inverse=True)
    pieces = np.zeros(cloud.shape, np.int32)
    pieces[cloud] = inverse + 1
    seen = np.zeros((found.size + 1, _HEIGHTS.size), np.int32)
    dark = np.zeros_like(seen)
    heights = _HEIGHTS.astype(np.float32)
    _count(pieces, shade, valid & ~cloud, heights, down, right, seen, dark)

    mean, std = np.full(found.size + 1, _PRIOR), _PRIOR_STD
    if measured is not None:
        known = cloud & np.isfinite(measured)
        if known.any():
            mean[:] = float(np.mean(measured[known], dtype=np.float64))
            at = np.unique(pieces[known])
            mean[at] = ndimage.mean(measured, np.where(known, pieces, 0), at)
            std = _PARALLAX_STD
    prior = np.exp(-0.5 * ((_HEIGHTS - mean[:, np.newaxis]) / std) ** 2)
    score = dark / (seen + _ENOUGH) * prior
    best = score.argmax(axis=1)
    each = np.arange(found.size + 1)
    enough = (seen[each, best] >= _ENOUGH) & (dark[each, best] >= _MATCH * seen[each, best])
    height = np.where(enough, heights[best], np.float32(np.nan))
    height[0] = np.nan
    return np.asarray(height[pieces], dtype=np.float32)


@compiled
def _count(
    pieces: npt.NDArray[np.int32],
    shade: Mask,
    free: Mask,
    heights: Floats,
    down: Floats,
    right: Floats,
    seen: npt.NDArray[np.int32],
    dark: npt.NDArray[np.int32],
) -> None:
    """Count where the pixels of each piece fall at each height."""
    rows, columns = pieces.shape
    for i in range(rows):
        for j in range(columns):
            piece = pieces[i, j]
            if piece == 0:
                continue
            dy = down[i if down.shape[0] > 1 else 0, j if down.shape[1] > 1 else 0]
            dx = right[i if right.shape[0] > 1 else 0, j if right.shape[1] > 1 else 0]
            for k in range(heights.size):
                y = int(np.floor(np.float32(i) + heights[k] * dy + _HALF))
                x = int(np.floor(np.float32(j) + heights[k] * dx + _HALF))
                if 0 <= y < rows and 0 <= x < columns and free[y, x]:
                    seen[piece, k] += 1
                    dark[piece, k] += shade[y, x]

"""Growing, counting and sieving of masks, in time that does not depend on the reach.

Masks are bool or uint8 of shape (y, x). Nothing comes from outside the window; a box of radius r
has 2 r + 1 pixels on a side and is done along rows, then along columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms.classification.rules import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

__all__ = [
    "SIEVE_REACH",
    "SPECK",
    "box_count",
    "box_dilated",
    "cross_dilated",
    "majority",
    "sieved",
]

#: Groups of so few pixels, corners touching, are specks.
SPECK: Final = 3
#: Distance within which `sieved` looks; a group that reaches farther is no speck. [pixel]
SIEVE_REACH: Final = 3


def cross_dilated(mask: Mask, steps: int) -> Mask:
    """Mask grown by steps of a 4-connected cross: a diamond."""
    for _ in range(steps):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask


def box_dilated(mask: Mask, radius: int) -> Mask:
    """Mask grown by a box."""
    if radius < 1 or not mask.any():
        return mask
    grown: Mask = _box_dilated(np.ascontiguousarray(mask, dtype=np.bool_), radius)
    return grown


def majority(mask: Mask, radius: int) -> Mask:
    """Median of a mask in a box; the part of a box outside the window counts as not set."""
    if radius < 1 or not mask.any():
        return mask
    area = (2 * radius + 1) ** 2
    return np.asarray(box_count(mask, radius) * 2 > area)


def box_count(mask: Mask, radius: int) -> npt.NDArray[np.int32]:
    """Set pixels in the box around each pixel."""
    count: npt.NDArray[np.int32] = _box_count(np.ascontiguousarray(mask, dtype=np.bool_), radius)
    return count


def sieved(mask: Mask) -> Mask:
    """Mask without groups of `SPECK` pixels and fewer; local, unlike a labelling."""
    if not mask.any():
        return mask
    kept: Mask = _sieved(np.ascontiguousarray(mask, dtype=np.bool_))
    return kept


@compiled
def _box_dilated(mask: Mask, radius: int) -> Mask:
    rows, columns = mask.shape
    across = np.zeros((rows, columns), np.bool_)
    out = np.zeros((rows, columns), np.bool_)
    hits = np.zeros(rows, np.bool_)
    for i in range(rows):
        end = 0  # columns before this one are done
        for j in range(columns):
            if mask[i, j]:
                hits[i] = True
                stop = min(j + radius + 1, columns)
                for k in range(max(j - radius, end), stop):
                    across[i, k] = True
                end = stop
    for i in range(rows):
        if hits[i]:
            for k in range(max(i - radius, 0), min(i + radius + 1, rows)):
                for j in range(columns):
                    out[k, j] |= across[i, j]
    return out


@compiled
def _box_count(  # noqa: C901, PLR0912 - two running sums
    mask: Mask, radius: int
) -> npt.NDArray[np.int32]:
    rows, columns = mask.shape
    across = np.zeros((rows, columns), np.int32)
    out = np.zeros((rows, columns), np.int32)
    for i in range(rows):
        total = 0
        for j in range(min(radius, columns)):
            total += mask[i, j]
        for j in range(columns):
            if j + radius < columns:
                total += mask[i, j + radius]
            if j - radius - 1 >= 0:
                total -= mask[i, j - radius - 1]
            across[i, j] = total
    column = np.zeros(columns, np.int32)
    for i in range(min(radius, rows)):
        for j in range(columns):
            column[j] += across[i, j]
    for i in range(rows):
        if i + radius < rows:
            for j in range(columns):
                column[j] += across[i + radius, j]
        if i - radius - 1 >= 0:
            for j in range(columns):
                column[j] -= across[i - radius - 1, j]
        for j in range(columns):
            out[i, j] = column[j]
    return out


@compiled
def _sieved(mask: Mask) -> Mask:
    rows, columns = mask.shape
    out = mask.copy()
    at = np.empty((SPECK + 1, 2), np.int64)
    for i in range(rows):
        for j in range(columns):
            if not mask[i, j]:
                continue
            at[0, 0], at[0, 1] = i, j
            found, looked = 1, 0
            while looked < found <= SPECK:
                y, x = at[looked, 0], at[looked, 1]
                looked += 1
                for v in range(max(y - 1, 0), min(y + 2, rows)):
                    for u in range(max(x - 1, 0), min(x + 2, columns)):
                        if found <= SPECK and mask[v, u]:
                            known = False
                            for k in range(found):
                                known |= at[k, 0] == v and at[k, 1] == u
                            if not known:
                                at[found, 0], at[found, 1] = v, u
                                found += 1
            out[i, j] = found > SPECK
    return out

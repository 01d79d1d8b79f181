"""Byte ranges of files, and which of them are worth one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_GAP", "MAX_MERGED", "Range", "merged_ranges"]

#: Path, first byte and the byte after the last; None for the ends of the file.
Range = tuple[str, int | None, int | None]

#: Ranges of one file closer than this are fetched together: a request costs more than the bytes.
MAX_GAP: Final = 65_536
#: Parts of one merged range are not joined beyond this size, so that parts arrive concurrently.
MAX_MERGED: Final = 32 * 2**20


def merged_ranges(ranges: Sequence[Range]) -> list[tuple[Range, list[tuple[int, Range]]]]:
    """Ranges to ask for, and which of the wanted ones each of them holds.

    Parameters
    ----------
    ranges
        What is wanted.

    Returns
    -------
    list
        Range to fetch, and place in `ranges` and range of all that lie in it.
    """
    order = sorted(range(len(ranges)), key=lambda i: (ranges[i][0], ranges[i][1] or 0))
    plan: list[Any] = []
    for index in order:
        path, start, stop = ranges[index]
        if plan:
            (last_path, first, end), parts = plan[-1]
            near = last_path == path and None not in (first, end, start, stop)
            if near and start - end <= MAX_GAP and max(stop, end) - first <= MAX_MERGED:
                parts.append((index, ranges[index]))
                plan[-1] = ((path, first, max(stop, end)), parts)
                continue
        plan.append((ranges[index], [(index, ranges[index])]))
    return plan

"""The heap of a process that works on large arrays."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

__all__ = ["keep_freed_memory", "spare_modules"]

# Numbers of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST: Final = 2**30


def keep_freed_memory() -> bool:
    """Let this process use freed memory again instead of giving it back after each array.

    Blocks of megabytes come and go thousands of times in a run. By default the C library asks
    the kernel for each of them anew, and every page must be cleared again at its first touch: a
    twentieth of the processor time of a tile. One arena for all threads keeps what is held small.

    To be called at the start of a process of one's own, before its threads; a library must not.

    Returns
    -------
    bool
        Whether the C library took it; False where it is not glibc.

    References
    ----------
    mallopt(3), Linux manual pages.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    options = (
        (_M_ARENA_MAX, 1),
        (_M_MMAP_THRESHOLD, _LARGEST),
        (_M_TRIM_THRESHOLD, _LARGEST),
    )
    taken = [mallopt(option, value) == 1 for option, value in options]
    return all(taken)


def spare_modules() -> None:
    """Tell the garbage collector to leave alone what is in memory by now.

    Compilers and readers load a million objects that stay until the end; graphs and arrays make
    the collector look at all of them again and again: a fifth of the time of a quick look.

    To be called once, when all modules are loaded, in a process of one's own.
    """
    gc.freeze()

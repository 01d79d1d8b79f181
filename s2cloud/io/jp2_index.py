"""Where the tile-parts of an image are, for files that do not list them.

Archives before baseline 05.12 have no table of tile-parts. Finding them takes one small request
per tile, each after the one before; so it is done once per process, for all bands at a time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dask.base import tokenize

from s2cloud.io.jp2 import walk_parts
from s2cloud.io.jp2_header import HEADER_BYTES, J2KHeader, Parts, read_header

if TYPE_CHECKING:
    from s2cloud.io.stores import FileInfo, Store

__all__ = ["Index", "JP2Group", "JP2Source", "index_of", "prefix_guess"]

#: Share of a tile-part that holds all but n of its resolutions, with a margin; measured 0.27,
#: 0.075, 0.021 on natural 10 m bands.
_PREFIX_SHARE: Final = {1: 0.32, 2: 0.1, 3: 0.03, 4: 0.012}
_PREFIX_FLOOR: Final = 4096

#: Images wider than this are those of 10 m bands. [pixel]
LARGE: Final = 8000
#: Indices kept per process: those of two products, some 3 MB per band.
MAX_INDICES: Final = 26

#: Tile-parts, and the first bytes of each tile where they were fetched on the way.
Index = tuple[Parts, dict[int, bytes]]

_indices: OrderedDict[str, Index] = OrderedDict()
_locks: dict[str, threading.Lock] = {}
#: Members of each group that were asked for.
_asked: dict[str, set[str]] = {}
_guard = threading.Lock()


@dataclass(frozen=True, slots=True)
class JP2Source:
    """One JPEG 2000 file of a store.

    Attributes
    ----------
    store, path
        Where it is.
    info
        Size and tag from the listing.
    """

    store: Store
    path: str
    info: FileInfo

    @property
    def url(self) -> str:
        """Address for messages."""
        return self.store.url(self.path)

    @property
    def token(self) -> str:
        """Name that changes with the content, equal in every process."""
        return str(tokenize(self.url, self.info.size, self.info.tag))

    def read(self, start: int, stop: int) -> bytes:
        """Some bytes."""
        return self.store.read(self.path, start, stop)

    def header(self, first: bytes | None = None) -> J2KHeader:
        """Header of the file, from its first bytes where they were read already."""

        def read(start: int, stop: int) -> bytes:
            if first is not None and stop <= max(len(first), HEADER_BYTES):
                return first[start:stop]
            return self.read(start, stop)

        return read_header(read, self.info.size, self.url)

    @property
    def is_near(self) -> bool:
        """Whether small reads cost next to nothing."""
        return self.store.protocol in {"file", "memory"}


@dataclass(frozen=True, slots=True)
class JP2Group:
    """Images whose tile-parts are found together.

    Attributes
    ----------
    members
        Sources and headers.
    """

    members: tuple[tuple[JP2Source, J2KHeader], ...]

    @property
    def token(self) -> str:
        """Name that changes with the content of any member."""
        return str(tokenize([source.token for source, _ in self.members]))


def index_of(source: JP2Source, header: J2KHeader, group: JP2Group | None = None) -> Index:
    """Tile-parts of an image, found once per process.

    Parameters
    ----------
    source, header
        The image.
    group
        Images of the same product. When a second one of them is asked for, all are found at the
        same time: hops are waiting, not work, and would else be done one band after the other.

    Returns
    -------
    parts
        Position of every tile-part.
    prefixes
        First bytes of each tile, as many as its overview takes; empty on a local disk. A hop
        costs a request whatever its length, so over a network it takes them along.
    """
    if group is not None and _is_second(group, source):
        with ThreadPoolExecutor(source.store.concurrency) as pool:
            list(pool.map(lambda member: _found(*member), group.members))
    return _found(source, header)


def _is_second(group: JP2Group, source: JP2Source) -> bool:
    with _guard:
        if len(_asked) > MAX_INDICES:
            _asked.clear()
        asked = _asked.setdefault(group.token, set())
        before = len(asked)
        asked.add(source.token)
        return before == 1 and len(asked) == 2


def _found(source: JP2Source, header: J2KHeader) -> Index:
    token = source.token
    with _guard:
        lock = _locks.setdefault(token, threading.Lock())
    with lock:
        with _guard:
            found = _indices.get(token)
        if found is None:
            found = walk_parts(header, source.read, 0 if source.is_near else _hop(header))
            with _guard:
                _indices[token] = found
                while len(_indices) > MAX_INDICES:
                    oldest, _ = _indices.popitem(last=False)
                    _locks.pop(oldest, None)
    return found


def prefix_guess(length: int, discard: int) -> int:
    """Bytes of a tile-part that hold all but ``discard`` of its resolutions, most likely."""
    return int(length * _PREFIX_SHARE.get(discard, 1.0)) + _PREFIX_FLOOR


def _hop(header: J2KHeader) -> int:
    """Bytes to read at each hop: what the overview takes of a tile of average length."""
    length = header.file_size // max(1, header.tile_rows * header.tile_cols)
    # Overviews leave out three resolutions of 10 m bands and two of 20 m bands.
    return prefix_guess(length, 3 if header.width > LARGE else 2)

"""JPEG 2000 images as dask arrays: every tile fetched and decoded once, then cut into blocks.

The tiles of the files (1024, 640 and 192 pixels at 10, 20 and 60 m) never line up with blocks.
So the graph has one task per row of tiles that fetches, one per tile that decodes, and one per
block that gathers; a reader of windows would decode most tiles two to four times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from s2cloud.io.jp2 import (
    decode_reduced,
    decode_tile,
    is_reducible,
    parts_in_memory,
    reduced_prefix,
)
from s2cloud.io.jp2_index import (
    Index,
    JP2Group,
    JP2Source,
    index_of,
    prefix_guess,
)
from s2cloud.io.overview import block_mean, discard_for, low_pass_to_blocks
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from s2cloud.io.jp2_header import J2KHeader


__all__ = ["JP2Image", "block_edges"]

#: Without a TLM segment, more than this share of the tiles is worth the whole file in one
#: request; for less we hop from tile-part to tile-part.
WHOLE_FILE_SHARE: Final = 0.25
#: Below this many pixels an overview is decoded in full: nothing is saved on small images.
REDUCE_PIXELS: Final = 2048 * 2048
Window = tuple[int, int, int, int]
#: Tile number -> bytes of its tile-parts.
Pieces = dict[int, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class JP2Image:
    """One band: a source and its header, from which arrays are made without decoding.

    Attributes
    ----------
    source
        The file.
    header
        Its main header.
    group
        The bands of the same product whose tile-parts must be found by hopping.
    """

    source: JP2Source
    header: J2KHeader
    group: JP2Group | None = None

    def array(self, window: Window | None = None, *, block: int) -> da.Array:
        """Pixels as a dask array.

        Parameters
        ----------
        window
            First row, first column, rows and columns; None for the whole image. [pixel]
        block
            Side of a block. [pixel] Chunks end at multiples of it counted from the image's
            corner, whatever the window.

        Returns
        -------
        dask.array.Array
            uint16, shape (rows, columns).
        """
        row, col, height, width = window or (0, 0, *self.header.shape)
        tiles = _tiles_under(self.header, (row, col, height, width))
        graph = _Graph(self, tiles)
        decoded = graph.decoded()
        name = f"jp2-{tokenize(graph.token, row, col, height, width, block)}"
        rows, cols = block_edges(row, height, block), block_edges(col, width, block)
        light = self.header.without_parts()
        blocks: dict[Any, Any] = {}
        for i, (top, bottom) in enumerate(pairwise(rows)):
            for j, (left, right) in enumerate(pairwise(cols)):
                under = _tiles_under(light, (top, left, bottom - top, right - left))
                gather = partial(_gather, light, (top, left, bottom, right), tuple(under))
                blocks[(name, i, j)] = (gather, [decoded[tile] for tile in under])
        graph.add(name, blocks, {graph.tile_layer})
        chunks = (tuple(np.diff(rows).tolist()), tuple(np.diff(cols).tolist()))
        return da.Array(graph.build(), name, chunks, dtype=np.uint16)

    def overview(
        self,
        factor: int,
        shape: tuple[int, int],
        *,
        window: Window | None = None,
        least: int = REDUCE_PIXELS,
    ) -> da.Array:
        """Whole image on the grid of blocks of ``factor`` pixels, as one chunk.

        Parameters
        ----------
        factor
            Side of a block. [pixel]
        shape
            Rows and columns of the result; pixels beyond are left out.
        window
            Window that `array` is asked for besides, so that both share what they fetch.
        least
            Images of fewer pixels are decoded in full and averaged. [pixel]

        Returns
        -------
        dask.array.Array
            uint16, from a reduced resolution of the wavelet where the file allows it, from
            means of blocks otherwise.
        """
        graph = _Graph(self, _tiles_under(self.header, window or (0, 0, *self.header.shape)))
        name = f"jp2-overview-{tokenize(graph.token, factor, shape, least)}"
        light = self.header.without_parts()
        make = partial(_overview, self.source, light, factor, shape, least)
        if graph.fetches_whole:
            task: Any = (make, None, [graph.row_key(row) for row in range(self.header.tile_rows)])
        elif graph.index_key is None:
            task = (partial(make, (self.header.parts, {})), None)
        else:
            task = (make, graph.index_key, None)
        graph.add(name, {(name, 0, 0): task}, graph.sources)
        return da.Array(graph.build(), name, ((shape[0],), (shape[1],)), dtype=np.uint16)


def block_edges(first: int, length: int, block: int) -> list[int]:
    """Borders of the blocks of a window along one axis, at multiples of the block."""
    stop = first + length
    inner = range((first // block + 1) * block, stop, block)
    return [first, *inner, stop]


class _Graph:
    """Layers of tasks from the file to decoded tiles.

    Names depend on the file and on the tiles asked for, so equal requests share their tasks.
    """

    def __init__(self, image: JP2Image, tiles: Sequence[int]) -> None:
        self.image = image
        self.tiles = tiles
        header, source = image.header, image.source
        count = header.tile_rows * header.tile_cols
        indexed = bool(header.parts) or source.is_near
        wide = len(tiles) > WHOLE_FILE_SHARE * count
        self.fetches_whole = not source.info.ranged or (wide and not indexed)
        self.token = tokenize(source.token, tiles, self.fetches_whole)
        self.tile_layer = f"jp2-tile-{self.token}"
        self.index_key: str | None = None
        self._layers: dict[str, dict[Any, Any]] = {}
        self._needs: dict[str, set[str]] = {}
        # What does not depend on the tiles is named by the file alone and shared by all windows.
        if self.fetches_whole:
            self.fetch_layer = f"jp2-file-{source.token}"
            self._add_whole(range(count))
        else:
            self.fetch_layer = f"jp2-fetch-{self.token}"
            if not header.parts:
                self.index_key = f"jp2-index-{source.token}"
                walk = partial(index_of, source, header, self.image.group)
                self.add(self.index_key, {self.index_key: (walk,)}, set())
            self._add_rows()
        self.sources = (
            {self.fetch_layer} if self.fetches_whole else set(self._needs[self.fetch_layer])
        )

    def row_key(self, row: int) -> tuple[str, int]:
        """Key of the task that has the bytes of a row of tiles."""
        return (self.fetch_layer, row)

    def decoded(self) -> dict[int, tuple[str, int]]:
        """Keys of the decoded tiles; adds their layer."""
        light = self.image.header.without_parts()
        keys = {tile: (self.tile_layer, tile) for tile in self.tiles}
        tasks = {
            key: (partial(_decode, light, tile), self.row_key(tile // light.tile_cols))
            for tile, key in keys.items()
        }
        self.add(self.tile_layer, tasks, {self.fetch_layer})
        return keys

    def add(self, name: str, tasks: dict[Any, Any], needs: set[str]) -> None:
        """Add a layer."""
        self._layers[name] = tasks
        self._needs[name] = needs

    def build(self) -> HighLevelGraph:
        """Graph of all layers added."""
        return HighLevelGraph(self._layers, self._needs)

    def _add_whole(self, tiles: Sequence[int]) -> None:
        source, header = self.image.source, self.image.header
        rows = _by_row(header, tiles)
        key = (self.fetch_layer, "file")
        tasks: dict[Any, Any] = {key: (partial(_fetch_whole, source, header, rows),)}
        for row in rows:
            # Rows are separate objects, so memory is freed row by row as they are decoded.
            tasks[self.row_key(row)] = (partial(_take, row), key)
        self.add(self.fetch_layer, tasks, set())

    def _add_rows(self) -> None:
        source, header = self.image.source, self.image.header
        light = header.without_parts()
        tasks: dict[Any, Any] = {}
        for row, tiles in _by_row(header, self.tiles).items():
            fetch = partial(_fetch, source, light, tiles)
            if self.index_key is None:
                parts = {tile: header.parts[tile] for tile in tiles}
                tasks[self.row_key(row)] = (partial(fetch, (parts, {})),)
            else:
                tasks[self.row_key(row)] = (fetch, self.index_key)
        self.add(self.fetch_layer, tasks, {self.index_key} if self.index_key else set())


def _by_row(header: J2KHeader, tiles: Sequence[int]) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for tile in tiles:
        rows.setdefault(tile // header.tile_cols, []).append(tile)
    return rows


def _tiles_under(header: J2KHeader, window: Window) -> list[int]:
    row, col, height, width = window
    rows = range(row // header.tile_height, (row + height - 1) // header.tile_height + 1)
    cols = range(col // header.tile_width, (col + width - 1) // header.tile_width + 1)
    return [r * header.tile_cols + c for r in rows for c in cols]


def _fetch(
    source: JP2Source,
    header: J2KHeader,
    tiles: Sequence[int],
    index: Index,
) -> Pieces:
    wanted = [(tile, *part) for tile in tiles for part in index[0][tile]]
    ranges = [(source.path, start, start + length) for _, start, length in wanted]
    pieces: dict[int, list[bytes]] = {tile: [] for tile in tiles}
    found = source.store.read_ranges(ranges)
    for (tile, start, length), data in zip(wanted, found, strict=True):
        if len(data) != length:
            raise InputError(
                "truncated image",
                where=header.name,
                expected=f"{length} bytes at {start}",
                found=len(data),
                fix="download the image again",
            )
        pieces[tile].append(data)
    return {tile: tuple(parts) for tile, parts in pieces.items()}


def _fetch_whole(
    source: JP2Source, header: J2KHeader, rows: dict[int, list[int]]
) -> dict[int, Pieces]:
    data = source.store.read(source.path)
    parts = parts_in_memory(header, data)
    return {
        row: {tile: tuple(data[at : at + length] for at, length in parts[tile]) for tile in tiles}
        for row, tiles in rows.items()
    }


def _take(row: int, rows: dict[int, Pieces]) -> Pieces:
    return rows[row]


def _decode(header: J2KHeader, tile: int, pieces: Pieces) -> npt.NDArray[np.uint16]:
    return decode_tile(header, tile, pieces[tile]).astype(np.uint16, copy=False)


def _gather(
    header: J2KHeader,
    bounds: Window,
    tiles: Sequence[int],
    decoded: Sequence[npt.NDArray[np.uint16]],
) -> npt.NDArray[np.uint16]:
    top, left, bottom, right = bounds
    block = np.empty((bottom - top, right - left), dtype=np.uint16)
    for tile, pixels in zip(tiles, decoded, strict=True):
        t, l, b, r = header.tile_bounds(tile)  # noqa: E741  # top, left, bottom, right
        y0, x0, y1, x1 = max(t, top), max(l, left), min(b, bottom), min(r, right)
        block[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0 - t : y1 - t, x0 - l : x1 - l]
    return block


def _overview(
    source: JP2Source,
    header: J2KHeader,
    factor: int,
    shape: tuple[int, int],
    least: int,
    index: Index | None,
    rows: Sequence[Pieces] | None,
) -> npt.NDArray[np.uint16]:
    discard = discard_for(factor)
    if discard and header.width * header.height >= least and is_reducible(header, discard):
        if index is not None:
            starts = _prefixes(source, header, index, discard)
        else:
            starts = {tile: pieces[0] for row in rows or () for tile, pieces in row.items()}
        low = _reduced(header, starts, discard)
        if low is not None:
            return low_pass_to_blocks(low, discard, factor, shape)
    whole = rows if index is None else [_fetch(source, header, list(index[0]), index)]
    image = np.empty(header.shape, np.uint16)
    for row in whole or ():
        for tile in row:
            top, left, bottom, right = header.tile_bounds(tile)
            image[top:bottom, left:right] = _decode(header, tile, row)
    return block_mean(image[: shape[0] * factor, : shape[1] * factor], factor)


def _prefixes(source: JP2Source, header: J2KHeader, index: Index, discard: int) -> dict[int, bytes]:
    """First bytes of every tile-part, long enough for the reduced resolution where possible."""
    parts, starts = index[0], dict(index[1])
    for attempt in range(3):
        wanted: dict[int, int] = {}
        for tile, pieces in parts.items():
            length = pieces[0][1]
            have = starts.get(tile)
            if have is None:
                wanted[tile] = min(length, prefix_guess(length, discard))
                continue
            need = reduced_prefix(header, tile, have, discard)
            if need == 0:
                return starts
            if need is None:
                wanted[tile] = length if attempt else min(length, 4 * len(have))
            elif need > len(have):
                wanted[tile] = need
        if not wanted:
            break
        ranges = [(source.path, parts[t][0][0], parts[t][0][0] + n) for t, n in wanted.items()]
        starts.update(zip(wanted, source.store.read_ranges(ranges), strict=True))
    return starts


def _reduced(
    header: J2KHeader, starts: dict[int, bytes], discard: int
) -> npt.NDArray[np.uint16] | None:
    scale = 1 << discard
    low = np.empty((-(-header.height // scale), -(-header.width // scale)), np.uint16)
    for tile, data in starts.items():
        if not reduced_prefix(header, tile, data, discard):
            return None
        top, left, bottom, right = (-(-v // scale) for v in header.tile_bounds(tile))
        low[top:bottom, left:right] = decode_reduced(header, tile, data, discard)
    return low

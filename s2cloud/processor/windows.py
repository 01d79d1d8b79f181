"""Map a function over the blocks of a tile, each with the halo it needs from its neighbours.

One task per block: the pieces of the source chunks that a block and its halo touch are handed
over as they are and joined inside the task. Sources may be chunked in any way and on any of the
nested grids (10, 20, 60 m); the result does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

__all__ = ["Block", "Source", "block_edges", "map_blocks", "whole"]


@dataclass(frozen=True, slots=True)
class Block:
    """Where a task works, handed to the block function.

    Attributes
    ----------
    row, col
        Offset of the block's first pixel from the corner of the tile, in pixels of the output.
    height, width
        Size of the block. [output pixel]
    """

    row: int
    col: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Source:
    """An input array of a block function and how its grid nests with the output grid.

    Attributes
    ----------
    array
        Pixels, last two dimensions (y, x), over the same area as the output.
    numerator, denominator
        Source pixels per output pixel along one axis as a fraction: 2/1 for 10 m pixels under
        a 20 m output, 1/3 for 60 m pixels under a 20 m output.
    halo
        Pixels of the *source* grid wanted beyond the block on each side. At the edge of the
        array the missing part is filled with the nearest pixel.
    """

    array: da.Array
    numerator: int = 1
    denominator: int = 1
    halo: int = 0

    def span(self, start: int, stop: int, size: int) -> tuple[int, int, int, int]:
        """Source interval below output interval [start, stop) and the padding beyond the array.

        Returns
        -------
        tuple
            first and last+1 source pixel that exist, pixels to pad before, pixels to pad after.
        """
        low = start * self.numerator // self.denominator - self.halo
        high = -(-stop * self.numerator // self.denominator) + self.halo
        first, last = max(low, 0), min(high, size)
        return first, last, first - low, high - last


def block_edges(size: int, offset: int, block: int) -> tuple[int, ...]:
    """Chunk sizes along an axis so that edges fall on the lattice of whole-tile blocks.

    Parameters
    ----------
    size
        Pixels of the array along the axis.
    offset
        Pixels between the edge of the tile and the array.
    block
        Pixels of a whole block.
    """
    edges = [0]
    while edges[-1] < size:
        position = edges[-1] + offset
        edges.append(min(size, (position // block + 1) * block - offset))
    return tuple(b - a for a, b in pairwise(edges))


def whole(array: Any) -> Any:
    """A small array as one value for ``dask.delayed``; what is in memory stays as it is.

    Given an array itself, dask would copy the tasks that make it under other names, and they
    would run once for each of its users.
    """
    if not isinstance(array, da.Array):
        return array
    return array.rechunk(-1, method="tasks").to_delayed(optimize_graph=False).item()


def map_blocks(  # noqa: PLR0913 - one call places a stage in the graph
    function: Callable[..., npt.NDArray[Any]],
    sources: Sequence[Source],
    *,
    chunks: tuple[tuple[int, ...], tuple[int, ...]],
    offset: tuple[int, int],
    dtype: npt.DTypeLike,
    leading: tuple[int, ...] = (),
    name: str,
    shared: Sequence[Any] = (),
    parameters: Mapping[str, Any] | None = None,
) -> da.Array:
    """Apply ``function(block, *arrays, *shared, **parameters)`` to each block of the output.

    Parameters
    ----------
    function
        Returns an array of shape ``leading + (height, width)`` for a `Block`; receives one NumPy
        array per source, cut to the block plus halo.
    sources
        Input arrays, see `Source`.
    chunks
        Rows and columns per output block.
    offset
        Row and column of the output array in the tile. [output pixel]
    dtype, leading
        Type and leading dimensions of the result.
    name
        Word that tasks are labelled with.
    shared
        Small inputs that every block receives: values or single-task ``dask.delayed`` objects.
    parameters
        Keyword constants.

    Returns
    -------
    dask.array.Array
        Lazy, shape ``leading + (sum(chunks[0]), sum(chunks[1]))``.
    """
    constants = dict(parameters or {})
    lazy = [item for item in shared if hasattr(item, "__dask_graph__")]
    arguments = [item.key if hasattr(item, "__dask_graph__") else item for item in shared]
    token = tokenize(
        function,
        [(s.array.name, s.numerator, s.denominator, s.halo) for s in sources],
        chunks,
        offset,
        arguments,
        constants,
    )
    label = f"{name}-{token}"
    rows = _starts(chunks[0])
    cols = _starts(chunks[1])
    lattices = [(_starts(s.array.chunks[-2]), _starts(s.array.chunks[-1])) for s in sources]
    zeros = (0,) * len(leading)
    graph: dict[Any, Any] = {}
    for i, (row, height) in enumerate(zip(rows, chunks[0], strict=False)):
        for j, (col, width) in enumerate(zip(cols, chunks[1], strict=False)):
            pieces = [
                _pieces(source, lattice, row, col, height, width)
                for source, lattice in zip(sources, lattices, strict=True)
            ]
            block = Block(row + offset[0], col + offset[1], height, width)
            graph[(label, *zeros, i, j)] = (
                _run,
                function,
                block,
                [keys for keys, _ in pieces],
                [where for _, where in pieces],
                arguments,
                constants,
            )
    dependencies = [source.array for source in sources] + lazy
    layer = HighLevelGraph.from_collections(label, graph, dependencies=dependencies)
    all_chunks = tuple((size,) for size in leading) + chunks
    return da.Array(layer, label, chunks=all_chunks, dtype=dtype)


def _starts(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()]


def _touched(starts: list[int], first: int, last: int) -> tuple[range, int]:
    """Chunks that overlap [first, last) and where the first of them begins."""
    low = int(np.searchsorted(starts, first, side="right")) - 1
    high = int(np.searchsorted(starts, last, side="left"))
    return range(low, high), starts[low]


def _pieces(
    source: Source,
    lattice: tuple[list[int], list[int]],
    row: int,
    col: int,
    height: int,
    width: int,
) -> tuple[list[list[Any]], tuple[tuple[int, int, int, int], tuple[int, int, int, int]]]:
    """Keys of the chunks below a block as a grid, and how to cut and pad what they hold."""
    y = source.span(row, row + height, source.array.shape[-2])
    x = source.span(col, col + width, source.array.shape[-1])
    chunk_rows, origin_y = _touched(lattice[0], y[0], y[1])
    chunk_cols, origin_x = _touched(lattice[1], x[0], x[1])
    zeros = (0,) * (source.array.ndim - 2)
    keys = [[(source.array.name, *zeros, i, j) for j in chunk_cols] for i in chunk_rows]
    cut_y = (y[0] - origin_y, y[1] - origin_y, y[2], y[3])
    cut_x = (x[0] - origin_x, x[1] - origin_x, x[2], x[3])
    return keys, (cut_y, cut_x)


def _run(
    function: Callable[..., npt.NDArray[Any]],
    block: Block,
    pieces: Sequence[Sequence[Sequence[npt.NDArray[Any]]]],
    cuts: Sequence[tuple[tuple[int, int, int, int], tuple[int, int, int, int]]],
    shared: Sequence[Any],
    parameters: Mapping[str, Any],
) -> npt.NDArray[Any]:
    arrays = [_join(grid, cut) for grid, cut in zip(pieces, cuts, strict=True)]
    return function(block, *arrays, *shared, **parameters)


def _join(
    grid: Sequence[Sequence[npt.NDArray[Any]]],
    cut: tuple[tuple[int, int, int, int], tuple[int, int, int, int]],
) -> npt.NDArray[Any]:
    """Cut the wanted window out of a grid of chunks without copying more than it."""
    (top, bottom, pad_top, pad_bottom), (left, right, pad_left, pad_right) = cut
    first = grid[0][0]
    lead = first.shape[:-2]
    if len(grid) == 1 and len(grid[0]) == 1:
        window = first[..., top:bottom, left:right]
        if not (pad_top or pad_bottom or pad_left or pad_right):
            return window
    out = np.empty(
        (*lead, bottom - top + pad_top + pad_bottom, right - left + pad_left + pad_right),
        first.dtype,
    )
    y = 0
    for line in grid:
        rows = line[0].shape[-2]
        y0, y1 = max(top, y), min(bottom, y + rows)
        x = 0
        for chunk in line:
            cols = chunk.shape[-1]
            x0, x1 = max(left, x), min(right, x + cols)
            if y1 > y0 and x1 > x0:
                out[
                    ...,
                    pad_top + y0 - top : pad_top + y1 - top,
                    pad_left + x0 - left : pad_left + x1 - left,
                ] = chunk[..., y0 - y : y1 - y, x0 - x : x1 - x]
            x += cols
        y += rows
    _replicate_edges(out, pad_top, pad_bottom, pad_left, pad_right)
    return out


def _replicate_edges(out: npt.NDArray[Any], top: int, bottom: int, left: int, right: int) -> None:
    height, width = out.shape[-2:]
    if left:
        out[..., :, :left] = out[..., :, left : left + 1]
    if right:
        out[..., :, width - right :] = out[..., :, width - right - 1 : width - right]
    if top:
        out[..., :top, :] = out[..., top : top + 1, :]
    if bottom:
        out[..., height - bottom :, :] = out[..., height - bottom - 1 : height - bottom, :]

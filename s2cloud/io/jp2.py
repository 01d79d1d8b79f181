"""JPEG 2000 files as Sentinel-2 uses them: an index of tile-parts, and tiles decoded one by one.

A tile-part is self-contained once the main header stands before it, so a tile is decoded from
its own bytes alone, and a reduced resolution from the first bytes of its tile-part: with the
progression by resolution of ESA's files the packets of the coarse levels come first.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

from s2cloud.io.jp2_header import (
    SOT_BYTES,
    J2KHeader,
    Marker,
    Parts,
    checked_parts,
    malformed,
    truncated,
)
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

__all__ = [
    "decode_reduced",
    "decode_tile",
    "is_reducible",
    "parts_in_memory",
    "reduced_prefix",
    "walk_parts",
]


def walk_parts(
    header: J2KHeader, read: Callable[[int, int], bytes], prefix: int = 0
) -> tuple[Parts, dict[int, bytes]]:
    """Tile-parts found by hopping from one to the next, for files without TLM.

    Parameters
    ----------
    header
        Main header of the file.
    read
        Function of first byte and byte after the last that returns those bytes.
    prefix
        Bytes of each tile-part to fetch and keep on the way. [byte]

    Returns
    -------
    parts
        Position of every tile-part.
    prefixes
        First bytes of the first tile-part of each tile.
    """
    parts: dict[int, list[tuple[int, int]]] = {}
    prefixes: dict[int, bytes] = {}
    remaining = dict.fromkeys(range(header.tile_rows * header.tile_cols), -1)
    position = header.first_part
    while any(remaining.values()):
        data = read(position, min(position + max(SOT_BYTES, prefix), header.file_size))
        if data[:2] == b"\xff\xd9":
            break
        tile, length, total = _sot(header, data, position)
        seen = parts.setdefault(tile, [])
        seen.append((position, length))
        if prefix:
            prefixes.setdefault(tile, data[:length])
        # TNsot 0 means "not said here": the end is then the EOC marker.
        remaining[tile] = total - len(seen) if total else -1
        position += length
    return checked_parts(header, parts, position), prefixes


def parts_in_memory(header: J2KHeader, data: bytes) -> Parts:
    """Tile-parts of a file that is in memory."""
    if header.parts:
        return header.parts
    return walk_parts(header, lambda start, stop: data[start:stop])[0]


def decode_tile(
    header: J2KHeader, tile: int, pieces: Sequence[bytes]
) -> npt.NDArray[np.unsignedinteger]:
    """Pixels of one tile.

    Parameters
    ----------
    header
        Main header of the file.
    tile
        Number of the tile, row by row.
    pieces
        Bytes of its tile-parts.

    Returns
    -------
    array
        Shape (rows, columns), with a last axis if there is more than one component.

    Raises
    ------
    InputError
        If the bytes are not those of the tile or cannot be decoded.
    """
    top, left, bottom, right = header.tile_bounds(tile)
    size = (right, bottom, left, top)
    stream = bytearray(b"\xff\x4f")
    stream += _siz_for(header, size, (header.tile_width, header.tile_height))
    stream += header.coding
    for piece in pieces:
        found, length, _ = _sot(header, piece, -1)
        if found != tile or length != len(piece):
            raise malformed(header.name, f"tile {tile} is not where the index says", -1)
        start = len(stream)
        stream += piece
        stream[start + 4 : start + 6] = b"\0\0"
    stream += b"\xff\xd9"
    return _decoded(header, tile, bytes(stream), (bottom - top, right - left))


def is_reducible(header: J2KHeader, discard: int) -> bool:
    """Whether coarse resolutions are a prefix of each tile-part, as in ESA's files.

    Whether packet lengths (PLT) are there is only seen in the tile-parts themselves.
    """
    by_resolution = header.progression == 1 or (header.progression == 0 and header.layers == 1)
    even = header.tile_width % 2**discard == 0 and header.tile_height % 2**discard == 0
    single = header.tile_rows * header.tile_cols == 1
    return header.plain and by_resolution and header.levels >= discard and (even or single)


def reduced_prefix(header: J2KHeader, tile: int, data: bytes, discard: int) -> int | None:
    """Bytes of a tile-part needed for a reduced resolution.

    Parameters
    ----------
    header
        Main header of the file.
    tile
        Number of the tile.
    data
        First bytes of its only tile-part; the markers must be complete.
    discard
        Resolutions to leave out, each a factor of two.

    Returns
    -------
    int or None
        Length of the prefix [byte]; 0 if the file tells no packet lengths, None if ``data``
        ends before the packets begin.
    """
    plan = _packets(header, tile, data, discard)
    return None if plan is None else plan[1]


def decode_reduced(
    header: J2KHeader, tile: int, data: bytes, discard: int
) -> npt.NDArray[np.unsignedinteger]:
    """Low-pass image of a tile at a reduced resolution, from the first bytes of its tile-part.

    The sample (i, j) is centred on pixel (2**discard * i, 2**discard * j) of the image: the 5/3
    wavelet keeps the even pixels. It is no block mean.

    Parameters
    ----------
    header, tile, data, discard
        As in `reduced_prefix`; ``data`` must reach to the length it returns.

    Returns
    -------
    array
        Shape (rows, columns).
    """
    plan = _packets(header, tile, data, discard)
    if plan is None or not plan[1] or len(data) < plan[1]:
        raise malformed(header.name, f"packets of tile {tile} are missing", -1)
    body = data[plan[0] : plan[1]]
    top, left, bottom, right = header.tile_bounds(tile)
    x0, y0, x1, y1 = (_ceil_shift(v, discard) for v in (left, top, right, bottom))
    stream = bytearray(b"\xff\x4f")
    stream += _siz_for(header, (x1, y1, x0, y0), (x1 - x0, y1 - y0))
    stream += _coding_for(header, discard)
    stream += struct.pack(">HHHIBB", Marker.SOT, 10, 0, SOT_BYTES + 2 + len(body), 0, 1)
    stream += struct.pack(">H", Marker.SOD) + body + b"\xff\xd9"
    return _decoded(header, tile, bytes(stream), (y1 - y0, x1 - x0))


def _sot(header: J2KHeader, data: bytes, position: int) -> tuple[int, int, int]:
    """Tile number, length and number of parts from the start of a tile-part."""
    if len(data) < SOT_BYTES:
        raise truncated(header.name, max(position, 0) + SOT_BYTES, header.file_size)
    marker, _, tile, length, _, total = struct.unpack_from(">HHHIBB", data)
    if marker != Marker.SOT or tile >= header.tile_rows * header.tile_cols:
        raise malformed(header.name, "no tile-part where one should start", position)
    if length == 0:  # the last one may leave its length open
        length = header.file_size - 2 - position if position >= 0 else len(data)
    if length < SOT_BYTES + 2:
        raise malformed(header.name, f"tile-part of {length} bytes", position)
    if position >= 0 and position + length + 2 > header.file_size:
        raise truncated(header.name, position + length + 2, header.file_size)
    return tile, length, total


def _packets(header: J2KHeader, tile: int, data: bytes, discard: int) -> tuple[int, int] | None:
    """First byte of the packets and the byte after the last one that is kept.

    (0, 0) if that cannot be told from this file, None if more bytes are needed to tell.
    """
    _, length, total = _sot(header, data, -1)
    position, value = SOT_BYTES, 0
    lengths: list[int] = []
    if total > 1:
        return (0, 0)
    while True:
        if position + 4 > len(data):
            return None
        marker, size = struct.unpack_from(">HH", data, position)
        if marker == Marker.SOD:
            break
        if (
            marker in {Marker.COD, Marker.COC, Marker.QCD, Marker.QCC, Marker.POC, Marker.PPT}
            or marker < 0xFF00
        ):
            return (0, 0)
        if position + 2 + size > len(data):
            return None
        if marker == Marker.PLT:
            for byte in data[position + 5 : position + 2 + size]:
                value = (value << 7) | (byte & 0x7F)
                if not byte & 0x80:
                    lengths.append(value)
                    value = 0
        position += 2 + size
    packets = header.layers * header.components
    counts = [packets * _precinct_count(header, tile, r) for r in range(header.levels + 1)]
    if len(lengths) != sum(counts):
        return (0, 0)
    first = position + 2
    last = first + sum(lengths[: sum(counts[: header.levels + 1 - discard])])
    return (first, last) if last <= length else (0, 0)


def _precinct_count(header: J2KHeader, tile: int, resolution: int) -> int:
    shift = header.levels - resolution
    top, left, bottom, right = (_ceil_shift(v, shift) for v in header.tile_bounds(tile))
    wide, high = header.precincts[resolution]
    across = _ceil_shift(right, wide) - (left >> wide) if right > left else 0
    down = _ceil_shift(bottom, high) - (top >> high) if bottom > top else 0
    return across * down


def _siz_for(
    header: J2KHeader, size: tuple[int, int, int, int], tile: tuple[int, int]
) -> bytearray:
    siz = bytearray(header.siz)
    x1, y1, x0, y0 = size
    struct.pack_into(">8I", siz, 6, x1, y1, x0, y0, *tile, x0, y0)
    return siz


def _coding_for(header: J2KHeader, discard: int) -> bytes:
    """Coding and quantisation segments for an image with fewer decompositions."""
    out, position = bytearray(), 0
    while position < len(header.coding):
        marker, length = struct.unpack_from(">HH", header.coding, position)
        segment = bytearray(header.coding[position : position + 2 + length])
        position += 2 + length
        if marker == Marker.COD and discard:
            segment[9] -= discard
            if segment[4] & 1:
                segment = segment[:-discard]
        elif marker == Marker.QCD and discard:
            # Three subbands per level: one byte each if reversible, two if not, one value for
            # all of them if derived.
            size = {0: 1, 1: 0, 2: 2}.get(segment[4] & 0x1F, 0)
            segment = segment[: len(segment) - 3 * discard * size]
        struct.pack_into(">H", segment, 2, len(segment) - 2)
        out += segment
    return bytes(out)


def _decoded(
    header: J2KHeader, tile: int, stream: bytes, shape: tuple[int, int]
) -> npt.NDArray[np.unsignedinteger]:
    try:
        pixels = np.asarray(imagecodecs.jpeg2k_decode(stream, numthreads=1))
    except Exception as error:
        raise _undecodable(header, tile, str(error)) from error
    expected = shape if header.components == 1 else (*shape, header.components)
    if pixels.shape != expected:
        raise _undecodable(header, tile, f"shape {pixels.shape} instead of {expected}")
    return pixels.astype(header.dtype, copy=False)


def _undecodable(header: J2KHeader, tile: int, found: str) -> InputError:
    return InputError(
        f"JPEG 2000 tile {tile} cannot be decoded",
        where=header.name,
        found=found,
        fix="download the image again",
    )


def _ceil_shift(value: int, shift: int) -> int:
    return -(-value >> shift)

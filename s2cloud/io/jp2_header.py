"""Main header of a JPEG 2000 file: what it says, checked, without decoding a pixel."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "HEADER_BYTES",
    "J2KHeader",
    "Marker",
    "Parts",
    "checked_parts",
    "georeference",
    "malformed",
    "read_header",
    "truncated",
]

#: Bytes fetched for a header: boxes, GMLJP2 and main header of ESA's files take 3 to 4 KiB.
HEADER_BYTES: Final = 8192
MAX_HEADER_BYTES: Final = 4 * 2**20
#: Larger images than this are no Sentinel-2 tile; a damaged header must not allocate memory.
MAX_SIDE: Final = 32_768
#: Length of the marker segment that starts a tile-part.
SOT_BYTES: Final = 12
_SUPER_BOX_LIMIT: Final = 1000

#: Tile number -> (first byte, length) of its tile-parts, in file order.
Parts = dict[int, tuple[tuple[int, int], ...]]


class Marker(IntEnum):
    """Markers of ITU-T T.800, table A.2, that are told apart here."""

    SOC = 0xFF4F
    SIZ = 0xFF51
    COD = 0xFF52
    COC = 0xFF53
    TLM = 0xFF55
    PLM = 0xFF57
    PLT = 0xFF58
    QCD = 0xFF5C
    QCC = 0xFF5D
    POC = 0xFF5F
    PPM = 0xFF60
    PPT = 0xFF61
    CRG = 0xFF63
    COM = 0xFF64
    SOT = 0xFF90
    SOD = 0xFF93


@dataclass(frozen=True, slots=True)
class J2KHeader:
    """What the main header of a code stream says.

    Attributes
    ----------
    name
        Address of the file for messages.
    file_size
        Where the code stream ends in the file. [byte]
    first_part
        Offset of the first tile-part in the file. [byte]
    width, height, tile_width, tile_height
        Size of the image and of its tiles. [pixel]
    components, bits
        Number of components and bits of the first one.
    siz, coding
        SIZ segment, and all coding and quantisation segments, as they stand in the file.
    levels, layers, progression
        Wavelet decompositions, quality layers, order of packets (0 LRCP, 1 RLCP, ...).
    precincts
        Exponents of the precinct width and height, one pair per resolution.
    plain
        Whether all tiles share the one coding described here.
    parts
        Tile-parts listed by a TLM segment; empty if the file has none.
    """

    name: str
    file_size: int
    first_part: int
    width: int
    height: int
    tile_width: int
    tile_height: int
    components: int
    bits: int
    siz: bytes
    coding: bytes
    levels: int
    layers: int
    progression: int
    precincts: tuple[tuple[int, int], ...]
    plain: bool
    parts: Parts = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return (self.height, self.width)

    @property
    def tile_rows(self) -> int:
        """Number of tile rows."""
        return -(-self.height // self.tile_height)

    @property
    def tile_cols(self) -> int:
        """Number of tile columns."""
        return -(-self.width // self.tile_width)

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """Type of the decoded pixels."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    def tile_bounds(self, tile: int) -> tuple[int, int, int, int]:
        """First row, first column, row and column after the last, of a tile. [pixel]."""
        row, col = divmod(tile, self.tile_cols)
        top, left = row * self.tile_height, col * self.tile_width
        return (
            top,
            left,
            min(top + self.tile_height, self.height),
            min(left + self.tile_width, self.width),
        )

    def without_parts(self) -> J2KHeader:
        """The same without the table of tile-parts, lighter to send to workers."""
        return replace(self, parts={})


class _NeedMore(Exception):  # noqa: N818  # a request for more bytes, not an error
    pass


def read_header(read: Callable[[int, int], bytes], file_size: int, name: str) -> J2KHeader:
    """Header of a JP2 file or of a bare code stream.

    Parameters
    ----------
    read
        Function of first byte and byte after the last that returns those bytes; called once
        for files with a header below `HEADER_BYTES`.
    file_size
        Length of the file. [byte]
    name
        Address of the file for messages.

    Returns
    -------
    J2KHeader

    Raises
    ------
    InputError
        If this is no JPEG 2000 file, or it is damaged or truncated.
    """
    length = min(HEADER_BYTES, file_size)
    while True:
        data = read(0, length)
        try:
            return _parse(data, file_size, name)
        except _NeedMore:
            if length >= file_size or length >= MAX_HEADER_BYTES or len(data) < length:
                raise malformed(name, "the header is cut off", len(data)) from None
            length = min(length * 8, file_size, MAX_HEADER_BYTES)


def georeference(data: bytes) -> tuple[float, float, float] | None:
    """Outer corner of the upper left pixel and pixel size from the GMLJP2 box.

    Parameters
    ----------
    data
        First bytes of the file.

    Returns
    -------
    tuple or None
        Easting and northing of the corner, size of a pixel. [m]
    """
    number = rb"(-?[\d.]+(?:[eE][-+]?\d+)?)"
    position = re.search(rb"<gml:pos>\s*" + number + rb"\s+" + number, data)
    vectors = re.findall(rb"<gml:offsetVector[^>]*>\s*" + number + rb"\s+" + number, data)
    if position is None or len(vectors) < 2:
        return None
    x, y = float(position[1]), float(position[2])
    step_x, step_y = float(vectors[0][0]), float(vectors[1][1])
    if step_x <= 0 or not np.isclose(step_y, -step_x, rtol=1e-6):
        return None
    # GMLJP2 gives the centre of the first pixel.
    return (x - step_x / 2, y + step_x / 2, step_x)


def _parse(data: bytes, file_size: int, name: str) -> J2KHeader:
    start, end = _codestream(data, file_size, name)
    if _u16(data, start) != Marker.SOC:
        raise malformed(name, "no JPEG 2000 code stream", start)
    position = start + 2
    siz, coding, tables = b"", bytearray(), []
    markers: set[int] = set()
    while True:
        marker = _u16(data, position)
        if marker == Marker.SOT:
            break
        length = _u16(data, position + 2)
        if marker < 0xFF00 or length < 2:
            raise malformed(name, f"unexpected marker 0x{marker:04X}", position)
        if position + 2 + length > len(data):
            raise _NeedMore
        segment = data[position : position + 2 + length]
        markers.add(marker)
        if marker == Marker.SIZ:
            siz = segment
        elif marker == Marker.TLM:
            tables.append(segment)
        elif marker not in {Marker.COM, Marker.CRG, Marker.PLM}:
            coding += segment
        position += 2 + length
    header = _header(name, end, position, siz, bytes(coding), markers)
    if not tables:
        return header
    return replace(header, parts=_table(header, tables))


def _codestream(data: bytes, file_size: int, name: str) -> tuple[int, int]:
    if data[:2] == b"\xff\x4f":
        return 0, file_size
    if data[4:8] != b"jP  ":
        raise InputError(
            "not a JPEG 2000 file",
            where=name,
            found=repr(data[:8]),
            fix="download the image again",
        )
    position = 0
    for _ in range(_SUPER_BOX_LIMIT):
        if position + 16 > len(data):
            raise _NeedMore
        length, kind = struct.unpack_from(">I4s", data, position)
        body = position + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, body)
            body += 8
        elif length == 0:
            length = file_size - position
        if kind == b"jp2c":
            if position + length > file_size:
                raise truncated(name, position + length, file_size)
            return body, position + length
        if length < body - position:
            raise malformed(name, "box of impossible length", position)
        position += length
    raise malformed(name, "no code stream box", position)


def _header(
    name: str, end: int, first_part: int, siz: bytes, coding: bytes, markers: set[int]
) -> J2KHeader:
    if len(siz) < 41 or Marker.COD not in markers or Marker.QCD not in markers:
        raise malformed(name, "incomplete main header", first_part)
    width, height, x0, y0, tile_w, tile_h, tile_x0, tile_y0, count = struct.unpack_from(
        ">8IH", siz, 6
    )
    sane = 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and tile_w > 0 and tile_h > 0
    samples = siz[40 : 40 + 3 * count]
    sane = sane and 0 < count <= 64 and len(samples) == 3 * count
    if not sane or any((x0, y0, tile_x0, tile_y0)) or set(samples[1::3] + samples[2::3]) != {1}:
        raise malformed(name, f"unusual image of {width} x {height} x {count}", first_part)
    bits = (samples[0] & 0x7F) + 1
    if bits > 16 or samples[0] & 0x80:
        raise malformed(name, f"samples of {bits} bits", first_part)
    cod = coding[_offset_of(coding, Marker.COD) :]
    if len(cod) < 14 or len(coding[_offset_of(coding, Marker.QCD) :]) < 6:
        raise malformed(name, "damaged coding style", first_part)
    style, progression, layers = struct.unpack_from(">BBH", cod, 4)
    levels = cod[9]
    if levels > 32 or len(cod) < 14 + (levels + 1 if style & 1 else 0):
        raise malformed(name, "damaged coding style", first_part)
    sizes = cod[14 : 15 + levels] if style & 1 else bytes([0xFF] * (levels + 1))
    return J2KHeader(
        name=name,
        file_size=end,
        first_part=first_part,
        width=width,
        height=height,
        tile_width=min(tile_w, width),
        tile_height=min(tile_h, height),
        components=count,
        bits=bits,
        siz=siz,
        coding=coding,
        levels=levels,
        layers=layers,
        progression=progression,
        precincts=tuple((size & 15, size >> 4) for size in sizes),
        plain=not markers & {Marker.POC, Marker.COC, Marker.QCC, Marker.PPM},
    )


def _table(header: J2KHeader, segments: Sequence[bytes]) -> Parts:
    parts: dict[int, list[tuple[int, int]]] = {}
    position, number = header.first_part, 0
    for segment in sorted(segments, key=lambda s: s[4]):
        style = segment[5]
        index_bytes = (style >> 4) & 3
        length_bytes = 4 if style & 0x40 else 2
        step = index_bytes + length_bytes
        for at in range(6, len(segment) - step + 1, step):
            tile = int.from_bytes(segment[at : at + index_bytes], "big") if index_bytes else number
            length = int.from_bytes(segment[at + index_bytes : at + step], "big")
            parts.setdefault(tile, []).append((position, length))
            position += length
            number += 1
    return checked_parts(header, parts, position)


def checked_parts(header: J2KHeader, parts: Mapping[int, list[tuple[int, int]]], end: int) -> Parts:
    """Table of tile-parts, if it is complete and within the file."""
    if end + 2 > header.file_size:
        raise truncated(header.name, end + 2, header.file_size)
    count = header.tile_rows * header.tile_cols
    missing = [tile for tile in range(count) if tile not in parts]
    if missing or len(parts) != count:
        raise malformed(header.name, f"{len(missing)} of {count} tiles are missing", end)
    return {tile: tuple(pieces) for tile, pieces in parts.items()}


def truncated(name: str, expected: int, found: int) -> InputError:
    """Error for a file that ends early."""
    return InputError(
        "truncated image",
        where=name,
        expected=f"at least {expected} bytes",
        found=found,
        fix="download the image again",
    )


def malformed(name: str, found: str, position: int) -> InputError:
    """Error for bytes that make no sense; no position if negative."""
    return InputError(
        "damaged JPEG 2000 image",
        where=f"{name} at byte {position}" if position >= 0 else name,
        found=found,
        fix="download the image again",
    )


def _offset_of(coding: bytes, wanted: int) -> int:
    position = 0
    while position < len(coding):
        marker, length = struct.unpack_from(">HH", coding, position)
        if marker == wanted:
            return position
        position += 2 + length
    return position


def _u16(data: bytes, position: int) -> int:
    if position + 2 > len(data):
        raise _NeedMore
    return int.from_bytes(data[position : position + 2], "big")

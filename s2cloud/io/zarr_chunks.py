"""The bytes of the chunks of a Zarr store: blosc, and shards of smaller chunks."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, cast

import google_crc32c
import imagecodecs
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BLOSC", "encode_chunk", "encode_shard"]

#: Sensor noise dominates: higher levels cost time and save nothing.
BLOSC: Final[dict[str, Any]] = {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle"}
_EMPTY: Final = 2**64 - 1


def encode_chunk(block: npt.NDArray[Any]) -> bytes:
    """Bytes of a chunk as the ``bytes`` and ``blosc`` codecs of Zarr read them.

    One thread, for several would store their blocks in the order they finish and equal pixels
    would not make equal bytes; the parallelism is over chunks.
    """
    little = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
    return bytes(
        imagecodecs.blosc_encode(
            cast("Any", little),  # the stub knows bytes only
            level=BLOSC["clevel"],
            compressor=BLOSC["cname"],
            shuffle=BLOSC["shuffle"],
            typesize=little.dtype.itemsize,
            numthreads=1,
        )
    )


def encode_shard(block: npt.NDArray[Any], side: int, fill: int) -> bytes:
    """Bytes of a shard of square chunks.

    Parameters
    ----------
    block
        Pixels of the shard, a multiple of `side` in rows and columns.
    side
        Rows and columns of a chunk.
    fill
        No-data: chunks without data are not stored.

    Notes
    -----
    Chunks in C order, then the index: offset and length of each as little-endian 64-bit integers,
    all bits set for chunks that are not stored, and the CRC-32C of the index (Zarr v3,
    ``sharding_indexed``, ``index_location`` = ``end``).
    """
    parts, index, offset = [], [], 0
    for top in range(0, block.shape[0], side):
        for left in range(0, block.shape[1], side):
            chunk = block[top : top + side, left : left + side]
            if not (chunk != fill).any():
                index += [_EMPTY, _EMPTY]
                continue
            data = encode_chunk(chunk)
            parts.append(data)
            index += [offset, len(data)]
            offset += len(data)
    table = struct.pack(f"<{len(index)}Q", *index)
    checksum = struct.pack("<I", google_crc32c.value(table))
    return b"".join([*parts, table, checksum])

"""The yardstick: copy the thirteen bands of a SAFE product to tiled TIFF with overviews.

    python benchmarks/copy_limit.py SAFE FOLDER [THREADS]

Decodes every tile of every image once, halves it until one tile holds it, and compresses all of
that with ZSTD: what every processor that makes a product of the same size must do at least.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np

from s2cloud.io.cog_file import TILE
from s2cloud.io.cog_pixels import cut_tile, halved
from s2cloud.io.jp2 import decode_tile, parts_in_memory
from s2cloud.io.jp2_header import read_header


def copied(source: Path, target: Path, pool: ThreadPoolExecutor) -> int:
    """Copy one image; returns its pixels."""
    data = source.read_bytes()
    header = read_header(lambda start, stop: data[start:stop], len(data), source.name)
    image = np.empty((*header.shape, 1), np.uint16)

    def decode(item: tuple[int, tuple[tuple[int, int], ...]]) -> None:
        tile, pieces = item
        top, left, bottom, right = header.tile_bounds(tile)
        image[top:bottom, left:right, 0] = decode_tile(
            header, tile, [data[at : at + length] for at, length in pieces]
        )

    def encode(place: tuple[int, int]) -> bytes:
        tile = np.empty((TILE, TILE, 1), np.uint16)
        cut_tile(level, *place, tile, differences=True)
        return bytes(imagecodecs.zstd_encode(tile.tobytes(), level=1))

    parts = parts_in_memory(header, data)
    list(pool.map(decode, ((tile, tuple(pieces)) for tile, pieces in parts.items())))
    level = image
    with target.open("wb") as file:
        while True:
            height, width = level.shape[:2]
            places = [(y, x) for y in range(0, height, TILE) for x in range(0, width, TILE)]
            file.writelines(pool.map(encode, places))
            if max(height, width) <= TILE:
                return image.size
            level = halved(level, 0, "AVERAGE")


def main() -> None:
    """Copy a product and tell what it took."""
    safe, folder = Path(sys.argv[1]), Path(sys.argv[2])
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
    folder.mkdir(parents=True, exist_ok=True)
    start = time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        images = sorted(safe.glob("GRANULE/*/IMG_DATA/*_B*.jp2"))
        pixels = sum(copied(image, folder / f"{image.stem}.tiles", pool) for image in images)
    print(f"{len(images)} bands, {pixels / 1e6:.0f} Mpx, {time.process_time() - start:.1f} CPU s")


if __name__ == "__main__":
    main()

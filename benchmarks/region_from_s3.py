"""Bytes and time of a region of 5 km from a full tile on S3, against whole bands.

    python benchmarks/region_from_s3.py SAFE

SAFE is a local L1C product of full size, such as one made by `s2cloud simulate --size 10980`. A
versitygw (see .ci/versitygw) serves it on loopback, through a relay that counts every byte it
answers, and writes the section of docs/robustness.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
from pyproj import Transformer

import s2cloud as s2
from s2cloud.model.grid import grid_of

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from sections import replace_section  # noqa: E402

from tests.soak.servers import S3Server, free_port  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 1e6


class Relay:
    """Forwards connections to a port and counts what comes back."""

    def __init__(self, upstream: int) -> None:
        self.port, self.upstream, self.bytes = free_port(), upstream, 0
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        time.sleep(1)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_connection("127.0.0.1", self.upstream)
        await asyncio.gather(self._pass(reader, out, 0), self._pass(far, writer, 1))

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: int
    ) -> None:
        try:
            while data := await reader.read(262_144):
                self.bytes += counts * len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


def region(tree: Any, km: float) -> tuple[float, float, float, float]:
    """Square of some kilometres in the middle of a product. West, south, east, north [degree]."""
    grid = grid_of(tree["measurements/reflectance/r10m"])
    west, south, east, north = grid.bounds
    x, y, half = (west + east) / 2, (south + north) / 2, km * 500.0
    found = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform_bounds(
        x - half, y - half, x + half, y + half
    )
    return tuple(found)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("safe", type=Path)
    safe: Path = parser.parse_args().safe
    folder = Path(tempfile.mkdtemp(dir=safe.parent))
    server = S3Server(folder)
    try:
        server.start()
        shutil.copytree(safe, folder / "data" / "l1c" / safe.name, copy_function=os.link)
        measure(server, safe)
    finally:
        server.kill()
        shutil.rmtree(folder)


def measure(server: S3Server, safe: Path) -> None:
    """Read and process parts of the product; write the section."""
    relay = Relay(server.port)
    options = {**server.options, "endpoint_url": f"http://127.0.0.1:{relay.port}"}
    uri = f"s3://l1c/{safe.name}"
    total = sum(f.stat().st_size for f in safe.rglob("*") if f.is_file())
    began = time.monotonic()
    box = region(s2.open_l1c(uri, storage_options=options), 5.0)
    lines = ["| what | MB | share of the product | s |", "|---|---|---|---|"]

    def measured(what: str, action: Callable[[], object]) -> None:
        before, start = relay.bytes, time.perf_counter()
        action()
        seconds, size = time.perf_counter() - start, relay.bytes - before
        lines.append(f"| {what} | {size / MB:.1f} | {size / total:.2%} | {seconds:.1f} |")
        print(lines[-1], flush=True)

    def bands(*resolutions: int, **keywords: Any) -> None:
        tree = s2.open_l1c(uri, storage_options=options, **keywords)
        nodes = [tree[f"measurements/reflectance/r{r}m"] for r in resolutions]
        dask.compute(*(v.data for node in nodes for v in node.data_vars.values()))

    def surface(**keywords: Any) -> None:
        tree = s2.open_l1c(uri, storage_options=options, bbox=box, **keywords)
        l2a = s2.process(tree)
        node = l2a["measurements/reflectance/r10m"]
        dask.compute(*(v.data for v in node.data_vars.values()))

    def write() -> None:
        stamp = (
            f"Measured {datetime.now(UTC):%Y-%m-%d} by `python benchmarks/region_from_s3.py SAFE` "
            f"on {server.name} over loopback, Python {platform.python_version()}, {os.cpu_count()} "
            f"cores (load {os.getloadavg()[0]:.0f}), in {time.monotonic() - began:.0f} s. Product: "
            f"{safe.name}, {total / MB:.0f} MB. Bytes are those of the answers, with headers."
        )
        page = ROOT / "docs" / "robustness.md"
        replace_section(page, "region", "\n".join([stamp, "", *lines]))

    with dask.config.set(scheduler="threads", num_workers=2):
        bands(10, bbox=box)  # compiles and warms
        measured("5 km, the bands of 10 m", lambda: bands(10, bbox=box))
        measured("5 km, all bands", lambda: bands(10, 20, 60, bbox=box))
        measured("whole tile, the bands of 10 m", lambda: bands(10))
        write()
        measured("5 km, surface reflectance at 10 m, statistics of the region",
                 lambda: surface(statistics="region"))  # fmt: skip
        measured("5 km, surface reflectance at 10 m, statistics of the tile", surface)
        write()


if __name__ == "__main__":
    main()

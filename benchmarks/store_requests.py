"""Count requests and bytes of opening, of a region and of a band on an S3 server; prints Markdown.

    python benchmarks/store_requests.py SAFE

SAFE is a local L1C product folder, such as one made by `s2cloud simulate`. It is copied to an
embedded S3 server on loopback, and what the server answers is counted there, so that nothing the
client does can be forgotten.
"""

from __future__ import annotations

import argparse
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import s3fs
from moto.server import DomainDispatcherApplication, create_backend_app
from pyproj import Transformer
from werkzeug.serving import make_server

import s2cloud as s2
from s2cloud.model.grid import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BUCKET = "l1c"
MB = 1e6


@dataclass
class Counter:
    """WSGI application that counts what passes through."""

    application: Any
    requests: int = 0
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""

        def counted(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if environ["REQUEST_METHOD"] in {"GET", "HEAD"}:
                length = int(dict(headers).get("Content-Length", 0))
                with self.lock:
                    self.requests += 1
                    self.size += length if environ["REQUEST_METHOD"] == "GET" else 0
            return start_response(status, headers, *rest)

        answer: Iterable[bytes] = self.application(environ, counted)
        return answer


def measured(counter: Counter, title: str, action: Callable[[], object]) -> None:
    """Print requests and bytes of an action as a line of a table."""
    before = counter.requests, counter.size
    action()
    print(
        f"| {title} | {counter.requests - before[0]} | {(counter.size - before[1]) / MB:.3f} |",
        flush=True,
    )


def region(uri: str, options: dict[str, Any], km: float) -> tuple[float, float, float, float]:
    """Square of some kilometres in the middle of a product. West, south, east, north in degrees."""
    grid = grid_of(s2.open_l1c(uri, storage_options=options)["measurements/reflectance/r10m"])
    west, south, east, north = grid.bounds
    x, y, half = (west + east) / 2, (south + north) / 2, km * 500.0
    found = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform_bounds(
        x - half, y - half, x + half, y + half
    )
    return tuple(found)


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("safe", type=Path)
    safe: Path = parser.parse_args().safe
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    counter = Counter(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, counter, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = {"endpoint_url": f"http://127.0.0.1:{server.port}"}
    store = s3fs.S3FileSystem(**options)
    store.mkdir(BUCKET)
    store.put(str(safe), f"{BUCKET}/{safe.name}", recursive=True)
    total = sum(f.stat().st_size for f in safe.rglob("*") if f.is_file())
    uri = f"s3://{BUCKET}/{safe.name}"
    print(f"{safe.name}, {total / MB:.1f} MB in {sum(1 for _ in safe.rglob('*.*'))} files\n")
    print("| what | GET and HEAD requests | MB |\n|---|---|---|")

    def opened(**keywords: Any) -> Any:
        s3fs.S3FileSystem.clear_instance_cache()
        return s2.open_l1c(uri, storage_options=options, **keywords)

    measured(counter, "open", opened)
    box = region(uri, options, 5.0)
    path = "measurements/reflectance/r10m/b04"
    with dask.config.set(scheduler="threads", num_workers=2):
        measured(counter, "open, one band of 5 km", lambda: opened(bbox=box)[path].values)
        measured(counter, "open, one whole 10 m band", lambda: opened()[path].values)

        def all_bands() -> None:
            tree = opened(bbox=box)
            dask.compute(
                *(
                    variable.data
                    for resolution in (10, 20, 60)
                    for variable in tree[
                        f"measurements/reflectance/r{resolution}m"
                    ].data_vars.values()
                )
            )

        measured(counter, "open, all bands of 5 km", all_bands)
        measured(
            counter,
            "open, overview of the tile",
            lambda: opened()["measurements/overview/r60m"].to_dataset().compute(),
        )
    server.shutdown()


if __name__ == "__main__":
    main()

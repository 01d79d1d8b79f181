"""Which files of a tiled map lie under a tile, and whether they are there."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from s2cloud.io.auxiliary.rasters import RasterFile
from s2cloud.io.auxiliary.sampling import Area, Lattice, central_meridian
from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url, parent_url
from s2cloud.model.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from s2cloud.io.stores import Store
    from s2cloud.model.grid import Grid

__all__ = [
    "beside",
    "corner_name",
    "degree_corners",
    "existing",
    "local_names",
    "member",
    "nothing_found",
    "single",
]

#: Files of these are handed over as they are: paths of GDAL's own virtual file systems.
_GDAL = "/vsi"


def degree_corners(grid: Grid, margin_m: float, step: int) -> list[tuple[int, int]]:
    """South-west corners of the cells of ``step`` degrees that touch an area.

    Parameters
    ----------
    grid
        Area.
    margin_m
        Around it. [m]
    step
        Size of the cells; corners are multiples of it. [degree]

    Returns
    -------
    list of tuple
        Latitude and longitude, longitudes from -180 on; across the date line there are both
        -180 and 177 or 179.
    """
    margin = math.ceil(margin_m / grid.pixel_size)
    area = Area(grid, -margin, -margin, grid.height + 2 * margin, grid.width + 2 * margin)
    lattice = Lattice.of(area, "EPSG:4326", central_meridian(grid.crs))
    if not np.isfinite(lattice.x).all():
        raise InputError(
            "area without longitudes and latitudes",
            where=grid.crs,
            found=f"bounds {grid.bounds}",
            fix="check the reference system and the corner of the tile",
        )
    # The lattice is more than one pixel of any map wider than the area.
    west, east = (math.floor(v / step) * step for v in (lattice.x.min(), lattice.x.max()))
    south, north = (math.floor(v / step) * step for v in (lattice.y.min(), lattice.y.max()))
    return sorted(
        {
            (lat, (lon + 180) % 360 - 180)
            for lat in range(max(south, -90), min(north, 89) + 1, step)
            for lon in range(west, east + 1, step)
        }
    )


def corner_name(lat: int, lon: int, template: str) -> str:
    """Name of a cell: ``{ns}``, ``{lat}``, ``{ew}`` and ``{lon}`` of a template filled in."""
    return template.format(
        ns="N" if lat >= 0 else "S",
        lat=f"{abs(lat):02d}",
        ew="E" if lon >= 0 else "W",
        lon=f"{abs(lon):03d}",
    )


def existing(store: Store, candidates: Sequence[Sequence[str]]) -> list[str | None]:
    """First path of each row of candidates that is there, None where none is."""

    def first(paths: Sequence[str]) -> str | None:
        return next((path for path in paths if store.exists(path)), None)

    with ThreadPoolExecutor(min(8, store.concurrency)) as pool:
        return list(pool.map(first, candidates))


def nothing_found(store: Store, what: str, belongs: Callable[[str], bool], example: str) -> None:
    """Refuse a folder that holds no file of a map at all; over HTTP nobody can tell.

    Raises
    ------
    InputError
        If the folder can be listed and has nothing that belongs to the map.
    """
    if store.protocol in {"http", "https"}:
        return
    names = store.listdir()
    if not any(belongs(name) for name in names):
        raise InputError(
            f"no tiles of {what}",
            where=store.url(),
            expected=f"names such as {example}",
            found=", ".join(names[:4]) or "nothing",
            fix="give the folder or bucket that holds them",
        )


def single(address: str, storage_options: Mapping[str, Any]) -> RasterFile:
    """One raster by its own address, without a look at it.

    Raises
    ------
    UsageError
        If the address is a folder's.
    """
    if address.startswith(_GDAL):
        return RasterFile(None, address)
    if address.endswith("/"):
        raise UsageError(
            "one raster is wanted, not a folder",
            where=address,
            fix="give the address of the file",
        )
    if address.lower().partition("?")[0].endswith(".zip"):
        return RasterFile(*member(address, storage_options))
    folder, name = parent_url(address)
    return RasterFile(open_store(folder, storage_options), name)


def member(address: str, storage_options: Mapping[str, Any]) -> tuple[Store, str]:
    """Archive and the name of the one raster in it."""
    store = open_store(address, storage_options)
    names = [n for n in store.find() if n.lower().endswith((".hgt", ".tif", ".tiff", ".img"))]
    if len(names) != 1:
        raise InputError(
            "archive without one raster",
            where=store.url(),
            expected="one .hgt or .tif",
            found=", ".join(names[:4]) or "none",
            fix="unpack it and give the address of the raster",
        )
    return store, names[0]


def beside(store: Store, path: str) -> RasterFile:
    """File of a folder, or the raster in it where it is an archive."""
    if path.lower().endswith(".zip"):
        return RasterFile(*member(join_url(store.uri, path), store.storage_options))
    return RasterFile(store, path)


def local_names(address: str) -> list[str]:
    """Names in a folder of this machine, sorted; empty for anything else."""
    folder = Path(address.removeprefix("file://"))
    if "://" in address.removeprefix("file://") or not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir())

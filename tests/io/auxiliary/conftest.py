"""Small maps whose values are a formula of the place, and a tree to open them for."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from rasterio import Affine

from s2cloud.model.granule import Granule
from s2cloud.model.grid import Grid
from s2cloud.model.schema import OVERVIEW, reflectance_path


def height(lon, lat):
    """A landscape that is smooth, has slopes everywhere and does not mind the date line."""
    turn = np.radians(lon)
    return (
        1500 + 900 * np.cos(9 * turn) + 300 * np.sin(2000 * turn) * np.cos(np.radians(2400 * lat))
    )


def write(path, values, west, north, dx, dy, *, crs="EPSG:4326", **profile):
    """A GeoTIFF from its upper left corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    if profile.get("transform", 0) is None:
        del profile["transform"]
        placed = {}
    else:
        placed = {"transform": Affine(dx, 0.0, west, 0.0, -dy, north)}
    bands = values[None] if values.ndim == 2 else values
    options = {
        "driver": "GTiff",
        "crs": crs,
        **placed,
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
        "compress": "deflate",
        **profile,
    }
    count, rows, cols = bands.shape
    with rasterio.open(
        path, "w", count=count, height=rows, width=cols, dtype=bands.dtype, **options
    ) as image:
        image.write(bands)
    return path


def degree_tile(path, lat, lon, *, rows=360, cols=360, formula=height, **profile):
    """A tile of one degree laid out as Copernicus DEM: a centre on its upper left corner."""
    dx, dy = 1 / cols, 1 / rows
    x = lon + np.arange(cols) * dx
    y = lat + 1 - np.arange(rows) * dy
    values = formula(x[None, :], y[:, None]).astype(np.float32)
    return write(path, values, lon - dx / 2, lat + 1 + dy / 2, dx, dy, **profile)


def copernicus(folder, lat, lon, *, step=10, **how):
    """A tile of Copernicus DEM under its name."""
    corner = f"{'NS'[lat < 0]}{abs(lat):02d}_00_{'EW'[lon < 0]}{abs(lon):03d}_00"
    name = f"Copernicus_DSM_COG_{step}_{corner}_DEM"
    return degree_tile(folder / name / f"{name}.tif", lat, lon, **how)


def degrees(grid, array):
    """Longitudes and latitudes of the pixels of a result."""
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    return to_degrees.transform(*np.meshgrid(array["x"].values, array["y"].values))


def tree(ulx=600000.0, uly=5100000.0, *, crs="EPSG:32632", tile="32TQM", n60=40, single=None):
    """As much of an L1C tree as the maps need."""
    nodes = {}
    for resolution in (single,) if single else (10, 20, 60):
        size = n60 * 60 // resolution
        grid = Grid(crs, ulx, uly, float(resolution), size, size)
        nodes[reflectance_path(resolution)] = _band(grid)
    nodes[f"{OVERVIEW}/r60m"] = _band(Grid(crs, ulx, uly, 60.0, n60, n60))
    made = xr.DataTree.from_dict(nodes)
    name = f"S2A_MSIL1C_20250601T101601_N0511_R065_T{tile}_20250601T141234"
    identity = Granule(name, "S2A", datetime(2025, 6, 1, 10, 16, tzinfo=UTC), tile=tile)
    made.attrs = {"granule": identity.to_attrs(), "sensor": "S2A"}
    return made


def _band(grid):
    values = np.broadcast_to(np.uint16(1), grid.shape)
    return xr.Dataset(
        {"b04": (("y", "x"), values)}, coords={"y": grid.y, "x": grid.x}, attrs={"crs": grid.crs}
    )


@pytest.fixture(scope="session")
def maps():
    """The functions above."""
    return SimpleNamespace(
        height=height,
        write=write,
        degree_tile=degree_tile,
        copernicus=copernicus,
        degrees=degrees,
        tree=tree,
    )

"""Where a map is sampled and what comes out, against projections and warps of others."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import reproject

from s2cloud.io.auxiliary.elevation import PROVIDERS, Elevation
from s2cloud.io.auxiliary.mosaic import Mosaic, lazy_map
from s2cloud.io.auxiliary.rasters import RasterFile
from s2cloud.io.auxiliary.sampling import Area, Lattice, block_mean, block_mode, central_meridian
from s2cloud.io.stores import open_store
from s2cloud.model.grid import Grid

GRID = Grid("EPSG:32632", 600000.0, 5090000.0, 20.0, 300, 360)


def test_providers_are_named():
    assert set(PROVIDERS) == {"copernicus-30", "copernicus-90", "srtm", "raster"}


@pytest.mark.parametrize(
    ("crs", "ulx", "uly"),
    [
        ("EPSG:32632", 600000.0, 5100000.0),
        ("EPSG:32601", 399960.0, 9300040.0),
        ("EPSG:32633", 199980.0, 9000000.0),
        ("EPSG:32760", 799980.0, 4000000.0),
    ],
)
def test_coordinates_between_exact_ones_are_within_a_decimetre(crs, ulx, uly):
    area = Area(Grid(crs, ulx, uly, 20.0, 900, 900), 0, 0, 900, 900)
    lattice = Lattice.of(area, "EPSG:4326", central_meridian(crs))
    x = area.grid.x[::37]
    y = area.grid.y[::37]
    u, v = x / 600 - lattice.col, y / 600 - lattice.row
    j, i = np.floor(u).astype(int), np.floor(v).astype(int)
    fx, fy = (u - j)[None, :], (v - i)[:, None]

    def between(plane):
        upper = plane[np.ix_(i, j)] * (1 - fx) + plane[np.ix_(i, j + 1)] * fx
        lower = plane[np.ix_(i + 1, j)] * (1 - fx) + plane[np.ix_(i + 1, j + 1)] * fx
        return upper * (1 - fy) + lower * fy

    back = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    east, north = back.transform(between(lattice.x), between(lattice.y))
    assert np.abs(east - x[None, :]).max() < 0.1
    assert np.abs(north - y[:, None]).max() < 0.1


def test_spline_is_that_of_gdal(maps, tmp_path):
    path = maps.degree_tile(tmp_path / "a.tif", 45, 10, rows=600, cols=600)
    ours = Elevation("raster", str(path)).open(GRID, 0.0, 20.0)
    theirs = np.zeros(GRID.shape, np.float32)
    with rasterio.open(path) as source:
        reproject(
            rasterio.band(source, 1),
            theirs,
            dst_transform=rasterio.Affine(*GRID.transform),
            dst_crs=GRID.crs,
            resampling=Resampling.cubic_spline,
            tolerance=0.0,
        )
    assert ours.values.dtype == np.float32
    difference = ours.values - theirs
    assert np.ptp(theirs) > 100
    # GDAL projects a line of pixels at a time and misses up to a metre of place.
    assert np.abs(difference).max() < 0.15


def test_elevation_is_that_of_the_place(maps, tmp_path):
    # 3 arc seconds: a pixel of 93 m bends by 0.5 m over these hills, which a spline rounds off.
    path = maps.degree_tile(tmp_path / "a.tif", 45, 10, rows=1200, cols=1200)
    for resolution in (10.0, 20.0, 60.0):
        found = Elevation("raster", str(path)).open(GRID, 600.0, resolution)
        expected = maps.height(*maps.degrees(GRID, found))
        assert np.abs(found.values - expected).max() < 1.0
        rows, cols = (round(side / resolution) for side in (7200, 8400))
        assert found.shape == (rows, cols)
        assert found.x[0] == GRID.ulx - 600 + resolution / 2
        assert found.y[0] == GRID.uly + 600 - resolution / 2


def _mosaic(maps, folder, **how):
    files = [maps.copernicus(folder, 45, 10, **how), maps.copernicus(folder, 46, 10, **how)]
    return Mosaic(tuple(RasterFile(open_store(path.parent), path.name) for path in files))


@pytest.mark.parametrize("how", ["mean", "mode", "share"])
def test_blocks_do_not_change_values(maps, tmp_path, how):
    # Across the seam at 46 degrees, with blocks that are cut in any way.
    grid = Grid("EPSG:32632", 600000.0, 5097000.0, 20.0, 330, 270)
    mosaic = _mosaic(maps, tmp_path, formula=lambda x, y: 1 + (np.sin(900 * x + 700 * y) > 0))
    options: dict[str, Any] = {"how": how, "source_m": 10.0, "fill": 0.0, "name": "map"}
    whole = lazy_map(mosaic, grid, 0.0, 20.0, **options)
    expected = whole.values
    assert len(np.unique(expected)) >= 2
    rng = np.random.default_rng(1)
    for _ in range(6):
        row, col = rng.integers(0, 200, 2)
        rows, cols = rng.integers(1, 70, 2)
        part = lazy_map(mosaic, grid.window(row, col, rows, cols), 0.0, 20.0, **options)
        np.testing.assert_array_equal(
            part.values, expected[row : row + rows, col : col + cols], strict=True
        )


def test_margins_and_schedulers_do_not_change_values(maps, tmp_path):
    mosaic = _mosaic(maps, tmp_path)
    options: dict[str, Any] = {"how": "mean", "source_m": 30.0, "fill": 0.0, "name": "elevation"}
    grid = Grid("EPSG:32632", 600000.0, 5105040.0, 60.0, 400, 400)
    with dask.config.set(scheduler="sync"):
        inner = lazy_map(mosaic, grid, 0.0, 60.0, **options).values
    outer = lazy_map(mosaic, grid, 1500.0, 60.0, **options)
    assert outer.data.chunks[0] == (25, 305, 95, 25)
    np.testing.assert_array_equal(outer.values[25:-25, 25:-25], inner)


def test_squares_are_reduced():
    codes = np.array([[1, 1, 0, 0], [2, 2, 0, 7], [9, 3, 5, 5], [3, 9, 5, 4]], np.uint8)
    np.testing.assert_array_equal(block_mode(codes, 2, 0), [[1, 7], [3, 5]])
    np.testing.assert_array_equal(block_mode(codes, 4, 0), [[5]])
    fine = np.array([[1, 3], [np.nan, 5]], np.float32)
    assert block_mean(fine, 2)[0, 0] == 3
    assert np.isnan(block_mean(np.full((2, 2), np.nan, np.float32), 2))[0, 0]

"""Auxiliary maps through the command line: they reach the product and its provenance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import xarray as xr

from s2cloud.io.open import open_l1c
from s2cloud.model.grid import grid_of


def _raster(path, grid, values):
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=values.shape[0], width=values.shape[1],
        dtype=values.dtype, crs=grid.crs,
        transform=rasterio.Affine(500.0, 0.0, grid.ulx - 15_000, 0.0, -500.0, grid.uly + 15_000),
    ) as image:  # fmt: skip
        image.write(values, 1)
    return path


def test_maps_reach_the_product(simulated, tmp_path, receipt_of):
    dataset = open_l1c(simulated.uri)["measurements/overview/r60m"].to_dataset()
    grid = grid_of(dataset)
    slope = np.add.outer(np.zeros(80), np.linspace(0, 3000, 80)).astype(np.float32)
    dem = _raster(tmp_path / "dem.tif", grid, slope)
    water = _raster(tmp_path / "wb.tif", grid, np.ones((80, 80), np.uint8))
    words = ["process", simulated.uri, tmp_path / "out", "--format", "zarr"]
    receipt = receipt_of(*words, "--dem", dem, "--water-bodies", water)
    (store,) = Path(receipt["destination"]).glob("*.zarr")
    with xr.open_datatree(store, engine="zarr") as tree:
        text = str(tree.attrs)
    assert "elevation, " in text
    assert "ESA CCI Water Bodies" in text
    plain = receipt_of("process", simulated.uri, tmp_path / "plain", "--format", "zarr")
    assert plain["job"] != receipt["job"]
    assert plain["digest"] != receipt["digest"]


def test_a_map_that_is_not_there_is_named(simulated, tmp_path, run):
    words = ["process", simulated.uri, tmp_path / "out", "--dem", tmp_path / "none.tif"]
    code, _, err = run(*words)
    assert code == 3
    assert "none.tif" in err
    assert not (tmp_path / "out").exists()
    code, _, err = run(*words[:-1], "planet:somewhere")
    assert code == 2
    assert "copernicus-30" in err

"""Parts of a product on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio
import xarray as xr
from pyproj import Transformer


@pytest.fixture(scope="module")
def place(simulated):
    """Bounds in the middle of the simulated product, in metres and in degrees."""
    tree = next(Path(simulated.uri).glob("GRANULE/*/IMG_DATA/*_B02.jp2"))
    with rasterio.open(tree) as source:
        west, _, _, north = source.bounds
        crs = str(source.crs)
    bounds = (west + 1203, north - 2397, west + 2397, north - 1203)
    ring = [(bounds[0], bounds[1]), (bounds[2], bounds[1]), (bounds[2], bounds[3])]
    degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    area = [list(degrees.transform(*point)) for point in [*ring, ring[0]]]
    return bounds, crs, {"type": "Polygon", "coordinates": [area]}


def test_a_box_with_some_bands(simulated, place, receipt_of, tmp_path):
    bounds, crs, _ = place
    box = ",".join(f"{v:.1f}" for v in bounds)
    words = ("process", simulated.uri, tmp_path / "part", "--format", "cog", "--bbox", box)
    receipt = receipt_of(*words, "--bbox-crs", crs, "--bands", "B04,scl", "--resolution", "20")
    names = {asset["key"] for asset in receipt["assets"]}
    assert {"b04_20m", "scl_20m"} <= names
    assert not any(name.startswith(("b02", "b05", "aot", "wvp")) for name in names)
    assert not any(name.endswith(("_10m", "_60m")) for name in names)
    image = next((tmp_path / "part").rglob("*B04_20m*.tif"))
    with rasterio.open(image) as source:
        assert source.bounds.left % 60 == pytest.approx(place[0][0] % 60 - 3, abs=1e-6)
        assert source.shape == (60, 60)


def test_a_geometry_masks(simulated, place, run, tmp_path):
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(place[2]))
    words = ("process", simulated.uri, tmp_path / "out", "--format", "zarr", "--geometry", path)
    code, _, err = run(*words, "--mask", "--bands", "b02", "--resolution", "10")
    assert code == 0, err
    found = xr.open_datatree(next((tmp_path / "out").rglob("*.zarr")), engine="zarr", chunks=None)
    band = found["measurements/reflectance/r10m"].to_dataset()["b02"]
    assert band.shape == (120, 120)
    # The upper left half is outside of the triangle.
    assert 0.4 < float(band.isnull().mean()) < 0.6
    assert bool(band[5, 5].isnull())


@pytest.mark.parametrize(
    ("words", "code", "match"),
    [
        (("--bbox", "1,2,3"), 2, "four numbers"),
        (("--bbox", "1,2,3,1"), 2, "no area on Earth"),
        (("--bbox", "0,0,1,1"), 3, "bounding box outside of the tile"),
        (("--bbox", "0,0,1,1", "--bbox-crs", "EPSG:99"), 2, "unknown reference system"),
        (("--bands", "b99"), 2, "not a Sentinel-2 band"),
        (("--resolution", "x"), 2, "is not 10,20,60"),
        (("--resolution", "30"), 2, "no such resolution"),
        (("--mask",), 2, "mask without a geometry"),
        (("--geometry", "nowhere.geojson"), 3, "no such file"),
    ],
)
def test_refusals(words, code, match, simulated, run, tmp_path):
    found, _, err = run("process", simulated.uri, tmp_path / "x", *words)
    assert found == code, err
    assert match in " ".join(err.split())

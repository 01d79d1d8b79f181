"""Parts of a tile: the same pixels as in the whole, few bytes, clear refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest
from pyproj import Transformer

from s2cloud.io import geometries
from s2cloud.io.jp2_array import JP2Image
from s2cloud.io.jp2_index import JP2Source
from s2cloud.io.open import open_l1c
from s2cloud.io.overview import block_mean
from s2cloud.io.part import Part, degrees
from s2cloud.io.select import select
from s2cloud.io.stores import Store, open_store
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.grid import Grid, grid_of
from s2cloud.model.region import cut_to_region, region_of
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

if TYPE_CHECKING:
    import xarray as xr

R10, R20, R60 = (f"measurements/reflectance/r{r}m" for r in (10, 20, 60))
OVERVIEW = "measurements/overview/r60m"
#: Size of the simulated product: 7.2 km.
SIZE = 720


@pytest.fixture(scope="module")
def safe(tmp_path_factory) -> Path:
    return Path(simulate_l1c(tmp_path_factory.mktemp("simulated"), size=SIZE, seed=5).uri)


@pytest.fixture(scope="module")
def whole(safe) -> xr.DataTree:
    return process(open_l1c(safe))


@pytest.fixture(scope="module")
def corner(safe) -> tuple[float, float]:
    grid = grid_of(open_l1c(safe)[R10].to_dataset())
    return grid.ulx, grid.uly


def metres(corner, west, south, east, north) -> tuple[float, float, float, float]:
    """Bounds from distances to the upper left corner. [m]."""
    return (corner[0] + west, corner[1] - south, corner[0] + east, corner[1] - north)


def rasters(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    return {
        f"{node.path}/{name}": variable
        for node in tree.subtree
        for name, variable in node.data_vars.items()
        if node.path.endswith(("/r10m", "/r20m", "/r60m"))
    }


# -- pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "margin"),
    [
        ((2503.0, 4110.0, 4405.0, 2890.0), None),
        ((-500.0, 1507.0, 1003.0, -300.0), None),
        ((3000.0, 4500.0, 3060.0, 4440.0), 720.0),
    ],
    ids=["inside", "at the corner", "a pixel"],
)
def test_a_region_has_the_pixels_of_the_whole_tile(place, margin, safe, whole, corner):
    options = {} if margin is None else {"margin": margin}
    crs = open_l1c(safe)[R10].attrs["crs"]
    l1c = open_l1c(safe, bbox=metres(corner, *place), bbox_crs=crs, **options)
    region = region_of(l1c)
    assert region is not None
    part = cut_to_region(process(l1c), l1c)
    west, south, east, north = region.bounds
    for value, origin in zip(region.bounds, (*corner, *corner), strict=True):
        assert (value - origin) % 60 == 0
    expected, found = rasters(whole), rasters(part)
    assert expected.keys() == found.keys()
    cut = {n: v.sel(x=slice(west, east), y=slice(north, south)) for n, v in expected.items()}
    values = dask.compute(
        {n: v.data for n, v in found.items()}, {n: v.data for n, v in cut.items()}
    )
    for name, variable in found.items():
        assert grid_of(variable).bounds == region.bounds, name
        np.testing.assert_array_equal(values[0][name], values[1][name], err_msg=name)
        assert variable.encoding["dtype"] == expected[name].encoding["dtype"]


def test_cutting_twice_or_nothing_changes_nothing(safe, corner):
    l1c = open_l1c(safe)
    assert cut_to_region(l1c, l1c) is l1c
    bbox = metres(corner, 1000, 2000, 2000, 1000)
    l1c = open_l1c(safe, bbox=bbox, bbox_crs="EPSG:32632")
    once = cut_to_region(l1c, l1c)
    assert once[R10].sizes["x"] < l1c[R10].sizes["x"]
    assert cut_to_region(once, l1c).identical(once)
    assert once.attrs == l1c.attrs
    assert once[OVERVIEW].sizes == l1c[OVERVIEW].sizes
    elsewhere = open_l1c(safe, bbox=metres(corner, 6000, 7000, 7000, 6000), bbox_crs="EPSG:32632")
    with pytest.raises(InputError, match="do not cover the region"):
        cut_to_region(open_l1c(safe, bbox=bbox, bbox_crs="EPSG:32632", margin=0), elsewhere)


def test_the_statistics_may_come_from_the_region(safe, corner):
    bbox = metres(corner, 1800, 3600, 3600, 1800)
    l1c = open_l1c(safe, bbox=bbox, bbox_crs="EPSG:32632", statistics="region", margin=600)
    assert dict(l1c[OVERVIEW].sizes) == {"y": 50, "x": 50}
    assert grid_of(l1c[OVERVIEW].to_dataset()).bounds == grid_of(l1c[R10].to_dataset()).bounds
    for node, band, factor in ((R10, "b02", 6), (R20, "b11", 3), (R60, "b09", 1)):
        expected = block_mean(l1c[f"{node}/{band}"].to_numpy(), factor)
        np.testing.assert_array_equal(l1c[f"{OVERVIEW}/{band}"], expected)
    l2a = cut_to_region(process(l1c), l1c)
    assert "region of the tile" in l2a.attrs["provenance"]["input_note"]
    assert np.isfinite(l2a[f"{R10}/b04"].to_numpy()).mean() > 0.99


def test_a_region_reads_its_tile_parts_only(factory, tmp_path, monkeypatch):
    # Four by four tiles per image, so that a corner takes one of sixteen.
    product = factory.make_safe(tmp_path, cells=64, tlm=True, masks="")
    for path in (product.granule / "IMG_DATA").glob("*_B02.jp2"):
        factory.write_jp2(path, product.bands["B02"], pixel_size=10, tile=96, tlm=True)
    stores: list[Store] = []

    def watched(*args):
        stores.append(open_store(*args))
        return stores[-1]

    monkeypatch.setattr("s2cloud.io.open.open_store", watched)
    bbox = (600000 + 1920, 5100000 - 2700, 600000 + 2700, 5100000 - 1920)
    tree = open_l1c(product.root, bbox=bbox, bbox_crs="EPSG:32632", margin=0)
    size = product.image("B02").stat().st_size
    before, opened = stores[0].bytes_read, stores[0].requests
    pixels = tree[f"{R10}/b02"].to_numpy()
    np.testing.assert_array_equal(pixels, product.bands["B02"][192:270, 192:270])
    assert stores[0].requests - opened == 1
    assert stores[0].bytes_read - before < size / 10


def test_the_overview_of_a_region_reads_reduced_resolutions(factory, tmp_path, monkeypatch):
    # The tiles of so small an image lie closer than is worth a request of their own.
    monkeypatch.setattr("s2cloud.io.byte_ranges.MAX_GAP", 0)
    product = factory.make_safe(tmp_path, cells=64, tlm=True, masks="", forecasts=False)
    store = open_store(product.root)
    size = product.image("B02").stat().st_size
    name = product.image("B02").relative_to(product.root).as_posix()
    source = JP2Source(store, name, store.info(name))
    image = JP2Image(source, source.header())
    before = store.bytes_read
    image.overview(6, (64, 64), least=1).compute()
    assert store.bytes_read - before < 0.3 * size


# -- places ---------------------------------------------------------------------------------------


def window(shape: geometries.Shape, grid: Grid, margin: float = 0.0) -> tuple[int, int, int, int]:
    return Part((shape,), margin).on(grid, "tile").window


@pytest.fixture
def tile() -> Grid:
    return Grid("EPSG:32632", 600000.0, 5100000.0, 60.0, 1830, 1830)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:32633"])
def test_boxes_in_any_reference_system_cover_the_place(crs, tile):
    to_crs = Transformer.from_crs("EPSG:32632", crs, always_xy=True)
    wanted = (650000.0, 5040000.0, 660000.0, 5050000.0)
    found = window(geometries.box(to_crs.transform_bounds(*wanted), crs), tile)
    west, south, east, north = tile.window(*found).bounds
    assert west <= wanted[0]
    assert south <= wanted[1]
    assert east >= wanted[2]
    assert north >= wanted[3]
    # A rotated box is larger by the turn, not by more.
    assert east - west < 13_000
    if crs == "EPSG:32632":
        assert (west, south, east, north) == (649980.0, 5039940.0, 660000.0, 5050020.0) or (
            west,
            south,
            east,
            north,
        ) == (649980.0, 5040000.0, 660000.0, 5050020.0)


@pytest.mark.parametrize(
    "bbox", [(-180, -90, 180, 90), (-10, 30, 40, 84), (9, 40, 190, 60), (0, 40, 359, 60)]
)
def test_boxes_that_hold_the_tile_take_all_of_it(bbox, tile):
    assert window(geometries.box(bbox, "EPSG:4326"), tile) == (0, 0, 1830, 1830)


@pytest.mark.parametrize("zone", [1, 60])
@pytest.mark.parametrize(
    "bbox",
    [(179.9, 65.0, -179.9, 65.1), (-180.1, 65.0, -179.9, 65.1), (179.9, 65.0, 180.1, 65.1)],
)
def test_boxes_across_the_date_line(zone, bbox):
    to_utm = Transformer.from_crs("EPSG:4326", f"EPSG:{32600 + zone}", always_xy=True)
    x, y = to_utm.transform(180.0, 65.05)
    grid = Grid(
        f"EPSG:{32600 + zone}",
        round(x / 60) * 60 - 54900,
        round(y / 60) * 60 + 54900.0,
        60.0,
        1830,
        1830,
    )
    row, col, height, width = window(geometries.box(bbox, "EPSG:4326"), grid)
    centre = (row + height / 2, col + width / 2)
    assert abs(centre[0] - 915) < 20
    assert abs(centre[1] - 915) < 20
    # 0.2 degrees of longitude at 65 degrees north are 9.4 km, and the meridian leans.
    assert 156 <= width <= 175


def test_boxes_near_the_pole():
    grid = Grid("EPSG:32633", 499980.0, 9300000.0, 60.0, 1830, 1830)
    polar = geometries.box((-180, 80, 180, 90), "EPSG:4326")
    assert window(polar, grid) == (0, 0, 1830, 1830)
    arctic = geometries.box((-2_000_000, -2_000_000, 2_000_000, 2_000_000), "EPSG:3413")
    assert window(arctic, grid) == (0, 0, 1830, 1830)
    south = Grid("EPSG:32721", 300000.0, 1200000.0, 60.0, 1830, 1830)
    assert degrees(south)[1] < -79
    assert window(geometries.box((-180, -90, 180, -60), "EPSG:4326"), south) == (0, 0, 1830, 1830)
    with pytest.raises(InputError, match="outside of the tile"):
        window(polar, south)


def ring(west, south, east, north) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


@pytest.mark.parametrize("form", ["dict", "text", "file", "feature", "collection", "object", "crs"])
def test_geometries_in_any_form(form, tile, tmp_path):
    shape: Any = polygon(ring(10.5, 45.5, 10.6, 45.6))
    expected = window(geometries.box((10.5, 45.5, 10.6, 45.6), "EPSG:4326"), tile)
    feature = {"type": "Feature", "geometry": shape, "properties": {}}
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(shape))
    to_mercator = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    moved = [list(to_mercator.transform(*point)) for point in shape["coordinates"][0]]
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    given = {
        "dict": shape,
        "text": json.dumps(shape),
        "file": path,
        "feature": feature,
        "collection": {"type": "FeatureCollection", "features": [feature]},
        "object": SimpleNamespace(__geo_interface__=shape),
        "crs": {**polygon(moved), "crs": named},
    }[form]
    found = geometries.geometry(given, "EPSG:4326")
    mine = window(found, tile)
    assert max(abs(a - b) for a, b in zip(mine, expected, strict=True)) <= (form == "crs")
    again = geometries.geometry(geometries.to_text(found), "EPSG:4326")
    assert window(again, tile) == mine
    assert geometries.digest_of(again) == geometries.digest_of(found)


def test_a_geometry_in_several_parts_and_with_holes(tile):
    both = {
        "type": "MultiPolygon",
        "coordinates": [[ring(10.4, 45.5, 10.5, 45.6)], [ring(10.8, 45.7, 10.9, 45.8)]],
    }
    found = window(geometries.geometry(both, "EPSG:4326"), tile)
    expected = window(geometries.box((10.4, 45.5, 10.9, 45.8), "EPSG:4326"), tile)
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 20
    # A ring around the tile does not meet it.
    around = polygon(ring(5, 40, 20, 50), ring(9, 43, 15, 48))
    with pytest.raises(InputError, match="outside of the tile"):
        window(geometries.geometry(around, "EPSG:4326"), tile)
    point = geometries.geometry({"type": "Point", "coordinates": [10.5, 45.5]}, "EPSG:4326")
    assert window(point, tile)[2:] == (2, 2)


def test_a_geometry_across_the_date_line():
    grid = Grid("EPSG:32660", 600000.0, 7300020.0, 60.0, 1830, 1830)
    assert degrees(grid)[2] < degrees(grid)[0]
    whole = polygon(ring(179.0, 60.0, -179.0, 70.0))
    split = {
        "type": "MultiPolygon",
        "coordinates": [[ring(179.0, 60.0, 180.0, 70.0)], [ring(-180.0, 60.0, -179.0, 70.0)]],
    }
    assert window(geometries.geometry(whole, "EPSG:4326"), grid) == window(
        geometries.geometry(split, "EPSG:4326"), grid
    )
    world = polygon(ring(-180.0, -90.0, 180.0, 90.0))
    assert window(geometries.geometry(world, "EPSG:4326"), grid) == (0, 0, 1830, 1830)


def test_box_and_geometry_together(safe, corner):
    area = polygon([list(p) for p in ring(*metres(corner, 1000, 3000, 3000, 1000))])
    l1c = open_l1c(
        safe,
        bbox=metres(corner, 2000, 6000, 6000, 2000),
        bbox_crs="EPSG:32632",
        geometry=area,
        margin=0,
    )
    assert grid_of(l1c[R60].to_dataset()).bounds == metres(corner, 1980, 3000, 3000, 1980)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"bbox": (0.0, 0.0, 1.0, 1.0)}, InputError, r"box outside of the tile.*within 11\."),
        ({"bbox": (11.2, 46.2, 11.1, 46.1)}, InputError, "not a bounding box"),
        ({"bbox": (11.2, 46.2, 11.2, 46.3)}, InputError, "not a bounding box"),
        ({"bbox": (11.2, 46.2, 11.3)}, InputError, "not a bounding box"),
        ({"bbox": (0, 0, 1, 1), "bbox_crs": "EPSG:99"}, UsageError, "unknown reference system"),
        ({"geometry": {"type": "FeatureCollection", "features": []}}, InputError, "empty geometry"),
        ({"geometry": polygon()}, InputError, "empty geometry"),
        ({"geometry": {"type": "Circle"}}, InputError, "not a geometry"),
        ({"geometry": "{oops"}, InputError, "not GeoJSON"),
        ({"geometry": 7}, InputError, "not a geometry"),
        ({"geometry": polygon(ring(0, 0, 1, 1))}, InputError, "geometry outside of the tile"),
        ({"statistics": "other"}, UsageError, "no such source of scene statistics"),
        ({"margin": -1}, UsageError, "no such margin"),
    ],
)
def test_places_that_cannot_be(options, error, match, safe):
    with pytest.raises(error, match=match) as caught:
        open_l1c(safe, **options)
    assert "\n" not in str(caught.value)


def test_geometry_files_of_other_kinds_need_geopandas(safe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(UsageError, match="pip install geopandas"):
        open_l1c(safe, geometry=tmp_path / "area.gpkg")
    with pytest.raises(InputError, match="no such file"):
        open_l1c(safe, geometry=tmp_path / "area.geojson")


# -- rasters --------------------------------------------------------------------------------------


def test_bands_and_resolutions_are_chosen(whole):
    tree = select(whole, bands=["B04", "b8a", "scl"], resolution=20)
    assert set(rasters(tree)) == {
        f"/{R20}/b04",
        f"/{R20}/b8a",
        "/conditions/mask/l2a_classification/r20m/scl",
        *(n for n in rasters(whole) if n.startswith("/quality/uncertainty/r20m/b04")),
        *(n for n in rasters(whole) if n.startswith("/quality/uncertainty/r20m/b8a")),
    }
    assert tree[f"{R20}/b04"].data.name == whole[f"{R20}/b04"].data.name
    assert tree["conditions/geometry"].identical(whole["conditions/geometry"])
    assert "quality/retrieval" in {node.path.strip("/") for node in tree.subtree}
    coarse = select(whole, resolution=(10, 60))
    assert {name.rsplit("/", 2)[1] for name in rasters(coarse)} == {"r10m", "r60m"}
    assert set(select(whole, bands="b02,b03")[R10].data_vars) == {"b02", "b03"}


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"bands": ["b99"]}, UsageError, "not a Sentinel-2 band"),
        ({"bands": ["b10"]}, UsageError, "no such band in Level-2A"),
        ({"bands": []}, UsageError, "no bands"),
        ({"bands": ["b05"], "resolution": 10}, InputError, "b05.*expected r10m, found r20m, r60m"),
        ({"resolution": 30}, UsageError, "no such resolution"),
        ({"bbox": (0, 0, 1, 1)}, InputError, "outside of the product"),
        ({"mask": True}, UsageError, "mask without a geometry"),
    ],
)
def test_what_the_product_does_not_hold(options, error, match, whole):
    with pytest.raises(error, match=match):
        select(whole, **options)


def test_a_place_of_the_product_and_a_mask(whole, corner):
    west, south, east, north = metres(corner, 1000, 3000, 3000, 1000)
    triangle = polygon([[west, south], [east, south], [west, north], [west, south]])
    area = {**triangle, "crs": {"type": "name", "properties": {"name": "EPSG:32632"}}}
    tree = select(whole, geometry=area, bands=["b02", "scl", "flags", "cld"], mask=True)
    grid = grid_of(tree[R10].to_dataset())
    assert grid.bounds == metres(corner, 960, 3000, 3000, 960)
    expected = whole[f"{R10}/b02"].sel(x=tree[R10].x, y=tree[R10].y).to_numpy()
    found = tree[f"{R10}/b02"].to_numpy()
    x, y = np.meshgrid(grid.x, grid.y)
    inside = (x > west) & (y > south) & ((x - west) / 2000 + (y - south) / 2000 < 1)
    sure = np.abs((x - west) + (y - south) - 2000) > 1
    np.testing.assert_array_equal(found[inside & sure], expected[inside & sure])
    assert np.isnan(found[~inside & sure]).all()
    scl = tree["conditions/mask/l2a_classification/r20m/scl"].to_numpy()
    assert scl[0, -1] == 0
    assert scl.dtype == np.uint8
    assert tree["quality/mask/flags/r20m/flags"].to_numpy()[0, -1] == 0
    assert tree["quality/probability/r20m/cld"].to_numpy()[0, -1] == 101
    assert len(tree.attrs["provenance"]["masked_by"]) == 16

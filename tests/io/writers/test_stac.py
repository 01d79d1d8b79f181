"""STAC items."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import jsonschema  # type: ignore[import-untyped, unused-ignore]
import numpy as np
import pystac
import pytest
import xarray as xr
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from s2cloud.io.cog_writer import to_cog
from s2cloud.io.footprint import footprint
from s2cloud.io.product import write_product
from s2cloud.io.stac import to_stac
from s2cloud.io.zarr_writer import to_zarr
from s2cloud.model.errors import UsageError
from s2cloud.model.grid import Grid
from s2cloud.model.schema import GEOMETRY, Flag


def outline(grid: Grid) -> tuple[Any, Any]:
    return footprint(grid)


def check_core(item):
    """Validate against the STAC 1.1 core schemas that pystac brings; no network."""
    cache = get_local_schema_cache()
    registry = Registry().with_resources(
        [(uri, Resource.from_contents(schema)) for uri, schema in cache.items()]
    )
    uri = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"
    jsonschema.Draft7Validator(cache[uri], registry=registry).validate(
        json.loads(json.dumps(item.to_dict()))
    )


@pytest.fixture
def item(make_l2a, tmp_path):
    tree = make_l2a()
    return to_stac(tree, to_cog(tree, tmp_path))


def test_core_schema(item, make_l2a, tmp_path):
    check_core(item)
    tree = make_l2a(crs="")
    check_core(to_stac(tree, to_cog(tree, tmp_path / "bare")))


def test_written_item_reads_back_and_resolves_its_assets(make_l2a, tmp_path, granule):
    receipt = write_product(make_l2a(), tmp_path)
    item = pystac.Item.from_file(str(tmp_path / receipt.asset("item").href))
    check_core(item)
    assert item.id == granule.l2a_name
    for key, asset in item.assets.items():
        assert (tmp_path / receipt.asset(key).href).exists()
        assert str(asset.get_absolute_href()).endswith(receipt.asset(key).href)


def test_properties(item, granule):
    p = item.properties
    assert item.datetime == granule.sensing_time
    assert (p["platform"], p["constellation"], p["instruments"]) == (
        "sentinel-2a",
        "sentinel-2",
        ["msi"],
    )
    assert (p["proj:code"], p["gsd"]) == ("EPSG:32632", 10.0)
    assert p["proj:bbox"] == [699960.0, 4997640.0, 702360.0, 5000040.0]
    assert (p["view:sun_elevation"], p["view:sun_azimuth"]) == (61.5, 145.25)
    # The mean of 359 and 1 degree is north, not south.
    assert p["view:azimuth"] % 360 == pytest.approx(0.0, abs=0.02)
    assert p["view:incidence_angle"] == pytest.approx(6.0)
    assert (p["sat:relative_orbit"], p["sat:absolute_orbit"]) == (65, 51234)
    assert (p["grid:code"], p["mgrs:utm_zone"]) == ("MGRS-32TQM", 32)
    assert (p["mgrs:latitude_band"], p["mgrs:grid_square"]) == ("T", "QM")
    assert p["processing:software"]["s2cloud"]
    assert (p["s2:mgrs_tile"], p["s2:processing_baseline"]) == ("32TQM", "05.11")
    assert p["s2:nodata_pixel_percentage"] == 12.5
    assert p["s2:snow_ice_percentage"] == p["eo:snow_cover"]
    assert 0 < p["eo:cloud_cover"] < 100
    assert p["s2cloud:aot_mean"] == 0.25
    assert item.get_links("derived_from")[0].href == "s3://bucket/product.SAFE"


def test_names_of_the_sentinel_2_extension(item):
    # The schema of the extension allows these and no others with its prefix.
    allowed = {
        *("granule_id", "datatake_id", "product_uri", "datastrip_id", "product_type"),
        *("processing_baseline", "water_percentage", "snow_ice_percentage", "mgrs_tile"),
        *("vegetation_percentage", "thin_cirrus_percentage", "cloud_shadow_percentage"),
        *("nodata_pixel_percentage", "unclassified_percentage", "dark_features_percentage"),
        *("not_vegetated_percentage", "high_proba_clouds_percentage"),
        *("medium_proba_clouds_percentage", "saturated_defective_pixel_percentage"),
    }
    found = {name.removeprefix("s2:") for name in item.properties if name.startswith("s2:")}
    assert found <= allowed


def test_assets(item, make_l2a, tmp_path):
    blue = item.assets["b02_10m"]
    fields = blue.to_dict()
    assert fields["bands"] == [
        {
            "name": "B02",
            "eo:common_name": "blue",
            "eo:center_wavelength": 0.4927,
            "eo:full_width_half_max": 0.064,
        }
    ]
    assert (fields["raster:scale"], fields["raster:offset"]) == (1e-4, -0.1)
    assert (fields["nodata"], fields["data_type"]) == (0, "uint16")
    assert fields["proj:shape"] == [240, 240]
    assert fields["proj:transform"] == [10.0, 0.0, 699960.0, 0.0, -10.0, 5000040.0, 0.0, 0.0, 1.0]
    assert fields["file:checksum"].startswith("1220")
    assert len(fields["file:checksum"]) == 68
    assert fields["file:size"] == (tmp_path / blue.href).stat().st_size
    assert fields["statistics"]["minimum"] >= 1
    scl = item.assets["scl_20m"].to_dict()
    assert len(scl["classification:classes"]) == 12
    assert scl["classification:classes"][0]["nodata"] is True
    assert [b["name"] for b in item.assets["tci_10m"].to_dict()["bands"]] == ["B04", "B03", "B02"]


def tree_sha256(folder):
    """Checksum of a folder made anew, as the description of its asset says."""
    files = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    lines = [
        f"{name} {hashlib.sha256(files[name].read_bytes()).hexdigest()}\n" for name in sorted(files)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_absolute_and_several_receipts(make_l2a, tmp_path):
    tree = make_l2a()
    receipts = [to_cog(tree, tmp_path / "a"), to_zarr(tree, tmp_path / "b" / "x.zarr")]
    item = to_stac(tree, receipts, href="https://host/products/one")
    check_core(item)
    assert item.assets["b02_10m"].href.startswith("https://host/products/one/T32TQM")
    assert item.get_self_href() == f"https://host/products/one/{item.id}.json"
    zarr = item.assets["zarr"].to_dict()
    assert zarr["file:checksum"] == "1220" + tree_sha256(tmp_path / "b" / "x.zarr")
    assert "lines 'path sha256', sorted by path" in zarr["description"]
    assert zarr["file:size"] > 0


def test_receipts_of_different_products_are_refused(make_l2a, tmp_path, granule):
    tree = make_l2a()
    receipt = to_cog(tree, tmp_path)
    with pytest.raises(UsageError):
        to_stac(tree, [receipt, replace(receipt, product="other")])
    with pytest.raises(UsageError):
        to_stac(tree, [])


def test_chip_without_tile_orbit_and_angles(make_l2a, tmp_path, granule):
    chip = replace(
        granule, name="chip", tile="", relative_orbit=-1, absolute_orbit=-1, uri="", baseline=""
    )
    tree = make_l2a(granule=chip, resolutions=(20,))
    attrs, tree = (
        tree.attrs,
        xr.DataTree.from_dict(
            {n.path: n.to_dataset(inherit=False) for n in tree.subtree if GEOMETRY not in n.path}
        ),
    )
    tree.attrs = attrs
    item = to_stac(tree, to_cog(tree, tmp_path))
    check_core(item)
    missing = ("grid:code", "sat:relative_orbit", "view:sun_azimuth", "s2:mgrs_tile")
    assert not set(missing) & set(item.properties)


def test_footprint_is_the_outline_of_the_outer_edges():
    geometry, bbox = outline(Grid("EPSG:32632", 699960.0, 5000040.0, 10.0, 10980, 10980))
    ring = np.array(geometry["coordinates"][0])
    assert geometry["type"] == "Polygon"
    assert ring[0].tolist() == ring[-1].tolist()
    area = np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]) / 2
    assert area > 0, "counter-clockwise"
    # Outer corners: 109.8 km in latitude and, at 45 degrees north, in longitude.
    west, south, east, north = bbox
    assert (west, north) == pytest.approx((11.5, 45.126), abs=2e-3)
    assert (north - south) * 111.13 == pytest.approx(109.8, abs=5)
    assert (east - west) * 111.32 * np.cos(np.radians(44.6)) == pytest.approx(109.8, abs=5)


@pytest.mark.parametrize(("crs", "ulx"), [("EPSG:32701", 99960.0), ("EPSG:32760", 790000.0)])
def test_footprint_across_the_antimeridian(crs, ulx):
    geometry, bbox = outline(Grid(crs, ulx, 8100040.0, 60.0, 1830, 1830))
    assert geometry["type"] == "MultiPolygon"
    west, _, east, _ = bbox
    assert 170 < west < 180
    assert -180 < east < -170
    for (ring,) in geometry["coordinates"]:
        longitudes = np.array(ring)[:, 0]
        assert (longitudes >= 0).all() or (longitudes <= 0).all()
        assert np.abs(longitudes).max() == 180.0
        assert np.abs(longitudes).min() > 170


def test_footprint_without_reference_system():
    assert footprint(Grid("", 0.0, 0.0, 10.0, 5, 5)) == (None, None)


def test_shares_of_flags_are_those_of_the_pixels_in_every_format(make_l2a, values, tmp_path):
    pixels = values("flags", 20)
    seen = np.count_nonzero(pixels & Flag.VALID)
    expected = {
        f"{flag.name}".lower(): pytest.approx(
            100 * np.count_nonzero(pixels & flag) / seen, abs=1e-6
        )
        for flag in Flag
        if flag != Flag.VALID
    }
    assert 40 < expected["saturated"].expected < 60
    for name in ("cog", "zarr", "safe"):
        receipt = write_product(make_l2a(flags=True), tmp_path / name, formats=(name,))
        assert receipt.statistics["flag_percentages"] == expected
        text = (tmp_path / name / receipt.asset("item").href).read_text()
        shares = {
            k: v for k, v in json.loads(text)["properties"].items() if k.startswith("s2cloud:")
        }
        for flag, share in expected.items():
            assert shares[f"s2cloud:{flag}_percentage"] == share


#: Fields of extensions whose schemas no package ships, by prefix: pattern of each value.
FIELDS = {
    # mgrs 1.0: both letters required, the zone is an integer
    "mgrs": {"latitude_band": "[C-X]", "grid_square": "[A-Z]{2}", "utm_zone": r"\d+"},
    # grid 1.1
    "grid": {"code": r"MGRS-\d{1,2}[C-X][A-Z]{2}"},
    # file 2.1: a multihash in hexadecimal digits
    "file": {"size": r"\d+", "checksum": "[a-f0-9]+"},
    # sentinel-2 1.0, as far as it is used here
    "s2": {
        "mgrs_tile": r"\d\d?[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]",
        "processing_baseline": r"\d\d\.\d\d",
        "(product_uri|product_type|datatake_id|datastrip_id)": ".+",
        "(nodata_pixel|saturated_defective_pixel|dark_features)_percentage": "",
        "(cloud_shadow|vegetation)_percentage": "",
        "(not_vegetated|water|unclassified|snow_ice|thin_cirrus)_percentage": "",
        "(medium|high)_proba_clouds_percentage": "",
    },
}


@pytest.mark.parametrize("prefix", FIELDS)
def test_fields_of_extensions_are_those_of_their_specifications(item, prefix):
    """They allow no other field of their prefix, in the properties and in every asset."""
    made = item.to_dict()
    places = [made["properties"], *made["assets"].values()]
    found = [
        (k.partition(":")[2], v) for d in places for k, v in d.items() if k.startswith(f"{prefix}:")
    ]
    assert found
    for name, value in found:
        pattern = next(p for field, p in FIELDS[prefix].items() if re.fullmatch(field, name))
        if pattern:
            assert re.fullmatch(pattern, str(value)), name
        else:
            assert 0 <= value <= 100, name
    if prefix == "mgrs":
        assert isinstance(made["properties"]["mgrs:utm_zone"], int)
        assert {"mgrs:latitude_band", "mgrs:grid_square"} <= made["properties"].keys()
    names = {uri.split("/")[3] for uri in made["stac_extensions"]}
    assert {"s2": "sentinel-2"}.get(prefix, prefix) in names

"""Every damage to a product is found and named."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from s2cloud.io.catalog import write_catalog
from s2cloud.io.product import write_product
from s2cloud.io.validate import validate
from s2cloud.io.zarr_writer import to_zarr

NAME = "S2A_MSIL2A_20250601T101601_N0511_R065_T32TQM_20250601T141234"
SAFE = f"{NAME.replace('N0511', 'N9999')}.SAFE"
ZARR = f"{NAME}.zarr"
B04 = "T32TQM_20250601T101601_B04_10m.tif"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tmp_path_factory.mktemp("pristine")


@pytest.fixture
def product(pristine, make_l2a, tmp_path) -> Path:
    """A product in all formats, to be damaged."""
    if not (pristine / NAME / "receipt.json").exists():
        write_product(make_l2a(), pristine / NAME, formats=("cog", "zarr", "safe"))
    return Path(shutil.copytree(pristine / NAME, tmp_path / NAME))


def errors(folder: Path, **options: Any) -> list[tuple[str, str]]:
    return [(f.kind, f.where) for f in validate(folder, **options).findings if f.level == "error"]


def resealed(folder: Path, href: str) -> None:
    """Make the receipt agree with a changed file: only its content can tell on it."""
    data = (folder / href).read_bytes()
    receipt = json.loads((folder / "receipt.json").read_text())
    (asset,) = (asset for asset in receipt["assets"] if asset["href"] == href)
    asset["size"], asset["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    (folder / "receipt.json").write_text(json.dumps(receipt))


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_sound_product_is_valid(product):
    result = validate(product)
    assert result.findings == ()
    assert result.ok
    assert result.products == (NAME,)
    assert result.files > 200
    receipt = json.loads((product / "receipt.json").read_text())
    assert result.size == sum(asset["size"] for asset in receipt["assets"])
    assert validate(product, checksums=False).ok


def test_a_store_alone_and_a_remote_product_are_valid(make_chip, tmp_path, memory_url):
    to_zarr(make_chip(), tmp_path / "a.zarr")
    (tmp_path / "neighbour.txt").write_text("none of ours")
    assert validate(tmp_path / "a.zarr").findings == ()
    write_product(make_chip(), memory_url, formats=("cog",))
    assert validate(memory_url).findings == ()


def test_no_receipt_no_product(product):
    (product / "receipt.json").unlink()
    assert ("receipt", "receipt.json") in errors(product)
    (product / "receipt.json").write_text("{")
    assert errors(product) == [("receipt", "receipt.json")]


@pytest.mark.parametrize(
    "href",
    [
        B04,
        f"{ZARR}/measurements/reflectance/r10m/b02/c/1/1",
        f"{SAFE}/GRANULE/L2A_T32TQM_A051234_20250601T101600/QI_DATA/MSK_CLDPRB_20m.jp2",
        f"{NAME}.json",
        f"{ZARR}.sha256",
    ],
)
def test_missing_damaged_and_shortened_files_are_named(product, href):
    path = product / href
    data = path.read_bytes()
    path.unlink()
    assert ("missing", href) in errors(product)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    path.write_bytes(flipped)
    assert ("damaged", href) in errors(product)
    path.write_bytes(data[: len(data) // 2])
    assert ("damaged", href) in errors(product)
    path.write_bytes(data)
    assert errors(product) == []


def test_unknown_files_are_named(product):
    (product / "notes.txt").write_text("mine")
    (product / ZARR / "measurements/reflectance/r10m/b02/c/7").mkdir()
    (product / ZARR / "measurements/reflectance/r10m/b02/c/7/7").write_bytes(b"x")
    (product / SAFE / "rogue.xml").write_text("<a/>")
    found = {(f.level, f.kind, f.where) for f in validate(product).findings}
    assert ("warning", "extra", "notes.txt") in found
    assert ("error", "extra", f"{ZARR}/measurements/reflectance/r10m/b02/c/7/7") in found
    assert ("error", "extra", f"{SAFE}/rogue.xml") in found


def test_georeference_and_offsets_of_a_geotiff(product):
    with rasterio.open(product / B04, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as opened:
        opened.transform = rasterio.Affine(10, 0, 700000, 0, -10, 5000040)
        opened.offsets = (0.0,)
        opened.nodata = 7
    resealed(product, B04)
    kinds = {kind for kind, where in errors(product) if where == B04}
    assert kinds == {"georeference", "offset", "schema"}  # no longer laid out for the cloud


def test_another_reference_system_and_size(product):
    profile = {"driver": "COG", "dtype": "uint16", "count": 1, "crs": "EPSG:32633", "nodata": 0}
    with rasterio.open(
        product / B04,
        "w",
        height=239,
        width=240,
        transform=rasterio.Affine(10, 0, 699960, 0, -10, 5000040),
        **profile,
    ) as opened:
        opened.write(np.ones((1, 239, 240), np.uint16))
        opened.scales, opened.offsets = (1e-4,), (-0.1,)
    resealed(product, B04)
    found = [str(f) for f in validate(product).findings if f.where == B04]
    assert any("rows and columns: expected (240, 240), found (239, 240)" in text for text in found)
    assert any("expected EPSG:32632, found EPSG:32633" in text for text in found)


@pytest.mark.parametrize(
    ("name", "old", "new", "kind"),
    [
        ("zarr.json", '"add_offset": -0.1', '"add_offset": 0.0', "schema"),
        ("measurements/reflectance/r10m/b02/zarr.json", "-0.1", "0.0", "offset"),
        ("measurements/reflectance/r20m/b05/zarr.json", '"uint16"', '"int16"', "schema"),
        (
            "quality/atmosphere/r20m/spatial_ref/zarr.json",
            "699960.0 20.0",
            "699970.0 20.0",
            "georeference",
        ),
        ("zarr.json", '"stac_discovery"', '"other"', "schema"),
        ("zarr.json", "s2cloud:digest", "another", "schema"),
    ],
)
def test_meaning_of_a_zarr_store(product, name, old, new, kind):
    edited(product / ZARR / name, old, new)
    found = [f for f in validate(product, checksums=False).findings if f.kind == kind]
    assert found
    assert all(ZARR in f.where for f in found)


@pytest.mark.parametrize(
    ("name", "old", "new", "kind"),
    [
        ("MTD_MSIL2A.xml", ">-1000<", ">0<", "offset"),
        ("MTD_MSIL2A.xml", ">10000<", ">1000<", "offset"),
        ("MTD_MSIL2A.xml", "99.99", "05.11", "schema"),
        ("GRANULE/L2A_T32TQM_A051234_20250601T101600/MTD_TL.xml", "699960", "0", "georeference"),
        ("GRANULE/L2A_T32TQM_A051234_20250601T101600/MTD_TL.xml", "32632", "32633", "georeference"),
        ("manifest.safe", "<dataObjectSection>", "<x>", "damaged"),
    ],
)
def test_meaning_of_a_safe_product(product, name, old, new, kind):
    edited(product / SAFE / name, old, new)
    found = [f for f in validate(product, checksums=False).findings if f.kind == kind]
    assert found
    assert all(SAFE in f.where for f in found)


def test_item_that_contradicts_the_receipt(product):
    href = f"{NAME}.json"
    item = json.loads((product / href).read_text())
    item["assets"]["b04_10m"]["raster:offset"] = 0.0
    item["assets"]["b03_10m"]["proj:transform"][2] = 0.0
    del item["assets"]["b02_10m"]
    (product / href).write_text(json.dumps(item))
    resealed(product, href)
    assert set(errors(product)) == {
        ("offset", f"{href}#b04_10m"),
        ("georeference", f"{href}#b03_10m"),
        ("schema", href),
    }


def test_a_catalog_and_the_products_below_it(product):
    folder = product.parent
    shutil.copytree(product, folder / "twin")
    assert len(validate(folder).products) == 2
    shutil.rmtree(folder / "twin")
    write_catalog(folder)
    assert validate(folder).ok
    assert validate(folder / "catalog.json").ok
    (product / B04).unlink()
    assert errors(folder) == [("missing", f"{NAME}/{B04}")]
    shutil.rmtree(product)
    kinds = {kind for kind, _ in errors(folder)}
    assert kinds == {"link", "receipt"}


def test_nothing_there(tmp_path):
    assert errors(tmp_path / "empty") == [("receipt", "receipt.json")]

"""SAFE products: what GDAL's Sentinel-2 driver reads from them, names, metadata, refusal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import rasterio.errors
from defusedxml.ElementTree import fromstring

from s2cloud.io.layers import quantise
from s2cloud.io.product import write_product
from s2cloud.io.safe_names import SafeNames
from s2cloud.model.errors import UsageError
from s2cloud.model.schema import ENCODINGS

if TYPE_CHECKING:
    from pathlib import Path

NAME = "S2A_MSIL2A_20250601T101601_N9999_R065_T32TQM_20250601T141234.SAFE"
GRANULE = "GRANULE/L2A_T32TQM_A051234_20250601T101600"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("safe")


@pytest.fixture
def safe(folder, make_l2a):
    """A product, written once."""
    if not (folder / "receipt.json").exists():
        write_product(make_l2a(), folder, formats=("safe",))
    return folder / NAME


def parsed(path: Path):
    return fromstring(path.read_bytes())


def subdataset(safe: Path, resolution: int):
    return rasterio.open(f"SENTINEL2_L2A:{safe}/MTD_MSIL2A.xml:{resolution}m:EPSG_32632")


BANDS = {
    10: ["b04", "b03", "b02", "b08", "aot", "wvp"],
    20: ["b05", "b06", "b07", "b8a", "b11", "b12", "aot", "cld", "scl", "snw", "wvp"],
    60: ["b01", "b09", "aot", "cld", "scl", "snw", "wvp"],
}


# GDAL opens the metadata file itself as a container without pixels.
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdal_lists_all_resolutions_and_the_true_colour_image(safe):
    with rasterio.open(safe / "MTD_MSIL2A.xml") as opened:
        kinds = [name.rsplit(":", 2)[1] for name in opened.subdatasets]
        assert opened.tags()["PROCESSING_BASELINE"] == "99.99"
    assert kinds == ["10m", "20m", "60m", "TCI"]


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_gdal_reads_the_pixels_that_were_written(safe, values, resolution):
    with subdataset(safe, resolution) as opened:
        assert opened.crs.to_epsg() == 32632
        assert opened.transform[:6] == (resolution, 0, 699960, 0, -resolution, 5000040)
        names = [text.split(",")[0].lower() for text in opened.descriptions]
        names = [f"b0{name[1:]}" if len(name) == 2 else name for name in names]
        assert names == BANDS[resolution]
        for index, name in enumerate(names, 1):
            if resolution == 60 and name in {"cld", "snw"}:
                continue  # the next test
            expected = quantise(
                values(name, resolution), ENCODINGS.get(name, ENCODINGS["reflectance"])
            )
            if name in {"cld", "snw"}:
                expected = np.where(expected == 101, 0, expected)
            np.testing.assert_array_equal(opened.read(index), expected)


def test_coarse_probabilities_are_means_of_the_fine_ones(safe, values):
    fine = values("cld", 20).astype(int)
    fine[fine == 101] = 0
    cells = fine.reshape(40, 3, 40, 3).sum(axis=(1, 3)) // 9
    with rasterio.open(safe / GRANULE / "QI_DATA/MSK_CLDPRB_60m.jp2") as opened:
        np.testing.assert_array_equal(opened.read(1), cells)


def test_reflectance_follows_from_the_metadata_alone(safe, values):
    root = parsed(safe / "MTD_MSIL2A.xml")
    offsets = {e.get("band_id"): int(e.text or "") for e in root.iter("BOA_ADD_OFFSET")}
    assert offsets == {str(index): -1000 for index in range(13)}
    scale = float(next(root.iter("BOA_QUANTIFICATION_VALUE")).text or "")
    with rasterio.open(
        safe / GRANULE / "IMG_DATA/R10m/T32TQM_20250601T101601_B03_10m.jp2"
    ) as opened:
        counts = opened.read(1).astype(float)
    found = np.where(counts == 0, np.nan, (counts + offsets["2"]) / scale)
    np.testing.assert_allclose(found, values("b03", 10), atol=0.5001e-4)


def test_water_vapour_is_in_thousandths_of_a_centimetre(safe, values):
    root = parsed(safe / "MTD_MSIL2A.xml")
    element = next(root.iter("WVP_QUANTIFICATION_VALUE"))
    assert element.get("unit") == "cm"
    with rasterio.open(
        safe / GRANULE / "IMG_DATA/R20m/T32TQM_20250601T101601_WVP_20m.jp2"
    ) as opened:
        counts = opened.read(1)
    centimetres = counts[60, 60] / float(element.text or "")
    assert centimetres == pytest.approx(values("wvp", 20)[60, 60] / 10.0, abs=1e-3)


def test_images_are_coded_as_esa_codes_them(safe):
    path = safe / GRANULE / "IMG_DATA/R10m/T32TQM_20250601T101601_B02_10m.jp2"
    assert b"\xff\x55" in path.read_bytes()[:4000]  # TLM: tiles are found without a scan
    with rasterio.open(path) as opened:
        assert opened.dtypes == ("uint16",)
        assert opened.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "15"
        assert opened.tags(ns="IMAGE_STRUCTURE")["COMPRESSION_REVERSIBILITY"] == "LOSSLESS"


def test_every_file_is_in_the_manifest_and_the_metadata(safe):
    root = parsed(safe / "manifest.safe")
    listed = {e.get("href", "")[2:] for e in root.iter("fileLocation")}
    there = {str(p.relative_to(safe)) for p in safe.rglob("*") if p.is_file()}
    assert listed == there - {"manifest.safe"}
    product = parsed(safe / "MTD_MSIL2A.xml")
    images = {f"{e.text}.jp2" for e in product.iter("IMAGE_FILE")}
    assert images == {path for path in there if "/IMG_DATA/" in path}
    assert len(images) == 7 + 14 + 15
    tile = parsed(safe / GRANULE / "MTD_TL.xml")
    masks = {e.text for e in tile.iter("MASK_FILENAME")}
    assert masks == {path for path in there if "/QI_DATA/" in path}


def test_tile_metadata_tell_place_and_angles(safe):
    tile = parsed(safe / GRANULE / "MTD_TL.xml")
    assert next(tile.iter("HORIZONTAL_CS_CODE")).text == "EPSG:32632"
    assert next(tile.iter("HORIZONTAL_CS_NAME")).text == "WGS84 / UTM zone 32N"
    sizes = {e.get("resolution"): e.findtext("NROWS") for e in tile.iter("Size")}
    assert sizes == {"10": "240", "20": "120", "60": "40"}
    sun = tile.find(".//Mean_Sun_Angle")
    assert sun is not None
    assert sun.findtext("ZENITH_ANGLE") == "28.5"
    views = {e.get("bandId") for e in tile.iter("Mean_Viewing_Incidence_Angle")}
    assert views == {"1", "8"}


def test_receipt_and_statistics_do_not_depend_on_the_format(make_l2a, tmp_path):
    safe = write_product(make_l2a(), tmp_path / "a", formats=("safe",))
    cog = write_product(make_l2a(), tmp_path / "b", formats=("cog",))
    assert safe.statistics == cog.statistics
    assert safe.digest == cog.digest
    again = write_product(make_l2a(), tmp_path / "c", formats=("safe",))
    assert again.asset("safe").sha256 == safe.asset("safe").sha256
    added = write_product(make_l2a(), tmp_path / "a", formats=("cog", "safe"))
    assert set(added.formats) == {"cog", "safe"}


def test_pixels_without_the_name_of_a_product_are_refused(make_l2a, granule, tmp_path):
    bare = replace(granule, name="chip", tile="")
    with pytest.raises(UsageError, match="SAFE"):
        write_product(make_l2a(granule=bare), tmp_path / "a", formats=("safe",))
    with pytest.raises(UsageError, match="SAFE"):
        write_product(make_l2a(crs=""), tmp_path / "b", formats=("safe",))
    assert not (tmp_path / "a" / "receipt.json").exists()


def test_names_follow_those_of_the_input(granule):
    names = SafeNames.of(granule)
    assert names is not None
    assert names.folder == NAME
    assert names.granule == GRANULE
    assert names.datastrip == "DATASTRIP/DS_2APS_20250601T141234_S20250601T101600"
    assert names.granule_id == "S2A_OPER_MSI_L2A_TL_2APS_20250601T141234_A051234_T32TQM_N99.99"
    assert SafeNames.of(replace(granule, name="chip")) is None

"""Cloud-optimised GeoTIFFs."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rio_cogeo.cogeo import cog_validate

from s2cloud.io.cog_encode import CogProfile, encode_cog
from s2cloud.io.cog_file import Level, write_levels
from s2cloud.io.cog_writer import to_cog
from s2cloud.io.stores import open_store
from s2cloud.io.true_colour import true_colour
from s2cloud.model.errors import CapacityError, UsageError
from s2cloud.model.grid import Grid

STEM = "T32TQM_20250601T101601"

EXPECTED = {
    *(f"{STEM}_{b}_10m.tif" for b in ("B02", "B03", "B04", "B08", "TCI")),
    *(f"{STEM}_{b}_20m.tif" for b in ("B05", "B06", "B07", "B8A", "B11", "B12")),
    *(f"{STEM}_{b}_20m.tif" for b in ("AOT", "WVP", "SCL", "CLD", "SNW")),
    *(f"{STEM}_{b}_60m.tif" for b in ("B01", "B09")),
}


@pytest.fixture
def product(make_l2a, tmp_path):
    return to_cog(make_l2a(), tmp_path), tmp_path


def test_each_band_once_at_its_native_resolution(product):
    receipt, folder = product
    assert {p.name for p in folder.glob("*.tif")} == EXPECTED
    assert {asset.href for asset in receipt.assets} == EXPECTED


def test_values_come_back(product, values):
    _, folder = product
    with rasterio.open(folder / f"{STEM}_B05_20m.tif") as file:
        stored = file.read(1)
        decoded = stored * file.scales[0] + file.offsets[0]
        assert file.nodata == 0
    truth = values("b05", 20)
    np.testing.assert_array_equal(stored == 0, np.isnan(truth))
    np.testing.assert_allclose(decoded[stored > 0], truth[stored > 0], atol=0.5001e-4)
    assert (decoded[stored > 0] < 0).any(), "negative reflectance is kept"


@pytest.mark.parametrize(("name", "empty"), [("SCL", 0), ("CLD", 101), ("SNW", 101)])
def test_classes_and_probabilities(product, values, name, empty):
    _, folder = product
    with rasterio.open(folder / f"{STEM}_{name}_20m.tif") as file:
        assert file.nodata == empty
        np.testing.assert_array_equal(file.read(1), values(name.lower(), 20))


def test_water_vapour_in_kg_per_square_metre(product, values):
    _, folder = product
    with rasterio.open(folder / f"{STEM}_WVP_20m.tif") as file:
        assert (file.scales, file.units) == ((0.01,), ("kg m-2",))
        decoded = file.read(1) * file.scales[0]
    truth = values("wvp", 20)
    np.testing.assert_allclose(decoded[decoded > 0], truth[decoded > 0], atol=0.0051)


def test_georeference_and_layout(make_l2a, tmp_path):
    # 720 pixels at 10 m: more than one tile, so that there are overviews.
    to_cog(make_l2a(side_m=7200), tmp_path)
    for name, size in (("B02_10m", 10), ("SCL_20m", 20), ("TCI_10m", 10)):
        with rasterio.open(tmp_path / f"{STEM}_{name}.tif") as file:
            assert file.crs.to_epsg() == 32632
            assert file.transform[:6] == (size, 0, 699960.0, 0, -size, 5000040.0)
            structure = file.tags(ns="IMAGE_STRUCTURE")
            assert (structure["LAYOUT"], structure["COMPRESSION"]) == ("COG", "ZSTD")
            assert file.block_shapes[0] == (512, 512)
            assert file.overviews(1) == ([2] if size == 10 else [])
            assert ("PREDICTOR" in structure) == (name != "SCL_20m")
            assert file.tags()["TIFFTAG_DATETIME"] == "2025:06:01 10:20:46"


def test_overviews_average_bands_and_never_invent_classes(make_l2a, tmp_path, values, monkeypatch):
    monkeypatch.setattr("s2cloud.io.layers.BLOCK_PX", {10: 120, 20: 60, 60: 300})
    to_cog(make_l2a(resolutions=(60,), chunks={60: 300}, side_m=36000), tmp_path)
    with rasterio.open(tmp_path / f"{STEM}_SCL_60m.tif", overview_level=0) as file:
        assert set(np.unique(file.read(1))) <= set(np.unique(values("scl", 60, 36000)))
    with rasterio.open(tmp_path / f"{STEM}_B04_60m.tif") as file:
        full = file.read(1).astype(float)
    with rasterio.open(tmp_path / f"{STEM}_B04_60m.tif", overview_level=0) as file:
        half = file.read(1)
    mean = full.reshape(300, 2, 300, 2).mean(axis=(1, 3))
    valid = (full.reshape(300, 2, 300, 2) > 0).all(axis=(1, 3))
    np.testing.assert_allclose(half[valid], mean[valid], atol=0.51)


def test_true_colour_vectors():
    # Offset-free DN 0 (no-data), 1, 100, 1000, 2500 and more: sen2cor.md 13.
    counts = np.array([0, 1001, 1100, 2000, 3500, 9000], np.uint16)
    assert true_colour(counts).tolist() == [0, 1, 11, 102, 255, 255]
    # Valid pixels darker than zero are black, not missing.
    assert true_colour(np.array([1, 500, 1000], np.uint16)).tolist() == [1, 1, 1]


def test_true_colour_image(product):
    _, folder = product
    with rasterio.open(folder / f"{STEM}_TCI_10m.tif") as tci:
        assert tci.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        image = tci.read()
    for plane, band in zip(image, ("B04", "B03", "B02"), strict=True):
        with rasterio.open(folder / f"{STEM}_{band}_10m.tif") as file:
            np.testing.assert_array_equal(plane, true_colour(file.read(1)))


def test_receipt_describes_the_files(product, values):
    receipt, folder = product
    for asset in receipt.assets:
        data = (folder / asset.href).read_bytes()
        assert asset.size == len(data)
        assert asset.sha256 == hashlib.sha256(data).hexdigest()
    b08, truth = receipt.asset("b08_10m"), values("b08", 10)
    assert b08.statistics["valid_percent"] == 87.5
    assert b08.statistics["mean"] == pytest.approx(np.nanmean(truth), abs=1e-5)
    assert b08.statistics["minimum"] == pytest.approx(np.nanmin(truth), abs=1e-4)
    assert (b08.dtype, b08.shape, b08.bands) == ("uint16", (240, 240), ("b08",))
    assert receipt.asset("scl_20m").statistics == {"valid_percent": 87.5}


def test_scene_statistics_come_from_the_classification_written(product, values):
    receipt, _ = product
    scl = values("scl", 20)
    counts = np.bincount(scl.ravel(), minlength=12)
    assert list(receipt.statistics["class_counts"].values()) == counts.tolist()
    shares = receipt.statistics["percentages"]
    assert shares["NODATA_PIXEL_PERCENTAGE"] == 12.5
    cloudy = 100 * counts[8:11].sum() / counts[1:].sum()
    assert shares["CLOUDY_PIXEL_PERCENTAGE"] == pytest.approx(cloudy, abs=1e-6)
    assert receipt.statistics["mean_wvp"] == pytest.approx(np.nanmean(values("wvp", 20)), abs=1e-3)


@pytest.mark.parametrize(
    "chunks",
    [
        {10: 240, 20: 120, 60: 40},
        {10: 37, 20: 50, 60: 13},
        {10: ((30, 120, 90), (110, 120, 10)), 20: ((15, 60, 45), 60)},
    ],
)
def test_bytes_do_not_depend_on_chunks(make_l2a, tmp_path, product, chunks):
    receipt, _ = product
    again = to_cog(make_l2a(chunks=chunks), tmp_path / "again")
    assert again.assets == receipt.assets


def test_one_resolution_gives_all_at_that_one(make_l2a, tmp_path, granule):
    chip = replace(granule, name="my chip", tile="", uri="")
    receipt = to_cog(make_l2a(resolutions=(10,), granule=chip), tmp_path)
    names = {asset.href for asset in receipt.assets}
    assert {asset.resolution for asset in receipt.assets} == {10}
    assert {"my_chip_B09_10m.tif", "my_chip_SCL_10m.tif", "my_chip_TCI_10m.tif"} <= names
    assert len(names) == 12 + 6


def test_without_ten_metre_bands_the_next_best(make_l2a, tmp_path):
    receipt = to_cog(make_l2a(resolutions=(20, 60)), tmp_path)
    keys = {asset.key for asset in receipt.assets}
    assert {"b02_20m", "tci_20m", "b09_60m", "b01_60m"} <= keys
    assert "b08_20m" not in keys, "there is no such band at 20 m"


def test_no_reference_system_is_a_warning(make_l2a, tmp_path):
    receipt = to_cog(make_l2a(crs=""), tmp_path)
    assert "no coordinate reference system" in receipt.warnings


def test_empty_scene_is_a_warning(make_l2a, tmp_path):
    def blank(name, array):
        empty = {"scl": 0, "cld": 101, "snw": 101}.get(name, np.nan)
        return array.map_blocks(lambda b: np.full_like(b, empty), dtype=array.dtype)

    receipt = to_cog(make_l2a(wrap=blank), tmp_path)
    assert "no pixel with data" in receipt.warnings
    assert receipt.asset("b02_10m").statistics == {"valid_percent": 0.0}


def test_a_zarr_address_is_no_folder(make_l2a, tmp_path):
    with pytest.raises(UsageError, match="inside a Zarr store"):
        to_cog(make_l2a(), tmp_path / "x.zarr")


def test_full_disk_is_a_matter_of_capacity(make_l2a, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("s2cloud.io.cog_encode.write_levels", full)
    with pytest.raises(CapacityError, match="no space left"):
        to_cog(make_l2a(), tmp_path)
    assert open_store(str(tmp_path)).find() == {}


def test_a_file_beyond_four_gigabytes_is_refused(tmp_path):
    class Huge(bytes):
        def __len__(self):  # type: ignore[explicit-override]
            return 2**31

    tiles = [Huge(b"1234")] * 2
    with pytest.raises(CapacityError, match="too large for one GeoTIFF"):
        write_levels(tmp_path / "x.tif", {}, [Level(512, 1024, tiles)], predictor=True)
    assert not (tmp_path / "x.tif").exists()


def test_the_layout_passes_the_validator(make_l2a, tmp_path):
    to_cog(make_l2a(side_m=14400), tmp_path)
    for name in ("B02_10m", "TCI_10m", "SCL_20m"):
        valid, errors, warnings = cog_validate(tmp_path / f"{STEM}_{name}.tif", strict=True)
        assert (valid, errors, warnings) == (True, [], [])


@pytest.mark.parametrize("side", [511, 512, 513, 1025, 1537])
def test_any_size_and_any_blocks_come_back(tmp_path, side):
    rng = np.random.default_rng(side)
    pixels = rng.integers(0, 30000, (side, side + 300), np.uint16)
    grid = Grid("EPSG:32632", 600000.0, 5000040.0, 10.0, *pixels.shape)
    profile = CogProfile("uint16", 0, ("one",), scale=1e-4, offset=-0.1)
    cut = side // 3
    blocks = [[rows[:, :cut], rows[:, cut:]] for rows in (pixels[:cut], pixels[cut:])]
    encode_cog(tmp_path / "a.tif", grid, profile, [blocks])
    encode_cog(tmp_path / "b.tif", grid, profile, [[[pixels]]])
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(1), pixels)
        assert min(len(file.overviews(1)), 1) == (max(pixels.shape) > 512)


def test_no_room_for_a_temporary_folder(make_l2a, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(CapacityError, match="no space left"):
        to_cog(make_l2a(), tmp_path)

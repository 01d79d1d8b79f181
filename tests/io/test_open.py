"""Opening products: every form they come in, what the tree holds, and refusals with a fix."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rasterio.warp import transform_bounds
from typing_extensions import override

from s2cloud.io.open import open_l1c
from s2cloud.io.stores import Store, open_store
from s2cloud.model.errors import InputError, S2CloudError, UnavailableError
from s2cloud.model.granule import granule
from s2cloud.model.grid import grid_of

if TYPE_CHECKING:
    import xarray as xr

R10, R20, R60 = (f"measurements/reflectance/r{r}m" for r in (10, 20, 60))
OVERVIEW = "measurements/overview/r60m"


@pytest.fixture
def copy(product, tmp_path) -> Path:
    """A copy of the product to be damaged."""
    return Path(shutil.copytree(product.root, tmp_path / product.root.name))


@pytest.fixture(scope="module")
def opened(product) -> xr.DataTree:
    return open_l1c(product.root)


def archive(root: Path, target: Path, *, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(target, "w", method) as file:
        for path in sorted(root.rglob("*")):
            file.write(path, path.relative_to(root.parent))
    return target


def put(root: Path, store: Store) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            store.put_file(path, f"{root.name}/{path.relative_to(root).as_posix()}")


def same_pixels(tree: xr.DataTree, product) -> bool:
    return all(
        np.array_equal(tree[f"measurements/reflectance/r{r}m/{band.lower()}"], pixels)
        for band, pixels in product.bands.items()
        for r in (3840 // pixels.shape[0],)
    )


# -- what the tree holds --------------------------------------------------------------------------


def test_bands_lie_on_their_grids(opened, product):
    assert sorted(opened[R10].data_vars) == ["b02", "b03", "b04", "b08"]
    assert sorted(opened[R20].data_vars) == ["b05", "b06", "b07", "b11", "b12", "b8a"]
    assert sorted(opened[R60].data_vars) == ["b01", "b09", "b10"]
    for node, size in ((R10, 10), (R20, 20), (R60, 60)):
        grid = grid_of(opened[node].to_dataset())
        assert (grid.ulx, grid.uly, grid.pixel_size, grid.crs) == (
            600000.0,
            5100000.0,
            float(size),
            "EPSG:32632",
        )
        assert opened[node].attrs["resolution"] == size
    assert opened[R10]["b02"].dtype == np.uint16
    assert opened[R10]["b02"].chunks is not None
    assert same_pixels(opened, product)


def test_counts_carry_their_own_offset(opened):
    attrs = opened[R20]["b8a"].attrs
    assert attrs["scale_factor"] == 1e-4
    assert attrs["add_offset"] == pytest.approx((-1000 + 8) / 10000)
    assert (attrs["_FillValue"], attrs["saturated"], attrs["units"]) == (0, 65535, "1")
    assert opened[OVERVIEW]["b8a"].attrs["add_offset"] == attrs["add_offset"]


@pytest.mark.parametrize(
    ("baseline", "offset", "expected"), [("02.09", None, 0.0), ("03.01", None, 0.0)]
)
def test_old_baselines_have_no_offset(baseline, offset, expected, factory, tmp_path):
    old = factory.make_safe(tmp_path, cells=16, baseline=baseline, offset=offset, masks="")
    tree = open_l1c(old.root)
    assert tree[R10]["b02"].attrs["add_offset"] == expected
    assert granule(tree).baseline == baseline


def test_the_granule_is_identified(opened, product):
    found = granule(opened)
    assert found.name == product.root.name.removesuffix(".SAFE")
    assert (found.sensor, found.tile, found.baseline) == ("S2A", "32TPS", "05.10")
    assert (found.relative_orbit, found.absolute_orbit) == (22, 47333)
    assert found.sensing_time.isoformat() == "2024-07-15T10:15:31.024000+00:00"
    assert found.datatake == "GS2A_20240715T101031_047333_N05.10"
    assert found.datastrip.startswith("S2A_OPER_MSI_L1C_DS_")
    expected = transform_bounds("EPSG:32632", "EPSG:4326", 600000, 5096160, 603840, 5100000)
    assert found.bbox == pytest.approx(expected, abs=1e-6)
    assert found.uri == str(product.root)
    assert opened.attrs["quantification"] == 10000
    assert opened.attrs["earth_sun_correction"] == 0.968
    assert opened.attrs["solar_irradiance"] == [1900 - 100 * i + 0.5 for i in range(13)]
    assert opened.attrs["missing_bands"] == []
    assert "image_size_note" not in opened.attrs
    json.dumps(opened.attrs)


def test_the_overview_holds_all_bands(opened, product):
    overview = opened[OVERVIEW].to_dataset()
    assert len(overview.data_vars) == 13
    assert dict(overview.sizes) == {"y": 64, "x": 64}
    np.testing.assert_array_equal(overview["b01"], product.bands["B01"])
    means = product.bands["B02"].reshape(64, 6, 64, 6).mean((1, 3))
    small = overview["b02"].to_numpy()
    assert abs(small[20:, 20:] - means[20:, 20:]).max() <= 0.5
    assert not small[:16, :16].any()


def test_angles_are_read(opened):
    geometry = opened["conditions/geometry"].to_dataset()
    assert geometry["sun_angles"].sel(angle="zenith").values[1, 2] == pytest.approx(30.12)
    assert geometry["sun_angles"].sel(angle="azimuth").values[0, 0] == 150
    views = geometry["viewing_incidence_angles"]
    assert views.dims == ("band", "detector", "angle", "y", "x")
    assert views["detector"].values.tolist() == [4, 5]
    assert np.isnan(views.sel(band="b02", detector=4)).sum() == 2
    assert views.sel(band="b02", detector=5, angle="zenith").values[0, 0] == pytest.approx(5.1)
    assert geometry["x"].values.tolist() == [600000.0, 605000.0, 610000.0]
    assert geometry["y"].values.tolist() == [5100000.0, 5095000.0, 5090000.0]
    assert geometry["mean_sun_angles"].values.tolist() == [30.5, 150.5]
    assert geometry["mean_viewing_incidence_angles"].sel(band="b12").values.tolist() == [6.2, 104.5]


def test_forecasts_are_read_by_name(opened):
    ecmwf = opened["conditions/meteorology/ecmwf"].to_dataset()
    assert float(ecmwf["tcwv"][0, 0]) == pytest.approx(21.5, rel=1e-3)
    assert float(ecmwf["tco3"][0, 0]) == pytest.approx(0.0065, rel=1e-3)
    assert ecmwf["msl"].attrs["units"] == "Pa"
    assert ecmwf["latitude"].values[[0, -1]].tolist() == [46.0, 45.0]
    assert float(opened["conditions/meteorology/cams/aod550"][0, 0]) == pytest.approx(
        0.12, rel=1e-3
    )


def test_raster_masks(opened, product):
    for kind, path in (
        ("DETFOO", "conditions/mask/detector_footprint"),
        ("QUALIT", "quality/mask"),
    ):
        for band, size in (("B02", 10), ("B8A", 20), ("B10", 60)):
            mask = opened[f"{path}/r{size}m/{band.lower()}"]
            assert mask.dtype == np.uint8
            assert mask.chunks is not None
            np.testing.assert_array_equal(mask, product.masks[f"{kind}_{band}"])
    classes = opened["conditions/mask/l1c_classification/r60m/b00"]
    np.testing.assert_array_equal(classes, product.masks["CLASSI_B00"])


def test_polygon_masks(factory, tmp_path):
    old = factory.make_safe(tmp_path, cells=16, baseline="02.09", offset=None, masks="gml")
    tree = open_l1c(old.root)
    left = np.s_[:, : 96 // 2]
    detector = tree["conditions/mask/detector_footprint/r10m/b04"].to_numpy()
    assert (detector[left] == 5).all()
    assert (detector[:, 48:] == 0).all()
    quality = tree["quality/mask/r10m/b04"].to_numpy()
    assert (quality[left] == 16 + 64).all()
    assert not tree["quality/mask/r10m/b03"].to_numpy().any()
    classes = tree["conditions/mask/l1c_classification/r60m/b00"].to_numpy()
    assert (classes[:, :8] == 1 + 2).all()


def test_what_a_product_lacks_is_absent(factory, tmp_path):
    bare = factory.make_safe(tmp_path, cells=16, masks="", forecasts=False)
    tree = open_l1c(bare.root)
    for path in ("quality", "conditions/mask", "conditions/meteorology"):
        assert f"/{path}" not in tree.groups


# -- windows --------------------------------------------------------------------------------------


def test_a_box_is_read_in_whole_60_m_pixels(product):
    tree = open_l1c(product.root, bbox=(10.32, 46.02, 10.33, 46.03), margin=0)
    grids = {
        size: grid_of(tree[f"measurements/reflectance/r{size}m"].to_dataset())
        for size in (10, 20, 60)
    }
    assert len({grid.bounds for grid in grids.values()}) == 1
    assert (grids[60].ulx - 600000) % 60 == 0
    col, row = int((grids[60].ulx - 600000) / 60), int((5100000 - grids[60].uly) / 60)
    height, width = grids[60].shape
    assert 12 <= width <= 16
    assert 18 <= height <= 22
    for band, size in (("b02", 10), ("b11", 20), ("b09", 60)):
        k = 60 // size
        expected = product.bands[band.upper()][
            row * k : (row + height) * k, col * k : (col + width) * k
        ]
        np.testing.assert_array_equal(tree[f"measurements/reflectance/r{size}m/{band}"], expected)
    assert dict(tree[OVERVIEW].sizes) == {"y": 64, "x": 64}
    np.testing.assert_array_equal(tree[OVERVIEW]["b09"], product.bands["B09"])
    mask = tree["quality/mask/r20m/b05"]
    np.testing.assert_array_equal(
        mask,
        product.masks["QUALIT_B05"][row * 3 : (row + height) * 3, col * 3 : (col + width) * 3],
    )


@pytest.mark.parametrize(
    "bbox",
    [
        (0.0, 0.0, 1.0, 1.0),
        (10.32, 46.03, 10.33, 46.02),
        (46.02, 10.32, 46.03, 10.33),
        (-170, 46.0, -169, 46.1),
    ],
)
def test_a_box_elsewhere_is_refused(bbox, product):
    with pytest.raises(InputError, match="box"):
        open_l1c(product.root, bbox=bbox)


# -- forms of a product ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "MTD_MSIL1C.xml", "manifest.safe", "..", "GRANULE/{}/MTD_TL.xml"]
)
def test_a_product_by_any_of_its_files(name, product):
    tree = open_l1c(product.root / name.format(product.granule.name))
    assert granule(tree).relative_orbit == 22
    assert tree[R10]["b02"].attrs["add_offset"] == pytest.approx(-0.0999)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive(method, product, tmp_path):
    path = archive(product.root, tmp_path / "p.zip", method=method)
    assert same_pixels(open_l1c(path), product)


def test_a_granule_folder_alone(product, tmp_path):
    folder = Path(shutil.copytree(product.granule, tmp_path / "granule"))
    tree = open_l1c(folder)
    assert granule(tree).baseline == "05.10"
    assert tree[R10]["b02"].attrs["add_offset"] == -0.1
    assert tree.attrs["earth_sun_correction"] == pytest.approx(0.968, abs=2e-3)
    assert same_pixels(tree, product)


def test_the_layout_of_the_public_archive(product, tmp_path):
    shutil.copy(product.granule / "MTD_TL.xml", tmp_path / "metadata.xml")
    (tmp_path / "tileInfo.json").write_text(json.dumps({"productName": product.root.stem}))
    for path in (product.granule / "IMG_DATA").iterdir():
        shutil.copy(path, tmp_path / path.name[-7:])
    (tmp_path / "auxiliary").mkdir()
    shutil.copy(product.granule / "AUX_DATA" / "AUX_ECMWFT", tmp_path / "auxiliary" / "ECMWFT")
    (tmp_path / "qi").mkdir()
    shutil.copy(
        product.granule / "QI_DATA" / "MSK_DETFOO_B02.jp2", tmp_path / "qi" / "DETFOO_B02.jp2"
    )
    tree = open_l1c(tmp_path)
    assert granule(tree).name == product.root.stem
    assert granule(tree).relative_orbit == 22
    assert same_pixels(tree, product)
    assert "tcwv" in tree["conditions/meteorology/ecmwf"]
    assert "b02" in tree["conditions/mask/detector_footprint/r10m"]


def test_in_memory(product, memory):
    put(product.root, open_store(memory))
    assert same_pixels(open_l1c(f"{memory}/{product.root.name}"), product)


def test_in_a_bucket_with_few_requests(product, bucket, s3_options, monkeypatch):
    put(product.root, open_store(f"s3://{bucket}", s3_options))
    stores: list[Store] = []

    def watched(*args):
        stores.append(open_store(*args))
        return stores[-1]

    monkeypatch.setattr("s2cloud.io.open.open_store", watched)
    tree = open_l1c(f"s3://{bucket}/{product.root.name}", storage_options=s3_options)
    # Two listings, two XML files, two forecasts, and the header of every band.
    assert stores[0].requests == 2 + 2 + 2 + 13
    assert stores[0].bytes_read < 13 * 8192 + 100_000
    assert same_pixels(tree, product)


def test_in_an_archive_in_a_bucket(product, bucket, s3_options, tmp_path):
    store = open_store(f"s3://{bucket}", s3_options)
    store.put_file(archive(product.root, tmp_path / "p.zip"), "in/p.zip")
    assert same_pixels(open_l1c(f"s3://{bucket}/in/p.zip", storage_options=s3_options), product)
    chained = f"zip://{product.root.name}::s3://{bucket}/in/p.zip"
    assert same_pixels(open_l1c(chained, storage_options={"s3": s3_options}), product)


def test_from_a_web_server_without_listings(product):
    class Quiet(SimpleHTTPRequestHandler):
        @override
        def log_message(self, *args):
            pass

        @override
        def list_directory(self, path):
            self.send_error(404)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=product.root.parent))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        tree = open_l1c(f"http://127.0.0.1:{server.server_port}/{product.root.name}")
        assert tree.attrs["missing_bands"] == []
        np.testing.assert_array_equal(tree[R20]["b05"], product.bands["B05"])
        assert "tcwv" in tree["conditions/meteorology/ecmwf"]
    finally:
        server.shutdown()
        server.server_close()


def test_nothing_is_decoded_on_opening(product, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("decoded")

    monkeypatch.setattr("imagecodecs.jpeg2k_decode", never)
    open_l1c(product.root)


# -- other sizes than the metadata says -----------------------------------------------------------


def test_decimated_images_share_a_lattice(factory, copy, caplog):
    sizes = {10: 39, 20: 19, 60: 7}
    for path in (copy / "GRANULE").glob("*/IMG_DATA/*.jp2"):
        n = sizes[factory.RESOLUTION[path.stem[-3:]]]
        pixels = np.full((n, n), 1500, np.uint16)
        path.unlink()
        factory.write_jp2(path, pixels, pixel_size=3840 / n, tile=64)
    with caplog.at_level(logging.WARNING):
        tree = open_l1c(copy)
    assert {r: tree[f"measurements/reflectance/r{r}m"].sizes["x"] for r in sizes} == {
        10: 36,
        20: 18,
        60: 6,
    }
    grids = [grid_of(tree[node].to_dataset()) for node in (R10, R20, R60, OVERVIEW)]
    assert all(np.allclose(grid.bounds, grids[0].bounds) for grid in grids)
    assert "39 x 39 at 10 m" in tree.attrs["image_size_note"]
    assert "39 x 39 at 10 m" in caplog.text
    assert tree[OVERVIEW]["b02"].to_numpy().tolist() == [[1500] * 6] * 6


def test_all_bands_on_one_grid(factory, copy):
    for i, path in enumerate(sorted((copy / "GRANULE").glob("*/IMG_DATA/*.jp2"))):
        path.unlink()
        pixels = np.full((30, 30), 1000 + i, np.uint16)
        factory.write_jp2(path, pixels, pixel_size=10, tile=64, corner=(601000.0, 5099000.0))
    tree = open_l1c(copy)
    assert len(tree[R10].data_vars) == 13
    assert grid_of(tree[R10].to_dataset()).bounds == (601000.0, 5098700.0, 601300.0, 5099000.0)
    assert dict(tree[OVERVIEW].sizes) == {"y": 5, "x": 5}
    assert "30 x 30" in tree.attrs["image_size_note"]
    assert tree["quality/mask/r10m/b02"].shape == (30, 30)
    tree.load()


def test_sizes_that_do_not_fit_are_refused(factory, copy):
    path = next((copy / "GRANULE").glob("*/IMG_DATA/*_B05.jp2"))
    path.unlink()
    factory.write_jp2(path, np.full((50, 50), 1500, np.uint16), pixel_size=20, tile=64)
    with pytest.raises(InputError, match="differ in size"):
        open_l1c(copy)


# -- refusals -------------------------------------------------------------------------------------


def refused(path, match: str) -> str:
    with pytest.raises(InputError, match=match) as caught:
        open_l1c(path)
    assert "Fix: " in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_bands_are_listed_with_their_path(product, copy):
    for path in (copy / "GRANULE").glob("*/IMG_DATA/*_B0[23].jp2"):
        path.unlink()
    tree = open_l1c(copy)
    assert tree.attrs["missing_bands"] == [
        str(copy / product.image(band).relative_to(product.root)) for band in ("B02", "B03")
    ]
    assert "b02" not in tree[R10]
    assert "b02" not in tree[OVERVIEW]


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "MTD_TL.xml"])
def test_missing_metadata_are_named(name, copy):
    next(copy.rglob(name)).unlink()
    assert name in refused(copy, "metadata missing")


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "MTD_TL.xml"])
def test_damaged_metadata_are_named(name, copy):
    path = next(copy.rglob(name))
    path.write_bytes(path.read_bytes()[:500])
    assert name in refused(copy, "damaged metadata")


@pytest.mark.parametrize(
    ("name", "old", "new", "match"),
    [
        ("MTD_MSIL1C.xml", "<U>0.968</U>", "", "expected U"),
        ("MTD_MSIL1C.xml", "<U>0.968</U>", "<U>x</U>", "unreadable"),
        ("MTD_MSIL1C.xml", "<U>0.968</U>", "<U>nan</U>", "unreadable"),
        ("MTD_MSIL1C.xml", "RADIO_ADD_OFFSET", "OTHER", "Radiometric_Offset_List"),
        ("MTD_MSIL1C.xml", 'band_id="3"', 'band_id="77"', "unreadable"),
        ("MTD_MSIL1C.xml", "BASELINE>05.10", "BASELINE>5", "unknown processing baseline"),
        ("MTD_MSIL1C.xml", "BASELINE>05.10", "BASELINE>01.03", "unknown processing baseline"),
        ("MTD_MSIL1C.xml", "BASELINE>05.10", "BASELINE>06.00", "unknown processing baseline"),
        ("MTD_MSIL1C.xml", "BASELINE>05.10", "BASELINE>99.99", "unknown processing baseline"),
        ("MTD_MSIL1C.xml", "Sentinel-2A", "Sentinel-2D", "unknown sensor"),
        ("MTD_MSIL1C.xml", "Level-1C<", "Level-2A<", "not a Level-1C product"),
        ("MTD_TL.xml", "<NROWS>", "<NRIWS>", "damaged metadata"),
        ("MTD_TL.xml", "Sun_Angles_Grid", "Sun_Angels_Grid", "Sun_Angles_Grid"),
        ("MTD_TL.xml", "<VALUES>30.000 ", "<VALUES>", "unreadable"),
        ("MTD_TL.xml", "2024-07-15T", "15 July", "SENSING_TIME"),
    ],
)
def test_incomplete_metadata_are_explained(name, old, new, match, copy):
    path = next(copy.rglob(name))
    path.write_text(path.read_text().replace(old, new))
    refused(copy, match)


def test_newer_baselines_are_read_with_a_warning(copy, caplog):
    path = copy / "MTD_MSIL1C.xml"
    path.write_text(path.read_text().replace("BASELINE>05.10", "BASELINE>05.99"))
    with caplog.at_level(logging.WARNING):
        assert granule(open_l1c(copy)).baseline == "05.99"
    assert "newer than 05.11" in caplog.text


def test_level_2a_is_refused(copy):
    (copy / "MTD_MSIL1C.xml").rename(copy / "MTD_MSIL2A.xml")
    refused(copy, "Level-2A product")
    refused(copy / "MTD_MSIL2A.xml", "Level-2A product")


def test_other_folders_are_refused(tmp_path, product):
    (tmp_path / "readme.txt").write_text("nothing here")
    refused(tmp_path, "no Level-1C product")
    refused(tmp_path / "missing.SAFE", "no such file")
    refused(tmp_path / "missing.zip", "no such file")
    for name in ("one.SAFE", "two.SAFE"):
        shutil.copytree(product.root, tmp_path / name)
    refused(tmp_path, "several products")


def test_a_damaged_forecast_is_not_ignored(copy):
    path = next(copy.rglob("AUX_ECMWFT"))
    path.write_bytes(path.read_bytes()[:-40])
    assert "AUX_ECMWFT" in refused(copy, "damaged GRIB file")


@pytest.mark.parametrize("cut", [100, 3000, -2000, -1])
def test_truncated_images_are_refused_early_or_late(cut, copy):
    path = next((copy / "GRANULE").glob("*/IMG_DATA/*_B11.jp2"))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"_B11\.jp2"):
        open_l1c(copy)[R20]["b11"].compute()


def test_an_image_of_another_kind_is_refused(copy):
    path = next((copy / "GRANULE").glob("*/IMG_DATA/*_B11.jp2"))
    path.write_text("<html>404 not found</html>" * 100)
    with pytest.raises(InputError, match=r"not a JPEG 2000 file.*_B11\.jp2"):
        open_l1c(copy)


def test_masks_of_another_size_are_refused(factory, copy):
    path = next(copy.rglob("MSK_QUALIT_B05.jp2"))
    path.unlink()
    factory.write_jp2(path, np.zeros((8, 20, 20), np.uint8), tile=32)
    tree = open_l1c(copy)
    with pytest.raises(InputError, match=r"unexpected size.*MSK_QUALIT_B05\.jp2"):
        tree["quality/mask/r20m/b05"].compute()


def test_an_unreachable_store_can_be_retried(monkeypatch):
    monkeypatch.setenv("S2CLOUD_STORE_ATTEMPTS", "1")
    options: dict[str, Any] = {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "s"}
    options["config_kwargs"] = {"retries": {"max_attempts": 0}}
    with pytest.raises(UnavailableError, match=r"s3://bucket/x\.SAFE"):
        open_l1c("s3://bucket/x.SAFE", storage_options=options)


def test_errors_name_the_product_once(copy):
    next(copy.rglob("MTD_TL.xml")).unlink()
    with pytest.raises(S2CloudError) as caught:
        open_l1c(copy)
    assert str(caught.value).count(str(copy)) == 1

"""Real products and metadata of many baselines, against rasterio and the publishers' numbers."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from s2cloud.io.jp2_array import JP2Image
from s2cloud.io.jp2_index import JP2Source
from s2cloud.io.open import open_l1c
from s2cloud.io.overview import block_mean
from s2cloud.io.safe_metadata import earth_sun_correction, parse_product
from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError
from s2cloud.model.granule import granule
from s2cloud.model.grid import grid_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.realdata

#: File -> baseline, tile, sensor, detectors, bands that are missing.
METADATA: dict[str, tuple[str, str, str, int, int]] = {
    "S2A_MSIL1C_20201031T004711_N0209_R102_T53JQJ_20201031T022859.zip": (
        *("02.09", "53JQJ", "S2A"),
        *(3, 0),
    ),
    "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE.metadata.zip": (
        *("03.01", "46RER", "S2A"),
        *(2, 13),
    ),
    "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE.zip": (
        *("05.10", "31TCJ", "S2A"),
        *(7, 0),
    ),
    "S2A_OPER_MSI_L1C_TL_SGS__20181231T203637_A018414_T10SDG.metadata.zip": (
        *("02.07", "10SDG", "S2A"),
        *(4, 13),
    ),
    "S2B_MSIL1C_20250113T103309_N0511_R108_T32TLQ_20250113T122458.zarr.attrs.zip": (
        *("05.11", "32TLQ", "S2B"),
        *(0, 13),
    ),
}
R10, R20, R60 = (f"measurements/reflectance/r{r}m" for r in (10, 20, 60))
OVERVIEW = "measurements/overview/r60m"


@pytest.fixture
def unpacked(tmp_path):
    def unpack(path: Path) -> Any:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path)
        return next(tmp_path.glob("*.SAFE"), tmp_path)

    return unpack


def pixels(root: Path, band: str) -> np.ndarray[Any, Any]:
    with rasterio.open(next(root.glob(f"GRANULE/*/IMG_DATA/*_{band}.jp2"))) as source:
        image: np.ndarray[Any, Any] = source.read(1)
    return image


@pytest.mark.parametrize("name", METADATA)
def test_metadata_of_every_baseline_open(name, realdata):
    baseline, tile, sensor, detectors, missing = METADATA[name]
    tree = open_l1c(realdata / "safe_metadata_l1c" / name)
    found = granule(tree)
    assert (found.baseline, found.tile, found.sensor) == (baseline, tile, sensor)
    assert len(tree.attrs["missing_bands"]) == missing
    assert found.relative_orbit > 0
    geometry = tree["conditions/geometry"].to_dataset()
    assert 20 < float(geometry["mean_sun_angles"][0]) < 75
    if detectors:
        assert geometry["viewing_incidence_angles"].shape == (13, detectors, 2, 23, 23)
        views = (
            geometry["viewing_incidence_angles"].sel(angle="zenith").mean(("y", "x", "detector"))
        )
        means = geometry["mean_viewing_incidence_angles"].sel(angle="zenith")
        np.testing.assert_allclose(views, means, atol=0.6)
    expected = earth_sun_correction(found.sensing_time)
    assert tree.attrs["earth_sun_correction"] == pytest.approx(expected, abs=4e-4)


@pytest.mark.parametrize("pattern", ["*MSIL2A*SAFE*.zip", "*L2A_TL*.zip", "*zarr*.zip"])
def test_level_2a_metadata_are_refused(pattern, realdata):
    for path in (realdata / "safe_metadata_l2a").glob(pattern):
        with pytest.raises(
            InputError, match=r"Level-1C.*Fix: give|Level-2A.*Fix: give the L1C product"
        ):
            open_l1c(path)


def test_offsets_of_baseline_04(realdata):
    folder = realdata / "l1c_crops" / "pysat_20220615"
    product = parse_product(next(folder.glob("*_MTD.xml")).read_bytes(), "MTD_MSIL1C.xml")
    assert product.offsets == (-1000.0,) * 13
    with rasterio.open(next(folder.glob("*T122549.tif"))) as source:
        counts = source.read().astype(float)
    with rasterio.open(next(folder.glob("*_toa.tif"))) as source:
        published = source.read().astype(float)
    mine = (counts + product.offsets[0]) / product.quantification
    scale = 1 if np.nanmax(published) < 10 else 1 / 10000
    seen = (counts > 0) & np.isfinite(published)
    assert np.abs(mine - published * scale)[seen].max() < 2e-4


@pytest.mark.parametrize(
    ("name", "sizes", "pixel_size"),
    [("*T56JMM*", (438, 219, 73), 1504.10959), ("*T56JKT*", (168, 84, 28), 3840.0)],
)
def test_decimated_products(name, sizes, pixel_size, realdata, unpacked):
    path = next((realdata / "l1c_safe_reduced").glob(f"{name}.zip"))
    root, tree = unpacked(path), open_l1c(path)
    nodes = (R10, R20, R60)
    assert tuple(tree[node].sizes["x"] for node in nodes) == sizes
    grids = [grid_of(tree[node].to_dataset()) for node in nodes]
    assert grids[2].pixel_size == pytest.approx(pixel_size, abs=1e-4)
    assert all(np.allclose(grid.bounds, grids[2].bounds) for grid in grids)
    assert "metadata says 10980" in tree.attrs["image_size_note"]
    for band, node in (("B02", R10), ("B8A", R20), ("B09", R60)):
        n = tree[node].sizes["x"]
        expected = pixels(root, band)[:n, :n]
        np.testing.assert_array_equal(tree[node][band.lower()], expected)
        np.testing.assert_array_equal(
            tree[OVERVIEW][band.lower()], block_mean(expected, n // sizes[2])
        )
    assert tree[R10]["b02"].attrs["add_offset"] == 0
    assert 5 < float(tree["conditions/meteorology/ecmwf/tcwv"].mean()) < 30
    # The detectors of the polygons cover what is seen.
    detector = tree["conditions/mask/detector_footprint/r60m/b09"].to_numpy()
    seen = tree[R60]["b09"].to_numpy() > 0
    assert (detector[seen] > 0).mean() > 0.85


def test_a_product_of_30_pixels_with_full_size_masks(realdata, unpacked):
    path = realdata / "safe_metadata_l1c" / next(n for n in METADATA if "T31TCJ" in n)
    root, tree = unpacked(path), open_l1c(path)
    assert len(tree[R10].data_vars) == 13
    grid = grid_of(tree[R10].to_dataset())
    assert (grid.ulx, grid.uly, grid.pixel_size) == (350000.0, 4850020.0, 10.0)
    np.testing.assert_array_equal(tree[R10]["b12"], pixels(root, "B12"))
    assert dict(tree[OVERVIEW].sizes) == {"y": 5, "x": 5}
    assert tree[R10]["b12"].attrs["add_offset"] == -0.1
    for band, size in (("B02", 10), ("B05", 20), ("B01", 60)):
        mask = tree[f"conditions/mask/detector_footprint/r{size}m"].to_dataset()[band.lower()]
        with rasterio.open(next(root.glob(f"GRANULE/*/QI_DATA/MSK_DETFOO_{band}.jp2"))) as source:
            col = round((float(mask["x"][0]) - size / 2 - source.transform.c) / size)
            row = round((source.transform.f - float(mask["y"][0]) - size / 2) / size)
            window = rasterio.windows.Window(col, row, mask.shape[1], mask.shape[0])
            np.testing.assert_array_equal(mask, source.read(1, window=window))
    cams = tree["conditions/meteorology/cams"].to_dataset()
    assert float(cams["aod550"].mean()) == pytest.approx(0.0188, abs=1e-3)
    assert cams["z"].attrs["units"] == "m2 s-2"
    assert set(tree["conditions/meteorology/ecmwf"].data_vars) == {
        *("tcwv", "msl", "tco3"),
        *("u10", "v10", "r"),
    }


def test_esas_own_coding(realdata, unpacked):
    path = next((realdata / "l1c_crops").glob("*T31TDH*.zip"))
    root, tree = unpacked(path), open_l1c(path)
    assert "T31TDH_20180101T105441_B02.jp2" in tree.attrs["missing_bands"][0]
    assert len(tree.attrs["missing_bands"]) == 12
    expected = pixels(root, "B01")
    np.testing.assert_array_equal(tree[R60]["b01"], expected)
    assert tree[R60]["b01"].chunks == ((305,) * 6, (305,) * 6)
    # The same file as if it were a fine band: the wavelet's low-pass is in phase with means.
    store = open_store(root)
    name = next(iter(sorted(store.find("GRANULE"))))
    assert name.endswith(".jp2")
    source = JP2Source(store, name, store.info(name))
    image = JP2Image(source, source.header())
    for factor in (3, 6):
        means = block_mean(expected, factor).astype(float)
        small = image.overview(factor, means.shape, least=1).compute().astype(float)
        both = (means > 0) & (small > 0)
        aligned = np.abs(small - means)[both].mean()
        shifted = [
            np.abs(small - np.roll(means, step, axis))[both].mean()
            for step in (-1, 1)
            for axis in (0, 1)
        ]
        assert aligned < 0.6 * min(shifted)
        assert abs((small - means)[both].mean()) < 0.005 * means[both].mean()

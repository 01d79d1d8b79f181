"""The product is what it claims to be: structure, metadata, images, masks, forecasts."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eccodes
import fsspec
import numpy as np
import pytest
import rasterio
import xarray as xr
from defusedxml import ElementTree

from s2cloud.io.open import open_l1c
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.errors import UsageError
from s2cloud.model.grid import Grid
from s2cloud.simulation import SimulatedProduct, simulate_l1c
from s2cloud.simulation.geometry import Viewing
from s2cloud.simulation.identity import identity
from s2cloud.simulation.jp2 import encode_image
from s2cloud.simulation.tile_metadata import Shares, tile_metadata
from s2cloud.simulation.tiling import tile_grid

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from s2cloud.model.bands import Resolution

NAME = "S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559"


def granule(product: SimulatedProduct) -> Path:
    return Path(product.uri) / "GRANULE" / product.granule


def image_path(product: SimulatedProduct, band: str) -> Path:
    return next((granule(product) / "IMG_DATA").glob(f"*_{band}.jp2"))


def read(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read()


def parsed(path: Path) -> Element:
    root = ElementTree.parse(path).getroot()
    assert root is not None
    return root


def angle_grids(element: Element) -> np.ndarray:
    return np.array(
        [
            [[float(v) for v in (row.text or "").split()] for row in group.iter("VALUES")]
            for group in (element.find("Zenith"), element.find("Azimuth"))
            if group is not None
        ]
    )


def test_result_names_product_granule_and_truth(mixed):
    assert mixed.name == NAME
    assert mixed.uri.endswith(f"{NAME}.SAFE")
    assert granule(mixed).is_dir()
    assert Path(mixed.truth_uri).is_dir()


def test_all_xml_files_parse(mixed):
    files = [*Path(mixed.uri).rglob("*.xml"), Path(mixed.uri) / "manifest.safe"]
    assert {f.name for f in files} >= {"MTD_MSIL1C.xml", "MTD_TL.xml", "MTD_DS.xml"}
    for file in files:
        assert len(parsed(file))


@pytest.mark.parametrize(
    ("baseline", "kind"), [("02.09", "MD5"), ("03.01", "SHA3-256"), ("05.11", "SHA3-256")]
)
def test_manifest_lists_every_file_with_true_size_and_checksum(tmp_path, baseline, kind):
    product = simulate_l1c(tmp_path, size=96, baseline=baseline)
    root = Path(product.uri)
    listed = {}
    for stream in parsed(root / "manifest.safe").iter("byteStream"):
        location, checksum = stream.find("fileLocation"), stream.find("checksum")
        assert location is not None
        assert checksum is not None
        assert checksum.get("checksumName") == kind
        listed[location.get("href", "")] = (int(stream.get("size", "")), checksum.text or "")
    digest = hashlib.md5 if kind == "MD5" else hashlib.sha3_256
    there = {f"./{f.relative_to(root).as_posix()}": f for f in root.rglob("*") if f.is_file()}
    assert set(listed) | {"./manifest.safe"} == set(there)
    for href, (size, total) in listed.items():
        data = there[href].read_bytes()
        assert len(data) == size
        assert digest(data).hexdigest().lower() == total.lower()


@pytest.mark.parametrize(
    ("baseline", "offset", "rasters"),
    [("02.09", 0, False), ("03.01", 0, False), ("04.00", -1000, True), ("05.12", -1000, True)],
)
def test_baseline_decides_offset_masks_and_index(tmp_path, baseline, offset, rasters):
    product = simulate_l1c(tmp_path, size=96, baseline=baseline, scene="clear")
    root = parsed(Path(product.uri) / "MTD_MSIL1C.xml")
    offsets = [int(e.text or "") for e in root.iter("RADIO_ADD_OFFSET")]
    assert offsets == ([offset] * 13 if offset else [])
    masks = {f.suffix for f in (granule(product) / "QI_DATA").glob("MSK_*")}
    assert masks == ({".jp2"} if rasters else {".gml"})
    tile = parsed(granule(product) / "MTD_TL.xml")
    named = [e.text or "" for e in tile.iter("MASK_FILENAME")]
    assert len(named) == (27 if rasters else 66)
    assert all((Path(product.uri) / name).exists() for name in named)
    assert (granule(product) / "AUX_DATA" / "AUX_CAMSFO").exists() == rasters
    data = image_path(product, "B02").read_bytes()
    assert (b"\xff\x55" in data[: data.index(b"\xff\x90")]) == (baseline == "05.12")
    # Dark water and forest in the blue: about 0.08 seen from space, whatever the offset.
    darkest = np.percentile(read(image_path(product, "B02")), 2) + offset
    assert 500 < darkest < 1200


def test_metadata_states_bands_and_conversion(mixed):
    root = parsed(Path(mixed.uri) / "MTD_MSIL1C.xml")
    assert root.findtext(".//PRODUCT_URI") == f"{NAME}.SAFE"
    assert root.findtext(".//QUANTIFICATION_VALUE") == "10000"
    # Perihelion is in January: in June the sun is 1.6 % farther than on average.
    assert float(root.findtext(".//U") or "") == pytest.approx(1.0158**-2, abs=0.001)
    assert len(list(root.iter("Spectral_Information"))) == 13
    irradiance = [float(e.text or "") for e in root.iter("SOLAR_IRRADIANCE")]
    assert irradiance == [BAND_INFO[b].irradiance[0] for b in BANDS]
    images = [e.text for e in root.iter("IMAGE_FILE")]
    assert len(images) == 14
    for image in images:
        assert (Path(mixed.uri) / f"{image}.jp2").exists()


def test_angle_grids_cover_the_tile_and_alternate(clear):
    root = parsed(granule(clear) / "MTD_TL.xml")
    sun = angle_grids(next(root.iter("Sun_Angles_Grid")))
    assert sun.shape == (2, 3, 3)
    # Solar zenith near Rome, 15 June, 10:16 UTC: declination 23.3, 24 degrees before noon.
    assert 22 < sun[0].mean() < 28
    views = {
        (int(e.get("bandId", "")), int(e.get("detectorId", ""))): angle_grids(e)
        for e in root.iter("Viewing_Incidence_Angles_Grids")
    }
    assert {band for band, _ in views} == set(range(13))
    left, right = views[1, 8], views[1, 9]
    assert np.isnan(left[0, 0, 2])
    assert np.isnan(right[0, 0, 0])
    # Odd detectors look ahead and even ones behind, 2 x 0.55 degrees apart in B02.
    assert abs(np.nanmean(left[1]) - np.nanmean(right[1])) > 8
    for view in views.values():
        assert np.nanmax(view[0]) < 6


def test_full_tile_has_23_tie_points_as_real_products():
    grid = tile_grid("31TCJ", 10980)
    # Corner of the product S2A ..._N0510_R051_T31TCJ_20240120T125244.
    assert (grid.crs, grid.ulx, grid.uly) == ("EPSG:32631", 300000, 4900020)
    product = identity("S2A", "31TCJ", "05.10", "2024-01-20T10:58:50")
    metadata = tile_metadata(product, grid, Viewing.of(grid), None, Shares(0, 0, 0))
    root = ElementTree.fromstring(metadata)
    sun = next(root.iter("Sun_Angles_Grid"))
    assert angle_grids(sun).shape == (2, 23, 23)
    # Mean sun of that product: 65.755, 162.689.
    assert float(root.findtext(".//Mean_Sun_Angle/ZENITH_ANGLE") or "") == pytest.approx(
        65.755, abs=0.02
    )
    assert float(root.findtext(".//Mean_Sun_Angle/AZIMUTH_ANGLE") or "") == pytest.approx(
        162.69, abs=0.02
    )
    covered = np.zeros((23, 23), dtype=int)
    for element in root.iter("Viewing_Incidence_Angles_Grids"):
        if element.get("bandId") == "1":
            covered += np.isfinite(angle_grids(element)[0])
    assert covered.min() >= 1
    assert 10 < (covered == 2).sum() < 60  # 31 in that product


@pytest.mark.parametrize(
    ("tile", "corner"),
    [
        ("56JMM", ("EPSG:32756", 399960, 6700000)),
        ("46RER", ("EPSG:32646", 499980, 3100020)),
        ("53JQJ", ("EPSG:32753", 699960, 6900040)),
    ],
)
def test_tile_corners_as_in_real_products(tile, corner):
    grid = tile_grid(tile, 10980)
    assert (grid.crs, grid.ulx, grid.uly) == corner


def test_gdal_opens_it_as_sentinel2(mixed):
    with rasterio.Env() as env:
        if "SENTINEL2" not in env.drivers():
            pytest.skip("this GDAL was built without the SENTINEL2 driver")
    path = Path(mixed.uri) / "MTD_MSIL1C.xml"
    for resolution, count in ((10, 4), (20, 6), (60, 3)):
        with rasterio.open(f"SENTINEL2_L1C:{path}:{resolution}m:EPSG_32632") as file:
            assert file.count == count
            assert file.shape == (3600 // resolution, 3600 // resolution)
            assert file.transform.a == resolution
            assert file.read(1).any()


@pytest.mark.parametrize(("band", "size", "tile"), [("B02", 360, 360), ("B05", 180, 180)])
def test_small_images_are_single_tiles_coded_as_esa_does(mixed, band, size, tile):
    check_coding(image_path(mixed, band).read_bytes(), size, tile)


@pytest.mark.parametrize(("resolution", "tile"), [(10, 1024), (20, 640), (60, 192)])
def test_large_images_have_the_tiles_of_esa(resolution: Resolution, tile: int):
    size = tile + 30
    grid = Grid("EPSG:32632", 600000, 4700040, resolution, size, size)
    noise = np.random.default_rng(1).integers(900, 1100, (size, size)).astype(np.uint16)
    data = encode_image(noise, grid, resolution, tlm=False)
    check_coding(data, size, tile)
    with rasterio.MemoryFile(data) as memory, memory.open() as file:
        np.testing.assert_array_equal(file.read(1), noise)
        assert file.crs.to_epsg() == 32632
        assert file.transform.c == 600000


def check_coding(data: bytes, size: int, tile: int) -> None:
    """Fields of the main header, ISO 15444-1 annex A."""
    siz = data.index(b"\xff\x4f\xff\x51") + 6
    words = np.frombuffer(data[siz + 2 : siz + 34], ">u4")
    assert words[:2].tolist() == [size, size]
    assert words[4:6].tolist() == [tile, tile]
    assert data[siz + 36] == 14  # 15 bit unsigned
    cod = data.index(b"\xff\x52", siz) + 4
    style, progression, layers_high, layers_low, mct, levels, width, height, blocks, wavelet = data[
        cod : cod + 10
    ]
    assert style & 1  # precincts are given
    assert (progression, layers_high, layers_low, mct) == (0, 0, 1, 0)  # LRCP, one layer
    assert (levels, width, height, blocks, wavelet) == (4, 4, 4, 0, 1)  # 64 x 64, reversible 5/3
    assert data[cod + 10 : cod + 15] == b"\x88" * 5  # 256 x 256
    first_tile = data.index(b"\xff\x90", cod)
    assert b"\xff\x55" not in data[cod:first_tile]  # no TLM
    assert b"\xff\x58" in data[first_tile : first_tile + 64]  # PLT


def test_same_seed_gives_the_same_bytes(tmp_path):
    one, two, other = (
        simulate_l1c(tmp_path / name, size=96, seed=seed)
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    )
    for band in ("B02", "B11", "B09", "TCI"):
        assert image_path(one, band).read_bytes() == image_path(two, band).read_bytes()
        assert image_path(one, band).read_bytes() != image_path(other, band).read_bytes()
    files = [sorted(p.relative_to(x.uri) for p in Path(x.uri).rglob("*")) for x in (one, two)]
    assert files[0] == files[1]
    assert (Path(one.uri) / "manifest.safe").read_bytes() == (
        Path(two.uri) / "manifest.safe"
    ).read_bytes()


def test_no_data_is_zero_in_all_images_and_masks(mixed):
    masks = granule(mixed) / "QI_DATA"
    for band in BANDS:
        name = BAND_INFO[band].esa_name
        empty = read(image_path(mixed, name))[0] == 0
        np.testing.assert_array_equal(read(masks / f"MSK_DETFOO_{name}.jp2")[0] == 0, empty)
        quality = read(masks / f"MSK_QUALIT_{name}.jp2")
        assert quality.shape[0] == 8
        np.testing.assert_array_equal(quality[5] == 1, empty)
        assert not quality[[0, 1, 2, 3, 4, 6, 7]].any()
        assert 0.08 < empty.mean() < 0.12


def test_detector_mask_holds_the_detectors_of_the_angle_grids(mixed):
    root = parsed(granule(mixed) / "MTD_TL.xml")
    for band in ("b02", "b12"):
        info = BAND_INFO[band]
        mask = read(granule(mixed) / "QI_DATA" / f"MSK_DETFOO_{info.esa_name}.jp2")
        named = {
            int(e.get("detectorId", ""))
            for e in root.iter("Viewing_Incidence_Angles_Grids")
            if e.get("bandId") == str(info.index)
        }
        assert set(np.unique(mask).tolist()) - {0} == {8, 9}
        assert named >= {8, 9}
    for element in root.iter("Viewing_Incidence_Angles_Grids"):
        assert np.isfinite(angle_grids(element)).any()


def test_cloud_mask_marks_what_is_bright(mixed):
    opaque, cirrus, snow = read(granule(mixed) / "QI_DATA" / "MSK_CLASSI_B00.jp2")
    blue, high = (read(image_path(mixed, b))[0].astype(int) - 1000 for b in ("B01", "B10"))
    clear = (opaque == 0) & (cirrus == 0) & (high > -1000)
    # Water vapour hides low clouds in B10, not cirrus.
    assert high[cirrus == 1].mean() > 3 * high[clear].mean()
    assert blue[opaque == 1].mean() > 2 * blue[clear].mean()
    assert high[clear].mean() < 60
    assert not snow.any()


def grib(data: bytes) -> dict[str, tuple[str, Any, int]]:
    found = {}
    while data:
        handle = eccodes.codes_new_from_message(data)
        # Steps are minutes; without this eccodes cannot express them in hours.
        eccodes.codes_set(handle, "stepUnits", "m")
        length = eccodes.codes_get(handle, "totalLength")
        found[eccodes.codes_get(handle, "shortName")] = (
            eccodes.codes_get(handle, "units"),
            eccodes.codes_get_values(handle).reshape(9, 9),
            eccodes.codes_get(handle, "validityTime"),
        )
        assert eccodes.codes_get(handle, "edition") == 1
        eccodes.codes_release(handle)
        data = data[length:]
    return found


def test_forecasts_are_wrong_by_the_stated_amounts(clear, clear_truth):
    folder = granule(clear) / "AUX_DATA"
    maps = clear_truth["quality/atmosphere/r60m"].to_dataset()
    aot, wvp = (float(maps[name].mean()) for name in ("aot", "wvp"))
    weather = grib((folder / "AUX_ECMWFT").read_bytes())
    assert list(weather) == ["tcwv", "msl", "tco3", "10u", "10v", "r"]
    assert {time for _, _, time in weather.values()} == {1015}
    assert weather["tcwv"][0] == "kg m**-2"
    assert weather["tcwv"][1].mean() == pytest.approx(1.05 * wvp, rel=2e-3)
    assert weather["tco3"][1].mean() / 2.1415e-5 == pytest.approx(320, rel=1e-3)
    assert weather["msl"][1].mean() == pytest.approx(101325, rel=1e-4)
    aerosol = grib((folder / "AUX_CAMSFO").read_bytes())
    assert list(aerosol)[:3] == ["z", "aod469", "aod550"]
    assert len(aerosol) == 11
    # The relief of a clear scene rises up to 120 m above the elevation asked for.
    assert 400 < aerosol["z"][1].mean() / 9.80665 < 520
    assert aerosol["aod550"][1].mean() == pytest.approx(1.15 * aot + 0.01, rel=3e-3)
    species = sum(aerosol[f"{s}aod550"][1] for s in ("bc", "du", "om", "ss", "su"))
    np.testing.assert_allclose(species, aerosol["aod550"][1], rtol=1e-3)


def test_writes_to_an_object_store_url():
    product = simulate_l1c("memory://simulated", size=96, sensor="S2C", scene="snow")
    assert product.uri.startswith("memory://simulated/S2C_MSIL1C_")
    files = fsspec.filesystem("memory").find(product.uri)
    assert any(f.endswith("manifest.safe") for f in files)
    with xr.open_datatree(product.truth_uri, engine="zarr") as truth:
        scl = truth["conditions/mask/l2a_classification/r20m"].to_dataset()["scl"].values
    assert np.mean(scl == 11) > 0.1


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ({"scene": "moon"}, "mixed, clear, vegetation"),
        ({"size": 100}, "multiple of 6"),
        ({"sensor": "S2Z"}, "S2A or S2B or S2C"),
        ({"tile": "99XXX"}, "MGRS"),
        ({"baseline": "5.11"}, "05.11"),
        ({"date": "yesterday"}, "ISO 8601"),
        ({"aerosol": "glitter"}, "one of"),
        ({"aerosol": "continental:0.6+glitter:0.4"}, "water-soluble"),
        ({"aerosol": "continental:0.6+soot:0.4", "rt": "tables"}, "direct"),
        ({"rt": "guessed"}, "tables, direct"),
        ({"b09_law": "dry"}, "lowtran7"),
        ({"date": "2025-06-15T22:00:00"}, "sun stands too low"),
        ({"nodata_fraction": 1.5}, "share"),
    ],
)
def test_unknown_arguments_are_refused_with_what_is_known(tmp_path, argument, named):
    with pytest.raises(UsageError, match=named):
        simulate_l1c(tmp_path, **{"size": 96, **argument})
    assert not list(tmp_path.iterdir())


def test_open_l1c_reads_it(mixed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        l1c = open_l1c(mixed.uri)
        for band, resolution in (("b02", 10), ("b05", 20), ("b09", 60)):
            found = l1c[f"measurements/reflectance/r{resolution}m"][band].values
            expected = read(image_path(mixed, BAND_INFO[band].esa_name))[0]
            np.testing.assert_array_equal(found, expected)


def test_masks_as_polygons_say_what_masks_as_images_say(tmp_path, mixed):
    older = simulate_l1c(tmp_path, size=360, nodata_fraction=0.1, baseline="03.01")
    polygons, images = open_l1c(older.uri), open_l1c(mixed.uri)
    for band, resolution in (("b02", 10), ("b8a", 20), ("b10", 60)):
        path = f"conditions/mask/detector_footprint/r{resolution}m"
        found, expected = (tree[path].to_dataset()[band].values for tree in (polygons, images))
        np.testing.assert_array_equal(found, expected)
        assert len(np.unique(found)) == 3
    path = "conditions/mask/l1c_classification/r60m"
    found, expected = (tree[path].to_dataset()["b00"].values for tree in (polygons, images))
    np.testing.assert_array_equal(found, expected & 3)
    assert {1, 2} <= set(np.unique(found))


def test_southern_tile(tmp_path):
    product = simulate_l1c(tmp_path, size=96, tile="19HDA", date="2025-01-15T14:37:29")
    root = parsed(granule(product) / "MTD_TL.xml")
    assert root.findtext(".//HORIZONTAL_CS_CODE") == "EPSG:32719"
    # The summer sun stands in the north-east at 35 degrees south in the morning.
    assert 20 < float(root.findtext(".//Mean_Sun_Angle/ZENITH_ANGLE") or "") < 40
    assert 45 < float(root.findtext(".//Mean_Sun_Angle/AZIMUTH_ANGLE") or "") < 100
    with rasterio.open(image_path(product, "B02")) as file:
        assert file.crs.to_epsg() == 32719
    assert open_l1c(product.uri)["measurements/reflectance/r10m"].sizes["x"] == 96

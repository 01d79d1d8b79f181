"""Zarr in the EOPF layout."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401
import xarray as xr
import zarr

from s2cloud.io.layers import quantise
from s2cloud.io.product import write_product
from s2cloud.io.validate import validate
from s2cloud.io.zarr_writer import ZarrOptions, to_zarr
from s2cloud.model.errors import UsageError
from s2cloud.model.schema import ENCODINGS

if TYPE_CHECKING:
    from pathlib import Path

R10 = "measurements/reflectance/r10m"


def opened(path: Path) -> Any:
    return xr.open_datatree(path, engine="zarr")


def group_at(path: Path) -> Any:
    return zarr.open_group(path, mode="r")


@pytest.fixture
def store(make_l2a, tmp_path):
    path = tmp_path / "out.zarr"
    return to_zarr(make_l2a(), path), path


def test_opens_in_xarray_with_values_decoded(store, make_l2a):
    _, path = store
    tree = opened(path)
    for node in make_l2a().subtree:
        for name, variable in node.data_vars.items():
            read = tree[node.path][name]
            truth = variable.values
            if name in {"cld", "snw"}:
                truth = np.where(truth == 101, np.nan, truth)
            assert read.dims == (variable.dims or ("scene",))
            scale = {"aot": 1e-3, "wvp": 1e-2}.get(str(name), 1e-4)
            np.testing.assert_allclose(read.values, truth, atol=0.5001 * scale, err_msg=str(name))


def test_classes_open_as_integers_with_their_names(store):
    _, path = store
    scl = opened(path)["conditions/mask/l2a_classification/r20m/scl"]
    assert scl.dtype == np.uint8
    assert scl.attrs["flag_meanings"].split()[scl.attrs["flag_values"].index(9)] == (
        "cloud_high_probability"
    )


# rioxarray 0.19 multiplies affine transforms in a way that affine 3 will deprecate.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_reference_system_and_transform(store):
    _, path = store
    tree = opened(path)
    for resolution in (10, 20, 60):
        dataset = tree[f"measurements/reflectance/r{resolution}m"].to_dataset()
        band = dataset["b02"]
        assert band.rio.crs.to_epsg() == 32632
        assert band.rio.transform()[:6] == (resolution, 0, 699960.0, 0, -resolution, 5000040.0)
        assert dataset["x"].attrs["standard_name"] == "projection_x_coordinate"
    scl = tree["conditions/mask/l2a_classification/r20m/scl"]
    assert scl.rio.crs.to_epsg() == 32632


def test_stored_as_documented(store):
    _, path = store
    band = group_at(path)[f"{R10}/b02"]
    assert (band.dtype, band.chunks, band.fill_value) == (np.uint16, (120, 120), 0)
    attrs = dict(band.attrs)
    assert (attrs["scale_factor"], attrs["add_offset"], attrs["_FillValue"]) == (1e-4, -0.1, 0)
    assert attrs["_CRS"]["url"].endswith("/32632")
    codec = json.loads((path / R10 / "b02" / "zarr.json").read_text())["codecs"][-1]
    assert codec["configuration"]["shuffle"] == "bitshuffle"
    assert (codec["configuration"]["cname"], codec["configuration"]["clevel"]) == ("zstd", 1)


def test_one_request_opens_the_product_or_a_group(store):
    _, path = store
    for group in (None, R10, "conditions"):
        consolidated = zarr.open_consolidated(path, path=group or "")
        assert consolidated.metadata.consolidated_metadata is not None
    xr.open_zarr(path, group=R10, consolidated=True)


def test_root_attributes_of_eopf(store, granule):
    receipt, path = store
    attrs = dict(group_at(path).attrs)
    assert set(attrs) == {"stac_discovery", "other_metadata", "processing_history"}
    item = attrs["stac_discovery"]
    assert (item["id"], item["stac_version"]) == (granule.l2a_name, "1.1.0")
    cloud = receipt.statistics["percentages"]["CLOUDY_PIXEL_PERCENTAGE"]
    assert item["properties"]["eo:cloud_cover"] == cloud
    assert attrs["other_metadata"]["retrieval"] == {"quality/retrieval/aot_mean": 0.25}
    step = attrs["processing_history"]["Level-2A Product"][0]
    assert step["inputs"] == {"Level-1C Product": granule.name}


def test_text_coordinates_and_small_arrays(store):
    _, path = store
    geometry = opened(path)["conditions/geometry"].to_dataset()
    sun = geometry["mean_sun_angles"]
    assert sun.sel(angle="azimuth").item() == 145.25
    assert geometry["band"].values.tolist() == ["b02", "b8a"]


def test_blocks_without_data_are_not_stored(make_l2a, tmp_path):
    def half(name, array):
        def clear(block, block_id=None):
            empty = {"scl": 0, "cld": 101, "snw": 101}.get(name, np.nan)
            return np.full_like(block, empty) if block_id == (1, 0) else block

        return array.map_blocks(clear, dtype=array.dtype, meta=np.empty((0, 0), array.dtype))

    path = tmp_path / "out.zarr"
    receipt = to_zarr(make_l2a(wrap=half), path)
    assert sorted(p.name for p in (path / R10 / "b02" / "c" / "0").iterdir()) == ["0", "1"]
    assert sorted(p.name for p in (path / R10 / "b02" / "c" / "1").iterdir()) == ["1"]
    read = opened(path)[f"{R10}/b02"].values
    assert np.isnan(read[120:, :120]).all()
    assert receipt.statistics["class_counts"]["0"] == 120 * 15 + 60 * 60 - 0


def test_receipt_lies_beside_the_store(store):
    receipt, path = store
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["out.receipt.json", "out.zarr", "out.zarr.sha256"]
    assert receipt.asset("zarr").href == "out.zarr"
    size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    assert receipt.asset("zarr").size == size


@pytest.mark.parametrize(
    "chunks",
    [
        {10: 240, 20: 120, 60: 40},
        {10: 37, 20: 50, 60: 13},
        {10: ((30, 120, 90), (110, 120, 10)), 20: ((15, 60, 45), 60)},
    ],
)
def test_bytes_do_not_depend_on_chunks(make_l2a, tmp_path, store, chunks):
    receipt, _ = store
    again = to_zarr(make_l2a(chunks=chunks), tmp_path / "again" / "out.zarr")
    assert again.asset("zarr") == receipt.asset("zarr")


def test_partial_blocks_at_the_edge(make_l2a, tmp_path, values):
    # 3000 m are two blocks and a half.
    path = tmp_path / "out.zarr"
    to_zarr(make_l2a(side_m=3000), path)
    read = opened(path)[f"{R10}/b02"]
    np.testing.assert_allclose(read.values, values("b02", 10, 3000), atol=0.5001e-4)
    last = (path / R10 / "b02" / "c" / "2" / "2").read_bytes()
    chunk = np.frombuffer(imagecodecs.blosc_decode(last), np.uint16).reshape(120, 120)
    assert (chunk[60:] == 0).all()


def test_both_formats_hold_the_same_integers(make_l2a, tmp_path):
    receipt = write_product(make_l2a(), tmp_path)
    root = group_at(tmp_path / receipt.asset("zarr").href)
    paths = {
        "b08_10m": f"{R10}/b08",
        "b11_20m": "measurements/reflectance/r20m/b11",
        "aot_20m": "quality/atmosphere/r20m/aot",
        "scl_20m": "conditions/mask/l2a_classification/r20m/scl",
        "cld_20m": "quality/probability/r20m/cld",
    }
    for key, path in paths.items():
        with rasterio.open(tmp_path / receipt.asset(key).href) as file:
            np.testing.assert_array_equal(file.read(1), root[path][:], err_msg=key)


def test_gdal_reads_an_array(store):
    if tuple(int(n) for n in rasterio.__gdal_version__.split(".")[:2]) < (3, 11):
        pytest.skip(f"GDAL {rasterio.__gdal_version__} reads a draft of Zarr v3 only")
    _, path = store
    with rasterio.open(f'ZARR:"{path}":/{R10}/b02') as file:
        assert file.crs.to_epsg() == 32632
        assert file.transform[:6] == (10, 0, 699960.0, 0, -10, 5000040.0)


def test_carried_masks_are_chunked_too(make_l2a, tmp_path):
    tree = make_l2a()
    mask = (tree[R10].to_dataset()["b02"] > 0.2).astype("uint8")
    tree["quality/mask/r10m"] = xr.DataTree(xr.Dataset({"b02": mask}))
    path = tmp_path / "out.zarr"
    to_zarr(tree, path)
    stored = group_at(path)["quality/mask/r10m/b02"]
    assert stored.chunks == (120, 120)
    assert "scale_factor" not in dict(stored.attrs)
    np.testing.assert_array_equal(stored[:], mask.values)


def test_identity_is_readable(store, granule):
    _, path = store
    item = opened(path).attrs["stac_discovery"]
    assert item["properties"]["s2:mgrs_tile"] == granule.tile


LAYOUTS = [
    ZarrOptions(version=2),
    ZarrOptions(sharding=True),
    ZarrOptions(overviews=True),
    ZarrOptions(sharding=True, overviews=True),
]


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_other_layouts_hold_the_same_pixels_and_are_valid(make_l2a, store, tmp_path, options):
    _, plain = store
    path = tmp_path / "other.zarr"
    to_zarr(make_l2a(), path, options=options)
    assert validate(path).findings == ()
    with (
        xr.open_datatree(plain, engine="zarr", mask_and_scale=False) as one,
        xr.open_datatree(path, engine="zarr", mask_and_scale=False) as other,
    ):
        assert set(one.groups) <= set(other.groups)
        for node in one.subtree:
            for name, variable in node.data_vars.items():
                same = other[node.path][str(name)]
                xr.testing.assert_equal(same.variable, variable.variable)
                fill = "_FillValue"  # NaN, of another type in version 2
                assert {**same.attrs, fill: 0} == {**variable.attrs, fill: 0}


def test_shards_are_nine_chunks_in_one_object(make_l2a, tmp_path):
    path = tmp_path / "a.zarr"
    to_zarr(make_l2a(), path, options=ZarrOptions(sharding=True))
    array = zarr.open_array(path, path=f"{R10}/b02", mode="r")
    assert (array.shards, array.chunks) == ((120, 120), (40, 40))
    assert len(list((path / R10 / "b02/c").rglob("?"))) == 2 + 4
    # The first rows have no data: chunks without any are not in their shard.
    size = (path / R10 / "b02/c/0/0").stat().st_size
    assert size < (path / R10 / "b02/c/1/0").stat().st_size


def test_overviews_are_means_and_most_frequent_classes(make_l2a, tmp_path, values):
    path = tmp_path / "a.zarr"
    tree = make_l2a(side_m=7680, chunks={60: 64})
    to_zarr(tree, path, options=ZarrOptions(overviews=True))
    fine = quantise(values("b04", 60, 7680), ENCODINGS["reflectance"]).astype(float)
    fine[fine == 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing
        mean = np.nanmean(fine.reshape(64, 2, 64, 2).swapaxes(1, 2).reshape(64, 64, 4), axis=-1)
    with xr.open_datatree(path, engine="zarr", mask_and_scale=False) as read:
        found = read["measurements/reflectance/r120m/b04"]
        np.testing.assert_array_equal(found.values, np.nan_to_num(np.rint(mean)))
        assert found.rio.crs.to_epsg() == 32632
        assert found.rio.resolution() == (120.0, -120.0)
        scl = read["conditions/mask/l2a_classification/r240m/scl"]
        assert scl.shape == (32, 32)
        assert (np.asarray(scl)[:2] == 0).all()
        levels = read["measurements/reflectance"].attrs["multiscales"]["layout"]
        assert [level["asset"] for level in levels] == [f"r{n}m" for n in (10, 20, 60, 120, 240)]
        assert levels[2]["transform"] == {"scale": [3.0, 3.0]}


def test_gdal_reads_version_2(make_l2a, tmp_path, values):
    path = tmp_path / "a.zarr"
    to_zarr(make_l2a(), path, options=ZarrOptions(version=2))
    with rasterio.open(f'ZARR:"{path}":/{R10}/b03') as opened:
        assert opened.crs.to_epsg() == 32632
        assert opened.transform[:6] == (10, 0, 699960, 0, -10, 5000040)
        assert (opened.scales, opened.offsets, opened.nodata) == ((1e-4,), (-0.1,), 0)
        expected = quantise(values("b03", 10), ENCODINGS["reflectance"])
        np.testing.assert_array_equal(opened.read(1), expected)


def test_impossible_layouts_are_refused():
    with pytest.raises(UsageError, match="no such Zarr layout"):
        ZarrOptions(version=2, sharding=True)

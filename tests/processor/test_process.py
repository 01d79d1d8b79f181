"""The lazy tree: layout, laziness, invariance, fallbacks."""

import logging
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

from s2cloud.config import AerosolConfig, ProcessorConfig, SurfaceConfig
from s2cloud.model.bands import L2A_BANDS
from s2cloud.model.errors import InputError
from s2cloud.model.grid import BLOCK_PX
from s2cloud.model.schema import CAMS, SCL, TERRAIN, Flag
from s2cloud.processor import process, tasks
from s2cloud.processor.aerosol import AOT_METHODS

pytestmark = pytest.mark.usefixtures("small_blocks")


def variables(tree: xr.DataTree) -> dict[str, xr.DataArray]:
    return {f"{n.path}/{v}": array for n in tree.subtree for v, array in n.data_vars.items()}


def computed(tree: xr.DataTree) -> dict[str, np.ndarray]:
    lazy = variables(tree)
    with dask.config.set(scheduler="sync"):
        return dict(zip(lazy, dask.compute(*(v.data for v in lazy.values())), strict=True))


def assert_identical(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> None:
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)


@pytest.fixture(scope="module")
def reference(make_l1c):
    """The product computed as one block."""
    return computed(process(make_l1c(chunk=-1)))


def test_nothing_is_computed_while_building(make_l1c):
    def refuse(*_args, **_kwargs):
        raise AssertionError("computed while building")

    with dask.config.set(scheduler=refuse):
        tree = process(make_l1c())
        assert repr(tree)


def test_layout_is_that_of_eopf(make_l1c):
    tree = process(make_l1c())
    for resolution, bands in L2A_BANDS.items():
        node = tree[f"measurements/reflectance/r{resolution}m"]
        assert tuple(node.data_vars) == bands
        assert node["b02" if resolution < 60 else "b09"].dtype == np.float32
        assert set(tree[f"quality/atmosphere/r{resolution}m"].data_vars) == {"aot", "wvp"}
    assert tree["conditions/mask/l2a_classification/r20m/scl"].dtype == np.uint8
    assert tree["conditions/mask/l2a_classification/r60m/scl"].shape == (90, 90)
    assert set(tree["quality/probability/r20m"].data_vars) == {"cld", "snw"}
    encoding = tree["measurements/reflectance/r10m/b04"].encoding
    assert (encoding["scale_factor"], encoding["add_offset"]) == (1e-4, -0.1)
    assert tree.attrs["provenance"]["configuration_digest"] == ProcessorConfig().digest
    assert len(tree.attrs["provenance"]["look_up_table"]["sha256"]) == 64


@pytest.mark.parametrize("chunk", [37, 64, 180, (50, 333), -1])
def test_any_chunking_of_the_input_gives_the_same_bits(make_l1c, reference, chunk):
    assert_identical(computed(process(make_l1c(chunk=chunk))), reference)


@pytest.mark.parametrize("sizes", [(60, 30, 10), (360, 180, 60), (1830, 915, 305)])
def test_any_block_size_gives_the_same_bits(make_l1c, reference, monkeypatch, sizes):
    for resolution, size in zip((10, 20, 60), sizes, strict=True):
        monkeypatch.setitem(BLOCK_PX, resolution, size)
    assert_identical(computed(process(make_l1c())), reference)


def test_schedulers_agree(make_l1c, reference):
    tree = process(make_l1c())
    with dask.config.set(scheduler="threads", num_workers=3):
        found = {name: v.values for name, v in variables(tree).items()}
    assert_identical(found, reference)


def test_a_region_equals_the_same_place_of_the_whole_tile(make_l1c, reference):
    row, col, size = 21, 33, 40
    part = computed(process(make_l1c(window=(row, col, size))))
    for name, values in part.items():
        if not any(grid in name for grid in ("/r10m/", "/r20m/", "/r60m/")):
            continue
        factor = values.shape[-1] // size
        # Beyond the region there is nothing to look at: the halo of the neighbourhood steps.
        rim = 6 * factor
        inner = (slice(rim, -rim), slice(rim, -rim))
        whole = reference[name][
            row * factor : (row + size) * factor, col * factor : (col + size) * factor
        ]
        np.testing.assert_array_equal(values[inner], whole[inner], err_msg=name)


def test_no_data_spreads_to_every_layer_and_no_further(reference):
    for name, values in reference.items():
        if "/r10m/" not in name and "/r20m/" not in name and "/r60m/" not in name:
            continue
        factor = values.shape[-1] // 90
        corner = values[: 4 * factor, : 7 * factor]
        rest = values[5 * factor :]
        if name.endswith(("cld", "snw")):
            assert (corner == 101).all()
            assert (rest <= 100).all()
        elif name.endswith("scl"):
            assert (corner == SCL.NO_DATA).all()
            assert (rest != SCL.NO_DATA).all()
        elif name.endswith("flags"):
            assert (corner == 0).all()
            assert (rest & Flag.VALID == Flag.VALID).all()
        else:
            assert np.isnan(corner).all(), name
            assert np.isfinite(rest).all(), name


def test_land_cloud_and_lake_are_told_apart(reference):
    scl = reference["/conditions/mask/l2a_classification/r20m/scl"]
    y, x = np.mgrid[0:270, 0:270] / 3
    cloud = (y - 22.5) ** 2 + (x - 67.5) ** 2 < 8**2
    lake = (y - 63) ** 2 + (x - 27) ** 2 < 10**2
    assert (scl[cloud] == SCL.CLOUD_HIGH_PROBABILITY).mean() > 0.98
    assert (scl[lake] == SCL.WATER).mean() > 0.95


def test_resolutions_agree_on_the_mean(reference):
    ten = reference["/measurements/reflectance/r10m/b04"].reshape(90, 6, 90, 6).mean(axis=(1, 3))
    sixty = reference["/measurements/reflectance/r60m/b04"]
    inner = np.isfinite(ten) & np.isfinite(sixty)
    # Terms bend between cells, brightness steps: a mean of products is no product of means.
    np.testing.assert_allclose(ten[inner], sixty[inner], atol=5e-4)


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_pixels_on_one_grid_make_a_product_on_that_grid(make_l1c, resolution):
    tree = process(make_l1c(n60=30, single=resolution))
    node = tree[f"measurements/reflectance/r{resolution}m"]
    assert len(node.data_vars) == 12
    values = computed(tree)
    assert np.isfinite(values[f"/measurements/reflectance/r{resolution}m/b09"][-1, -1])
    assert values[f"/quality/probability/r{resolution}m/cld"].shape == node["b02"].shape


def test_missing_band_is_refused_by_name(make_l1c):
    tree = make_l1c()
    tree.attrs["missing_bands"] = ["GRANULE/X/IMG_DATA/T_B05.jp2"]
    with pytest.raises(InputError, match=r"T_B05\.jp2.*Fix: fetch"):
        process(tree)


def aot_of(tree: xr.DataTree) -> tuple[str, Any]:
    node = tree["quality/retrieval"]
    method, mean = dask.compute(node["aot_method"].data, node["aot_mean"].data, scheduler="sync")
    return AOT_METHODS[int(method)], float(mean)


def test_aerosol_ladder_vegetation_then_forecast_or_water_then_constant(make_l1c, caplog):
    scarce = ProcessorConfig(aerosol=AerosolConfig(minimum_dark_fraction=1.0))
    assert aot_of(process(make_l1c()))[0] == "dark_vegetation"
    with caplog.at_level(logging.WARNING):
        method, mean = aot_of(process(make_l1c(), config=scarce))
    assert (method, mean) == ("cams", pytest.approx(0.27))
    assert "green vegetation covers" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        method, _ = aot_of(process(make_l1c(meteorology=False), config=scarce))
        assert method == "dark_water"
        bare = make_l1c(meteorology=False, lake=False)
        method, mean = aot_of(process(bare, config=scarce))
    assert (method, mean) == ("constant", pytest.approx(0.2))
    assert "configured constant" in caplog.text
    assert "using the climatological" in caplog.text


def test_aux_replaces_what_the_product_says(make_l1c):
    flat = ("latitude", "longitude")
    aux = xr.DataTree.from_dict(
        {
            CAMS: xr.Dataset({"aod550": (flat, np.full((1, 1), 0.5))}),
            TERRAIN: xr.Dataset({"elevation": ((), 1800.0)}),
        }
    )
    config = ProcessorConfig(aerosol=AerosolConfig(method="cams"))
    tree = process(make_l1c(), aux, config=config)
    assert aot_of(tree) == ("cams", pytest.approx(0.5))
    recorded = tree.attrs["provenance"]["meteorology"]
    assert recorded["elevation"] == 1800.0
    assert recorded["sources"]["elevation"] == "terrain"


def test_elevation_may_be_a_grid(make_l1c):
    x = 600000.0 + 90.0 * np.arange(61)
    y = 5100000.0 - 90.0 * np.arange(61)
    elevation = np.linspace(0, 3000, 61)[None].repeat(61, axis=0)
    terrain = xr.Dataset({"elevation": (("y", "x"), elevation)}, coords={"x": x, "y": y})
    config = ProcessorConfig(aerosol=AerosolConfig(method="constant"))
    name = "/measurements/reflectance/r60m/b02"
    flat = variables(process(make_l1c(), config=config))[name].values
    hills = process(make_l1c(), xr.DataTree.from_dict({TERRAIN: terrain}), config=config)
    high = variables(hills)[name].values
    # Less air above the high east: less path light is taken away there, so the surface is brighter.
    assert np.nanmean((high - flat)[40:60, -10:]) > np.nanmean((high - flat)[40:60, 10:20]) + 0.01


def test_adjacency_sharpens_the_contrast_and_can_be_switched_off(make_l1c):
    name = "/measurements/reflectance/r60m/b8a"
    without = ProcessorConfig(surface=SurfaceConfig(adjacency_km=0))
    on = variables(process(make_l1c()))[name].values
    off = variables(process(make_l1c(), config=without))[name].values
    lake = (63, 27)
    assert on[lake] < off[lake]
    assert np.nanstd(on) > np.nanstd(off)


def test_one_window_computes_only_its_own_block_and_band(make_l1c, monkeypatch):
    ran = []
    correct = tasks.correct

    def counted(block, *args, **kwargs):
        ran.append((block.row, block.col))
        return correct(block, *args, **kwargs)

    monkeypatch.setattr(tasks, "correct", counted)
    tree = process(make_l1c())
    with dask.config.set(scheduler="sync"):
        tree["measurements/reflectance/r10m/b02"].isel(x=slice(200, 250), y=slice(50)).compute()
    assert ran == [(0, 180)]


def test_full_tile_graph_stays_small(make_l1c, monkeypatch):
    for resolution, size in ((10, 90), (20, 45), (60, 15)):
        monkeypatch.setitem(BLOCK_PX, resolution, size)
    tree = process(make_l1c())  # 6 x 6 blocks as a full tile has
    lazy = [v.data for v in variables(tree).values() if dask.is_dask_collection(v.data)]
    tasks = len(dict(dask.base.collections_to_expr(lazy).__dask_graph__()))
    assert tasks < 3700  # leaves 1 300 of the 5 000 for decoding JPEG 2000

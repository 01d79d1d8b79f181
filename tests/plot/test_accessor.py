"""``.s2`` gives the values of the formulae, on the right grid, without computing."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

import s2cloud.accessor  # noqa: F401  # registers .s2
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.schema import SCL, Flag

R10, R20 = "measurements/reflectance/r10m", "measurements/reflectance/r20m"


@pytest.fixture
def scl(l2a):
    return l2a["conditions/mask/l2a_classification/r20m/scl"].values


def test_ndvi_is_that_of_10_m(l2a):
    red, nir = (l2a[f"{R10}/{b}"] for b in ("b04", "b08"))
    found = l2a.s2.ndvi()
    xr.testing.assert_allclose(found, ((nir - red) / (nir + red)).rename("NDVI"))
    assert found.attrs["bands"] == "N = b08, R = b04"
    assert found.attrs["units"] == "1"


def test_index_takes_the_grid_that_has_all_bands(l2a):
    found = l2a.s2.index("NDMI")
    nir, swir = l2a[f"{R20}/b8a"], l2a[f"{R20}/b11"]
    np.testing.assert_allclose(found, (nir - swir) / (nir + swir), rtol=1e-6)
    assert found.attrs["bands"] == "N = b8a, S1 = b11"


def test_constants_are_the_catalogues_or_given(l2a):
    n, r, b = (l2a[f"{R10}/{name}"] for name in ("b08", "b04", "b02"))
    np.testing.assert_allclose(
        l2a.s2.index("EVI"), 2.5 * (n - r) / (n + 6 * r - 7.5 * b + 1), rtol=1e-5
    )
    np.testing.assert_allclose(l2a.s2.index("SAVI", L=0.25), 1.25 * (n - r) / (n + r + 0.25), 1e-5)


def test_a_dataset_has_the_same(l2a):
    np.testing.assert_array_equal(l2a[R10].to_dataset().s2.ndvi(), l2a.s2.ndvi())
    with pytest.raises(InputError, match="no grid has b08, b11"):
        l2a[R10].to_dataset().s2.index("NDMI")


@pytest.mark.parametrize(("name", "words"), [("NDVII", "such as .*NDVI"), ("VHVVD", "VH|VV")])
def test_what_cannot_be_made_is_told(l2a, name, words):
    with pytest.raises(UsageError, match=words):
        l2a.s2.index(name)


def test_clear_is_ground_in_the_sun(l2a, scl):
    found = l2a.s2.mask(clear=True)
    np.testing.assert_array_equal(found, np.isin(scl, [4, 5, 6, 11]))
    np.testing.assert_array_equal(l2a.s2.mask(), scl > 0)
    assert found.dtype == bool


def test_classes_by_name_or_number(l2a, scl):
    np.testing.assert_array_equal(
        l2a.s2.mask(classes=["water", SCL.CLOUD_SHADOW]), np.isin(scl, [6, 3])
    )
    with pytest.raises(UsageError, match=r"no such class.*vegetation"):
        l2a.s2.mask(classes=["forest"])


def test_flags_are_left_out(l2a):
    tree = l2a.copy(deep=True)
    flags = tree["quality/mask/flags/r20m/flags"].values
    flags[:] = Flag.VALID
    flags[:3] |= np.uint16(Flag.DETECTOR_EDGE)
    flags[3:5] |= np.uint16(Flag.TERRAIN_SHADOW)
    found = tree.s2.mask(flags=["detector_edge", Flag.TERRAIN_SHADOW]).values
    assert not found[:5].any()
    assert found[5:].all()
    assert tree.s2.mask(flags=["detector_edge"]).values[3:5].all()


def test_masks_fit_the_grids(l2a):
    for resolution in (10, 20, 60):
        node = l2a[f"measurements/reflectance/r{resolution}m"]
        found = l2a.s2.mask(clear=True, resolution=resolution)
        for axis in ("x", "y"):
            np.testing.assert_allclose(found[axis], node[axis])
    fine, middle = (l2a.s2.mask(clear=True, resolution=r).values for r in (10, 20))
    np.testing.assert_array_equal(fine[::2, 1::2], middle)
    coarse = l2a.s2.mask(clear=True, resolution=60).values
    np.testing.assert_array_equal(coarse[0, 0], middle[:3, :3].all())


def test_rgb_is_ready_to_draw(l2a):
    found = l2a.s2.rgb(white=0.3, gamma=1.0)
    assert found.dims == ("y", "x", "colour")
    np.testing.assert_allclose(found[..., 2], np.clip(l2a[f"{R10}/b02"] / 0.3, 0, 1), atol=1e-6)
    assert l2a.s2.rgb(["B12", "b8a", "B4"]).sizes["x"] == l2a[R20].sizes["x"]


def test_nothing_is_computed(whole_tile):
    def fails(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=fails):
        whole_tile.s2.ndvi()
        whole_tile.s2.index("EVI")
        whole_tile.s2.rgb()
        whole_tile.s2.mask(clear=True, flags=["saturated"], resolution=10)

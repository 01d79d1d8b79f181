"""Uncertainty layers: what they hold, and that true errors are as large as they say."""

import dask
import numpy as np
import pytest

from s2cloud.config import AerosolConfig, ProcessorConfig, UncertaintyConfig
from s2cloud.model.bands import L2A_BANDS
from s2cloud.processor import process

pytestmark = pytest.mark.usefixtures("small_blocks")

ON = UncertaintyConfig(enabled=True)


def layer(tree, name, resolution=20, family="quality/uncertainty"):
    with dask.config.set(scheduler="sync"):
        return tree[f"{family}/r{resolution}m/{name}"].values


def test_layers_are_made_on_request_only(make_l1c):
    assert "quality/uncertainty" not in {n.path.strip("/") for n in process(make_l1c()).subtree}
    tree = process(make_l1c(), config=ProcessorConfig(uncertainty=ON))
    for resolution, bands in L2A_BANDS.items():
        assert tuple(tree[f"quality/uncertainty/r{resolution}m"].data_vars) == bands
    variable = tree["quality/uncertainty/r10m/b02"]
    assert variable.dtype == np.float32
    assert variable.encoding["scale_factor"] == 1e-4
    assert "uncertainty" in variable.attrs["long_name"]


def test_uncertainty_has_data_where_reflectance_has(make_l1c):
    tree = process(make_l1c(), config=ProcessorConfig(uncertainty=ON))
    for resolution, name in ((10, "b02"), (20, "b12"), (60, "b01")):
        sigma = layer(tree, name, resolution)
        boa = layer(tree, name, resolution, "measurements/reflectance")
        np.testing.assert_array_equal(np.isnan(sigma), np.isnan(boa))
        assert np.nanmin(sigma) > 0.0005
        assert np.nanmedian(sigma) < 0.05


def test_a_less_known_aerosol_makes_blue_less_certain(make_l1c):
    def with_sigma(value):
        aerosol = AerosolConfig(method="constant", fallback_aot550=0.2, fallback_sigma=value)
        return process(make_l1c(), config=ProcessorConfig(aerosol=aerosol, uncertainty=ON))

    # Constants are used only where no forecast is: the product here carries one.
    low, high = with_sigma(0.05), with_sigma(0.3)
    assert np.nanmedian(layer(high, "b02")) > 1.5 * np.nanmedian(layer(low, "b02"))
    ratio = {b: np.nanmedian(layer(high, b)) / np.nanmedian(layer(low, b)) for b in ("b02", "b12")}
    assert ratio["b02"] > ratio["b12"]


@pytest.mark.parametrize("wrong", [0.13, 0.27])
def test_an_error_of_one_sigma_of_the_aerosol_is_covered(make_l1c, wrong):
    """With the aerosol as the only unknown its one-sigma error is the uncertainty itself."""

    def product(aot550):
        aerosol = AerosolConfig(
            method="constant",
            model="continental",
            coarse_sigma=1e-6,
            soot_sigma=0.0,
            fallback_aot550=aot550,
            fallback_sigma=0.07,
        )
        only = UncertaintyConfig(
            enabled=True,
            calibration=0.0,
            path=0.0,
            path_floor=0.0,
            surroundings=0.0,
        )
        return process(make_l1c(), config=ProcessorConfig(aerosol=aerosol, uncertainty=only))

    right = product(0.2)
    error = layer(product(wrong), "b02", family="measurements/reflectance") - layer(
        right, "b02", family="measurements/reflectance"
    )
    sigma = layer(right, "b02")
    dark = layer(right, "b02", family="measurements/reflectance") < 0.1
    share = np.abs(error[dark]) / sigma[dark]
    assert 0.6 < np.median(share) < 1.3

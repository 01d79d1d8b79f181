"""From hazy to clean air: nothing clear is negative; the light of clouds is not that of ground."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from s2cloud.config import AerosolConfig, ProcessorConfig
from s2cloud.io.open import open_l1c
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.schema import OVERVIEW, reflectance_path
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

LOOKED_AT = ("b02", "b03", "b04", "b05")


@pytest.mark.parametrize("aot550", [0.02, 0.2, 0.6])
def test_clear_ground_is_not_negative_beyond_noise(tmp_path, aot550):
    made = simulate_l1c(tmp_path, size=480, scene="vegetation", sza=50.0, seed=31, aot550=aot550)
    l2a = process(open_l1c(made.uri))
    wanted = {b: l2a[f"measurements/reflectance/r20m/{b}"].data for b in LOOKED_AT}
    with dask.config.set(scheduler="threads"):
        (found,) = dask.compute(wanted)
    with xr.open_datatree(made.truth_uri, engine="zarr", chunks={}) as truth:
        clear = np.squeeze(np.asarray(truth["conditions/mask/truth/r20m/clear"].values)) > 0
    assert clear.mean() > 0.5
    for band, values in found.items():
        # Signal to noise is 100 to 160 at radiances of vegetation: 0.001 of reflectance, more in
        # haze; the bound is the constant part of what surface reflectance may be off by.
        assert (values[clear] < -0.005).mean() < 0.01, band


def without_cloud(tree):
    """The same tree with the ground of elsewhere where the cloud is."""
    y, x = np.mgrid[0:90, 0:90]
    cloud = (y - 22.5) ** 2 + (x - 67.5) ** 2 < 11**2
    for path, resolution in (
        *((reflectance_path(r), r) for r in (10, 20, 60)),
        (f"{OVERVIEW}/r60m", 60),
    ):
        node = tree[path].to_dataset()
        for name in BANDS:
            if name not in node or (resolution < 60 and BAND_INFO[name].resolution != resolution):
                continue
            factor = 60 // resolution
            values = np.array(node[name].values)
            hidden = np.kron(cloud, np.ones((factor, factor), bool))
            other = np.roll(values, 45 * factor, axis=0)
            node[name] = (
                ("y", "x"),
                da.from_array(np.where(hidden, other, values), chunks=100),
                node[name].attrs,
            )
        tree[path] = node
    return tree


def test_clouds_do_not_light_the_ground_beside_them(make_l1c):
    config = ProcessorConfig(aerosol=AerosolConfig(method="constant", fallback_aot550=0.2))
    cloudy, free = (process(t, config=config) for t in (make_l1c(), without_cloud(make_l1c())))
    with dask.config.set(scheduler="sync"):
        beside, plain = (t["measurements/reflectance/r20m/b05"].to_numpy() for t in (cloudy, free))
    y, x = np.mgrid[0:270, 0:270] / 3
    distance = np.hypot(y - 22.5, x - 67.5) - 9.0
    ring = (distance > 5) & (distance < 20) & np.isfinite(plain)
    # A cloud of 0.6 taken for ground would darken what lies beside it.
    assert np.abs(beside - plain)[ring].max() < 0.003

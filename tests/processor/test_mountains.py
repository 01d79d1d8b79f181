"""Simulated mountains: slopes lose their light and shade, aerosol follows the height."""

import numpy as np
import pytest
import xarray as xr

from s2cloud.algorithms import terrain
from s2cloud.config import AerosolConfig, ProcessorConfig, TerrainConfig
from s2cloud.io.open import open_l1c
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

SZA = 50.0
NODES = ("conditions/terrain/r20m", "conditions/terrain/r60m")
BANDS = ("b02", "b03", "b04", "b05", "b8a", "b11")


def plane(tree, path):
    """Values at 20 m; the truth keeps the fine bands at 10 m only."""
    folder, name = path.rsplit("/", 1)
    if name in tree[folder]:
        return np.squeeze(np.asarray(tree[path].values, dtype=np.float32))
    fine = np.squeeze(tree[path.replace("r20m", "r10m")].values)
    return fine.reshape(fine.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))


@pytest.fixture(scope="module")
def mountains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mountain")
    made = simulate_l1c(folder, size=732, scene="mountain", sza=SZA, seed=12, aot550=0.1)
    with xr.open_datatree(made.truth_uri, engine="zarr", chunks={}) as truth:
        aux = xr.DataTree.from_dict({p: truth[p].to_dataset()[["elevation"]] for p in NODES})
        l1c = open_l1c(made.uri)
        off = ProcessorConfig(terrain=TerrainConfig(enabled=False))
        old = ProcessorConfig(terrain=TerrainConfig(limit_incidence=None))
        yield l1c, truth, *(process(l1c, aux, config=c) for c in (None, off, old))


def masks(truth):
    return {n: np.squeeze(v.values) > 0 for n, v in truth["conditions/mask/truth/r20m"].items()}


def test_slopes_lose_four_fifths_of_their_light_and_shade(mountains):
    l1c, truth, found, off, old = mountains
    saa = float(l1c["conditions/geometry/sun_angles"].values[1].mean())
    slope, aspect = (plane(truth, f"{NODES[0]}/{n}") for n in ("slope", "aspect"))
    cosine = terrain.cos_incidence(slope, aspect, SZA, saa)
    red, nir = (plane(truth, f"measurements/reflectance/r20m/{b}") for b in ("b04", "b8a"))
    mask = masks(truth)
    green = mask["clear"] & ~mask["snow"] & ~mask["terrain_shadow"] & (nir > 4 * red)
    assert green.sum() > 1000
    for band in BANDS:
        path = f"measurements/reflectance/r20m/{band}"
        # The truth has a correlation of its own: green slopes are those that lie well.
        own, held, graded, without = (
            np.corrcoef(plane(tree, path)[green], cosine[green])[0, 1]
            for tree in (truth, found, old, off)
        )
        assert without - own > 0.3, band
        assert abs(held - own) < 0.2 * abs(without - own), band
        # The limit as Sen2Cor grades it leaves more.
        assert abs(graded - own) > abs(held - own), band


def test_shaded_slopes_are_neither_too_bright_nor_black(mountains):
    l1c, truth, *_ = mountains
    aux = xr.DataTree.from_dict({p: truth[p].to_dataset()[["elevation"]] for p in NODES})
    # Little light falls on a shaded slope and all of it is the sky's: 0.025 of optical thickness,
    # well within what a retrieval may err, halves what is left. So the aerosol is the true one.
    aot550 = float(np.nanmean(plane(truth, "quality/atmosphere/r60m/aot")))
    known = AerosolConfig(method="constant", model="continental", fallback_aot550=aot550)
    found = process(l1c, aux, config=ProcessorConfig(aerosol=known))
    mask = masks(truth)
    hidden = mask["cloud"] | mask["shadow"] | mask["cirrus"] | mask["snow"]
    dark = mask["terrain_shadow"] & ~hidden
    assert dark.sum() > 100
    saa = float(l1c["conditions/geometry/sun_angles"].values[1].mean())
    slope, aspect = (plane(truth, f"{NODES[0]}/{n}") for n in ("slope", "aspect"))
    cosine = terrain.cos_incidence(slope, aspect, SZA, saa)
    grazed = mask["clear"] & ~mask["snow"] & ~dark & (cosine > 0) & (cosine < 0.3)
    for band in BANDS:
        path = f"measurements/reflectance/r20m/{band}"
        boa, true = plane(found, path), plane(truth, path)
        assert 0.65 < np.nanmedian((boa / true)[dark]) < 1.15, band
        assert 0.9 < np.nanmedian((boa / true)[grazed]) < 1.1, band
        for place, share in ((dark, 0.06), (grazed, 0.01)):
            assert (boa > 1.3 * true + 0.02)[place].mean() < share, band


def test_aerosol_follows_the_height(mountains):
    _, truth, found, off, _ = mountains
    height = plane(truth, f"{NODES[0]}/elevation")[1::3, 1::3]
    true = plane(truth, "quality/atmosphere/r60m/aot")
    land = masks(truth)["clear"][1::3, 1::3]
    error = [plane(t, "quality/atmosphere/r60m/aot") - true for t in (found, off)]
    seen = land & np.isfinite(error[0]) & np.isfinite(error[1])
    trend = [abs(np.polyfit(height[seen], e[seen], 1)[0]) for e in error]
    assert trend[0] < 0.75 * trend[1]

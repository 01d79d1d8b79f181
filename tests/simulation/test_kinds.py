"""Every kind of scene holds what its name says."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from s2cloud.model.bands import BANDS
from s2cloud.model.grid import Grid
from s2cloud.model.schema import SCL
from s2cloud.simulation import simulate_l1c
from s2cloud.simulation.landscape import landscape, reflectance_rows
from s2cloud.simulation.recipes import SCENES, recipe
from s2cloud.simulation.relief import relief
from s2cloud.simulation.surfaces import surfaces

SIZE = 720
GRID = Grid("EPSG:32632", 600000, 5000040, 10, SIZE, SIZE)
VEGETATION, BARE, WATER, SNOW = (
    SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.WATER, SCL.SNOW_ICE,
)  # fmt: skip
#: Least and greatest shares of classes.
SHARES = {
    "mixed": {VEGETATION: (0.4, 0.75), BARE: (0.1, 0.45), WATER: (0.03, 0.15), SNOW: (0, 0)},
    "clear": {VEGETATION: (0.4, 0.75), BARE: (0.1, 0.45), WATER: (0.03, 0.15), SNOW: (0, 0)},
    "vegetation": {VEGETATION: (0.8, 1), WATER: (0, 0.03), SNOW: (0, 0)},
    "desert": {VEGETATION: (0, 0.15), BARE: (0.8, 1), WATER: (0, 0), SNOW: (0, 0)},
    "coast": {VEGETATION: (0.1, 0.4), BARE: (0.08, 0.35), WATER: (0.45, 0.55), SNOW: (0, 0)},
    "snow": {VEGETATION: (0.1, 0.45), SNOW: (0.3, 0.7), WATER: (0.0, 0.1)},
    "mountain": {VEGETATION: (0.25, 0.7), BARE: (0.1, 0.5), SNOW: (0.1, 0.3), WATER: (0.001, 0.06)},
    "cloudy": {VEGETATION: (0.4, 0.75), BARE: (0.1, 0.45), WATER: (0.03, 0.15), SNOW: (0, 0)},
    "patches": {VEGETATION: (0.38, 0.52), BARE: (0.38, 0.58), WATER: (0.02, 0.13), SNOW: (0, 0)},
}


def made(kind, seed=1):
    materials = surfaces("S2A")
    return landscape(relief(GRID, recipe(kind), seed), recipe(kind), materials, seed), materials


@pytest.mark.parametrize("kind", list(SCENES))
def test_landscapes_have_their_shares(kind):
    land, materials = made(kind)
    codes = np.where(land.share > 127, land.first, land.second)
    scl = materials.scl[codes]
    for code, (least, most) in SHARES[kind].items():
        assert least <= (scl == code).mean() <= most, code
    red = materials.reflectance[:, BANDS.index("b04")]
    image = reflectance_rows(land, red, 1.0, 1, slice(0, SIZE))
    assert image.min() >= 0
    assert image.max() < 1.3  # snow is brighter than a diffuse white where texture adds to it
    assert np.isfinite(image).all()


def test_a_forest_is_not_one_spectrum():
    land, materials = made("vegetation")
    kinds = ("conifer", "broadleaf", "forest", "grove")
    forest = [materials.code(n) for n in materials.names if n.startswith(kinds)]
    inside = np.isin(land.first, forest) & np.isin(land.second, forest)
    assert inside.mean() > 0.3
    pairs = land.first[inside].astype(int) * 256 + land.second[inside]
    assert np.unique(pairs).size > 20
    assert land.share[inside].std() > 30
    nir, red = (materials.reflectance[:, BANDS.index(b)] for b in ("b8a", "b04"))
    images = [reflectance_rows(land, table, 0.0, 1, slice(0, SIZE))[inside] for table in (nir, red)]
    # The colour varies, not the brightness only.
    ratio = images[1] / images[0]
    assert ratio.std() / ratio.mean() > 0.1


def test_patches_are_plain_spectra():
    land, materials = made("patches")
    assert (land.share == 255).all()
    assert not land.texture.any()
    blocks = land.first.reshape(SIZE // 24, 24, SIZE // 24, 24)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert np.unique(land.first).size > 60
    table = materials.reflectance[:, BANDS.index("b03")]
    image = reflectance_rows(land, table, 1.0, 1, slice(0, SIZE))
    np.testing.assert_allclose(image[12::24, 12::24], table[blocks[:, 12, :, 12]], rtol=1e-5)


def test_there_are_many_surfaces():
    found = surfaces("S2B")
    assert len(found.names) == len(set(found.names)) >= 60
    assert set(np.unique(found.scl)) == {4, 5, 6, 11}


def test_mountains_shade_themselves_and_tell_the_truth(tmp_path):
    product = simulate_l1c(tmp_path, size=360, scene="mountain", sza=62.0, seed=2)
    with xr.open_datatree(product.truth_uri, engine="zarr") as truth:
        masks = truth["conditions/mask/truth/r20m"].to_dataset().load()
        scl = truth["conditions/mask/l2a_classification/r20m"].to_dataset()["scl"].values
        fine = truth["conditions/terrain/r20m"].to_dataset().load()
        wide = truth["conditions/terrain/r60m"].to_dataset().load()
    dark, clear = masks["terrain_shadow"].values > 0, masks["clear"].values > 0
    assert 0.005 < dark.mean() < 0.4
    assert not (dark & clear).any()
    assert (scl[dark] != SCL.VEGETATION).all()
    assert (scl[dark & (masks["cloud"].values == 0) & (masks["shadow"].values == 0)
                & (masks["cirrus"].values == 0)] == SCL.CAST_SHADOW).all()  # fmt: skip
    # Dark ground faces away from the sun, which stands in the south-east, or lies behind a crest.
    aspect, slope = fine["aspect"].values, fine["slope"].values
    assert slope.max() > 35
    away = np.abs((aspect - 322) % 360 - 180) > 90
    assert away[dark & (slope > 10)].mean() > 0.8
    assert {"elevation", "slope", "aspect"} == set(fine.data_vars)
    assert fine["elevation"].shape == (180, 180)
    assert wide["elevation"].shape == (60 + 400, 60 + 400)
    assert fine["elevation"].dtype == wide["elevation"].dtype == np.float32
    # Both maps show the same hills: the middle of a 60 m cell is that of its middle 20 m pixel.
    inner = wide["elevation"].sel(x=fine["x"][1::3], y=fine["y"][1::3])
    np.testing.assert_allclose(inner.values, fine["elevation"].values[1::3, 1::3], atol=0.05)

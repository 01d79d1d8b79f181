"""Pixels follow from the truth by the stated equations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.schema import atmosphere_path, reflectance_path
from s2cloud.physics import atmosphere, gases, lut
from s2cloud.physics.angles import airmass, relative_azimuth
from s2cloud.simulation.adjacency import AEROSOL_REACH, MOLECULAR_REACH, environment
from s2cloud.simulation.forward import band_atmosphere, toa_rows
from s2cloud.simulation.geometry import Viewing, sun_at
from s2cloud.simulation.identity import identity
from s2cloud.simulation.raster import from_nodes, magnified
from s2cloud.simulation.relief import TerrainRows
from s2cloud.simulation.state import column_maps, state
from s2cloud.simulation.surfaces import surfaces
from s2cloud.simulation.tiling import tile_grid


def scene_at(size=720, **changed):
    grid = tile_grid("32TQM", size)
    time = identity("S2A", "32TQM", "05.11", "2025-06-15T10:15:59").time
    means = {"aot550": 0.15, "tcwv": 18.0, "tco3": 320.0, "elevation": 100.0, "sza": None}
    return grid, state(grid, time, **{**means, **changed}), Viewing.of(grid)


def planes(shape, elevation=100.0, illumination=1.0, sky_view=1.0, shaded=0.0):
    values = (elevation, illumination, sky_view, shaded)
    return TerrainRows(*(np.full(shape, value, np.float32) for value in values))


@pytest.mark.parametrize("band", ["b01", "b02", "b04", "b08", "b8a", "b09", "b11", "b12"])
def test_exact_atmosphere_gives_back_the_true_surface(level, level_truth, band):
    info = BAND_INFO[band]
    factor = 60 // info.resolution
    rows = slice(48, 60)  # of the 60 m grid: enough pixels to average the noise
    grid, _, viewing = scene_at(elevation=400.0)
    part = grid.scaled(info.resolution // 10)
    x, y = np.meshgrid(part.x, part.y[rows.start * factor : rows.stop * factor])
    time = identity("S2A", "32TQM", "05.11", "2025-06-15T10:15:59").time
    sza, saa = sun_at(grid, time, y, x, None)
    odd = viewing.detector(band, y, x) % 2 == 1
    views = [viewing.view(band, parity, y, x) for parity in (False, True)]
    vza = np.where(odd, views[1].zenith, views[0].zenith)
    vaa = np.where(odd, views[1].azimuth, views[0].azimuth)
    maps = level_truth[atmosphere_path(60)].to_dataset()
    aot, wvp = (magnified(maps[name].values, factor, rows) for name in ("aot", "wvp"))
    pressure = level_truth.attrs["pressure"]
    raa = relative_azimuth(saa, vaa)
    optics, clean = (
        lut.load("S2A").evaluate(band, sza=sza, vza=vza, raa=raa, aot550=a, pressure=pressure)
        for a in (aot, 0.0)
    )
    gas = gases.transmittance(
        "S2A", band, airmass=airmass(sza, vza), tcwv=wvp, tco3=320.0, pressure=pressure
    )
    coefficients = atmosphere.coefficients(optics, gas)

    whole = level_truth[reflectance_path(info.resolution)].to_dataset()[band].values
    height, width = (n // factor for n in whole.shape)
    coarse = whole.reshape(height, factor, width, factor).mean(axis=(1, 3)).astype(np.float32)
    wide, near = (
        magnified(environment(coarse, reach), factor, rows)
        for reach in (MOLECULAR_REACH, AEROSOL_REACH)
    )
    scattered = optics.transmittance_up - optics.transmittance_up_direct
    by_molecules = (clean.transmittance_up - clean.transmittance_up_direct) / scattered
    around = near + np.clip(by_molecules, 0, 1) * (wide - near)
    path = next(Path(level.uri).glob(f"GRANULE/*/IMG_DATA/*_{info.esa_name}.jp2"))
    window = np.s_[rows.start * factor : rows.stop * factor]
    with rasterio.open(path) as file:
        toa = (file.read(1)[window].astype(np.float64) - 1000) * 1e-4
    found = atmosphere.surface_reflectance(toa, coefficients, environment=around)
    true = whole[window]
    # Noise is 0.001 to 0.003 seen from space, more on the ground where water vapour is deep.
    error = found - true
    noise = 0.02 if band == "b09" else 0.006
    assert error.std() < noise
    assert abs(error.mean()) < 1e-4 + 3 * error.std() / np.sqrt(error.size)
    assert true.std() > 0.005


@pytest.mark.parametrize("band", ["b01", "b8a", "b09"])
def test_level_open_ground_is_flat_ground(band):
    _, at, viewing = scene_at(size=360)
    coarse = np.random.default_rng(4).random((60, 60)).astype(np.float32) * 0.4
    plane = planes(coarse.shape)
    flat = band_atmosphere(band, "S2A", lut.load("S2A"), at, viewing, coarse)
    rugged = band_atmosphere(band, "S2A", lut.load("S2A"), at, viewing, coarse, terrain=plane)
    assert flat.terms.shape[1] == 1
    assert rugged.terms.shape[1] == 2
    np.testing.assert_allclose(rugged.around, flat.around, atol=1e-6)
    size = 360 * 10 // BAND_INFO[band].resolution
    ground = np.repeat(np.repeat(coarse, size // 60, axis=0), size // 60, axis=1)
    odd = np.zeros(ground.shape, np.bool_)
    rows = slice(0, size)
    one = toa_rows(ground, flat, odd, None, rows, band)
    two = toa_rows(ground, rugged, odd, None, rows, band, planes(ground.shape))
    # Linear between two levels 200 m apart, columns being exponential.
    np.testing.assert_allclose(two, one, atol=5e-5)


@pytest.mark.parametrize("band", ["b01", "b04", "b09", "b12"])
@pytest.mark.parametrize("height", [600.0, 1350.0, 2300.0])
def test_optics_follow_the_ground(band, height):
    _, at, viewing = scene_at(size=360)
    coarse = np.full((60, 60), 0.2, np.float32)
    elevation = np.tile(np.linspace(100.0, 2500.0, 60, dtype=np.float32), (60, 1))
    whole = replace(planes(coarse.shape), elevation=elevation)
    table = lut.load("S2A")
    air = band_atmosphere(band, "S2A", table, at, viewing, coarse, terrain=whole)
    assert air.terms.shape[1] == 4
    thin = np.exp((100.0 - height) / 2000.0)
    higher = replace(at, aot550=at.aot550 * thin, tcwv=at.tcwv * thin, elevation=height)
    exact = band_atmosphere(band, "S2A", table, higher, viewing, coarse)
    size = 360 * 10 // BAND_INFO[band].resolution
    ground = np.full((size, size), 0.2, np.float32)
    odd, rows = np.ones(ground.shape, np.bool_), slice(0, size)
    found = toa_rows(ground, air, odd, None, rows, band, planes(ground.shape, elevation=height))
    expected = toa_rows(ground, exact, odd, None, rows, band)
    # Tables interpolate linearly between 100 hPa; B09 bends most.
    np.testing.assert_allclose(found, expected, atol=1e-3 if band == "b09" else 3e-4)


def test_slopes_and_shadows():
    band = "b8a"
    _, at, viewing = scene_at(size=360)
    coarse = np.full((60, 60), 0.3, np.float32)
    table = lut.load("S2A")
    ground = np.full((180, 180), 0.3, np.float32)
    odd, rows = np.zeros(ground.shape, np.bool_), slice(0, 180)
    air = band_atmosphere(band, "S2A", table, at, viewing, coarse, terrain=planes(coarse.shape))

    def seen(shadow=None, **terrain):
        found = toa_rows(ground, air, odd, shadow, rows, band, planes(ground.shape, **terrain))
        return float(found[90, 90])

    level = seen()
    # Facing the sun: brighter by nearly as much as the beam; turned away: sky and surroundings.
    assert 1.15 < seen(illumination=1.2) / level < 1.2
    dark = seen(shaded=1.0, illumination=0.0)
    assert 0.01 < dark / level < 0.2
    assert seen(shaded=1.0) == pytest.approx(dark, rel=1e-6)
    assert seen(np.ones_like(ground)) == pytest.approx(dark, rel=1e-6)
    # What hides the sun does not hide all that is bright around it; a surface turned away does.
    assert seen(illumination=0.0) < 0.95 * dark
    # A narrow valley sees less sky, and walls as bright as itself instead.
    valley = seen(shaded=1.0, illumination=0.0, sky_view=0.6)
    assert valley > dark
    half = seen(np.full_like(ground, 0.5))
    assert half == pytest.approx((level + dark) / 2, rel=1e-5)


def test_shadows_dim_the_surroundings():
    _, at, viewing = scene_at(size=360)
    coarse = np.full((60, 60), 0.3, np.float32)
    shadow = np.zeros_like(coarse)
    shadow[:, 30:] = 1.0
    table = lut.load("S2A")
    open_sky, half = (
        band_atmosphere("b04", "S2A", table, at, viewing, coarse, shadow=s) for s in (None, shadow)
    )
    np.testing.assert_allclose(open_sky.around, 0.3, rtol=1e-4)
    assert half.around[1, 30, 50] < 0.5 * half.around[1, 30, 10]
    # Light of the sky stays.
    assert half.around[1].min() > 0.02


def test_columns_thin_with_height():
    _, at, _ = scene_at(size=360)
    high = np.full((60, 60), 2100.0, np.float32)
    for one, other in zip(
        column_maps(at, high.shape), column_maps(at, high.shape, high), strict=True
    ):
        np.testing.assert_allclose(other, one * np.exp(-1), rtol=1e-5)


def test_atmosphere_varies_smoothly_around_its_means(clear_truth):
    maps = clear_truth[atmosphere_path(60)].to_dataset()
    aot, wvp = maps["aot"].values, maps["wvp"].values
    assert aot.mean() == pytest.approx(0.15, rel=0.02)
    assert 0.8 < aot.max() / 0.1875 < 1.01
    assert 0.99 < aot.min() / 0.1125 < 1.2
    assert wvp.mean() == pytest.approx(18.0, rel=0.02)
    assert np.abs(np.diff(aot, axis=1)).max() < 0.005


def test_landscape_holds_what_retrievals_need(clear_truth):
    r20m = clear_truth[reflectance_path(20)].to_dataset()
    fine = clear_truth[reflectance_path(10)].to_dataset()["b04"].values
    red = fine.reshape(360, 2, 360, 2).mean(axis=(1, 3))
    nir, swir = r20m["b8a"].values, r20m["b12"].values
    ndvi = (nir - red) / (nir + red)
    dark = (ndvi > 0.6) & (swir < 0.10)
    assert dark.mean() > 0.15
    scl = clear_truth["conditions/mask/l2a_classification/r20m"].to_dataset()["scl"].values
    assert 0.40 < (scl == 4).mean() < 0.75
    assert (scl == 5).mean() > 0.1
    assert 0.03 < (scl == 6).mean() < 0.15
    assert set(np.unique(scl)) == {4, 5, 6}


def test_clouds_are_bright_and_cast_shadows_away_from_the_sun(mixed):
    with xr.open_datatree(mixed.truth_uri, engine="zarr") as truth:
        masks = truth["conditions/mask/truth/r20m"].to_dataset().load()
        true = truth[reflectance_path(20)].to_dataset()["b8a"].values
        scl = truth["conditions/mask/l2a_classification/r20m"].to_dataset()["scl"].values
    path = next(Path(mixed.uri).glob("GRANULE/*/IMG_DATA/*_B8A.jp2"))
    with rasterio.open(path) as file:
        toa = (file.read(1).astype(np.float32) - 1000) * 1e-4
    cloud, shadow, clear = (masks[n].values > 0 for n in ("cloud", "shadow", "clear"))
    assert 0.03 < cloud.mean() < 0.2
    assert toa[cloud].mean() > 0.5
    land = np.isfinite(true) & (true > 0.2)
    assert (toa / true)[shadow & land].mean() < 0.6 * (toa / true)[clear & land].mean()
    # The sun stands in the south-east: shadows fall to the north-west, not to the south-east.
    away, towards = (
        max((np.roll(cloud, (-s * k, -s * k), (0, 1)) & shadow).sum() for k in range(10, 50))
        for s in (1, -1)
    )
    assert away > 2 * towards
    assert (scl[cloud] == 9).all()
    assert not (cloud & clear).any()


def test_magnified_strips_join_without_seam():
    field = np.random.default_rng(2).random((12, 9)).astype(np.float32)
    whole = magnified(field, 6, slice(0, 12))
    parts = [magnified(field, 6, slice(a, a + 4)) for a in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    # Linear functions are reproduced between the outermost centres.
    ramp = np.add.outer(np.arange(12.0), 2 * np.arange(9.0))
    fine = magnified(ramp, 6, slice(0, 12))
    position = (np.arange(72) + 0.5) / 6 - 0.5
    expected = np.add.outer(position, 2 * position[: 9 * 6])
    np.testing.assert_allclose(fine[3:-3, 3:-3], expected[3:-3, 3:-3], rtol=1e-5, atol=1e-5)


def test_interpolation_between_nodes_is_linear():
    nodes = np.add.outer(np.arange(4.0), 10 * np.arange(5.0))
    at = np.array([0.0, 150.0, 1800.0])
    found = from_nodes(nodes, 600.0, at, at)
    np.testing.assert_allclose(found, np.add.outer(at / 600, at / 60), rtol=1e-6)


@pytest.mark.parametrize("sensor", ["S2A", "S2B", "S2C"])
def test_surfaces_are_plausible(sensor):
    found = surfaces(sensor)
    assert found.reflectance.shape == (len(found.names), len(BANDS))
    assert found.reflectance.min() >= 0
    assert found.reflectance.max() <= 1
    conifer = found.reflectance[found.code("conifer")]
    # Dark dense vegetation: red about half of the short-wave infrared (Kaufman et al. 1997,
    # doi:10.1109/36.628795).
    assert 0.3 < conifer[BANDS.index("b04")] / conifer[BANDS.index("b12")] < 0.7
    water = found.reflectance[found.code("water_clear")]
    assert water[BANDS.index("b8a")] < 0.02
    assert found.scl[found.code("snow_fine")] == 11

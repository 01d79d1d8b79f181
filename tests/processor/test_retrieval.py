"""Aerosol and water vapour of scenes whose surfaces and air are known, and their fallbacks."""

import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from s2cloud.algorithms.aerosol import CANOPIES, SPECTRUM
from s2cloud.algorithms.geometry import tie_points
from s2cloud.config import AerosolConfig, AtmosphereConfig, ProcessorConfig
from s2cloud.model.bands import BAND_INDEX, BANDS
from s2cloud.model.grid import Grid
from s2cloud.model.schema import CAMS, ECMWF, SCL
from s2cloud.physics import gases, lut
from s2cloud.physics.angles import airmass
from s2cloud.physics.atmosphere import coefficients, toa_reflectance
from s2cloud.physics.mixtures import shares_of
from s2cloud.processor.aerosol import AOT_METHODS, aerosol_field
from s2cloud.processor.dark_pixels import clear_masks
from s2cloud.processor.meteorology import (
    Meteorology,
    climatological_ozone,
    meteorology,
)
from s2cloud.processor.mixture import MIXTURE_METHODS
from s2cloud.processor.optics import SceneInput, pressure_of
from s2cloud.processor.retrieval import VapourResult, vapour_field

SZA, VZA, RAA, TCWV = 40.0, 5.0, 45.0, 20.0
#: Surface reflectance in the order of `BANDS`. The grass is the mean of a canopy.
GRASS = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.435, 0.0, 0.433, 0.16, 0.0, 0.0]
for band, boa in zip(SPECTRUM, CANOPIES[1].mean, strict=True):
    GRASS[BAND_INDEX[band]] = float(boa)
SOIL = (0.08, 0.10, 0.13, 0.16, 0.19, 0.21, 0.23, 0.24, 0.25, 0.267, 0.3, 0.32, 0.27)
LAKE = (0.03, 0.03, 0.03, 0.015, 0.01, 0.008, 0.008, 0.007, 0.006, 0.006, 0.005, 0.004, 0.004)


def scene(aot, *, cams=float("nan"), vegetation=0.45, config=None, n=100, model=None, lakes=0.0):
    """Patches of 240 m of grass, soil and water under a known sky, without noise."""
    rng = np.random.default_rng(4)
    green = np.kron(rng.random((n // 4, n // 4)) < vegetation, np.ones((4, 4), bool))
    wet = np.kron(rng.random((n // 4, n // 4)) < lakes, np.ones((4, 4), bool))
    toa = []
    for index, band in enumerate(BANDS):
        boa = np.where(wet, LAKE[index], np.where(green, GRASS[index], SOIL[index]))
        optics = lut.load("S2A", model or "continental").evaluate(
            band, sza=SZA, vza=VZA, raa=RAA, aot550=aot, pressure=1013.25
        )
        gas = gases.transmittance("S2A", band, airmass=airmass(SZA, VZA), tcwv=TCWV, tco3=320.0)
        air = coefficients(optics, gas)
        toa.append(toa_reflectance(boa, air, environment=boa.mean()))
    x = np.array([6.0e5, 6.05e5, 6.1e5, 6.15e5])
    y = np.array([5.1e6, 5.095e6, 5.09e6, 5.085e6])
    sun = np.stack([np.full((4, 4), SZA), np.full((4, 4), 150.0)])
    view = np.stack([np.full((4, 4), VZA), np.full((4, 4), 150.0 - RAA)])
    given = SceneInput(
        "S2A",
        Grid("EPSG:32632", 600000.0, 5100000.0, 60.0, n, n),
        tie_points(x, y, sun, view[None, None].repeat(13, 0)),
        dict.fromkeys(BANDS, (1e-4, -0.1)),
        Meteorology(TCWV, 320.0, 1013.25, cams, 0.0, {"tcwv": "ecmwf"}),
        None,
        config or ProcessorConfig(),
    )
    scl = np.where(green, SCL.VEGETATION, SCL.NOT_VEGETATED).astype(np.uint8)
    scl[wet] = SCL.WATER
    return given, np.stack(toa).astype(np.float32), scl


def aerosol_of(given, toa, scl):
    _, land = clear_masks(scl)
    tcwv = np.full(given.cells, given.meteorology.tcwv, np.float32)
    return aerosol_field(given, toa, scl, land, pressure_of(given), tcwv)


def vapour_of(given, toa, scl, aot):
    _, land = clear_masks(scl)
    field = np.full(given.cells, aot, np.float32)
    return vapour_field(given, toa, land, pressure_of(given), field)


@pytest.mark.parametrize("aot", [0.05, 0.2, 0.4])
def test_aerosol_over_vegetation_that_obeys_the_relations(aot):
    vague = ProcessorConfig(aerosol=AerosolConfig(fallback_sigma=2.0))
    found = aerosol_of(*scene(aot, config=vague))
    assert AOT_METHODS[found.method] == "dark_vegetation"
    # What is left is the adjacency of single patches, which the simulation leaves out.
    assert found.aot550.mean() == pytest.approx(aot, abs=0.025)
    assert found.dark_fraction == pytest.approx(0.45, abs=0.1)
    # One kind of grass could be off by the scatter of kinds.
    assert 0.03 < found.sigma.mean() < 0.15
    assert found.prior_weight < 0.01


def test_a_forecast_moves_the_result_by_its_weight():
    free, told = (aerosol_of(*scene(0.2, cams=cams)) for cams in (float("nan"), 0.5))
    assert told.prior_weight > free.prior_weight
    expected = free.aot550.mean() + told.prior_weight * (0.5 - free.aot550.mean())
    assert told.aot550.mean() == pytest.approx(expected, abs=0.01)
    assert told.sigma.mean() < AerosolConfig().cams_sigma


def test_without_vegetation_the_forecast_stands_then_the_constant(caplog):
    with caplog.at_level(logging.WARNING):
        found = aerosol_of(*scene(0.2, cams=0.31, vegetation=0.0))
    assert AOT_METHODS[found.method] == "cams"
    np.testing.assert_allclose(found.aot550, 0.31, rtol=1e-6)
    np.testing.assert_allclose(found.sigma, AerosolConfig().cams_sigma, rtol=1e-6)
    assert "falls back to CAMS" in caplog.text
    found = aerosol_of(*scene(0.2, vegetation=0.0))
    assert AOT_METHODS[found.method] == "constant"
    assert found.prior_weight == 1.0
    assert "the configured constant" in caplog.text


def test_what_would_make_land_negative_is_not_believed(caplog):
    given, toa, scl = scene(0.05, cams=0.9, vegetation=0.3)
    options = AerosolConfig(cams_sigma=0.01)
    given = replace(given, config=ProcessorConfig(aerosol=options))
    with caplog.at_level(logging.WARNING):
        found = aerosol_of(given, toa, scl)
    assert found.aot550.mean() < 0.6
    assert "would turn out negative" in caplog.text
    assert found.lowered > 0.2


@pytest.mark.parametrize(("model", "coarse"), [("continental", 0.0), ("maritime", 1.0)])
def test_water_tells_coarse_aerosol_from_fine(model, coarse):
    given, toa, scl = scene(0.3, model=model, lakes=0.05)
    found = aerosol_of(given, toa, scl)
    assert found.shares.get("maritime", 0.0) == pytest.approx(coarse, abs=0.15)
    assert found.mixture.water > 100
    assert found.mixture.coarse_sigma < 0.2
    assert found.aot550.mean() == pytest.approx(0.3, abs=0.06)


def test_plants_are_judged_below_the_aerosol_that_the_water_tells(monkeypatch):
    # Grass of medium density, which below too little coarse aerosol looks sparse.
    leafiness = 0.64
    grass = GRASS.copy()
    b12 = grass[BAND_INDEX["b8a"]] * (1.0 - leafiness) / (1.0 + leafiness)
    grass[BAND_INDEX["b12"]] = b12
    monkeypatch.setattr(sys.modules[__name__], "GRASS", grass)
    found = aerosol_of(*scene(0.3, model="maritime", lakes=0.05))
    assert found.shares["maritime"] > 0.9
    assert found.aot550.mean() == pytest.approx(0.3, abs=0.02)


def test_without_water_or_on_request_the_aerosol_stays_what_it_was():
    found = aerosol_of(*scene(0.3, model="maritime"))
    assert found.mixture.model == "continental"
    assert MIXTURE_METHODS[found.mixture.method] == "configured"
    fixed = ProcessorConfig(aerosol=AerosolConfig(model="continental"))
    found = aerosol_of(*scene(0.3, model="maritime", lakes=0.05, config=fixed))
    assert found.mixture.model == "continental"


def test_what_else_the_aerosol_might_be_widens_its_uncertainty():
    found = aerosol_of(*scene(0.3))
    coarse, soot = found.alternatives
    assert "maritime" in coarse.model
    assert "urban" in soot.model
    # Absorbing aerosol is darker, so that more of it is needed.
    assert soot.change > 0.005
    assert found.sigma.mean() > found.spread.mean()


def test_dark_water_tells_the_aerosol_where_nothing_grows():
    given, toa, scl = scene(0.3, vegetation=0.0, lakes=0.2)
    found = aerosol_of(given, toa, scl)
    assert AOT_METHODS[found.method] == "dark_water"
    assert found.aot550.mean() == pytest.approx(0.3, abs=0.1)
    assert 0.05 < found.sigma.mean() < given.config.aerosol.fallback_sigma


def test_what_would_make_water_negative_is_not_believed():
    given, toa, scl = scene(0.1, vegetation=0.0, lakes=1.0)
    coarse = toa.copy()
    for band, haze in {"b8a": 0.05, "b11": 0.045, "b12": 0.03}.items():
        coarse[BAND_INDEX[band]] += haze
    found = aerosol_of(given, coarse, scl)
    assert AOT_METHODS[found.method] == "dark_water"
    assert found.lowered > 0.05
    # No thicker than leaves the water at nothing in the blue.
    assert found.aot550.mean() < 0.6


def test_snow_among_plants_is_not_taken_for_haze():
    given, toa, scl = scene(0.1)
    white, scl = toa.copy(), scl.copy()
    white[:, ::20, ::20] = 0.6
    scl[::20, ::20] = SCL.SNOW_ICE
    # What lies beside the snow holds some of it.
    beside = np.zeros(scl.shape, bool)
    beside[1::20, ::20] = True
    white[:6, beside] += 0.1
    assert abs(aerosol_of(given, white, scl).aot550.mean() - 0.1) < 0.03


def test_clouds_keep_vegetation_at_a_distance_unless_they_are_everywhere():
    given, toa, scl = scene(0.2)
    toa, scl = toa.copy(), scl.copy()
    scl[::10, ::10] = SCL.CLOUD_HIGH_PROBABILITY
    toa[:, ::10, ::10] = 0.6
    found = aerosol_of(given, toa, scl)
    assert AOT_METHODS[found.method] == "dark_vegetation"


def test_water_vapour_of_soil_and_grass():
    given, toa, scl = scene(0.2)
    found = vapour_of(given, toa, scl, 0.2)
    assert found.fraction > 0.9
    np.testing.assert_allclose(found.tcwv, TCWV, atol=0.1 * TCWV)
    assert 1.5 < found.sigma.mean() < 5.0
    ratio = VapourResult.ratio(found.coded_ratio)
    truth = np.where(scl == SCL.VEGETATION, GRASS[9] / GRASS[8], SOIL[9] / SOIL[8])
    np.testing.assert_allclose(ratio, truth, atol=0.01)


def test_without_land_water_vapour_is_the_forecast_with_its_uncertainty(caplog):
    given, toa, scl = scene(0.2)
    with caplog.at_level(logging.WARNING):
        found = vapour_of(given, toa, np.full_like(scl, SCL.WATER), 0.2)
    np.testing.assert_allclose(found.tcwv, TCWV)
    np.testing.assert_allclose(found.sigma, given.config.water_vapour.ecmwf_sigma)
    assert found.fraction == 0.0
    assert "no clear land" in caplog.text


def test_ozone_follows_place_and_season():
    # Van Heuklon's own kind of numbers: spring maximum in the north, low in the tropics.
    spring, autumn = (climatological_ozone(50.0, 10.0, day) for day in (100, 290))
    assert spring - autumn > 40.0
    assert climatological_ozone(0.0, 30.0, 100) == pytest.approx(235.0)
    assert 230.0 < climatological_ozone(-35.0, 150.0, 30) < 330.0


def test_ozone_without_forecast_is_climatological_and_says_so(make_l1c, caplog):
    tree = make_l1c(meteorology=False)
    with caplog.at_level(logging.WARNING):
        found = meteorology(tree, ProcessorConfig())
    # 32T: latitude 44 N, longitude 9 E; 1 June.
    assert found.tco3 == pytest.approx(climatological_ozone(44.0, 9.0, 152))
    assert found.sources["tco3"] == "climatology"
    assert "climatological" in caplog.text
    constants = AtmosphereConfig(ozone_climatology=False, tco3=300.0)
    fixed = meteorology(tree, ProcessorConfig(atmosphere=constants))
    assert (fixed.tco3, fixed.sources["tco3"]) == (300.0, "configuration")


def with_species(tree, **species):
    flat = ("latitude", "longitude")
    values = {name: (flat, np.full((2, 2), value)) for name, value in species.items()}
    tree[CAMS] = xr.DataTree(xr.Dataset({"aod550": (flat, np.full((2, 2), 0.3)), **values}))
    return tree


def test_the_aerosol_follows_the_species_of_the_forecast_if_asked_to(make_l1c):
    auto = ProcessorConfig(aerosol=AerosolConfig(model="auto"))
    species = {"duaod550": 0.01, "ssaod550": 0.1, "bcaod550": 0.0, "omaod550": 0.02}
    tree = with_species(make_l1c(), **species, suaod550=0.02)
    found = meteorology(tree, auto)
    assert found.sources["aerosol_model"] == "cams"
    shares = shares_of(found.aerosol_model)
    assert max(shares, key=shares.__getitem__) == "maritime"
    fixed = ProcessorConfig(aerosol=AerosolConfig(model="continental"))
    assert meteorology(tree, fixed).aerosol_model == "continental"
    partly = meteorology(with_species(make_l1c(), **species), auto)
    assert partly.aerosol_model == "continental"
    assert partly.sources["aerosol_model"] == "configuration"


def test_the_forecast_is_taken_where_there_is_one(make_l1c):
    found = meteorology(make_l1c(), ProcessorConfig())
    assert found.tco3 == pytest.approx(320.0)
    assert found.sources["tco3"] == ECMWF.rsplit("/", maxsplit=1)[-1]

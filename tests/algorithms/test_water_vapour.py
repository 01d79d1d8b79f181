"""Column from B09 against B8A, with the toy law T = exp(-sqrt(w) / 5)."""

import numpy as np
import pytest

from s2cloud.algorithms.water_vapour import (
    RATIO_LIMITS,
    combine,
    fill,
    retrieve,
    surface_ratio,
)

RAYLEIGH, AEROSOL, TWO_WAY, ALBEDO, AIRMASS = (
    np.array(v, np.float32) for v in (0.003, 0.012, 0.9, 0.05, 2.4)
)


def law(w):
    return np.exp(-np.sqrt(w) / 5)


def inverse(t):
    return (5 * np.log(t)) ** 2


DIFFUSE = np.array(0.12, np.float32)


def simulated(boa, column, around=None):
    slant = AIRMASS * column
    around = boa if around is None else around
    mixed = (boa + DIFFUSE * around) / (1 + DIFFUSE)
    ground = mixed / (1 - ALBEDO * around) * TWO_WAY * law(slant)
    return (RAYLEIGH + AEROSOL * law(slant / 2) + ground).astype(np.float32)


def solve(toa, boa, around=None):
    return retrieve(
        toa,
        boa,
        boa if around is None else around,
        path_rayleigh=RAYLEIGH,
        path_aerosol=AEROSOL,
        transmittance=TWO_WAY,
        spherical_albedo=ALBEDO,
        airmass=AIRMASS,
        diffuse_ratio=DIFFUSE,
        first_guess=np.array(18.0, np.float32),
        slant_column=inverse,
        transmittance_law=law,
    )


@pytest.mark.parametrize("column", [2.0, 10.0, 25.0, 45.0])
def test_column_is_recovered_over_any_land(column):
    boa = np.linspace(0.1, 0.6, 12).astype(np.float32)[None]
    found, _ = solve(simulated(boa, column), boa)
    np.testing.assert_allclose(found, column, rtol=0.005)


def test_light_of_the_surroundings_is_no_lack_of_vapour():
    boa = np.array([[0.12, 0.3, 0.5]], np.float32)
    around = np.full_like(boa, 0.3)
    found, _ = solve(simulated(boa, 20.0, around), boa, around)
    np.testing.assert_allclose(found, 20.0, rtol=0.005)
    blind, _ = solve(simulated(boa, 20.0, around), boa)
    assert blind[0, 0] < 17.0
    assert blind[0, 2] > 21.0


def test_water_and_impossible_signals_have_no_column():
    boa = np.array([[0.01, 0.3, 0.3, np.nan]], np.float32)
    toa = np.array([[0.005, 0.6, 0.01, 0.1]], np.float32)
    found, sigma = solve(toa, boa)
    assert np.isnan(found).all()
    assert np.isnan(sigma).all()


def test_gaps_are_filled_from_their_neighbours_not_from_one_mean():
    truth = np.linspace(5, 35, 50)[None].repeat(50, axis=0).astype(np.float32)
    land = np.ones(truth.shape, bool)
    land[20:26, 5:11] = land[20:26, 38:44] = False
    field, share = fill(np.where(land, truth, np.nan).astype(np.float32), land, 3.0, 15.0)
    assert np.abs(field - truth).max() < 1.5
    np.testing.assert_array_equal(field[land], truth[land])
    assert share == pytest.approx(land.mean())


def test_without_land_the_prior_stands():
    field, share = fill(np.full((5, 5), np.nan, np.float32), np.zeros((5, 5), bool), 2.0, 17.5)
    assert share == 0.0
    np.testing.assert_array_equal(field, np.full((5, 5), np.float32(17.5)))


def test_the_uncertainty_is_what_a_wrong_surface_does():
    boa = np.full((1, 5), 0.4, np.float32)
    toa = simulated(boa, 20.0)
    found, sigma = solve(toa, boa)
    wrong, _ = solve(toa, boa * np.float32(1.025))
    np.testing.assert_allclose(sigma, np.abs(wrong - found), rtol=0.25)


def test_dark_surfaces_are_less_certain():
    boa = np.array([[0.08, 0.2, 0.5]], np.float32)
    _, sigma = solve(simulated(boa, 30.0), boa)
    assert (np.diff(sigma[0]) < 0).all()


def test_the_prior_counts_where_the_band_cannot_tell():
    column = np.array([30.0, 30.0, 30.0, np.nan], np.float32)
    sigma = np.array([0.1, 4.0, 40.0, np.nan], np.float32)
    best, error = combine(column, sigma, 20.0, 4.0)
    np.testing.assert_allclose(best[:3], [30.0, 25.0, 20.1], atol=0.05)
    np.testing.assert_allclose(error[:3], [0.1, 2.83, 3.98], atol=0.01)
    assert np.isnan(best[3])


def test_a_column_that_the_forecast_excludes_is_no_column():
    best, error = combine(np.array([45.0], np.float32), np.array([1.0], np.float32), 10.0, 4.0)
    assert np.isnan(best).all()
    assert np.isnan(error).all()


def test_soils_rise_and_wet_leaves_fall_between_the_bands():
    # B07, B8A, B11, B12 of a light soil and of a leaf.
    soil, leaf = (0.25, 0.28, 0.40, 0.35), (0.44, 0.44, 0.20, 0.08)
    ratios = [float(surface_ratio(*np.array(spectrum, np.float32))) for spectrum in (soil, leaf)]
    assert ratios[0] > 1.02
    assert ratios[1] < 0.99


def test_the_ratio_is_one_where_nothing_is_known():
    b8a = np.array([0.01, np.nan, 0.3], np.float32)
    ratio = surface_ratio(b8a, b8a, np.array([0.0, 0.2, 9.0], np.float32), b8a)
    np.testing.assert_allclose(ratio, [1.0, 1.0, RATIO_LIMITS[1]])

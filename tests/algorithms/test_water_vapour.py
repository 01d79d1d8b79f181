"""Column from B09 against B8A, with the toy law T = exp(-sqrt(w) / 5)."""

import numpy as np
import pytest

from s2cloud.algorithms.water_vapour import fill, retrieve

RAYLEIGH, AEROSOL, TWO_WAY, ALBEDO, AIRMASS = (
    np.array(v, np.float32) for v in (0.003, 0.012, 0.9, 0.05, 2.4)
)


def law(w):
    return np.exp(-np.sqrt(w) / 5)


def inverse(t):
    return (5 * np.log(t)) ** 2


def simulated(boa, column):
    slant = AIRMASS * column
    ground = boa / (1 - ALBEDO * boa) * TWO_WAY * law(slant)
    return (RAYLEIGH + AEROSOL * law(slant / 2) + ground).astype(np.float32)


def solve(toa, boa):
    return retrieve(
        toa,
        boa,
        path_rayleigh=RAYLEIGH,
        path_aerosol=AEROSOL,
        transmittance=TWO_WAY,
        spherical_albedo=ALBEDO,
        airmass=AIRMASS,
        first_guess=np.array(18.0, np.float32),
        slant_column=inverse,
        transmittance_law=law,
    )


@pytest.mark.parametrize("column", [2.0, 10.0, 25.0, 45.0])
def test_column_is_recovered_over_any_land(column):
    boa = np.linspace(0.1, 0.6, 12).astype(np.float32)[None]
    np.testing.assert_allclose(solve(simulated(boa, column), boa), column, rtol=0.005)


def test_water_and_impossible_signals_have_no_column():
    boa = np.array([[0.01, 0.3, 0.3, np.nan]], np.float32)
    toa = np.array([[0.005, 0.6, 0.01, 0.1]], np.float32)
    assert np.isnan(solve(toa, boa)).all()


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

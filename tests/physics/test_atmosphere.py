"""Coupling of surface and atmosphere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.physics.atmosphere import (
    Coefficients,
    coefficients,
    surface_pressure,
    surface_reflectance,
    toa_reflectance,
)
from s2cloud.physics.gases import GasTransmittance
from s2cloud.physics.lut import Optics

fraction = st.floats(0.0, 1.0)
atmospheres = st.builds(
    Coefficients,
    path=st.floats(0.0, 0.5),
    gain=st.floats(1.0, 10.0),
    spherical_albedo=st.floats(0.0, 0.5),
    diffuse_fraction=st.floats(0.0, 0.9),
)


@settings(deadline=None)
@given(atmospheres, fraction)
def test_uniform_surface_round_trip(atmosphere, surface):
    toa = toa_reflectance(surface, atmosphere)
    assert float(surface_reflectance(toa, atmosphere)) == pytest.approx(surface, abs=1e-9)


@settings(deadline=None)
@given(atmospheres, fraction, fraction)
def test_surface_with_surroundings_round_trip(atmosphere, surface, around):
    toa = toa_reflectance(surface, atmosphere, environment=around)
    found = surface_reflectance(toa, atmosphere, environment=around)
    assert float(found) == pytest.approx(surface, abs=1e-9)


@settings(deadline=None)
@given(atmospheres, fraction)
def test_uniform_surroundings_change_nothing(atmosphere, surface):
    alone = toa_reflectance(surface, atmosphere)
    assert float(toa_reflectance(surface, atmosphere, environment=surface)) == pytest.approx(
        float(alone)
    )


def test_coefficients_are_the_coupling_of_the_comparison_code():
    optics = Optics(*(np.array(x, np.float32) for x in (0.10, 0.08, 0.8, 0.9, 0.7, 0.15)))
    gas = GasTransmittance(*(np.array(x) for x in (0.9, 0.95, 0.98, 0.94)))
    surface = 0.3
    other = 0.95 * 0.98
    expected = other * (
        0.08 + (0.10 - 0.08) * 0.94 + 0.8 * 0.9 * surface / (1 - 0.15 * surface) * 0.9
    )
    found = coefficients(optics, gas)
    assert float(toa_reflectance(surface, found)) == pytest.approx(expected, rel=1e-6)
    assert float(found.diffuse_to_direct) == pytest.approx(0.2 / 0.7, rel=1e-6)


def test_bright_surroundings_brighten_a_dark_pixel():
    air = Coefficients(*(np.array(x) for x in (0.05, 1.3, 0.1, 0.2)))
    assert toa_reflectance(0.05, air, environment=0.4) > toa_reflectance(0.05, air)


def test_float32_is_kept():
    air = Coefficients(*(np.full(3, x, np.float32) for x in (0.05, 1.3, 0.1, 0.2)))
    assert surface_reflectance(np.full(3, 0.2, np.float32), air).dtype == np.float32


def test_pressure_of_the_standard_atmosphere():
    # U.S. Standard Atmosphere 1976: 0, 1000, 2000, 4000 m.
    found = surface_pressure(np.array([0.0, 1000.0, 2000.0, 4000.0]))
    np.testing.assert_allclose(found, [1013.25, 898.76, 795.01, 616.60], rtol=5e-4)
    assert float(surface_pressure(0.0, 990.0)) == 990.0

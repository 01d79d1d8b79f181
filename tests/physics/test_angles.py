"""Directions of sun and sensor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.physics.angles import (
    airmass,
    earth_sun_distance,
    relative_azimuth,
    scattering_angle,
    solar_position,
)

azimuth = st.floats(-720.0, 720.0)


@settings(deadline=None)
@given(azimuth, azimuth)
def test_relative_azimuth_is_folded_and_symmetric(saa, vaa):
    found = float(relative_azimuth(saa, vaa))
    assert 0.0 <= found <= 180.0
    assert found == pytest.approx(float(relative_azimuth(vaa, saa)), abs=1e-9)


def test_same_azimuth_is_backscatter():
    raa = relative_azimuth(150.0, 150.0)
    assert float(raa) == 0.0
    assert float(scattering_angle(30.0, 30.0, raa)) == pytest.approx(180.0, abs=1e-5)
    assert float(scattering_angle(30.0, 10.0, 180.0)) == pytest.approx(140.0)


def test_airmass_of_the_zenith_is_two():
    np.testing.assert_allclose(airmass([0.0, 60.0], 0.0), [2.0, 3.0])


def test_solar_position_of_the_reference_algorithm():
    # Reda and Andreas (2004), NREL/TP-560-34302, appendix A.5: Golden, Colorado, without
    # refraction: topocentric elevation 39.872046, azimuth 194.34024; distance 0.9965422974.
    time = datetime(2003, 10, 17, 12, 30, 30, tzinfo=timezone(timedelta(hours=-7)))
    sun = solar_position(time, -105.1786, 39.742476)
    assert float(sun.sza) == pytest.approx(90.0 - 39.872046, abs=5e-3)
    assert float(sun.saa) == pytest.approx(194.34024, abs=5e-3)
    assert earth_sun_distance(time) == pytest.approx(0.9965422974, abs=2e-5)


def test_solar_position_broadcasts_and_takes_numpy_time():
    time = np.datetime64("2024-06-20T12:00:00")
    sun = solar_position(time, np.zeros((2, 1)), np.array([[23.4, 50.0, -40.0]]))
    assert sun.sza.shape == (2, 3)
    np.testing.assert_allclose(sun.sza[0], [0.5, 26.6, 63.4], atol=0.5)
    assert solar_position(datetime(2024, 6, 20, 12, tzinfo=UTC), 0.0, 50.0).saa == pytest.approx(
        float(sun.saa[0, 1])
    )


def test_distance_over_the_year():
    found = [earth_sun_distance(np.datetime64(day)) for day in ("2024-01-03", "2024-07-05")]
    np.testing.assert_allclose(found, [0.98331, 1.01672], atol=5e-5)

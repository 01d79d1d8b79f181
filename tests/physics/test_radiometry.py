"""Counts, reflectance, radiance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.physics.radiometry import counts_to_reflectance, radiance, reflectance_to_counts


@settings(deadline=None)
@given(st.integers(1, 65534), st.sampled_from([0.0, -1000.0]))
def test_counts_survive_the_round_trip(count, offset):
    counts = np.array([[count]], np.uint16)
    reflectance = counts_to_reflectance(counts, offset=offset)
    assert reflectance.dtype == np.float32
    back = reflectance_to_counts(reflectance, offset=offset)
    assert back.shape == (1, 1)
    assert int(back[0, 0]) == count


def test_zero_is_no_data_both_ways():
    assert np.isnan(counts_to_reflectance(np.zeros(2, np.uint16), offset=-1000.0)).all()
    found = reflectance_to_counts(np.array([np.nan, -1.0, 0.0, 9.0], np.float32))
    assert found.tolist() == [0, 1, 1, 65534]


def test_offset_of_baseline_four():
    found = counts_to_reflectance(np.array([1000, 11000], np.uint16), offset=-1000.0)
    np.testing.assert_allclose(found, [0.0, 1.0], atol=1e-7)


def test_radiance_of_a_white_surface():
    # A Lambertian surface of reflectance one under an overhead sun returns E / pi.
    assert float(radiance(1.0, irradiance=np.pi, sza=0.0, distance=1.0)) == pytest.approx(1.0)
    found = radiance(0.5, irradiance=1884.69, sza=60.0, distance=1.0)
    assert float(found) == pytest.approx(0.5 * 1884.69 * 0.5 / np.pi)

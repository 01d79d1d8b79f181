"""Correction with and without an environment."""

import numpy as np

from s2cloud.algorithms.surface import (
    environment,
    linear_terms,
    surface_reflectance,
    uniform_surface,
)

PATH, GAIN, ALBEDO, RATIO = (np.array(v, np.float32) for v in (0.08, 1.4, 0.12, 0.25))


def simulated(boa, around):
    """The coupling written forwards: direct light from the pixel, diffuse from around it."""
    seen = (boa + RATIO * around) / (1 + RATIO)
    return PATH + seen / (1 - ALBEDO * around) / GAIN


def test_linear_terms_invert_the_coupling():
    boa = np.linspace(-0.01, 0.9, 30)
    around = np.full(30, 0.2, np.float32)
    slope, intercept = linear_terms(PATH, GAIN, ALBEDO, RATIO, around)
    np.testing.assert_allclose(simulated(boa, around) * slope - intercept, boa, atol=2e-6)


def test_uniform_surface_is_the_case_of_equal_surroundings():
    boa = np.linspace(0.0, 0.9, 30).astype(np.float32)
    found = uniform_surface(simulated(boa, boa).astype(np.float32), PATH, GAIN, ALBEDO)
    np.testing.assert_allclose(found, boa, atol=2e-6)


def test_kernel_interpolates_slope_and_intercept_between_cells():
    slope = np.array([[1.0, 2.0]], np.float32)
    intercept = np.array([[0.0, 0.1]], np.float32)
    toa = np.full((2, 4), 0.5, np.float32)
    boa = surface_reflectance(toa, slope, intercept, (0, 0), (1, 2), 2.0, (0, 0))
    np.testing.assert_allclose(boa[0], [0.5, 0.6, 0.8, 0.9], atol=1e-6)


def test_kernel_does_not_depend_on_the_window():
    rng = np.random.default_rng(0)
    slope = rng.random((12, 12)).astype(np.float32) + 1
    intercept = rng.random((12, 12)).astype(np.float32)
    toa = rng.random((360, 360)).astype(np.float32)
    whole = surface_reflectance(toa, slope, intercept, (0, 0), (12, 12), 30.0, (0, 0))
    part = surface_reflectance(
        np.ascontiguousarray(toa[95:215, 133:260]),
        np.ascontiguousarray(slope[2:9]),
        np.ascontiguousarray(intercept[2:9]),
        (2, 0),
        (12, 12),
        30.0,
        (95, 133),
    )
    np.testing.assert_array_equal(part, whole[95:215, 133:260])


def test_no_data_stays_nan():
    terms = np.ones((1, 1), np.float32)
    toa = np.array([[np.nan, 0.5]], np.float32)
    boa = surface_reflectance(toa, terms, terms, (0, 0), (1, 1), 2.0, (0, 0))
    assert np.isnan(boa[0, 0])
    assert boa[0, 1] == np.float32(-0.5)


def test_environment_leaves_clouds_out():
    boa = np.full((21, 21), 0.1, np.float32)
    clear = np.ones((21, 21), bool)
    boa[10, 10] = 0.9
    clear[10, 10] = False
    around, mean = environment(boa, clear, 3)
    np.testing.assert_allclose(around, 0.1, rtol=1e-5)
    np.testing.assert_allclose(mean, 0.1, rtol=1e-5)


def test_environment_without_anything_clear_is_black():
    around, mean = environment(np.full((4, 4), 0.5, np.float32), np.zeros((4, 4), bool), 1)
    assert mean == 0.0
    assert not around.any()

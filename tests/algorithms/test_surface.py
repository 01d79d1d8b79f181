"""Correction with and without an environment."""

import numpy as np

from s2cloud.algorithms.surface import (
    environment,
    linear_terms,
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

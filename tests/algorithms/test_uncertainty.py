"""Propagation of errors through a linear correction."""

import numpy as np

from s2cloud.algorithms import uncertainty


def test_parabola_is_the_sum_of_squares():
    rng = np.random.default_rng(0)
    causes = [rng.normal(0, 0.01, (2, 3, 3)).astype(np.float32) for _ in range(4)]
    gain = np.full((3, 3), 1.2, np.float32)
    p, q, r = uncertainty.parabola(causes, gain, (1e-6, 2e-6))
    toa = np.full((3, 3), 0.25, np.float32)
    noise = 1.2**2 * (1e-6 + 2e-6 * 0.25)
    wanted = np.sqrt(sum((toa * c[0] - c[1]) ** 2 for c in causes) + noise)
    np.testing.assert_allclose(uncertainty.sigma(toa, p, q, r), wanted, rtol=1e-4)


def test_no_data_stays_no_data_and_rounding_never_makes_it():
    toa = np.array([[np.nan, 0.5]], np.float32)
    p, q, r = (np.full((1, 2), v, np.float32) for v in (1.0, -1.0, 0.25 - 1e-7))
    found = uncertainty.sigma(toa, p, q, r)
    assert np.isnan(found[0, 0])
    assert found[0, 1] == 0.0


def test_noise_meets_the_requirement_at_the_reference():
    irradiance, sza = 1959.66, 30.0
    constant, slope = uncertainty.noise("b02", irradiance, sza)
    reference = np.pi * 128.0 / (irradiance * np.cos(np.radians(sza)))
    np.testing.assert_allclose(np.sqrt(constant + slope * reference), reference / 154.0)


def test_derivative_scales_to_one_sigma():
    one = np.ones((2, 2), np.float32)
    found = uncertainty.derivative(((one, one * 2), (one * 1.4, one * 2.2)), one * 0.5)
    np.testing.assert_allclose(found[0], 0.2)
    np.testing.assert_allclose(found[1], 0.1, rtol=1e-5)


def test_slopes_divide_by_their_light():
    one = np.ones((1, 1), np.float32)
    found = uncertainty.on_slopes(one * 0.01, one * 0.0, one * 0.5, one, 0.04)
    np.testing.assert_allclose(found, 0.02)
    assert uncertainty.on_slopes(one * 0.01, one * 0.3, one * 0.5, one, 0.04) > found

"""Correction with and without an environment."""

import numpy as np
import pytest

from s2cloud.algorithms.resampling import linear_by_cells
from s2cloud.algorithms.surface import (
    AEROSOL_REACH_KM,
    MOLECULAR_REACH_KM,
    correct_by_detector,
    environment,
    linear_terms,
    square_mean,
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
    around, mean = environment(boa, clear, 300.0, 0.5)
    np.testing.assert_allclose(around, 0.1, rtol=1e-5)
    np.testing.assert_allclose(mean, 0.1, rtol=1e-5)


def test_environment_without_anything_clear_is_black():
    around, mean = environment(np.full((4, 4), 0.5, np.float32), np.zeros((4, 4), bool), 300.0, 0.5)
    assert mean == 0.0
    assert not around.any()


@pytest.mark.parametrize(
    ("molecular", "reach", "within"),
    [(1.0, MOLECULAR_REACH_KM, (5.1, 15.3)), (0.0, AEROSOL_REACH_KM, (0.75, 5.1))],
)
def test_environment_weighs_distances_as_6s_does(molecular, reach, within):
    # A bright disc in black ground, wide enough that nothing beyond the array counts.
    cells, side = 401, 300.0
    y, x = np.mgrid[:cells, :cells] - cells // 2
    distance = np.hypot(y, x) * side / 1000.0
    for radius in within:
        disc = (distance < radius).astype(np.float32)
        around, mean = environment(disc, np.ones(disc.shape, bool), side, molecular)
        inside = 1.0 - sum(share * np.exp(-radius / length) for share, length in reach)
        found = (around[cells // 2, cells // 2] * 1.05 - 0.05 * mean) / 1.0
        np.testing.assert_allclose(found, inside, atol=0.03)


def test_stretched_environment_reaches_farther():
    spot = np.zeros((61, 61), np.float32)
    spot[30, 30] = 1.0
    clear = np.ones(spot.shape, bool)
    near, far = (environment(spot, clear, 300.0, 0.0, stretch=s)[0] for s in (0.5, 2.0))
    assert near[30, 30] > 1.5 * far[30, 30]
    assert near[30, 50] < far[30, 50]


def test_environment_beyond_the_rim_has_no_say():
    boa = np.full((9, 14), 0.3, np.float32)
    around, _ = environment(boa, np.ones(boa.shape, bool), 300.0, 0.7)
    np.testing.assert_allclose(around, 0.3, rtol=1e-5)


def test_square_mean_at_the_rim_is_the_mean_of_what_is_inside():
    boa = np.zeros((9, 9), np.float32)
    boa[:2, :2] = 0.4
    around, mean = square_mean(boa, np.ones((9, 9), bool), 1)
    np.testing.assert_allclose(around[0, 0], (0.4 + 0.05 * mean) / 1.05, rtol=1e-5)


def detector_planes(uniform):
    rng = np.random.default_rng(1)
    planes = rng.uniform(0.9, 1.1, (2, 3, 5, 5)).astype(np.float32)
    planes[:, 1] *= 0.1
    planes[:, 2] *= 0.1 if uniform else 0.0
    return planes


def test_by_detector_is_the_plain_correction_of_each_detector():
    toa = np.random.default_rng(0).random((20, 25)).astype(np.float32)
    numbers = np.full((8, 9), 7, np.uint8)
    numbers[:, 5:] = 8
    numbers[3:, 2:] = 8
    planes = detector_planes(uniform=False)
    origin = (6, 9)
    found = correct_by_detector(toa, planes, numbers, 3, 5.0, origin)
    even, odd = (linear_by_cells(toa, p[0], p[1], 5.0, origin) for p in planes)
    fine = np.kron(numbers, np.ones((3, 3), np.uint8))[:20, :25]
    np.testing.assert_array_equal(found, np.where(fine % 2 == 1, odd, even))


def test_by_detector_without_environment():
    toa = np.full((6, 6), 0.3, np.float32)
    planes = np.broadcast_to(
        np.array([1.4, 0.112, 0.12], np.float32)[None, :, None, None], (2, 3, 2, 2)
    ).copy()
    found = correct_by_detector(toa, planes, np.ones((1, 1), np.uint8), 6, 6.0, (0, 0))
    np.testing.assert_allclose(found, uniform_surface(toa, PATH, GAIN, ALBEDO), rtol=1e-5)


@pytest.mark.parametrize("start", [0, 6])
def test_by_detector_does_not_depend_on_the_cut(start):
    toa = np.random.default_rng(0).random((24, 24)).astype(np.float32)
    numbers = np.random.default_rng(2).integers(1, 13, (4, 4)).astype(np.uint8)
    planes = detector_planes(uniform=True)
    whole = correct_by_detector(toa, planes, numbers, 6, 5.0, (0, 0))
    part = correct_by_detector(toa[start:], planes, numbers[start // 6 :], 6, 5.0, (start, 0))
    np.testing.assert_array_equal(part, whole[start:])

"""Slope of cirrus in a scene."""

import numpy as np
import pytest

from s2cloud.algorithms import cirrus


def scene(slope=1.3, seed=0, amount=0.03):
    rng = np.random.default_rng(seed)
    ground = np.kron(rng.random((25, 25)), np.ones((8, 8))) * 0.1 + 0.05
    veil = np.kron(rng.random((50, 50)), np.ones((4, 4))) * amount
    b10 = (0.002 + veil).astype(np.float32)
    return b10, (ground + slope * veil).astype(np.float32), ground


@pytest.mark.parametrize("slope", [1.1, 1.5])
def test_slope_is_found_over_unrelated_ground(slope):
    b10, band, ground = scene(slope)
    found = cirrus.find(b10, {"b02": band}, np.ones(b10.shape, bool))
    np.testing.assert_allclose(found.slopes["b02"], slope, rtol=0.12)
    np.testing.assert_allclose(found.background, 0.005, atol=0.003)
    left = cirrus.take_away(band, b10, slope, 0.002)
    np.testing.assert_allclose(left, ground, atol=1e-5)


def test_slopes_stay_within_physics():
    b10, band, _ = scene(3.0)
    found = cirrus.find(b10, {"b02": band, "b11": band * 0}, np.ones(b10.shape, bool))
    assert found.slopes["b02"] == pytest.approx(1 / 0.6)
    assert found.slopes["b11"] == pytest.approx(0.2)


def test_clear_and_hidden_scenes_say_why_nothing_is_done():
    b10, band, _ = scene(amount=0.005)
    assert cirrus.find(b10, {"b02": band}, np.ones(b10.shape, bool)).reason == "no cirrus"
    hidden = cirrus.find(b10, {"b02": band}, np.zeros(b10.shape, bool))
    assert not hidden.slopes
    assert hidden.reason


def test_pixels_without_b10_are_left_alone():
    toa = np.array([0.2, 0.3], np.float32)
    found = cirrus.take_away(toa, np.array([np.nan, 0.001], np.float32), 1.2, 0.002)
    np.testing.assert_array_equal(found, toa)

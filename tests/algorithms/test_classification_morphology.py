"""Growing, counting and sieving of masks against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from s2cloud.algorithms.classification import morphology


def mask(share, shape=(61, 83), seed=3):
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("radius", [0, 1, 4, 9, 70])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 1.0])
def test_box_dilation_is_scipys(radius, share):
    given = mask(share)
    side = 2 * radius + 1
    expected = ndimage.binary_dilation(given, np.ones((side, side)))
    np.testing.assert_array_equal(morphology.box_dilated(given, radius), expected)


@pytest.mark.parametrize("radius", [1, 4, 40])
def test_box_count_and_majority(radius):
    given = mask(0.5)
    side = 2 * radius + 1
    expected = ndimage.correlate(
        given.astype(np.int64), np.ones((side, side), int), mode="constant"
    )
    np.testing.assert_array_equal(morphology.box_count(given, radius), expected)
    np.testing.assert_array_equal(morphology.majority(given, radius), expected * 2 > side**2)


@pytest.mark.parametrize("share", [0.02, 0.15, 0.35])
def test_sieve_removes_groups_of_three_and_keeps_those_of_four(share):
    given = mask(share)
    labels, _ = ndimage.label(given, np.ones((3, 3)))
    expected = given & (np.bincount(labels.ravel())[labels] > 3)
    np.testing.assert_array_equal(morphology.sieved(given), expected)


def test_cross_dilation_is_a_diamond():
    given = np.zeros((9, 9), bool)
    given[4, 4] = True
    y, x = np.indices(given.shape)
    expected = abs(y - 4) + abs(x - 4) <= 3
    np.testing.assert_array_equal(morphology.cross_dilated(given, 3), expected)

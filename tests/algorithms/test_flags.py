"""Bits of a pixel."""

import numpy as np

from s2cloud.algorithms import flags
from s2cloud.model.schema import Flag


def test_bits_add_up_and_pixels_without_data_have_none():
    valid = np.array([[True, True, False]])
    low = np.array([[False, True, True]])
    found = flags.combined(
        (1, 3), {Flag.VALID: valid, Flag.SZA_ABOVE_70: low, Flag.SATURATED: True}
    )
    both = Flag.VALID | Flag.SATURATED
    assert found.tolist() == [[both, both | Flag.SZA_ABOVE_70, 0]]


def test_edges_are_where_numbers_meet_but_not_where_the_swath_ends():
    numbers = np.full((5, 8), 4, np.uint8)
    numbers[:, 5:] = 5
    numbers[:, 0:2] = 0
    found = flags.detector_edges(numbers)
    assert found.shape == (3, 6)
    assert found[1].tolist() == [False, False, False, True, True, False]

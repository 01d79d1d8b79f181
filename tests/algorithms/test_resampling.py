"""Counts to reflectance across the nested grids."""

import warnings

import numpy as np
import pytest

from s2cloud.algorithms.resampling import (
    any_saturated,
    interpolate_cells,
    linear_by_cells,
    mean_reflectance,
    median3,
    upsample,
)

SCALE, OFFSET = 1e-4, -0.1


def test_decoding_applies_scale_and_offset_and_keeps_negatives():
    counts = np.array([[1000, 500], [11000, 1]], np.uint16)
    toa = mean_reflectance(counts, 1, SCALE, OFFSET)
    np.testing.assert_allclose(toa, [[0.0, -0.05], [1.0, -0.0999]], atol=1e-7)


def test_no_data_and_saturation_are_nan():
    counts = np.array([[0, 65535, 2000]], np.uint16)
    assert np.isnan(mean_reflectance(counts, 1, SCALE, OFFSET)).tolist() == [[True, True, False]]


@pytest.mark.parametrize("factor", [2, 3, 6])
def test_block_mean_is_exact_and_no_data_spreads_over_its_block_only(factor):
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 20000, (4 * factor, 5 * factor)).astype(np.uint16)
    counts[0, 0] = 0
    toa = mean_reflectance(counts, factor, SCALE, OFFSET)
    expected = counts.reshape(4, factor, 5, factor).mean(axis=(1, 3)) * SCALE + OFFSET
    assert np.isnan(toa[0, 0])
    toa[0, 0] = expected[0, 0] = 0
    np.testing.assert_allclose(toa, expected, rtol=2e-6, atol=1e-7)


def test_saturation_flags_reach_the_coarse_pixel():
    counts = np.ones((4, 4), np.uint16)
    counts[3, 0] = 65535
    assert any_saturated(counts, 2).tolist() == [[False, False], [True, False]]


def test_upsampling_reproduces_a_plane_at_the_pixel_centres():
    factor, rows, cols = 3, 6, 7
    y, x = np.mgrid[0:rows, 0:cols].astype(np.float32)
    coarse = 0.1 * y + 0.01 * x
    fine = upsample(coarse, factor, (0, 0), (3, 3), (12, 15))
    fy = (3 + np.arange(12) + 0.5) / factor - 0.5
    fx = (3 + np.arange(15) + 0.5) / factor - 0.5
    np.testing.assert_allclose(fine, 0.1 * fy[:, None] + 0.01 * fx[None], atol=1e-6)


def test_upsampling_leaves_no_data_out_of_its_neighbours():
    coarse = np.array([[np.nan, 0.2, 0.2]], np.float32).repeat(3, axis=0)
    fine = upsample(coarse, 3, (0, 0), (0, 0), (9, 9))
    assert np.isnan(fine[:, :3]).all()
    np.testing.assert_allclose(fine[:, 3:], 0.2, rtol=1e-6)


@pytest.mark.parametrize("origin", [0, 4, 11])
def test_upsampling_does_not_depend_on_the_window(origin):
    coarse = np.random.default_rng(2).random((12, 12)).astype(np.float32)
    whole = upsample(coarse, 3, (0, 0), (0, 0), (36, 36))
    start = origin // 3 - 1
    low = max(start, 0)
    window = coarse[low : low + 5, low : low + 5]
    part = upsample(window, 3, (low, low), (origin, origin), (6, 6))
    np.testing.assert_array_equal(part, whole[origin : origin + 6, origin : origin + 6])


def test_cells_are_interpolated_linearly_and_held_at_the_rim():
    cells = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    pixels = interpolate_cells(cells, 4.0, (0, 0), (8, 8))
    np.testing.assert_allclose(pixels[0, 0], 0.0)
    np.testing.assert_allclose(pixels[-1, -1], 3.0)
    np.testing.assert_allclose(pixels[3, 2:6], [0.875, 1.125, 1.375, 1.625])


def test_any_window_of_pixels_gives_the_same_values():
    cells = np.random.default_rng(3).random((20, 30)).astype(np.float32)
    whole = interpolate_cells(cells, 30.0, (0, 0), (600, 900))
    part = interpolate_cells(cells, 30.0, (151, 301), (170, 270))
    np.testing.assert_array_equal(part, whole[151:321, 301:571])


def test_a_single_cell_is_constant():
    pixels = interpolate_cells(np.full((1, 1), 0.3, np.float32), 5.0, (0, 0), (7, 3))
    np.testing.assert_array_equal(pixels, np.full((7, 3), np.float32(0.3)))


def test_linear_terms_are_interpolated_between_cells():
    slope = np.array([[1.0, 2.0]], np.float32)
    intercept = np.array([[0.0, 0.1]], np.float32)
    values = np.full((2, 4), 0.5, np.float32)
    found = linear_by_cells(values, slope, intercept, 2.0, (0, 0))
    np.testing.assert_allclose(found[0], [0.5, 0.6, 0.8, 0.9], atol=1e-6)


def test_linear_terms_do_not_depend_on_the_window():
    rng = np.random.default_rng(0)
    slope = rng.random((12, 12)).astype(np.float32) + 1
    intercept = rng.random((12, 12)).astype(np.float32)
    values = rng.random((360, 360)).astype(np.float32)
    whole = linear_by_cells(values, slope, intercept, 30.0, (0, 0))
    window = np.ascontiguousarray(values[95:215, 133:260])
    part = linear_by_cells(window, slope, intercept, 30.0, (95, 133))
    np.testing.assert_array_equal(part, whole[95:215, 133:260])


def test_no_data_stays_nan_in_linear_terms():
    terms = np.ones((1, 1), np.float32)
    found = linear_by_cells(np.array([[np.nan, 0.5]], np.float32), terms, terms, 2.0, (0, 0))
    assert np.isnan(found[0, 0])
    assert found[0, 1] == np.float32(-0.5)


def test_median_ignores_nan_and_agrees_with_numpy():
    values = np.random.default_rng(4).random((20, 22)).astype(np.float32)
    values[values > 0.8] = np.nan
    values[:3, :3] = np.nan
    found = median3(values)
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 3)).reshape(18, 20, 9)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        expected = np.nanmedian(windows, axis=-1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isnan(found[0, 0])

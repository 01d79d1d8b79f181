"""Dark vegetation retrieval against a toy atmosphere of known optical thickness."""

import numpy as np
import pytest

from s2cloud.algorithms.aerosol import (
    BINS,
    AerosolRetrieval,
    Correction,
    dark_vegetation,
    retrieve,
    spread,
)

NODES = np.array([0.0, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6], np.float32)
CELLS = (2, 2)
CELL_PX = 8


def toy(path_per_aot, molecules):
    shape = (NODES.size, *CELLS)
    aot = NODES[:, None, None]
    return Correction(
        np.broadcast_to(molecules + path_per_aot * aot, shape).astype(np.float32),
        np.broadcast_to(1.1 + 0.3 * aot, shape).astype(np.float32),
        np.broadcast_to(0.05 + 0.1 * aot, shape).astype(np.float32),
        np.broadcast_to(0.1 + 0.4 * aot, shape).astype(np.float32),
    )


RED, SWIR = toy(0.08, 0.02), toy(0.005, 0.0)


def forward(correction, boa, aot, around=None):
    path, gain, albedo, ratio = (
        np.interp(aot, NODES, part[:, 0, 0]) for part in correction.stacked
    )
    environment = boa if around is None else around
    seen = (boa + ratio * environment) / (1 + ratio)
    return (path + seen / (1 - albedo * environment) / gain).astype(np.float32)


def solve(red, swir, aot, around=(None, None), dark=None):
    toa = forward(RED, red, aot, around[0]), forward(SWIR, swir, aot, around[1])
    beyond = tuple(
        own if other is None else np.full_like(own, forward(band, np.array(other), aot))
        for own, other, band in zip(toa, around, (RED, SWIR), strict=True)
    )
    dark = np.ones(red.shape, bool) if dark is None else dark
    return retrieve(toa, beyond, dark, NODES, (RED, SWIR), CELL_PX, red.size)


@pytest.mark.parametrize("aot", [0.03, 0.1, 0.17, 0.33, 0.7, 1.2])
def test_exact_vegetation_gives_the_optical_thickness_back(aot):
    swir = np.random.default_rng(0).uniform(0.02, 0.05, (16, 16))
    found = solve(0.5 * swir, swir, aot)
    # Equal pixels fall into one bin, and the toy's curves bend between its nodes.
    tolerance = 0.012 if aot < 0.6 else 0.06
    assert found.mean == pytest.approx(aot, abs=tolerance)
    np.testing.assert_allclose(spread(found, 1.0), aot, atol=tolerance)
    assert found.dark_fraction == 1.0


@pytest.mark.parametrize("aot", [0.1, 0.4])
def test_bright_surroundings_do_not_pass_for_aerosol(aot):
    swir = np.full((16, 16), 0.04)
    found = solve(0.5 * swir, swir, aot, around=(0.15, 0.3))
    np.testing.assert_allclose(spread(found, 1.0), aot, atol=0.008, rtol=0.04)


def test_pixels_that_are_too_red_do_not_raise_the_value():
    swir = np.full((16, 16), 0.04)
    red = 0.5 * swir
    red[:, ::2] += 0.02
    found = solve(red, swir, 0.2)
    np.testing.assert_allclose(spread(found, 1.0), 0.2, atol=0.008)


def test_without_dark_pixels_there_is_no_mean():
    swir = np.full((16, 16), 0.04)
    found = solve(swir, swir, 0.2, dark=np.zeros((16, 16), bool))
    assert np.isnan(found.mean)
    assert found.dark_fraction == 0.0


def scattered(truth, where, pixels, seed=1):
    """Retrieval of pixels that scatter around the truth, a fifth of them far too red.

    The quantile of the retrieval falls on the truth: 0.006 - 0.157 * 0.04 = 0.
    """
    rng = np.random.default_rng(seed)
    counts = np.zeros((BINS.size - 1, *truth.shape), np.float32)
    for i, j in zip(*np.nonzero(where), strict=True):
        values = truth[i, j] + rng.normal(0.006, 0.04, pixels) + 0.4 * (rng.random(pixels) < 0.2)
        counts[:, i, j] = np.histogram(np.clip(values, BINS[0], 1.99), BINS)[0]
    return AerosolRetrieval(counts, 0.2, 0.3)


def test_spread_keeps_a_gradient_and_fills_gaps_despite_outliers():
    truth = np.linspace(0.1, 0.3, 40)[None].repeat(30, axis=0).astype(np.float32)
    where = np.random.default_rng(1).random(truth.shape) < 0.3
    field = spread(scattered(truth, where, 12), 3.0)
    inner = (slice(4, -4), slice(6, -6))
    assert np.abs(field[inner] - truth[inner]).max() < 0.04
    assert np.abs(field[inner] - truth[inner]).mean() < 0.015


def test_spread_tends_to_the_scene_far_from_any_dark_pixel():
    truth = np.full((60, 60), 0.15, np.float32)
    truth[:5, :5] = 0.3
    where = np.zeros((60, 60), bool)
    where[:5, :5] = where[10:30, 10:30] = True
    field = spread(scattered(truth, where, 50), 2.0)
    assert field[-1, -1] == pytest.approx(0.17, abs=0.03)
    assert field[0, 0] > 0.25


def test_places_whose_pixels_contradict_one_another_do_not_count():
    truth = np.full((40, 40), 0.2, np.float32)
    where = np.zeros((40, 40), bool)
    where[:, :20] = True
    counts = scattered(truth, where, 30).counts
    fields = np.random.default_rng(2).uniform(0.2, 1.4, (30, 8))
    for k, column in enumerate(range(30, 38)):
        counts[:, 20, column] = np.histogram(fields[:, k], BINS)[0]
    field = spread(AerosolRetrieval(counts, 0.2, 0.3), 3.0)
    assert np.abs(field - 0.2).max() < 0.06


def test_dark_vegetation_is_dark_green_and_far_from_cloud():
    def one(value):
        return np.full((1, 6), value, np.float32)

    red, nir, boa_nir, boa_swir = one(0.05), one(0.3), one(0.3), one(0.04)
    vegetation, hidden, valid = np.ones((1, 6), bool), np.zeros((1, 6), bool), np.ones((1, 6), bool)
    red[0, 1] = 0.2
    boa_swir[0, 2] = 0.2
    hidden[0, 3] = True
    vegetation[0, 4] = False
    dark = dark_vegetation(red, nir, boa_nir, boa_swir, vegetation, hidden, valid, 0.02)
    assert dark.tolist() == [[True, False, False, False, False, True]]


def test_a_looser_limit_is_tried_only_where_the_tight_one_finds_too_little():
    size = 100
    ones = np.ones((1, size), np.float32)
    swir = np.full((1, size), 0.09, np.float32)
    swir[0, :10] = 0.03
    mask = np.ones((1, size), bool)
    arguments = (0.05 * ones, 0.37 * ones, 0.37 * ones, swir, mask, ~mask, mask)
    assert dark_vegetation(*arguments, 0.05).sum() == 10
    assert dark_vegetation(*arguments, 0.5).sum() == size

"""Retrieval over vegetation against a toy atmosphere of known optical thickness."""

from dataclasses import replace

import numpy as np
import pytest

from s2cloud.algorithms.aerosol import (
    BINS,
    CANOPIES,
    SPECTRUM,
    AerosolRetrieval,
    Correction,
    Prior,
    Relation,
    darkest,
    estimate,
    kinds,
    retrieve,
    surface_at,
    vegetation,
)

NODES = np.array([0.0, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6], np.float32)
CELLS = (2, 2)
CELL_PX = 8
VAGUE = Prior(0.5, 10.0)
TOY = Relation(("red", "swir"), (1.0, -0.5), 0.0, 0.5, 0.1, 0.02)


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


def solve(red, swir, aot, around=(None, None), relation=TOY):
    toa = np.stack([forward(RED, red, aot, around[0]), forward(SWIR, swir, aot, around[1])])
    beyond = np.stack(
        [
            own if other is None else np.full_like(own, forward(band, np.array(other), aot))
            for own, other, band in zip(toa, around, (RED, SWIR), strict=True)
        ]
    )
    rows, cols = (index.ravel() // CELL_PX for index in np.indices(red.shape))
    return retrieve(
        relation,
        toa.reshape(2, -1),
        beyond.reshape(2, -1),
        (rows, cols),
        NODES,
        (RED, SWIR),
        100.0,
    )


@pytest.mark.parametrize("aot", [0.03, 0.1, 0.17, 0.33, 0.7, 1.2])
def test_exact_vegetation_gives_the_optical_thickness_back(aot):
    swir = np.random.default_rng(0).uniform(0.02, 0.05, (16, 16))
    found = estimate([solve(0.5 * swir, swir, aot)], 1.0, VAGUE)
    # Equal pixels fall into one bin, and the toy's curves bend between its nodes.
    tolerance = 0.012 if aot < 0.6 else 0.06
    np.testing.assert_allclose(found.aot550, aot, atol=tolerance)
    assert found.prior_weight < 1e-4


@pytest.mark.parametrize("aot", [0.1, 0.4])
def test_bright_surroundings_do_not_pass_for_aerosol(aot):
    swir = np.full((16, 16), 0.04)
    found = estimate([solve(0.5 * swir, swir, aot, around=(0.15, 0.3))], 1.0, VAGUE)
    np.testing.assert_allclose(found.aot550, aot, atol=0.008, rtol=0.04)


def test_an_intercept_is_part_of_the_relation():
    swir = np.random.default_rng(0).uniform(0.02, 0.05, (16, 16))
    shifted = Relation(("red", "swir"), (1.0, -0.5), -0.01, 0.5, 0.1, 0.02)
    found = estimate([solve(0.5 * swir + 0.01, swir, 0.2, relation=shifted)], 1.0, VAGUE)
    np.testing.assert_allclose(found.aot550, 0.2, atol=0.012)


def test_without_pixels_the_prior_stands():
    nothing = AerosolRetrieval(np.zeros((BINS.size - 1, 3, 4), np.float32), 0.0, TOY)
    found = estimate([nothing, nothing], 2.0, Prior(0.17, 0.1))
    np.testing.assert_allclose(found.aot550, 0.17)
    np.testing.assert_allclose(found.sigma, 0.1)
    assert found.prior_weight == 1.0


def scattered(truth, where, pixels, *, scatter=0.04, relation=TOY, kinds=100.0, seed=1):
    """Retrieval of pixels that scatter around the truth."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((BINS.size - 1, *truth.shape), np.float32)
    for i, j in zip(*np.nonzero(where), strict=True):
        values = truth[i, j] + rng.normal(0.0, scatter, pixels)
        counts[:, i, j] = np.histogram(np.clip(values, BINS[0], 1.99), BINS)[0]
    return AerosolRetrieval(counts, kinds, relation)


def test_a_gradient_is_kept_and_gaps_are_filled():
    truth = np.linspace(0.1, 0.3, 40)[None].repeat(30, axis=0).astype(np.float32)
    where = np.random.default_rng(1).random(truth.shape) < 0.3
    field = estimate([scattered(truth, where, 12)], 3.0, VAGUE).aot550
    inner = (slice(4, -4), slice(6, -6))
    assert np.abs(field[inner] - truth[inner]).max() < 0.05
    assert np.abs(field[inner] - truth[inner]).mean() < 0.015


def test_far_from_any_pixel_it_tends_to_the_scene_and_is_less_certain():
    truth = np.full((60, 60), 0.15, np.float32)
    truth[:5, :5] = 0.3
    where = np.zeros((60, 60), bool)
    where[:5, :5] = where[10:30, 10:30] = True
    found = estimate([scattered(truth, where, 50)], 2.0, VAGUE)
    assert found.aot550[-1, -1] == pytest.approx(0.17, abs=0.03)
    assert found.aot550[0, 0] > 0.24
    assert found.sigma[-1, -1] > found.sigma[20, 20]


@pytest.mark.parametrize(("share", "heavier"), [(0.3, "pixels"), (0.0005, "prior")])
def test_the_prior_weighs_more_the_fewer_pixels_there_are(share, heavier):
    truth = np.full((20, 20), 0.3, np.float32)
    where = np.random.default_rng(0).random(truth.shape) < share
    prior = Prior(0.1, 0.1)
    told = scattered(truth, where, 5, scatter=0.1, kinds=max(300 * share, 1), relation=TOY)
    found = estimate([told], 3.0, prior)
    assert (found.prior_weight < 0.5) == (heavier == "pixels")
    assert (found.sigma <= prior.sigma + 1e-6).all()
    low, high = sorted((prior.mean, 0.3))
    assert low - 0.02 < found.aot550.mean() < high + 0.02


def test_the_posterior_is_the_mean_weighted_by_precision():
    vague = replace(TOY, sigma=0.04)
    truth = np.full((30, 30), 0.3, np.float32)
    told = scattered(truth, truth > 0, 200, scatter=0.01, kinds=1e6, relation=vague)
    found = estimate([told], 3.0, Prior(0.1, vague.sigma))
    assert found.prior_weight == pytest.approx(0.5, abs=0.03)
    assert found.aot550.mean() == pytest.approx(0.2, abs=0.012)
    assert found.sigma.mean() == pytest.approx(vague.sigma / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(("kinds", "weight"), [(100.0, 0.5), (2.0, 0.09)])
def test_relations_are_weighted_by_their_errors_and_their_kinds(kinds, weight):
    truth = np.full((30, 30), 0.3, np.float32)
    good = scattered(truth, truth > 0, 100)
    other = scattered(truth - 0.2, truth > 0, 100, kinds=kinds)
    found = estimate([good, other], 3.0, VAGUE)
    assert 0.3 - found.aot550.mean() == pytest.approx(0.2 * weight, abs=0.015)


def test_kinds_are_counted_by_their_spectra_not_their_pixels():
    spectra = np.array([[0.05, 0.25], [0.11, 0.25], [0.05, 0.40]], np.float32)
    pixels = spectra[np.arange(3000) % 3]
    assert kinds(*pixels.T) == pytest.approx(3.0)
    mostly_one = spectra[(np.arange(3000) % 100 == 0).astype(int)]
    assert kinds(*mostly_one.T) < 1.1
    assert kinds(*pixels[:0].T) == 0.0


def test_nothing_is_negative():
    truth = np.full((10, 10), -0.1, np.float32)
    found = estimate([scattered(truth, truth < 0, 50)], 2.0, VAGUE)
    assert (found.aot550 >= 0.0).all()


def test_vegetation_is_leafy_and_green():
    b05 = np.array([0.10, 0.10, 0.30, 0.10, 0.08, 0.09], np.float32)
    b8a = np.array([0.35, 0.35, 0.35, 0.10, 0.30, 0.50], np.float32)
    b12 = np.array([0.10, 0.20, 0.10, 0.02, 0.04, 0.04], np.float32)
    assert vegetation(b05, b8a, b12).tolist() == [True, False, False, False, True, True]


#: Change of surface reflectance per optical thickness assumed: falling in the visible.
SLOPES = np.array([-0.15, -0.13, -0.10, -0.07, -0.05, 0.02, 0.04, 0.04, 0.01, 0.0])


@pytest.mark.parametrize("canopy", CANOPIES)
def test_a_canopy_tells_the_aerosol_and_how_well(canopy):
    relation = canopy.relation(SLOPES)
    rng = np.random.default_rng(0)
    spectra = rng.multivariate_normal(canopy.mean, canopy.covariance, 20_000)
    assert relation.bands == SPECTRUM
    # The haze that was assumed is 0.1 too thin, so that 0.1 of it is left.
    seen = relation.intercept + (spectra - 0.1 * SLOPES) @ np.array(relation.weights)
    told = -seen / (SLOPES @ np.array(relation.weights))
    assert told.mean() == pytest.approx(0.1, abs=0.01)
    assert told.std() == pytest.approx(relation.scatter, rel=0.03)
    # No other combination does better: that of red and 2.2 um alone is one.
    ratio = np.array([0, 0, 0, 1.0, 0, 0, 0, 0, 0, -0.5])
    assert (spectra @ ratio).std() / abs(SLOPES @ ratio) > 1.5 * relation.scatter


def test_canopies_keep_plants_in_haze_and_leave_out_snow_between_them():
    canopy = CANOPIES[2]
    rng = np.random.default_rng(0)
    plants = rng.multivariate_normal(canopy.mean, canopy.covariance, 5_000).T
    hazy = plants - 0.3 * SLOPES[:, np.newaxis]
    snow = np.array([0.8, 0.8, 0.8, 0.8, 0.78, 0.76, 0.75, 0.7, 0.1, 0.08])
    kept, left, white = (
        canopy.plausible(boa.astype(np.float32), SLOPES).mean()
        for boa in (plants, hazy, 0.9 * plants + 0.1 * snow[:, np.newaxis])
    )
    assert kept == pytest.approx(0.98, abs=0.01)
    assert left == pytest.approx(kept)
    assert white < 0.05


def test_a_canopy_is_a_possible_covariance():
    for canopy in CANOPIES:
        assert np.linalg.eigvalsh(canopy.covariance).min() > 1e-6
        np.testing.assert_allclose(canopy.covariance, canopy.covariance.T)
    at = np.array([0.5, 0.6, 0.65, 0.9, 0.3])
    assert sum(canopy.holds(at).astype(int) for canopy in CANOPIES).tolist() == [1, 1, 1, 1, 0]


def test_the_bound_is_where_the_darkest_pixels_turn_negative():
    rng = np.random.default_rng(3)
    boa = rng.uniform(0.0, 0.3, 20_000)
    toa = forward(RED, boa, 0.3, around=0.1)
    around = np.full_like(toa, forward(RED, np.array(0.1), 0.3))
    terms = RED.stacked.mean(axis=(2, 3))
    bound = darkest(toa, around, NODES, terms, 0.01)
    assert bound > 0.3
    at = np.array([np.interp(bound, NODES, term) for term in terms], np.float32)
    assert (surface_at(toa, around, at) < 0.0).mean() == pytest.approx(0.01, abs=0.005)
    assert darkest(toa + np.float32(0.5), around, NODES, terms, 0.01) == NODES[-1]
    assert darkest(toa - np.float32(0.5), around, NODES, terms, 0.01) == NODES[0]

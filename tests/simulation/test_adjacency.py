"""What surroundings contribute, by distance."""

from __future__ import annotations

import numpy as np
import pytest

from s2cloud.simulation.adjacency import AEROSOL_REACH, MOLECULAR_REACH, environment


def reached(radius, reach):
    return 1 - sum(share * np.exp(-radius / length) for share, length in reach)


@pytest.mark.parametrize("reach", [MOLECULAR_REACH, AEROSOL_REACH])
@pytest.mark.parametrize("radius", [600.0, 1500.0, 4000.0])
def test_bright_disc_gives_its_centre_the_share_of_its_radius(reach, radius):
    size = 2001  # wide enough for the mirrored discs to be far away
    offset = 60.0 * (np.arange(size) - size // 2)
    disc = (np.hypot(offset[:, None], offset[None, :]) <= radius).astype(np.float32)
    found = environment(disc, reach)[size // 2, size // 2]
    # Mirrored at the edges, the outside holds other discs: what they add is small.
    beyond = 1 - reached(60.0 * size - radius, reach)
    assert found == pytest.approx(reached(radius, reach), abs=0.012 + beyond)


def test_even_ground_surrounds_itself_with_itself():
    ground = np.full((30, 44), 0.3, np.float32)
    np.testing.assert_allclose(environment(ground, MOLECULAR_REACH), ground, rtol=1e-5)


def test_molecules_look_further_than_aerosol():
    ground = np.zeros((101, 101), np.float32)
    ground[:, :50] = 0.5
    wide, near = (environment(ground, reach) for reach in (MOLECULAR_REACH, AEROSOL_REACH))
    assert wide[50, 52] < near[50, 49]
    # Three kilometres from the edge the aerosol has nearly forgotten the other side.
    assert wide[50, 100] > 2 * near[50, 100]


def test_mirrored_edges_and_no_loss():
    ground = np.random.default_rng(3).random((40, 36)).astype(np.float32)
    for reach in (MOLECULAR_REACH, AEROSOL_REACH):
        out = environment(ground, reach)
        assert out.mean() == pytest.approx(ground.mean(), rel=1e-5)
        tiled = np.block([[ground, ground[:, ::-1]], [ground[::-1], ground[::-1, ::-1]]])
        np.testing.assert_allclose(environment(tiled, reach)[:40, :36], out, atol=2e-5)

"""Clouds stand where geometry puts them, for every band and for the sun."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from s2cloud.simulation.cloud_kernels import DETAIL_LIMIT
from s2cloud.simulation.cloud_optics import Gas, above_cirrus, above_cloud, beam_taken, reflecting
from s2cloud.simulation.clouds import Layer, clouds
from s2cloud.simulation.geometry import Viewing
from s2cloud.simulation.recipes import recipe
from s2cloud.simulation.relief import relief
from s2cloud.simulation.sight import Rays, Sight
from s2cloud.simulation.state import NODE_STEP, state
from s2cloud.simulation.tiling import tile_grid

SIZE = 720


def disc(height: float) -> Layer:
    """A round cloud of 400 m radius over the middle of the image."""
    cells = SIZE // 6
    at = 60.0 * (np.arange(cells) + 0.5) - 5.0 * SIZE
    amount = ((400.0 - np.hypot(at[:, None], at[None, :])) / 100).astype(np.float32)
    everywhere = np.ones(amount.shape, np.bool_)
    level = np.full_like(amount, height)
    return Layer(amount, level, np.zeros((8, 8), np.float32), 0.0, everywhere, 1.0, 30.0, 0.0)


def scene():
    grid = tile_grid("32TQM", SIZE)
    time = datetime(2025, 6, 15, 10, 15, 59, tzinfo=UTC)
    at = state(grid, time, aot550=0.1, tcwv=18.0, tco3=320.0, elevation=0.0, sza=50.0)
    return grid, at, Viewing.of(grid)


def centre(thickness: np.ndarray, pixel: float) -> np.ndarray:
    """Centre of a cloud, south and east of the upper left corner. [m]."""
    return (np.array([np.average(i, weights=thickness) for i in np.indices(thickness.shape)])
            + 0.5) * pixel  # fmt: skip


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("ground", [0.0, 800.0])
def test_bands_see_a_cloud_displaced_by_their_view(odd, ground):
    _, at, viewing = scene()
    layer = disc(3000.0)
    below = np.full((SIZE // 6, SIZE // 6), ground, np.float32)
    for band, factor in (("b02", 1), ("b08", 1), ("b8a", 2), ("b09", 6)):
        rows = SIZE // factor
        parity = np.full((rows, rows), odd)
        sight = Sight(layer, Rays.of_view(viewing, band, at.y, at.x, NODE_STEP), below)
        thickness, _ = sight.rows(factor, slice(0, rows), parity)
        assert thickness.shape == (rows, rows)
        view = viewing.view(band, odd, np.array([viewing.y]), np.array([viewing.x]))
        slant = (3000.0 - ground) * np.tan(np.radians(view.zenith[0]))
        azimuth = np.radians(view.azimuth[0])
        # Away from the satellite: a cloud hides what lies behind it.
        expected = 5.0 * SIZE + slant * np.array([np.cos(azimuth), -np.sin(azimuth)])
        np.testing.assert_allclose(centre(thickness, 10 * factor), expected, atol=6)


def test_the_shadow_lies_opposite_to_the_sun():
    _, at, _ = scene()
    layer = disc(2000.0)
    below = np.full((SIZE // 6, SIZE // 6), 500.0, np.float32)
    sight = Sight(layer, Rays.of_sun(at.sza, at.saa, NODE_STEP), below)
    thickness, _ = sight.rows(2, slice(0, SIZE // 2))
    away = 1500.0 * np.tan(np.radians(50.0))
    azimuth = np.radians(at.saa.mean())
    expected = 5.0 * SIZE + away * np.array([np.cos(azimuth), -np.sin(azimuth)])
    np.testing.assert_allclose(centre(thickness, 20), expected, atol=6)


@pytest.mark.parametrize("factor", [1, 2, 6])
def test_strips_do_not_show(factor):
    grid, at, viewing = scene()
    sky = clouds(relief(grid, recipe("cloudy"), 3), recipe("cloudy"), 3)
    rows = SIZE // factor
    odd = np.random.default_rng(1).random((rows, rows)) > 0.5
    for layer in (*sky.layers, sky.cirrus):
        assert layer is not None
        sight = Sight(layer, Rays.of_view(viewing, "b8a", at.y, at.x, NODE_STEP), sky.ground)
        whole = sight.rows(factor, slice(0, rows), odd)
        step = rows // 4
        parts = [sight.rows(factor, slice(a, a + step), odd[a : a + step])
                 for a in range(0, rows, step)]  # fmt: skip
        for which in range(2):
            joined = np.concatenate([part[which] for part in parts])
            np.testing.assert_array_equal(joined, whole[which])


def test_cells_left_out_hold_no_cloud():
    grid, at, viewing = scene()
    sky = clouds(relief(grid, recipe("cloudy"), 5), recipe("cloudy"), 5)
    layer = sky.layers[0]
    everywhere = Layer(layer.amount, layer.height, layer.detail, layer.roughness,
                       np.ones_like(layer.there), layer.softness, layer.thickness,
                       layer.ice)  # fmt: skip
    assert not layer.there.all()
    assert np.abs(layer.detail).max() <= DETAIL_LIMIT
    odd = np.zeros((SIZE, SIZE), np.bool_)
    for rays in (
        Rays.of_view(viewing, "b09", at.y, at.x, NODE_STEP),
        Rays.of_sun(at.sza, at.saa, NODE_STEP),
    ):
        found, expected = (
            Sight(which, rays, sky.ground).rows(1, slice(0, SIZE), odd)[0]
            for which in (layer, everywhere)
        )
        np.testing.assert_array_equal(found, expected)


def test_layers_have_their_shares_and_heights():
    grid, _, _ = scene()
    ground = relief(grid, recipe("cloudy"), 7, elevation=300.0)
    sky = clouds(ground, recipe("cloudy"), 7)
    mean = float(ground.inner.mean())
    for layer, plan in zip(sky.layers, recipe("cloudy").layers, strict=True):
        low, high = plan.heights
        assert low <= layer.height.min() - mean + 0.5
        assert layer.height.max() - mean <= high + 0.5
        assert np.ptp(layer.height) > 200
        assert (layer.amount > 0).mean() == pytest.approx(plan.share, abs=0.04)
    assert sky.cirrus is not None
    assert sky.cirrus.height.min() - mean + 0.5 >= 8000


def test_clouds_shine_by_drops_or_ice():
    gas = Gas("S2A", 2.2, 18.0, 320.0, 0.0)
    thick, one = np.full((2, 2), 40.0, np.float32), np.zeros((2, 2), np.float32)
    ground = np.full((2, 2), 0.1, np.float32)
    drops = disc(1500.0)
    ice = Layer(drops.amount, drops.height + 8000, drops.detail, 0.0, drops.there, 1.0, 1.0, 1.0)
    seen = {b: float(above_cloud(ground, thick, one, drops, b, gas)[0, 0])
            for b in ("b02", "b10", "b11", "b12")}  # fmt: skip
    assert 0.7 < seen["b02"] < 0.95
    assert 0.4 < seen["b11"] < 0.65
    assert seen["b12"] < seen["b11"]
    # Under the water vapour of the low troposphere little is left in B10; cirrus is above it.
    assert seen["b10"] < 0.1
    thin = np.full((2, 2), 0.3, np.float32)
    dark = np.full((2, 2), 0.0005, np.float32)
    assert 0.02 < float(above_cirrus(dark, thin, ice, "b10", gas)[0, 0]) < 0.05
    faint = float(above_cirrus(ground, thin, ice, "b02", gas)[0, 0]) - 0.1
    assert 0.01 < faint < 0.05
    assert float(above_cloud(ground, thick, one, ice, "b11", gas)[0, 0]) < seen["b11"]
    # No cloud changes nothing.
    np.testing.assert_array_equal(above_cloud(ground, one, one, drops, "b02", gas), ground)
    assert reflecting(one).max() == beam_taken(one, 0.7).max() == 0
    assert beam_taken(thick, 0.7).min() > 0.99

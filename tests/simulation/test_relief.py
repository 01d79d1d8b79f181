"""Relief: a smooth surface, lit as geometry says, the same in strips of any size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from s2cloud.model.grid import Grid
from s2cloud.simulation.recipes import recipe
from s2cloud.simulation.relief import Relief, relief
from s2cloud.simulation.skyline import horizon, sky_view

GRID = Grid("EPSG:32632", 600000, 5000040, 10, 360, 360)
SUN = (np.full((8, 8), 60.0), np.full((8, 8), 150.0))


def made(height, margin=20):
    """Relief of a given lattice."""
    lattice = GRID.scaled(6).window(-margin, -margin, *height.shape)
    elevation = height.astype(np.float32)
    spline = ndimage.spline_filter(elevation, 3, output=np.float32, mode="mirror")
    size = height.shape[0] - 2 * margin
    return Relief(lattice, margin, elevation, spline, np.zeros((size, size), np.float32))


def inclined(east, north, size=100):
    y, x = np.mgrid[0:size, 0:size] * 60.0
    return 500.0 + east * x - north * y


@pytest.mark.parametrize("factor", [1, 2, 6])
def test_an_inclined_plane_is_lit_as_geometry_says(factor):
    east, north = 0.2, -0.1
    sza, saa = SUN
    terrain = made(inclined(east, north)).lit(sza, saa, 600.0)
    found = terrain.rows(factor, slice(60 // factor, 240 // factor))
    normal = np.array([-east, -north, 1.0]) / np.sqrt(1 + east**2 + north**2)
    z, a = np.radians(60.0), np.radians(150.0)
    sun = np.array([np.sin(z) * np.sin(a), np.sin(z) * np.cos(a), np.cos(z)])
    part = np.s_[:, 60 // factor : 240 // factor]  # the plane's end is no plane
    np.testing.assert_allclose(found.illumination[part], normal @ sun / np.cos(z), rtol=1e-3)
    # An inclined plane sees (1 + cos slope) / 2 of the sky.
    np.testing.assert_allclose(found.sky_view[part], (1 + normal[2]) / 2, atol=0.005)
    assert not found.shaded[part].any()
    assert all(
        getattr(found, name).dtype == np.float32
        for name in ("elevation", "illumination", "sky_view", "shaded")
    )
    # Elevation at the pixels' centres, between the lattice's cells.
    centre = 10 * factor * (0.5 + np.arange(180 // factor)) + 600.0
    x = 10 * factor * (0.5 + np.arange(360 // factor))
    expected = 500 + east * (x[None] + 1170) - north * (centre[:, None] + 1170)
    np.testing.assert_allclose(found.elevation[part], expected[part], atol=0.5)


def test_a_wall_throws_its_shadow_away_from_the_sun():
    height = np.full((100, 100), 100.0)
    height[:, 60] = 400.0  # a wall 300 m high
    flat = made(height)
    sza, saa = np.full((8, 8), 45.0), np.full((8, 8), 90.0)
    terrain = flat.lit(sza, saa, 600.0).rows(6, slice(0, 60))
    row = terrain.shaded[30]
    wall = 60 - flat.margin
    # The sun stands in the east, at 45 degrees: 300 m, five cells, in shadow to the west.
    assert (row[wall - 4 : wall - 1] == 1).all()
    assert not row[: wall - 7].any()
    assert not row[wall + 2 :].any()
    # Beyond the image the same wall still shades it.
    height = np.full((100, 100), 100.0)
    height[:, 82] = 1300.0
    row = made(height).lit(sza, saa, 600.0).rows(6, slice(0, 60)).shaded[30]
    assert row[50:59].min() == 1
    assert not row[:40].any()


def test_the_floor_of_a_pit_sees_little_sky():
    y, x = np.mgrid[-50:51, -50:51] * 60.0
    pit = np.minimum(np.hypot(y, x) ** 2 / 1200.0, 900.0).astype(np.float32)
    found = sky_view(pit, 60.0, 30, 41)
    rise = pit[50, 67] / (17 * 60.0)  # about where the rim stands, 1020 m away
    assert found[20, 20] == pytest.approx(1 / (1 + rise**2), abs=0.05)
    assert found[20, 20] == found.min()
    np.testing.assert_allclose(sky_view(np.zeros((101, 101), np.float32), 60.0, 30, 41), 1)


def test_horizon_looks_towards_the_sun():
    ground = np.zeros((101, 101), np.float32)
    ground[20, 50] = 600.0  # a peak 30 cells north of the middle
    north = horizon(ground, 60.0, 40, 21, 0.0, 0.01)
    assert north[10, 10] == pytest.approx(600 / 1800, rel=0.1)
    assert horizon(ground, 60.0, 40, 21, 180.0, 0.01).max() == 0


@pytest.mark.parametrize("kind", ["mixed", "mountain"])
def test_strips_do_not_show(kind):
    terrain = relief(GRID, recipe(kind), 4).lit(*SUN, 600.0)
    for factor in (1, 2, 6):
        rows = 360 // factor
        whole = terrain.rows(factor, slice(0, rows))
        parts = [terrain.rows(factor, slice(a, a + rows // 3)) for a in range(0, rows, rows // 3)]
        for name in ("elevation", "illumination", "sky_view", "shaded"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, name))


def test_kinds_of_relief():
    grid = replace(GRID, height=1098, width=1098)
    gentle, steep, plane = (relief(grid, recipe(k), 1, elevation=50) for k in
                            ("mixed", "mountain", "patches"))  # fmt: skip
    low, high = gentle.bounds
    assert 40 < low < 55
    assert 20 < high - low < 160
    slopes = gentle.slope_aspect(slice(0, 183))[0]
    assert np.quantile(slopes, 0.95) < 3
    low, high = steep.bounds
    assert 330 < low < 360
    assert high - low > 700
    slopes = steep.slope_aspect(slice(0, 183))[0]
    assert 35 < np.quantile(slopes, 0.99) < 60
    assert plane.flat
    assert not gentle.flat
    # The margin holds 12 km of terrain, and repeats the image.
    assert steep.margin == 200
    assert steep.grid.ulx == grid.ulx - 12000
    np.testing.assert_array_equal(
        steep.elevation[200:383, 17:200], steep.elevation[200:383, 200:383]
    )


def test_lakes_and_the_sea_are_level():
    for kind, share in (("coast", 0.5), ("mixed", 0.07)):
        inner = relief(replace(GRID, height=720, width=720), recipe(kind), 2).inner
        assert (inner == inner.min()).mean() == pytest.approx(share, abs=0.03)

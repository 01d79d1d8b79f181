"""Slope, illumination, cast shadow and sky view on terrain with known answers."""

import numpy as np
import pytest

from s2cloud.algorithms.terrain import cast_shadow, cos_incidence, sky_view, slope_aspect
from s2cloud.model.errors import UsageError

PIXEL = 60.0


def hills(size, seed=0):
    """Smooth hills of some hundred metres."""
    y, x = np.mgrid[:size, :size]
    waves = np.random.default_rng(seed).uniform([4, 4, 0], [12, 12, 6], (6, 3))
    heights = [np.sin(x / a + c) * np.cos(y / b - c) for a, b, c in waves]
    return (200 * np.sum(heights, axis=0) + 1000).astype(np.float32)


def plane(size, slope, aspect):
    """Plane that faces a direction."""
    y, x = np.mgrid[:size, :size] * PIXEL
    fall = np.sin(np.radians(aspect)) * x - np.cos(np.radians(aspect)) * y
    return (-np.tan(np.radians(slope)) * fall).astype(np.float32)


@pytest.mark.parametrize("aspect", [0.0, 45.0, 200.0, 315.0])
@pytest.mark.parametrize("slope", [5.0, 40.0])
def test_a_plane_has_its_slope_and_aspect_up_to_the_rim(slope, aspect):
    found, facing = slope_aspect(plane(9, slope, aspect), PIXEL)
    np.testing.assert_allclose(found, slope, atol=1e-3)
    np.testing.assert_allclose((facing - aspect + 180) % 360 - 180, 0, atol=1e-2)


def test_level_ground_faces_nowhere_and_unknown_ground_stays_unknown():
    ground = np.full((5, 5), 300, np.float32)
    ground[2, 2] = np.nan
    slope, aspect = slope_aspect(ground, PIXEL)
    assert np.isnan(slope).sum() == 1
    assert np.nanmax(slope) == np.nanmax(aspect) == 0


def test_incidence_of_slopes_towards_and_away_from_the_sun():
    slope = np.array([[0.0, 30.0, 30.0, 70.0]], np.float32)
    aspect = np.array([[0.0, 150.0, 330.0, 330.0]], np.float32)
    found = cos_incidence(slope, aspect, 50.0, 150.0)
    np.testing.assert_allclose(found, np.cos(np.radians([[50, 20, 80, 120]])), atol=1e-6)
    per_pixel = cos_incidence(slope, aspect, np.full((1, 4), 50.0), np.full((1, 4), 150.0))
    np.testing.assert_array_equal(found, per_pixel)
    assert found.dtype == per_pixel.dtype == np.float32


@pytest.mark.parametrize("saa", [0.0, 90.0, 180.0, 270.0])
@pytest.mark.parametrize("sza", [35.0, 60.0, 80.0])
def test_a_wall_casts_a_shadow_of_its_height_over_the_tangent(sza, saa):
    height = 300.0
    ground = np.zeros((101, 101), np.float32)
    ground[50, :] = height if saa in {0.0, 180.0} else 0
    if saa in {90.0, 270.0}:
        ground[:, 50] = height
    shade = cast_shadow(ground, PIXEL, sza, saa)
    line = shade[:, 7] if saa in {0.0, 180.0} else shade[7]
    behind = line[51:] if saa in {0.0, 270.0} else line[:50][::-1]
    length = height * np.tan(np.radians(sza)) / PIXEL
    assert behind.sum() == int(np.ceil(length)) - 1
    assert behind[: behind.sum()].all()
    assert line.sum() == behind.sum()


@pytest.mark.parametrize("saa", [30.0, 137.0, 251.0])
def test_a_tower_throws_its_shadow_away_from_the_sun_to_a_cell(saa):
    ground = np.zeros((161, 161), np.float32)
    ground[79:82, 79:82] = 500.0
    rows, columns = np.nonzero(cast_shadow(ground, PIXEL, 75.0, saa))
    distance = np.hypot(rows - 80, columns - 80)
    tip = distance.argmax()
    away = np.degrees(np.arctan2(80 - columns[tip], rows[tip] - 80)) % 360
    length = 500 * np.tan(np.radians(75)) / PIXEL
    assert abs(distance.max() - length) < 2.0  # the tower is three cells wide
    assert abs((away - saa + 180) % 360 - 180) < np.degrees(1.5 / length)


def test_a_slope_steeper_than_the_sun_shades_itself_and_no_other_does():
    assert cast_shadow(plane(20, 35, 330), PIXEL, 60.0, 150.0)[:-2, :-2].any()
    assert not cast_shadow(plane(20, 25, 330), PIXEL, 60.0, 150.0).any()
    assert not cast_shadow(plane(20, 60, 150), PIXEL, 60.0, 150.0).any()
    assert not cast_shadow(np.full((4, 4), np.nan, np.float32), PIXEL, 60.0, 150.0).any()


def test_the_sun_must_be_above_the_horizon():
    with pytest.raises(UsageError, match="not above the horizon"):
        cast_shadow(np.zeros((3, 3), np.float32), PIXEL, 90.0, 0.0)


def test_the_shadow_does_not_depend_on_how_the_terrain_is_cut():
    ground = hills(150)
    whole = cast_shadow(ground, PIXEL, 70.0, 140.0)
    assert 0.02 < whole.mean() < 0.9
    reach = int(np.ceil(np.ptp(ground) * np.tan(np.radians(70)) / PIXEL)) + 1
    cut = cast_shadow(ground[20 : 60 + reach, 30 : 70 + reach], PIXEL, 70.0, 140.0)
    np.testing.assert_array_equal(cut[:40, :40], whole[20:60, 30:70])


def test_sky_view_of_plain_slope_and_pit():
    assert (sky_view(np.zeros((9, 9), np.float32), PIXEL) == 1).all()
    slope = sky_view(plane(121, 30, 200), PIXEL)
    np.testing.assert_allclose(slope[60, 60], (1 + np.cos(np.radians(30))) / 2, atol=2e-3)
    # The middle of a round basin whose rim stands 45 degrees high sees sin^2(45) of the sky.
    y, x = np.mgrid[-30:31, -30:31]
    basin = np.where(np.hypot(y, x) >= 20, 20 * PIXEL, 0).astype(np.float32)
    view = sky_view(basin, PIXEL, directions=32)
    np.testing.assert_allclose(view[30, 30], 0.5, atol=0.02)


def test_sky_view_falls_in_valleys_and_does_not_depend_on_the_cut():
    ground = hills(140)
    whole = sky_view(ground, PIXEL, reach_m=1500.0)
    assert whole[ground < 800].mean() < whole[ground > 1200].mean()
    assert 0 < whole.min() < whole.max() <= 1
    part = sky_view(ground[20:110, 10:100], PIXEL, reach_m=1500.0)
    np.testing.assert_array_equal(part[26:-26, 26:-26], whole[46:84, 36:74])


def test_too_few_directions_are_refused():
    with pytest.raises(UsageError, match="too few directions"):
        sky_view(np.zeros((3, 3), np.float32), PIXEL, directions=3)

"""Tie-point angles to nodes."""

import numpy as np
import pytest

from s2cloud.algorithms.geometry import angles_at, sun_vector, tie_points

X = np.linspace(0.0, 20000.0, 5)
Y = X[::-1]


def grids(sza=40.0, saa=150.0, vza=6.0, vaa=105.0, detectors=2):
    sun = np.stack([np.full((5, 5), sza), np.full((5, 5), saa)])
    view = np.full((13, detectors, 2, 5, 5), np.nan)
    view[:, 0, 0], view[:, 0, 1] = vza, vaa
    return sun, view


def test_constant_angles_come_back():
    points = tie_points(X, Y, *grids())
    sza, vza, raa = angles_at(
        points, 3, np.array([100.0, 19000.0]), np.array([7.0, 900.0, 12345.0])
    )
    assert sza.shape == (3, 2)
    np.testing.assert_allclose(sza, 40.0)
    np.testing.assert_allclose(vza, 6.0)
    np.testing.assert_allclose(raa, 45.0)


def test_relative_azimuth_is_zero_on_the_sun_side_and_folds_at_north():
    same = tie_points(X, Y, *grids(saa=359.0, vaa=1.0))
    _, _, raa = angles_at(same, 0, X, Y)
    np.testing.assert_allclose(raa, 2.0, atol=1e-6)
    opposite = tie_points(X, Y, *grids(saa=10.0, vaa=190.0))
    np.testing.assert_allclose(angles_at(opposite, 0, X, Y)[2], 180.0, atol=1e-5)


def test_azimuths_around_north_interpolate_through_north():
    sun, view = grids()
    sun[1] = np.array([350.0, 355.0, 0.0, 5.0, 10.0])
    view[:, 0, 1] = 0.0
    points = tie_points(X, Y, sun, view)
    _, _, raa = angles_at(points, 0, np.array([7500.0]), Y)
    np.testing.assert_allclose(raa, 2.5, atol=0.01)


def test_gaps_outside_the_swath_take_the_nearest_tie_point():
    sun, view = grids()
    view[:, 0, :, :, 3:] = np.nan
    view[:, 0, 0, :, 2] = 9.0
    points = tie_points(X, Y, sun, view)
    _, vza, _ = angles_at(points, 0, X[3:], Y)
    np.testing.assert_allclose(vza, 9.0)


def test_overlapping_detectors_are_averaged_as_directions():
    sun, view = grids(vza=5.0, vaa=80.0)
    view[:, 1, 0], view[:, 1, 1] = 5.0, 100.0
    points = tie_points(X, Y, sun, view)
    _, vza, raa = angles_at(points, 0, X, Y)
    np.testing.assert_allclose(raa, 60.0)
    assert (vza < 5.0).all()
    assert (vza > 4.9).all()


def test_a_band_without_angles_borrows_those_of_the_others():
    sun, view = grids()
    view[9] = np.nan
    points = tie_points(X, Y, sun, view)
    np.testing.assert_allclose(angles_at(points, 9, X, Y)[1], 6.0)


@pytest.mark.parametrize("flip", [False, True])
def test_order_of_rows_does_not_matter(flip):
    sun, view = grids()
    sun[0] += np.arange(5)[:, None]
    y = Y[::-1] if flip else Y
    if flip:
        sun, view = sun[:, ::-1], view[..., ::-1, :]
    points = tie_points(X, y, sun, view)
    sza, _, _ = angles_at(points, 0, X, np.array([17500.0]))
    np.testing.assert_allclose(sza, 40.5, atol=0.01)


def overlapping():
    """Detectors 3 to 6, each on its strip; two directions that change linearly with place."""
    sun, _ = grids()
    view = np.full((13, 4, 2, 5, 5), np.nan)
    columns = ((0, 1), (1, 2), (2, 3), (4, 4))
    for detector, (first, last) in enumerate(columns):
        odd = detector % 2 == 0
        east = 0.02 + 4e-6 * X[first : last + 1]
        north = 0.03 if odd else -0.03
        view[:, detector, 0, :, first : last + 1] = np.degrees(np.arctan(np.hypot(east, north)))
        view[:, detector, 1, :, first : last + 1] = np.degrees(np.arctan2(east, north)) % 360
    return sun, view


def test_odd_and_even_detectors_keep_their_directions_beyond_their_strips():
    sun, view = overlapping()
    points = tie_points(X, Y, sun, view, np.array([3, 4, 5, 6]))
    for parity, north in ((1, 0.03), (0, -0.03)):
        _, vza, _ = angles_at(points, 4, X, Y, parity)
        wanted = np.degrees(np.arctan(np.hypot(0.02 + 4e-6 * X, north)))
        np.testing.assert_allclose(vza, np.broadcast_to(wanted, (5, 5)), atol=1e-6)
    _, mean, _ = angles_at(points, 4, X, Y)
    assert (mean[:, 1] < vza[:, 1] - 0.5).all()


def test_one_detector_has_no_parity():
    points = tie_points(X, Y, *grids(detectors=1))
    assert points.parity is None
    _, odd, _ = angles_at(points, 0, X, Y, 1)
    np.testing.assert_allclose(odd, 6.0)


def test_sun_vector_points_to_the_sun():
    points = tie_points(X, Y, *grids(sza=45.0, saa=90.0))
    east, north = sun_vector(points, X, Y)
    np.testing.assert_allclose(east, 1.0)
    np.testing.assert_allclose(north, 0.0, atol=1e-12)

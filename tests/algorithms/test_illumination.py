"""Light on slopes."""

import numpy as np
import pytest

from s2cloud.algorithms import illumination, surface

SUN = np.tan(np.radians(50.0)) * np.array([np.sin(np.radians(150.0)), np.cos(np.radians(150.0))])
NO_LIMIT = (0.1, 0.0, 1.0, 0.0, 3.0)


def planes(*, around=0.2, change=0.0, variants=1):
    level = [1.3, 0.1, 0.05, 0.12, 0.25, around]
    terms = np.array([*level, *(change * np.array(level[:5]))], np.float32)
    return np.broadcast_to(terms[None, :, None, None], (variants, 11, 4, 4)).copy()


def fields(tilt=1.0, sky=1.0, sunlit=1.0, elevation=0.0, shape=(6, 6)):
    values = np.array([elevation, tilt, sky, sunlit], np.float32)
    return np.broadcast_to(values[:, None, None], (4, *shape)).copy()


def corrected(toa, made=None, place=None, limits=NO_LIMIT, **kw):
    toa = np.full((6, 6), toa, np.float32)
    options = {"step": 6, "scale": 1, "halo": 0, "ratio": 2.0, "origin": (0, 0)} | kw
    return illumination.correct(
        toa,
        planes() if made is None else made,
        options.get("detectors", np.zeros((1, 1), np.uint8)),
        options["step"],
        fields() if place is None else place,
        *(options[name] for name in ("scale", "halo", "ratio", "origin")),
        limits,
    )


def test_level_ground_under_an_open_sky_is_corrected_as_without_slopes():
    y = 0.3 * 1.3 - 0.1
    np.testing.assert_allclose(corrected(0.3), y / (1 + 0.05 * y), rtol=1e-6)


@pytest.mark.parametrize(("slope", "aspect"), [(0.0, 0.0), (20.0, 150.0), (35.0, 330.0)])
def test_tilt_is_the_ratio_of_cosines(slope, aspect):
    sza, saa = np.radians(50.0), np.radians(150.0)
    s, a = np.radians(slope), np.radians(aspect)
    cosine = np.cos(sza) * np.cos(s) + np.sin(sza) * np.sin(s) * np.cos(saa - a)
    one = np.ones((1, 1), np.float32)
    found = illumination.tilt(one * np.float32(slope), one * np.float32(aspect), SUN[:, None, None])
    np.testing.assert_allclose(found, cosine / np.cos(sza), rtol=1e-5)


def test_shadow_is_brightened_by_what_the_sky_gives():
    shaded = corrected(0.2, place=fields(tilt=0.8, sky=0.9, sunlit=0.0))
    y = 0.2 * 1.3 - 0.1
    level = y / (1 + 0.05 * y)
    np.testing.assert_allclose(shaded, level / ((0.25 - 0.4 * 0.12) * 0.9 + 0.1 * 0.2), rtol=1e-5)


def test_factor_is_what_the_kernel_divides_by():
    place = fields(tilt=0.7, sky=0.85, sunlit=0.6)
    terms = planes()[0, 3:6, :1, :1] * np.ones((3, 6, 6), np.float32)
    light = illumination.factor(terms, place, 0.1)
    np.testing.assert_allclose(corrected(0.2) / corrected(0.2, place=place), light, rtol=1e-5)


def test_terms_follow_the_elevation():
    made = planes(change=1e-4)
    high = corrected(0.3, made, fields(elevation=1000.0))
    y = 0.3 * 1.3 * 1.1 - 0.1 * 1.1
    np.testing.assert_allclose(high, y / (1 + 0.05 * 1.1 * y), rtol=1e-5)


def test_limit_holds_back_below_its_angle_only():
    limits = (0.1, 0.6, 0.22, 0.75, 3.0)
    for tilt, share in ((0.8, 1.0), (0.3, 0.5**0.75), (0.02, 0.22**0.75)):
        place = fields(tilt=tilt)
        held, free = (corrected(0.2, place=place, limits=x) for x in (limits, NO_LIMIT))
        np.testing.assert_allclose(held / free, share, rtol=1e-5)


def test_nothing_is_brightened_beyond_the_cap():
    dim = fields(tilt=0.3, sky=0.5)
    assert corrected(0.9, place=dim).max() > 1.5
    np.testing.assert_allclose(corrected(0.9, place=dim, limits=(*NO_LIMIT[:4], 1.5)), 1.5)


def test_each_detector_has_its_own_terms():
    made = planes(variants=2)
    made[1, 0] *= 1.1
    numbers = np.array([[4, 5]], np.uint8)
    found = corrected(0.3, made, detectors=numbers, step=3)
    even, odd = corrected(0.3, made[:1].copy()), corrected(0.3, made[1:].copy())
    np.testing.assert_array_equal(found[:3, :3], even[:3, :3])
    np.testing.assert_array_equal(found[:3, 3:], odd[:3, 3:])


def test_fields_of_wider_pixels_are_interpolated():
    place = fields(shape=(5, 5))
    place[1] = np.linspace(0.5, 1.5, 5)
    found = corrected(0.2, place=place, scale=2, halo=1)
    # Fine pixel j lies at (j + 0.5) / 2 - 0.5 wide pixels, of which one is the rim.
    tilt = 0.5 + 0.25 * ((np.arange(6) + 0.5) / 2 - 0.5 + 1)
    terms = planes()[0, 3:6, :1, :1] * np.ones((3, 1, 6), np.float32)
    row = np.stack([np.zeros(6), tilt, np.ones(6), np.ones(6)]).astype(np.float32)[:, None]
    light = illumination.factor(terms, row, 0.1)
    np.testing.assert_allclose(found[2:3], corrected(0.2)[2:3] / light, rtol=1e-5)


def test_limit_angle_stays_beyond_that_of_the_sun():
    assert illumination.limit_angle(40.0, 80.0) == 80.0
    assert illumination.limit_angle(78.0, 80.0) == 83.0


def test_limit_angles_are_the_graded_ones():
    found = [illumination.limit_angle(s) for s in (30, 40, 47, 55, 62, 75)]
    assert found == [55, 60, 62, 65, 70, 80]


def test_smoothing_does_not_depend_on_the_cut():
    values = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    whole = illumination.smoothed(values, 2)
    assert whole.shape == (26, 36)
    np.testing.assert_allclose(whole[3, 5], values[3:8, 5:10].mean(), rtol=1e-6)
    np.testing.assert_array_equal(illumination.smoothed(values[4:20, 6:30], 2), whole[4:16, 6:26])


def test_level_terms_agree_with_the_kernel_for_flat_ground():
    toa = np.full((6, 6), 0.3, np.float32)
    both = np.repeat(planes()[:, :3], 2, axis=0)
    numbers = np.zeros((1, 1), np.uint8)
    flat = surface.correct_by_detector(toa, both, numbers, 6, 2.0, (0, 0))
    np.testing.assert_allclose(flat, corrected(0.3), rtol=1e-6)


def test_no_data_stays_no_data():
    assert np.isnan(corrected(np.nan, limits=(0.1, 0.6, 0.22, 0.75, 1.5))).all()
    assert np.isnan(corrected(np.nan, place=fields(tilt=0.2))).all()

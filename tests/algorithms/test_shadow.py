"""Shadows of clouds: where geometry puts them, and what darkness tells."""

import numpy as np
import pytest

from s2cloud.algorithms.classification.shadow import (
    CELL,
    clear_reference,
    geometric_shadow,
    radiometric_shadow,
    reference_at,
    relative_shadow,
    shadow_threshold,
)
from s2cloud.model.errors import UsageError

PIXEL = 60.0
#: B02, B03, B04, B8A, B11, B12 at the top of the atmosphere.
FIELD = (0.10, 0.10, 0.09, 0.35, 0.22, 0.12)
FOREST = (0.09, 0.07, 0.045, 0.26, 0.11, 0.05)
LAKE = (0.10, 0.08, 0.05, 0.03, 0.011, 0.007)
IN_SHADOW = (0.09, 0.07, 0.05, 0.12, 0.06, 0.03)


def cloud_at(row, column, size=301, radius=3):
    y, x = np.mgrid[:size, :size]
    return np.hypot(y - row, x - column) <= radius


def centre(image):
    """Weighted mean place. [pixel]."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(image * y).sum(), (image * x).sum()]) / image.sum()


def image(*patches, size=60):
    """Bands of fields with patches of other surfaces: (rows, columns, spectrum)."""
    bands = np.empty((6, size, size), np.float32)
    bands[:] = np.array(FIELD, np.float32)[:, None, None]
    for rows, columns, spectrum in patches:
        bands[:, rows, columns] = np.array(spectrum, np.float32)[:, None, None]
    return bands


def reference(bands, sunlit):
    b8a, b11, b12 = bands[3:]
    return clear_reference(b8a, b11, b12, sunlit)


def relative(bands, around):
    _, b03, b04, b8a, b11, b12 = bands
    return relative_shadow(b03, b04, b8a, b11, b12, around)


def threshold_of(bands, clear, cloud):
    b02, b03, b04, b8a, b11, b12 = bands
    return shadow_threshold(b02, b03, b04, b8a, b11, b12, clear, cloud)


@pytest.mark.parametrize("sza", [20.0, 55.0, 80.0])
@pytest.mark.parametrize("saa", [0.0, 33.3, 150.0, 261.7])
def test_a_shadow_lies_away_from_the_sun_by_height_times_tangent(sza, saa):
    height = 8_000.0 / (1 + np.tan(np.radians(sza)))
    found = geometric_shadow(cloud_at(150, 150), (height, 1.0), PIXEL, sza, saa, 0.0, 0.0)
    length = height * np.tan(np.radians(sza)) / PIXEL
    away = np.radians(saa + 180)
    expected = 150 + length * np.array([-np.cos(away), np.sin(away)])
    np.testing.assert_allclose(centre(found), expected, atol=0.6)
    assert 0.8 < found.max() <= 1.0


def test_the_view_displaces_the_cloud_not_the_shadow():
    # Seen 10 degrees from the east, a cloud at 5 km appears 882 m west of where it stands.
    height, view = 5_000.0, 10.0
    apparent = cloud_at(150, 150)
    found = geometric_shadow(apparent, (height, 1.0), PIXEL, 40.0, 180.0, view, 90.0)
    east = height * np.tan(np.radians(view)) / PIXEL
    north = height * np.tan(np.radians(40.0)) / PIXEL
    np.testing.assert_allclose(centre(found), [150 - north, 150 + east], atol=0.6)


def test_angles_and_heights_may_differ_from_pixel_to_pixel():
    cloud = cloud_at(150, 80) | cloud_at(150, 220)
    west = np.broadcast_to(np.arange(301) < 150, cloud.shape)
    height = np.where(west, 2_000.0, 4_000.0).astype(np.float32)
    vza = np.where(west, 0.0, 8.0)
    found = geometric_shadow(
        cloud, height, PIXEL, 45.0, 180.0, vza, np.full(cloud.shape, 270.0), height_std=10.0
    )
    np.testing.assert_allclose(centre(found[:, :140]), [150 - 2000 / 60, 80], atol=0.6)
    right = 220 - 4000 * np.tan(np.radians(8.0)) / 60
    np.testing.assert_allclose(
        centre(np.where(west[:1] & (np.arange(301) < 140), 0, found)),
        [150 - 4000 / 60, right],
        atol=0.6,
    )


def test_without_heights_the_prior_decides():
    one = geometric_shadow(cloud_at(250, 150), None, PIXEL, 45.0, 180.0, 0.0, 0.0)
    unknown = np.full(one.shape, np.nan, np.float32)
    other = geometric_shadow(cloud_at(250, 150), unknown, PIXEL, 45.0, 180.0, 0.0, 0.0)
    np.testing.assert_array_equal(one, other)
    column = one[:, 150]
    reach = {h: column[250 - round(h / PIXEL)] for h in (200, 600, 1500, 3000, 4230, 5800)}
    assert reach[1500] > 0.95
    assert reach[3000] > 0.95
    assert 0.4 < reach[4230] < 0.7
    assert reach[5800] < 0.1
    assert one[260:].max() == 0  # towards the sun


def test_higher_ground_shortens_the_way_of_the_shadow():
    args = (cloud_at(150, 150), (3_000.0, 1.0), PIXEL, 45.0, 180.0, 0.0, 0.0)
    low, high = (geometric_shadow(*args, surface_elevation=e) for e in (0.0, 900.0))
    np.testing.assert_allclose(centre(high) - centre(low), [15, 0], atol=0.6)


def test_a_cloud_does_not_shade_itself_and_the_sun_must_be_up():
    cloud = cloud_at(150, 150, radius=80)
    found = geometric_shadow(cloud, (500.0, 1.0), PIXEL, 30.0, 150.0, 0.0, 0.0)
    assert found[150, 150] == 0
    with pytest.raises(UsageError, match="not above the horizon"):
        geometric_shadow(cloud, None, PIXEL, 90.0, 0.0, 0.0, 0.0)


def test_the_reference_spectrum_is_shadow_and_water_is_not():
    spectrum = (0.12, 0.08, 0.06, 0.10, 0.0545, 0.0255)
    bands = image((slice(20), slice(None), spectrum), (slice(40, None), slice(None), LAKE))
    found = radiometric_shadow(*bands)
    np.testing.assert_allclose(found[:19], 1.0, atol=1e-6)
    assert (found[22:39] == 0).all()
    assert (found[41:] == 0).all()
    darker = radiometric_shadow(*image((slice(20), slice(None), np.multiply(spectrum, 0.5))))
    assert (darker[:19] == 1).all()


def test_similarity_is_cut_at_the_threshold():
    near = np.add((0.12, 0.08, 0.06, 0.10, 0.0545, 0.0255), 0.03)
    bands = image((slice(20), slice(None), near))
    assert (radiometric_shadow(*bands) == 0).all()
    np.testing.assert_allclose(radiometric_shadow(*bands, threshold=0.95)[:19], 0.97, atol=1e-5)


def test_the_threshold_of_a_scene_keeps_clear_land_out():
    rng = np.random.default_rng(0)
    bands = image(size=100) + rng.normal(0, 0.01, (6, 100, 100)).astype(np.float32)
    cloud = cloud_at(50, 50, size=100, radius=12)
    threshold = threshold_of(bands, ~cloud, cloud)
    assert 0.9 < threshold < 0.95
    assert radiometric_shadow(*bands, threshold=threshold)[~cloud].mean() < 0.1
    assert threshold_of(bands, np.zeros_like(cloud), cloud) == pytest.approx(0.982)


def test_shadow_is_darker_than_land_around_and_forest_and_lake_are_not_shadow():
    bands = image(
        (slice(0, 250), slice(0, 200), FOREST),
        (slice(300, 320), slice(20, 60), IN_SHADOW),
        (slice(60, 80), slice(60, 80), np.multiply(IN_SHADOW, 0.75)),
        (slice(300, 340), slice(220, 260), LAKE),
        size=400,
    )
    sunlit = np.ones((400, 400), bool)
    sunlit[290:350, 10:270] = sunlit[50:90, 50:90] = False
    around = reference_at(reference(bands, sunlit), CELL, (0, 0), (400, 400))
    found = relative(bands, around)
    assert found[302:318, 22:58].min() > 0.9
    assert found[62:78, 62:78].min() > 0.9
    assert found[302:338, 222:258].max() == 0
    assert max(found[:58, :100].max(), found[85:150, :100].max()) < 0.01
    assert found[350:].max() == 0


def test_dark_land_is_not_shadow_where_all_land_is_dark():
    dark = np.multiply(FIELD, 0.4)
    bands = image((slice(None), slice(None), dark), size=100)
    around = reference_at(reference(bands, np.ones((100, 100), bool)), CELL, (0, 0), (100, 100))
    assert relative(bands, around).max() < 1e-5


def test_the_reference_reaches_where_nothing_is_clear_and_does_not_depend_on_the_window():
    bands = image(size=230)
    sunlit = np.zeros((230, 230), bool)
    sunlit[:60, :60] = True
    cells = reference(bands, sunlit)
    assert cells.shape == (3, -(-230 // CELL), -(-230 // CELL))
    np.testing.assert_allclose(
        cells, np.broadcast_to(np.array(FIELD[3:])[:, None, None], cells.shape), rtol=1e-5
    )
    assert np.isnan(reference(bands, np.zeros_like(sunlit))).all()
    cells = np.random.default_rng(0).random(cells.shape).astype(np.float32)
    whole = reference_at(cells, CELL, (0, 0), (230, 230))
    part = reference_at(cells, CELL, (70, 110), (40, 50))
    np.testing.assert_array_equal(part, whole[:, 70:110, 110:160])


def test_no_data_is_no_shadow():
    bands = image((slice(20), slice(None), IN_SHADOW))
    bands[:, 10:15, 10:15] = np.nan
    around = np.array(FIELD[3:], np.float32)[:, None, None]
    for found in (relative(bands, around), radiometric_shadow(*bands)):
        assert (found[9:16, 9:16] == 0).all()
        assert np.isfinite(found).all()
    assert (relative(bands, np.full_like(around, np.nan)) == 0).all()

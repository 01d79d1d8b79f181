"""Windows: the ring around snow, defective pixels, percentages, independence of the window."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from s2cloud.algorithms.classification import (
    HALO,
    UNDECIDED,
    class_counts,
    classify_block,
    classify_pixels,
    cloud_cover_statistics,
    percentages,
)
from s2cloud.model.errors import UsageError
from s2cloud.model.schema import SCL

# B01 ... B12 of fresh snow and of a white cloud that no rule rejects.
SNOW = np.array(
    [0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.65, 0.4, 0.002, 0.25, 0.2], dtype=np.float32
)
CLOUD = np.array(
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4, 0.002, 0.4, 0.2], dtype=np.float32
)


def uniform(spectrum, shape):
    return np.ascontiguousarray(np.broadcast_to(spectrum[:, None, None], (13, *shape)))


def scene(height=101, width=333, seed=5):
    """A patchy scene with snow, cloud, water, no-data and everything between."""
    rng = np.random.default_rng(seed)
    toa = np.empty((13, height, width), np.float32)
    base = ndimage.gaussian_filter(rng.normal(size=(height, width)), 4)
    base = np.clip(0.25 + 2.2 * base, 0.005, 1.2)
    for band in range(13):
        tint = ndimage.gaussian_filter(rng.normal(size=(height, width)), 6)
        toa[band] = base * np.exp(8 * tint) + rng.normal(scale=0.003, size=(height, width))
    toa[10] = np.abs(toa[10]) * 0.04
    toa[11:] *= 0.5
    toa[4, rng.random((height, width)) < 0.01] = np.nan
    return toa


@pytest.fixture(scope="module")
def patches():
    toa = scene()
    defective = np.random.default_rng(6).random(toa.shape[1:]) < 0.01
    altitude = np.linspace(0, 2500, toa[0].size, dtype=np.float32).reshape(toa.shape[1:])
    return toa, altitude, defective


def test_scene_has_every_class(patches):
    toa, altitude, defective = patches
    counts = class_counts(classify_block(toa, altitude=altitude, defective=defective)[0])
    assert (np.delete(counts, SCL.CLOUD_SHADOW) > 0).all()


@pytest.mark.parametrize("swir", [0.2, 0.249, 0.25, 0.3])
def test_ring_is_a_diamond_of_radius_three_where_the_infrared_is_dark(swir):
    toa = uniform(CLOUD, (11, 13))
    toa[12] = swir
    toa[:, 5, 6] = SNOW
    scl, cloud, snow = classify_block(toa)
    y, x = np.indices(scl.shape)
    distance = abs(y - 5) + abs(x - 6)
    ring = (distance <= HALO) & (distance > 0) & (swir < 0.25)
    assert scl[5, 6] == SCL.SNOW_ICE
    assert cloud[5, 6] == 0
    assert snow[5, 6] > 12
    np.testing.assert_array_equal(cloud[distance > 0], np.where(ring, 0, 100)[distance > 0])
    np.testing.assert_array_equal(scl == SCL.CLOUD_HIGH_PROBABILITY, ~ring & (distance > 0))
    np.testing.assert_array_equal(scl == SCL.NOT_VEGETATED, ring)


def test_ring_needs_possible_snow_and_sound_pixels():
    toa = uniform(CLOUD, (9, 9))
    toa[:, 4, 4] = SNOW
    assert (classify_block(toa, snow_possible=False)[1] == 100).all()
    defective = np.zeros((9, 9), bool)
    defective[4, 4] = True
    scl, cloud, snow = classify_block(toa, defective=defective)
    assert scl[4, 4] == SCL.SATURATED_OR_DEFECTIVE
    assert (cloud[4, 4], snow[4, 4]) == (0, 0)
    assert (np.delete(cloud.ravel(), 40) == 100).all()
    toa[0, 4, 4] = np.nan  # a band the snow filters do not read
    scl, cloud, snow = classify_block(toa)
    assert (scl[4, 4], cloud[4, 4], snow[4, 4]) == (0, 0, 0)
    assert (np.delete(cloud.ravel(), 40) == 100).all()


def test_without_snow_a_window_is_its_pixels(patches):
    toa, altitude, _ = patches
    for variant in ("evolution", "classic"):
        options = {"altitude": altitude, "variant": variant, "snow_possible": False}
        scl, cloud, snow = classify_block(toa, **options)
        alone = classify_pixels(np.moveaxis(toa, 0, -1), **options)
        np.testing.assert_array_equal(scl, alone[0])
        np.testing.assert_array_equal(cloud, (alone[1] * np.float32(100) + np.float32(0.5)) // 1)
        np.testing.assert_array_equal(snow, (alone[2] * np.float32(100) + np.float32(0.5)) // 1)
        assert [a.dtype for a in (scl, cloud, snow)] == [np.uint8] * 3


def test_with_snow_a_window_differs_from_its_pixels_on_the_ring_only(patches):
    toa, altitude, _ = patches
    scl, _, _ = classify_block(toa, altitude=altitude)
    alone = classify_pixels(np.moveaxis(toa, 0, -1), altitude=altitude)[0]
    seeds = classify_pixels(np.moveaxis(toa, 0, -1), altitude=5000.0, until="decision")[0] == 11
    cross = ndimage.generate_binary_structure(2, 1)
    ring = ndimage.binary_dilation(seeds, cross, iterations=3) & ~seeds
    differ = scl != alone
    assert differ.any()
    assert not (differ & ~ring).any()
    assert (toa[12][differ] < 0.25).all()


@pytest.mark.parametrize("step", [(101, 333), (40, 100), (17, 256), (101, 31), (7, 333)])
@pytest.mark.parametrize("variant", ["evolution", "classic"])
def test_results_do_not_depend_on_the_window(patches, step, variant):
    toa, altitude, defective = patches
    whole = classify_block(toa, altitude=altitude, defective=defective, variant=variant)
    height, width = toa.shape[1:]
    for top in range(0, height, step[0]):
        for left in range(0, width, step[1]):
            bottom, right = min(top + step[0], height), min(left + step[1], width)
            rows = slice(max(top - HALO, 0), min(bottom + HALO, height))
            columns = slice(max(left - HALO, 0), min(right + HALO, width))
            part = classify_block(
                toa[:, rows, columns],
                altitude=altitude[rows, columns],
                defective=defective[rows, columns],
                variant=variant,
            )
            inside = (
                slice(top - rows.start, bottom - rows.start),
                slice(left - columns.start, right - columns.start),
            )
            for a, b in zip(whole, part, strict=True):
                np.testing.assert_array_equal(a[top:bottom, left:right], b[inside])


def test_confidences_do_not_depend_on_the_position_to_the_last_bit():
    spectra = scene(1, 700)[:, 0].T
    whole = classify_pixels(spectra)
    for start in (1, 3, 250, 255, 257, 600):
        part = classify_pixels(spectra[start:])
        assert [a[start:].tobytes() for a in whole] == [b.tobytes() for b in part]


def test_zero_is_dark_and_nan_is_no_data():
    toa = uniform(CLOUD, (3, 4))
    toa[10] = 0.0  # a count of 1000 with the offset of baseline 04.00
    toa[10, 1, 1] = np.nan
    scl, cloud, snow = classify_block(toa)
    assert scl[1, 1] == SCL.NO_DATA
    assert (cloud[1, 1], snow[1, 1]) == (0, 0)
    assert (np.delete(scl.ravel(), 5) == SCL.CLOUD_HIGH_PROBABILITY).all()


def test_no_data_wins_over_defective():
    toa = uniform(CLOUD, (2, 2))
    toa[:, 0, 0] = np.nan
    scl, cloud, _ = classify_block(toa, defective=np.ones((2, 2), bool))
    assert scl.tolist() == [[0, 1], [1, 1]]
    assert not cloud.any()


def test_window_may_be_strided_read_only_or_empty(patches):
    toa, _, _ = patches
    expected = classify_block(toa[:, ::2, ::3])
    contiguous = np.ascontiguousarray(toa[:, ::2, ::3])
    contiguous.flags.writeable = False
    for a, b in zip(expected, classify_block(contiguous), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [a.shape for a in classify_block(toa[:, :0])] == [(0, toa.shape[2])] * 3


@pytest.mark.parametrize("altitude", [2000.0, np.full((1, 5), 2000.0), np.full((4, 1), 2000.0)])
def test_altitude_broadcasts(altitude):
    toa = uniform(CLOUD, (4, 5))
    toa[10] = 0.05
    toa[3] = 0.2
    assert (classify_block(toa)[1] == 65).all()
    assert (classify_block(toa, altitude=altitude)[1] == 54).all()


def test_undecided_pixels_are_kept_for_the_steps_that_follow(patches):
    toa, altitude, _ = patches
    early, cloud, _ = classify_block(toa, altitude=altitude, until="water")
    final = classify_block(toa, altitude=altitude)[0]
    left = early == UNDECIDED
    assert left.any()
    assert not cloud[left].any()
    assert set(final[left].tolist()) == {5}
    recovered = ~left & (early != final)
    assert set(early[recovered].tolist()) <= {SCL.CAST_SHADOW}
    assert set(final[recovered].tolist()) <= {SCL.NOT_VEGETATED}
    with pytest.raises(UsageError):
        class_counts(early)


@pytest.mark.parametrize("shape", [(12, 4, 4), (13, 4), (4, 4, 13)])
def test_wrong_shapes(shape):
    with pytest.raises(UsageError, match="thirteen bands"):
        classify_block(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(4, 4), (4, 5, 1), (5, 4)])
def test_altitude_of_another_window_is_refused(shape):
    with pytest.raises(UsageError, match="altitude"):
        classify_block(uniform(CLOUD, (4, 5)), altitude=np.zeros(shape))


# --- statistics ---------------------------------------------------------------------------------


def test_percentages_have_the_names_and_bases_of_the_metadata():
    scl = np.repeat(np.arange(12, dtype=np.uint8), [20, 1, 2, 3, 24, 10, 5, 5, 10, 8, 7, 5])
    assert cloud_cover_statistics(scl) == {
        "CLOUDY_PIXEL_PERCENTAGE": pytest.approx(100 * 25 / 80),
        "NODATA_PIXEL_PERCENTAGE": pytest.approx(20.0),
        "SATURATED_DEFECTIVE_PIXEL_PERCENTAGE": pytest.approx(100 * 1 / 80),
        "CAST_SHADOW_PERCENTAGE": pytest.approx(100 * 2 / 80),
        "CLOUD_SHADOW_PERCENTAGE": pytest.approx(100 * 3 / 80),
        "VEGETATION_PERCENTAGE": pytest.approx(100 * 24 / 80),
        "NOT_VEGETATED_PERCENTAGE": pytest.approx(100 * 10 / 80),
        "WATER_PERCENTAGE": pytest.approx(100 * 5 / 80),
        "UNCLASSIFIED_PERCENTAGE": pytest.approx(100 * 5 / 80),
        "MEDIUM_PROBA_CLOUDS_PERCENTAGE": pytest.approx(100 * 10 / 80),
        "HIGH_PROBA_CLOUDS_PERCENTAGE": pytest.approx(100 * 8 / 80),
        "THIN_CIRRUS_PERCENTAGE": pytest.approx(100 * 7 / 80),
        "SNOW_ICE_PERCENTAGE": pytest.approx(100 * 5 / 80),
    }


def test_counts_of_blocks_add_up_to_those_of_the_tile():
    scl = np.random.default_rng(8).integers(0, 12, (30, 40), dtype=np.uint8)
    parts = class_counts(scl[:, :17]) + class_counts(scl[:, 17:])
    assert parts.dtype == np.int64
    assert percentages(parts) == cloud_cover_statistics(scl)


def test_a_tile_without_data_has_no_cloud():
    shares = cloud_cover_statistics(np.zeros((4, 4), np.uint8))
    assert shares.pop("NODATA_PIXEL_PERCENTAGE") == 100.0
    assert set(shares.values()) == {0.0}
    assert set(percentages(np.zeros(12, np.int64)).values()) == {0.0}

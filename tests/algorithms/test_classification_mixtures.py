"""Mixed and dimmed pixels, and heights of clouds from their shadows."""

from __future__ import annotations

import numpy as np
import pytest

from s2cloud.algorithms.classification import (
    Dilation,
    Frame,
    Ground,
    Options,
    Sky,
    classify_scene,
    classify_window,
)
from s2cloud.algorithms.classification.matching import matched_heights
from s2cloud.model.schema import SCL

#                    b01   b02   b03   b04   b05   b06   b07   b08   b8a   b09   b10    b11   b12
VEGETATION = (0.13, 0.08, 0.075, 0.05, 0.10, 0.22, 0.26, 0.28, 0.30, 0.10, 0.0010, 0.15, 0.07)
FOREST = (0.13, 0.09, 0.07, 0.04, 0.07, 0.18, 0.21, 0.22, 0.24, 0.09, 0.0012, 0.10, 0.05)
SNOW = (0.83, 0.85, 0.83, 0.85, 0.84, 0.84, 0.85, 0.80, 0.84, 0.22, 0.0037, 0.12, 0.13)
LAKE = (0.12, 0.09, 0.06, 0.04, 0.035, 0.03, 0.03, 0.03, 0.03, 0.01, 0.0010, 0.011, 0.008)
FOAM = (0.42, 0.42, 0.41, 0.37, 0.35, 0.32, 0.30, 0.27, 0.25, 0.10, 0.0014, 0.08, 0.024)
CLOUD = (0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.40, 0.0015, 0.40, 0.30)
ICE_CLOUD = (0.84, 0.86, 0.84, 0.85, 0.85, 0.85, 0.85, 0.82, 0.85, 0.35, 0.0250, 0.40, 0.40)
MIXED_CLOUD = (0.84, 0.86, 0.84, 0.85, 0.85, 0.85, 0.85, 0.82, 0.85, 0.35, 0.0118, 0.30, 0.26)
FINE_SNOW = (0.86, 0.89, 0.88, 0.91, 0.91, 0.92, 0.93, 0.88, 0.91, 0.26, 0.0115, 0.24, 0.27)
VEILED_SNOW = (0.83, 0.85, 0.83, 0.85, 0.84, 0.84, 0.85, 0.80, 0.84, 0.22, 0.0115, 0.13, 0.14)
SKY = Sky(sza=40.0, saa=180.0, vza=0.0, vaa=0.0)
PLAIN = Options(parallax=False, dilation=Dilation(cloud=0, cirrus=0, shadow=0, snow=0))


def mixed(first, second, share):
    return tuple(share * a + (1 - share) * b for a, b in zip(first, second, strict=True))


def painted(*patches, base=VEGETATION, size=120):
    """A window of one surface, with others painted into (rows, columns)."""
    toa = np.empty((13, size, size), np.float32)
    toa[:] = np.array(base, np.float32)[:, None, None]
    noise = np.random.default_rng(1).normal(1, 0.01, (size, size)).astype(np.float32)
    for rows, columns, spectrum in patches:
        toa[:, rows, columns] = np.array(spectrum, np.float32)[:, None, None]
    return toa * noise


def classes(toa, options=PLAIN, sky=SKY):
    height, width = toa.shape[1:]
    means = toa.reshape(13, height // 3, 3, width // 3, 3).mean(axis=(2, 4))
    scene, _ = classify_scene(means, 60.0, sky, Ground(), options)
    return classify_window(toa, scene, Frame(0, 0, 3, 20.0), options)[0], scene


SQUARE = (slice(60, 84), slice(60, 84))


@pytest.mark.parametrize(
    ("share", "expected"), [(0.30, SCL.VEGETATION), (0.40, SCL.VEGETATION), (0.75, SCL.SNOW_ICE)]
)
def test_snow_in_forest_is_snow_only_where_it_is_mostly_snow(share, expected):
    mixture = mixed(SNOW, FOREST, share)
    scl, _ = classes(painted((slice(0, 60), slice(None), SNOW), (*SQUARE, mixture)))
    assert (scl[SQUARE] == expected).mean() > 0.95


def test_cloud_beside_snow_stays_cloud():
    scl, _ = classes(painted((slice(0, 40), slice(None), SNOW), (*SQUARE, CLOUD)))
    assert np.isin(scl[SQUARE], (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY)).all()


@pytest.mark.parametrize("cloud", [ICE_CLOUD, MIXED_CLOUD])
def test_a_cloud_of_ice_over_snow_shows_in_b10(cloud):
    toa = painted((*SQUARE, cloud), base=SNOW)
    scl, _ = classes(toa)
    inside = scl[63:81, 63:81]
    assert np.isin(inside, (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY)).all()
    assert (scl[:50] == SCL.SNOW_ICE).all()


def test_snow_of_fine_grains_is_bright_in_b10_and_stays_snow():
    scl, _ = classes(painted((*SQUARE, FINE_SNOW), base=SNOW))
    assert (scl == SCL.SNOW_ICE).all()


def test_snow_under_far_more_b10_than_grains_explain_is_seen_through_cirrus():
    base = (*SNOW[:10], 0.0015, *SNOW[11:])
    scl, _ = classes(painted((*SQUARE, VEILED_SNOW), base=base))
    assert (scl[63:81, 63:81] == SCL.THIN_CIRRUS).all()
    assert (scl[:50] == SCL.SNOW_ICE).all()


def test_half_melted_snow_on_soil_is_soil_beside_snow_and_snow_in_shadow_is_not():
    soil = (0.15, 0.11, 0.10, 0.10, 0.10, 0.11, 0.12, 0.12, 0.13, 0.06, 0.0012, 0.14, 0.12)
    thin = (slice(70, 90), slice(None), mixed(SNOW, soil, 0.35))
    shaded = (slice(95, 110), slice(None), tuple(0.4 * band for band in SNOW))
    scl, _ = classes(painted((slice(0, 60), slice(None), SNOW), thin, shaded))
    assert (scl[72:88] == SCL.NOT_VEGETATED).mean() > 0.95
    assert (scl[97:108] == SCL.SNOW_ICE).mean() > 0.95


def test_white_water_is_no_snow():
    scl, _ = classes(painted((*SQUARE, FOAM), base=LAKE))
    assert (scl[SQUARE] == SCL.WATER).all()


def test_a_dark_shore_is_water_beside_water_only():
    shore = mixed(LAKE, VEGETATION, 0.82)
    assert 0.04 < shore[8] < 0.15
    lake = (slice(20, 60), slice(20, 60), LAKE)
    beside = (slice(60, 61), slice(20, 60), shore)
    alone = (slice(90, 91), slice(20, 60), shore)
    scl, _ = classes(painted(lake, beside, alone))
    assert (scl[beside[:2]] == SCL.WATER).all()
    assert not (scl[alone[:2]] == SCL.WATER).any()


def test_part_of_a_cloud_that_is_too_bright_in_b11_is_cloud_beside_cloud_only():
    cloud = (slice(40, 52), slice(40, 70), CLOUD)
    low = (0.30, 0.33, 0.31, 0.32, 0.34, 0.40, 0.42, 0.43, 0.44, 0.20, 0.0013, 0.55, 0.40)
    beside = (slice(52, 64), slice(40, 70), low)
    alone = (slice(90, 102), slice(40, 70), low)
    scl, _ = classes(painted(cloud, beside, alone))
    assert (scl[beside[:2]] == SCL.CLOUD_MEDIUM_PROBABILITY).mean() > 0.95
    assert not np.isin(scl[alone[:2]], (SCL.CLOUD_MEDIUM_PROBABILITY,)).any()
    soil = (0.20, 0.20, 0.26, 0.34, 0.36, 0.38, 0.40, 0.42, 0.44, 0.20, 0.0013, 0.55, 0.40)
    scl, _ = classes(painted(cloud, (*beside[:2], soil)))
    assert (scl[55:62, 42:68] == SCL.NOT_VEGETATED).all()


@pytest.mark.parametrize(("share", "expected"), [(0.65, SCL.WATER), (0.35, SCL.VEGETATION)])
def test_the_line_of_a_shore_is_where_half_is_water(share, expected):
    lake = (slice(20, 60), slice(20, 60), LAKE)
    beside = (slice(60, 61), slice(20, 60), mixed(LAKE, VEGETATION, share))
    scl, _ = classes(painted(lake, beside))
    assert (scl[beside[:2]] == expected).mean() > 0.9
    assert (scl[62:] == SCL.VEGETATION).all()


@pytest.mark.parametrize("true", [800.0, 2400.0])
@pytest.mark.parametrize("measured", [None, 1600.0])
def test_height_from_the_shadow(true, measured):
    cloud, shade = (np.zeros((120, 120), bool) for _ in range(2))
    cloud[80:92, 50:62] = True
    moved = round(true * 0.02)
    shade[80 - moved : 92 - moved, 50:62] = True
    shade[5:9, 5:9] = True
    heights = None if measured is None else np.full(cloud.shape, measured, np.float32)
    down, right = np.full((1, 1), -0.02, np.float32), np.zeros((1, 1), np.float32)
    found = matched_heights(cloud, shade, np.ones_like(cloud), heights, down, right)
    assert np.isnan(found[~cloud]).all()
    assert np.abs(found[cloud] - true).max() <= 100


def test_no_shadow_no_height():
    cloud = np.zeros((60, 60), bool)
    cloud[30:40, 30:40] = True
    down, right = np.full((1, 1), -0.02, np.float32), np.zeros((1, 1), np.float32)
    found = matched_heights(cloud, ~np.ones_like(cloud), np.ones_like(cloud), None, down, right)
    assert np.isnan(found).all()

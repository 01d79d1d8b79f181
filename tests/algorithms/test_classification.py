"""Every step of the pointwise sequence, on both sides of its thresholds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s2cloud.algorithms.classification import UNDECIDED, Thresholds, classify_pixels, sequence
from s2cloud.algorithms.classification.rules import limits_of, single
from s2cloud.model.bands import BANDS
from s2cloud.model.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
BOTH = ("evolution", "classic")
LIMITS = limits_of(Thresholds())

# A bright grey spectrum: no step has anything against cloud.
GREY = {"b01": 0.3, "b05": 0.3, "b06": 0.3, "b07": 0.3, "b08": 0.3, "b09": 0.2, "b10": 0.001}


def spectrum(b02=0.5, b03=0.5, b04=0.5, b8a=0.5, b11=0.4, b12=0.3, **others):
    used = {"b02": b02, "b03": b03, "b04": b04, "b8a": b8a, "b11": b11, "b12": b12}
    values = {**GREY, **used, **others}
    return np.array([values[band] for band in BANDS], np.float32)


def classified(toa, **options):
    """Class and cloud confidence of one spectrum."""
    scl, cloud, _ = classify_pixels(toa, **options)
    return int(scl), float(cloud)


# --- the ramps and bounds, with the numbers published for them ------------------------------


@pytest.mark.parametrize(
    ("red", "confidence"),
    [(0.05, 0), (0.10, 0.0443), (0.15, 0.2244), (0.20, 0.5429), (0.25, 1), (0.6, 1)],
)
def test_step_1_1_brightness_in_red(red, confidence):
    cloud = classified(spectrum(b04=red, b8a=red, b11=0.4), until="decision")[1]
    assert cloud == pytest.approx(confidence, abs=1e-4)


@pytest.mark.parametrize(
    ("ndsi", "confidence"),
    [(-0.30, 0), (-0.22, 0.25), (-0.20, 0.5), (-0.18, 0.75), (-0.10, 1)],
)
def test_step_1_2_ndsi_of_cloud(ndsi, confidence):
    swir = 0.5 * (1 - ndsi) / (1 + ndsi)
    cloud = classified(spectrum(b02=0.7, b11=swir))[1]
    assert cloud == pytest.approx(confidence, abs=1e-4)


@pytest.mark.parametrize(
    ("ndsi", "confidence"), [(0.30, 0), (0.40, 0.3333), (0.45, 0.6667), (0.60, 1)]
)
def test_step_2_1_ndsi_of_snow(ndsi, confidence):
    swir = 0.5 * (1 - ndsi) / (1 + ndsi)
    _, _, snow = classify_pixels(spectrum(b05=0.5, b11=swir))
    assert float(snow) == pytest.approx(confidence, abs=1e-4)


@pytest.mark.parametrize(
    ("ndvi", "factor"), [(0.30, 1), (0.37, 0.8333), (0.39, 0.5), (0.41, 0.1667), (0.45, 1)]
)
def test_step_3_ndvi(ndvi, factor):
    toa = spectrum(b02=0.25, b03=0.3, b04=0.25, b8a=0.25 * (1 + ndvi) / (1 - ndvi), b11=0.3)
    assert classified(toa)[1] == pytest.approx(factor, abs=1e-4)


@pytest.mark.parametrize(
    ("ratio", "limit", "factor"),
    [(0.75, 0.16, 0.1667), (0.85, 0.15, 0.5), (0.95, 0.15, 0.8333)],
)
def test_step_5_1_soil(ratio, limit, factor):
    assert sequence.soil_limit(single(ratio), LIMITS) == pytest.approx(limit)
    below, above = limit - 0.001, limit + 0.001
    rest = {"b03": 0.2, "b04": 0.25, "b8a": 0.3}
    assert classified(spectrum(b02=below, b11=below / ratio, **rest))[1] == pytest.approx(
        factor, abs=1e-4
    )
    assert classified(spectrum(b02=above, b11=above / ratio, **rest))[1] == pytest.approx(1.0)


def test_step_5_1_soil_limit_is_clipped():
    assert sequence.soil_limit(single(0.2), LIMITS) == pytest.approx(0.32)
    assert sequence.soil_limit(single(0.5), LIMITS) == pytest.approx(0.26)


@pytest.mark.parametrize(
    ("ratio", "limit", "factor"),
    [(1.9, 0.10, 1.0), (2.0, 0.11, 1.0), (2.5, 0.16, 0.75), (3.0, 0.21, 0.5), (3.5, 0.21, 0.25)],
)
def test_step_5_2_water_dims_cloud(ratio, limit, factor):
    assert sequence.water_limit(single(ratio), LIMITS) == pytest.approx(limit)
    bands = {"b02": 0.19, "b03": 0.17, "b04": 0.16, "b8a": 0.14, "b11": 0.19 / ratio}
    full = (0.10 / 0.19) ** 2
    below = classified(spectrum(**bands, b12=limit - 0.001))
    assert below[1] == pytest.approx(full * factor, abs=1e-4)
    assert classified(spectrum(**bands, b12=limit + 0.001))[1] == pytest.approx(full, abs=1e-4)


@pytest.mark.parametrize(
    ("ratio", "limit", "factor"), [(0.92, 0.245, 0.1), (1.0, 0.225, 0.5), (1.08, 0.205, 0.9)]
)
def test_step_6_rock(ratio, limit, factor):
    assert sequence.rock_limit(single(ratio)) == pytest.approx(limit)
    bands = {"b03": 0.25, "b04": 0.25}
    below, above = limit - 0.002, limit + 0.002  # below, B02/B11 stays in 0.7 to 1: no soil
    dim = spectrum(b02=below, b11=0.25, b8a=0.25 * ratio, **bands)
    assert classified(dim)[1] == pytest.approx(factor, abs=1e-4)
    kept = spectrum(b02=above, b11=0.25, b8a=0.25 * ratio, **bands)
    assert classified(kept)[1] == pytest.approx(1.0)


def test_step_6_rock_limit_is_clipped():
    assert sequence.rock_limit(single(0.5)) == pytest.approx(0.35)
    assert sequence.rock_limit(single(2.0)) == pytest.approx(0.16)


@pytest.mark.parametrize(
    ("ratio", "factor"), [(2.9, 1), (3.5, 0.8333), (4.5, 0.5), (5.5, 0.1667), (7.0, 0)]
)
def test_step_6bis_red_far_above_infrared(ratio, factor):
    toa = spectrum(b02=0.42, b03=0.42, b04=0.42, b8a=0.5, b11=0.42 / ratio)
    assert classified(toa, snow_possible=False)[1] == pytest.approx(factor, abs=1e-4)


@pytest.mark.parametrize(
    ("bands", "code", "cloud"),
    [
        # cloud, haze, bare-ish, soil: the chains worked by hand in the notes
        ({"b02": 0.50, "b03": 0.48, "b04": 0.47, "b8a": 0.50, "b11": 0.38}, 9, 1.0),
        ({"b02": 0.19, "b03": 0.18, "b04": 0.17, "b8a": 0.25, "b11": 0.20, "b12": 0.13}, 8, 0.335),
        ({"b02": 0.20, "b03": 0.19, "b04": 0.19, "b8a": 0.24, "b11": 0.26}, 7, 0.054),
        ({"b02": 0.12, "b03": 0.10, "b04": 0.09, "b8a": 0.11, "b11": 0.20, "b12": 0.15}, 5, 0.0),
    ],
    ids=["cloud", "haze", "bare", "soil"],
)
@pytest.mark.parametrize("variant", BOTH)
def test_worked_chains(bands, code, cloud, variant):
    assert classified(spectrum(**bands), variant=variant) == (
        code,
        pytest.approx(cloud, abs=6e-4),
    )


# --- one pixel on either side of each rule -----------------------------------------------------

DARK = {"b02": 0.09, "b03": 0.08, "b04": 0.07, "b8a": 0.10, "b11": 0.05, "b12": 0.03}
SNOW = {"b02": 0.6, "b03": 0.6, "b04": 0.6, "b05": 0.6, "b8a": 0.55, "b11": 0.25, "b12": 0.2}
# Snow by a small margin in everything; without snow a haze of confidence 0.36.
FAINT = {"b02": 0.22, "b03": 0.2, "b04": 0.2, "b05": 0.3, "b8a": 0.3, "b11": 0.05, "b12": 0.04}
GREEN = {"b02": 0.10, "b03": 0.10, "b04": 0.06, "b8a": 0.30, "b11": 0.20, "b12": 0.10}
BRIGHT_GREEN = {"b02": 0.20, "b03": 0.25, "b04": 0.15, "b8a": 0.40, "b11": 0.25, "b12": 0.10}
SOIL = {"b02": 0.14, "b03": 0.2, "b04": 0.25, "b8a": 0.3, "b12": 0.2}
LAKE = {"b02": 0.15, "b03": 0.13, "b04": 0.12, "b8a": 0.06, "b11": 0.03, "b12": 0.02}
MURKY = {"b02": 0.15, "b03": 0.13, "b04": 0.115, "b8a": 0.06, "b11": 0.10, "b12": 0.09}
ROCK = {"b02": 0.235, "b03": 0.28, "b04": 0.25, "b8a": 0.26, "b11": 0.30, "b12": 0.25}
HAZE = {"b02": 0.30, "b03": 0.30, "b04": 0.30, "b8a": 0.35, "b11": 0.30, "b12": 0.25}
# Six times brighter in red than in B11: no cloud, no class.
NOTHING = {"b02": 0.42, "b03": 0.42, "b04": 0.42, "b8a": 0.5, "b11": 0.06, "b12": 0.05}


@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize(
    ("base", "change", "code"),
    [
        # 1.1 dark features
        (DARK, {}, 2),
        (DARK, {"b04": 0.10}, 7),
        (DARK, {"b8a": 0.04}, 7),
        (DARK, {"b8a": 0.041}, 2),
        (DARK, {"b8a": 0.15}, 7),
        # 1.2 puts them back where NDSI is low
        (DARK, {"b11": 0.14}, 5),
        (DARK, {"b11": 0.13}, 2),
        # 2.x snow and each of its filters
        (SNOW, {}, 11),
        (FAINT, {}, 11),
        (FAINT, {"b11": 0.12, "b04": 0.25}, 9),  # NDSI 0.25
        (FAINT, {"b05": 0.254}, 8),  # B05/B8A 0.847
        (FAINT, {"b05": 0.256}, 11),
        (FAINT, {"b8a": 0.17}, 8),  # ramp of B8A 0.1, below 0.12
        (FAINT, {"b8a": 0.18}, 11),  # ramp of B8A 0.15
        (FAINT, {"b02": 0.18}, 8),
        (FAINT, {"b02": 0.19}, 11),  # 0.75 * 0.25 * 1
        (FAINT, {"b04": 0.26}, 8),  # B02/B04 0.846
        # 3 vegetation
        (GREEN, {}, 4),
        (BRIGHT_GREEN, {}, 8),
        (BRIGHT_GREEN, {"b02": 0.149}, 4),
        # 5.1 soil
        (SOIL, {"b11": 0.14 / 0.69}, 5),
        (SOIL, {"b11": 0.14 / 0.71}, 7),
        (SOIL, {"b11": 0.32 / 0.69, "b02": 0.32, "b8a": 0.52, "b03": 0.4}, 9),
        # 5.2 water by B02/B11
        (LAKE, {}, 6),
        (LAKE, {"b12": 0.209}, 6),
        (LAKE, {"b12": 0.211}, 7),
        (LAKE, {"b8a": 0.12}, 7),
        (LAKE, {"b02": 0.20, "b04": 0.17, "b11": 0.045}, 8),
        (LAKE, {"b11": 0.15 / 3.9}, 7),
        # 5.2 water by the slope from blue to red
        (MURKY, {}, 6),
        (MURKY, {"b04": 0.117}, 7),
        (MURKY, {"b8a": 0.115}, 7),
        # 6 rock
        (ROCK, {}, 5),
        (ROCK, {"b02": 0.245}, 9),  # more than 0.8 * B11
        (ROCK, {"b8a": 0.275}, 7),  # B8A/B11 0.917, dimmed to 0.083
        # 7 cloud
        (HAZE, {}, 9),
        (HAZE, {"b04": 0.22}, 8),
        (HAZE, {"b04": 0.14, "b8a": 0.25}, 7),
        # recovery of dark vegetation, by NDVI and by B8A/B03
        (DARK, {"b04": 0.05, "b8a": 0.14}, 4),
        (DARK, {"b03": 0.05, "b8a": 0.124, "b11": 0.04}, 2),
        (DARK, {"b03": 0.05, "b8a": 0.126, "b11": 0.04}, 4),
        # recovery of water
        (DARK, {"b8a": 0.06, "b11": 0.022}, 6),
        (DARK, {"b8a": 0.06, "b11": 0.023}, 2),
        (DARK, {"b8a": 0.08, "b11": 0.022}, 2),
        (NOTHING, {"b02": 0.30, "b04": 0.32, "b03": 0.30, "b8a": 0.29, "b11": 0.04}, 6),
        # recovery of soil
        (DARK, {"b02": 0.07, "b11": 0.110}, 5),
        (DARK, {"b02": 0.07, "b11": 0.106}, 2),
    ],
)
def test_rule(base, change, code, variant):
    snow_possible = base is not NOTHING
    toa = spectrum(**{**base, **change})
    assert classified(toa, variant=variant, snow_possible=snow_possible)[0] == code


@pytest.mark.parametrize(("variant", "code"), [("evolution", 5), ("classic", 7)])
@pytest.mark.parametrize(
    "toa",
    [
        spectrum(**NOTHING),
        spectrum(**{**NOTHING, "b02": 0.30, "b04": 0.32, "b03": 0.30, "b8a": 0.30, "b11": 0.04}),
        spectrum(b02=0.20, b03=0.15, b04=0.20, b8a=0.30, b11=0.26, b12=0.2),
    ],
)
def test_what_is_left_undecided(toa, variant, code):
    assert classified(toa, variant=variant, snow_possible=False) == (code, 0.0)
    for until in ("decision", "water"):
        options = {"variant": variant, "snow_possible": False, "until": until}
        assert classified(toa, **options) == (UNDECIDED, 0.0)


@pytest.mark.parametrize(
    ("change", "decision", "water", "end"),
    [
        ({"b04": 0.05, "b8a": 0.14}, 2, 4, 4),
        ({"b8a": 0.06, "b11": 0.022}, 2, 6, 6),
        ({"b02": 0.07, "b11": 0.11}, 2, 2, 5),
    ],
)
def test_stages(change, decision, water, end):
    toa = spectrum(**{**DARK, **change})
    found = [classified(toa, until=until)[0] for until in ("decision", "water", "end")]
    assert found == [decision, water, end]


def test_snow_loses_its_cloud_confidence_and_is_not_looked_for_where_there_is_none():
    scl, cloud, snow = classify_pixels(spectrum(**SNOW))
    assert (int(scl), float(cloud)) == (11, 0.0)
    assert float(snow) == pytest.approx((0.35 / 0.85 - 0.35) / 0.15, abs=1e-5)
    scl, cloud, snow = classify_pixels(spectrum(**SNOW), snow_possible=False)
    assert (int(scl), float(cloud), float(snow)) == (9, 1.0, 0.0)


def test_vegetation_keeps_its_cloud_confidence():
    code, cloud = classified(spectrum(**{**BRIGHT_GREEN, "b02": 0.149}))
    assert code == 4
    assert cloud == pytest.approx((0.09 / 0.19) ** 2, abs=1e-5)


@pytest.mark.parametrize(("variant", "snow"), [("evolution", 0.0), ("classic", 0.07)])
def test_recovered_vegetation_loses_snow_confidence_in_evolution_only(variant, snow):
    toa = spectrum(b02=0.184, b03=0.2, b04=0.2, b05=0.45, b8a=0.5, b11=0.03, b12=0.02)
    scl, cloud, found = classify_pixels(toa, variant=variant)
    assert (int(scl), float(cloud)) == (4, 0.0)
    assert float(found) == pytest.approx(snow, abs=1e-4)


# --- cirrus ---------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", BOTH)
@pytest.mark.parametrize(
    ("base", "change", "altitude", "code"),
    [
        (GREEN, {"b10": 0.012}, 100, 4),
        (GREEN, {"b10": 0.013}, 100, 10),
        (GREEN, {"b10": 0.034}, 100, 10),
        (GREEN, {"b10": 0.035}, 100, 8),
        (GREEN, {"b10": 0.013}, 1499, 10),
        (GREEN, {"b10": 0.013}, 1500, 4),
        (GREEN, {"b10": 0.013}, np.nan, 10),
        (LAKE, {"b10": 0.02}, 100, 10),
        (DARK, {"b10": 0.02}, 100, 10),
        (SNOW, {"b10": 0.02, "b02": 0.49, "b04": 0.49}, 100, 10),
        (SNOW, {"b10": 0.02, "b02": 0.50, "b04": 0.50}, 100, 11),
        (SNOW, {"b10": 0.04}, 100, 8),
        (HAZE, {"b10": 0.02, "b04": 0.14, "b8a": 0.25}, 100, 10),
        (HAZE, {"b10": 0.02, "b04": 0.22}, 100, 8),
        (HAZE, {"b10": 0.04, "b04": 0.22}, 100, 8),
        (HAZE, {"b10": 0.04}, 100, 9),
    ],
)
def test_cirrus(base, change, altitude, code, variant):
    toa = spectrum(**{**base, **change})
    assert classified(toa, altitude=altitude, variant=variant)[0] == code


def test_thick_cirrus_sets_the_confidences_in_evolution_only():
    toa = spectrum(**SNOW, b10=0.04)
    _, cloud, snow = classify_pixels(toa)
    assert [float(cloud), float(snow)] == pytest.approx([0.65, 0.0])
    _, cloud, snow = classify_pixels(toa, variant="classic")
    assert [float(cloud), float(snow)] == pytest.approx([0.0, 0.4118], abs=1e-4)


def test_thick_cirrus_over_mountains_needs_the_classic_variant():
    toa = spectrum(**GREEN, b10=0.04)
    assert classified(toa, altitude=2000.0, variant="evolution") == (4, 0.0)
    assert classified(toa, altitude=2000.0, variant="classic") == (8, 0.0)


# --- no-data, negative values, shapes, options ----------------------------------------------------


@pytest.mark.parametrize("band", range(13))
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf])
def test_a_band_without_data_is_no_data(band, value):
    toa = spectrum(**SNOW)
    toa[band] = value
    scl, cloud, snow = classify_pixels(toa)
    assert (int(scl), float(cloud), float(snow)) == (0, 0.0, 0.0)


def test_negative_reflectance_is_data():
    assert classified(spectrum(**{**LAKE, "b11": -0.002, "b12": -0.001}))[0] == 6
    scl, cloud, snow = classify_pixels(np.full(13, -0.01))
    assert int(scl) in range(2, 12)
    assert np.isfinite([cloud, snow]).all()


def test_shape_and_altitude_broadcast():
    rng = np.random.default_rng(1)
    toa = rng.uniform(0.01, 0.5, (3, 4, 5, 13)).astype(np.float32)
    toa[..., 10] = 0.02
    altitude = np.array([[100.0], [1400.0], [1600.0], [np.nan]])
    whole = classify_pixels(toa, altitude=altitude)
    assert [a.shape for a in whole] == [(3, 4, 5)] * 3
    assert [a.dtype for a in whole] == [np.uint8, np.float32, np.float32]
    for index in np.ndindex(3, 4, 5):
        alone = classify_pixels(toa[index], altitude=altitude[index[1], 0])
        for k in range(3):
            assert whole[k][index] == alone[k]
    assert [a.shape for a in classify_pixels(np.empty((0, 13)))] == [(0,)] * 3


def test_input_stays_as_it_is_and_may_be_strided_float64_or_read_only():
    rng = np.random.default_rng(2)
    toa = rng.uniform(0.01, 0.5, (50, 13))
    toa[3, 4] = 0.0
    toa.flags.writeable = False
    before = toa.copy()
    expected = classify_pixels(toa)
    np.testing.assert_array_equal(toa, before)
    backwards = classify_pixels(toa[::-1])
    for k in range(3):
        np.testing.assert_array_equal(expected[k], backwards[k][::-1])
    np.testing.assert_array_equal(expected[0], classify_pixels(np.asfortranarray(toa))[0])


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, (4, 13), elements=st.floats(-1.0, 2.0, width=32)),
    st.sampled_from(BOTH),
    st.sampled_from(["decision", "water", "end"]),
    st.floats(-400, 8800),
)
def test_results_stay_in_range(toa, variant, until, altitude):
    scl, cloud, snow = classify_pixels(toa, variant=variant, until=until, altitude=altitude)
    codes = {0, 2, 4, 5, 6, 7, 8, 9, 10, 11} | (set() if until == "end" else {UNDECIDED})
    assert set(scl.tolist()) <= codes
    for confidence in (cloud, snow):
        assert ((confidence >= 0) & (confidence <= 1)).all()
    empty = (toa == 0).any(axis=-1)
    np.testing.assert_array_equal(scl == 0, empty)
    assert not cloud[empty].any()
    assert not snow[empty].any()


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, (5, 13), elements=st.floats(0.0009765625, 1.5, width=32)))
def test_variants_differ_only_where_they_are_known_to(toa):
    new = classify_pixels(toa, variant="evolution")
    old = classify_pixels(toa, variant="classic")
    left = classify_pixels(toa, variant="classic", until="water")[0] == UNDECIDED
    differ = new[0] != old[0]
    assert not differ[~left].any()
    assert set(new[0][differ].tolist()) <= {5}
    thin_air = toa[:, 10] < 0.035
    np.testing.assert_array_equal(new[1][thin_air], old[1][thin_air])
    same_snow = thin_air & (new[0] != 4)
    np.testing.assert_array_equal(new[2][same_snow], old[2][same_snow])


def test_thresholds_reach_the_kernel():
    haze = spectrum(**{**HAZE, "b04": 0.22})
    assert classified(haze)[0] == 8
    assert classified(haze, thresholds=Thresholds(cloud_high=0.7))[0] == 9
    assert classified(haze, thresholds=Thresholds(cloud_medium=0.75))[0] == 7
    assert classified(haze, thresholds=Thresholds(cloud_low=0.73, cloud_medium=0.75))[0] == 5


def test_impossible_thresholds_are_reported_together():
    with pytest.raises(UsageError) as caught:
        Thresholds(ndvi_low=0.5, nir_green=float("nan"), cloud_high=0.1)
    for word in ("ndvi_low", "nir_green", "cloud_high"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "options"),
    [((12,), {}), ((), {}), ((13, 4), {}), ((13,), {"variant": "2.8"}), ((13,), {"until": "x"})],
)
def test_wrong_requests(shape, options):
    with pytest.raises(UsageError):
        classify_pixels(np.full(shape, 0.5), **options)


def test_import_compiles_nothing():
    code = (
        "from s2cloud.algorithms.classification import kernels as k;"
        "print(len(k.classify_planes.signatures) + len(k.find_snow.signatures))"
    )
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "0"

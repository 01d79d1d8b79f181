"""The kernel against a slow re-implementation, written from the published tables in array style."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s2cloud.algorithms.classification import classify_pixels

REALDATA = Path(
    os.environ.get("S2CLOUD_REALDATA", Path(__file__).resolve().parents[2].parent / "shared/data")
)

NOT_CLASSIFIED = 100
NOT_SNOW = 50


def ramp(x, a, b):
    return (np.clip(x, np.float32(min(a, b)), np.float32(max(a, b))) - np.float32(a)) / (
        np.float32(b) - np.float32(a)
    )


def divide(a, b):
    return a / np.maximum(b, np.float32(1e-6))


def reference(toa, *, altitude=100.0, snow_possible=True, variant="evolution"):
    """Tables 1.3 to 1.8 of the notes on Sen2Cor, without terrain, maps and neighbourhoods."""
    toa = np.asarray(toa, np.float32)
    empty = np.any(np.isnan(toa) | (toa == 0), axis=-1)
    toa = np.where(empty[..., None], np.float32(0.5), toa)
    B02, B03, B04, B05 = (toa[..., i] for i in (1, 2, 3, 4))
    B8A, B10, B11, B12 = (toa[..., i] for i in (8, 10, 11, 12))
    CM = np.full(empty.shape, NOT_CLASSIFIED)
    CM[empty] = 0
    CMC = np.zeros(empty.shape, np.float32)
    CMS = np.zeros(empty.shape, np.float32)

    # 1.1
    CMC = ramp(B04, 0.06, 0.25) ** 2
    dark = (B04 < 0.10) & (B8A > 0.04) & (B8A < 0.15)
    CM[dark & (CM == NOT_CLASSIFIED)] = 2
    CMC[dark] = 0
    # 1.2
    NDSI = divide(B03 - B11, B03 + B11)
    r = ramp(NDSI, -0.24, -0.16)
    CM[(r == 0) & (CM != 0)] = NOT_CLASSIFIED
    CMC *= r
    # 2.1 to 2.5
    if snow_possible:

        def lock(factor):
            CM[(factor == 0) & (CM == NOT_CLASSIFIED)] = NOT_SNOW

        CMS = ramp(NDSI, 0.35, 0.50)
        CMS[CMC == 0] = 0
        lock(CMS)
        CMS[divide(B05, B8A) < 0.85] = 0
        for factor in (
            ramp(B8A, 0.15, 0.35),
            ramp(B02, 0.18, 0.22),
            ramp(divide(B02, B04), 0.85, 0.95),
        ):
            lock(factor)
            CMS *= factor
        snow = (CMS > 0.12) & (CM != 0)
        CM[snow] = 11
        CMC[snow] = 0
        CM[CM == NOT_SNOW] = NOT_CLASSIFIED
    # 3
    NDVI = divide(B8A - B04, B8A + B04)
    CM[(NDVI >= 0.42) & (B02 < 0.15) & (CM == NOT_CLASSIFIED)] = 4
    partly = (NDVI > 0.36) & (NDVI < 0.42)
    CMC[partly] *= 1 - ramp(NDVI, 0.36, 0.42)[partly]
    # 5.1
    R = np.clip(divide(B02, B11), 0, 100)
    L = np.clip(np.float32(-0.40) * R + np.float32(0.46), 0.15, 0.32)
    CM[(B02 < L) & (R < 0.70) & (CM == NOT_CLASSIFIED)] = 5
    CMC[CM == 5] = 0
    partly = (R > 0.70) & (R < 1.0) & (B02 < L) & (CM == NOT_CLASSIFIED)
    CMC[partly] *= ramp(R, 0.70, 1.0)[partly]
    # 5.2
    R = divide(B02, B11)
    M = np.clip(np.float32(0.1) * R + np.float32(-0.09), 0.07, 0.21)
    C = (B12 < M) & (B8A < B04) & (B02 < 0.2)
    water = (R > 4) & C & (CM == NOT_CLASSIFIED)
    CM[water] = 6
    CMC[water] = 0
    partly = (R >= 2) & (R < 4) & C
    CMC[partly] *= (2 - R / 2)[partly]
    water = ((B02 - B04) > 0.034) & (B8A < B04) & (B02 < 0.2) & (CM == NOT_CLASSIFIED)
    CM[water] = 6
    CMC[water] = 0
    # 6
    R = divide(B8A, B11)
    L = np.clip(np.float32(-0.25) * R + np.float32(0.475), 0.16, 0.35)
    rock = (B02 < L) & (R < 0.90) & (np.float32(0.8) * B11 > B02) & (CM == NOT_CLASSIFIED)
    CM[rock] = 5
    CMC[rock] = 0
    partly = (R > 0.90) & (R < 1.10) & (B02 < L) & (CM == NOT_CLASSIFIED)
    CMC[partly] *= ramp(R, 0.90, 1.10)[partly]
    # 6bis
    R = divide(B04, B11)
    CMC[(R >= 6) & (CM == NOT_CLASSIFIED)] = 0
    partly = (R > 3) & (R < 6)
    CMC[partly] *= 1 - ramp(R, 3, 6)[partly]
    # 7
    CM[(CMC > 0) & (CMC < 0.20) & (CM == NOT_CLASSIFIED)] = 7
    CM[(CMC >= 0.20) & (CMC < 0.80) & (CM == NOT_CLASSIFIED)] = 8
    CM[(CMC >= 0.80) & (CM == NOT_CLASSIFIED)] = 9
    high = np.broadcast_to(altitude, empty.shape) >= 1500
    thin = (B10 > 0.012) & (B10 < 0.035) & (B02 < 0.50) & (CMC < 0.20) & ~high
    thick = (B10 >= 0.035) & (CMC < 0.80)
    if variant == "evolution":
        thick &= ~high
    CM[thin & (CM != 0)] = 10
    CM[thick & (CM != 0)] = 8
    if variant == "evolution":
        CMC[thick] = 0.65
        CMS[thick] = 0
    # recovery of dark vegetation
    green = (NDVI > 0.42) | (divide(B8A, B03) > 2.5)
    green &= (CM == 2) | (CM == NOT_CLASSIFIED)
    CM[green] = 4
    if variant == "evolution":
        CMC[green] = 0
        CMS[green] = 0
    # recovery of water
    R = divide(B02, B11)
    blue = (R > 4) & (B8A < B04)
    CM[blue & (CM == 2)] = 6
    CM[blue & (CM == NOT_CLASSIFIED) & (B8A < 0.3)] = 6
    # recovery of soil
    CM[(R < 0.65) & (CM == 2)] = 5
    CM[CM == NOT_CLASSIFIED] = 5 if variant == "evolution" else 7
    CMC[CM == 0] = 0
    CMS[CM == 0] = 0
    return CM, CMC, CMS


def assert_same(toa, **options):
    for variant in ("evolution", "classic"):
        scl, cloud, snow = classify_pixels(toa, variant=variant, **options)
        want_scl, want_cloud, want_snow = reference(toa, variant=variant, **options)
        different = np.flatnonzero(scl != want_scl)
        assert different.size == 0, (variant, toa[different[:3]], scl[different[:3]])
        np.testing.assert_allclose(cloud, want_cloud, atol=2e-6)
        np.testing.assert_allclose(snow, want_snow, atol=2e-6)


@pytest.mark.parametrize("snow_possible", [True, False])
@pytest.mark.parametrize("altitude", [100.0, 2500.0])
@pytest.mark.parametrize("kind", ["uniform", "dark", "grey", "water", "quantised"])
def test_kernel_is_the_reference_on_random_spectra(kind, altitude, snow_possible):
    rng = np.random.default_rng(20)
    n = 100_000
    if kind == "uniform":
        toa = rng.uniform(-0.02, 1.2, (n, 13))
    elif kind == "dark":
        toa = rng.uniform(0.0, 0.3, (n, 13))
    elif kind == "grey":
        toa = rng.uniform(0.0, 0.8, (n, 1)) * rng.uniform(0.7, 1.4, (n, 13))
    elif kind == "water":
        toa = rng.uniform(0.05, 0.4, (n, 1)) * np.linspace(1.5, 0.1, 13) ** rng.uniform(
            0, 2, (n, 1)
        )
        toa *= rng.uniform(0.8, 1.2, (n, 13))
    else:
        toa = np.round(rng.uniform(0.0, 0.5, (n, 13)), 2)  # many exact ties with thresholds
    toa[:, 10] = rng.choice([0.001, 0.012, 0.02, 0.0349, 0.035, 0.05], n, p=[0.7] + [0.06] * 5)
    assert_same(toa.astype(np.float32), altitude=altitude, snow_possible=snow_possible)


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        (7, 13),
        elements=st.one_of(
            st.floats(-0.125, 1.75, width=32),
            st.sampled_from([0.0, float("nan"), 0.25, 0.5]),
        ),
    ),
    st.booleans(),
)
def test_kernel_is_the_reference_on_any_spectrum(toa, snow_possible):
    assert_same(toa, snow_possible=snow_possible)


@pytest.mark.realdata
def test_kernel_is_the_reference_on_real_spectra():
    path = REALDATA / "pixel_spectra_20000" / "spectra.npz"
    if not path.is_file():
        pytest.skip("no real spectra: set S2CLOUD_REALDATA to the folder of test data")
    toa = np.load(path)["dn"].astype(np.float32) / np.float32(10000)
    assert_same(toa)
    assert_same(toa, snow_possible=False)
    assert_same(toa, altitude=3000.0)

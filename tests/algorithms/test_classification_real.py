"""Real spectra: few false alarms over cloud-free land cover, sane confidences everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from s2cloud.algorithms.classification import classify_pixels
from s2cloud.model.bands import BANDS

REALDATA = Path(
    os.environ.get("S2CLOUD_REALDATA", Path(__file__).resolve().parents[2].parent / "shared/data")
)


def real(path):
    if not (REALDATA / path).is_file():
        pytest.skip("no real spectra: set S2CLOUD_REALDATA to the folder of test data")
    return np.load(REALDATA / path)


@pytest.mark.realdata
def test_cloud_free_land_cover_of_europe_raises_few_false_alarms():
    # Medians of EuroSAT patches, chosen cloud-free by their publishers; they lack B10.
    data = real("labelled/eurosat_ms_patch_stats_train.npz")
    names = [str(name).lower() for name in data["bands"]]
    toa = np.full((len(data["label"]), 13), 0.0013, np.float32)
    for column, name in enumerate(names):
        toa[:, BANDS.index(name)] = data["p50"][:, column] / 10000
    scl, _, _ = classify_pixels(toa, snow_possible=False)
    shares = {}
    for code, name in enumerate(data["classes"]):
        count = np.bincount(scl[data["label"] == code], minlength=12)
        shares[str(name)] = count / count.sum()
        row = " ".join(f"{100 * share:5.1f}" for share in shares[str(name)])
        print(f"{name:22} {row}")  # noqa: T201  # for pytest -s
    assert shares["SeaLake"][6] > 0.9
    assert shares["Forest"][4] > 0.9
    assert shares["Pasture"][4] > 0.9
    assert all(share[[8, 9, 10, 11]].sum() < 0.02 for share in shares.values())


@pytest.mark.realdata
def test_distribution_over_real_spectra():
    data = real("pixel_spectra_20000/spectra.npz")
    scl, cloud, snow = classify_pixels(data["dn"].astype(np.float32) / np.float32(10000))
    for source in np.unique(data["source"]):
        count = np.bincount(scl[data["source"] == source], minlength=12)
        print(f"{source!s:26}", *(f"{n:5d}" for n in count))  # noqa: T201  # for pytest -s
    assert np.isfinite([cloud, snow]).all()
    assert (cloud[scl == 9] >= 0.8).all()
    assert (snow[scl == 11] > 0.12).all()


@pytest.mark.realdata
def test_a_labelled_scene_keeps_land_and_water_free_of_cloud():
    # ukis-csmask; it has six bands, the others are put in place by neighbours in the spectrum.
    data = real("labelled/csmask_sentinel2_west.npz")
    image, labels = data["img"], np.squeeze(data["msk"])
    given = ("b02", "b03", "b04", "b08", "b11", "b12")
    toa = np.empty((*image.shape[:2], 13), np.float32)
    toa[..., BANDS.index("b10")] = 0.0013
    for k, name in enumerate(given):
        toa[..., BANDS.index(name)] = image[..., k]
    for name, k, factor in (("b01", 0, 1.05), ("b05", 2, 1.05), ("b06", 3, 1), ("b07", 3, 1),
                            ("b8a", 3, 1), ("b09", 3, 0.4)):  # fmt: skip
        toa[..., BANDS.index(name)] = image[..., k] * factor
    scl, _, _ = classify_pixels(toa)
    clouds = np.isin(scl, (8, 9, 10))
    land, water, cloud = (labels == code for code in (3, 1, 4))
    print(*(f"{100 * clouds[m].mean():.2f} %" for m in (land, water, cloud)))  # noqa: T201
    assert clouds[land].mean() < 0.02
    assert clouds[water].mean() < 0.02
    assert clouds[cloud].mean() > 0.60

"""Coarser pixels from the low resolutions of the files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from s2cloud.io.open import open_l1c
from s2cloud.io.overview import block_mean
from s2cloud.model.errors import UsageError
from s2cloud.processor import process
from s2cloud.scheduling.jobs import Job
from s2cloud.simulation import simulate_l1c

if TYPE_CHECKING:
    import xarray as xr

REFLECTANCE = "measurements/reflectance"


@pytest.fixture(scope="module")
def safe(tmp_path_factory) -> Path:
    return Path(simulate_l1c(tmp_path_factory.mktemp("simulated"), size=720, seed=5).uri)


def pixels(tree: xr.DataTree, path: str) -> Any:
    return tree[path].to_numpy()


def test_at_sixty_metres_the_overview_is_the_product(safe, caplog):
    with caplog.at_level(logging.WARNING):
        l1c = open_l1c(safe, finest=60)
    assert set(l1c[REFLECTANCE].children) == {"r60m"}
    assert "low-pass" in caplog.text
    counts = pixels(l1c, f"{REFLECTANCE}/r60m/b04")
    np.testing.assert_array_equal(counts, pixels(l1c, "measurements/overview/r60m/b04"))
    l2a = process(l1c)
    assert "low-pass" in l2a.attrs["provenance"]["input_note"]
    assert np.isfinite(pixels(l2a, f"{REFLECTANCE}/r60m/b08")).mean() > 0.9


def test_at_twenty_metres_a_pixel_is_near_the_mean_of_those_below(safe):
    exact = open_l1c(safe)
    quick = open_l1c(safe, finest=20)
    assert set(quick[REFLECTANCE].children) == {"r20m", "r60m"}
    wanted = block_mean(pixels(exact, f"{REFLECTANCE}/r10m/b04"), 2).astype(float)
    found = pixels(quick, f"{REFLECTANCE}/r20m/b04").astype(float)
    assert found.shape == wanted.shape
    inner = (slice(2, -2), slice(2, -2))
    assert abs((found - wanted)[inner].mean()) < 2.0
    assert np.corrcoef(found[inner].ravel(), wanted[inner].ravel())[0, 1] > 0.99
    same = [pixels(quick, f"{REFLECTANCE}/r20m/b05"), pixels(exact, f"{REFLECTANCE}/r20m/b05")]
    np.testing.assert_array_equal(*same)


def test_a_part_of_a_tile_is_read_in_full(safe):
    west, south, east, north = open_l1c(safe).attrs["granule"]["bbox"]
    middle = ((west + east) / 2, (south + north) / 2)
    part = (*middle, middle[0] + 0.01, middle[1] + 0.01)
    assert "r10m" in open_l1c(safe, finest=60, bbox=part)[REFLECTANCE].children


def test_other_sizes_are_refused(safe):
    with pytest.raises(UsageError, match="no such pixel size"):
        open_l1c(safe, finest=30)  # type: ignore[arg-type]


def test_a_quick_job_is_another_job():
    plain = Job("a", "b", resolution=(20,))
    quick = Job("a", "b", resolution=(20,), quick=True)
    assert (plain.finest, quick.finest) == (10, 20)
    assert plain.key != quick.key

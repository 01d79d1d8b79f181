"""What all tests share: where the real data are, if they are anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pyproj  # noqa: F401  # before any test loads eccodes, see s2cloud/io/grib.py
import pytest


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real Sentinel-2 data; tests that need it carry the mark ``realdata``."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("S2CLOUD_REALDATA", beside))
    if not folder.is_dir():
        pytest.skip("no real data: set S2CLOUD_REALDATA to their folder")
    return folder

"""The machinery of the soak tests is imported as ``tests.soak``, from wherever pytest starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(scope="session")
def small_safe(tmp_path_factory):
    """A simulated product of a few kilometres."""
    from s2cloud.simulation import simulate_l1c  # noqa: PLC0415

    return simulate_l1c(tmp_path_factory.mktemp("l1c"), size=288)

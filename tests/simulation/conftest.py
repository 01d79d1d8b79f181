"""One small product shared by the tests of a module run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import xarray as xr

from s2cloud.simulation import SimulatedProduct, simulate_l1c

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> SimulatedProduct:
    return simulate_l1c(tmp_path_factory.mktemp("mixed"), size=360, nodata_fraction=0.1)


@pytest.fixture(scope="session")
def clear(tmp_path_factory: pytest.TempPathFactory) -> SimulatedProduct:
    return simulate_l1c(
        tmp_path_factory.mktemp("clear"), size=720, scene="clear", seed=3, elevation=400.0
    )


@pytest.fixture(scope="session")
def level(tmp_path_factory: pytest.TempPathFactory) -> SimulatedProduct:
    """A plane without clouds."""
    return simulate_l1c(
        tmp_path_factory.mktemp("level"), size=720, scene="patches", seed=3, elevation=400.0
    )


@pytest.fixture
def level_truth(level: SimulatedProduct) -> Iterator[xr.DataTree]:
    with xr.open_datatree(level.truth_uri, engine="zarr") as tree:
        yield tree


@pytest.fixture
def clear_truth(clear: SimulatedProduct) -> Iterator[xr.DataTree]:
    with xr.open_datatree(clear.truth_uri, engine="zarr") as tree:
        yield tree

"""A small simulated product before and after, and a whole tile that must not be computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from s2cloud.config import ProcessorConfig
from s2cloud.io.open import open_l1c
from s2cloud.model.bands import L2A_BANDS
from s2cloud.model.grid import Grid
from s2cloud.model.schema import FLAGS, SCL_PATH, atmosphere_path, reflectance_path
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def l1c(tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    made = simulate_l1c(tmp_path_factory.mktemp("l1c"), size=240, seed=3)
    return open_l1c(made.uri)


@pytest.fixture(scope="session")
def l2a(l1c: xr.DataTree) -> xr.DataTree:
    config = ProcessorConfig.model_validate({"uncertainty": {"enabled": True}})
    return process(l1c, config=config).load()


@pytest.fixture
def whole_tile() -> xr.DataTree:
    """Lazy tile of 10 980 pixels of which 60 m, and nothing finer, can be computed."""

    def fails(block: Any) -> NoReturn:
        raise AssertionError("a fine block was computed")

    def raster(name: str, resolution: int) -> Any:
        n = 109_800 // resolution
        kind = np.uint8 if name in {"scl", "cld"} else np.uint16 if name == "flags" else np.float32
        full = da.full((n, n), 4 if name == "scl" else 1 if name == "flags" else 0.1, kind)
        return full if resolution == 60 else full.map_blocks(fails, dtype=kind, meta=full)

    nodes = {}
    for r in (10, 20, 60):
        grid = Grid("EPSG:32632", 699960.0, 5000040.0, float(r), 109_800 // r, 109_800 // r)
        for path, names in (
            (reflectance_path(r), L2A_BANDS[r]),
            (atmosphere_path(r), ("aot", "wvp")),
            (f"{SCL_PATH}/r{r}m", ("scl",) if r > 10 else ()),
            (f"quality/probability/r{r}m", ("cld",) if r > 10 else ()),
            (f"{FLAGS}/r{r}m", ("flags",) if r > 10 else ()),
        ):
            if names:
                nodes[path] = xr.Dataset(
                    {n: (("y", "x"), raster(n, r)) for n in names}, {"y": grid.y, "x": grid.x}
                )
    return xr.DataTree.from_dict(nodes)


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")

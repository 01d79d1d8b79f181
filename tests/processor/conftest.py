"""A small L1C tree in memory: vegetation, soil and a lake under a known sky."""

from datetime import UTC, datetime

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.granule import Granule
from s2cloud.model.grid import BLOCK_PX, Grid
from s2cloud.model.schema import CAMS, ECMWF, GEOMETRY, OVERVIEW, reflectance_path

ULX, ULY = 600000.0, 5100000.0
VEGETATION = (0.13, 0.105, 0.095, 0.06, 0.10, 0.20, 0.25, 0.27, 0.28, 0.10, 0.002, 0.14, 0.06)
SOIL = (0.15, 0.14, 0.14, 0.16, 0.18, 0.20, 0.22, 0.23, 0.25, 0.09, 0.002, 0.30, 0.24)
WATER = (0.12, 0.09, 0.06, 0.035, 0.03, 0.025, 0.022, 0.02, 0.018, 0.008, 0.001, 0.006, 0.004)
CLOUD = (0.60, 0.60, 0.58, 0.57, 0.58, 0.60, 0.62, 0.62, 0.63, 0.40, 0.030, 0.45, 0.30)


def _counts(n60: int, seed: int, *, lake: bool) -> dict[str, np.ndarray]:
    """Counts of all bands at their native resolution over n60 x n60 pixels of 60 m."""
    rng = np.random.default_rng(seed)
    share = np.kron(rng.random((n60 // 5, n60 // 5)), np.ones((5, 5)))
    y, x = np.mgrid[0:n60, 0:n60]
    wet = (y - n60 * 0.7) ** 2 + (x - n60 * 0.3) ** 2 < (n60 * 0.12) ** 2 * lake
    cloud = (y - n60 * 0.25) ** 2 + (x - n60 * 0.75) ** 2 < (n60 * 0.1) ** 2
    counts = {}
    for i, name in enumerate(BANDS):
        factor = 60 // BAND_INFO[name].resolution
        toa = VEGETATION[i] * share + SOIL[i] * (1 - share)
        toa = np.where(wet, WATER[i], np.where(cloud, CLOUD[i], toa))
        toa = np.kron(toa, np.ones((factor, factor)))
        toa = toa * (1 + 0.03 * rng.standard_normal(toa.shape))
        values = np.clip(np.rint((toa + 0.1) * 1e4), 1, 65534).astype(np.uint16)
        values[: 4 * factor, : 7 * factor] = 0
        counts[name] = values
    return counts


def _dataset(counts, grid, chunk, attrs):
    how = {"scale_factor": 1e-4, "add_offset": -0.1}
    arrays = {n: (("y", "x"), da.from_array(c, chunks=chunk), how) for n, c in counts.items()}
    return xr.Dataset(arrays, coords={"y": grid.y, "x": grid.x}, attrs={"crs": grid.crs, **attrs})


def build(
    n60=90, *, chunk=100, seed=0, single=None, meteorology=True, window=None, lake=True
) -> xr.DataTree:
    """L1C tree; ``single`` puts all bands on one grid, ``window`` cuts bands (row, col, size)."""
    counts = _counts(n60, seed, lake=lake)
    means = {}
    for name, values in counts.items():
        factor = 60 // BAND_INFO[name].resolution
        square = values.reshape(n60, factor, n60, factor)
        mean = np.rint(square.mean(axis=(1, 3))).astype(np.uint16)
        means[name] = np.where((square == 0).any(axis=(1, 3)), np.uint16(0), mean)
    nodes = {}
    for resolution in (10, 20, 60):
        factor = 60 // resolution
        if single:
            factor = 60 // single
            chosen = {n: np.kron(m, np.ones((factor, factor), np.uint16)) for n, m in means.items()}
        else:
            chosen = {n: c for n, c in counts.items() if BAND_INFO[n].resolution == resolution}
        grid = Grid("EPSG:32632", ULX, ULY, 60 / factor, n60 * factor, n60 * factor)
        if window:
            row, col, size = (v * factor for v in window)
            chosen = {n: c[row : row + size, col : col + size] for n, c in chosen.items()}
            grid = grid.window(row, col, size, size)
        nodes[reflectance_path(single or resolution)] = _dataset(
            chosen, grid, chunk, {"resolution": single or resolution}
        )
    grid = Grid("EPSG:32632", ULX, ULY, 60.0, n60, n60)
    nodes[f"{OVERVIEW}/r60m"] = _dataset(means, grid, -1, {})
    sun = np.stack([np.full((3, 3), 35.0), np.full((3, 3), 150.0)])
    view = np.stack([np.full((3, 3), 5.0), np.full((3, 3), 105.0)])[None, None].repeat(13, 0)
    nodes[GEOMETRY] = xr.Dataset(
        {
            "sun_angles": (("angle", "y", "x"), sun),
            "viewing_incidence_angles": (("band", "detector", "angle", "y", "x"), view),
        },
        coords={"x": ULX + np.arange(3) * 5000.0, "y": ULY - np.arange(3) * 5000.0},
    )
    if meteorology:
        flat = ("latitude", "longitude")
        nodes[ECMWF] = xr.Dataset(
            {
                "tcwv": (flat, np.full((2, 2), 18.0)),
                "tco3": (flat, np.full((2, 2), 320.0 * 2.1415e-5)),
                "msl": (flat, np.full((2, 2), 101500.0)),
            }
        )
        nodes[CAMS] = xr.Dataset(
            {"aod550": (flat, np.full((2, 2), 0.27)), "z": (flat, np.full((2, 2), 9.80665 * 250))}
        )
    tree = xr.DataTree.from_dict(nodes)
    name = "S2A_MSIL1C_20250601T101601_N0511_R065_T32TQM_20250601T141234"
    identity = Granule(name, "S2A", datetime(2025, 6, 1, 10, 16, tzinfo=UTC), tile="32TQM")
    tree.attrs = {"granule": identity.to_attrs(), "sensor": "S2A"}
    return tree


@pytest.fixture(scope="session")
def make_l1c():
    return build


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 1.8 km, so that a small tree has many."""
    for resolution, size in ((10, 180), (20, 90), (60, 30)):
        monkeypatch.setitem(BLOCK_PX, resolution, size)

"""A small Level-2A tree with the shape of the real one, and one pretend object store."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import dask.array as da
import fsspec
import numpy as np
import pytest
import xarray as xr
from moto.server import ThreadedMotoServer

from s2cloud.io import layers
from s2cloud.model.bands import BANDS, L2A_BANDS
from s2cloud.model.granule import Granule
from s2cloud.model.grid import Grid
from s2cloud.model.schema import FLAGS, GEOMETRY, SCL_PATH, atmosphere_path, reflectance_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "S2A_MSIL1C_20250601T101601_N0511_R065_T32TQM_20250601T141234"
SIDE_M = 2400  # two blocks of 1200 m
BLOCKS = {10: 120, 20: 60, 60: 20}
ULX, ULY = 699960.0, 5000040.0

GRANULE = Granule(
    name=NAME,
    sensor="S2A",
    sensing_time=datetime(2025, 6, 1, 10, 20, 46, 24000, tzinfo=UTC),
    tile="32TQM",
    baseline="05.11",
    relative_orbit=65,
    absolute_orbit=51234,
    datatake="GS2A_20250601T101601_051234_N05.11",
    datastrip="S2A_OPER_MSI_L1C_DS_2APS_20250601T141234_S20250601T101600_N05.11",
    uri="s3://bucket/product.SAFE",
)


def pixels(name: str, resolution: int, side_m: int = SIDE_M) -> np.ndarray[Any, Any]:
    """Full-size values of a variable, a function of nothing but its name."""
    n = side_m // resolution
    rng = np.random.default_rng(abs(hash_name(name)) + resolution)
    if name == "scl":
        values: np.ndarray[Any, Any] = rng.integers(1, 12, (n, n)).astype(np.uint8)
        values[: n // 2, : n // 2] = 4
    elif name in {"cld", "snw"}:
        values = rng.integers(0, 101, (n, n)).astype(np.uint8)
    elif name == "flags":
        values = (1 | rng.integers(0, 1024, (n, n)) * 2).astype(np.uint16)
    elif name == "aot":
        values = rng.uniform(0.05, 0.3, (n, n)).astype(np.float32)
    elif name == "wvp":
        values = rng.uniform(5.0, 30.0, (n, n)).astype(np.float32)
    else:
        values = rng.uniform(-0.05, 0.6, (n, n)).astype(np.float32)
    empty = {"scl": 0, "flags": 0, "cld": 101, "snw": 101}.get(name, np.nan)
    values[: n // 8, :] = empty
    return values


def hash_name(name: str) -> int:
    return sum((i + 1) * ord(c) for i, c in enumerate(name))


def build(
    *,
    resolutions: tuple[int, ...] = (10, 20, 60),
    chunks: dict[int, Any] | None = None,
    side_m: int = SIDE_M,
    crs: str = "EPSG:32632",
    granule: Granule = GRANULE,
    provenance: dict[str, Any] | None = None,
    wrap: Callable[[str, Any], Any] | None = None,
    corner: tuple[float, float] = (ULX, ULY),
    flags: bool = False,
) -> xr.DataTree:
    sizes: dict[int, Any] = {**BLOCKS, **(chunks or {})}
    single = len(resolutions) == 1

    def dataset(names: Any, r: int) -> xr.Dataset:
        n = side_m // r
        grid = Grid(crs, *corner, float(r), n, n)
        variables = {}
        for name in names:
            array = da.from_array(pixels(name, r, side_m), chunks=sizes[r])
            variables[name] = (("y", "x"), wrap(name, array) if wrap else array)
        coords = {"y": grid.y, "x": grid.x}
        return xr.Dataset(variables, coords=coords, attrs={"crs": crs, "resolution": r})

    nodes: dict[str, xr.Dataset] = {"/": xr.Dataset()}
    work = resolutions[0] if single else 20
    for r in resolutions:
        names = [b for b in BANDS if b != "b10"] if single else L2A_BANDS[r]  # type: ignore[index]
        nodes[reflectance_path(r)] = dataset(names, r)  # type: ignore[arg-type]
        nodes[atmosphere_path(r)] = dataset(["aot", "wvp"], r)  # type: ignore[arg-type]
        if r >= work:
            nodes[f"{SCL_PATH}/r{r}m"] = dataset(["scl"], r)
    nodes[f"quality/probability/r{work}m"] = dataset(["cld", "snw"], work)
    if flags:
        nodes[f"{FLAGS}/r{work}m"] = dataset(["flags"], work)
    nodes["quality/retrieval"] = xr.Dataset({"aot_mean": ((), da.asarray(np.float32(0.25)))})
    nodes[GEOMETRY] = xr.Dataset(
        {
            "sun_angles": (("angle", "y", "x"), np.stack([np.full((3, 3), 30.0)] * 2)),
            "mean_sun_angles": (("angle",), np.array([28.5, 145.25])),
            "mean_viewing_incidence_angles": (
                ("band", "angle"),
                np.array([[5.0, 359.0], [7.0, 1.0]]),
            ),
        },
        coords={"angle": ["zenith", "azimuth"], "band": ["b02", "b8a"]},
    )
    tree = xr.DataTree.from_dict(nodes, name=granule.l2a_name)
    tree.attrs = {
        "granule": granule.to_attrs(),
        "provenance": provenance
        or {"software": "s2cloud", "configuration": {"a": 1}, "configuration_digest": "c0ffee"},
    }
    return tree


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "BLOCK_PX", BLOCKS)


@pytest.fixture
def make_l2a() -> Callable[..., xr.DataTree]:
    return build


@pytest.fixture
def make_chip() -> Callable[..., xr.DataTree]:
    """One resolution, few pixels: all that the commit protocol needs."""
    return partial(build, resolutions=(60,))


@pytest.fixture
def values() -> Callable[..., np.ndarray[Any, Any]]:
    return pixels


@pytest.fixture
def granule() -> Granule:
    return GRANULE


@pytest.fixture
def memory_url() -> Iterator[str]:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield "memory://products/one"
    fs.store.clear()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, Any]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    options = {"key": "k", "secret": "s", "client_kwargs": {"region_name": "us-east-1"}}
    boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="k",
        aws_secret_access_key="s",
        region_name="us-east-1",
    ).create_bucket(Bucket="bucket")
    yield {"endpoint_url": endpoint, **options}
    server.stop()


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes an environment with some packages; gives its interpreter.

    Kept in the folder S2CLOUD_READERS if that is set.
    """

    def made(*packages: str) -> Path:
        folder = os.environ.get("S2CLOUD_READERS") or str(tmp_path_factory.mktemp("readers"))
        home = Path(folder) / packages[0].replace("=", "-")
        python = home / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)  # noqa: S603
            # Each in a call of its own: the second may override what the first is bound to.
            for package in packages:
                call = [str(python), "-m", "pip", "install", "--quiet", package]
                if subprocess.run(call, check=False).returncode:  # noqa: S603
                    pytest.skip(f"{package} cannot be installed")
        return python

    return made

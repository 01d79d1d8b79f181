"""What the examples of the documentation find: a product on disk and in a bucket, and maps."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import fsspec
import numpy as np
import pytest
import rasterio
from rasterio import Affine

from s2cloud.demo.bucket import bucket_on_this_machine
from s2cloud.simulation import simulate_l1c

#: The product of all examples.
NAME = "S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559.SAFE"


def _map(path, west, north, value, dtype):
    """One degree or three of the same value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    degrees = 1 if dtype == "float32" else 3
    with rasterio.open(
        *(path, "w"),
        driver="GTiff", width=360, height=360, count=1, dtype=dtype, crs="EPSG:4326",
        transform=Affine(degrees / 360, 0, west, 0, -degrees / 360, north),
    ) as image:  # fmt: skip
        image.write(np.full((1, 360, 360), value, dtype))


@pytest.fixture(scope="module")  # its bucket must be gone before others make one of that name
def place(tmp_path_factory):
    """A folder with `NAME` and the folder ``maps``, and storage options of ``s3://bucket``."""
    folder = tmp_path_factory.mktemp("docs")
    product = simulate_l1c(folder, size=360)
    assert Path(product.uri).name == NAME
    dem = "Copernicus_DSM_COG_10_N42_00_E011_00_DEM"
    for lon in (11, 12):
        name = dem.replace("E011", f"E{lon:03d}")
        _map(folder / "maps" / "glo-30" / name / f"{name}.tif", lon, 43, 120.0, "float32")
    cover = "ESA_WorldCover_10m_2021_v200_N42E009_Map.tif"
    _map(folder / "maps" / "worldcover" / cover, 9, 45, 40, "uint8")
    with bucket_on_this_machine("bucket") as options:
        fs = fsspec.filesystem("s3", **options)
        fs.put(product.uri, f"bucket/{NAME}", recursive=True)
        yield folder, options


@pytest.fixture
def surroundings(place, tmp_path, monkeypatch):
    """The working folder and the environment that examples run in."""
    folder, options = place
    for each in folder.iterdir():
        (tmp_path / each.name).symlink_to(each)
    (tmp_path / "tiles.txt").write_text(f"{NAME}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", options["key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", options["secret"])
    monkeypatch.setenv("MPLBACKEND", "agg")
    handlers = list(logging.getLogger().handlers)
    yield tmp_path
    logging.getLogger().handlers[:] = handlers
    with contextlib.suppress(ImportError):
        import matplotlib.pyplot as plt  # noqa: PLC0415

        plt.close("all")

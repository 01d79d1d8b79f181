"""The program ``gdalinfo`` of the system, as QGIS would see the files: COG, SAFE, Zarr 2."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from s2cloud.io.product import write_product
from s2cloud.io.zarr_writer import ZarrOptions

CORNER = [699960.0, 10.0, 0.0, 5000040.0, 0.0, -10.0]


def described(address: str) -> dict[str, Any]:
    program = shutil.which("gdalinfo")
    if program is None:
        pytest.skip("no gdalinfo: apt-get install gdal-bin")
    done = subprocess.run(  # noqa: S603
        [program, "-json", address], check=True, capture_output=True, text=True
    )
    assert "ERROR" not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gdalinfo")


@pytest.fixture
def product(folder, make_l2a):
    """All formats, written once."""
    if not (folder / "receipt.json").exists():
        write_product(
            make_l2a(), folder, formats=("cog", "zarr", "safe"), zarr=ZarrOptions(version=2)
        )
    return folder


def test_geotiff(product):
    found = described(str(next(product.glob("*_B02_10m.tif"))))
    assert found["size"] == [240, 240]
    assert found["geoTransform"] == CORNER
    assert 'ID["EPSG",32632]' in found["coordinateSystem"]["wkt"]
    (band,) = found["bands"]
    assert (band["type"], band["noDataValue"]) == ("UInt16", 0.0)
    assert (band["scale"], band["offset"]) == (0.0001, -0.1)
    assert found["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"


def test_safe(product):
    metadata = next(product.glob("*.SAFE")) / "MTD_MSIL2A.xml"
    subsets = described(str(metadata))["metadata"]["SUBDATASETS"]
    names = [value for key, value in subsets.items() if key.endswith("_NAME")]
    assert [name.rsplit(":", 2)[1] for name in names] == ["10m", "20m", "60m", "TCI"]
    found = described(names[0])
    assert (found["size"], found["geoTransform"]) == ([240, 240], CORNER)
    assert found["bands"][0]["metadata"][""]["BANDNAME"] == "B4"


def test_zarr_of_version_2(product):
    path = next(product.glob("*.zarr"))
    found = described(f'ZARR:"{path}":/measurements/reflectance/r10m/b02')
    assert (found["size"], found["geoTransform"]) == ([240, 240], CORNER)
    (band,) = found["bands"]
    assert band["noDataValue"] == 0.0
    assert (band["scale"], band["offset"]) == (0.0001, -0.1)

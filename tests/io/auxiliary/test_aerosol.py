"""Optical thickness of CAMS: formats, times, the date line, a real field."""

from __future__ import annotations

from datetime import UTC, datetime

import eccodes
import numpy as np
import pytest
import rasterio
import xarray as xr

from s2cloud.io.auxiliary.aerosol import CamsAerosol
from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError
from s2cloud.model.grid import Grid

TIME = datetime(2025, 6, 1, 10, 16, tzinfo=UTC)
GRID = Grid("EPSG:32632", 572000.0, 5099000.0, 60.0, 1830, 1830)


def field(lon, lat):
    """Optical thickness that is linear between the points of the maps below."""
    return 0.2 + 0.002 * np.abs((lon + 90) % 360 - 180) + 0.001 * lat


def globe(step=2.0, first=0.0):
    lon = first + np.arange(0, 360, step)
    lat = 90 - np.arange(0, 180 + step, step)
    return xr.DataArray(
        field(lon[None, :], lat[:, None]).astype(np.float32),
        dims=("latitude", "longitude"),
        coords={"latitude": lat, "longitude": lon},
    )


def grib(path, times):
    """Global fields, one per time, with the time added to them."""
    array = globe()
    with path.open("wb") as file:
        for hour in times:
            handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
            keys = {
                "dataDate": 20250601, "dataTime": hour * 100, "Ni": 180, "Nj": 91,
                "latitudeOfFirstGridPointInDegrees": 90, "latitudeOfLastGridPointInDegrees": -90,
                "longitudeOfFirstGridPointInDegrees": 0, "longitudeOfLastGridPointInDegrees": 358,
                "iDirectionIncrementInDegrees": 2, "jDirectionIncrementInDegrees": 2,
                "centre": 98, "table2Version": 210, "indicatorOfParameter": 207,
            }  # fmt: skip
            for key, value in keys.items():
                eccodes.codes_set(handle, key, value)
            eccodes.codes_set(handle, "bitsPerValue", 24)
            eccodes.codes_set_values(handle, array.values.ravel().astype(float) + hour)
            eccodes.codes_write(handle, file)
            eccodes.codes_release(handle)
    return path


def test_grib(tmp_path):
    path = grib(tmp_path / "cams.grib", [0, 9, 12])
    found = CamsAerosol(str(path), TIME).open(GRID, 0.0, 60.0)
    assert found.dims == ("latitude", "longitude")
    assert found.attrs["valid_time"] == "2025-06-01T09:00Z"
    expected = field(found.longitude.values[None, :], found.latitude.values[:, None])
    np.testing.assert_allclose(found.values - 9, expected, atol=1e-3)


@pytest.mark.parametrize("style", ["old", "new"])
def test_netcdf(tmp_path, memory, style):
    array = globe()
    # The Atmosphere Data Store: times since 1900 packed in integers; analysis and steps apart.
    if style == "old":
        stack = xr.concat([array + 0.5, array, array + 0.7], dim="time")
        stack = stack.assign_coords(time=np.array([6, 11, 18]).astype("timedelta64[h]"))
        stack["time"] = np.datetime64("2025-06-01") + stack["time"]
        encoding = {"dtype": "int16", "scale_factor": 1e-4, "add_offset": 1.0, "_FillValue": -9}
    else:
        steps = np.array([5, 10, 15]).astype("timedelta64[h]").astype("timedelta64[ns]")
        stack = xr.concat([array + 0.5, array, array + 0.7], dim="forecast_period")
        stack = stack.assign_coords(forecast_period=steps)
        start = np.array(["2025-06-01"], dtype="datetime64[ns]")
        stack = stack.expand_dims(forecast_reference_time=start, axis=1)
        encoding = {"dtype": "float32"}
    dataset = stack.to_dataset(name="aod550")
    dataset["other"] = array * 0
    path = tmp_path / "cams.nc"
    dataset.to_netcdf(path, encoding={"aod550": encoding})
    open_store(memory).put_file(path, "cams.nc")
    for address in (str(path), f"{memory}/cams.nc"):
        found = CamsAerosol(address, TIME).open(GRID, 0.0, 60.0)
        expected = field(found.longitude.values[None, :], found.latitude.values[:, None])
        np.testing.assert_allclose(found.values, expected, atol=2e-3)
        hour = 11 if style == "old" else 10
        assert found.attrs["valid_time"] == f"2025-06-01T{hour}:00Z"


@pytest.mark.parametrize("first", [0.0, -180.0])
@pytest.mark.parametrize(
    ("crs", "ulx", "uly"),
    [("EPSG:32601", 199980.0, 5900040.0), ("EPSG:32632", 199980.0, 5900040.0),
     ("EPSG:32631", 99960.0, 100020.0)],
)  # fmt: skip
def test_geotiff_goes_round_the_earth(maps, tmp_path, crs, ulx, uly, first):
    values = (globe(first=first).values * 1e4).astype(np.uint16)
    path = maps.write(tmp_path / "aod.tif", values, first - 1, 91, 2, 2)
    with rasterio.open(path, "r+") as image:
        image.update_tags(scaling_factor="0.0001")
    grid = Grid(crs, ulx, uly, 60.0, 1830, 1830)
    found = CamsAerosol(str(path), TIME).open(grid, 0.0, 60.0)
    expected = field(found.longitude.values[None, :], found.latitude.values[:, None])
    np.testing.assert_allclose(found.values, expected, atol=2e-3)


def test_the_nearest_file_of_a_folder_is_taken(maps, tmp_path):
    for hour, value in ((0, 0.1), (9, 0.2), (15, 0.3)):
        values = np.full((91, 180), value, np.float32)
        maps.write(tmp_path / f"aod_20250601T{hour:02d}0000Z.tif", values, -181, 91, 2, 2)
    found = CamsAerosol(str(tmp_path), TIME).open(GRID, 0.0, 60.0)
    np.testing.assert_allclose(found.values, 0.2, rtol=1e-6)
    assert found.attrs["valid_time"] == "2025-06-01T09:00Z"


def test_files_that_cannot_be_used_are_refused(maps, tmp_path):
    region = maps.write(tmp_path / "a.tif", np.full((20, 20), 0.2, np.float32), 30, 20, 1, 1)
    with pytest.raises(InputError, match=r"no optical thickness over the tile.*a\.tif"):
        CamsAerosol(str(region), TIME).open(GRID, 0.0, 60.0)
    (tmp_path / "b.grib").write_bytes(b"GRIB" + bytes(3) + b"\x01" + bytes(100))
    with pytest.raises(InputError, match="damaged GRIB"):
        CamsAerosol(str(tmp_path / "b.grib"), TIME).open(GRID, 0.0, 60.0)
    (tmp_path / "c.tif").write_bytes(b"no")
    with pytest.raises(InputError, match=r"file of CAMS cannot be read: .*c\.tif"):
        CamsAerosol(str(tmp_path / "c.tif"), TIME).open(GRID, 0.0, 60.0)
    globe().to_dataset(name="od").to_netcdf(tmp_path / "d.nc")
    with pytest.raises(InputError, match=r"no aerosol optical thickness.*expected .*aod550.*od"):
        CamsAerosol(str(tmp_path / "d.nc"), TIME).open(GRID, 0.0, 60.0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no files of CAMS"):
        CamsAerosol(str(tmp_path / "empty"), TIME).open(GRID, 0.0, 60.0)


@pytest.mark.realdata
def test_real_field(realdata):
    path = realdata / "atmosphere" / "CAMS_NRT_aod550_20170126T210000Z.tif"
    found = CamsAerosol(str(path), datetime(2017, 1, 26, 20, tzinfo=UTC)).open(GRID, 0.0, 60.0)
    assert found.attrs["valid_time"] == "2017-01-26T21:00Z"
    with rasterio.open(path) as image:
        lat, lon = float(found.latitude.mean()), float(found.longitude.mean())
        near = next(iter(image.sample([(lon, lat)])))[0] * 1e-4
    assert abs(float(found.mean()) - near) < 0.05
    assert 0.003 < near < 6.5

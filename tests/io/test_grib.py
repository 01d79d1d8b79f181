"""Meteorological files: fields by name and unit, damage noticed."""

from __future__ import annotations

import eccodes
import numpy as np
import pytest

from s2cloud.io.grib import read_grib
from s2cloud.model.errors import InputError


def changed(message: bytes, **keys: object) -> bytes:
    handle = eccodes.codes_new_from_message(message)
    try:
        for key, value in keys.items():
            eccodes.codes_set(handle, key, value)
        return bytes(eccodes.codes_get_message(handle))
    finally:
        eccodes.codes_release(handle)


def test_fields_are_found_by_name_in_any_order(factory):
    for order in (("tcwv", "tco3", "10u"), ("10u", "tco3", "tcwv")):
        values = {"tcwv": 21.5, "tco3": 0.0065, "10u": 3.0}
        ds = read_grib(b"".join(factory.grib(n, values[n]) for n in order), "AUX")
        assert set(ds.data_vars) == {"tcwv", "tco3", "u10"}
        assert float(ds["tcwv"][0, 0]) == pytest.approx(21.5, rel=1e-4)
        assert float(ds["u10"][8, 8]) == pytest.approx(3 * 1.08, rel=1e-4)
        assert ds["tco3"].attrs["units"] == "kg m-2"
        assert ds["tcwv"].dims == ("latitude", "longitude")


def test_axes_run_as_in_the_file(factory):
    ds = read_grib(factory.grib("msl", 101300.0), "AUX")
    assert ds["latitude"].values[[0, -1]].tolist() == [46.0, 45.0]
    assert ds["longitude"].values[[0, -1]].tolist() == [10.0, 11.5]
    assert ds.attrs["valid_time"] == "2024-07-15T01:40Z"


def test_the_place_of_a_file_leaves_no_trace(factory):
    names = ("/data/AUX_ECMWFT", "zip://p/AUX_ECMWFT::s3://bucket/p.zip")
    assert {read_grib(factory.grib("msl", 1e5), n).attrs["source"] for n in names} == {"AUX_ECMWFT"}


def test_longitudes_beyond_180_are_west(factory):
    message = changed(
        factory.grib("msl", 101300.0),
        longitudeOfFirstGridPointInDegrees=359.0,
        longitudeOfLastGridPointInDegrees=1.0,
    )
    assert read_grib(message, "AUX")["longitude"].values[[0, -1]].tolist() == [-1.0, 1.0]


def test_missing_values_are_nan(factory):
    handle = eccodes.codes_new_from_message(factory.grib("tcwv", 20.0))
    eccodes.codes_set(handle, "bitmapPresent", 1)
    values = eccodes.codes_get_values(handle)
    values[3] = eccodes.codes_get(handle, "missingValue")
    eccodes.codes_set_values(handle, values)
    message = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    found = read_grib(bytes(message), "AUX")["tcwv"].to_numpy()
    assert np.isnan(found[0, 3])
    assert np.isnan(found).sum() == 1


@pytest.mark.parametrize("cut", [1, 50, 200, 260])
def test_cut_off_files_are_refused(cut, factory):
    data = factory.grib("tcwv", 20.0) + factory.grib("msl", 101300.0)
    with pytest.raises(InputError, match=r"damaged GRIB file: AUX_ECMWFT.*Fix:"):
        read_grib(data[:-cut], "AUX_ECMWFT")


@pytest.mark.parametrize("data", [b"", b"nothing", b"GRIB"])
def test_other_files_are_refused(data):
    with pytest.raises(InputError, match="damaged GRIB file"):
        read_grib(data, "AUX_ECMWFT")


def test_fields_on_another_grid_are_refused(factory):
    with pytest.raises(InputError, match="another grid"):
        read_grib(factory.grib("tcwv", 20.0) + factory.grib("msl", 1e5, side=5), "AUX")

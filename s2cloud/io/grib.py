"""Meteorological files of a product (AUX_ECMWFT, AUX_CAMSFO), read from memory with eccodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyproj  # noqa: F401  # must be loaded before eccodes, see below

# isort: split
# eccodes loads a PROJ library of its own for all to see (RTLD_GLOBAL, eccodeslib 2.50); a pyproj
# that is loaded after it takes that one's functions and crashes the interpreter.
import eccodes
import numpy as np
import xarray as xr

from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_grib"]

#: Unit of each parameter that the processor uses, in the spelling of eccodes. Readers that go
#: by position instead mix up ozone and water vapour, so name and unit are both checked.
_UNITS: Final = {
    "tcwv": "kg m**-2",
    "msl": "Pa",
    "tco3": "kg m**-2",
    "10u": "m s**-1",
    "10v": "m s**-1",
    "r": "%",
    "z": "m**2 s**-2",
}
#: Names of the variables where the parameter's own name is no identifier.
_NAMES: Final = {"10u": "u10", "10v": "v10"}


def read_grib(data: bytes, name: str) -> xr.Dataset:
    """All fields of a GRIB file on one regular grid.

    Parameters
    ----------
    data
        Content of the file.
    name
        Address of the file for messages.

    Returns
    -------
    Dataset
        Variables by short name (``tcwv``, ``msl``, ``tco3``, ``u10``, ``z``, ``aod550`` ...)
        with dimensions latitude and longitude [degree], in the units of the file.

    Raises
    ------
    InputError
        If the file is damaged, or a parameter comes in another unit than it should.
    """
    variables: dict[str, tuple[tuple[str, str], Any, dict[str, str]]] = {}
    coords: dict[str, Any] = {}
    valid = ""
    try:
        for message in _messages(data, name):
            short, field, axes, units, valid = _field(message, name)
            if coords and not all(np.array_equal(coords[key], axes[key]) for key in axes):
                raise _damaged(name, f"{short} lies on another grid than the first field")
            coords = axes
            key = _NAMES.get(short, short)
            variables[key] = (("latitude", "longitude"), field, {"units": _plain(units)})
    except eccodes.CodesInternalError as error:
        raise _damaged(name, str(error)) from error
    if not variables:
        raise _damaged(name, "no GRIB message")
    # The name of the file alone: a product copied to another store stays the same product.
    source = name.partition("::")[0].rsplit("/", 1)[-1]
    attrs = {"valid_time": valid, "source": source}
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _messages(data: bytes, name: str) -> Iterator[bytes]:
    position = data.find(b"GRIB")
    while position >= 0:
        edition = data[position + 7] if position + 8 <= len(data) else 0
        if edition == 1:
            length = int.from_bytes(data[position + 4 : position + 7], "big")
        else:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        message = data[position : position + length]
        if edition not in {1, 2} or len(message) != length or message[-4:] != b"7777":
            raise _damaged(name, f"message at byte {position} is cut off")
        yield message
        position = data.find(b"GRIB", position + length)


def _field(message: bytes, name: str) -> tuple[str, Any, dict[str, Any], str, str]:
    handle = eccodes.codes_new_from_message(message)
    try:
        # ESA counts the step in minutes; eccodes refuses to give a step in hours then.
        eccodes.codes_set(handle, "stepUnits", "m")
        short, units = (str(eccodes.codes_get(handle, key)) for key in ("shortName", "units"))
        if _UNITS.get(short, units) != units:
            raise InputError(
                "meteorological field in a wrong unit",
                where=f"{name} {short}",
                expected=_UNITS[short],
                found=units,
                fix="replace the file by the one of the original product",
            )
        grid = str(eccodes.codes_get(handle, "gridType"))
        rows, cols = (int(eccodes.codes_get(handle, key)) for key in ("Nj", "Ni"))
        values = np.asarray(eccodes.codes_get_values(handle), dtype=np.float32)
        if grid != "regular_ll" or values.size != rows * cols:
            raise _damaged(name, f"{short} on a grid of type {grid}")
        missing = float(eccodes.codes_get(handle, "missingValue"))
        if eccodes.codes_get(handle, "numberOfMissing"):
            values[values == np.float32(missing)] = np.nan
        axes = {
            "latitude": _axis(handle, "latitude", rows),
            "longitude": _axis(handle, "longitude", cols),
        }
        date, time = (eccodes.codes_get(handle, f"validity{key}") for key in ("Date", "Time"))
    finally:
        eccodes.codes_release(handle)
    day, clock = f"{date:08d}", f"{time:04d}"
    valid = f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:]}Z"
    return short, values.reshape(rows, cols), axes, units, valid


def _axis(handle: Any, name: str, count: int) -> Any:
    first = float(eccodes.codes_get(handle, f"{name}OfFirstGridPointInDegrees"))
    last = float(eccodes.codes_get(handle, f"{name}OfLastGridPointInDegrees"))
    if name == "longitude":
        # Some files count to 360: west of Greenwich becomes negative, the axis stays monotonic.
        first = (first + 180.0) % 360.0 - 180.0
        last = first + (last - first) % 360.0
    return np.linspace(first, last, count)


def _plain(units: str) -> str:
    return "1" if units == "~" else units.replace("**", "")


def _damaged(name: str, found: str) -> InputError:
    return InputError(
        "damaged GRIB file",
        where=name,
        found=found,
        fix="download the file again, or delete it to process with configured constants",
    )

"""Aerosol optical thickness of CAMS from a file: netCDF, GRIB or GeoTIFF, the nearest time."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyproj
import rasterio
import xarray as xr
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from s2cloud.io.auxiliary.sampling import central_meridian
from s2cloud.io.grib import read_grib
from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url, public_url
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from s2cloud.io.auxiliary.protocol import Kind, Request
    from s2cloud.model.grid import Grid

__all__ = ["PROVIDERS", "CamsAerosol"]

#: Names of the field in the files of the Atmosphere Data Store and of others.
_NAMES: Final = ("aod550", "AOD550", "tau550", "od550aer", "AOT550")
#: Points of the result along each side of the tile where the product brings none.
_POINTS: Final = 9
_SUFFIXES: Final = (".nc", ".grib", ".grb", ".grib2", ".grb2", ".tif", ".tiff")


class _Field(NamedTuple):
    """Optical thickness at one time."""

    values: npt.NDArray[np.float64]
    latitude: npt.NDArray[np.float64]
    longitude: npt.NDArray[np.float64]
    time: datetime | None


@dataclass(frozen=True, slots=True)
class CamsAerosol:
    """Optical thickness at 550 nm of the CAMS forecast or reanalysis.

    Attributes
    ----------
    address
        File, or folder of files with times such as ``20170126T210000`` in their names.
    time
        Sensing time; the nearest field is taken.
    storage_options
        Options of the file system.
    """

    address: str
    time: datetime
    storage_options: Any = field(default_factory=dict, repr=False)
    name: str = "cams"
    kind: Kind = "aerosol"
    attribution: str = (
        "contains modified Copernicus Atmosphere Monitoring Service information; neither the "
        "European Commission nor ECMWF is responsible for any use of it"
    )
    resolution_m: float = 44_500.0

    @property
    def source(self) -> str:
        """Name and address."""
        return f"CAMS, {public_url(self.address)}"

    def open(self, grid: Grid, margin_m: float, resolution: float) -> xr.DataArray:  # noqa: ARG002
        """Optical thickness on nine by nine points over an area, see `AuxProvider.open`.

        The file is read here: the processor wants the mean of the field before anything else.
        """
        meridian = central_meridian(grid.crs)
        to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        west, south, east, north = grid.bounds
        x, y = np.meshgrid(
            np.linspace(west - margin_m, east + margin_m, _POINTS),
            np.linspace(north + margin_m, south - margin_m, _POINTS),
        )
        lon, lat = to_degrees.transform(x, y)
        # One longitude per column also across the date line.
        lon = meridian + (lon - meridian + 180.0) % 360.0 - 180.0
        return self.at(
            np.linspace(lat.max(), lat.min(), _POINTS), np.linspace(lon.min(), lon.max(), _POINTS)
        )

    def at(
        self, latitude: npt.NDArray[np.float64], longitude: npt.NDArray[np.float64]
    ) -> xr.DataArray:
        """Optical thickness on a grid of one's own. [degree].

        Returns
        -------
        DataArray
            (latitude, longitude), with the attribute ``valid_time`` if the file tells.
        """
        path, data, url = self._content()
        fields = list(_fields(path, data, url))
        nearest = min(fields, key=lambda f: abs((f.time or self.time) - self.time))
        values = _interpolated(nearest, latitude, longitude)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 20:
            raise InputError(
                "no optical thickness over the tile",
                where=url,
                expected="values from 0 to 20 over the whole tile",
                found=f"{np.nanmin(values):g} to {np.nanmax(values):g}"
                if np.isfinite(values).any()
                else "none",
                fix="give a file of AOD at 550 nm that covers the tile",
            )
        return xr.DataArray(
            values,
            dims=("latitude", "longitude"),
            coords={"latitude": latitude, "longitude": longitude},
            name="aod550",
            attrs={
                "units": "1",
                "long_name": "aerosol optical thickness at 550 nm",
                "valid_time": "" if nearest.time is None else f"{nearest.time:%Y-%m-%dT%H:%MZ}",
            },
        )

    def _content(self) -> tuple[str, bytes, str]:
        """Name, content and address of the file."""
        if self.address.partition("?")[0].lower().endswith(_SUFFIXES):
            folder, path = parent_url(self.address)
            store = open_store(folder, self.storage_options)
        else:
            store = open_store(self.address, self.storage_options)
            names = [n for n in store.listdir() if n.lower().endswith(_SUFFIXES)]
            if not names:
                raise InputError(
                    "no files of CAMS",
                    where=store.url(),
                    expected=f"files that end with {', '.join(_SUFFIXES)}",
                    fix="give a file, or a folder of files that can be listed",
                )
            path = min(names, key=lambda n: (abs((_time_of(n) or self.time) - self.time), n))
        return path, store.read(path), store.url(path)


def _time_of(text: str) -> datetime | None:
    match = re.search(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)(?:[T_ -]?(\d\d):?(\d\d)?)?", text)
    try:
        if match is None:
            return None
        year, month, day, hour, minute = (int(value or 0) for value in match.groups())
        return datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None


def _fields(path: str, data: bytes, url: str) -> Iterator[_Field]:
    if data[:4] == b"GRIB" or re.search(r"\.gri?b2?$", path.lower()):
        yield from _from_grib(data, url)
    else:
        yield from _from_gdal(path, data, url)


def _from_grib(data: bytes, url: str) -> Iterator[_Field]:
    found = set()
    position = data.find(b"GRIB")
    while position >= 0:
        # The next message begins where the length of this one says.
        size = slice(position + 4, position + 7) if data[position + 7] == 1 else None
        size = size or slice(position + 8, position + 16)
        stop = position + int.from_bytes(data[size], "big")
        dataset = read_grib(data[position:stop], url)
        found |= {str(name) for name in dataset.data_vars}
        name = next((n for n in _NAMES if n in dataset), None)
        if name is not None:
            yield _Field(
                np.asarray(dataset[name].values, dtype=np.float64),
                np.asarray(dataset["latitude"].values, dtype=np.float64),
                np.asarray(dataset["longitude"].values, dtype=np.float64),
                _time_of(str(dataset.attrs["valid_time"])),
            )
            found.add("aod550")
        position = data.find(b"GRIB", stop)
    if "aod550" not in found:
        raise _no_field(url, sorted(found))


def _from_gdal(path: str, data: bytes, url: str) -> Iterator[_Field]:
    # The netCDF library reads files only, no memory.
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / Path(path).name.partition("?")[0]
        local.write_bytes(data)
        try:
            if local.suffix == ".nc":
                yield from _bands(_variable(str(local), url), url)
            else:
                yield from _bands(str(local), url)
        except RasterioError as error:
            raise InputError(
                "file of CAMS cannot be read",
                where=url,
                found=str(error).splitlines()[0][:200],
                fix="download it again as netCDF, GRIB or GeoTIFF",
            ) from error


def _variable(local: str, url: str) -> str:
    with warnings.catch_warnings():
        # The file as a whole has no place on Earth, its variables have.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        container = rasterio.open(f"netcdf:{local}")
    with container as dataset:
        names = [str(s).rsplit(":", 1)[-1] for s in dataset.subdatasets]
        only = (
            {str(v) for k, v in dataset.tags(1).items() if k == "NETCDF_VARNAME"}
            if (dataset.count)
            else set()
        )
    name = next((n for n in _NAMES if n in {*names, *only}), None)
    if name is None:
        raise _no_field(url, sorted({*names, *only}))
    return f"netcdf:{local}:{name}"


def _bands(address: str, url: str) -> Iterator[_Field]:
    with rasterio.open(address) as dataset:
        t, tags = dataset.transform, dataset.tags()
        columns, rows = np.arange(dataset.width) + 0.5, np.arange(dataset.height) + 0.5
        longitude, latitude = t.c + columns * t.a, t.f + rows * t.e
        # Some publishers keep the factor in a tag where GDAL does not look.
        factor = float(tags.get("scaling_factor", 1.0))
        for band in dataset.indexes:
            raw = dataset.read(band, masked=True).astype(np.float64)
            scale, offset = dataset.scales[band - 1], dataset.offsets[band - 1]
            scale = factor if (scale, offset) == (1.0, 0.0) else scale
            values = np.ma.filled(raw * scale + offset, np.nan)
            time = _band_time(dataset.tags(band), tags) or _time_of(
                tags.get("DateTime_UTC", "") or url.rsplit("/", 1)[-1]
            )
            yield _Field(values, latitude, longitude, time)


def _band_time(band: dict[str, str], tags: dict[str, str]) -> datetime | None:
    """Valid time: the time of the analysis and the steps since, as CF axes of the netCDF."""
    start, ahead = None, timedelta()
    for key, value in band.items():
        name = key.removeprefix("NETCDF_DIM_")
        units = tags.get(f"{name}#units", "") if name != key else ""
        match = re.match(r"(second|minute|hour|day)s?(?: since (.+))?$", units)
        if not match:
            continue
        span = timedelta(**{f"{match[1]}s": float(value)})
        if match[2]:
            since = _time_of(match[2])
            start = since + span if since else start
        else:
            ahead += span
    return start + ahead if start else None


def _interpolated(
    source: _Field, latitude: npt.NDArray[np.float64], longitude: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Bilinear between the points of a regular grid that may go round the Earth."""
    values, lats, lons = source.values, source.latitude, source.longitude
    if lats[0] > lats[-1]:
        values, lats = values[::-1], lats[::-1]
    step = float(lons[1] - lons[0])
    period = round(360.0 / step)
    v = np.clip((latitude - lats[0]) / (lats[1] - lats[0]), 0.0, lats.size - 1.0)
    u = ((longitude - lons[0]) % 360.0) / step
    i, j = np.minimum(v.astype(int), lats.size - 2), np.floor(u).astype(int)
    fy, fx = (v - i)[:, None], (u - j)[None, :]
    if lons.size >= period:
        left, right = j % period, (j + 1) % period
    else:
        outside = (u > lons.size - 1) | (
            (latitude.min() < lats[0] - 1) | (latitude.max() > lats[-1] + 1)
        )
        left, right = np.minimum(j, lons.size - 1), np.minimum(j + 1, lons.size - 1)
        values = values if not outside.any() else np.full_like(values, np.nan)
    upper = values[np.ix_(i, left)] * (1 - fx) + values[np.ix_(i, right)] * fx
    lower = values[np.ix_(i + 1, left)] * (1 - fx) + values[np.ix_(i + 1, right)] * fx
    return np.asarray(upper * (1 - fy) + lower * fy)


def _no_field(url: str, found: list[str]) -> InputError:
    return InputError(
        "no aerosol optical thickness in the file",
        where=url,
        expected=f"a variable {_NAMES[0]}",
        found=", ".join(found[:6]) or "none",
        fix="download total aerosol optical depth at 550 nm from the Atmosphere Data Store",
    )


def _maker(request: Request) -> CamsAerosol:
    return CamsAerosol(request.address, request.time, dict(request.storage_options))


PROVIDERS: Final = {"cams": _maker}

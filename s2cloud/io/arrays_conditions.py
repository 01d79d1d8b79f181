"""Angles, meteorology and terrain of an L1C tree from the numbers a user gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from s2cloud.model.bands import BAND_INDEX, BANDS, band_name
from s2cloud.model.errors import UsageError
from s2cloud.model.schema import CAMS, ECMWF, GEOMETRY, TERRAIN
from s2cloud.processor.meteorology import OZONE_KG_M2_PER_DU

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.grid import Grid

    Floats = npt.NDArray[np.float64]

__all__ = ["Angles", "Scalars", "conditions"]


@dataclass(frozen=True, slots=True)
class Angles:
    """Directions as given to ``l1c_from_bands``. [degree].

    Attributes
    ----------
    sza, saa, vza, vaa
        Numbers, values per band, or arrays of tie points. [degree]
    bands
        Bands that are there, in ESA's order.
    """

    sza: Any
    saa: Any
    vza: Any
    vaa: Any
    bands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scalars:
    """State of the atmosphere and surface as given to ``l1c_from_bands``.

    Attributes
    ----------
    tcwv
        [kg m-2]
    tco3
        [DU]
    pressure
        At sea level. [hPa]
    aot550
        [1]
    elevation
        Number or array. [m]
    """

    tcwv: float | None
    tco3: float | None
    pressure: float | None
    aot550: float | None
    elevation: Any


def conditions(
    grid: Grid, bbox: tuple[float, ...], angles: Angles, scalars: Scalars
) -> dict[str, xr.Dataset]:
    """Nodes below ``conditions``, in the form that a product has.

    Parameters
    ----------
    grid
        Finest grid of the data.
    bbox
        West, south, east, north [degree], empty if unknown.
    angles, scalars
        What the user gave; None is left out.
    """
    nodes = {GEOMETRY: _geometry(grid, angles)}
    ecmwf = {
        "tcwv": (scalars.tcwv, 1.0, "kg m-2"),
        "tco3": (scalars.tco3, OZONE_KG_M2_PER_DU, "kg m-2"),
        "msl": (scalars.pressure, 100.0, "Pa"),
    }
    for node, values in ((ECMWF, ecmwf), (CAMS, {"aod550": (scalars.aot550, 1.0, "1")})):
        given = {
            name: (float(value) * factor, units)
            for name, (value, factor, units) in values.items()
            if value is not None
        }
        if given:
            nodes[node] = _constants(given, bbox)
    if scalars.elevation is not None:
        nodes[TERRAIN] = _terrain(grid, scalars.elevation)
    return nodes


def _geometry(grid: Grid, angles: Angles) -> xr.Dataset:
    west, south, east, north = grid.bounds
    given = (angles.sza, angles.saa, angles.vza, angles.vaa)
    tied = [a for a in given if isinstance(a, xr.DataArray) and {"y", "x"} <= set(a.dims)]
    x, y = np.array([west, east]), np.array([north, south])
    if tied:
        x, y = (_axis(tied[0], dim) for dim in ("x", "y"))
    shape = (y.size, x.size)
    sun = np.stack([_plane(value, x, y, word) for value, word in zip(given[:2], _SUN, strict=True)])
    view = np.full((len(BANDS), 1, 2, *shape), np.nan)
    for axis, (value, word) in enumerate(zip(given[2:], _VIEW, strict=True)):
        for band, plane in _per_band(value, angles.bands, x, y, word).items():
            view[BAND_INDEX[band], 0, axis] = plane
    units = {"units": "degree"}
    mean_view = [_mean_direction(view[i, 0]) for i in range(len(BANDS))]
    return xr.Dataset(
        {
            "sun_angles": (("angle", "y", "x"), sun, units),
            "viewing_incidence_angles": (("band", "detector", "angle", "y", "x"), view, units),
            "mean_sun_angles": (("angle",), np.array(_mean_direction(sun)), units),
            "mean_viewing_incidence_angles": (("band", "angle"), np.array(mean_view), units),
        },
        coords={
            "angle": ["zenith", "azimuth"],
            "band": list(BANDS),
            "detector": [1],
            "y": y,
            "x": x,
        },
        attrs={"crs": grid.crs},
    )


_SUN = ("sza", "saa")
_VIEW = ("vza", "vaa")


def _axis(array: xr.DataArray, dim: str) -> Floats:
    if dim not in array.coords or array.sizes[dim] < 2:
        raise UsageError(
            "tie points without place",
            where=str(array.name or "angles"),
            expected=f"coordinate {dim} in metres, at least two points",
            found=f"coordinates {sorted(map(str, array.coords))}, shape {array.shape}",
            fix="assign coordinates x and y",
        )
    return np.asarray(array[dim].values, dtype=np.float64)


def _plane(value: Any, x: Floats, y: Floats, word: str) -> Floats:
    """One angle on all tie points."""
    if isinstance(value, xr.DataArray) and value.ndim:
        plane = np.asarray(value.transpose("y", "x").values, dtype=np.float64)
        same = np.array_equal(_axis(value, "x"), x) and np.array_equal(_axis(value, "y"), y)
        if not same:
            raise UsageError(
                "angles on different tie points",
                where=word,
                expected="the same x and y for all angles",
                fix="interpolate them to one grid, or give numbers",
            )
        return plane
    return np.full((y.size, x.size), float(value))


def _per_band(
    value: Any, bands: tuple[str, ...], x: Floats, y: Floats, word: str
) -> dict[str, Floats]:
    if isinstance(value, xr.DataArray) and "band" in value.dims:
        names = [str(v) for v in value["band"].values] if "band" in value.coords else list(bands)
        pieces: dict[str, Any] = {n: value.isel(band=i) for i, n in enumerate(names)}
    elif isinstance(value, Mapping):
        pieces = dict(value)
    elif isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim == 1):
        order = BANDS if len(value) == len(BANDS) else bands
        if len(value) != len(order):
            raise UsageError(
                "wrong number of angles",
                where=word,
                expected=f"{len(BANDS)} (ESA's order) or {len(bands)}",
                found=len(value),
                fix="give a mapping of bands to angles",
            )
        pieces = dict(zip(order, value, strict=True))
    else:
        pieces = dict.fromkeys(BANDS, value)
    return {band_name(band): _plane(piece, x, y, word) for band, piece in pieces.items()}


def _mean_direction(angles: Floats) -> tuple[float, float]:
    """Mean zenith and azimuth; azimuths are averaged as directions."""
    zenith, azimuth = angles
    if not np.isfinite(zenith).any():
        return (float("nan"), float("nan"))
    turn = np.nanmean(np.exp(1j * np.radians(azimuth)))
    return (float(np.nanmean(zenith)), float(np.degrees(np.angle(turn)) % 360.0))


def _constants(given: Mapping[str, tuple[float, str]], bbox: tuple[float, ...]) -> xr.Dataset:
    west, south, east, north = bbox or (0.0, 0.0, 0.0, 0.0)
    return xr.Dataset(
        {
            name: (("latitude", "longitude"), np.full((2, 2), value), {"units": units})
            for name, (value, units) in given.items()
        },
        coords={"latitude": [north, south], "longitude": [west, east]},
        attrs={"source": "given by the user"},
    )


def _terrain(grid: Grid, elevation: Any) -> xr.Dataset:
    attrs = {"units": "m", "long_name": "elevation of the surface"}
    if isinstance(elevation, xr.DataArray) and elevation.ndim:
        return xr.Dataset({"elevation": elevation.rename("elevation").assign_attrs(attrs)})
    values = np.asarray(elevation, dtype=np.float32)
    if values.ndim == 0:
        return xr.Dataset({"elevation": ((), values, attrs)})
    if values.shape != grid.shape:
        raise UsageError(
            "elevation does not fit",
            where="elevation",
            expected=f"shape {grid.shape} of the finest bands",
            found=values.shape,
            fix="give a number, or an array with coordinates x and y",
        )
    return xr.Dataset(
        {"elevation": (("y", "x"), values, attrs)},
        coords={"y": ("y", grid.y), "x": ("x", grid.x)},
        attrs={"crs": grid.crs},
    )

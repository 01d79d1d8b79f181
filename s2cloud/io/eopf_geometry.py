"""Small arrays of an EOPF Zarr product: angles at the tie points, forecasts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from s2cloud.model.bands import BANDS
from s2cloud.model.errors import InputError
from s2cloud.model.schema import CAMS, ECMWF, GEOMETRY

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.io.zarr_source import ZarrFiles
    from s2cloud.model.grid import Grid

__all__ = ["GEOMETRY_ARRAYS", "METEOROLOGY_ARRAYS", "geometry_of", "meteorology_of"]

_AXES: Final = ("angle", "band", "detector", "x", "y")
_ANGLES: Final = (
    *("sun_angles", "viewing_incidence_angles"),
    *("mean_sun_angles", "mean_viewing_incidence_angles"),
)
GEOMETRY_ARRAYS: Final = tuple(f"{GEOMETRY}/{name}" for name in (*_ANGLES, *_AXES))
_FIELDS: Final = {
    ECMWF: ("tcwv", "msl", "tco3", "u10", "v10", "r"),
    CAMS: (
        *("z", "aod469", "aod550", "aod670", "aod865", "aod1240"),
        *("bcaod550", "duaod550", "omaod550", "ssaod550", "suaod550"),
    ),
}
METEOROLOGY_ARRAYS: Final = tuple(
    f"{node}/{name}"
    for node, names in _FIELDS.items()
    for name in (*names, "latitude", "longitude")
)
#: Spacing of the tie points. [m]
_STEP: Final = 5000.0


def geometry_of(zarr: ZarrFiles, grid: Grid, name: str) -> xr.Dataset:
    """Angles at the tie points.

    Parameters
    ----------
    zarr
        Arrays of the product.
    grid
        10 m grid, whose corner the tie points are counted from.
    name
        Address of the group for messages.

    Raises
    ------
    InputError
        If angles are missing or do not fit together.
    """
    values = {
        path.rsplit("/", 1)[-1]: array for path, array in zarr.values(GEOMETRY_ARRAYS).items()
    }
    missing = [each for each in _ANGLES[:3] if each not in values]
    if missing:
        raise InputError(
            "group of an EOPF product incomplete",
            where=name,
            expected=", ".join(_ANGLES),
            found="without " + ", ".join(missing),
            fix="copy the whole store again, with its group conditions/geometry",
        )
    sun = np.asarray(values["sun_angles"], np.float64)
    views = np.asarray(values["viewing_incidence_angles"], np.float64)
    if sun.ndim != 3 or views.ndim != 5 or views.shape[2:] != sun.shape:
        raise InputError(
            "angles of an EOPF product do not fit together",
            where=name,
            expected="sun (angle, y, x) and view (band, detector, angle, y, x) on one grid",
            found=f"{sun.shape} and {views.shape}",
            fix="download the product again",
        )
    angles = _order(values.get("angle"), ("zenith", "azimuth"), sun.shape[0])
    bands = _order(values.get("band"), BANDS, views.shape[0])
    count = views.shape[1]
    detectors = [_number(v) for v in values.get("detector", np.arange(1, count + 1)).tolist()]
    rows = grid.uly - np.arange(sun.shape[1]) * _STEP
    cols = grid.ulx + np.arange(sun.shape[2]) * _STEP
    dims = ("angle", "y", "x")
    units = {"units": "degree"}
    variables: dict[str, Any] = {
        "sun_angles": (dims, sun[angles], units),
        "viewing_incidence_angles": (
            ("band", "detector", *dims),
            _taken(views, bands)[:, :, angles],
            units,
        ),
        "mean_sun_angles": (("angle",), values["mean_sun_angles"][angles], units),
    }
    if "mean_viewing_incidence_angles" in values:
        means = _taken(values["mean_viewing_incidence_angles"], bands)[:, angles]
        variables["mean_viewing_incidence_angles"] = (("band", "angle"), means, units)
    return xr.Dataset(
        variables,
        coords={
            "angle": ["zenith", "azimuth"],
            "band": list(BANDS),
            "detector": detectors,
            "y": np.asarray(values.get("y", rows), np.float64),
            "x": np.asarray(values.get("x", cols), np.float64),
        },
        attrs={"crs": grid.crs},
    )


def meteorology_of(zarr: ZarrFiles) -> dict[str, xr.Dataset]:
    """Forecasts of ECMWF and CAMS that the product carries, by node."""
    values = zarr.values(METEOROLOGY_ARRAYS)
    nodes = {}
    for node, names in _FIELDS.items():
        variables = {}
        for name in names:
            field = values.get(f"{node}/{name}")
            if field is not None and field.ndim == 2:
                units = str(dict(zarr.arrays[f"{node}/{name}"].attrs).get("units", ""))
                plain = "1" if units == "~" else units.replace("**", "")
                variables[name] = (("latitude", "longitude"), field, {"units": plain})
        if variables:
            axes = {
                axis: np.asarray(values[f"{node}/{axis}"], np.float64)
                for axis in ("latitude", "longitude")
                if f"{node}/{axis}" in values
            }
            nodes[node] = xr.Dataset(variables, coords=axes, attrs={"source": node})
    return nodes


def _order(labels: Any, wanted: tuple[str, ...], count: int) -> list[int]:
    """Position of each wanted label, -1 where there is none; as wanted where nothing is said."""
    if labels is None:
        return [i if i < count else -1 for i in range(len(wanted))]
    found = [_text(label) for label in np.asarray(labels).tolist()]
    return [found.index(word) if word in found else -1 for word in wanted]


def _text(label: Any) -> str:
    return (label.decode() if isinstance(label, bytes) else str(label)).lower()


def _number(label: Any) -> int:
    digits = re.sub(r"\D", "", _text(label))
    return int(digits or 0)


def _taken(values: Any, order: list[int]) -> npt.NDArray[np.float64]:
    """Values in another order along the first axis, NaN where there are none."""
    values = np.asarray(values, np.float64)
    return np.stack([values[i] if i >= 0 else np.full_like(values[0], np.nan) for i in order])

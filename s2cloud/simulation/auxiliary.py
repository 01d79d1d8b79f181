"""Forecasts of the atmosphere that come with a product, wrong by known amounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import Transformer

from s2cloud.simulation.grib import AEROSOL_SHARES, NODES, TCO3_PER_DU, Field, encode

if TYPE_CHECKING:
    from s2cloud.model.grid import Grid
    from s2cloud.simulation.identity import Identity

__all__ = ["AOT_BIAS", "TCWV_FACTOR", "forecasts"]

#: Forecast aerosol is ``AOT_BIAS[0] * truth + AOT_BIAS[1]``.
AOT_BIAS: Final = (1.15, 0.01)
#: Forecast water vapour over truth.
TCWV_FACTOR: Final = 1.05
#: Standard gravity. [m s-2]
_GRAVITY: Final = 9.80665
_SEA_LEVEL_PRESSURE: Final = 101_325.0  # Pa
#: Optical thickness falls with wavelength to this power.
_ANGSTROM: Final = 1.3


def forecasts(
    product: Identity, grid: Grid, aot550: float, tcwv: float, tco3: float, elevation: float
) -> dict[str, bytes]:
    """Files of the folder ``AUX_DATA``.

    Parameters
    ----------
    product
        Names; baselines before 04.00 have no CAMS file, no wind and no humidity.
    grid
        The 10 m grid.
    aot550, tcwv, tco3, elevation
        Truth: means of the scene. [1], [kg m-2], [DU], [m]

    Returns
    -------
    dict
        Contents by file name.
    """
    west, south, east, north = grid.bounds
    project = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform
    lon, lat = project([west, east, east, west], [north, north, south, south])
    place = Field(max(lat), min(lon), min(lat), max(lon))
    # A ripple of half a percent keeps the fields from being constants, which GRIB packs into no
    # bits at all.
    v, u = np.mgrid[-1 : 1 : NODES * 1j, -1 : 1 : NODES * 1j]
    ripple = 1 + 0.005 * np.sin(2 * u + v)
    aod550 = (AOT_BIAS[0] * aot550 + AOT_BIAS[1]) * ripple
    weather = {
        "tcwv": TCWV_FACTOR * tcwv * ripple,
        "msl": _SEA_LEVEL_PRESSURE + 0.0 * ripple,
        "tco3": TCO3_PER_DU * tco3 + 0.0 * ripple,
    }
    if not product.masks_are_rasters:
        return {"AUX_ECMWFT": encode(weather, place, product.time)}
    weather |= {"10u": 2.0 * ripple, "10v": -1.0 * ripple, "r": 55.0 * ripple}
    aerosol = {"z": _GRAVITY * elevation + 0.0 * ripple}
    for nm in (469, 550, 670, 865, 1240):
        aerosol[f"aod{nm}"] = aod550 * (nm / 550.0) ** -_ANGSTROM
    aerosol |= {name: share * aod550 for name, share in AEROSOL_SHARES.items()}
    return {
        "AUX_CAMSFO": encode(aerosol, place, product.time),
        "AUX_ECMWFT": encode(weather, place, product.time),
    }

"""Forecasts of the atmosphere that come with a product, wrong by known amounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import Transformer

from s2cloud.simulation.grib import NODES, TCO3_PER_DU, Field, encode

if TYPE_CHECKING:
    from s2cloud.model.grid import Grid
    from s2cloud.physics.aerosols import AerosolModel
    from s2cloud.simulation.identity import Identity

__all__ = ["AOT_BIAS", "SPECIES_FACTOR", "TCWV_FACTOR", "forecasts", "species_shares"]

#: Forecast aerosol is ``AOT_BIAS[0] * truth + AOT_BIAS[1]``.
AOT_BIAS: Final = (1.15, 0.01)
#: Forecast share of a species over its true share, before they are made to sum to one: too little
#: soot, too much dust and sea salt.
SPECIES_FACTOR: Final[dict[str, float]] = {
    "bcaod550": 0.7,
    "duaod550": 1.4,
    "omaod550": 0.9,
    "ssaod550": 1.3,
    "suaod550": 1.1,
}
#: Extinction at 550 nm per volume of the components [um-1], by Mie theory, and the species that
#: they pass for. What is soluble in water is organic and sulphate.
_COMPONENTS: Final[dict[str, tuple[float, dict[str, float]]]] = {
    "dust-like": (0.473, {"duaod550": 1.0}),
    "water-soluble": (5.844, {"omaod550": 0.57, "suaod550": 0.43}),
    "soot": (9.265, {"bcaod550": 1.0}),
    "oceanic": (0.747, {"ssaod550": 1.0}),
    "mineral nucleation": (6.682, {"duaod550": 1.0}),
    "mineral accumulation": (1.450, {"duaod550": 1.0}),
    "mineral coarse": (0.234, {"duaod550": 1.0}),
}
#: Forecast water vapour over truth.
TCWV_FACTOR: Final = 1.05
#: Standard gravity. [m s-2]
_GRAVITY: Final = 9.80665
_SEA_LEVEL_PRESSURE: Final = 101_325.0  # Pa
#: Optical thickness falls with wavelength to this power.
_ANGSTROM: Final = 1.3


def species_shares(aerosol: AerosolModel) -> dict[str, float]:
    """Forecast shares of the optical thickness at 550 nm by species, wrong by `SPECIES_FACTOR`.

    Parameters
    ----------
    aerosol
        The aerosol of the scene.
    """
    found = dict.fromkeys(SPECIES_FACTOR, 0.0)
    for component, volume in aerosol.parts:
        extinction, species = _COMPONENTS[component.name]
        for name, share in species.items():
            found[name] += share * volume * extinction
    true = sum(found.values())
    wrong = {name: SPECIES_FACTOR[name] * value / true for name, value in found.items()}
    return {name: value / sum(wrong.values()) for name, value in wrong.items()}


def forecasts(
    product: Identity,
    grid: Grid,
    aerosol: AerosolModel,
    aot550: float,
    tcwv: float,
    tco3: float,
    elevation: float,
) -> dict[str, bytes]:
    """Files of the folder ``AUX_DATA``.

    Parameters
    ----------
    product
        Names; baselines before 04.00 have no CAMS file, no wind and no humidity.
    grid
        The 10 m grid.
    aerosol
        What the scene holds.
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
    cams = {"z": _GRAVITY * elevation + 0.0 * ripple}
    for nm in (469, 550, 670, 865, 1240):
        cams[f"aod{nm}"] = aod550 * (nm / 550.0) ** -_ANGSTROM
    cams |= {name: share * aod550 for name, share in species_shares(aerosol).items()}
    return {
        "AUX_CAMSFO": encode(cams, place, product.time),
        "AUX_ECMWFT": encode(weather, place, product.time),
    }

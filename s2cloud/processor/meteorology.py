"""State of the atmosphere from the product, from a climatology, or from configured constants."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.algorithms.aerosol import mixture_of_species
from s2cloud.model.granule import granule
from s2cloud.model.schema import CAMS, ECMWF, TERRAIN
from s2cloud.physics.mixtures import spelled

if TYPE_CHECKING:
    import xarray as xr

    from s2cloud.config import AtmosphereConfig, ProcessorConfig

__all__ = [
    "GRAVITY",
    "OZONE_KG_M2_PER_DU",
    "Meteorology",
    "climatological_ozone",
    "meteorology",
]

logger = logging.getLogger(__name__)

#: 1 DU = 2.6867e20 molecules m-2 of 47.998 g mol-1.
OZONE_KG_M2_PER_DU = 2.1415e-5
#: Standard gravity, turns the geopotential of the meteorological files into height. [m s-2]
GRAVITY = 9.80665
#: Species of the CAMS optical thickness at 550 nm: dust, sea salt, black carbon, and what
#: resembles water-soluble aerosol, organic matter and sulphate.
SPECIES: Final = (("duaod550",), ("ssaod550",), ("bcaod550",), ("omaod550", "suaod550"))
#: Latitude of the southern edge of the first band of MGRS, and height of a band. [degree]
MGRS_BANDS: Final = "CDEFGHJKLMNPQRSTUVWX"


@dataclass(frozen=True, slots=True)
class Meteorology:
    """State of the atmosphere over a tile.

    Attributes
    ----------
    tcwv
        Water vapour column. [kg m-2]
    tco3
        Ozone column. [DU]
    pressure
        Pressure at sea level. [hPa]
    aot550
        Aerosol optical thickness forecast by CAMS; NaN if the product carries none.
    elevation
        Mean elevation of the surface. [m]
    sources
        Where each value came from: ``ecmwf``, ``cams``, ``terrain``, ``climatology``,
        ``configuration``.
    aerosol_model
        Aerosol of the look-up tables or a mixture of them, see ``mixtures.spelled``; what the
        scene tells of it comes later.
    """

    tcwv: float
    tco3: float
    pressure: float
    aot550: float
    elevation: float
    sources: dict[str, str] = field(default_factory=dict)
    aerosol_model: str = "continental"

    def to_attrs(self) -> dict[str, Any]:
        """JSON-serialisable form for the provenance; NaN becomes None."""
        values = asdict(self)
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in values.items()}


def meteorology(tree: xr.DataTree, config: ProcessorConfig) -> Meteorology:
    """Means over the tile of the meteorological fields of an L1C tree.

    Parameters
    ----------
    tree
        L1C tree, optionally with ``conditions/meteorology/ecmwf``, ``.../cams`` and
        ``conditions/terrain``.
    config
        Constants for what is missing; each use is logged at warning and recorded.

    Returns
    -------
    Meteorology
    """
    sources: dict[str, str] = {}

    def take(name: str, node: str, variable: str, scale: float, fallback: float) -> float:
        value = _mean(tree, node, variable)
        if value is not None:
            sources[name] = node.rsplit("/", maxsplit=1)[-1]
            return value * scale
        sources[name] = "configuration"
        if not np.isnan(fallback):
            logger.warning(
                "product has no %s in %s: using the configured %g", variable, node, fallback
            )
        return fallback

    constants = config.atmosphere
    tcwv = take("tcwv", ECMWF, "tcwv", 1.0, config.water_vapour.fallback_tcwv)
    tco3 = take("tco3", ECMWF, "tco3", 1.0 / OZONE_KG_M2_PER_DU, float("nan"))
    if np.isnan(tco3):
        tco3, sources["tco3"] = _ozone(tree, constants)
    pressure = take("pressure", ECMWF, "msl", 0.01, constants.pressure)
    aot550 = take("aot550", CAMS, "aod550", 1.0, float("nan"))
    elevation = _mean(tree, TERRAIN, "elevation")
    if elevation is not None:
        sources["elevation"] = "terrain"
    else:
        elevation = take("elevation", CAMS, "z", 1.0 / GRAVITY, constants.elevation)
    model, sources["aerosol_model"] = _aerosol_model(tree, config.aerosol.model)
    return Meteorology(tcwv, tco3, pressure, aot550, elevation, sources, model)


def climatological_ozone(latitude: float, longitude: float, day_of_year: int) -> float:
    """Mean ozone column of a place and season. [DU].

    Parameters
    ----------
    latitude, longitude
        Place, north and east positive. [degree]
    day_of_year
        1 to 366.

    Notes
    -----
    Fit of van Heuklon (1979) to the ground network, doi:10.1016/0038-092X(79)90060-4; single days
    differ by 5 to 10 %.

    Examples
    --------
    >>> round(climatological_ozone(36.0, -122.0, 185), 1)
    321.2
    """
    if latitude >= 0.0:
        mean, season, start, waves, stretch = 150.0, 40.0, -30.0, 3.0, 1.28
        shift = 20.0 if longitude > 0.0 else 0.0
    else:
        mean, season, start, waves, stretch = 100.0, 30.0, 152.625, 2.0, 1.5
        shift = -75.0
    swing = season * np.sin(np.radians(0.9865 * (day_of_year + start)))
    wave = 20.0 * np.sin(np.radians(waves * (longitude + shift)))
    polar = np.sin(np.radians(stretch * latitude)) ** 2
    return float(235.0 + (mean + swing + wave) * polar)


def _aerosol_model(tree: xr.DataTree, configured: str) -> tuple[str, str]:
    """Aerosol of the tables and where the choice came from."""
    if configured != "auto":
        return configured, "configuration"
    found = [[_mean(tree, CAMS, name) for name in names] for names in SPECIES]
    shares = tuple(sum(v for v in values if v is not None) for values in found)
    if all(v is not None for values in found for v in values) and sum(shares) > 0.0:
        return spelled(mixture_of_species(shares)), "cams"
    logger.warning("product has no aerosol species in %s: aerosol begins as continental", CAMS)
    return "continental", "configuration"


def _ozone(tree: xr.DataTree, constants: AtmosphereConfig) -> tuple[float, str]:
    """Ozone column without a forecast, and where it came from."""
    place = _place(tree) if constants.ozone_climatology else None
    if place is not None:
        day = granule(tree).sensing_time.timetuple().tm_yday
        value = climatological_ozone(*place, day)
        logger.warning("product has no tco3 in %s: using the climatological %.0f DU", ECMWF, value)
        return value, "climatology"
    logger.warning("product has no tco3 in %s: using the configured %g", ECMWF, constants.tco3)
    return constants.tco3, "configuration"


def _place(tree: xr.DataTree) -> tuple[float, float] | None:
    """Latitude and longitude within a few degrees: of the footprint, or of the name of the tile."""
    about = granule(tree)
    if len(about.bbox) == 4:
        west, south, east, north = about.bbox
        east += 360.0 if east < west else 0.0
        return 0.5 * (south + north), (0.5 * (west + east) + 180.0) % 360.0 - 180.0
    if about.tile[:2].isdigit() and about.tile[2:3] in MGRS_BANDS:
        band = MGRS_BANDS.index(about.tile[2])
        return -76.0 + 8.0 * band, 6.0 * int(about.tile[:2]) - 183.0
    return None


def _mean(tree: xr.DataTree, node: str, variable: str) -> float | None:
    """Mean of a small variable, None if the tree does not hold it or it holds no number."""
    try:
        values = tree[f"{node}/{variable}"]
    except KeyError:
        return None
    mean = float(values.mean(skipna=True))
    return mean if np.isfinite(mean) else None

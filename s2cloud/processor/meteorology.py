"""Columns and pressure of the atmosphere from the product, or from configured constants."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.model.schema import CAMS, ECMWF, TERRAIN

if TYPE_CHECKING:
    import xarray as xr

    from s2cloud.config import ProcessorConfig

__all__ = ["GRAVITY", "OZONE_KG_M2_PER_DU", "Meteorology", "meteorology"]

logger = logging.getLogger(__name__)

#: 1 DU = 2.6867e20 molecules m-2 of 47.998 g mol-1.
OZONE_KG_M2_PER_DU = 2.1415e-5
#: Standard gravity, turns the geopotential of the meteorological files into height. [m s-2]
GRAVITY = 9.80665


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
        Where each value came from: ``ecmwf``, ``cams``, ``terrain``, ``configuration``.
    """

    tcwv: float
    tco3: float
    pressure: float
    aot550: float
    elevation: float
    sources: dict[str, str] = field(default_factory=dict)

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
    tco3 = take("tco3", ECMWF, "tco3", 1.0 / OZONE_KG_M2_PER_DU, constants.tco3)
    pressure = take("pressure", ECMWF, "msl", 0.01, constants.pressure)
    aot550 = take("aot550", CAMS, "aod550", 1.0, float("nan"))
    elevation = _mean(tree, TERRAIN, "elevation")
    if elevation is not None:
        sources["elevation"] = "terrain"
    else:
        elevation = take("elevation", CAMS, "z", 1.0 / GRAVITY, constants.elevation)
    return Meteorology(tcwv, tco3, pressure, aot550, elevation, sources)


def _mean(tree: xr.DataTree, node: str, variable: str) -> float | None:
    """Mean of a small variable, None if the tree does not hold it or it holds no number."""
    try:
        values = tree[f"{node}/{variable}"]
    except KeyError:
        return None
    mean = float(values.mean(skipna=True))
    return mean if np.isfinite(mean) else None

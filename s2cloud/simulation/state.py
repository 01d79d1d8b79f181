"""The state of a scene's atmosphere and sun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.physics.atmosphere import surface_pressure
from s2cloud.simulation.geometry import sun_at
from s2cloud.simulation.raster import from_nodes

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

    from s2cloud.model.grid import Grid
    from s2cloud.physics.gases import B09Law

    Floats = npt.NDArray[np.float64]
    Float32s = npt.NDArray[np.float32]

__all__ = ["NODE_STEP", "SCALE_HEIGHT", "State", "column_maps", "state"]

#: Distance of the nodes on which the atmosphere is computed. [m]
NODE_STEP: Final = 600.0
#: Height over which the columns of aerosol and of water vapour thin to 1/e. [m]
SCALE_HEIGHT: Final = 2_000.0
#: Largest deviations of optical thickness and water vapour from their means. [1]
_AOT_SWING: Final = 0.25
_WATER_SWING: Final = 0.15
_CELL: Final = 60.0


@dataclass(frozen=True, slots=True)
class State:
    """Atmosphere and sun at the nodes of a scene.

    Attributes
    ----------
    y, x
        Northing and easting of the nodes. [m], shape (node_y, node_x)
    aot550
        Aerosol optical thickness at 550 nm above `elevation`. [1]
    tcwv
        Total column water vapour above `elevation`. [kg m-2]
    tco3
        Total column ozone. [DU]
    elevation
        Height above mean sea level for which the columns hold. [m]
    sza, saa
        Zenith and azimuth of the sun. [degree]
    b09_law
        Law of water vapour in B09, one of `s2cloud.physics.gases.B09_LAWS`.
    """

    y: Floats
    x: Floats
    aot550: Floats
    tcwv: Floats
    tco3: float
    elevation: float
    sza: Floats
    saa: Floats
    b09_law: B09Law = "6sv"

    @property
    def pressure(self) -> float:
        """Surface pressure at `elevation`. [hPa]."""
        return float(surface_pressure(self.elevation))

    def thinning(self, elevation: npt.ArrayLike) -> Floats:
        """Columns of aerosol and water vapour above some height, over those above `elevation`."""
        return np.asarray(np.exp((self.elevation - np.asarray(elevation)) / SCALE_HEIGHT))


def state(
    grid: Grid,
    time: datetime,
    *,
    aot550: float,
    tcwv: float,
    tco3: float,
    elevation: float,
    sza: float | None,
    b09_law: B09Law = "6sv",
) -> State:
    """Atmosphere of a scene: smooth gradients around the means.

    Parameters
    ----------
    grid
        The 10 m grid.
    time
        Time, UTC.
    aot550, tcwv, tco3
        Means, see `State`.
    elevation
        Height above mean sea level for which the columns hold. [m]
    sza
        Zenith of the sun at the centre, None for the one of place and time. [degree]
    b09_law
        Law of water vapour in B09.

    Returns
    -------
    State
    """
    west, south, east, north = grid.bounds
    count = int(np.ceil((east - west) / NODE_STEP)) + 1
    offsets = NODE_STEP * np.arange(count)
    x, y = np.meshgrid(west + offsets, north - offsets)
    u = 2 * (x - west) / (east - west) - 1
    v = 2 * (north - y) / (north - south) - 1
    # West-east and a little south for aerosol, north-south and a wave for water vapour.
    aerosol = 0.75 * u + 0.25 * v
    water = 0.7 * v + 0.3 * np.cos(np.pi * u)
    zenith, azimuth = sun_at(grid, time, y, x, sza)
    return State(
        y,
        x,
        aot550 * (1 + _AOT_SWING * aerosol),
        tcwv * (1 + _WATER_SWING * water),
        tco3,
        elevation,
        zenith,
        azimuth,
        b09_law,
    )


def column_maps(
    at: State, shape: tuple[int, int], elevation: Float32s | None = None
) -> tuple[Float32s, Float32s]:
    """Columns above the actual ground.

    Parameters
    ----------
    at
        Atmosphere.
    shape
        Rows and columns of the image at 60 m.
    elevation
        Height of the ground [m], of this shape; None for flat ground at `State.elevation`.

    Returns
    -------
    aot550, tcwv
        [1] and [kg m-2], on the 60 m grid.
    """
    y, x = (_CELL * (np.arange(n) + 0.5) for n in shape)
    aot, water = (from_nodes(field, NODE_STEP, y, x) for field in (at.aot550, at.tcwv))
    if elevation is None:
        return aot, water
    thin = at.thinning(elevation).astype(np.float32)
    return aot * thin, water * thin

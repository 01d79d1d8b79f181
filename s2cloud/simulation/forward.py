"""From surface to top-of-atmosphere reflectance: scattering, gases, adjacency, shadow.

The equations stand here once more on purpose, not taken from the processor, so that a slip on one
side shows as a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft

from s2cloud.model.bands import BAND_INFO
from s2cloud.physics import angles, gases
from s2cloud.simulation.geometry import sun_at
from s2cloud.simulation.raster import from_nodes, magnified

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.model.grid import Grid
    from s2cloud.physics.lut import LookUpTable
    from s2cloud.simulation.geometry import Viewing

    Floats = npt.NDArray[np.float64]
    Float32s = npt.NDArray[np.float32]

__all__ = [
    "ENVIRONMENT_RANGE",
    "NODE_STEP",
    "BandAtmosphere",
    "State",
    "band_atmosphere",
    "environment",
    "state",
    "toa_rows",
]

#: Distance of the nodes on which the atmosphere is computed. [m]
NODE_STEP: Final = 600.0
#: Distance over which the influence of the surroundings falls to 1/e. [m]
ENVIRONMENT_RANGE: Final = 1_000.0
#: Distance beyond which the surroundings no longer count. [m]
_ENVIRONMENT_REACH: Final = 4_000.0
#: Largest deviations of optical thickness and water vapour from their means. [1]
_AOT_SWING: Final = 0.25
_WATER_SWING: Final = 0.15


@dataclass(frozen=True, slots=True)
class State:
    """Atmosphere and sun at the nodes of a scene.

    Attributes
    ----------
    y, x
        Northing and easting of the nodes. [m], shape (node_y, node_x)
    aot550
        Aerosol optical thickness at 550 nm. [1]
    tcwv
        Total column water vapour. [kg m-2]
    tco3
        Total column ozone. [DU]
    pressure
        Surface pressure. [hPa]
    sza, saa
        Zenith and azimuth of the sun. [degree]
    """

    y: Floats
    x: Floats
    aot550: Floats
    tcwv: Floats
    tco3: float
    pressure: float
    sza: Floats
    saa: Floats


@dataclass(frozen=True, slots=True)
class BandAtmosphere:
    """What the atmosphere does to one band, on the 60 m grid.

    Attributes
    ----------
    path
        Reflectance without any surface, for even and odd detectors. [1], shape (2, y, x)
    direct, surroundings
        Factor of the pixel's own reflectance, and light from its surroundings. [1], likewise
    beam
        Share of the direct beam in the downward light. [1], shape (y, x)
    """

    path: Float32s
    direct: Float32s
    surroundings: Float32s
    beam: Float32s


def state(
    grid: Grid,
    time: datetime,
    *,
    aot550: float,
    tcwv: float,
    tco3: float,
    pressure: float,
    sza: float | None,
) -> State:
    """Atmosphere of a scene: smooth gradients around the means.

    Parameters
    ----------
    grid
        The 10 m grid.
    time
        Time, UTC.
    aot550, tcwv, tco3, pressure
        Means, see `State`.
    sza
        Zenith of the sun at the centre, None for the one of place and time. [degree]

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
        pressure,
        zenith,
        azimuth,
    )


def band_atmosphere(
    band: str, sensor: Sensor, table: LookUpTable, at: State, viewing: Viewing, around: Float32s
) -> BandAtmosphere:
    """Everything but the pixel itself, for one band.

    Parameters
    ----------
    band, sensor
        Band and instrument.
    table
        Look-up table of the aerosol.
    at
        Atmosphere and sun.
    viewing
        Directions to the satellite.
    around
        Mean reflectance of the surroundings of each 60 m cell. [1], shape (y, x)

    Returns
    -------
    BandAtmosphere

    Notes
    -----
    With ozone and mixed gases ``Tg``, water vapour ``Tw``, the 6S coupling reads::

        toa = Tg (rayleigh + (path - rayleigh) Tw(W / 2)
                  + Td (Tu_direct rho + Tu_diffuse around) / (1 - S around) Tw(W))

    Water vapour lies below the molecules and amid the aerosol.
    """
    centres = 60.0 * (np.arange(around.shape[0]) + 0.5)
    path, direct, diffuse = ([] for _ in range(3))
    for odd in (False, True):
        view = viewing.view(band, odd, at.y, at.x)
        optics = table.evaluate(
            band,
            sza=at.sza,
            vza=view.zenith,
            raa=angles.relative_azimuth(at.saa, view.azimuth),
            aot550=at.aot550,
            pressure=at.pressure,
        )
        whole, half = (
            gases.transmittance(
                sensor,
                band,
                airmass=angles.airmass(at.sza, view.zenith),
                tcwv=column,
                tco3=at.tco3,
                pressure=at.pressure,
            )
            for column in (at.tcwv, at.tcwv / 2)
        )
        dry = whole.ozone * whole.mixed
        rayleigh = optics.path_reflectance_rayleigh
        aerosol = optics.path_reflectance - rayleigh
        path.append(dry * (rayleigh + aerosol * half.water_vapour))
        down = dry * whole.water_vapour * optics.transmittance_down
        up_direct = optics.transmittance_up_direct
        direct.append(down * up_direct)
        diffuse.append(down * (optics.transmittance_up - up_direct))
    # By reciprocity the beam upwards, exp(-tau / mu), tells the beam downwards.
    ratio = np.cos(np.radians(view.zenith)) / np.cos(np.radians(at.sza))
    beam = up_direct**ratio / optics.transmittance_down
    nodes = np.stack([*path, *direct, *diffuse, optics.spherical_albedo, beam])
    cells = from_nodes(nodes, NODE_STEP, centres, centres)
    trapped = 1 / (1 - cells[6] * around)
    return BandAtmosphere(
        cells[0:2], cells[2:4] * trapped, cells[4:6] * (around * trapped), cells[7]
    )


def environment(surface: Float32s) -> Float32s:
    """Mean reflectance of the surroundings of each 60 m cell.

    Parameters
    ----------
    surface
        Surface reflectance on the 60 m grid. [1], shape (y, x)

    Returns
    -------
    ndarray
        [1]; weights fall as ``exp(-distance / ENVIRONMENT_RANGE)``, the image is mirrored at its
        edges.
    """
    reach = round(_ENVIRONMENT_REACH / 60.0)
    offset = 60.0 * np.arange(-reach, reach + 1)
    kernel = np.exp(-np.hypot(offset[:, None], offset[None, :]) / ENVIRONMENT_RANGE)
    kernel /= kernel.sum()
    padded = np.pad(surface, reach, mode="symmetric")
    # Circular convolution is exact where the kernel stays inside the padding.
    shape = tuple(fft.next_fast_len(n, real=True) for n in padded.shape)
    spectrum = fft.rfft2(padded, shape) * fft.rfft2(kernel.astype(np.float32), shape)
    whole = fft.irfft2(spectrum, shape)
    height, width = surface.shape
    return np.ascontiguousarray(whole[2 * reach :, 2 * reach :][:height, :width], np.float32)


def toa_rows(
    surface: Float32s,
    atmosphere: BandAtmosphere,
    odd: npt.NDArray[np.bool_],
    shadow: Float32s | None,
    rows: slice,
    band: str,
) -> Float32s:
    """Top-of-atmosphere reflectance of some rows of a band.

    Parameters
    ----------
    surface
        Surface reflectance of the rows. [1], shape (y, x)
    atmosphere
        Of the band.
    odd
        Whether a detector of odd number sees the pixel.
    shadow
        Share of the direct beam taken away from the pixel; its surroundings are taken as sunlit.
        None without shadow. [1]
    rows
        The rows on the band's grid; whole 60 m cells.
    band
        The band.

    Returns
    -------
    ndarray
        [1], shape (y, x)
    """
    factor = 60 // BAND_INFO[band].resolution
    at = slice(rows.start // factor, rows.stop // factor)
    toa = _seen(atmosphere.direct, odd, factor, at)
    toa *= surface
    if shadow is not None:
        toa *= 1 - shadow * magnified(atmosphere.beam, factor, at)
    toa += _seen(atmosphere.surroundings, odd, factor, at)
    toa += _seen(atmosphere.path, odd, factor, at)
    return toa


def _seen(pair: Float32s, odd: npt.NDArray[np.bool_], factor: int, at: slice) -> Float32s:
    even = magnified(pair[0], factor, at)
    return np.where(odd, magnified(pair[1], factor, at), even)

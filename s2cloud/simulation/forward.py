"""From surface to top-of-atmosphere reflectance: scattering, gases, adjacency, shadow, terrain.

The equations stand here once more on purpose, not taken from the processor, so that a slip on one
side shows as a difference.

References
----------
Vermote, E. F. et al. (1997): Second simulation of the satellite signal in the solar spectrum, 6S,
doi:10.1109/36.581987.
Hay, J. E. (1979): Calculation of monthly mean solar radiation for horizontal and inclined
surfaces, Solar Energy 23, 301-307; the circumsolar part of the sky's light.
Richter, R. (1998): Correction of satellite imagery over mountainous terrain, Applied Optics 37,
4004-4015.
Sandmeier, S., Itten, K. I. (1997): A physically-based model to correct atmospheric and illumination
effects in optical satellite data of rugged terrain, IEEE TGRS 35, 708-717.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from s2cloud.model.bands import BAND_INFO
from s2cloud.physics import angles, gases
from s2cloud.physics.atmosphere import surface_pressure
from s2cloud.simulation.adjacency import AEROSOL_REACH, MOLECULAR_REACH, environment
from s2cloud.simulation.forward_kernels import SHADED_RING, TERMS, toa_pixels
from s2cloud.simulation.raster import from_nodes
from s2cloud.simulation.state import NODE_STEP

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.physics.lut import Optics
    from s2cloud.simulation.geometry import View, Viewing
    from s2cloud.simulation.relief import TerrainRows
    from s2cloud.simulation.state import State

    Floats = npt.NDArray[np.float64]
    Float32s = npt.NDArray[np.float32]

__all__ = [
    "BandAtmosphere",
    "OpticsSource",
    "band_atmosphere",
    "toa_rows",
]

#: Elevation levels of the optics: one more for every so many metres, two to four. [m]
_LEVEL_STEP: Final = 400.0
_LATTICE: Final = 100.0
_CELL: Final = 60.0


class OpticsSource(Protocol):
    """Where the scattering of an atmosphere comes from: a look-up table or runs of a solver."""

    def evaluate(
        self,
        band: str,
        *,
        sza: npt.ArrayLike,
        vza: npt.ArrayLike,
        raa: npt.ArrayLike,
        aot550: npt.ArrayLike,
        pressure: npt.ArrayLike,
    ) -> Optics:
        """As `s2cloud.physics.lut.LookUpTable.evaluate`."""
        ...


@dataclass(frozen=True, slots=True)
class BandAtmosphere:
    """What the atmosphere and the surroundings do to one band.

    Attributes
    ----------
    terms
        The terms named in `s2cloud.simulation.forward_kernels.TERMS` at the nodes.
        [1], shape (term, level, node_y, node_x)
    elevations
        Heights of the levels. [m], shape (level,)
    around
        Reflectance of the surroundings as molecules and as aerosol gather it, on the 60 m grid.
        [1], shape (2, y, x)
    """

    terms: Float32s
    elevations: Float32s
    around: Float32s


def band_atmosphere(
    band: str,
    sensor: Sensor,
    optics: OpticsSource,
    at: State,
    viewing: Viewing,
    surface: Float32s,
    *,
    shadow: Float32s | None = None,
    terrain: TerrainRows | None = None,
) -> BandAtmosphere:
    """Everything but the pixel itself, for one band.

    Parameters
    ----------
    band, sensor
        Band and instrument.
    optics
        Scattering of the atmosphere.
    at
        Atmosphere and sun.
    viewing
        Directions to the satellite.
    surface
        Reflectance of the surface on the 60 m grid of the image. [1], shape (y, x)
    shadow
        Share of the direct beam taken away by clouds, likewise; None without clouds. [1]
    terrain
        Terrain, likewise; None for flat ground at `State.elevation`.

    Returns
    -------
    BandAtmosphere

    Notes
    -----
    Pressure and columns follow the ground: the terms are computed for the ground at one to four
    levels that span the scene, and interpolated to the height of each pixel (Lagrange).
    Surroundings that lie in shadow or lean away from the sun count as dimmer by as much.
    """
    levels = _levels(at, terrain)
    terms = np.stack([_terms(band, sensor, optics, at, viewing, z) for z in levels], axis=1)
    dimmed = surface * _relative_light(terms, surface, shadow, terrain)
    around = np.stack([environment(dimmed, r) for r in (MOLECULAR_REACH, AEROSOL_REACH)])
    return BandAtmosphere(terms, np.asarray(levels, dtype=np.float32), around)


def toa_rows(
    surface: Float32s,
    atmosphere: BandAtmosphere,
    odd: npt.NDArray[np.bool_],
    shadow: Float32s | None,
    rows: slice,
    band: str,
    terrain: TerrainRows | None = None,
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
        Share of the direct beam that clouds take away from the pixel. None without clouds. [1]
    rows
        The rows on the band's grid.
    band
        The band.
    terrain
        Terrain of the rows; None on flat ground.

    Returns
    -------
    ndarray
        [1], shape (y, x)

    Notes
    -----
    With ozone and mixed gases ``Tg``, water vapour ``Tw``, and downward transmittance of beam
    ``b`` and sky ``d``, per incident sunlight on level ground::

        toa = Tg (rayleigh + (path - rayleigh) Tw(W / 2) + Tw(W) (Tu_direct rho E + Tu_diffuse e G))
        G = (b + d) / (1 - S e)
        E = b I L + d (k I L + (1 - k) V + 0.6 k (1 - L) V) + G (S e V + (1 - V) e_near)

    ``G`` is the light on level, open ground, ``E`` that on the pixel: the beam and the circumsolar
    part ``k`` of the sky fall at the illumination ``I`` = cos(incidence) / cos(sza), as far as
    neither clouds nor terrain shade them (``L``); the rest of the sky in the share ``V`` that the
    ground sees, and with it 0.6 of the circumsolar part where the sun is shaded, for what hides
    the sun does not hide all that is bright around it; and what it does not see is ground that
    reflects, as in Sandmeier and Itten (1997) and Richter (1998). The surroundings ``e`` are a
    mean of what molecules and what aerosol gather (6S), ``e_near`` is that of the aerosol.
    Water vapour lies below the molecules and amid the aerosol. On level, open ground in the sun
    E = G, which is the coupling of 6S.
    """
    none = np.empty((0, 0), dtype=np.float32)
    planes = (none,) * 4
    if terrain is not None:
        planes = (terrain.elevation, terrain.illumination, terrain.sky_view, terrain.shaded)
    out = np.empty(surface.shape, dtype=np.float32)
    toa_pixels(
        atmosphere.terms,
        atmosphere.elevations,
        atmosphere.around,
        np.ascontiguousarray(surface, dtype=np.float32),
        np.ascontiguousarray(odd),
        none if shadow is None else np.ascontiguousarray(shadow, dtype=np.float32),
        np.stack(planes).astype(np.float32, copy=False),
        rows.start,
        (float(BAND_INFO[band].resolution), NODE_STEP, _CELL),
        out,
    )
    return out


def _levels(at: State, terrain: TerrainRows | None) -> list[float]:
    """Heights for which the atmosphere is computed."""
    if terrain is None:
        return [at.elevation]
    # Pixels of 10 m reach a little beyond the means over 60 m; on a lattice, so that scenes of
    # like relief share runs of the solver.
    low = _LATTICE * np.floor((float(terrain.elevation.min()) - 10.0) / _LATTICE)
    high = _LATTICE * np.ceil((float(terrain.elevation.max()) + 10.0) / _LATTICE)
    count = int(np.clip(np.ceil((high - low) / _LEVEL_STEP) + 1, 2, 4))
    return [float(z) for z in np.linspace(low, high, count)]


def _terms(
    band: str,
    sensor: Sensor,
    optics: OpticsSource,
    at: State,
    viewing: Viewing,
    elevation: float,
) -> Float32s:
    """`TERMS` for ground at one height, shape (term, node_y, node_x)."""
    thin = at.thinning(elevation)
    aot, water = at.aot550 * thin, at.tcwv * thin
    pressure = float(surface_pressure(elevation))
    out: dict[str, Floats | Float32s] = {}
    for parity, odd in (("even", False), ("odd", True)):
        view = viewing.view(band, odd, at.y, at.x)
        raa = angles.relative_azimuth(at.saa, view.azimuth)
        place = {"sza": at.sza, "vza": view.zenith, "raa": raa, "pressure": pressure}
        seen = optics.evaluate(band, **place, aot550=aot)
        clean = optics.evaluate(band, **place, aot550=0.0)
        whole, half = (
            gases.transmittance(
                sensor,
                band,
                airmass=angles.airmass(at.sza, view.zenith),
                tcwv=column,
                tco3=at.tco3,
                pressure=pressure,
                b09_law=at.b09_law,
            )
            for column in (water, water / 2)
        )
        dry = whole.ozone * whole.mixed
        wet = dry * whole.water_vapour
        rayleigh = seen.path_reflectance_rayleigh
        aerosol = seen.path_reflectance - rayleigh
        haze = seen.transmittance_up - seen.transmittance_up_direct
        out[f"path_{parity}"] = dry * (rayleigh + aerosol * half.water_vapour)
        out[f"pixel_{parity}"] = wet * seen.transmittance_up_direct
        out[f"haze_{parity}"] = wet * haze
    beam = _beam(seen, view, at)
    out["beam"] = beam
    out["sky"] = seen.transmittance_down - beam
    out["circumsolar"] = _circumsolar(beam, seen.transmittance_down - beam, clean, view, at)
    out["spherical_albedo"] = seen.spherical_albedo
    by_molecules = clean.transmittance_up - clean.transmittance_up_direct
    out["molecular_share"] = np.clip(by_molecules / np.maximum(haze, 1e-6), 0.0, 1.0)
    return np.stack([np.broadcast_to(out[name], at.y.shape) for name in TERMS]).astype(np.float32)


def _beam(seen: Optics, view: View, at: State) -> Floats:
    """Transmittance of the direct beam; by reciprocity the way up, exp(-tau / mu), tells it."""
    ratio = np.cos(np.radians(view.zenith)) / np.cos(np.radians(at.sza))
    return np.asarray(seen.transmittance_up_direct**ratio)


def _circumsolar(beam: Floats, sky: Floats, clean: Optics, view: View, at: State) -> Floats:
    """Part of the sky's light that comes from around the sun.

    Aerosol scatters forward: nearly all of its light, less what is scattered again. Of the light
    of molecules 14 % count: their sky is brighter on the side of the sun. Both numbers from
    radiances of the sky (sasktran2) summed up over planes of all inclinations, within 0.05.
    """
    by_molecules = np.clip((clean.transmittance_down - _beam(clean, view, at)) / sky, 0.0, 1.0)
    return np.asarray(np.sqrt(beam) * (1 - by_molecules) + 0.14 * by_molecules)


def _relative_light(
    terms: Float32s, surface: Float32s, shadow: Float32s | None, terrain: TerrainRows | None
) -> Float32s:
    """Light on each 60 m cell over that on level, open ground, to first order."""
    if shadow is None and terrain is None:
        return np.ones_like(surface)
    y, x = (_CELL * (np.arange(n) + 0.5) for n in surface.shape)
    # The share of the beam changes little with height; the middle level speaks for all.
    names = [TERMS.index(name) for name in ("beam", "sky", "circumsolar")]
    beam, sky, ring = from_nodes(terms[names, terms.shape[1] // 2], NODE_STEP, y, x)
    lit = np.ones_like(surface) if shadow is None else 1 - shadow
    if terrain is None:
        light = lit * (beam + sky * ring) + sky * (1 - ring * _even(lit))
    else:
        lit = lit * (1 - terrain.shaded)
        light = lit * terrain.illumination * (beam + sky * ring)
        light += sky * (1 - ring * _even(lit)) * terrain.sky_view
        light += (beam + sky) * (1 - terrain.sky_view) * surface
    return np.asarray(light / (beam + sky), dtype=np.float32)


def _even(lit: Float32s) -> Float32s:
    """Share of the circumsolar light that does not count as light of the even sky."""
    return lit + (1 - lit) * (1 - SHADED_RING)

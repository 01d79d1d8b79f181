"""Cells of a scene, the pixels they cover, and the optics of the air above them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms import geometry, illumination, resampling, water_vapour
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.grid import Grid
from s2cloud.physics import gases, mixtures
from s2cloud.physics.angles import airmass
from s2cloud.physics.atmosphere import coefficients, surface_pressure

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.config import ProcessorConfig
    from s2cloud.model.bands import Sensor
    from s2cloud.physics import lut
    from s2cloud.processor.meteorology import Meteorology
    from s2cloud.processor.relief import Relief

    Angles = npt.NDArray[np.float64]
    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = [
    "Beyond",
    "CellOptics",
    "SceneInput",
    "cell_means",
    "decoded",
    "on_pixels",
    "pressure_of",
    "thinning",
    "vapour_column",
    "vapour_prior_sigma",
]

#: Side of a cell. [m]
CELL_M: Final = 300.0
#: Height over which the columns of aerosol and vapour fall to 1 / e. [m]
SCALE_HEIGHT_M: Final = 2000.0


@dataclass(frozen=True, slots=True)
class Beyond:
    """Ground around a tile, known from its neighbours.

    Attributes
    ----------
    margin
        Cells on every side of the tile.
    toa
        Top-of-atmosphere reflectance of clear ground, NaN where none is known and on the tile
        itself, shape (13, cell_y + 2 margin, cell_x + 2 margin).
    """

    margin: int
    toa: Floats


@dataclass(frozen=True, slots=True)
class SceneInput:
    """All that the scene stage needs besides pixels; small and picklable.

    Attributes
    ----------
    sensor
        Unit of the satellite.
    grid
        60 m grid of the overview.
    points
        Tie points of the angles.
    decoding
        Scale and offset of the counts of each band.
    meteorology
        Columns, pressure, elevation.
    elevation
        Elevation of each cell. [m], shape (cell_y, cell_x), or None for the mean everywhere.
    config
        Options.
    relief
        Terrain of the cells, or None without a terrain model of the whole tile.
    beyond
        Ground around the tile, or None without neighbours.
    """

    sensor: Sensor
    grid: Grid
    points: geometry.TiePoints
    decoding: dict[str, tuple[float, float]]
    meteorology: Meteorology
    elevation: Floats | None
    config: ProcessorConfig
    relief: Relief | None = None
    beyond: Beyond | None = None

    @property
    def cell_px(self) -> int:
        """Overview pixels per side of a cell."""
        return max(1, round(CELL_M / self.grid.pixel_size))

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return (-(-self.grid.height // self.cell_px), -(-self.grid.width // self.cell_px))


class CellOptics:
    """Look-up table and gases on a lattice of cells.

    Parameters
    ----------
    given
        Grids, angles, options.
    pressure
        Surface pressure. [hPa], shape (cell_y, cell_x)
    step
        Cells of the scene along one of the lattice.
    parity
        See ``geometry.angles_at``.
    model
        Aerosol, that of the meteorology if None.
    """

    def __init__(
        self,
        given: SceneInput,
        pressure: Floats,
        step: int = 1,
        *,
        parity: int | None = None,
        model: str | None = None,
    ) -> None:
        self.given = given
        self.pressure = pressure
        self.parity = parity
        side = given.cell_px * given.grid.pixel_size * step
        rows, cols = pressure.shape
        lattice = Grid("", given.grid.ulx, given.grid.uly, side, rows, cols)
        self.x, self.y = lattice.x, lattice.y
        self.table = mixtures.load(given.sensor, model or given.meteorology.aerosol_model)
        self._angles: dict[str, tuple[Angles, Angles, Angles]] = {}
        self._last: tuple[str, Floats, tuple[lut.Optics, Floats]] | None = None

    def _angles_of(self, band: str) -> tuple[Angles, Angles, Angles]:
        """Sun and view zenith and relative azimuth, the same for any aerosol. [degree]."""
        if band not in self._angles:
            self._angles[band] = geometry.angles_at(
                self.given.points, BAND_INDEX[band], self.x, self.y, self.parity
            )
        return self._angles[band]

    def _evaluate(self, band: str, aot550: Floats) -> tuple[lut.Optics, Floats]:
        if self._last is not None and self._last[0] == band and self._last[1] is aot550:
            return self._last[2]
        sza, vza, raa = self._angles_of(band)
        optics = self.table.evaluate(
            band, sza=sza, vza=vza, raa=raa, aot550=aot550, pressure=self.pressure
        )
        found = optics, np.asarray(airmass(sza, vza), dtype=np.float32)
        # The terms of a band and the share of the molecules in it are asked for one by one.
        self._last = (band, aot550, found)
        return found

    def _gases(self, band: str, mass: Floats, tcwv: Floats) -> gases.GasTransmittance:
        return gases.transmittance(
            self.given.sensor,
            band,
            airmass=mass,
            tcwv=tcwv,
            tco3=self.given.meteorology.tco3,
            pressure=self.pressure,
            b09_law=self.given.config.water_vapour.b09_law,
        )

    def terms(
        self, band: str, aot550: Floats, tcwv: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Path reflectance, gain, spherical albedo, diffuse ratio with all gases."""
        optics, mass = self._evaluate(band, aot550)
        found = coefficients(optics, self._gases(band, mass, tcwv))
        path, gain, albedo, ratio = (
            np.ascontiguousarray(term, dtype=np.float32)
            for term in np.broadcast_arrays(
                found.path, found.gain, found.spherical_albedo, found.diffuse_to_direct
            )
        )
        return path, gain, albedo, ratio

    def molecular_share(self, band: str, aot550: Floats) -> Floats:
        """Share of the light scattered on its way up that molecules scatter. [1]."""
        haze, clean = (
            o.transmittance_up - o.transmittance_up_direct
            for o, _ in (self._evaluate(band, a) for a in (aot550, np.zeros_like(aot550)))
        )
        share = np.clip(clean / np.maximum(haze, 1e-6), 0.0, 1.0)
        return np.asarray(share, dtype=np.float32)

    def diffuse_light(self, band: str, aot550: Floats) -> tuple[Floats, Floats]:
        """What falls on level ground as scattered light.

        Returns
        -------
        tuple
            Share of the scattered light that comes from around the sun times the share of
            scattered light, and the latter. [1], shape (cell_y, cell_x)
        """
        sza, vza, _ = self._angles_of(band)
        optics, _ = self._evaluate(band, aot550)
        clean, _ = self._evaluate(band, np.zeros_like(aot550))
        # By reciprocity the beam to the sensor, exp(-tau / mu), tells the beam from the sun.
        ratio = np.cos(np.radians(vza)) / np.cos(np.radians(sza))
        beam, beam_clean = (
            np.asarray(o.transmittance_up_direct, dtype=np.float64) ** ratio
            for o in (optics, clean)
        )
        sky = np.maximum(optics.transmittance_down - beam, 1e-6)
        molecules = np.clip((clean.transmittance_down - beam_clean) / sky, 0.0, 1.0)
        share = illumination.around_sun(beam, molecules)
        diffuse = np.clip(1.0 - beam / optics.transmittance_down, 0.0, 1.0)
        return (share * diffuse).astype(np.float32), diffuse.astype(np.float32)

    def vapour(self, aot550: Floats) -> Floats:
        """See `VapourTerms`."""
        optics, mass = self._evaluate("b09", aot550)
        none = self._gases("b09", mass, np.zeros_like(mass))
        dry = none.other
        molecules = optics.path_reflectance_rayleigh
        return np.stack(
            np.broadcast_arrays(
                dry * molecules,
                dry * (optics.path_reflectance - molecules),
                dry * optics.transmittance_down * optics.transmittance_up,
                optics.spherical_albedo,
                mass,
                optics.transmittance_up / optics.transmittance_up_direct - 1.0,
            )
        ).astype(np.float32)


def cell_means(values: Floats, mask: npt.NDArray[np.bool_], cell_px: int) -> tuple[Floats, Floats]:
    """Mean of the masked pixels in each cell, and their share of it.

    Parameters
    ----------
    values
        Shape (y, x), NaN is left out.
    mask
        Pixels that count.
    cell_px
        Pixels per side of a cell; the last cells of a row or column may be cut.

    Returns
    -------
    tuple
        Means, NaN where a cell has no pixel, and shares, both (cell_y, cell_x), float32.
    """
    total, count = resampling.cell_totals(
        np.ascontiguousarray(values), np.ascontiguousarray(mask), cell_px
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
    return mean.astype(np.float32), (count / (cell_px * cell_px)).astype(np.float32)


def decoded(given: SceneInput, band: str, counts: Counts) -> Floats:
    """Top-of-atmosphere reflectance of a band of the overview, NaN for no-data."""
    scale, offset = given.decoding[band]
    toa: Floats = resampling.mean_reflectance(counts, 1, scale, offset)
    return toa


def pressure_of(given: SceneInput) -> Floats:
    """Surface pressure of the cells. [hPa]."""
    elevation = (
        np.full(given.cells, given.meteorology.elevation, np.float32)
        if given.elevation is None
        else given.elevation
    )
    return np.asarray(surface_pressure(elevation, given.meteorology.pressure), dtype=np.float32)


def thinning(given: SceneInput, elevation: Floats | None = None) -> Floats:
    """Columns of aerosol and vapour above some height over those above the mean of the tile.

    Both lie low: a scale height of 2 km is that of the aerosol in the look-up tables, and is taken
    for water vapour as well.

    Parameters
    ----------
    given
        Elevation of the tile and its cells.
    elevation
        Heights. [m], shape (cell_y, cell_x); those of the cells if None.
    """
    heights = given.elevation if elevation is None else elevation
    if heights is None:
        return np.ones(given.cells, dtype=np.float32)
    above = given.meteorology.elevation - np.asarray(heights, dtype=np.float32)
    return np.asarray(np.exp(above / np.float32(SCALE_HEIGHT_M)), dtype=np.float32)


def on_pixels(given: SceneInput, cells: Floats, cell_px: int) -> Floats:
    """Field of cells on the overview pixels."""
    field: Floats = resampling.interpolate_cells(
        np.ascontiguousarray(cells), float(cell_px), (0, 0), given.grid.shape
    )
    return field


def vapour_column(
    given: SceneInput,
    toa_b09: Floats,
    boa_b09: Floats,
    terms: Floats,
    first_guess: Floats,
    around_b09: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Water vapour column of pixels or cells and its one-sigma uncertainty. [kg m-2].

    Parameters
    ----------
    given
        Sensor and options.
    toa_b09, boa_b09
        Top-of-atmosphere and expected surface reflectance of B09, shape (y, x).
    terms
        `VapourTerms.terms` on the same pixels.
    first_guess
        Column to begin with. [kg m-2], shape (y, x)
    around_b09
        Expected surface reflectance of the surroundings; the pixel's own if None.
    """
    options = given.config.water_vapour
    law = options.b09_law
    column, sigma = water_vapour.retrieve(
        toa_b09,
        boa_b09,
        boa_b09 if around_b09 is None else around_b09,
        path_rayleigh=terms[0],
        path_aerosol=terms[1],
        transmittance=terms[2],
        spherical_albedo=terms[3],
        airmass=terms[4],
        diffuse_ratio=terms[5],
        first_guess=first_guess,
        slant_column=partial(gases.slant_column, given.sensor, "b09", b09_law=law),
        transmittance_law=partial(
            gases.water_vapour_transmittance, given.sensor, "b09", b09_law=law
        ),
    )
    return water_vapour.combine(column, sigma, given.meteorology.tcwv, vapour_prior_sigma(given))


def vapour_prior_sigma(given: SceneInput) -> float:
    """One-sigma uncertainty of the water vapour of the meteorology. [kg m-2]."""
    options = given.config.water_vapour
    forecast = given.meteorology.sources["tcwv"] != "configuration"
    return options.ecmwf_sigma if forecast else options.fallback_sigma

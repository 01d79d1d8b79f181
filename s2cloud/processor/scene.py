"""The scene stage: what must be known of the whole tile before a block can be corrected.

It reads the 60 m overview of the tile and returns small fields on coarse cells (about 300 m), so
that block tasks depend on a few megabytes and not on one another.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms import aerosol, geometry, resampling, surface, water_vapour
from s2cloud.algorithms.classification import classify_block
from s2cloud.model.bands import BAND_INDEX, BANDS
from s2cloud.model.grid import Grid
from s2cloud.model.schema import CLOUD_CLASSES, SCL
from s2cloud.physics import gases, lut
from s2cloud.physics.angles import airmass
from s2cloud.physics.atmosphere import coefficients, surface_pressure

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.config import ProcessorConfig
    from s2cloud.model.bands import Sensor
    from s2cloud.processor.meteorology import Meteorology

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = ["AOT_METHODS", "Planes", "Scene", "SceneInput", "VapourTerms"]

logger = logging.getLogger(__name__)

#: Side of a cell. [m]
CELL_M: Final = 300.0
#: Cells per side of the larger cells in which dark pixels are gathered.
AEROSOL_CELLS: Final = 5
#: Optical thicknesses at which the dark pixels are corrected.
AOT_NODES: Final = np.array(
    [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0], np.float32
)
AOT_METHODS: Final = ("dark_vegetation", "cams", "constant")
#: Distance within which cloud spoils a dark pixel (ATBD: box mean of the 0/255 mask above 5). [m]
CLOUD_REACH_M: Final = 1000.0


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
    """

    sensor: Sensor
    grid: Grid
    points: geometry.TiePoints
    decoding: dict[str, tuple[float, float]]
    meteorology: Meteorology
    elevation: Floats | None
    config: ProcessorConfig

    @property
    def cell_px(self) -> int:
        """Overview pixels per side of a cell."""
        return max(1, round(CELL_M / self.grid.pixel_size))

    @property
    def environment_cells(self) -> int:
        """Cells on each side of a cell that make its environment; 0 = adjacency off."""
        side = self.cell_px * self.grid.pixel_size
        return round(self.config.surface.adjacency_km * 1000.0 / side)

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return (-(-self.grid.height // self.cell_px), -(-self.grid.width // self.cell_px))


@dataclass(frozen=True, slots=True)
class Planes:
    """Correction of one band on the cells of the scene.

    Attributes
    ----------
    terms
        With an environment slope and intercept, otherwise path, gain and spherical albedo,
        shape (2 or 3, cell_y, cell_x).
    """

    terms: Floats

    @property
    def linear(self) -> bool:
        """Whether the environment is accounted for."""
        return bool(self.terms.shape[0] == 2)


@dataclass(frozen=True, slots=True)
class VapourTerms:
    """Optics of B09 without water vapour on the cells of the scene, shape (5, cell_y, cell_x).

    Attributes
    ----------
    terms
        Path reflectance of air, what aerosols add, two-way transmittance, spherical albedo,
        airmass.
    """

    terms: Floats


@dataclass(frozen=True, slots=True)
class Scene:
    """Result of the scene stage.

    Attributes
    ----------
    given
        What it was computed from.
    aot550
        Aerosol optical thickness, shape (cell_y, cell_x).
    tcwv
        Water vapour column. [kg m-2], shape (cell_y, cell_x)
    pressure
        Surface pressure. [hPa], shape (cell_y, cell_x)
    clear_land
        Overview pixels that show clear land, shape (y, x).
    clear
        Overview pixels that show the surface, land or water.
    aot_method
        Index into `AOT_METHODS`.
    dark_fraction
        Share of the valid land pixels that were dark vegetation.
    vapour_fraction
        Share of the cells with a retrieved water vapour column.
    """

    given: SceneInput
    aot550: Floats
    tcwv: Floats
    pressure: Floats
    clear_land: npt.NDArray[np.bool_]
    clear: npt.NDArray[np.bool_]
    aot_method: int
    dark_fraction: float
    vapour_fraction: float

    @classmethod
    def retrieve(cls, given: SceneInput, *overview: Counts) -> Scene:
        """Aerosol and water vapour of the scene.

        Parameters
        ----------
        given
            Grids, angles, meteorology, options.
        overview
            Counts of all thirteen bands on the 60 m grid, in ESA's order, shape (y, x) each.

        Returns
        -------
        Scene
        """
        toa = np.stack([_decoded(given, n, c) for n, c in zip(BANDS, overview, strict=True)])
        config = given.config
        scl, _, _ = classify_block(
            toa,
            altitude=given.meteorology.elevation,
            snow_possible=config.classification.snow_possible,
            variant=config.classification.variant,
        )
        pressure = _pressure(given)
        clear, land = _clear(scl)
        prior_tcwv = np.full(given.cells, given.meteorology.tcwv, np.float32)
        aot550, method, dark_fraction = _aerosol(given, toa, scl, land, pressure, prior_tcwv)
        tcwv, vapour_fraction = _water_vapour(given, toa, land, pressure, aot550)
        return cls(
            given, aot550, tcwv, pressure, land, clear, method, dark_fraction, vapour_fraction
        )

    def planes(self, band: str, overview: Counts) -> Planes:
        """Correction of one band on the cells.

        Parameters
        ----------
        band
            Name of the band.
        overview
            Its counts on the 60 m grid, shape (y, x).
        """
        given = self.given
        terms = _Optics(given, self.pressure).terms(band, self.aot550, self.tcwv)
        path, gain, albedo, diffuse_ratio = terms
        half_side = given.environment_cells
        if half_side < 1:
            return Planes(np.stack([path, gain, albedo]))
        toa, share = cell_means(_decoded(given, band, overview), self.clear, given.cell_px)
        boa = surface.uniform_surface(toa, path, gain, albedo)
        around, _ = surface.environment(boa, share > 0, half_side)
        return Planes(np.stack(surface.linear_terms(path, gain, albedo, diffuse_ratio, around)))

    def vapour_terms(self) -> VapourTerms:
        """Optics of B09 without water vapour on the cells."""
        return VapourTerms(_Optics(self.given, self.pressure).vapour(self.aot550))

    def summary(self) -> dict[str, Any]:
        """Numbers that belong into the product's metadata."""
        return {
            "aot_method": self.aot_method,
            "aot_mean": float(self.aot550.mean()),
            "dark_vegetation_fraction": self.dark_fraction,
            "tcwv_mean": float(self.tcwv.mean()),
            "tcwv_fraction": self.vapour_fraction,
        }


class _Optics:
    """Look-up table and gases on a lattice of cells."""

    def __init__(self, given: SceneInput, pressure: Floats, step: int = 1) -> None:
        self.given = given
        self.pressure = pressure
        side = given.cell_px * given.grid.pixel_size * step
        rows, cols = pressure.shape
        lattice = Grid("", given.grid.ulx, given.grid.uly, side, rows, cols)
        self.x, self.y = lattice.x, lattice.y
        self.table = lut.load(given.sensor, given.config.aerosol.model)

    def _evaluate(self, band: str, aot550: Floats) -> tuple[lut.Optics, Floats]:
        sza, vza, raa = geometry.angles_at(self.given.points, BAND_INDEX[band], self.x, self.y)
        optics = self.table.evaluate(
            band, sza=sza, vza=vza, raa=raa, aot550=aot550, pressure=self.pressure
        )
        return optics, np.asarray(airmass(sza, vza), dtype=np.float32)

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
    usable = mask & np.isfinite(values)
    rows = np.arange(0, values.shape[0], cell_px)
    cols = np.arange(0, values.shape[1], cell_px)

    def total(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        summed = np.add.reduceat(array, rows, axis=0, dtype=np.float64)
        return np.asarray(np.add.reduceat(summed, cols, axis=1))

    count = total(usable)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total(np.where(usable, values, np.float32(0.0))) / count
    return mean.astype(np.float32), (count / (cell_px * cell_px)).astype(np.float32)


def _decoded(given: SceneInput, band: str, counts: Counts) -> Floats:
    scale, offset = given.decoding[band]
    decoded: Floats = resampling.mean_reflectance(counts, 1, scale, offset)
    return decoded


def _pressure(given: SceneInput) -> Floats:
    elevation = (
        np.full(given.cells, given.meteorology.elevation, np.float32)
        if given.elevation is None
        else given.elevation
    )
    return np.asarray(surface_pressure(elevation, given.meteorology.pressure), dtype=np.float32)


def _clear(
    scl: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Pixels that show the surface, and those of them that are land."""
    hidden = np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW])
    near = ndimage.binary_dilation(hidden, iterations=2)
    empty = scl <= SCL.SATURATED_OR_DEFECTIVE
    clear = ~near & ~empty
    return clear, clear & np.isin(scl, [SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.SNOW_ICE])


def _on_pixels(given: SceneInput, cells: Floats, cell_px: int) -> Floats:
    """Field of cells on the overview pixels."""
    field: Floats = resampling.interpolate_cells(
        np.ascontiguousarray(cells), (0, 0), cells.shape, float(cell_px), (0, 0), given.grid.shape
    )
    return field


def _aerosol(
    given: SceneInput,
    toa: Floats,
    scl: npt.NDArray[np.uint8],
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    tcwv: Floats,
) -> tuple[Floats, int, float]:
    """Optical thickness on the cells by the first method of the ladder that succeeds."""
    options = given.config.aerosol
    cams = given.meteorology.aot550
    constant = options.fallback_aot550
    prior = constant if np.isnan(cams) else cams
    fraction = 0.0
    if options.method == "dark_vegetation":
        found = _dark_vegetation(given, toa, scl, land, pressure, tcwv, prior)
        fraction = found.dark_fraction
        if fraction >= options.minimum_dark_fraction and np.isfinite(found.mean):
            step = given.cell_px * given.grid.pixel_size * AEROSOL_CELLS
            spread = aerosol.spread(found, options.smoothing_km * 1000.0 / step)
            field: Floats = resampling.interpolate_cells(
                spread, (0, 0), spread.shape, float(AEROSOL_CELLS), (0, 0), given.cells
            )
            return field, AOT_METHODS.index("dark_vegetation"), fraction
        logger.warning(
            "dark vegetation covers %.2f %% of the clear land, %.2f %% are needed: "
            "aerosol falls back to %s",
            100.0 * fraction,
            100.0 * options.minimum_dark_fraction,
            "the configured constant" if np.isnan(cams) else "CAMS",
        )
    if options.method != "constant" and not np.isnan(cams):
        return np.full(given.cells, cams, np.float32), AOT_METHODS.index("cams"), fraction
    if options.method == "cams":
        logger.warning("product has no CAMS forecast: aerosol is the configured %g", constant)
    return np.full(given.cells, constant, np.float32), AOT_METHODS.index("constant"), fraction


def _dark_vegetation(
    given: SceneInput,
    toa: Floats,
    scl: npt.NDArray[np.uint8],
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    tcwv: Floats,
    prior: float,
) -> aerosol.AerosolRetrieval:
    hidden = np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW])
    side = 2 * round(CLOUD_REACH_M / given.grid.pixel_size / 2) + 1
    near = ndimage.uniform_filter(hidden.astype(np.float32), side, mode="nearest") > 5 / 255
    clear, _ = _clear(scl)
    optics = _Optics(given, pressure)
    guess = np.full(given.cells, prior, np.float32)
    first = {
        band: surface.uniform_surface(
            toa[BAND_INDEX[band]],
            *(_on_pixels(given, t, given.cell_px) for t in optics.terms(band, guess, tcwv)[:3]),
        )
        for band in ("b8a", "b12")
    }
    dark = aerosol.dark_vegetation(
        toa[BAND_INDEX["b04"]],
        toa[BAND_INDEX["b8a"]],
        first["b8a"],
        first["b12"],
        scl == SCL.VEGETATION,
        near,
        land,
        given.config.aerosol.minimum_dark_fraction,
    )
    cell_px = given.cell_px * AEROSOL_CELLS
    whole = np.ones(given.cells, dtype=bool)
    coarse_pressure, _ = cell_means(pressure, whole, AEROSOL_CELLS)
    coarse_tcwv, _ = cell_means(tcwv, whole, AEROSOL_CELLS)
    coarse = _Optics(given, coarse_pressure, AEROSOL_CELLS)
    bands = ("b04", "b12")
    corrections = []
    for band in bands:
        nodes = [
            coarse.terms(band, np.full(coarse_pressure.shape, aot, np.float32), coarse_tcwv)
            for aot in AOT_NODES
        ]
        path, gain, albedo, ratio = (np.stack([n[k] for n in nodes]) for k in range(4))
        corrections.append(aerosol.Correction(path, gain, albedo, ratio))
    red, swir = corrections
    toa_red, toa_swir = (toa[BAND_INDEX[band]] for band in bands)
    return aerosol.retrieve(
        (toa_red, toa_swir),
        (_surroundings(given, toa_red, clear), _surroundings(given, toa_swir, clear)),
        dark,
        AOT_NODES,
        (red, swir),
        cell_px,
        int(land.sum()),
    )


def _surroundings(given: SceneInput, toa: Floats, clear: npt.NDArray[np.bool_]) -> Floats:
    """Mean reflectance around each overview pixel; the pixel itself without adjacency."""
    half_side = given.environment_cells
    if half_side < 1:
        return toa
    means, share = cell_means(toa, clear, given.cell_px)
    around, _ = surface.environment(means, share > 0, half_side)
    return _on_pixels(given, around, given.cell_px)


def _water_vapour(
    given: SceneInput,
    toa: Floats,
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    aot550: Floats,
) -> tuple[Floats, float]:
    """Column on the cells, filled where it cannot be seen."""
    optics = _Optics(given, pressure)
    prior = np.full(given.cells, given.meteorology.tcwv, np.float32)
    b8a, share = cell_means(toa[BAND_INDEX["b8a"]], land, given.cell_px)
    b09, _ = cell_means(toa[BAND_INDEX["b09"]], land, given.cell_px)
    boa = surface.uniform_surface(b8a, *optics.terms("b8a", aot550, prior)[:3])
    column = vapour_column(given, b09, boa, optics.vapour(aot550), prior)
    options = given.config.water_vapour
    sigma = options.smoothing_km * 1000.0 / (given.cell_px * given.grid.pixel_size)
    # A cell counts when a third of it is clear land; fewer pixels are too noisy to lead others.
    field, fraction = water_vapour.fill(column, share > 0.33, sigma, given.meteorology.tcwv)
    if fraction == 0.0:
        logger.warning(
            "no clear land: water vapour is the %s value %.1f kg m-2",
            given.meteorology.sources["tcwv"],
            given.meteorology.tcwv,
        )
    return field, fraction


def vapour_column(
    given: SceneInput, toa_b09: Floats, boa_b8a: Floats, terms: Floats, first_guess: Floats
) -> Floats:
    """Water vapour column of pixels or cells. [kg m-2].

    Parameters
    ----------
    given
        Sensor and options.
    toa_b09, boa_b8a
        Top-of-atmosphere reflectance of B09 and surface reflectance of B8A, shape (y, x).
    terms
        `VapourTerms.terms` on the same pixels.
    first_guess
        Column to begin with. [kg m-2], shape (y, x)
    """
    law = given.config.water_vapour.b09_law
    return water_vapour.retrieve(
        toa_b09,
        boa_b8a,
        path_rayleigh=terms[0],
        path_aerosol=terms[1],
        transmittance=terms[2],
        spherical_albedo=terms[3],
        airmass=terms[4],
        first_guess=first_guess,
        slant_column=partial(gases.slant_column, given.sensor, "b09", b09_law=law),
        transmittance_law=partial(
            gases.water_vapour_transmittance, given.sensor, "b09", b09_law=law
        ),
    )

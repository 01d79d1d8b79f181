"""The scene stage: what must be known of the whole tile before a block can be corrected.

It reads the 60 m overview of the tile and returns small fields on coarse cells (about 300 m), so
that block tasks depend on a few megabytes and not on one another.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.algorithms import cirrus, surface
from s2cloud.model.bands import BAND_INDEX, BANDS
from s2cloud.model.schema import SCL
from s2cloud.physics.atmosphere import surface_pressure
from s2cloud.processor.aerosol import AOT_METHODS, AerosolResult, aerosol_field
from s2cloud.processor.classification import classify_overview
from s2cloud.processor.dark_pixels import clear_masks
from s2cloud.processor.mixture import MIXTURE_METHODS
from s2cloud.processor.optics import (
    CellOptics,
    SceneInput,
    cell_means,
    decoded,
    pressure_of,
    thinning,
)
from s2cloud.processor.retrieval import VapourResult, vapour_field
from s2cloud.processor.surroundings import surroundings

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification import ClassificationScene
    from s2cloud.processor.relief import Relief

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = ["AOT_METHODS", "MIXTURE_METHODS", "TERRAIN_METHODS", "Planes", "Scene", "VapourTerms"]

logger = logging.getLogger(__name__)

#: What was done with the terrain: nothing, elevation of the cells, found flat, pixel by pixel.
TERRAIN_METHODS: Final = ("none", "elevation", "flat", "slopes")

#: Tabulated aerosols whose shares are recorded.
AEROSOLS: Final = ("continental", "maritime", "urban", "desert")

#: Classes whose tops hide the ground and its slopes.
OPAQUE_CLOUDS: Final = (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY)
#: Cloud cover of what is seen above which adjacency is not corrected.
MOSTLY_CLOUD: Final = 0.95
#: Half side of the square whose mean reflectance stands for opposite slopes. [m]
OPPOSITE_M: Final = 600.0


@dataclass(frozen=True, slots=True)
class Planes:
    """Correction of one band on the cells of the scene.

    Attributes
    ----------
    terms
        With an environment slope and intercept, otherwise path, gain and spherical albedo, for
        the mean direction and elevation, shape (2 or 3, cell_y, cell_x).
    detailed
        What detectors and slopes need instead: the first three of ``illumination.TERMS`` for even
        and odd detectors, or all of them for both or for the mean direction, shape
        (1 or 2, 3 or TERMS, cell_y, cell_x); None where `terms` say all.
    cirrus
        Slope and background for ``cirrus.take_away``, None if nothing is taken away.
    around
        Surface reflectance of the surroundings, shape (cell_y, cell_x), of B8A, for the water
        vapour; None where nothing asks for it.
    """

    terms: Floats
    detailed: Floats | None = None
    cirrus: tuple[float, float] | None = None
    around: Floats | None = None

    @property
    def linear(self) -> bool:
        """Whether the environment is accounted for."""
        return bool(self.terms.shape[0] == 2)


@dataclass(frozen=True, slots=True)
class VapourTerms:
    """Optics of B09 without water vapour on the cells of the scene, shape (6, cell_y, cell_x).

    Attributes
    ----------
    terms
        Path reflectance of air, what aerosols add, two-way transmittance, spherical albedo,
        airmass, diffuse over direct transmittance from surface to sensor.
    ratio
        Mean surface reflectance of B09 over B8A of the clear land.
    """

    terms: Floats
    ratio: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Result of the scene stage.

    Attributes
    ----------
    given
        What it was computed from, with the aerosol that was found.
    aerosol
        Aerosol optical thickness on the cells, and how it was found.
    vapour
        Water vapour column on the cells, and how it was found.
    pressure
        Surface pressure. [hPa], shape (cell_y, cell_x)
    clear_land
        Overview pixels that show clear land, shape (y, x).
    clear
        Overview pixels that show the surface, land or water.
    cloudy
        Overview pixels that show the tops of opaque clouds.
    cirrus
        What thin cirrus adds to each band.
    b10
        Mean of B10 over the clear pixels of each cell; None unless cirrus is taken away.
    """

    given: SceneInput
    aerosol: AerosolResult
    vapour: VapourResult
    pressure: Floats
    clear_land: npt.NDArray[np.bool_]
    clear: npt.NDArray[np.bool_]
    cloudy: npt.NDArray[np.bool_]
    cirrus: cirrus.Cirrus
    b10: Floats | None

    @property
    def aot550(self) -> Floats:
        """Aerosol optical thickness, shape (cell_y, cell_x)."""
        return self.aerosol.aot550

    @property
    def tcwv(self) -> Floats:
        """Water vapour column. [kg m-2], shape (cell_y, cell_x)."""
        return self.vapour.tcwv

    @property
    def adjacency(self) -> bool:
        """Whether light from the surroundings is accounted for.

        It is not where the options say so, and where nearly nothing is left between clouds to
        tell what the surroundings are.
        """
        seen = int(self.clear.sum()) + int(self.cloudy.sum())
        hidden = seen == 0 or int(self.cloudy.sum()) > MOSTLY_CLOUD * seen
        return not hidden and self.given.config.surface.adjacency_km > 0

    @classmethod
    def retrieve(
        cls,
        given: SceneInput,
        *overview: Counts,
        classified: tuple[ClassificationScene, npt.NDArray[np.uint8]] | None = None,
    ) -> Scene:
        """Aerosol and water vapour of the scene.

        Parameters
        ----------
        given
            Grids, angles, meteorology, options.
        overview
            Counts of all thirteen bands on the 60 m grid, in ESA's order, shape (y, x) each.
        classified
            From `classify_overview`; without it the overview is classified here, without maps.

        Returns
        -------
        Scene
        """
        toa = np.stack([decoded(given, n, c) for n, c in zip(BANDS, overview, strict=True)])
        _, scl = classify_overview(given, toa) if classified is None else classified
        pressure = pressure_of(given)
        clear, land = clear_masks(scl)
        prior_tcwv = np.float32(given.meteorology.tcwv) * thinning(given)
        aerosol = aerosol_field(given, toa, scl, land, pressure, prior_tcwv)
        air = replace(given.meteorology, aerosol_model=aerosol.mixture.model)
        given = replace(given, meteorology=air)
        vapour = vapour_field(given, toa, land, pressure, aerosol.aot550)
        cloudy = np.isin(scl, OPAQUE_CLOUDS)
        thin = _cirrus(given, toa, scl, float(vapour.tcwv.mean()))
        b10 = None
        if thin.slopes:
            b10, _ = cell_means(toa[BAND_INDEX["b10"]], clear, given.cell_px)
        return cls(given, aerosol, vapour, pressure, land, clear, cloudy, thin, b10)

    def planes(self, band: str, overview: Counts, *, by_detector: bool = False) -> Planes:
        """Correction of one band on the cells.

        Parameters
        ----------
        band
            Name of the band.
        overview
            Its counts on the 60 m grid, shape (y, x).
        by_detector
            Whether blocks know which detector sees a pixel.
        """
        given = self.given
        optics = CellOptics(given, self.pressure)
        terms = optics.terms(band, self.aot550, self.tcwv)
        path, gain, albedo, _ = terms
        toa, share = cell_means(decoded(given, band, overview), self.clear, given.cell_px)
        thin = None
        if self.b10 is not None and band in self.cirrus.slopes:
            thin = (self.cirrus.slopes[band], self.cirrus.background)
            toa = cirrus.take_away(toa, self.b10, *thin)
        around = None
        if self.adjacency:
            molecular = optics.molecular_share(band, self.aot550)
            level = (path, gain, albedo)
            around = surroundings(given, toa, share > 0, molecular, level, band=band, thin=thin)
        by_detector = by_detector and given.points.parity is not None
        directions = (0, 1) if by_detector else (None,)
        detailed = None
        if given.relief is not None and given.relief.rugged:
            cells = round(OPPOSITE_M / (given.cell_px * given.grid.pixel_size))
            boa = surface.uniform_surface(toa, path, gain, albedo)
            opposite, _ = surface.square_mean(boa, share > 0, max(1, cells))
            detailed = [
                self._on_slopes(band, given.relief, around, opposite, d) for d in directions
            ]
        elif by_detector:
            detailed = [
                np.stack(
                    _coefficients(
                        *CellOptics(given, self.pressure, parity=d).terms(
                            band, self.aot550, self.tcwv
                        ),
                        around,
                    )
                )
                for d in directions
            ]
        if around is None:
            simple = [path, gain, albedo]
        else:
            simple = list(surface.linear_terms(*terms, around))
        slopes = None if detailed is None else np.stack(detailed)
        return Planes(np.stack(simple), slopes, thin, around if band == "b8a" else None)

    def _on_slopes(
        self,
        band: str,
        relief: Relief,
        around: Floats | None,
        opposite: Floats,
        direction: int | None,
    ) -> Floats:
        """``illumination.TERMS`` on the cells: a straight line through two elevations.

        Aerosol and water vapour thin with height from those above the mean of the cell.
        """
        ends = []
        for height in (relief.low, relief.high):
            pressure = surface_pressure(height, self.given.meteorology.pressure)
            optics = CellOptics(
                self.given, np.asarray(pressure, dtype=np.float32), parity=direction
            )
            thin = thinning(self.given, height) / thinning(self.given)
            level = _coefficients(*optics.terms(band, self.aot550 * thin, self.tcwv * thin), around)
            ends.append(np.stack([*level, *optics.diffuse_light(band, self.aot550 * thin)]))
        change = (ends[1] - ends[0]) / (relief.high - relief.low)
        start = ends[0] - change * relief.low
        return np.concatenate([start, opposite[np.newaxis], change]).astype(np.float32)

    def vapour_terms(self) -> VapourTerms:
        """Optics of B09 without water vapour on the cells."""
        ratio = VapourResult.ratio(self.vapour.coded_ratio)
        mean = float(ratio.mean(where=self.clear_land)) if self.clear_land.any() else 1.0
        return VapourTerms(CellOptics(self.given, self.pressure).vapour(self.aot550), mean)

    def summary(self) -> dict[str, Any]:
        """Numbers that belong into the product's metadata."""
        return {
            "aot_method": self.aerosol.method,
            "aot_mean": float(self.aot550.mean()),
            "aot_uncertainty_mean": float(self.aerosol.sigma.mean()),
            "aot_prior_weight": self.aerosol.prior_weight,
            "aot_lowered": self.aerosol.lowered,
            "aerosol_method": self.aerosol.mixture.method,
            "aerosol_coarse_uncertainty": self.aerosol.mixture.coarse_sigma,
            **{f"aerosol_{name}": self.aerosol.shares.get(name, 0.0) for name in AEROSOLS},
            "dark_water_pixels": self.aerosol.mixture.water,
            "dark_vegetation_fraction": self.aerosol.dark_fraction,
            "tcwv_mean": float(self.tcwv.mean()),
            "tcwv_uncertainty_mean": float(self.vapour.sigma.mean()),
            "tcwv_fraction": self.vapour.fraction,
            "adjacency": self.adjacency,
            "cirrus_correction": cirrus.STATES.index(self.cirrus.state),
            "cirrus_slope": self.cirrus.slopes.get("b02", 0.0),
            **_of_terrain(self.given),
        }


def _coefficients(
    path: Floats, gain: Floats, albedo: Floats, diffuse_ratio: Floats, around: Floats | None
) -> list[Floats]:
    """``a``, ``b``, ``s`` of ``boa = y / (1 + s y)``, ``y = toa * a - b``."""
    if around is None:
        return [gain, path * gain, albedo]
    slope, intercept = surface.linear_terms(path, gain, albedo, diffuse_ratio, around)
    return [slope, intercept, np.zeros_like(slope)]


def _of_terrain(given: SceneInput) -> dict[str, Any]:
    relief = given.relief
    if relief is None:
        return {
            "terrain_correction": TERRAIN_METHODS.index(
                "none" if given.elevation is None else "elevation"
            ),
            "elevation_mean": given.meteorology.elevation,
            # Receipts are JSON, which has no NaN.
            "elevation_range": 0.0,
        }
    done = "slopes" if relief.rugged else "flat" if relief.by_pixel else "elevation"
    return {
        "terrain_correction": TERRAIN_METHODS.index(done),
        "elevation_mean": relief.elevation,
        "elevation_range": relief.span,
    }


def _cirrus(
    given: SceneInput, toa: Floats, scl: npt.NDArray[np.uint8], tcwv: float
) -> cirrus.Cirrus:
    """What thin cirrus adds to each band, nothing unless the options ask for it."""
    options = given.config.surface
    if not options.cirrus_correction:
        return cirrus.Cirrus({}, 0.0, "not asked for", "not_requested")
    if tcwv < options.cirrus_minimum_tcwv:
        reason = f"B10 sees the ground through {tcwv:.1f} kg m-2 of vapour"
        found = cirrus.Cirrus({}, 0.0, reason, "dry_air")
    elif given.meteorology.elevation > options.cirrus_maximum_elevation:
        reason = f"B10 sees ground at {given.meteorology.elevation:.0f} m"
        found = cirrus.Cirrus({}, 0.0, reason, "high_ground")
    else:
        hidden = np.isin(scl, [SCL.NO_DATA, SCL.SATURATED_OR_DEFECTIVE, SCL.CLOUD_SHADOW])
        bands = {n: toa[i] for n, i in BAND_INDEX.items() if n != "b10"}
        found = cirrus.find(toa[BAND_INDEX["b10"]], bands, ~hidden & ~np.isin(scl, OPAQUE_CLOUDS))
    if found.reason:
        logger.warning("cirrus is not taken away: %s", found.reason)
    return found

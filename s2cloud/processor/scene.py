"""The scene stage: what must be known of the whole tile before a block can be corrected.

It reads the 60 m overview of the tile and returns small fields on coarse cells (about 300 m), so
that block tasks depend on a few megabytes and not on one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms import surface
from s2cloud.algorithms.classification import classify_block
from s2cloud.model.bands import BANDS
from s2cloud.processor.optics import (
    CellOptics,
    SceneInput,
    cell_means,
    decoded,
    pressure_of,
)
from s2cloud.processor.retrieval import AOT_METHODS, aerosol_field, clear_masks, vapour_field

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]

__all__ = ["AOT_METHODS", "Planes", "Scene", "VapourTerms"]


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
        toa = np.stack([decoded(given, n, c) for n, c in zip(BANDS, overview, strict=True)])
        config = given.config
        scl, _, _ = classify_block(
            toa,
            altitude=given.meteorology.elevation,
            snow_possible=config.classification.snow_possible,
            variant=config.classification.variant,
        )
        pressure = pressure_of(given)
        clear, land = clear_masks(scl)
        prior_tcwv = np.full(given.cells, given.meteorology.tcwv, np.float32)
        aot550, method, dark_fraction = aerosol_field(given, toa, scl, land, pressure, prior_tcwv)
        tcwv, vapour_fraction = vapour_field(given, toa, land, pressure, aot550)
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
        terms = CellOptics(given, self.pressure).terms(band, self.aot550, self.tcwv)
        path, gain, albedo, diffuse_ratio = terms
        half_side = given.environment_cells
        if half_side < 1:
            return Planes(np.stack([path, gain, albedo]))
        toa, share = cell_means(decoded(given, band, overview), self.clear, given.cell_px)
        boa = surface.uniform_surface(toa, path, gain, albedo)
        around, _ = surface.environment(boa, share > 0, half_side)
        return Planes(np.stack(surface.linear_terms(path, gain, albedo, diffuse_ratio, around)))

    def vapour_terms(self) -> VapourTerms:
        """Optics of B09 without water vapour on the cells."""
        return VapourTerms(CellOptics(self.given, self.pressure).vapour(self.aot550))

    def summary(self) -> dict[str, Any]:
        """Numbers that belong into the product's metadata."""
        return {
            "aot_method": self.aot_method,
            "aot_mean": float(self.aot550.mean()),
            "dark_vegetation_fraction": self.dark_fraction,
            "tcwv_mean": float(self.tcwv.mean()),
            "tcwv_fraction": self.vapour_fraction,
        }

"""Water vapour on the cells of a scene: what is seen, and what stands in for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms import surface, water_vapour
from s2cloud.model.bands import BAND_INDEX
from s2cloud.physics import gases
from s2cloud.processor.optics import (
    CellOptics,
    SceneInput,
    cell_means,
    on_pixels,
    thinning,
    vapour_column,
    vapour_prior_sigma,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["VapourResult", "vapour_field"]

logger = logging.getLogger(__name__)

#: Place of the airmass among the terms of `CellOptics.vapour`.
AIRMASS: Final = 4


@dataclass(frozen=True, slots=True)
class VapourResult:
    """Water vapour of a scene and how it was found.

    Attributes
    ----------
    tcwv, sigma
        Column and its one-sigma uncertainty on the cells. [kg m-2], shape (cell_y, cell_x)
    fraction
        Share of the cells with a retrieved column.
    coded_ratio
        Surface reflectance of B09 over B8A on the overview pixels, see `ratio`. Bytes, because
        every block task gets them.
    """

    tcwv: Floats
    sigma: Floats
    fraction: float
    coded_ratio: npt.NDArray[np.uint8]

    @staticmethod
    def ratio(coded: npt.NDArray[np.uint8]) -> Floats:
        """Decoded `coded_ratio`."""
        low, high = water_vapour.RATIO_LIMITS
        return (low + coded * np.float32((high - low) / 255.0)).astype(np.float32)


def vapour_field(
    given: SceneInput,
    toa: Floats,
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    aot550: Floats,
) -> VapourResult:
    """Column on the cells, filled where it cannot be seen."""
    optics = CellOptics(given, pressure)
    thin = thinning(given)
    prior = np.float32(given.meteorology.tcwv) * thin
    ratio = _surface_ratio(given, optics, toa, aot550, prior)
    b8a, share = cell_means(toa[BAND_INDEX["b8a"]], land, given.cell_px)
    b09, _ = cell_means(toa[BAND_INDEX["b09"]], land, given.cell_px)
    means, _ = cell_means(ratio, land, given.cell_px)
    boa = surface.uniform_surface(b8a, *optics.terms("b8a", aot550, prior)[:3]) * means
    terms = optics.vapour(aot550)
    column, error = vapour_column(given, b09, boa, terms, prior)
    options = given.config.water_vapour
    prior_sigma = vapour_prior_sigma(given)
    sigma = options.smoothing_km * 1000.0 / (given.cell_px * given.grid.pixel_size)
    # A cell counts when a third of it is clear land; fewer pixels are too noisy to lead others.
    trusted = share > 0.33
    filled, fraction = water_vapour.fill(column / thin, trusted, sigma, given.meteorology.tcwv)
    spread, _ = water_vapour.fill(error / thin, trusted, sigma, prior_sigma)
    filled, spread = filled * thin, spread * thin
    if fraction == 0.0:
        logger.warning(
            "no clear land: water vapour is the %s value %.1f kg m-2",
            given.meteorology.sources["tcwv"],
            given.meteorology.tcwv,
        )
    else:
        law = gases.b09_column_uncertainty(
            given.sensor, filled * terms[AIRMASS], b09_law=options.b09_law
        )
        spread = np.hypot(spread, law * filled)
    return VapourResult(filled, spread.astype(np.float32), fraction, _coded(ratio))


def _surface_ratio(
    given: SceneInput, optics: CellOptics, toa: Floats, aot550: Floats, tcwv: Floats
) -> Floats:
    """Surface reflectance of B09 over B8A on the overview pixels."""
    boa = []
    for band in ("b07", "b8a", "b11", "b12"):
        terms = (on_pixels(given, t, given.cell_px) for t in optics.terms(band, aot550, tcwv)[:3])
        boa.append(surface.uniform_surface(toa[BAND_INDEX[band]], *terms))
    return water_vapour.surface_ratio(*boa)


def _coded(ratio: Floats) -> npt.NDArray[np.uint8]:
    low, high = water_vapour.RATIO_LIMITS
    return np.asarray(np.rint((ratio - low) * (255.0 / (high - low))), dtype=np.uint8)

"""Aerosol and water vapour on the cells of a scene: what is seen, and what stands in for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms import aerosol, resampling, surface, water_vapour
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import CLOUD_CLASSES, SCL
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
from s2cloud.processor.surroundings import surroundings

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = [
    "AOT_METHODS",
    "AerosolResult",
    "VapourResult",
    "aerosol_field",
    "clear_masks",
    "vapour_field",
]

logger = logging.getLogger(__name__)

#: Cells per side of the larger cells in which dark pixels are gathered.
AEROSOL_CELLS: Final = 5
#: Optical thicknesses at which the dark pixels are corrected.
AOT_NODES: Final = np.array(
    [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0], np.float32
)
AOT_METHODS: Final = ("dark_vegetation", "cams", "constant")
#: Distance within which cloud spoils a dark pixel (ATBD: box mean of the 0/255 mask above 5). [m]
CLOUD_REACH_M: Final = 1000.0
#: Share of the clear land that must lie beyond that distance; otherwise it is not kept.
LEAST_APART: Final = 0.1
#: Place of the airmass among the terms of `CellOptics.vapour`.
AIRMASS: Final = 4
#: Clear pixels looked at; more of them would tell nothing new.
SAMPLE: Final = 400_000
#: Share of the clear land that noise and unseen shadow may make negative (ATBD: 1 %).
NEGATIVE_SHARE: Final = 0.01


def clear_masks(
    scl: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Pixels that show the surface, and those of them that are land."""
    hidden = np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW])
    near = ndimage.binary_dilation(hidden, iterations=2)
    empty = scl <= SCL.SATURATED_OR_DEFECTIVE
    clear = ~near & ~empty
    return clear, clear & np.isin(scl, [SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.SNOW_ICE])


@dataclass(frozen=True, slots=True)
class AerosolResult:
    """Aerosol of a scene and how it was found.

    Attributes
    ----------
    aot550, sigma
        Optical thickness and its one-sigma uncertainty on the cells, shape (cell_y, cell_x).
    method
        Index into `AOT_METHODS`: what contributed most.
    dark_fraction
        Share of the looked-at clear land that was green vegetation.
    prior_weight
        Share of the forecast or the constant in the mean of the scene.
    lowered
        By how much the thickness was lowered so that no more than `NEGATIVE_SHARE` of the clear
        land turns out negative.
    """

    aot550: Floats
    sigma: Floats
    method: int
    dark_fraction: float
    prior_weight: float
    lowered: float = 0.0


def aerosol_field(
    given: SceneInput,
    toa: Floats,
    scl: npt.NDArray[np.uint8],
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    tcwv: Floats,
) -> AerosolResult:
    """Optical thickness on the cells from vegetation and from what is known without it.

    What is looked for is the thickness above the mean height of the tile, so that valleys and
    peaks side by side tell the same; the cells get what is above them. A constant stays one.
    """
    prior, source = _prior(given)
    options = given.config.aerosol
    fraction = 0.0
    if options.method == "dark_vegetation":
        pixels = _Pixels.chosen(given, toa, scl, land, pressure, tcwv, prior.mean)
        fraction = pixels.fraction
        if fraction >= max(options.minimum_dark_fraction, 1e-9):
            return _from_vegetation(given, pixels, prior, source)
        logger.warning(
            "green vegetation covers %.3f %% of the clear land, %.3f %% are needed: "
            "aerosol falls back to %s",
            100.0 * fraction,
            100.0 * options.minimum_dark_fraction,
            "CAMS" if source == "cams" else "the configured constant",
        )
    if options.method == "cams" and source != "cams":
        logger.warning("product has no CAMS forecast: aerosol is the configured %g", prior.mean)
    thin = np.ones(given.cells, np.float32) if source == "constant" else thinning(given)
    return AerosolResult(
        np.float32(prior.mean) * thin,
        np.float32(prior.sigma) * thin,
        AOT_METHODS.index(source),
        fraction,
        1.0,
    )


def _prior(given: SceneInput) -> tuple[aerosol.Prior, str]:
    """What is known of the aerosol without looking, and its name in `AOT_METHODS`."""
    options = given.config.aerosol
    cams = given.meteorology.aot550
    if options.method != "constant" and not np.isnan(cams):
        return aerosol.Prior(cams, options.cams_sigma), "cams"
    return aerosol.Prior(options.fallback_aot550, options.fallback_sigma), "constant"


def _from_vegetation(
    given: SceneInput, pixels: _Pixels, prior: aerosol.Prior, source: str
) -> AerosolResult:
    told = [
        pixels.evidence(aerosol.GREEN, pixels.green),
        pixels.evidence(aerosol.DARK, pixels.dark),
    ]
    step = pixels.cell_px * given.grid.pixel_size
    found = aerosol.estimate(told, given.config.aerosol.smoothing_km * 1e3 / step, prior)
    bound = min(_darkest(pixels, band) for band in ("b02", "b04"))
    excess = max(float(found.aot550.mean()) - bound, 0.0)
    if excess > 0.0:
        logger.warning(
            "aerosol lowered by %.3f: more than %g %% of the clear land would turn out negative",
            excess,
            100.0 * NEGATIVE_SHARE,
        )
    aot550, sigma = (
        resampling.interpolate_cells(
            np.ascontiguousarray(cells), float(AEROSOL_CELLS), (0, 0), given.cells
        )
        for cells in (np.maximum(found.aot550 - np.float32(excess), np.float32(0.0)), found.sigma)
    )
    method = "dark_vegetation" if found.prior_weight < 0.5 else source
    thin = thinning(given)
    return AerosolResult(
        aot550 * thin,
        sigma * thin,
        AOT_METHODS.index(method),
        pixels.fraction,
        found.prior_weight,
        excess,
    )


def _darkest(pixels: _Pixels, band: str) -> float:
    terms = pixels.correction(band).stacked.mean(axis=(2, 3))
    return aerosol.darkest(pixels.seen(band), pixels.around(band), AOT_NODES, terms, NEGATIVE_SHARE)


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Sample of the clear land of a scene, and which of it is green vegetation."""

    given: SceneInput
    toa: Floats
    clear: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.intp]
    cols: npt.NDArray[np.intp]
    green: npt.NDArray[np.bool_]
    dark: npt.NDArray[np.bool_]
    first: tuple[Floats, ...]
    optics: CellOptics
    tcwv: Floats
    thin: Floats
    guess: float
    #: Environment and optics by band: several relations share bands.
    known: dict[tuple[str, str], Any] = field(default_factory=dict)

    @classmethod
    def chosen(
        cls,
        given: SceneInput,
        toa: Floats,
        scl: npt.NDArray[np.uint8],
        land: npt.NDArray[np.bool_],
        pressure: Floats,
        tcwv: Floats,
        guess: float,
    ) -> _Pixels:
        """Every n-th pixel of the clear land far from clouds; near them if there is too little."""
        hidden = np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW])
        side = 2 * round(CLOUD_REACH_M / given.grid.pixel_size / 2) + 1
        near = ndimage.uniform_filter(hidden.astype(np.float32), side, mode="nearest") > 5 / 255
        usable = land & np.isfinite(toa).all(axis=0)
        apart = usable & ~near
        if apart.sum() >= LEAST_APART * usable.sum():
            usable = apart
        places = np.flatnonzero(usable)
        places = places[:: max(1, -(-places.size // SAMPLE))]
        rows, cols = np.unravel_index(places, usable.shape)
        whole = np.ones(given.cells, dtype=bool)
        coarse_pressure, _ = cell_means(pressure, whole, AEROSOL_CELLS)
        coarse_tcwv, _ = cell_means(tcwv, whole, AEROSOL_CELLS)
        optics = CellOptics(given, coarse_pressure, AEROSOL_CELLS)
        clear, _ = clear_masks(scl)
        none = np.zeros(places.size, dtype=bool)
        thin, _ = cell_means(thinning(given), whole, AEROSOL_CELLS)
        sample = cls(
            given, toa, clear, rows, cols, none, none, (), optics, coarse_tcwv, thin, guess
        )
        first = []
        for band in aerosol.SELECTION_BANDS:
            terms = sample.terms(band, guess)
            at = np.stack([t[rows // sample.cell_px, cols // sample.cell_px] for t in terms])
            first.append(aerosol.surface_at(sample.seen(band), sample.around(band), at))
        green, dark = aerosol.vegetation(*first)
        return replace(sample, green=green, dark=dark, first=tuple(first))

    @property
    def cell_px(self) -> int:
        """Overview pixels per side of a cell of aerosol."""
        return self.given.cell_px * AEROSOL_CELLS

    @property
    def fraction(self) -> float:
        """Share of green vegetation."""
        return float(self.green.mean()) if self.green.size else 0.0

    def seen(self, band: str) -> Floats:
        """Top-of-atmosphere reflectance of the pixels."""
        plane: Floats = self.toa[BAND_INDEX[band]]
        return plane[self.rows, self.cols]

    def around(self, band: str) -> Floats:
        """Mean of it over the environment of each pixel; the pixel itself without adjacency."""
        if self.given.config.surface.adjacency_km == 0:
            return self.seen(band)
        size = self.given.cell_px
        if ("around", band) not in self.known:
            means, share = cell_means(self.toa[BAND_INDEX[band]], self.clear, size)
            guess = np.float32(self.guess) * self.thin
            molecular = float(self.optics.molecular_share(band, guess).mean())
            self.known["around", band] = surroundings(self.given, means, share > 0, molecular)
        return np.asarray(self.known["around", band][self.rows // size, self.cols // size])

    def terms(self, band: str, aot550: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Optics of a band on the cells of aerosol, for a thickness above the mean height."""
        return self.optics.terms(band, np.float32(aot550) * self.thin, self.tcwv)

    def evidence(
        self, relation: aerosol.Relation, chosen: npt.NDArray[np.bool_]
    ) -> aerosol.AerosolRetrieval:
        """What the chosen pixels say."""
        toa, around = (
            np.stack([plane(band)[chosen] for band in relation.bands])
            for plane in (self.seen, self.around)
        )
        kinds = aerosol.kinds(*(boa[chosen] for boa in self.first))
        place = (self.rows[chosen] // self.cell_px, self.cols[chosen] // self.cell_px)
        corrections = tuple(self.correction(band) for band in relation.bands)
        return aerosol.retrieve(relation, toa, around, place, AOT_NODES, corrections, kinds)

    def correction(self, band: str) -> aerosol.Correction:
        """Optics of a band at all `AOT_NODES`."""
        if ("optics", band) not in self.known:
            nodes = [self.terms(band, float(aot)) for aot in AOT_NODES]
            terms = (np.stack([n[k] for n in nodes]) for k in range(4))
            self.known["optics", band] = aerosol.Correction(*terms)
        found: aerosol.Correction = self.known["optics", band]
        return found


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

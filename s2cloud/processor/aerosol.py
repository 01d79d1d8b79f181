"""Aerosol on the cells of a scene: what is seen, what stands in for it, what is not known."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms import aerosol, resampling
from s2cloud.physics.mixtures import shares_of
from s2cloud.processor.dark_pixels import AEROSOL_CELLS, AOT_NODES, Pixels
from s2cloud.processor.mixture import (
    SOME,
    Mixture,
    find_mixture,
    water_pixels,
    water_relation,
    with_share,
)
from s2cloud.processor.optics import SceneInput, thinning
from s2cloud.processor.vegetation import vegetation_evidence

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["AOT_METHODS", "AerosolResult", "Alternative", "aerosol_field"]

logger = logging.getLogger(__name__)

AOT_METHODS: Final = ("dark_vegetation", "cams", "constant", "dark_water")
#: Share of the clear land that noise and unseen shadow may make negative (ATBD: 1 %).
NEGATIVE_SHARE: Final = 0.01
#: Share of the sooty aerosol by which the uncertainty of absorption is measured.
SOOT_STEP: Final = 0.2
#: Share of the coarse aerosol by which the uncertainty of particle size is measured.
COARSE_STEP: Final = 0.3


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another aerosol that the scene might hold.

    Attributes
    ----------
    model
        Mixture.
    change
        How much thicker the scene would have been found with it.
    sigmas
        How many sigma lie between it and the aerosol of the scene.
    """

    model: str
    change: float
    sigmas: float


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
    spread
        The part of `sigma` that is not due to the choice of the aerosol.
    mixture
        Aerosol of the scene.
    alternatives
        What else it might be.
    """

    aot550: Floats
    sigma: Floats
    method: int
    dark_fraction: float
    prior_weight: float
    lowered: float
    spread: Floats
    mixture: Mixture
    alternatives: tuple[Alternative, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the tabulated aerosols in the optical thickness."""
        return shares_of(self.mixture.model)


def aerosol_field(
    given: SceneInput,
    toa: Floats,
    scl: npt.NDArray[np.uint8],
    land: npt.NDArray[np.bool_],
    pressure: Floats,
    tcwv: Floats,
) -> AerosolResult:
    """Aerosol on the cells from vegetation or water, and from what is known without them.

    What is looked for is the thickness above the mean height of the tile, so that valleys and
    peaks side by side tell the same; the cells get what is above them. A constant stays one.
    """
    prior, source = _prior(given)
    scene = (toa, scl, pressure, tcwv)
    evidence = _Evidence.gathered(given, scene, land, prior)
    if evidence.kind == "none":
        _explain(given, evidence.fraction, source, prior)
    some = evidence.fewer()
    mixture = find_mixture(
        given,
        some.land,
        evidence.water if evidence.kind == "vegetation" else None,
        lambda model: some.found(model)[1],
    )
    if mixture.model != given.meteorology.aerosol_model:
        # Coarse aerosol brightens B12. Where too little of it was taken away, dense plants were
        # taken for sparse ones, which are brighter themselves: too little haze would be found.
        evidence = evidence.decided(mixture.model)
        some = evidence.fewer()
    found, mean = evidence.found(mixture.model)
    excess = float(found.aot550.mean()) - mean
    if excess > 0.0:
        logger.warning(
            "aerosol lowered by %.3f: more than %g %% of the clear land would turn out negative",
            excess,
            100.0 * NEGATIVE_SHARE,
        )
    aot550, spread = (
        resampling.interpolate_cells(
            np.ascontiguousarray(cells), float(AEROSOL_CELLS), (0, 0), given.cells
        )
        for cells in (np.maximum(found.aot550 - np.float32(excess), np.float32(0.0)), found.sigma)
    )
    alternatives = _alternatives(given, some, mixture)
    sigma = np.sqrt(spread**2 + np.float32(sum((a.change * a.sigmas) ** 2 for a in alternatives)))
    seen = "dark_water" if evidence.kind == "water" else "dark_vegetation"
    method = source if evidence.kind == "none" or found.prior_weight >= 0.5 else seen
    constant = evidence.kind == "none" and source == "constant"
    thin = np.ones(given.cells, np.float32) if constant else thinning(given)
    return AerosolResult(
        aot550 * thin,
        sigma * thin,
        AOT_METHODS.index(method),
        evidence.fraction,
        found.prior_weight,
        max(excess, 0.0),
        spread * thin,
        mixture,
        alternatives,
    )


def _prior(given: SceneInput) -> tuple[aerosol.Prior, str]:
    """What is known of the aerosol without looking, and its name in `AOT_METHODS`."""
    options = given.config.aerosol
    cams = given.meteorology.aot550
    if options.method != "constant" and not np.isnan(cams):
        return aerosol.Prior(cams, options.cams_sigma), "cams"
    return aerosol.Prior(options.fallback_aot550, options.fallback_sigma), "constant"


def _explain(given: SceneInput, fraction: float, source: str, prior: aerosol.Prior) -> None:
    """Say why nothing was seen."""
    options = given.config.aerosol
    if options.method == "dark_vegetation":
        logger.warning(
            "green vegetation covers %.3f %% of the clear land, %.3f %% are needed, and there is "
            "no dark water: aerosol falls back to %s",
            100.0 * fraction,
            100.0 * options.minimum_dark_fraction,
            "CAMS" if source == "cams" else "the configured constant",
        )
    if options.method == "cams" and source != "cams":
        logger.warning("product has no CAMS forecast: aerosol is the configured %g", prior.mean)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What tells of the aerosol of a scene: ``vegetation``, ``water`` or ``none``."""

    given: SceneInput
    kind: str
    land: Pixels
    water: Pixels | None
    fraction: float
    prior: aerosol.Prior

    @classmethod
    def gathered(
        cls,
        given: SceneInput,
        scene: tuple[Floats, npt.NDArray[np.uint8], Floats, Floats],
        land: npt.NDArray[np.bool_],
        prior: aerosol.Prior,
    ) -> _Evidence:
        options = given.config.aerosol
        toa, scl, pressure, tcwv = scene
        pixels = Pixels.chosen(given, toa, scl, land, pressure, tcwv, prior.mean)
        if options.method != "dark_vegetation":
            return cls(given, "none", pixels, None, 0.0, prior)
        kind = "none"
        if pixels.fraction >= max(options.minimum_dark_fraction, 1e-9):
            kind = "vegetation"
        bare = cls(given, kind, pixels, None, pixels.fraction, prior)
        # A guess of the haze, so that water is told from dark ground, and dense from sparse plants.
        guess = bare.fewer().found(given.meteorology.aerosol_model)[1]
        bare = replace(bare, land=pixels.seen_through(guess))
        water = water_pixels(given, toa, scl, pressure, tcwv, guess)
        if kind == "none" and water is not None:
            kind = "water"
        return replace(bare, kind=kind, water=water)

    def fewer(self) -> _Evidence:
        """The same of fewer pixels of land, for a mean."""
        return replace(self, land=self.land.fewer(SOME))

    def decided(self, model: str) -> _Evidence:
        """The same, with what is green and how dense as it is below a mixture."""
        guess = self.fewer().found(model)[1]
        return replace(self, land=self.land.under(model).seen_through(guess))

    def found(self, model: str) -> tuple[aerosol.AerosolField, float]:
        """Field for a mixture, and the mean of the scene that land and water allow."""
        land = self.land.under(model)
        told = []
        if self.kind == "vegetation":
            told = vegetation_evidence(land, self.prior.mean)
        elif self.kind == "water" and self.water is not None:
            told = [self.water.under(model).evidence(water_relation(self.given), None)]
        step = land.cell_px * self.given.grid.pixel_size
        sigma_cells = self.given.config.aerosol.smoothing_km * 1e3 / step
        shape = land.optics.pressure.shape
        found = aerosol.estimate(told, sigma_cells, self.prior, shape)
        mean = float(found.aot550.mean())
        if self.kind == "none":
            return found, mean
        # Water alone says little of fine particles, which must not make it blacker than black.
        seen = [land]
        if self.kind == "water" and self.water is not None:
            seen.append(self.water.under(model))
        bounds = [_darkest(one, band) for one in seen if one.rows.size for band in ("b02", "b04")]
        return found, min([mean, *bounds])


def _alternatives(
    given: SceneInput, evidence: _Evidence, mixture: Mixture
) -> tuple[Alternative, ...]:
    """More coarse particles, and more soot, each with what the evidence makes of it."""
    options = given.config.aerosol
    own = evidence.found(mixture.model)[1]
    steps = []
    for name, step, sigma in (
        (mixture.coarse, COARSE_STEP, mixture.coarse_sigma),
        ("urban", SOOT_STEP, options.soot_sigma),
    ):
        share = shares_of(mixture.model).get(name, 0.0)
        change = step if share + step <= 1.0 else -step
        model = with_share(mixture.model, name, share + change)
        steps.append(Alternative(model, evidence.found(model)[1] - own, sigma / step))
    return tuple(steps)


def _darkest(pixels: Pixels, band: str) -> float:
    terms = pixels.correction(band).stacked.mean(axis=(2, 3))
    return aerosol.darkest(pixels.seen(band), pixels.around(band), AOT_NODES, terms, NEGATIVE_SHARE)

"""Which aerosol lies over a scene: mixture of the tables, and how much is not known of it.

Two things are asked. How much of it is coarse is seen over water, which reflects nothing at 1.6 and
2.2 um: what is left there is the air. How much of it is soot cannot be seen in one image: over dark
ground absorbing aerosol looks like less of it, and of bright ground the brightness is not known
beforehand. The species of a forecast tell both; without it the default stands.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms import aerosol
from s2cloud.algorithms.geometry import angles_at
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL
from s2cloud.physics.mixtures import shares_of, spelled
from s2cloud.processor.dark_pixels import Pixels, beside_clouds, clear_masks

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from s2cloud.processor.optics import SceneInput

    Floats = npt.NDArray[np.float32]

__all__ = [
    "MIXTURE_METHODS",
    "Mixture",
    "find_mixture",
    "water_pixels",
    "water_relation",
    "with_share",
]

logger = logging.getLogger(__name__)

#: Where the mixture of a product comes from.
MIXTURE_METHODS: Final = ("configured", "cams_species", "dark_water")
#: Shares of the coarse aerosol at which the correction is tried.
TRIED: Final = (0.0, 0.5, 1.0)
#: Bands in which water is dark.
WATER_BANDS: Final = ("b11", "b12")
#: Fewer pixels of 60 m may be shores alone.
LEAST_WATER: Final = 12
#: Pixels looked at.
SOME: Final = 20_000
#: Evidence that leaves more than this of its sigma unexplained is not of water.
OUTLIER: Final = 3.0
#: Share of the clear land that may be negative in the infrared, and by how much. [1]
NEGATIVE: Final = (0.01, 0.004)
#: Share of the aerosol that must have changed for the water to be named as its source.
CHANGED: Final = 0.02


@dataclass(frozen=True, slots=True)
class Mixture:
    """Aerosol of a scene.

    Attributes
    ----------
    model
        As ``mixtures.spelled`` writes it.
    coarse
        Which of the tables is the coarse one.
    coarse_sigma
        One-sigma uncertainty of its share.
    method
        Index into `MIXTURE_METHODS`.
    water
        Pixels of dark water that were looked at.
    reason
        What decided, in words.
    """

    model: str
    coarse: str
    coarse_sigma: float
    method: int
    water: int
    reason: str


def with_share(model: str, name: str, share: float) -> str:
    """Mixture in which one aerosol has a given share, the others in proportion as before."""
    rest = {n: s for n, s in shares_of(model).items() if n != name}
    if not rest:
        rest = {"continental": 1.0}
    total = sum(rest.values())
    kept = {n: s / total * (1.0 - share) for n, s in rest.items()}
    return spelled({**kept, name: share})


def find_mixture(
    given: SceneInput,
    land: Pixels,
    water: Pixels | None,
    thickness: Callable[[str], float],
) -> Mixture:
    """Mixture of a scene.

    Parameters
    ----------
    given
        Options, and the mixture to begin with.
    land
        Clear land.
    water
        From `water_pixels`.
    thickness
        Mean optical thickness of the scene for a mixture.

    Returns
    -------
    Mixture
        Where nothing tells, that of the meteorology.
    """
    options, start = given.config.aerosol, given.meteorology.aerosol_model
    shares = shares_of(start)
    coarse = max(("maritime", "desert"), key=lambda name: shares.get(name, 0.0))
    sigma = options.coarse_sigma
    count = 0 if water is None else int(water.rows.size)
    if options.model != "auto":
        return Mixture(start, coarse, sigma, 0, count, "configured")
    source = given.meteorology.sources.get("aerosol_model", "configuration")
    method = MIXTURE_METHODS.index("cams_species" if source == "cams" else "configured")
    before = shares.get(coarse, 0.0)
    tried = [with_share(start, coarse, share) for share in TRIED]
    looked = [_infrared(model, land, water, thickness(model)) for model in tried]
    share, spread, left = _most_likely(given, np.array(looked), before, sigma, water is not None)
    if water is not None and left > OUTLIER:
        reason = f"dark pixels are no water: {left:.1f} sigma are left"
        share, spread, left = _most_likely(given, np.array(looked), before, sigma, False)
    elif water is None:
        reason = "no water tells"
    else:
        reason = f"{count} pixels of water"
    model = start
    if abs(share - before) > CHANGED:
        model = with_share(start, coarse, share)
        method = MIXTURE_METHODS.index("dark_water")
        logger.info("aerosol is %s instead of %s: %s", model, start, reason)
    return Mixture(model, coarse, spread, method, count, reason)


def water_pixels(
    given: SceneInput,
    toa: Floats,
    scl: npt.NDArray[np.uint8],
    pressure: Floats,
    tcwv: Floats,
    guess: float,
) -> Pixels | None:
    """Water away from clouds and shores, None if there is too little."""
    clear, _ = clear_masks(scl)
    clear = clear & np.isfinite(toa).all(axis=0) & (toa[BAND_INDEX["b11"]] < aerosol.WATER_LIMIT)
    clear &= ~np.isin(scl, [SCL.CAST_SHADOW, SCL.SNOW_ICE])
    clear &= ~beside_clouds(scl, given.grid.pixel_size)
    dark = Pixels.of(given, toa, scl, clear, pressure, tcwv, guess, clear.size)
    found = aerosol.looks_like_water(*(dark.surface(b, guess) for b in ("b8a", *WATER_BANDS)))
    water = np.zeros(clear.shape, dtype=bool)
    water[dark.rows[found], dark.cols[found]] = True
    inner = ndimage.binary_erosion(water)
    if inner.sum() >= LEAST_WATER:
        water = inner
    if water.sum() < LEAST_WATER:
        return None
    return Pixels.of(given, toa, scl, water, pressure, tcwv, guess, SOME)


def water_relation(given: SceneInput) -> aerosol.Relation:
    """What dark water obeys under the sun of a scene: the less, the more glint there may be."""
    per_thickness = aerosol.WATER.sigma / aerosol.WATER_SURFACE
    sigma = np.hypot(aerosol.WATER.sigma, per_thickness * _glint(given))
    return replace(aerosol.WATER, sigma=float(sigma))


def _glint(given: SceneInput) -> float:
    """``aerosol.glint_sigma`` in the middle of the scene."""
    x, y = (axis[axis.size // 2 :][:1] for axis in (given.grid.x, given.grid.y))
    sza, vza, raa = (float(a[0, 0]) for a in angles_at(given.points, BAND_INDEX["b11"], x, y))
    return aerosol.glint_sigma(sza, vza, raa)


def _infrared(model: str, land: Pixels, water: Pixels | None, aot550: float) -> list[float]:
    """What the correction leaves of the darkest: of water in `WATER_BANDS`, of land in three."""
    below = None if water is None else water.under(model)
    left = [
        np.nan if below is None else _quantile(below.surface(band, aot550), aerosol.QUANTILE)
        for band in WATER_BANDS
    ]
    ground = land.under(model)
    return left + [
        _quantile(ground.surface(band, aot550), NEGATIVE[0]) for band in ("b8a", *WATER_BANDS)
    ]


def _quantile(values: Floats, share: float) -> float:
    return float(np.quantile(values, share)) if values.size else float("nan")


def _most_likely(
    given: SceneInput,
    looked: npt.NDArray[np.float64],
    before: float,
    sigma: float,
    water: bool,  # noqa: FBT001 - a choice of evidence
) -> tuple[float, float, float]:
    """Share of the coarse aerosol, its spread, and how many sigma of the evidence are left."""
    shares = np.linspace(0.0, 1.0, 101)
    curves = np.array([np.polyval(np.polyfit(TRIED, column, 2), shares) for column in looked.T])
    cost = ((shares - before) / sigma) ** 2
    left = np.zeros_like(shares)
    if water:
        left = aerosol.unlikely(curves[0], curves[1], _glint(given))
        cost = cost + left
    for curve in curves[2:]:
        if np.isfinite(curve).all():
            cost = cost + (np.minimum(curve + NEGATIVE[1], 0.0) / NEGATIVE[1]) ** 2
    best = int(cost.argmin())
    weight = np.exp(-0.5 * (cost - cost[best]))
    spread_of = np.sqrt((weight * (shares - shares[best]) ** 2).sum() / weight.sum())
    return float(shares[best]), float(spread_of), float(np.sqrt(left[best] / 2.0))

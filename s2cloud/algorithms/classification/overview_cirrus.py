"""Cirrus and vapour over a scene, by what B10 shows of its ground (scene stage)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification import steps
from s2cloud.algorithms.classification.morphology import box_dilated
from s2cloud.algorithms.classification.overview import (
    CIRRUS_MOST,
    CLOUDS,
    ENOUGH_SCENE,
    ENOUGH_STEP,
    LAND,
    LAND_WHITE,
    RIM_PX,
    Overview,
)
from s2cloud.algorithms.classification.refine import (
    levelled_planes,
)
from s2cloud.algorithms.classification.rules import single
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.window import State

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["find_cirrus"]

#: Least and largest B10 that tells cirrus over water, over land. [1]
_CIRRUS_WATER: Final = 0.0020
_CIRRUS_LAND: Final = 0.0030
#: B10 of clear water is surely below: all it holds is the little that the air scatters. [1]
_CIRRUS_WATER_MOST: Final = 0.004
#: Altitude up to which a scene without terrain model is taken for low. [m]
_HIGHEST_UNKNOWN: Final = 800.0
_LAND_BLUE_PERCENTILE: Final = 95.0
_LAND_WHITE_PERCENTILE: Final = 99.0
#: B10 of a cloud of ice over that of the scene's snow: more than two kilometres of altitude, at
#: 0.49 km-1 (see `steps.levelled_b10`), make up for; terrain models and slopes err by less.
_VEILED_SNOW: Final = 3.0
#: The same where nothing but B10 tells it: grains of 50 um reflect about three times as much at
#: 1.4 um as those of 1 mm.
_VEIL: Final = 6.0
#: The same where parallax sees it above the ground.
_HAZY_SNOW: Final = 1.5


def find_cirrus(view: Overview, state: State) -> None:
    """Mark what B10 sees above the ground, and clouds of ice over snow; learn its limits."""
    scl = state.scl
    b10 = view.band("b10")
    if view.options.evolution:
        raw = levelled_planes(view.toa, view.planes(state), view.facts)
        level = _without_ground(view, raw, np.isin(scl, LAND))
        limits, sizes = [], []
        for code in LAND:
            mask = scl == code
            limits.append(_beyond(level[mask], _CIRRUS_LAND))
            sizes.append(np.count_nonzero(mask))
        land = float(np.average(limits, weights=sizes)) if sum(sizes) else CIRRUS_MOST
        # Water is black in B10: cirrus over most of it must not raise its own limit.
        water = min(_beyond(b10[scl == SCL.WATER], _CIRRUS_WATER), _CIRRUS_WATER_MOST)
        known = view.facts.terrain or view.ground.altitude < _HIGHEST_UNKNOWN
        limit = _limit_by_height(view, level, scl, land) if known else CIRRUS_MOST
        # Single pixels beyond the limit are noise; cirrus is wide.
        seen = ndimage.median_filter(level, 3, mode="nearest") >= limit
        over_water = ndimage.median_filter(b10, 3, mode="nearest") > water
        view.set(steps.CIRRUS, np.where(scl == SCL.WATER, over_water, seen))
        clouds = np.isin(scl, CLOUDS)
        view.set(steps.RIM, box_dilated(clouds, 1))
        clear = np.isin(scl, LAND) & ~box_dilated(clouds, RIM_PX)
        if np.count_nonzero(clear) >= ENOUGH_STEP:
            brightest = np.percentile(view.band("b02")[clear], _LAND_BLUE_PERCENTILE)
            usual = float(np.percentile(view.whiteness[clear], _LAND_WHITE_PERCENTILE))
            view.facts = view.facts._replace(
                land_blue=single(float(brightest)), land_white=single(max(usual, LAND_WHITE))
            )
        if known:
            _mark_veiled_snow(view, raw, scl)
    else:
        land = max(_spread(b10[scl == SCL.NOT_VEGETATED], 3.0), _CIRRUS_LAND)
        water = max(_spread(b10[scl == SCL.WATER], 3.0), _CIRRUS_WATER)
        view.set(steps.CIRRUS, b10 > min(land, water))
        _classic_ground(view, scl)
    view.facts = view.facts._replace(cirrus_land=single(land), cirrus_water=single(water))


def _mark_veiled_snow(view: Overview, level: Floats, scl: Codes) -> None:
    """Snow that shows far more in B10 than the snow of the scene is a cloud of ice."""
    snow = scl == SCL.SNOW_ICE
    if np.count_nonzero(snow) < ENOUGH_SCENE:
        return
    usual = float(np.median(level[snow]))
    smooth = ndimage.median_filter(level, 3, mode="nearest")
    view.facts = view.facts._replace(veil_b10=single(min(CIRRUS_MOST, _VEIL * usual)))
    infrared = view.band("b11")
    over = smooth > _VEILED_SNOW * usual
    view.set(steps.HIGH, (view.band("b10") > _CIRRUS_LAND) & over)
    view.doubtful = (smooth > _HAZY_SNOW * usual) & (
        infrared > np.float32(np.percentile(infrared[snow], 75.0))
    )


def _without_ground(view: Overview, level: Floats, land: Mask) -> Floats:
    """B10 less what ground brighter than usual adds to it: dry air lets it through."""
    bright = (view.band("b8a") + view.band("b11")) / 2
    if not land.any():
        return level
    usual = float(np.median(bright[land]))
    share = max(float(np.median(level[land])), 0.0) / max(usual, 1e-3)
    over = np.maximum(bright - np.float32(usual), np.float32(0.0))
    return np.asarray(level - np.float32(share) * over, dtype=np.float32)


def _limit_by_height(view: Overview, level: Floats, scl: Codes, land: float) -> Floats | float:
    """Limit of cirrus over land in steps of 200 m: high ground shows more than formulas say."""
    if not view.facts.terrain or view.ground.elevation is None:
        return land
    step = np.nan_to_num(np.floor(view.ground.elevation / 200.0)).astype(np.int64)
    step = np.clip(step, 0, 7)
    of_step = np.full(8, land)
    for k in range(8):
        values = level[(step == k) & np.isin(scl, LAND)]
        if values.size >= ENOUGH_STEP:
            of_step[k] = max(land, _beyond(values, _CIRRUS_LAND))
    return np.asarray(of_step[step], dtype=np.float32)


def _classic_ground(view: Overview, scl: Codes) -> None:
    """Limits of step 9 of 2.8: B10 and vapour above land; needs the land cover map."""
    land = np.isin(scl, LAND)
    area = np.count_nonzero(land) * view.pixel_size**2
    valid = np.count_nonzero(scl > SCL.SATURATED_OR_DEFECTIVE)
    if view.ground.land_cover is None or area < max(121e6, 0.05 * valid * view.pixel_size**2):
        return
    b10 = view.band("b10").astype(np.float64)
    high = scl == SCL.CLOUD_HIGH_PROBABILITY
    share = int(np.count_nonzero(high)) / max(int(valid), 1)
    limit = float(b10[land].mean())
    if share > 0.20:
        limit = min(limit, max(0.0015, b10[high].mean() - 2 * b10[high].std()))
    elif share >= 0.02:
        limit = min(limit, 0.0015)
    vapour = (view.band("b09") / np.maximum(view.band("b8a"), np.float32(1e-6)))[land]
    ratio = float(vapour.mean(dtype=np.float64) + vapour.std(dtype=np.float64))
    view.facts = view.facts._replace(ground_b10=single(limit), ground_ratio=single(ratio))


def _beyond(values: Floats, least: float) -> float:
    """As far above the mean of B10 as its first percentile is below, within bounds."""
    values = values[np.isfinite(values)]
    if not values.size:
        return CIRRUS_MOST
    tail = 2 * float(values.mean(dtype=np.float64)) - float(np.percentile(values, 1))
    return min(max(tail, least), CIRRUS_MOST)


def _spread(values: Floats, deviations: float) -> float:
    """Mean plus so many standard deviations, 0 of nothing."""
    if not values.size:
        return 0.0
    return float(values.mean(dtype=np.float64) + deviations * values.std(dtype=np.float64))

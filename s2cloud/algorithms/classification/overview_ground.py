"""Bright and snowy ground, coasts and wide clouds of a scene (scene stage)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification import steps
from s2cloud.algorithms.classification.morphology import box_count, box_dilated, majority
from s2cloud.algorithms.classification.overview import (
    BRIGHT,
    CLOUDS,
    ENOUGH_SCENE,
    ENOUGH_STEP,
    GROUND_GREEN,
    LAND,
    RIM_PX,
    Overview,
)
from s2cloud.algorithms.classification.rules import UNDECIDED, single
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.window import State

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["mark_built_up", "mark_clouds", "mark_coasts", "mark_gaps", "mark_ground", "mark_snow"]

logger = logging.getLogger(__name__)

#: Opening that leaves large clouds: shrink, then grow. [m]
_SHRINK_M: Final = 60.0
_GROW_M: Final = 180.0
#: Area of clouds that grow at coasts and beside built-up land too: 1000 pixels of 20 m. [m2]
_BLOB_M2: Final = 400_000.0
#: Reach of a coast and of built-up land. [m]
_COAST_M: Final = 120.0
_URBAN_M: Final = 180.0
#: Land cover codes (LCCS), and the share of its ring under cloud at which a bright blob stays.
_URBAN: Final = ((190,), 0.20)
_BARE: Final = ((200, 201, 202), 0.35)
_SEA: Final = 210
#: Percentile of B11 that is the brightest soil.
_BRIGHTEST_SOIL: Final = 98.0
#: Percentile of B10 over B02 that the least of clouds have, B02 of bright ground [1], and how many
#: times the one must be above the other to tell them apart.
_LEAST_OF_CLOUDS: Final = 5.0
_BRIGHT_BLUE: Final = 0.25
_APART: Final = 1.5
#: What may be part of a cloud; share and area of cloud in a bright blob that make it one. [1], [m2]
_GAPS: Final = (SCL.NOT_VEGETATED, SCL.UNCLASSIFIED, UNDECIDED)
_GAP_SHARE: Final = 0.2
_LEVEL: Final = 10.0  # [degree]
_GAP_M2: Final = 40_000.0
#: Bright ground is not that wide, fog is. [m]
_FOG_M: Final = 420.0
#: Distance within which snow counts as lying around, and the share of the square it must cover.
_SNOWY_M: Final = 1500.0
_SNOWY_SHARE: Final = 0.02


def mark_ground(view: Overview) -> None:
    """Mark the shadow of terrain and the sea of the maps."""
    if view.ground.cast is not None:
        # Sen2Cor widens the shadow by 80 m, more than elevation models are off.
        view.set(steps.CAST, majority(box_dilated(view.ground.cast, 1), 1))
    if view.ground.land_cover is not None:
        view.set(steps.SEA, view.ground.land_cover == _SEA)


def mark_snow(view: Overview, scl: Codes) -> None:
    """Where snow lies around, and how bright the snow of the scene is."""
    snow = scl == SCL.SNOW_ICE
    if np.count_nonzero(snow) < ENOUGH_SCENE:
        return
    soil = view.band("b11")[scl == SCL.NOT_VEGETATED]
    if soil.size >= ENOUGH_STEP:
        brightest = single(float(np.percentile(soil, _BRIGHTEST_SOIL)))
        view.facts = view.facts._replace(brightest_soil=brightest)
    radius = max(1, round(_SNOWY_M / view.pixel_size))
    share = box_count(snow, radius) / (2 * radius + 1) ** 2
    view.set(steps.SNOWY, share > _SNOWY_SHARE)
    green = float(np.clip(np.percentile(view.band("b03")[snow], 75), 0.5, 1.0))
    view.facts = view.facts._replace(
        snow_green=single(green), half_snow=single((green + GROUND_GREEN) / 2)
    )


def mark_built_up(view: Overview, scl: Codes) -> None:
    """Mark built-up and bare land cover that is not beside cloud."""
    cover = view.ground.land_cover
    if cover is None:
        return
    cloudy = np.isin(scl, (*BRIGHT, SCL.THIN_CIRRUS, SCL.CLOUD_SHADOW))
    for codes, limit in (_URBAN, _BARE):
        zone = np.isin(cover, codes)
        if codes == _URBAN[0]:
            zone = box_dilated(zone, max(1, round(_URBAN_M / view.pixel_size)))
            view.set(steps.URBAN, zone)
        if not zone.any():
            continue
        doubtful = np.isin(scl, (SCL.UNCLASSIFIED, SCL.CLOUD_MEDIUM_PROBABILITY))
        blobs, count = ndimage.label(zone & doubtful, np.ones((3, 3)))
        kept = _beside_cloud(blobs, count, cloudy, limit)
        view.set(steps.BUILT, zone & ~box_dilated(kept, 1))


def mark_clouds(view: Overview, state: State) -> None:
    """Mark large clouds, and wide bright places as low as the ground."""
    cloud = np.isin(state.scl, CLOUDS)
    shrink = max(1, round(_SHRINK_M / view.pixel_size))
    core = ~box_dilated(~cloud, shrink)
    view.set(steps.LARGE, box_dilated(core, max(1, round(_GROW_M / view.pixel_size))))
    _weigh_vapour(view, core, cloud, state.scl)


def _weigh_vapour(view: Overview, core: Mask, cloud: Mask, scl: Codes) -> None:
    """How much brighter in B10 the clouds of the scene are than its ground can be."""
    b10, b02 = view.band("b10"), view.band("b02")
    certain = core & (scl == SCL.CLOUD_HIGH_PROBABILITY)
    land = np.isin(scl, LAND) & ~box_dilated(cloud, RIM_PX)
    if min(np.count_nonzero(certain), np.count_nonzero(land)) < ENOUGH_STEP:
        return
    least = float(np.percentile(b10[certain] / b02[certain], _LEAST_OF_CLOUDS))
    most = float(np.percentile(b10[land], 100 - _LEAST_OF_CLOUDS)) / _BRIGHT_BLUE
    if least < _APART * most:
        return
    limit = float(np.sqrt(least * most))
    view.facts = view.facts._replace(cloud_b10=single(limit))
    low = np.isin(scl, BRIGHT) & (b10 < np.float32(limit) * b02)
    wide = max(1, round(_FOG_M / view.pixel_size / 2))
    view.set(steps.FOG, box_dilated(~box_dilated(~low, wide), 2 * wide))


def mark_gaps(view: Overview, scl: Codes) -> None:
    """Mark what is as bright and white as the clouds it touches, if much of it is cloud."""
    clouds = np.isin(scl, CLOUDS)
    if not clouds.any():
        return
    alike = view.whiteness > np.float32(view.facts.land_white)
    alike &= view.band("b02") > np.float32(view.facts.land_blue)
    # Snow is white, and so are soil and rock with some of it; slopes to the sun are bright.
    alike &= (view.flags & np.uint16(steps.SNOWY)) == 0
    if view.ground.slope is not None:
        alike &= view.ground.slope <= _LEVEL
    blobs, count = ndimage.label(clouds | (alike & np.isin(scl, _GAPS)), np.ones((3, 3)))
    sizes = np.bincount(blobs.ravel(), minlength=count + 1)
    cloudy = np.bincount(blobs[clouds], minlength=count + 1)
    part = (cloudy >= _GAP_SHARE * sizes) & (cloudy * view.pixel_size**2 >= _GAP_M2)
    part[0] = False
    view.set(steps.GAP, box_dilated(part[blobs], 1))


def mark_coasts(view: Overview, scl: Codes) -> None:
    """Mark coasts, and clouds so large that coast and town do not matter."""
    clouds = np.isin(scl, CLOUDS)
    labels, count = ndimage.label(clouds, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    view.set(steps.BLOB, (sizes * view.pixel_size**2 > _BLOB_M2)[labels])
    reach = max(1, round(_COAST_M / view.pixel_size))
    water = scl == SCL.WATER
    if view.ground.water_bodies is not None:
        water |= view.ground.water_bodies == 2
    # Not the rim of a cloud over water: only where land is near as well.
    land = np.isin(scl, (*LAND, SCL.CAST_SHADOW)) & ~water
    view.set(steps.COAST, box_dilated(water, reach) & box_dilated(land, reach))


def _beside_cloud(blobs: npt.NDArray[np.int32], count: int, cloudy: Mask, limit: float) -> Mask:
    """Blobs with more than a share of their ring of one pixel under cloud, shadow or cirrus."""
    if not count:
        return blobs > 0
    kept = np.zeros(count + 1, dtype=bool)
    for number, window in enumerate(ndimage.find_objects(blobs), start=1):
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in window)
        blob = blobs[around] == number
        ring = box_dilated(blob, 1) & ~blob
        kept[number] = bool(ring.any() and cloudy[around][ring].mean() > limit)
    return np.asarray(kept[blobs])

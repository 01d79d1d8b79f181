"""Where shadows of clouds fall in a scene, and how dark they are (scene stage)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification import shadow, steps
from s2cloud.algorithms.classification.matching import matched_heights
from s2cloud.algorithms.classification.morphology import box_dilated
from s2cloud.algorithms.classification.overview import ENOUGH_SCENE, LAND, Overview
from s2cloud.algorithms.classification.refine import (
    mark_shadows,
)
from s2cloud.algorithms.classification.rules import single
from s2cloud.algorithms.classification.window import Ground, State, heights
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["cast_shadows", "slope_light", "spectral_shadow"]

logger = logging.getLogger(__name__)

_SKY: Final = (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY, SCL.THIN_CIRRUS)
#: Standard deviation of heights by parallax, and by the shadow itself. [m]
_HEIGHT_STD: Final = 400.0
_MATCHED_STD: Final = 100.0
#: Possibility, in 255ths, from which on the shadow of a matched cloud must fall here.
_DUE: Final = 128
#: Share of a "lake" that lies where a shadow must fall at which it is that shadow.
_MOSTLY: Final = 0.6
#: Share of the B8A of the darker sunlit land below which a shadow is deep. [1]
_DEEP: Final = np.float32(0.45)
#: Range of the light on slopes over that on level ground. [1]
_LEAST_LIGHT: Final = np.float32(0.15)
_MOST_LIGHT: Final = np.float32(1.6)
#: Possibility of cloud beyond the edge of the image, over the share of cloud within.
_BEYOND: Final = 4.0
#: Ground on which darkness alone speaks for such a cloud is not steeper. [degree]
_LEVEL: Final = 10.0
#: B8A of water in this scene is at most this much above the percentile of what is clear.
_WATER_NIR: Final = (75.0, 1.5)
#: Percentile of B02 and B03 of clear water that is dark, and shares of it below which the water is
#: not sunlit: what the beam adds is a tenth of B03 and less of B02, most of which is air.
_DARK_WATER: Final = 10.0
_DIMMER_BLUE: Final = 0.97
_DIMMER_GREEN: Final = 0.94
#: B11 below which nothing is sunlit where no clear water was seen. [1]
_DARKEST_UNSEEN: Final = 0.0075
#: Share of the B11 of sunlit water below which nothing is sunlit. [1]
_DARKER_THAN_WATER: Final = 0.75


def cast_shadows(view: Overview, cloud: Mask, height: Floats | None, state: State) -> None:
    """Find where shadows of clouds may and where they must fall, and how dark the land is.

    Parameters
    ----------
    view
        Gets `geometric`, `spectral`, `reference`, facts of water and shadow, and the bit ``DUE``.
    cloud
        Clouds, shape (y, x).
    height
        Heights by parallax, shape (y, x); None if there are none. [m]
    state
        Classes before the step of cloud shadow.
    """
    if not cloud.any():
        return
    view.geometric = _shadows_of(view, cloud, height)
    if view.options.evolution:
        _learn_darkness(view, cloud, state.scl)
    light = slope_light(view.ground, view.facts.cos_sza)
    view.spectral = spectral_shadow(
        view.toa, view.reference, view.facts.shadow_floor, (0, 0), shadow.CELL, light=light
    )
    if view.options.evolution:
        matched = _matched(view, cloud, height, state)
        known = np.isfinite(matched)
        if height is not None:
            matched = np.where(known, matched, height)
        view.geometric = np.maximum(
            _shadows_of(view, cloud, matched if known.any() else height),
            _from_outside(view, cloud, state.scl, matched),
        )
        if known.any():
            own = _shadows_of(view, cloud & known, matched, _MATCHED_STD)
            due = (own >= _DUE) & ~cloud
            view.set(steps.DUE, due & ~_sunlit_water(view, due, state.scl))


def _shadows_of(
    view: Overview, cloud: Mask, height: Floats | None, std: float = _HEIGHT_STD
) -> Codes:
    sky = view.sky
    likely = shadow.geometric_shadow(
        cloud,
        height,
        view.pixel_size,
        sky.sza,
        sky.saa,
        sky.vza,
        sky.vaa,
        height_std=std,
        vector=view.shadow_vector,
    )
    return np.rint(np.clip(likely, 0.0, 1.0) * 255).astype(np.uint8)


def _from_outside(view: Overview, cloud: Mask, scl: Codes, height: Floats) -> Codes:
    """Possible shadows of clouds beyond the edge, of which there are as many as within."""
    known = height[cloud & np.isfinite(height)]
    heights = (float(known.mean()), float(known.std())) if known.size else None
    valid = int(np.count_nonzero(scl > SCL.SATURATED_OR_DEFECTIVE))
    cover = float(np.count_nonzero(cloud)) / max(valid, 1)
    likely = shadow.shadow_from_outside(cloud.shape, heights, *view.shadow_vector)
    likely[cloud] = 0
    if view.ground.slope is not None:
        # Slopes are dark without clouds.
        likely[view.ground.slope > _LEVEL] = 0
    share = np.float32(255 * min(_BEYOND * cover, 1.0))
    return np.asarray(np.rint(likely * share), dtype=np.uint8)


def _sunlit_water(view: Overview, due: Mask, scl: Codes) -> Mask:
    """Parts of lakes that are no darker than what of them no shadow can reach."""
    labels, count = ndimage.label(scl == SCL.WATER, np.ones((3, 3)))
    green = view.band("b03")
    out = np.zeros(due.shape, np.bool_)
    for number, window in enumerate(ndimage.find_objects(labels, count), start=1):
        lake = labels[window] == number
        free = lake & ~due[window]
        if np.count_nonzero(free) > (1 - _MOSTLY) * np.count_nonzero(lake):
            usual = float(np.median(green[window][free]))
            out[window] |= lake & (green[window] >= _DIMMER_GREEN * usual)
    return out


def _matched(view: Overview, cloud: Mask, height: Floats | None, state: State) -> Floats:
    """Heights by the shadows themselves, by parallax where there is no match."""
    anywhere = State(state.scl.copy(), state.confidence.copy(), state.near_snow)
    geometric, view.geometric = view.geometric, np.full_like(view.geometric, 255)
    mark_shadows(view.toa, view.planes(anywhere), view.facts, anywhere.scl)
    view.geometric = geometric
    return matched_heights(
        cloud,
        anywhere.scl == SCL.CLOUD_SHADOW,
        state.scl > SCL.SATURATED_OR_DEFECTIVE,
        height,
        *view.shadow_vector,
    )


def _learn_darkness(view: Overview, cloud: Mask, scl: Codes) -> None:
    """How bright sunlit land is; where there is none, how unlike shadow clear land is."""
    land = np.isin(scl, LAND)
    far = (view.geometric == 0) & ~box_dilated(np.isin(scl, _SKY), 2)
    wet = far & (scl == SCL.WATER)
    if np.count_nonzero(wet) >= ENOUGH_SCENE:
        percentile, margin = _WATER_NIR
        infrared = np.percentile(view.band("b8a")[wet], percentile)
        dark = {n: np.percentile(view.band(n)[wet], _DARK_WATER) for n in ("b02", "b03")}
        view.facts = view.facts._replace(
            darkest_water=single(_DARKER_THAN_WATER * float(np.median(view.band("b11")[wet]))),
            brightest_water=single(margin * float(infrared)),
            dimmest_blue=single(_DIMMER_BLUE * float(dark["b02"])),
            dimmest_green=single(_DIMMER_GREEN * float(dark["b03"])),
            water_level=single(
                float(np.mean(np.broadcast_to(heights(view.ground), wet.shape)[wet]))
            ),
        )
    else:
        view.facts = view.facts._replace(darkest_water=single(_DARKEST_UNSEEN))
    sunlit = far & land
    light = slope_light(view.ground, view.facts.cos_sza)
    b8a, b11, b12 = (view.band(name) for name in ("b8a", "b11", "b12"))
    if light is not None:
        b8a, b11, b12 = b8a / light, b11 / light, b12 / light
    reference = shadow.clear_reference(b8a, b11, b12, sunlit)
    if np.isfinite(reference).all():
        view.reference = reference
    else:
        floor = shadow.shadow_threshold(*_dark_bands(view.toa), land, cloud)
        view.facts = view.facts._replace(shadow_floor=single(floor))


def spectral_shadow(
    toa: Floats,
    reference: Floats | None,
    floor: float,
    origin: tuple[int, int],
    cell: int,
    *,
    light: Floats | None = None,
) -> Floats:
    """Likeness to shadow of the pixels of a window.

    Parameters
    ----------
    toa
        TOA reflectance. [1], shape (13, y, x)
    reference
        Sunlit land of the scene on its cells; without one Sen2Cor's absolute spectrum is used.
    floor
        Likeness to that spectrum below which there is no shadow, 0 for the one of 2.8. [1]
    origin
        Row and column of the window's first pixel in the tile.
    cell
        Side of a cell of `reference` in pixels of the window.
    light
        From `slope_light`, None on level ground. [1], shape (y, x)
    """
    if reference is None:
        if floor > 0:
            return shadow.radiometric_shadow(*_dark_bands(toa), threshold=float(floor))
        return shadow.radiometric_shadow(*_dark_bands(toa))
    around = shadow.reference_at(reference, cell, origin, toa.shape[1:])
    b03, b04, b8a, b11, b12 = (toa[BAND_INDEX[n]] for n in ("b03", "b04", "b8a", "b11", "b12"))
    if light is not None:
        around = around * light
    like = shadow.relative_shadow(b03, b04, b8a, b11, b12, around)
    # What is only dim, and not the edge of something dark, is dark ground such as forest.
    deep = (like > 0) & (b8a < _DEEP * around[0])
    reach = max(1, round(shadow.LIGHTER_M / (shadow.CELL_M / cell)))
    like[~box_dilated(deep, reach)] = 0
    return like


def slope_light(ground: Ground, cos_sza: float) -> Floats | None:
    """Sun on the slopes over that on level ground; None if there is no terrain model. [1]."""
    if ground.cos_incidence is None:
        return None
    share = ground.cos_incidence / np.float32(cos_sza)
    return np.asarray(np.clip(share, _LEAST_LIGHT, _MOST_LIGHT), dtype=np.float32)


def _dark_bands(toa: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Bands of Sen2Cor's spectrum of shadow."""
    b02, b03, b04, b8a, b11, b12 = (
        toa[BAND_INDEX[n]] for n in ("b02", "b03", "b04", "b8a", "b11", "b12")
    )
    return b02, b03, b04, b8a, b11, b12

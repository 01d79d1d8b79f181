"""What of a scene is above its ground, by parallax (scene stage)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification import parallax, steps
from s2cloud.algorithms.classification.morphology import box_count, box_dilated
from s2cloud.algorithms.classification.overview import (
    BRIGHT,
    CIRRUS_MOST,
    CLOUDS,
    ENOUGH_SCENE,
    Overview,
)
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.window import State

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["measure_heights"]

logger = logging.getLogger(__name__)

#: Certain cloud without a gap over such a distance is cloud without parallax. [m]
_OPAQUE_M: Final = 600.0
#: Heights above ground: what is lower is no cloud; snow that is higher is one. [m]
_LOWEST_CLOUD: Final = 350.0
_HIGHEST_SNOW: Final = 700.0
#: Parallax is not asked above this cloud cover. [1]
_OVERCAST: Final = 0.95
#: Half side of the square over which heights are averaged. [m]
_HEIGHT_M: Final = 180.0
#: Heights needed to judge the cloud they belong to, and to judge the scene.
_ENOUGH: Final = 5
#: Mean plus deviation of cloud heights above which they are not believed. [m]
_UNBELIEVABLE: Final = 5000.0


def measure_heights(view: Overview, state: State) -> None:
    """Measure clouds and mark what lies on the ground, and snow that does not."""
    scl = state.scl
    if not view.options.parallax:
        return
    if view.sky.shift is None:
        view.parallax = "no_view_angles"
        return
    candidate = np.isin(scl, BRIGHT) & (state.confidence[0] > 0)
    snow = scl == SCL.SNOW_ICE
    valid = np.count_nonzero(scl > SCL.SATURATED_OR_DEFECTIVE)
    if not candidate.any() and not snow.any():
        view.parallax = "nothing_bright"
        return
    if np.count_nonzero(np.isin(scl, CLOUDS)) >= _OVERCAST * valid:
        view.parallax = "overcast"
        return
    height, reliable = _heights(view, view.sky.shift)
    if view.sky.shift_known is not None:
        reliable &= view.sky.shift_known
    cirrus_like = candidate & reliable & (view.band("b10") > CIRRUS_MOST)
    enough = np.count_nonzero(cirrus_like) >= ENOUGH_SCENE
    # B10 sees only what is above most of the water vapour.
    if enough and float(np.median(height[cirrus_like])) < _HIGHEST_SNOW:
        view.parallax = "bands_registered"
        logger.warning("parallax not used: high clouds show none, bands lie on one another")
        return
    assumed = view.sky.shift_assumed
    view.parallax = "used_by_design" if assumed else "used"
    above = _averaged(view, height, reliable & candidate, candidate)
    low = candidate & (above < _LOWEST_CLOUD)
    if assumed:
        low &= ~_opaque(scl, view.pixel_size)
    # Bright spots too small for the overview: on ground, and not at the rim of a cloud.
    cloudy = box_dilated(candidate & (above >= _LOWEST_CLOUD), 2)
    low |= ~candidate & ~cloudy & reliable & (height < _LOWEST_CLOUD)
    view.set(steps.LOW, low)
    view.set(steps.LARGE, candidate & (above > _HIGHEST_SNOW))
    over_snow = _averaged(view, height, reliable & snow, snow)
    high = reliable & (height > _HIGHEST_SNOW) & (over_snow > _HIGHEST_SNOW)
    if not assumed:
        # Snow without texture takes the heights of clouds around it.
        view.set(steps.HIGH, snow & high & view.doubtful)
    cloud = candidate & np.isfinite(above) & (above >= _LOWEST_CLOUD)
    if np.count_nonzero(cloud) >= ENOUGH_SCENE:
        mean, std = float(above[cloud].mean()), float(above[cloud].std())
        view.heights = (mean, std)
        if mean + std < _UNBELIEVABLE:
            view.height_map = np.where(cloud, above, np.float32(mean))


def _heights(view: Overview, shift: tuple[Floats | float, Floats | float]) -> tuple[Floats, Mask]:
    """Heights by parallax, and where they can be relied on."""
    bands = view.band("b08"), view.band("b8a")
    height, reliable = parallax.cloud_height(*bands, view.pixel_size, shift)
    if view.sky.shift_assumed:
        # Odd and even detectors look at clouds from opposite sides, and which of them does
        # here is not known. The ground shows no displacement towards either.
        back, good = parallax.cloud_height(
            *bands, view.pixel_size, (-np.asarray(shift[0]), -np.asarray(shift[1]))
        )
        better = good & (~reliable | (back > height))
        height, reliable = np.where(better, back, height), reliable | good
    return height, reliable


def _averaged(view: Overview, height: Floats, good: Mask, where: Mask) -> Floats:
    """Mean height around each pixel, of its whole group where none is near; NaN if none."""
    out = np.full(height.shape, np.nan, np.float32)
    if not good.any():
        return out
    size = 2 * max(1, round(_HEIGHT_M / view.pixel_size)) + 1
    count = box_count(good, size // 2)
    total = ndimage.uniform_filter(
        np.where(good, height, np.float32(0)).astype(np.float64), size, mode="constant"
    )
    near = where & (count >= _ENOUGH)
    out[near] = (total[near] * size**2 / count[near]).astype(np.float32)
    labels, groups = ndimage.label(where, np.ones((3, 3)))
    left = where & ~near
    seen = np.bincount(labels[good], minlength=groups + 1)
    index = np.flatnonzero(seen >= _ENOUGH)
    if left.any() and index.size:
        middle = np.full(groups + 1, np.nan, np.float32)
        middle[index] = ndimage.median(height, np.where(good, labels, 0), index)
        out[left] = middle[labels[left]]
    return out


def _opaque(scl: Codes, pixel_size: float) -> Mask:
    """Surroundings of places that certain cloud covers without a gap.

    A simulated or resampled image may show clouds without parallax; where the product does not
    vouch for its parallax, thick cloud stays cloud.
    """
    certain = scl == SCL.CLOUD_HIGH_PROBABILITY
    reach = max(1, round(_OPAQUE_M / pixel_size / 2))
    core = certain & ~box_dilated(~certain, reach)
    return box_dilated(core, 2 * reach)

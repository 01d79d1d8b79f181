"""What the classification must know of the whole scene, from its 60 m overview (scene stage).

Statistics per class, heights and shadows of clouds, and everything that spreads farther than a
halo: large clouds, coasts, built-up land beside clouds. The result is small and does not depend
on how the tile is cut into blocks; blocks look it up by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s2cloud.algorithms.classification.mixtures import tidy_shores
from s2cloud.algorithms.classification.morphology import box_dilated, majority
from s2cloud.algorithms.classification.overview import CLOUDS, PARALLAX, Overview, Sky
from s2cloud.algorithms.classification.overview_cirrus import find_cirrus
from s2cloud.algorithms.classification.overview_ground import (
    mark_built_up,
    mark_clouds,
    mark_coasts,
    mark_gaps,
    mark_ground,
    mark_snow,
)
from s2cloud.algorithms.classification.overview_heights import measure_heights
from s2cloud.algorithms.classification.overview_shadows import cast_shadows, slope_light
from s2cloud.algorithms.classification.penumbra import tidy_shadows
from s2cloud.algorithms.classification.refine import (
    UNTIL_BRIGHT,
    UNTIL_CIRRUS,
    UNTIL_END,
    UNTIL_PARALLAX,
    UNTIL_SHADOW,
    settle_planes,
)
from s2cloud.algorithms.classification.window import (
    Ground,
    Options,
    grown,
    pointwise,
    snow_soil_border,
    tidy_shade,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.steps import Facts

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["PARALLAX", "ClassificationScene", "Sky", "classify_scene"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationScene:
    """Result of the scene stage.

    Attributes
    ----------
    flags
        Bits of `s2cloud.algorithms.classification.steps`, uint16, shape (y, x).
    geometric
        Possibility that cloud shadow falls here, in 255ths; shape (y, x).
    reference
        Brightness of sunlit land from `shadow.clear_reference`, None if none is clear.
    facts
        Numbers for the compiled steps.
    pixel_size
        Of the overview. [m]
    cloud_height
        Mean and standard deviation over the clouds whose parallax could be measured, NaN if none
        could. [m]
    maps
        Which maps were used.
    parallax
        One of `PARALLAX`: used with the views of the product or of the instrument's design, or
        why it was not.
    """

    flags: npt.NDArray[np.uint16]
    geometric: Codes
    reference: Floats | None
    facts: Facts
    pixel_size: float
    cloud_height: tuple[float, float]
    maps: tuple[str, ...]
    parallax: str


def classify_scene(
    toa: Floats,
    pixel_size: float,
    sky: Sky,
    ground: Ground,
    options: Options,
    *,
    defective: Mask | None = None,
    model: Floats | None = None,
) -> tuple[ClassificationScene, Codes]:
    """Classify the overview and keep what the blocks need.

    Parameters
    ----------
    toa
        TOA reflectance of the overview, bands in ESA's order, NaN = no-data. [1], shape (13, y, x)
    pixel_size
        [m]
    sky, ground, options
        Directions; maps and terrain on the same pixels; choices.
    defective
        Saturated or lost, shape (y, x).
    model
        Cloud probability of a classifier. [1], shape (y, x)

    Returns
    -------
    scene : ClassificationScene
    scl : ndarray
        Classes of the overview itself, shape (y, x).
    """
    return _classified(Overview(toa, pixel_size, sky, ground, options), defective, model)


def _classified(
    view: Overview, defective: Mask | None, model: Floats | None
) -> tuple[ClassificationScene, Codes]:
    state = pointwise(view.toa, view.ground, view.options, defective, model)
    evolution = view.options.evolution
    mark_ground(view)
    settle_planes(view.toa, view.planes(state), view.facts, state.scl, state.confidence)
    if evolution:
        mark_snow(view, state.scl)
        view.border = snow_soil_border(state.scl, view.pixel_size)
    else:
        cloud = majority(state.confidence[0] > np.float32(0.33), 1)
        cast_shadows(view, box_dilated(cloud, 1), None, state)
    before = view.until(state, UNTIL_CIRRUS)
    find_cirrus(view, before)
    mark_built_up(view, before.scl)
    if evolution:
        mark_gaps(view, view.until(state, UNTIL_BRIGHT).scl)
        mark_clouds(view, view.until(state, UNTIL_BRIGHT))
        now = view.until(state, UNTIL_PARALLAX)
        measure_heights(view, now)
        now = view.until(state, UNTIL_SHADOW)
        cloud = majority(np.isin(now.scl, CLOUDS), 1)
        cast_shadows(view, cloud, view.height_map, now)
    done = view.until(state, UNTIL_END)
    mark_coasts(view, done.scl)
    if evolution:
        if view.facts.terrain:
            tidy_shade(done.scl)
        tidy_shadows(
            view.toa,
            done.scl,
            view.geometric > 0,
            view.flags,
            view.planes(done).water,
            view.pixel_size,
            slope_light(view.ground, view.facts.cos_sza),
        )
        tidy_shores(view.toa, done.scl, view.flags)
        scl = grown(done, view.flags, view.border, view.options, view.pixel_size)
    else:
        scl = done.scl
    maps = ("elevation", "land_cover", "water_bodies", "snow_condition")
    scene = ClassificationScene(
        flags=view.flags,
        geometric=view.geometric,
        reference=view.reference,
        facts=view.facts,
        pixel_size=view.pixel_size,
        cloud_height=view.heights,
        maps=tuple(name for name in maps if getattr(view.ground, name) is not None),
        parallax=view.parallax,
    )
    return scene, scl

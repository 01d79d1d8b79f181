"""Scene classification of a window with its surroundings: what the scene and the block stage share.

A window is classified in four strokes: the pointwise sequence with the ring around snow; maps,
terrain and snow (`settle_planes`); the steps that use the scene (`refine_planes`); and growing
what is seen of cloud, shadow and snow. Everything here is local with the reach `reach_of`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms.classification import shadow
from s2cloud.algorithms.classification.kernels import classify_planes, find_snow
from s2cloud.algorithms.classification.mixtures import SHORE_REACH
from s2cloud.algorithms.classification.morphology import (
    SIEVE_REACH,
    box_count,
    box_dilated,
    cross_dilated,
    majority,
    sieved,
)
from s2cloud.algorithms.classification.penumbra import reach_of_edges
from s2cloud.algorithms.classification.refine import Planes
from s2cloud.algorithms.classification.rules import (
    UNDECIDED,
    UNTIL_WATER,
    Rules,
    limits_of,
    single,
)
from s2cloud.algorithms.classification.steps import BLOB, COAST, URBAN
from s2cloud.algorithms.classification.thresholds import Thresholds
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.rules import Variant

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "BORDER_M",
    "RING",
    "Dilation",
    "Ground",
    "Options",
    "State",
    "grown",
    "heights",
    "median_classes",
    "planes_of",
    "pointwise",
    "reach_of",
    "snow_soil_border",
    "tidy_shade",
]

#: Reach of the ring around snow. [pixel]
RING: Final = 3
#: Distance to both snow and soil at which a cloud is taken for their mixture. [m]
BORDER_M: Final = 100.0
#: Reach of the cleaning of terrain shadow: growing by one, median of three. [pixel]
_SHADE_REACH: Final = 2
#: Cloud confidence above which a cloud is grown. [1]
_SEED_CONFIDENCE: Final = np.float32(0.65)
_CLOUDS: Final = (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY)
_SKY: Final = (*_CLOUDS, SCL.THIN_CIRRUS, SCL.CLOUD_SHADOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dilation:
    """Distances by which classes are grown; 0 = not. [m].

    The defaults are those of Sen2Cor 2.10 and later, where the one of cirrus has no effect by
    mistake.
    """

    cloud: float = 80.0
    cirrus: float = 80.0
    shadow: float = 40.0
    snow: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Choices of the scene classification.

    Attributes
    ----------
    variant
        ``evolution``: Sen2Cor 2.10 and later; ``classic``: 2.8 and 2.9, without parallax, bright
        targets and dilation.
    snow_possible
        False where the climatology excludes snow.
    thresholds
        Thresholds of the pointwise sequence.
    dilation
        Distances; ``evolution`` only.
    median
        Side of a median filter of the finished classes, odd; 0 = none. [pixel]
    parallax
        Whether to measure cloud heights.
    model_weight
        Share of a classifier's probability in the cloud confidence. [1]
    """

    variant: Variant = "evolution"
    snow_possible: bool = True
    thresholds: Thresholds = field(default_factory=Thresholds)
    dilation: Dilation = field(default_factory=Dilation)
    median: int = 0
    parallax: bool = True
    model_weight: float = 0.0

    @property
    def evolution(self) -> bool:
        """Whether the steps are those of 2.10 and later."""
        return self.variant == "evolution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What maps and terrain say about the pixels of a window; None = not known.

    Attributes
    ----------
    altitude
        Elevation where there is no terrain model. [m]
    elevation
        [m], shape (y, x), NaN = unknown
    slope
        [degree], shape (y, x)
    cos_incidence
        Cosine of the angle between sun and ground. [1], shape (y, x)
    cast
        Shadow of terrain, shape (y, x); scene stage only.
    land_cover
        LCCS codes, shape (y, x); scene stage only.
    water_bodies
        1 land, 2 water, 0 unknown; shape (y, x)
    snow_condition
        Occurrence of snow in percent, 254 water, 255 unknown; shape (y, x)
    """

    altitude: float = 100.0
    elevation: Floats | None = None
    slope: Floats | None = None
    cos_incidence: Floats | None = None
    cast: Mask | None = None
    land_cover: Codes | None = None
    water_bodies: Codes | None = None
    snow_condition: Codes | None = None


@dataclass(slots=True)
class State:
    """A window on its way through the steps: classes, cloud and snow confidence, snow around."""

    scl: Codes
    confidence: Floats
    near_snow: Mask


def reach_of(pixel_size: float, options: Options) -> int:
    """Pixels around a window that its classification looks at.

    Parameters
    ----------
    pixel_size
        [m]
    options
        Choices; the dilations and the median count.

    Returns
    -------
    int
        Reach in pixels. The steps before the dilation need the ring around snow and the borders
        of snow and soil; growing a class looks for groups, grows and smooths.
    """
    deep = shadow.HALO + max(1, round(shadow.LIGHTER_M / pixel_size))
    before = max(RING + round(BORDER_M / pixel_size), deep)
    if not options.evolution:
        return before + options.median // 2
    distance = options.dilation
    most = max(distance.cloud, distance.cirrus, distance.shadow, distance.snow)
    radius = round(most / pixel_size)
    before += reach_of_edges(pixel_size)
    return before + _SHADE_REACH + SHORE_REACH + 1 + SIEVE_REACH + 2 * radius + options.median // 2


def pointwise(
    toa: Floats,
    ground: Ground,
    options: Options,
    defective: Mask | None = None,
    model: Floats | None = None,
) -> State:
    """Steps 1 to 7 and the recovery of dark vegetation and water, with the ring around snow."""
    shape = toa.shape[1:]
    limits = limits_of(options.thresholds)
    scl = np.full(shape, UNDECIDED, dtype=np.uint8)
    if defective is not None:
        scl[defective] = SCL.SATURATED_OR_DEFECTIVE
    near_snow = np.zeros((1, 1), dtype=np.bool_)
    planes = frozen(toa)
    if options.snow_possible:
        looked_at = scl
        if ground.snow_condition is not None and options.evolution:
            # Where it never snows nothing lies around snow either.
            looked_at = np.where(ground.snow_condition == 0, np.uint8(SCL.NO_DATA), scl)
        snow = np.empty(shape, dtype=np.bool_)
        if find_snow(planes, looked_at, limits, snow):
            near_snow = cross_dilated(snow, RING)
    confidence = np.empty((2, *shape), dtype=np.float32)
    nothing = np.full((1, 1), np.nan, np.float32)
    classify_planes(
        planes,
        frozen(heights(ground)),
        near_snow,
        frozen(nothing if model is None else model),
        limits,
        Rules(
            options.evolution,
            options.snow_possible,
            UNTIL_WATER,
            single(0.0 if model is None else options.model_weight),
        ),
        scl,
        confidence,
    )
    return State(scl, confidence, near_snow)


def heights(ground: Ground) -> Floats:
    """Elevation, the altitude where it is unknown; shape (y, x) or (1, 1). [m]."""
    altitude = np.float32(ground.altitude)
    if ground.elevation is None:
        return np.full((1, 1), altitude, np.float32)
    return np.where(np.isfinite(ground.elevation), ground.elevation, altitude)


def frozen(array: Floats) -> Floats:
    """The array as read-only and contiguous: compiled code then has one type to deal with."""
    view = np.ascontiguousarray(array, dtype=np.float32).view()
    view.flags.writeable = False
    return view


def planes_of(
    state: State,
    ground: Ground,
    flags: npt.NDArray[np.uint16],
    geometric: Codes,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    *,
    border: Mask | None = None,
    spectral: Floats | None = None,
) -> Planes:
    """Planes of a window for the compiled loops; what is missing is a plane of one pixel."""

    def plane(values: Floats | None, missing: float) -> Floats:
        return frozen(np.full((1, 1), missing, np.float32) if values is None else values)

    def codes(values: Codes | None, missing: int) -> Codes:
        given = np.full((1, 1), missing, np.uint8) if values is None else values
        return np.ascontiguousarray(given, dtype=np.uint8)

    return Planes(
        np.ascontiguousarray(flags),
        np.ascontiguousarray(geometric),
        rows,
        columns,
        state.near_snow,
        np.zeros((1, 1), np.bool_) if border is None else border,
        plane(spectral, 0.0),
        frozen(heights(ground)),
        plane(ground.slope, np.nan),
        plane(ground.cos_incidence, np.nan),
        codes(ground.water_bodies, 0),
        codes(ground.snow_condition, 255),
    )


def snow_soil_border(scl: Codes, pixel_size: float) -> Mask | None:
    """Pixels near snow and near soil; None if the window has not both."""
    radius = round(BORDER_M / pixel_size)
    snow = scl == SCL.SNOW_ICE
    if radius < 1 or not snow.any():
        return None
    soil = scl == SCL.NOT_VEGETATED
    if not soil.any():
        return None
    return box_dilated(snow, radius) & box_dilated(soil, radius)


def grown(
    state: State,
    flags: npt.NDArray[np.uint16],
    border: Mask | None,
    options: Options,
    pixel_size: float,
) -> Codes:
    """Classes after growing clouds, cirrus, shadows and snow, in falling rank.

    Parameters
    ----------
    state
        Finished classes and confidences.
    flags
        Bits of the scene on the pixels of the window, shape (y, x).
    border
        From `snow_soil_border`.
    options, pixel_size
        Distances. [m]

    Notes
    -----
    Seeds of cloud are clouds with a confidence above 0.65 that are not at a coast or beside built-
    up land, unless they are large, and not at a border of snow and soil. Groups of three pixels
    and fewer do not grow. A grown mask is smoothed by a median of its own reach. A lower rank
    never covers a higher one. Cirrus grows from where most of its neighbours are cirrus too:
    single alarms of B10 would otherwise cover land.
    """
    scl, distance = state.scl, options.dilation
    out = scl.copy()
    valid = scl > SCL.SATURATED_OR_DEFECTIVE
    clouds = np.isin(scl, _CLOUDS)
    sky = np.isin(scl, _SKY)

    def cover(code: SCL, seeds: Mask, metres: float, over: Mask) -> None:
        radius = round(metres / pixel_size)
        if radius < 1 or not seeds.any():
            return
        seeds = sieved(seeds)
        mask = majority(box_dilated(seeds, radius), radius)
        out[mask & over] = code

    snow = scl == SCL.SNOW_ICE
    cover(SCL.SNOW_ICE, snow, distance.snow, valid & ~sky)
    shade = scl == SCL.CLOUD_SHADOW
    cover(SCL.CLOUD_SHADOW, shade, distance.shadow, valid & ~sky)
    cirrus = scl == SCL.THIN_CIRRUS
    if cirrus.any() and distance.cirrus > 0:
        cirrus &= box_count(cirrus, 1) > 4
    cover(SCL.THIN_CIRRUS, cirrus, distance.cirrus, valid & ~clouds & ~shade)
    seeds = clouds & (state.confidence[0] > _SEED_CONFIDENCE)
    if seeds.any():
        seeds &= ((flags & (COAST | URBAN)) == 0) | ((flags & BLOB) != 0)
        if border is not None:
            seeds &= ~border
    cover(SCL.CLOUD_MEDIUM_PROBABILITY, seeds, distance.cloud, valid & ~clouds)
    return out


def tidy_shade(scl: Codes) -> None:
    """Grow terrain shadow by one pixel and smooth it, in place; what lies in the sky stays."""
    shade = scl == SCL.CAST_SHADOW
    if shade.any():
        mask = majority(box_dilated(shade, 1), 1)
        scl[mask & (scl > SCL.SATURATED_OR_DEFECTIVE) & ~np.isin(scl, (*_SKY, SCL.WATER))] = (
            SCL.CAST_SHADOW
        )


def median_classes(scl: Codes, side: int) -> Codes:
    """Median of the class codes, as Sen2Cor's ``Median_Filter``; no-data stays."""
    from scipy import ndimage  # noqa: PLC0415 - seldom wanted

    smooth = ndimage.median_filter(scl, side, mode="nearest")
    kept = scl <= SCL.SATURATED_OR_DEFECTIVE
    lost = smooth <= SCL.SATURATED_OR_DEFECTIVE
    return np.where(kept | lost, scl, smooth)

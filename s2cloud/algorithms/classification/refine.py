"""Compiled loops over the steps that look beyond a pixel's spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from s2cloud.algorithms.classification.mixtures import snow_mixture, thin_snow, white_water
from s2cloud.algorithms.classification.rules import code_of, compiled, inlined, single
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.algorithms.classification.steps import (
    LARGE,
    Place,
    Sight,
    border,
    bright_target,
    built_up,
    cirrus_statistics,
    classic_cirrus,
    classic_ground,
    classic_terrain,
    cloud_gap,
    cloud_shadow,
    dark_soil,
    dark_water,
    final,
    levelled_b10,
    line_index,
    mapped_water,
    parallax,
    snow_condition,
    snow_recovery,
    terrain_shadow,
    topography,
)
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.steps import Facts

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]

__all__ = [
    "UNTIL_BRIGHT",
    "UNTIL_CIRRUS",
    "UNTIL_END",
    "UNTIL_PARALLAX",
    "UNTIL_SHADOW",
    "Planes",
    "levelled_planes",
    "mark_shadows",
    "refine_planes",
    "settle_planes",
]

# Where `refine_planes` stops, just before the step of that name.
UNTIL_CIRRUS: Final = 0
UNTIL_BRIGHT: Final = 1
UNTIL_PARALLAX: Final = 2
UNTIL_SHADOW: Final = 3
UNTIL_END: Final = 4


_ZERO: Final = single(0.0)
_SHARE: Final = single(1.0 / 255.0)
_FIRST: Final = code_of(SCL.CAST_SHADOW)  # codes below are no-data and defective
_UNCLASSIFIED: Final = code_of(SCL.UNCLASSIFIED)
_CLOUD: Final = code_of(SCL.CLOUD_HIGH_PROBABILITY)
_SETTLED: Final = tuple(
    code_of(code)
    for code in (SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.WATER, SCL.THIN_CIRRUS, SCL.SNOW_ICE)
)
_BANDS: Final = tuple(BAND_INDEX[name] for name in Sight._fields)
_NIR: Final = BAND_INDEX["b8a"]
_SWIR: Final = BAND_INDEX["b11"]


class Planes(NamedTuple):
    """What is known around the pixels of a window; each axis may be one.

    Attributes
    ----------
    flags, geometric
        Bits, and likelihood of shadow in 255ths, of the *scene*; shape (scene_y, scene_x)
    rows, columns
        Row and column of the scene for each row and column of the window.
    near_snow, border
        See `Place`.
    spectral
        Likelihood of cloud shadow by spectrum. [1]
    elevation, slope, cos_incidence, water, snow_condition
        See `Place`.
    """

    flags: npt.NDArray[np.uint16]
    geometric: Codes
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    near_snow: npt.NDArray[np.bool_]
    border: npt.NDArray[np.bool_]
    spectral: Floats
    elevation: Floats
    slope: Floats
    cos_incidence: Floats
    water: Codes
    snow_condition: Codes


@compiled
def settle_planes(
    toa: Floats, planes: Planes, facts: Facts, scl: Codes, confidence: Floats
) -> None:
    """Maps, terrain and snow, up to where the borders of snow and soil are needed; in place."""
    rows, columns = scl.shape
    for i in range(rows):
        for j in range(columns):
            if scl[i, j] < _FIRST:
                continue
            code, cloud, snow = whole(scl[i, j]), confidence[0, i, j], confidence[1, i, j]
            sight, place = sight_at(toa, i, j), place_at(planes, i, j)
            code, cloud, snow = settle(sight, place, code, cloud, snow, facts)
            scl[i, j], confidence[0, i, j], confidence[1, i, j] = np.uint8(code), cloud, snow


@compiled
def refine_planes(
    toa: Floats,
    planes: Planes,
    facts: Facts,
    until: int,
    scl: Codes,
    confidence: Floats,
) -> None:
    """The steps after `settle_planes`, up to `until`; in place."""
    rows, columns = scl.shape
    mapped = facts.terrain or facts.water_map
    for i in range(rows):
        for j in range(columns):
            if scl[i, j] < _FIRST:
                continue
            code, cloud, snow = whole(scl[i, j]), confidence[0, i, j], confidence[1, i, j]
            place = place_at(planes, i, j)
            quiet = place.flags == 0 and place.geometric == _ZERO
            if quiet and not mapped and code in _SETTLED:
                continue  # no step touches these
            lines = _ZERO
            bright = _UNCLASSIFIED <= code <= _CLOUD and (place.flags & LARGE) == 0
            if facts.evolution and bright:
                lines = built_index(toa, i, j)
            sight = sight_at(toa, i, j)
            if facts.evolution:
                code, cloud, snow = refine(sight, place, lines, code, cloud, snow, facts, until)
            else:
                code, cloud, snow = refine_classic(sight, place, code, cloud, snow, facts, until)
            scl[i, j], confidence[0, i, j], confidence[1, i, j] = np.uint8(code), cloud, snow


@compiled
def mark_shadows(toa: Floats, planes: Planes, facts: Facts, scl: Codes) -> None:
    """Only the step of cloud shadow; in place."""
    rows, columns = scl.shape
    for i in range(rows):
        for j in range(columns):
            if scl[i, j] >= _FIRST:
                place = place_at(planes, i, j)
                code = cloud_shadow(sight_at(toa, i, j), place, whole(scl[i, j]), facts)
                scl[i, j] = np.uint8(terrain_shadow(place, code))


@inlined
def settle(
    sight: Sight,
    place: Place,
    code: int,
    cloud: float,
    snow: float,
    facts: Facts,
) -> tuple[int, float, float]:
    """Maps, terrain and snow in the order of the variant."""
    code, cloud, snow = snow_condition(place, code, cloud, snow, facts)
    if facts.evolution:
        code = dark_water(sight, code)
        code = mapped_water(place, code)
        code, snow = white_water(sight, code, snow)
        code, cloud = topography(sight, place, code, cloud, facts)
        code, cloud, snow = snow_recovery(sight, place, code, cloud, snow, facts)
    return code, cloud, snow


@inlined
def refine(
    sight: Sight,
    place: Place,
    lines: float,
    code: int,
    cloud: float,
    snow: float,
    facts: Facts,
    until: int,
) -> tuple[int, float, float]:
    """Steps 5 to 12 of Sen2Cor 2.10, without dilation."""
    code, cloud, snow = snow_mixture(sight, place, code, cloud, snow, facts)
    code, cloud = border(sight, place, code, cloud, facts)
    code = dark_soil(sight, code, facts)
    if until > UNTIL_CIRRUS:
        code = cirrus_statistics(sight, place, code, facts)
        code, cloud = cloud_gap(sight, place, code, cloud, facts)
        code, cloud = built_up(place, code, cloud)
    if until > UNTIL_BRIGHT:
        code, cloud = bright_target(sight, place, lines, code, cloud, facts)
    if until > UNTIL_PARALLAX:
        code, cloud, snow = parallax(sight, place, code, cloud, snow, facts)
    if until > UNTIL_SHADOW:
        code = cloud_shadow(sight, place, code, facts)
        code = mapped_water(place, code)
        code = terrain_shadow(place, code)
        code, snow = thin_snow(sight, place, code, snow, facts)
        code = final(code, facts)
    return code, cloud, snow


@inlined
def refine_classic(
    sight: Sight,
    place: Place,
    code: int,
    cloud: float,
    snow: float,
    facts: Facts,
    until: int,
) -> tuple[int, float, float]:
    """Cloud shadow and steps 3 to 12 of Sen2Cor 2.8."""
    code = cloud_shadow(sight, place, code, facts)
    code = mapped_water(place, code)
    code, cloud = classic_terrain(sight, place, code, cloud, facts)
    code, cloud, snow = snow_recovery(sight, place, code, cloud, snow, facts)
    code = dark_soil(sight, code, facts)
    if until > UNTIL_CIRRUS:
        code, cloud = classic_ground(sight, place, code, cloud, facts)
        code = classic_cirrus(sight, place, code, facts)
        code, cloud = built_up(place, code, cloud)
    if until > UNTIL_SHADOW:
        code = final(code, facts)
    return code, cloud, snow


@inlined
def built_index(toa: Floats, i: int, j: int) -> float:
    """Index of built-up land, (B11 - B8A)/(B11 + B8A), along the best line through a pixel."""
    top, bottom = max(i - 1, 0), min(i + 1, toa.shape[1] - 1)
    left, right = max(j - 1, 0), min(j + 1, toa.shape[2] - 1)
    return line_index(
        (
            ndbi(toa, top, left), ndbi(toa, top, j), ndbi(toa, top, right),
            ndbi(toa, i, left), ndbi(toa, i, j), ndbi(toa, i, right),
            ndbi(toa, bottom, left), ndbi(toa, bottom, j), ndbi(toa, bottom, right),
        )
    )  # fmt: skip


@inlined
def ndbi(toa: Floats, i: int, j: int) -> float:
    """Index of built-up land of one pixel; without data none."""
    value = ratio(toa[_SWIR, i, j] - toa[_NIR, i, j], toa[_SWIR, i, j] + toa[_NIR, i, j])
    return value if value == value else _ZERO  # noqa: PLR0124 - NaN


@inlined
def sight_at(toa: Floats, i: int, j: int) -> Sight:
    """The bands of one pixel."""
    return Sight(
        toa[_BANDS[0], i, j], toa[_BANDS[1], i, j], toa[_BANDS[2], i, j],
        toa[_BANDS[3], i, j], toa[_BANDS[4], i, j], toa[_BANDS[5], i, j],
        toa[_BANDS[6], i, j], toa[_BANDS[7], i, j], toa[_BANDS[8], i, j],
        toa[_BANDS[9], i, j],
    )  # fmt: skip


@inlined
def place_at(planes: Planes, i: int, j: int) -> Place:
    """What lies around one pixel."""
    y, x = planes.rows[i], planes.columns[j]
    return Place(
        whole(planes.flags[y, x]),
        number(spot(planes.near_snow, i, j)),
        number(spot(planes.border, i, j)),
        spot(planes.spectral, i, j),
        number(planes.geometric[y, x]) * _SHARE,
        spot(planes.elevation, i, j),
        spot(planes.slope, i, j),
        spot(planes.cos_incidence, i, j),
        spot(planes.water, i, j),
        spot(planes.snow_condition, i, j),
    )


@inlined
def number(value: Any) -> Any:
    """Value in float32."""
    return np.float32(value)


@inlined
def whole(value: Any) -> Any:
    """Value in 32 bits, as the codes of the steps."""
    return np.int32(value)


@inlined
def spot(plane: npt.NDArray[Any], i: int, j: int) -> Any:
    """Value of an array whose axes may be one."""
    return plane[i if plane.shape[0] > 1 else 0, j if plane.shape[1] > 1 else 0]


@compiled
def levelled_planes(toa: Floats, planes: Planes, facts: Facts) -> Floats:
    """B10 of a window as it would be at sea level on a horizontal surface. [1], shape (y, x)."""
    _, rows, columns = toa.shape
    out = np.empty((rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            out[i, j] = levelled_b10(sight_at(toa, i, j), place_at(planes, i, j), facts)
    return out

"""Every test of one pixel in order, by the functions that the compiled loops are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms.classification import kernels, mixtures, steps
from s2cloud.algorithms.classification.kernels import ratio
from s2cloud.algorithms.classification.rules import (
    UNDECIDED,
    UNTIL_WATER,
    Pixel,
    Rules,
    limits_of,
    single,
)
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.scene import ClassificationScene
    from s2cloud.algorithms.classification.steps import Place
    from s2cloud.algorithms.classification.window import Options

    Floats = npt.NDArray[np.float32]

__all__ = ["Step", "Traced", "trace"]


@dataclass(frozen=True, slots=True)
class Step:
    """One test of one pixel.

    Attributes
    ----------
    name, rule
        Number and name; what is asked, with its limits.
    values
        What the pixel has to show.
    outcome
        What changed, ``-`` if nothing did.
    scl
        Class afterwards, 100 = not yet decided.
    cloud, snow
        Confidences afterwards. [1]
    """

    name: str
    rule: str
    values: str
    outcome: str
    scl: int
    cloud: float
    snow: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A pixel and all that its class depends on.

    Attributes
    ----------
    toa
        TOA reflectance of the thirteen bands. [1], shape (13,)
    place
        What lies around it.
    lines
        Index of built-up land along the best line.
    model
        Cloud probability of a classifier, NaN = none. [1]
    defective
        Whether a band is saturated or lost.
    refined
        Class before classes are grown.
    finished
        Class, cloud and snow probability in the product. [1, %, %]
    scene, options
        Scene and choices.
    """

    toa: Floats
    place: Place
    lines: float
    model: float
    defective: bool
    refined: int
    finished: tuple[int, int, int]
    scene: ClassificationScene
    options: Options


class _Tracer:
    """Class and confidences of a pixel, and the steps so far."""

    def __init__(self) -> None:
        self.code: Any = np.int32(UNDECIDED)
        self.cloud: Any = np.float32(0.0)
        self.snow: Any = np.float32(0.0)
        self.steps: list[Step] = []

    def put(self, name: str, rule: str, values: dict[str, float], **new: Any) -> None:
        """Record a step and take over what it changed."""
        changes = []
        for key in ("code", "cloud", "snow"):
            if key in new:
                old, value = getattr(self, key), new[key]
                value = np.int32(value) if key == "code" else np.float32(value)
                if value != old:
                    changes.append(_change(key, old, value))
                setattr(self, key, value)
        told = ", ".join(f"{k} {_number(v)}" for k, v in values.items())
        self.steps.append(
            Step(
                name,
                rule,
                told,
                "; ".join(changes) or "-",
                int(self.code),
                float(self.cloud),
                float(self.snow),
            )
        )


def trace(pixel: Traced) -> tuple[Step, ...]:
    """Steps of a pixel in the order in which they were made.

    The functions called are those of the compiled loops, so that the explanation and the product
    cannot disagree; only the words are of their own.
    """
    tracer = _Tracer()
    valid = bool(np.isfinite(pixel.toa).all())
    if not valid or pixel.defective:
        code = SCL.NO_DATA if not valid else SCL.SATURATED_OR_DEFECTIVE
        tracer.put("valid", "all bands finite, none saturated", {}, code=int(code))
    else:
        _pointwise(tracer, pixel)
        if pixel.options.evolution:
            _evolution(tracer, pixel)
        else:
            _classic(tracer, pixel)
    if pixel.finished[0] != int(tracer.code):
        tracer.put(
            "dilation",
            "dark beside water: water; cloud, cirrus, shadow, snow grown; terrain shadow and "
            "classes smoothed",
            {},
            code=pixel.finished[0],
        )
    return tuple(tracer.steps)


def _pointwise(t: _Tracer, pixel: Traced) -> None:
    options, place = pixel.options, pixel.place
    limits = limits_of(options.thresholds)
    weight = single(0.0 if np.isnan(pixel.model) else options.model_weight)
    rules = Rules(options.evolution, options.snow_possible, UNTIL_WATER, weight)
    p = Pixel(*(pixel.toa[BAND_INDEX[name]] for name in Pixel._fields))
    ndsi = ratio(p.b03 - p.b11, p.b03 + p.b11)
    ndvi = ratio(p.b8a - p.b04, p.b8a + p.b04)
    blue_swir = ratio(p.b02, p.b11)
    names = options.thresholds
    code, cloud = kernels.bright_or_dark(p, limits)
    t.put(
        "1 red, NDSI",
        f"cloud = ramp(B04; {names.red_low:g}, {names.red_high:g})^2 * ramp(NDSI; "
        f"{names.ndsi_cloud_low:g}, {names.ndsi_cloud_high:g}); dark: B04 < 0.1, "
        f"0.04 < B8A < {names.nir_low:g}",
        {"B04": p.b04, "B8A": p.b8a, "NDSI": ndsi},
        code=code,
        cloud=cloud,
    )
    is_snow = False
    if options.snow_possible:
        snow = kernels.snow_confidence(p, limits)
        is_snow = bool(snow > limits.snow_confidence)
        new: dict[str, Any] = {"snow": snow}
        if is_snow:
            new |= {"code": int(SCL.SNOW_ICE), "cloud": 0.0}
        t.put(
            "2 snow",
            f"snow > {names.snow_confidence:g} from NDSI, B8A, B02, B02/B04; B05/B8A >= 0.85",
            {
                "NDSI": ndsi,
                "B8A": p.b8a,
                "B02": p.b02,
                "B02/B04": ratio(p.b02, p.b04),
                "B05/B8A": ratio(p.b05, p.b8a),
            },
            **new,
        )
        if not is_snow and place.near_snow > 0:
            rim = p.b12 < limits.snow_ring_swir
            t.put(
                "2 ring of snow",
                f"beside snow and B12 < {names.snow_ring_swir:g}: no cloud",
                {"B12": p.b12},
                cloud=0.0 if rim else t.cloud,
            )
    if not is_snow:
        _ground_tests(t, p, pixel, {"NDVI": ndvi, "B02/B11": blue_swir})
    if weight > 0:
        code, cloud = kernels.blend(single(pixel.model), t.code, t.cloud, limits, rules)
        t.put(
            "model",
            f"cloud mixed with {options.model_weight:g} of the classifier's",
            {"model": pixel.model},
            code=code,
            cloud=cloud,
        )
    t.put(
        "7 cloud",
        f"undecided: > {names.cloud_low:g} class 7, >= {names.cloud_medium:g} class 8, "
        f">= {names.cloud_high:g} class 9",
        {"cloud": float(t.cloud)},
        code=kernels.decide_cloud(t.code, t.cloud, limits),
    )
    code, cloud, snow = kernels.look_for_cirrus(
        p, place.elevation, t.code, t.cloud, t.snow, limits, rules
    )
    t.put(
        "7 cirrus",
        f"{names.cirrus_low:g} < B10 < {names.cirrus_high:g}, B02 < 0.5, little cloud, below "
        f"1500 m: class 10; B10 beyond: class 8",
        {"B10": p.b10, "B02": p.b02, "altitude": float(place.elevation)},
        code=code,
        cloud=cloud,
        snow=snow,
    )
    code, cloud, snow = kernels.recover(p, t.code, t.cloud, t.snow, limits, rules)
    t.put(
        "8 recovery",
        f"dark or undecided: NDVI > {names.ndvi_high:g} or B8A/B03 > {names.nir_green:g}: "
        f"vegetation; B02/B11 > {names.water_ratio_high:g}, B8A < B04: water",
        {
            "NDVI": ndvi,
            "B8A/B03": ratio(p.b8a, p.b03),
            "B02/B11": blue_swir,
            "B8A-B04": p.b8a - p.b04,
        },
        code=code,
        cloud=cloud,
        snow=snow,
    )


def _ground_tests(t: _Tracer, p: Pixel, pixel: Traced, values: dict[str, float]) -> None:
    """Steps 3 to 6."""
    limits, names = limits_of(pixel.options.thresholds), pixel.options.thresholds
    ndvi, blue_swir = values["NDVI"], values["B02/B11"]
    code, cloud = kernels.look_for_vegetation(p, t.code, t.cloud, limits)
    t.put(
        "3 NDVI",
        f"NDVI >= {names.ndvi_high:g} and B02 < 0.15: vegetation; from {names.ndvi_low:g} cloud "
        "dims",
        {"NDVI": ndvi, "B02": p.b02},
        code=code,
        cloud=cloud,
    )
    code, cloud = kernels.look_for_soil(p, t.code, t.cloud, limits)
    bound = kernels.soil_limit(min(max(blue_swir, 0.0), 100.0), limits)
    t.put(
        "5.1 soil",
        f"B02 below its bound and B02/B11 < {names.soil_ratio_low:g}: soil; to "
        f"{names.soil_ratio_high:g} cloud dims",
        {"B02": p.b02, "bound": bound, "B02/B11": blue_swir},
        code=code,
        cloud=cloud,
    )
    code, cloud = kernels.look_for_water(p, t.code, t.cloud, limits)
    t.put(
        "5.2 water",
        f"B8A < B04, B02 < 0.2, B12 below its bound and B02/B11 > {names.water_ratio_high:g}, or "
        "B02-B04 > 0.034: water",
        {
            "B8A-B04": p.b8a - p.b04,
            "B12": p.b12,
            "bound": kernels.water_limit(blue_swir, limits),
            "B02/B11": blue_swir,
            "B02-B04": p.b02 - p.b04,
        },
        code=code,
        cloud=cloud,
    )
    nir_swir = ratio(p.b8a, p.b11)
    code, cloud = kernels.look_for_rock(p, t.code, t.cloud, limits)
    t.put(
        "6 rock and sand",
        f"B02 below its bound, B8A/B11 < {names.rock_ratio_low:g} and B02 < 0.8 B11: bare; "
        "B04/B11 from 3 to 6 cloud dims",
        {
            "B02": p.b02,
            "bound": kernels.rock_limit(nir_swir),
            "B8A/B11": nir_swir,
            "B04/B11": ratio(p.b04, p.b11),
        },
        code=code,
        cloud=cloud,
    )


def _sight(pixel: Traced) -> steps.Sight:
    return steps.Sight(*(pixel.toa[BAND_INDEX[name]] for name in steps.Sight._fields))


def _flag(place: Place, bit: int) -> float:
    return float((int(place.flags) & bit) != 0)


def _snow_condition(t: _Tracer, place: Place, pixel: Traced) -> None:
    code, cloud, snow = steps.snow_condition(place, t.code, t.cloud, t.snow, pixel.scene.facts)
    t.put(
        "2.x snow condition",
        "snow on open water or where the map knows none: class 8",
        {"map": float(place.snow_condition)},
        code=code,
        cloud=cloud,
        snow=snow,
    )


def _evolution(t: _Tracer, pixel: Traced) -> None:
    place, facts, sight = pixel.place, pixel.scene.facts, _sight(pixel)
    _snow_condition(t, place, pixel)
    t.put(
        "8 dark water",
        "dark, B8A < B04 and water index > 0.35: water",
        {"water index": steps.water_index(sight), "B8A-B04": sight.b8a - sight.b04},
        code=steps.dark_water(sight, t.code),
    )
    t.put(
        "8 water map",
        "dark, shaded, unclassified on mapped water: water",
        {"map": float(place.water)},
        code=steps.mapped_water(place, t.code),
    )
    code, snow = mixtures.white_water(sight, t.code, t.snow)
    t.put(
        "8 white water",
        "snow with B12/B11 < 0.45, B8A < B04 and B8A < 0.85 B03: water",
        {"B12/B11": ratio(sight.b12, sight.b11), "B8A/B03": ratio(sight.b8a, sight.b03)},
        code=code,
        snow=snow,
    )
    code, cloud = steps.topography(sight, place, t.code, t.cloud, facts)
    t.put(
        "9 terrain",
        "no water on slopes > 15 deg; dark is shadow only where terrain shades",
        {
            "cast": _flag(place, steps.CAST),
            "slope": float(place.slope),
            "cos incidence": float(place.cos_incidence),
        },
        code=code,
        cloud=cloud,
    )
    _snow_recovery(t, sight, place, pixel)
    code, cloud, snow = mixtures.snow_mixture(sight, place, t.code, t.cloud, t.snow, facts)
    t.put(
        "10 snow and plants",
        f"snow around, B10 <= {2 * float(facts.cirrus_land):.4f}: cloud or undecided with B12/B03 "
        f"< 0.25, or snow, with B8A/B04 > 1.1 and B03 < {float(facts.half_snow):.2f}: vegetation; "
        "cloud or undecided as bright as snow, NDSI > 0.4: snow",
        {
            "snow around": _flag(place, steps.SNOWY),
            "B10": sight.b10,
            "B12/B03": ratio(sight.b12, sight.b03),
            "B8A/B04": ratio(sight.b8a, sight.b04),
            "B03": sight.b03,
        },
        code=code,
        cloud=cloud,
        snow=snow,
    )
    code, cloud = steps.border(place, t.code, t.cloud)
    t.put(
        "10 borders",
        "cloud near snow and near soil: bare",
        {"border": float(place.border)},
        code=code,
        cloud=cloud,
    )
    _dark_soil(t, sight)
    t.put(
        "11 cirrus of the scene",
        f"B10 beyond the ground of the scene: land {float(facts.cirrus_land):.4f}, water "
        f"{float(facts.cirrus_water):.4f}; below 1500 m; beside cloud B02 > "
        f"{float(facts.land_blue):.3f} as well",
        {
            "B10": sight.b10,
            "beyond": _flag(place, steps.CIRRUS),
            "beside cloud": _flag(place, steps.RIM),
            "B02": sight.b02,
        },
        code=steps.cirrus_statistics(sight, place, t.code, facts),
    )
    _built_up(t, place)
    code, cloud = steps.bright_target(sight, place, single(pixel.lines), t.code, t.cloud, facts)
    t.put(
        "13 bright target",
        "outside large cloud: B03 > 0.319, B05/B11 < 4.33, B11-B10 > 0.255, B01 < 0.3; or "
        "lines of built-up land > 0 and > NDVI: bare",
        {
            "large cloud": _flag(place, steps.LARGE),
            "B03": sight.b03,
            "B05/B11": ratio(sight.b05, sight.b11),
            "B11-B10": sight.b11 - sight.b10,
            "B01": sight.b01,
            "lines": float(pixel.lines),
        },
        code=code,
        cloud=cloud,
    )
    code, cloud, snow = steps.parallax(sight, place, t.code, t.cloud, t.snow)
    t.put(
        "14 parallax",
        "seen at less than 350 m and B10 <= 0.012: ground; snow above 700 m, or with thrice the "
        "B10 of the scene's snow: cloud",
        {
            "low": _flag(place, steps.LOW),
            "high": _flag(place, steps.HIGH),
            "B10": sight.b10,
        },
        code=code,
        cloud=cloud,
        snow=snow,
    )
    _cloud_shadow(t, sight, place, pixel)
    t.put(
        "16 water map",
        "dark, shaded, unclassified on mapped water: water",
        {"map": float(place.water)},
        code=steps.mapped_water(place, t.code),
    )
    t.put(
        "16 terrain shadow",
        "cloud shadow where terrain shades: terrain shadow; lit dark ground: bare",
        {"cast": _flag(place, steps.CAST)},
        code=steps.terrain_shadow(place, t.code),
    )
    t.put("end", "undecided: bare", {}, code=steps.final(t.code, facts))


def _classic(t: _Tracer, pixel: Traced) -> None:
    place, facts, sight = pixel.place, pixel.scene.facts, _sight(pixel)
    _snow_condition(t, place, pixel)
    _cloud_shadow(t, sight, place, pixel)
    t.put(
        "3 water map",
        "dark, shaded, unclassified on mapped water: water",
        {"map": float(place.water)},
        code=steps.mapped_water(place, t.code),
    )
    code, cloud = steps.classic_terrain(sight, place, t.code, t.cloud, facts)
    t.put(
        "4-6 terrain",
        "water and shadow on slopes that face away from the sun: terrain shadow",
        {"slope": float(place.slope), "cos incidence": float(place.cos_incidence)},
        code=code,
        cloud=cloud,
    )
    _snow_recovery(t, sight, place, pixel)
    _dark_soil(t, sight)
    code, cloud = steps.classic_ground(sight, place, t.code, t.cloud, facts)
    t.put(
        "9 ground by vapour",
        f"B10 < {float(facts.ground_b10):.4f} and B09/B8A < {float(facts.ground_ratio):.3f}: bare",
        {"B10": sight.b10, "B09/B8A": ratio(sight.b09, sight.b8a)},
        code=code,
        cloud=cloud,
    )
    t.put(
        "10 cirrus of the scene",
        f"B10 > land {float(facts.cirrus_land):.4f}, water {float(facts.cirrus_water):.4f}",
        {"B10": sight.b10},
        code=steps.classic_cirrus(sight, place, t.code, facts),
    )
    _built_up(t, place)
    t.put("end", "undecided: unclassified", {}, code=steps.final(t.code, facts))


def _snow_recovery(t: _Tracer, sight: steps.Sight, place: Place, pixel: Traced) -> None:
    code, cloud, snow = steps.snow_recovery(
        sight, place, t.code, t.cloud, t.snow, pixel.scene.facts
    )
    t.put(
        "snow recovery",
        "undecided beside snow and NDSI > 0.4 (2.8: > 0): snow",
        {
            "beside": float(place.near_snow),
            "NDSI": ratio(sight.b03 - sight.b11, sight.b03 + sight.b11),
        },
        code=code,
        cloud=cloud,
        snow=snow,
    )


def _dark_soil(t: _Tracer, sight: steps.Sight) -> None:
    t.put(
        "dark soil",
        "dark and B02/B11 < 0.65: bare",
        {"B02/B11": ratio(sight.b02, sight.b11)},
        code=steps.dark_soil(sight, t.code),
    )


def _built_up(t: _Tracer, place: Place) -> None:
    code, cloud = steps.built_up(place, t.code, t.cloud)
    t.put(
        "12 built-up, bare",
        "land cover built-up or bare, not beside cloud: bare",
        {"land cover": _flag(place, steps.BUILT)},
        code=code,
        cloud=cloud,
    )


def _cloud_shadow(t: _Tracer, sight: steps.Sight, place: Place, pixel: Traced) -> None:
    facts = pixel.scene.facts
    t.put(
        "15 cloud shadow",
        f"likeness by spectrum x geometry > 0.05; dark features and B11 < "
        f"{float(facts.darkest_water):.4f} count as like, and so do water with B8A > "
        f"{float(facts.brightest_water):.3f} and bluish snow with B03 < "
        f"{0.75 * float(facts.snow_green):.2f}",
        {
            "spectrum": float(place.spectral),
            "geometry": float(place.geometric),
            "B11": sight.b11,
            "B8A": sight.b8a,
        },
        code=steps.cloud_shadow(sight, place, t.code, facts),
    )


def _change(key: str, old: Any, new: Any) -> str:
    if key == "code":
        return f"class {_class(old)} -> {_class(new)}"
    return f"{key} {float(old):.3f} -> {float(new):.3f}"


def _class(code: Any) -> str:
    return "undecided" if int(code) == UNDECIDED else str(int(code))


def _number(value: float) -> str:
    return f"{float(value):.4g}"

"""Every test of one pixel in order, by the functions that the compiled loops are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms.classification import sequence
from s2cloud.algorithms.classification.rules import (
    UNTIL_WATER,
    Pixel,
    Rules,
    limits_of,
    single,
)
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.algorithms.classification.trace_scene import classic_steps, evolution_steps
from s2cloud.algorithms.classification.tracer import Step, Traced, Tracer
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["Step", "Traced", "trace"]


def trace(pixel: Traced) -> tuple[Step, ...]:
    """Steps of a pixel in the order in which they were made.

    The functions called are those of the compiled loops, so that the explanation and the product
    cannot disagree; only the words are of their own.
    """
    tracer = Tracer()
    valid = bool(np.isfinite(pixel.toa).all())
    if not valid or pixel.defective:
        code = SCL.NO_DATA if not valid else SCL.SATURATED_OR_DEFECTIVE
        tracer.put("valid", "all bands finite, none saturated", {}, code=int(code))
    else:
        _pointwise(tracer, pixel)
        if pixel.options.evolution:
            evolution_steps(tracer, pixel)
        else:
            classic_steps(tracer, pixel)
    if pixel.finished[0] != int(tracer.code):
        tracer.put(
            "dilation",
            "dark beside water: water; cloud, cirrus, shadow, snow grown; terrain shadow and "
            "classes smoothed",
            {},
            code=pixel.finished[0],
        )
    return tuple(tracer.steps)


def _pointwise(t: Tracer, pixel: Traced) -> None:
    options, place = pixel.options, pixel.place
    limits = limits_of(options.thresholds)
    weight = single(0.0 if np.isnan(pixel.model) else options.model_weight)
    rules = Rules(options.evolution, options.snow_possible, UNTIL_WATER, weight)
    p = Pixel(*(pixel.toa[BAND_INDEX[name]] for name in Pixel._fields))
    ndsi = ratio(p.b03 - p.b11, p.b03 + p.b11)
    ndvi = ratio(p.b8a - p.b04, p.b8a + p.b04)
    blue_swir = ratio(p.b02, p.b11)
    names = options.thresholds
    code, cloud = sequence.bright_or_dark(p, limits)
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
        snow = sequence.snow_confidence(p, limits)
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
        code, cloud = sequence.blend(single(pixel.model), t.code, t.cloud, limits, rules)
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
        code=sequence.decide_cloud(t.code, t.cloud, limits),
    )
    code, cloud, snow = sequence.look_for_cirrus(
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
    code, cloud, snow = sequence.recover(p, t.code, t.cloud, t.snow, limits, rules)
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


def _ground_tests(t: Tracer, p: Pixel, pixel: Traced, values: dict[str, float]) -> None:
    """Steps 3 to 6."""
    limits, names = limits_of(pixel.options.thresholds), pixel.options.thresholds
    ndvi, blue_swir = values["NDVI"], values["B02/B11"]
    code, cloud = sequence.look_for_vegetation(p, t.code, t.cloud, limits)
    t.put(
        "3 NDVI",
        f"NDVI >= {names.ndvi_high:g} and B02 < 0.15: vegetation; from {names.ndvi_low:g} cloud "
        "dims",
        {"NDVI": ndvi, "B02": p.b02},
        code=code,
        cloud=cloud,
    )
    code, cloud = sequence.look_for_soil(p, t.code, t.cloud, limits)
    bound = sequence.soil_limit(min(max(blue_swir, 0.0), 100.0), limits)
    t.put(
        "5.1 soil",
        f"B02 below its bound and B02/B11 < {names.soil_ratio_low:g}: soil; to "
        f"{names.soil_ratio_high:g} cloud dims",
        {"B02": p.b02, "bound": bound, "B02/B11": blue_swir},
        code=code,
        cloud=cloud,
    )
    code, cloud = sequence.look_for_water(p, t.code, t.cloud, limits)
    t.put(
        "5.2 water",
        f"B8A < B04, B02 < 0.2, B12 below its bound and B02/B11 > {names.water_ratio_high:g}, or "
        "B02-B04 > 0.034: water",
        {
            "B8A-B04": p.b8a - p.b04,
            "B12": p.b12,
            "bound": sequence.water_limit(blue_swir, limits),
            "B02/B11": blue_swir,
            "B02-B04": p.b02 - p.b04,
        },
        code=code,
        cloud=cloud,
    )
    nir_swir = ratio(p.b8a, p.b11)
    code, cloud = sequence.look_for_rock(p, t.code, t.cloud, limits)
    t.put(
        "6 rock and sand",
        f"B02 below its bound, B8A/B11 < {names.rock_ratio_low:g} and B02 < 0.8 B11: bare; "
        "B04/B11 from 3 to 6 cloud dims",
        {
            "B02": p.b02,
            "bound": sequence.rock_limit(nir_swir),
            "B8A/B11": nir_swir,
            "B04/B11": ratio(p.b04, p.b11),
        },
        code=code,
        cloud=cloud,
    )

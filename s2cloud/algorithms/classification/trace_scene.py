"""Trace of the steps that look beyond the pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2cloud.algorithms.classification import mixtures, steps
from s2cloud.algorithms.classification.rules import (
    single,
)
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.model.bands import BAND_INDEX

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from s2cloud.algorithms.classification.steps import Place
    from s2cloud.algorithms.classification.tracer import Traced, Tracer

    Floats = npt.NDArray[np.float32]

__all__ = ["classic_steps", "evolution_steps"]


def _sight(pixel: Traced) -> steps.Sight:
    return steps.Sight(*(pixel.toa[BAND_INDEX[name]] for name in steps.Sight._fields))


def _flag(place: Place, bit: int) -> float:
    return float((int(place.flags) & bit) != 0)


def _snow_condition(t: Tracer, place: Place, pixel: Traced) -> None:
    code, cloud, snow = steps.snow_condition(place, t.code, t.cloud, t.snow, pixel.scene.facts)
    t.put(
        "2.x snow condition",
        "snow on open water or where the map knows none: class 8",
        {"map": float(place.snow_condition)},
        code=code,
        cloud=cloud,
        snow=snow,
    )


def evolution_steps(t: Tracer, pixel: Traced) -> None:
    """Steps of 2.10 and later, as `refine.settle` and `refine.refine`."""
    place, facts, sight = pixel.place, pixel.scene.facts, _sight(pixel)
    _snow_condition(t, place, pixel)
    t.put(
        "8 dark water",
        "dark, B8A < B04 and index of B8A > 0.35 or of B11 > 0.40: water",
        {
            "index B8A": steps.water_index(sight),
            "index B11": ratio(sight.b03 - sight.b11, sight.b03 + sight.b11),
            "B8A-B04": sight.b8a - sight.b04,
        },
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
        f"< 0.25, or snow, with B8A/B04 > 1.05 and B03 < {float(facts.half_snow):.2f}: vegetation; "
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
    code, cloud = steps.border(sight, place, t.code, t.cloud, facts)
    t.put(
        "10 borders",
        f"cloud near snow and near soil, B11 <= {float(facts.brightest_soil):.3f}, B10 <= "
        f"{1.5 * float(facts.cirrus_land):.4f}: bare",
        {"border": float(place.border), "B11": sight.b11, "B10": sight.b10},
        code=code,
        cloud=cloud,
    )
    _dark_soil(t, sight, facts)
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
    code, cloud = steps.cloud_gap(sight, place, t.code, t.cloud, facts)
    t.put(
        "11 gaps in clouds",
        f"land touching a cloud, B02 - B04/2 > {float(facts.land_white):.3f} and B02 > "
        f"{float(facts.land_blue):.3f}, no snow around: cloud",
        {
            "with cloud": _flag(place, steps.GAP),
            "B02-B04/2": steps.whiteness(sight.b02, sight.b04),
            "B02": sight.b02,
        },
        code=code,
        cloud=cloud,
    )
    _built_up(t, place)
    code, cloud = steps.bright_target(sight, place, single(pixel.lines), t.code, t.cloud, facts)
    t.put(
        "13 bright target",
        f"not fog and B10/B02 < {float(facts.cloud_b10):.4f}; or outside large cloud: B03 > 0.319, "
        "B05/B11 < 4.33, B11-B10 > 0.255, B01 < 0.3; or lines of built-up land > 0 and > NDVI: "
        "bare",
        {
            "fog": _flag(place, steps.FOG),
            "B10/B02": ratio(sight.b10, sight.b02),
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
    code, cloud, snow = steps.parallax(sight, place, t.code, t.cloud, t.snow, facts)
    t.put(
        "14 parallax",
        f"seen at less than 350 m and B10 <= {min(0.012, 2 * float(facts.cirrus_land)):.4f}: "
        "ground; snow above 700 m, or with thrice the B10 of the scene's snow: cloud if B12/B11 < "
        f"0.95 or B10 > 0.012, cirrus if B10 > {float(facts.veil_b10):.4f}",
        {
            "low": _flag(place, steps.LOW),
            "high": _flag(place, steps.HIGH),
            "B10": sight.b10,
            "B12/B11": ratio(sight.b12, sight.b11),
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
    code, snow = mixtures.thin_snow(sight, place, t.code, t.snow, facts)
    t.put(
        "17 thin snow",
        f"snow with B03 < {float(facts.half_snow):.2f} on level ground, and B11 > 0.06: bare",
        {"snow around": _flag(place, steps.SNOWY), "B03": sight.b03, "B11": sight.b11},
        code=code,
        snow=snow,
    )
    t.put("end", "undecided: bare", {}, code=steps.final(t.code, facts))


def classic_steps(t: Tracer, pixel: Traced) -> None:
    """Steps of 2.8, as `refine.refine_classic`."""
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
    _dark_soil(t, sight, facts)
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


def _snow_recovery(t: Tracer, sight: steps.Sight, place: Place, pixel: Traced) -> None:
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


def _dark_soil(t: Tracer, sight: steps.Sight, facts: steps.Facts) -> None:
    t.put(
        "dark soil",
        "dark and B02/B11 < 0.65, or, without terrain model and not in 2.8, B11 > 0.06: bare",
        {"B02/B11": ratio(sight.b02, sight.b11), "B11": sight.b11},
        code=steps.dark_soil(sight, t.code, facts),
    )


def _built_up(t: Tracer, place: Place) -> None:
    code, cloud = steps.built_up(place, t.code, t.cloud)
    t.put(
        "12 built-up, bare",
        "land cover built-up or bare, not beside cloud: bare",
        {"land cover": _flag(place, steps.BUILT)},
        code=code,
        cloud=cloud,
    )


def _cloud_shadow(t: Tracer, sight: steps.Sight, place: Place, pixel: Traced) -> None:
    facts = pixel.scene.facts
    t.put(
        "15 cloud shadow",
        f"likeness by spectrum x geometry > 0.05; dark features and B11 < "
        f"{float(facts.darkest_water):.4f} count as like, and so do water where a shadow is due, "
        f"with B8A > {float(facts.brightest_water):.3f} and little B11, or with B02 < "
        f"{float(facts.dimmest_blue):.4f} and B03 < {float(facts.dimmest_green):.4f}; and bluish "
        f"snow with B03 < {0.75 * float(facts.snow_green):.2f}; dark ground and snow only on "
        "slopes in the sun",
        {
            "spectrum": float(place.spectral),
            "geometry": float(place.geometric),
            "due": _flag(place, steps.DUE),
            "B02": sight.b02,
            "B03": sight.b03,
            "B11": sight.b11,
            "B8A": sight.b8a,
        },
        code=steps.cloud_shadow(sight, place, t.code, facts),
    )

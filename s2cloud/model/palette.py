"""Colours of classes and fields, the same in reports, plots and the demonstration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CLASS_COLOURS", "RAMPS", "class_words", "limits_of"]

#: Colours of the classes, as in ESA's products.
CLASS_COLOURS: Final = {
    SCL.NO_DATA: "#000000",
    SCL.SATURATED_OR_DEFECTIVE: "#ff0000",
    SCL.CAST_SHADOW: "#2f2f2f",
    SCL.CLOUD_SHADOW: "#643200",
    SCL.VEGETATION: "#00a000",
    SCL.NOT_VEGETATED: "#ffe65a",
    SCL.WATER: "#0000ff",
    SCL.UNCLASSIFIED: "#808080",
    SCL.CLOUD_MEDIUM_PROBABILITY: "#c0c0c0",
    SCL.CLOUD_HIGH_PROBABILITY: "#ffffff",
    SCL.THIN_CIRRUS: "#64c8ff",
    SCL.SNOW_ICE: "#ff96ff",
}
#: Colours from low to high, even steps of lightness: warm for aerosol, cold for water.
RAMPS: Final = {
    "aot": ("#fff7d6", "#fed976", "#fd8d3c", "#e31a1c", "#800026", "#3d0018"),
    "wvp": ("#f2fbf4", "#c7e9c0", "#7fcdbb", "#41b6c4", "#225ea8", "#081d58"),
    "cld": ("#0b2a4a", "#2f6690", "#7fa8c9", "#c9d9e6", "#ffffff"),
}


def class_words(scl: SCL) -> str:
    """Name of a class for a legend, ``cloud medium``."""
    return scl.name.removesuffix("_PROBABILITY").lower().replace("_", " ")


def limits_of(values: npt.NDArray[Any], least: float) -> tuple[float, float]:
    """Range that holds 98 % of the values, at least so wide, on round numbers.

    Parameters
    ----------
    values
        Any shape; what is not finite does not count.
    least
        Smallest width of the range, in the unit of the values.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, least
    low, high = (float(v) for v in np.percentile(known, [1.0, 99.0]))
    if high - low < least:
        middle = (low + high) / 2
        low, high = max(0.0, middle - least / 2), max(0.0, middle - least / 2) + least
    step = 10.0 ** np.floor(np.log10(high - low)) / 2
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)

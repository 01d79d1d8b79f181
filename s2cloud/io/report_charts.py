"""Pictures, bars and histograms of a report as text: PNG in data URLs and SVG."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import numpy as np

from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = [
    "CLASS_COLOURS",
    "class_map",
    "colour_bar",
    "data_url",
    "field_map",
    "histogram",
    "limits_of",
]

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


def data_url(image: npt.NDArray[np.uint8]) -> str:
    """PNG of an image of shape (y, x, 3) or (y, x, 4) as an address that holds it."""
    data = imagecodecs.png_encode(np.ascontiguousarray(image), level=6)
    return f"data:image/png;base64,{base64.b64encode(bytes(data)).decode()}"


def class_map(classes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Picture of a scene classification; no-data is transparent."""
    table = np.zeros((256, 4), np.uint8)
    for code, colour in CLASS_COLOURS.items():
        table[int(code)] = (*_rgb(colour), 0 if code == SCL.NO_DATA else 255)
    image: npt.NDArray[np.uint8] = table[classes]
    return image


def field_map(
    values: npt.NDArray[np.float64], limits: tuple[float, float], ramp: str
) -> npt.NDArray[np.uint8]:
    """Picture of a field between two limits; no-data is transparent."""
    low, high = limits
    share = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0.0, 1.0)
    anchors = np.array([_rgb(colour) for colour in RAMPS[ramp]], float)
    place = share * (len(anchors) - 1)
    rgb = [np.interp(place, np.arange(len(anchors)), anchors[:, i]) for i in range(3)]
    alpha = np.where(np.isnan(values), 0.0, 255.0)
    return np.stack([*rgb, alpha], axis=-1).round().astype(np.uint8)


def limits_of(values: npt.NDArray[np.float64], least: float) -> tuple[float, float]:
    """Range that holds 98 % of the values, at least so wide, on round numbers."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, least
    low, high = (float(v) for v in np.percentile(known, [1.0, 99.0]))
    if high - low < least:
        middle = (low + high) / 2
        low, high = max(0.0, middle - least / 2), max(0.0, middle - least / 2) + least
    step = 10.0 ** np.floor(np.log10(high - low)) / 2
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)


def colour_bar(limits: tuple[float, float], ramp: str) -> dict[str, str]:
    """Colours and labels below a map."""
    low, high = limits
    colours = ", ".join(RAMPS[ramp])
    labels = {"low": low, "middle": (low + high) / 2, "high": high}
    return {
        "style": f"linear-gradient(to right, {colours})",
        **{name: f"{value:.3g}" for name, value in labels.items()},
    }


def histogram(
    values: npt.NDArray[np.float64],
    limits: tuple[float, float],
    *,
    size: tuple[int, int] = (300, 90),
    bins: int = 60,
    ticks: Sequence[float] = (),
) -> str:
    """SVG of the distribution of the finite values between two limits.

    Parameters
    ----------
    values
        Any shape.
    limits
        Left and right end; values beyond count in the outermost bars.
    size
        Width and height. [pixel]
    bins
        Number of bars.
    ticks
        Where the axis is labelled; at the ends and in the middle by default.
    """
    low, high = limits
    width, height = size
    known = np.clip(values[np.isfinite(values)], low, high)
    counts, _ = np.histogram(known, bins=bins, range=limits)
    top, floor = max(int(counts.max()), 1), height - 16
    step = width / bins
    points = [f"0,{floor}"]
    for index, count in enumerate(counts):
        y = floor - (floor - 4) * count / top
        points += [f"{index * step:.1f},{y:.1f}", f"{(index + 1) * step:.1f},{y:.1f}"]
    points.append(f"{width},{floor}")
    labels = []
    for tick in ticks or (low, (low + high) / 2, high):
        x = width * (tick - low) / (high - low)
        anchor = "start" if x < 10 else "end" if x > width - 10 else "middle"
        labels.append(
            f'<text x="{x:.1f}" y="{height - 3}" text-anchor="{anchor}">{tick:.3g}</text>'
        )
        labels.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{floor + 3}"/>')
    mean = ""
    if known.size:
        x = width * (float(known.mean()) - low) / (high - low)
        mean = f'<line class="mean" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{floor}"/>'
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img">'
        f'<polygon points="{" ".join(points)}"/>{mean}'
        f'<line x1="0" x2="{width}" y1="{floor}" y2="{floor}"/>{"".join(labels)}</svg>'
    )


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)

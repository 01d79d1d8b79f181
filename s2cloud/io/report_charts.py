"""Pictures, bars and histograms of a report as text: PNG in data URLs and SVG."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

from s2cloud.model.palette import CLASS_COLOURS, RAMPS
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = [
    "class_map",
    "colour_bar",
    "data_url",
    "field_map",
    "histogram",
]


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

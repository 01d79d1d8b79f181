"""What to be careful of, on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.schema import Flag
from s2cloud.plot import maps
from s2cloud.plot.figures import axes_or_new, grid_of_axes
from s2cloud.plot.rasters import PIXELS, in_memory, rasters

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["flags", "quality"]

_PICTURES: Final = (("b04", "b03", "b02"), ("scl",), ("cld",), ("aot",), ("wvp",), ("flags",))


def quality(tree: xr.DataTree, *, axes: Any = None, pixels: int = PIXELS) -> Any:
    """Draw one page about a product: colours, classes, cloud probability, air, and flags.

    Parameters
    ----------
    tree
        Level-2A tree.
    axes
        Six axes, shape (2, 3); a new figure by default.
    pixels
        Rows or columns of each map that are enough. [pixel]

    Returns
    -------
    ndarray of Axes
        Shape (2, 3).

    Raises
    ------
    InputError
        If a raster is missing.
    UsageError
        If matplotlib is not installed.
    """
    axes = grid_of_axes(2, 3, (12.5, 8.5)) if axes is None else axes
    tree = in_memory(tree, _PICTURES, pixels=pixels)
    first, second = axes
    maps.true_colour(tree, ax=first[0], pixels=pixels)
    maps.classes(tree, ax=first[1], legend="below", pixels=pixels)
    maps.cloud_probability(tree, ax=first[2], bar="below", pixels=pixels)
    maps.aot(tree, ax=second[0], bar="below", pixels=pixels)
    maps.water_vapour(tree, ax=second[1], bar="below", pixels=pixels)
    for ax in (*first, *second[:2]):
        ax.set_axis_off()
    flags(tree, ax=second[2], pixels=pixels)
    return axes


def flags(tree: xr.DataTree, *, ax: Axes | None = None, pixels: int = PIXELS) -> Axes:
    """Draw the share of valid pixels that carry each flag, in percent.

    Parameters
    ----------
    tree
        Level-2A tree.
    ax, pixels
        As in `true_colour`.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there are no flags.
    """
    found = rasters(tree, ["flags"], pixels=pixels)["flags"].fillna(0).values.astype(np.uint16)
    valid = found[(found & Flag.VALID) > 0]
    reasons = [flag for flag in Flag if flag != Flag.VALID]
    shares = [100.0 * float(((valid & f) > 0).mean()) if valid.size else 0.0 for f in reasons]
    words = [str(flag.name).lower().replace("_", " ") for flag in reasons]
    ax = axes_or_new(ax)
    bars = ax.barh(words, shares, color="#4c78a8")
    ax.bar_label(bars, [f"{share:.1f} %" if share else "" for share in shares], padding=3)
    ax.invert_yaxis()
    ax.set(title="Flags", xlabel="valid pixels [%]", xlim=(0, 1.25 * max(8.0, *shares)))
    return ax

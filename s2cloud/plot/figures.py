"""Axes to draw on, made when none are given; matplotlib is loaded here, on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

__all__ = ["axes_or_new", "grid_of_axes", "in_km"]


def axes_or_new(ax: Axes | None, size: tuple[float, float] = (6.0, 5.0)) -> Axes:
    """The axes given, or those of a new figure of that size in inches.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    return ax if ax is not None else grid_of_axes(1, 1, size)[0, 0]


def grid_of_axes(rows: int, cols: int, size: tuple[float, float]) -> Any:
    """Axes of a new figure, shape (rows, cols).

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UsageError("pictures need matplotlib", fix="pip install 's2cloud[plot]'") from error
    return plt.subplots(rows, cols, figsize=size, layout="constrained", squeeze=False)[1]


def in_km(raster: xr.DataArray) -> xr.DataArray:
    """The same pixels with coordinates in kilometres, named for the labels of the axes."""
    words = {"x": "easting", "y": "northing"}
    scaled = {
        axis: (axis, raster[axis].values / 1e3, {"long_name": word, "units": "km"})
        for axis, word in words.items()
    }
    return raster.reset_coords(drop=True).assign_coords(scaled)

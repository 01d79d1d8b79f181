"""Pixel grids of a tile and the 18.3 km block, the unit of work and storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

    from s2cloud.model.bands import Resolution

__all__ = ["BLOCK_PX", "Grid", "grid_of"]

#: Pixels along one side of a block: the same 18.3 km square at every resolution, 36 per tile.
BLOCK_PX: Final[dict[Resolution, int]] = {10: 1830, 20: 915, 60: 305}


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up pixel grid.

    Attributes
    ----------
    crs
        Coordinate reference system as ``EPSG:32632`` or WKT; empty if there is none.
    ulx, uly
        Outer corner of the upper left pixel. [m]
    pixel_size
        Side of a pixel. [m] Equal to the nominal resolution except in archives whose images
        were decimated.
    height, width
        Number of rows and columns.
    """

    crs: str
    ulx: float
    uly: float
    pixel_size: float
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return (self.height, self.width)

    @property
    def transform(self) -> tuple[float, float, float, float, float, float]:
        """Affine coefficients in the order of ``affine.Affine`` and rasterio."""
        return (self.pixel_size, 0.0, self.ulx, 0.0, -self.pixel_size, self.uly)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the outer edges. [m]."""
        return (
            self.ulx,
            self.uly - self.height * self.pixel_size,
            self.ulx + self.width * self.pixel_size,
            self.uly,
        )

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """Eastings of the pixel centres. [m], shape (x,)."""
        return self.ulx + (np.arange(self.width, dtype=np.float64) + 0.5) * self.pixel_size

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """Northings of the pixel centres. [m], shape (y,)."""
        return self.uly - (np.arange(self.height, dtype=np.float64) + 0.5) * self.pixel_size

    def window(self, row: int, col: int, height: int, width: int) -> Grid:
        """Part of this grid that starts at (row, col)."""
        return Grid(
            self.crs,
            self.ulx + col * self.pixel_size,
            self.uly - row * self.pixel_size,
            self.pixel_size,
            height,
            width,
        )

    def scaled(self, factor: int) -> Grid:
        """Grid of pixels ``factor`` times as wide over the same corner, whole pixels only."""
        return Grid(
            self.crs,
            self.ulx,
            self.uly,
            self.pixel_size * factor,
            self.height // factor,
            self.width // factor,
        )


def grid_of(dataset: xr.Dataset | xr.DataArray, *, crs: str = "") -> Grid:
    """Grid of a dataset from its ``x`` and ``y`` coordinates of pixel centres.

    Parameters
    ----------
    dataset
        Anything with one-dimensional, evenly spaced ``x`` and ``y`` in metres.
    crs
        Reference system to use where the dataset names none in its ``crs`` attribute.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        If coordinates are missing, uneven or not north-up.
    """
    if "x" not in dataset.coords or "y" not in dataset.coords:
        raise InputError(
            "pixels without coordinates",
            expected="one-dimensional coordinates x and y of the pixel centres in metres",
            found=f"coordinates {sorted(map(str, dataset.coords))}",
            fix="assign x and y",
        )
    x = np.asarray(dataset["x"].values, dtype=np.float64)
    y = np.asarray(dataset["y"].values, dtype=np.float64)
    size = _spacing(x, "x") if x.size > 1 else -_spacing(y, "y")
    step_y = -_spacing(y, "y") if y.size > 1 else size
    if size <= 0 or not np.isclose(size, step_y, rtol=1e-6):
        raise InputError(
            "pixels are not square and north-up",
            expected="x ascending and y descending by the same step",
            found=f"steps {size:g} and {-step_y:g}",
            fix="flip or resample the data",
        )
    return Grid(
        str(dataset.attrs.get("crs", crs)),
        float(x[0] - size / 2),
        float(y[0] + size / 2),
        float(size),
        int(y.size),
        int(x.size),
    )


def _spacing(values: npt.NDArray[np.float64], name: str) -> float:
    step = (values[-1] - values[0]) / (values.size - 1)
    if not np.allclose(np.diff(values), step, rtol=1e-3, atol=abs(step) * 1e-3):
        raise InputError(
            "uneven pixel spacing",
            where=f"coordinate {name}",
            expected=f"steps of {step:g}",
            fix="resample the data to an even grid",
        )
    return float(step)

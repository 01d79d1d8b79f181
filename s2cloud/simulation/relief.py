"""Relief of a scene and how the sun lights it, by the simulator's own formulas.

Nothing here is shared with the processor's terrain steps, so that a slip on one side shows. The
relief lives on the 60 m lattice, periodic, with a margin from which terrain outside of the image
casts shadows into it. Between its cells it is a cubic spline, whose derivatives are the slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from s2cloud.simulation.erosion import mountains
from s2cloud.simulation.noise import fractal
from s2cloud.simulation.raster import block_mean, from_nodes, magnified, strips
from s2cloud.simulation.skyline import horizon, sky_view

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.grid import Grid
    from s2cloud.simulation.recipes import Recipe

    Floats = npt.NDArray[np.float64]
    Float32s = npt.NDArray[np.float32]

__all__ = ["Relief", "Terrain", "TerrainRows", "relief"]

#: Cells of the lattice. [m]
_CELL: Final = 60.0
#: Cells beyond the wanted ones that a strip is worked out on.
_HALO: Final = 1
#: Smoothing of gentle ground. [cell]
_SMOOTHING: Final = 2.5
#: Slope that this share of the ground stays below. [1] Gentle ground, mountains.
_SLOPE_QUANTILE: Final = 0.985
_GENTLE_SLOPE: Final = float(np.tan(np.radians(2.5)))
_STEEP_SLOPE: Final = float(np.tan(np.radians(45.0)))
#: Units of stored sky-view factors and shares of shade, and cells worked on at a time.
_SKY_UNIT: Final = 1 / 65535
_SHADE_UNIT: Final = 1 / 255
_STRIP_CELLS: Final = 40
#: Apparent diameter of the sun. [radian]
_SUN: Final = float(np.radians(0.533))


@dataclass(frozen=True, slots=True)
class TerrainRows:
    """Terrain of some rows of a band, all float32 of shape (y, x).

    Attributes
    ----------
    elevation
        Height above mean sea level. [m]
    illumination
        Cosine of the angle between sun and surface normal over that of the sun's zenith, not
        negative; 1 on flat ground. [1]
    sky_view
        Share of the sky's light, were it even, that the inclined ground receives. [1]
    shaded
        Share of the direct beam taken away by terrain elsewhere. [1]
    """

    elevation: Float32s
    illumination: Float32s
    sky_view: Float32s
    shaded: Float32s


@dataclass(frozen=True, slots=True)
class Relief:
    """Relief of a scene; from `relief`.

    Attributes
    ----------
    grid
        The 60 m lattice with its margin.
    margin
        Cells of the margin on every side.
    elevation
        Height above mean sea level. [m], shape (y, x) of the lattice
    spline
        Coefficients of its cubic spline, likewise.
    form
        The field that decides what grows where: high and low ground without units, without
        margin, shape (y, x) of the image at 60 m.
    """

    grid: Grid
    margin: int
    elevation: Float32s
    spline: Float32s
    form: Float32s

    @property
    def inner(self) -> Float32s:
        """Elevation without the margin. [m]."""
        height, width = self.form.shape
        return self.elevation[self.margin :, self.margin :][:height, :width]

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest elevation of the image. [m]."""
        # A spline may swing a little beyond its cells.
        return float(self.inner.min()) - 5.0, float(self.inner.max()) + 5.0

    @property
    def flat(self) -> bool:
        """Whether the ground is a plane."""
        return bool(np.ptp(self.elevation) == 0)

    def surface(self, cells: slice) -> tuple[Float32s, Float32s, Float32s]:
        """Elevation and its derivatives at 20 m, one cell beyond the image on either side.

        Parameters
        ----------
        cells
            Rows of the image at 60 m.

        Returns
        -------
        elevation, east, north
            [m], and rise towards east and north [1]; shape (3 (cells + 2), 3 (x + 2))
        """
        first, last = self.margin + cells.start - 2, self.margin + cells.stop + 2
        left, right = self.margin - 2, self.margin + self.form.shape[1] + 2
        part = self.spline[first:last, left:right]
        tall, steep = _between(part)
        elevation, east = _between(tall.T)
        north, _ = _between(steep.T)
        step = np.float32(1 / _CELL)
        return elevation.T, east.T * step, north.T * -step

    def slope_aspect(self, cells: slice) -> tuple[Float32s, Float32s]:
        """Slope, and the direction it faces, clockwise from north, at 20 m. [degree]."""
        _, east, north = (plane[3:-3, 3:-3] for plane in self.surface(cells))
        slope = np.degrees(np.arctan(np.hypot(east, north)))
        aspect = np.degrees(np.arctan2(-east, -north)) % np.float32(360)
        return slope.astype(np.float32), aspect.astype(np.float32)

    def lit(self, sza: Floats, saa: Floats, step: float) -> Terrain:
        """Light of the sun on this relief.

        Parameters
        ----------
        sza, saa
            Zenith and azimuth of the sun at nodes from the upper left corner. [degree]
        step
            Distance of the nodes. [m]

        Returns
        -------
        Terrain
        """
        slant = np.maximum(np.tan(np.radians(sza)), 1e-3)
        sun = np.stack([slant * np.sin(np.radians(saa)), slant * np.cos(np.radians(saa))])
        middle = tuple(n // 2 for n in sza.shape)
        # Cells beyond the image let strips interpolate as if there were no edge.
        size = self.form.shape[0]
        square = (self.margin - _HALO, size + 2 * _HALO)
        sky = sky_view(self.elevation, _CELL, *square)
        lowest = 0.8 / float(slant.max())
        edge = horizon(self.elevation, _CELL, *square, float(saa[middle]), lowest)
        shape = (3 * size, 3 * size)
        elevation, lit = (np.empty(shape, dtype=np.float32) for _ in range(2))
        open_sky, shaded = np.empty(shape, dtype=np.uint16), np.empty(shape, dtype=np.uint8)
        x = 20.0 * (np.arange(3 * size) + 0.5)
        for cells in strips(size, _STRIP_CELLS):
            rows = slice(3 * cells.start, 3 * cells.stop)
            around = slice(cells.start, cells.stop + 2 * _HALO)
            height, east, north = (plane[3:-3, 3:-3] for plane in self.surface(cells))
            to_east, to_north = from_nodes(
                sun, step, 20.0 * np.arange(rows.start, rows.stop) + 10, x
            )
            # Sun times normal, over the cosine of the zenith: (1 - p sx - q sy) / |normal|.
            facing = (1 - east * to_east - north * to_north) / np.sqrt(1 + east**2 + north**2)
            above = 1 / np.hypot(to_east, to_north)
            gap = (magnified(edge, 3, around)[3:-3, 3:-3] - above) / (1 + above * above)
            elevation[rows], lit[rows] = height, np.maximum(facing, 0)
            open_sky[rows] = np.rint(magnified(sky, 3, around)[3:-3, 3:-3] / _SKY_UNIT)
            shaded[rows] = np.rint(np.clip(gap / _SUN + 0.5, 0, 1) / _SHADE_UNIT)
        return Terrain(elevation, lit, open_sky, shaded)


@dataclass(frozen=True, slots=True)
class Terrain:
    """Relief lit by the sun, on the 20 m grid; from `Relief.lit`.

    Attributes
    ----------
    elevation, illumination
        See `TerrainRows`.
    sky_view, shaded
        Likewise, in steps of 1/65535 and 1/255.
    """

    elevation: Float32s
    illumination: Float32s
    sky_view: npt.NDArray[np.uint16]
    shaded: npt.NDArray[np.uint8]

    def rows(self, factor: int, rows: slice) -> TerrainRows:
        """Terrain of some rows of a band.

        Parameters
        ----------
        factor
            Pixel size of the band over 10 m: 1, 2 or 6.
        rows
            Rows of the band's grid; whole 60 m cells.

        Returns
        -------
        TerrainRows
        """
        own = slice(rows.start * factor // 2, rows.stop * factor // 2)
        sky, shaded = (
            _resampled(plane, factor, own) * np.float32(unit)
            for plane, unit in ((self.sky_view, _SKY_UNIT), (self.shaded, _SHADE_UNIT))
        )
        lit = _resampled(self.illumination, factor, own)
        return TerrainRows(_resampled(self.elevation, factor, own), lit, sky, shaded)


def relief(
    grid: Grid, recipe: Recipe, seed: int, margin_m: float = 12_000.0, elevation: float = 0.0
) -> Relief:
    """Relief of a scene.

    Parameters
    ----------
    grid
        The 10 m grid.
    recipe
        What the scene is made of.
    seed
        Seed of all randomness.
    margin_m
        Width of the margin. [m]
    elevation
        Height that the recipe's heights are counted from. [m]

    Returns
    -------
    Relief
    """
    cells, margin = grid.height // 6, round(margin_m / _CELL)
    rng = np.random.default_rng([seed, 1])
    form = fractal(cells, 1.9, rng)
    low, high = recipe.relief
    if recipe.steep:
        form = mountains(cells, rng)
        form = (form - form.mean()) / form.std()
        # Lakes fill the lowest bottoms of valleys.
        height = np.maximum(form, np.quantile(form, recipe.lake))
        limit = _STEEP_SLOPE
    else:
        height = ndimage.gaussian_filter(form, _SMOOTHING, mode="wrap")
        height = np.maximum(height, np.quantile(height, max(recipe.lake, recipe.sea)))
        limit = _GENTLE_SLOPE
    height -= height.min()
    height /= max(float(height.max()), 1e-6)
    slopes = np.hypot(*(np.roll(height, -1, axis) - np.roll(height, 1, axis) for axis in (0, 1)))
    steepest = float(np.quantile(slopes, _SLOPE_QUANTILE)) / (2 * _CELL)
    span = min(high - low, limit / max(steepest, 1e-9))
    inner = (elevation + low + span * height).astype(np.float32)
    around = np.ascontiguousarray(np.pad(inner, margin, mode="wrap"))
    spline = ndimage.spline_filter(around, 3, output=np.float32, mode="mirror")
    lattice = grid.scaled(6).window(-margin, -margin, *around.shape)
    return Relief(lattice, margin, around, spline, form)


def _between(coefficients: Float32s) -> tuple[Float32s, Float32s]:
    """Cubic spline along the rows and its derivative per cell, at thirds of cells.

    Drops the first and the last cell: shape (3 (y - 2), x).
    """
    count = coefficients.shape[0] - 2
    value = np.empty((3 * count, coefficients.shape[1]), dtype=np.float32)
    rise = np.empty_like(value)
    before, here, after = (coefficients[i : i + count] for i in range(3))
    # Around a cell's centre a cubic B-spline joins two pieces; t counts from the left node.
    far_before = np.concatenate([coefficients[:1], coefficients[: count - 1]])
    far_after = np.concatenate([coefficients[3 : count + 2], coefficients[-1:]])
    for phase, nodes in enumerate(
        ((far_before, before, here, after), (before, here, after, far_after),
         (before, here, after, far_after))
    ):  # fmt: skip
        t = (2 / 3, 0.0, 1 / 3)[phase]
        weights = (
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        )
        slopes = (
            -((1 - t) ** 2) / 2,
            (9 * t**2 - 12 * t) / 6,
            (-9 * t**2 + 6 * t + 3) / 6,
            t**2 / 2,
        )
        value[phase::3] = sum(np.float32(w) * n for w, n in zip(weights, nodes, strict=True))
        rise[phase::3] = sum(np.float32(w) * n for w, n in zip(slopes, nodes, strict=True))
    return value, rise


def _resampled(plane: npt.NDArray[Any], factor: int, rows: slice) -> Float32s:
    """Rows of a 20 m plane on the pixels of a band."""
    return magnified(plane, 2, rows) if factor == 1 else block_mean(plane[rows], factor // 2)

"""Which part of a tile to read: what was asked for, with surroundings, in whole 60 m pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from pyproj import Transformer

from s2cloud.io import geometries
from s2cloud.io.l1c_layout import window_of
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.region import Region

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.model.grid import Grid

__all__ = ["MARGIN", "Part", "Placed", "Statistics", "at_least_two", "degrees", "part_of"]

Window = tuple[int, int, int, int]
Bbox = tuple[float, float, float, float]
#: Where the statistics over the scene come from.
Statistics = Literal["tile", "region"]

#: Surroundings that are read by default. [m] Neighbourhood steps look 500 m around with the
#: default options, and 1.8 km if classes are grown as far as the configuration allows.
MARGIN: Final = 1200.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A part of a tile on the grid of the overview.

    Attributes
    ----------
    window
        First row, first column, rows and columns to be read. [overview pixel]
    region
        What was asked for; None for the whole tile.
    """

    window: Window
    region: Region | None = None

    @property
    def is_own_scene(self) -> bool:
        """Whether statistics come from the part alone."""
        return self.region is not None and self.region.statistics == "region"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a tile, before the tile is known.

    Attributes
    ----------
    shapes
        Areas that must all be met; empty for the whole tile.
    margin
        What to read around it. [m]
    statistics
        What the overview covers.
    finest
        Pixel size below which bands are taken from the low resolutions of their files. [m]
    """

    shapes: tuple[geometries.Shape, ...] = ()
    margin: float = MARGIN
    statistics: Statistics = "tile"
    finest: int = 10

    def on(self, grid: Grid, name: str) -> Placed:
        """Place the part on the overview of a tile.

        Parameters
        ----------
        grid
            Grid of the overview.
        name
            Address of the product for messages.

        Raises
        ------
        InputError
            If the part lies outside of the tile.
        """
        whole = (0, 0, grid.height, grid.width)
        if not self.shapes:
            return Placed(whole)
        window = whole
        for shape in self.shapes:
            parts = geometries.on_grid(shape, grid)
            bounds = geometries.bounds_of(parts)
            found = None if bounds is None else window_of(grid, bounds)
            if (
                found is None
                or not geometries.rasterised(parts, grid.window(*found), touched=True).any()
            ):
                raise _outside(shape, grid, name)
            both = _common(window, found)
            if both is None:
                raise _outside(shape, grid, name)
            window = both
        window = at_least_two(window, grid)
        extra = -(-self.margin // grid.pixel_size)
        row, col, height, width = window
        top, left = max(0, row - int(extra)), max(0, col - int(extra))
        bottom = min(grid.height, row + height + int(extra))
        right = min(grid.width, col + width + int(extra))
        region = Region(
            grid.crs, grid.window(*window).bounds, extra * grid.pixel_size, self.statistics
        )
        return Placed((top, left, bottom - top, right - left), region)


def part_of(
    bbox: Bbox | None,
    bbox_crs: str,
    geometry: Any,
    margin: float,
    statistics: str,
    storage_options: Mapping[str, Any] | None = None,
) -> Part:
    """Part from the arguments of ``open_l1c``, checked.

    Raises
    ------
    UsageError
        If a choice or a reference system is not known.
    InputError
        If the box or geometry is none.
    """
    if statistics not in get_args(Statistics):
        raise UsageError(
            "no such source of scene statistics",
            where=repr(statistics),
            expected=" or ".join(get_args(Statistics)),
        )
    if not margin >= 0:
        raise UsageError("no such margin", where=repr(margin), expected="metres, 0 or more")
    shapes = []
    if bbox is not None:
        shapes.append(geometries.box(bbox, bbox_crs))
    if geometry is not None:
        shapes.append(geometries.geometry(geometry, bbox_crs, storage_options))
    return Part(tuple(shapes), float(margin), "region" if statistics == "region" else "tile")


def degrees(grid: Grid) -> tuple[float, ...]:
    """West, south, east, north of a grid. [degree] East is less than west across the date line."""
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    return tuple(float(v) for v in to_degrees.transform_bounds(*grid.bounds))


def at_least_two(window: Window, grid: Grid) -> Window:
    """Window of two pixels or more each way: one alone does not tell the size of a pixel."""
    row, col, height, width = window
    if height < 2 <= grid.height:
        row, height = min(row, grid.height - 2), 2
    if width < 2 <= grid.width:
        col, width = min(col, grid.width - 2), 2
    return row, col, height, width


def _common(one: Window, other: Window) -> Window | None:
    top, left = max(one[0], other[0]), max(one[1], other[1])
    bottom = min(one[0] + one[2], other[0] + other[2])
    right = min(one[1] + one[3], other[1] + other[3])
    return (top, left, bottom - top, right - left) if top < bottom and left < right else None


def _outside(shape: geometries.Shape, grid: Grid, name: str) -> InputError:
    inside = ", ".join(f"{v:.3f}" for v in degrees(grid))
    words = shape.words.partition(" ")[0] if shape.words.startswith("bounding") else "geometry"
    return InputError(
        f"{'bounding box' if words == 'bounding' else words} outside of the tile",
        where=name,
        expected=f"within {inside} (degrees)",
        found=f"{shape.words.removeprefix('bounding box ')} in {shape.crs[:40]}",
        fix="check the area and its reference system, or take the tile that covers it",
    )

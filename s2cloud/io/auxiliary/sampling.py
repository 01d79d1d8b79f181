"""Values of a map at the pixels of a tile: kernels and the coordinates they work at.

A sample depends on its own position only, reckoned from the corner of the tile in whole pixels,
so that it is the same bit for bit in whatever block it is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyproj
from numba import njit

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.grid import Grid

    Floats = npt.NDArray[np.float64]

__all__ = ["Area", "Lattice", "block_mean", "block_mode", "central_meridian", "sample"]

#: Spacing of the points that are projected exactly. [m] Between them coordinates are linear: the
#: meridians bend by 600^2 m2 / 8 R tan(latitude), less than 0.07 m up to 84 degrees.
SPACING: Final = 600.0


@dataclass(frozen=True, slots=True)
class Area:
    """Pixels of a tile that are wanted, by their place in it.

    Attributes
    ----------
    grid
        Grid that positions are reckoned from.
    row, col, height, width
        Window of it; may begin before its corner.
    """

    grid: Grid
    row: int
    col: int
    height: int
    width: int

    def refined(self, factor: int) -> Area:
        """The same area in pixels ``factor`` times as small."""
        grid = self.grid
        fine = type(grid)(
            grid.crs,
            grid.ulx,
            grid.uly,
            grid.pixel_size / factor,
            grid.height * factor,
            grid.width * factor,
        )
        return Area(
            fine,
            self.row * factor,
            self.col * factor,
            self.height * factor,
            self.width * factor,
        )


class Lattice(NamedTuple):
    """Coordinates in the reference system of a map on a lattice of `SPACING`.

    Attributes
    ----------
    x, y
        Coordinates, shape (rows, columns); longitudes are continuous within a tile.
    row, col
        Index of the first row and column: northing and easting over `SPACING`.
    """

    x: Floats
    y: Floats
    row: int
    col: int

    @classmethod
    def of(cls, area: Area, crs: str, meridian: float | None) -> Lattice:
        """Lattice over an area.

        Parameters
        ----------
        area
            What to cover.
        crs
            Reference system of the map.
        meridian
            Longitude that continuous longitudes stay within 180 degrees of, None if the
            coordinates are no degrees.
        """
        grid, size = area.grid, area.grid.pixel_size
        west = grid.ulx + area.col * size
        north = grid.uly - area.row * size
        first_col = int(np.floor(west / SPACING))
        last_col = int(np.floor((west + area.width * size) / SPACING)) + 1
        first_row = int(np.floor((north - area.height * size) / SPACING))
        last_row = int(np.floor(north / SPACING)) + 1
        x, y = np.meshgrid(
            np.arange(first_col, last_col + 1) * SPACING,
            np.arange(first_row, last_row + 1) * SPACING,
        )
        to_map = pyproj.Transformer.from_crs(grid.crs, crs, always_xy=True)
        map_x, map_y = (np.asarray(v, dtype=np.float64) for v in to_map.transform(x, y))
        bad = ~(np.isfinite(map_x) & np.isfinite(map_y))
        map_x[bad] = map_y[bad] = np.nan
        if meridian is not None:
            map_x = meridian + (map_x - meridian + 180.0) % 360.0 - 180.0
        return cls(map_x, map_y, first_row, first_col)


def central_meridian(crs: str) -> float:
    """Longitude of the middle of a projection, 0 if it has none. [degree]."""
    names = ("longitude_of_central_meridian", "longitude_of_projection_origin")
    described = pyproj.CRS.from_user_input(crs).to_cf()
    return float(next((described[name] for name in names if name in described), 0.0))


class Piece(NamedTuple):
    """Pixels of a map around an area.

    Attributes
    ----------
    values
        float32 (rows, columns), NaN where the map has no value.
    row, col
        Index in the file of the first row and column.
    west, north, dx, dy
        Corner and pixel of the file; west may be shifted by whole turns of the Earth.
    height, width
        Size of the file; samples outside of it belong to other files.
    """

    values: npt.NDArray[np.float32]
    row: int
    col: int
    west: float
    north: float
    dx: float
    dy: float
    height: int
    width: int


def sample(
    lattice: Lattice, area: Area, piece: Piece, out: npt.NDArray[np.float32], *, smooth: bool
) -> None:
    """Fill the samples of an area that fall into a piece and have no value yet.

    Parameters
    ----------
    lattice
        Coordinates around the area.
    area
        Pixels of ``out``.
    piece
        Pixels of the map, with two more on each side where the map goes on.
    out
        float32 (rows, columns), NaN where there is no value yet; changed.
    smooth
        Cubic B-spline (Unser 1999, doi:10.1109/79.799930), else the nearest pixel. The spline's
        weights are never negative: it makes neither pits nor peaks at cliffs and shores, and the
        slopes of an interpolated 30 m map do not show its pixels. Pixels without value have no
        weight; a sample whose nearest pixel has none gets none.
    """
    grid = area.grid
    kernel = _spline if smooth else _nearest
    kernel(
        *(lattice.x, lattice.y, lattice.row, lattice.col),
        *(grid.ulx, grid.uly, grid.pixel_size, area.row, area.col),
        *(piece.values, piece.row, piece.col, piece.west, piece.north, piece.dx, piece.dy),
        *(piece.height, piece.width, out),
    )


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _between(plane: Any, i: int, j: int, fy: float, fx: float) -> Any:
    upper = (1.0 - fx) * plane[i, j] + fx * plane[i, j + 1]
    lower = (1.0 - fx) * plane[i + 1, j] + fx * plane[i + 1, j + 1]
    return (1.0 - fy) * upper + fy * lower


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _nearest(  # noqa: PLR0913, PLR0917  # numba takes scalars
    nodes_x: Any, nodes_y: Any, node_row: int, node_col: int,
    ulx: float, uly: float, size: float, row: int, col: int,
    values: Any, first_row: int, first_col: int,
    west: float, north: float, dx: float, dy: float, height: int, width: int, out: Any,
) -> None:  # fmt: skip
    for i in range(out.shape[0]):
        v = (uly - ((row + i) + 0.5) * size) / SPACING
        m = int(np.floor(v))
        for j in range(out.shape[1]):
            if not np.isnan(out[i, j]):
                continue
            u = (ulx + ((col + j) + 0.5) * size) / SPACING
            n = int(np.floor(u))
            x = _between(nodes_x, m - node_row, n - node_col, v - m, u - n)
            y = _between(nodes_y, m - node_row, n - node_col, v - m, u - n)
            # Positions in pixels of the file; a millionth beyond its edge is rounding.
            c, r = (x - west) / dx, (north - y) / dy
            if not (-1e-6 <= c < width + 1e-6 and -1e-6 <= r < height + 1e-6):
                continue
            a = min(max(int(np.floor(r)), 0), height - 1) - first_row
            b = min(max(int(np.floor(c)), 0), width - 1) - first_col
            out[i, j] = values[a, b]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _spline(  # noqa: PLR0913, PLR0917  # numba takes scalars
    nodes_x: Any, nodes_y: Any, node_row: int, node_col: int,
    ulx: float, uly: float, size: float, row: int, col: int,
    values: Any, first_row: int, first_col: int,
    west: float, north: float, dx: float, dy: float, height: int, width: int, out: Any,
) -> None:  # fmt: skip
    wx = np.empty(4)
    wy = np.empty(4)
    for i in range(out.shape[0]):
        v = (uly - ((row + i) + 0.5) * size) / SPACING
        m = int(np.floor(v))
        for j in range(out.shape[1]):
            if not np.isnan(out[i, j]):
                continue
            u = (ulx + ((col + j) + 0.5) * size) / SPACING
            n = int(np.floor(u))
            x = _between(nodes_x, m - node_row, n - node_col, v - m, u - n)
            y = _between(nodes_y, m - node_row, n - node_col, v - m, u - n)
            c, r = (x - west) / dx, (north - y) / dy
            if not (-1e-6 <= c < width + 1e-6 and -1e-6 <= r < height + 1e-6):
                continue
            a = min(max(int(np.floor(r)), 0), height - 1) - first_row
            b = min(max(int(np.floor(c)), 0), width - 1) - first_col
            if np.isnan(values[a, b]):
                continue
            # Centres of pixels lie at whole numbers from here on.
            r0, c0 = int(np.floor(r - 0.5)), int(np.floor(c - 0.5))
            _weights(r - 0.5 - r0, wy)
            _weights(c - 0.5 - c0, wx)
            total, weight = 0.0, 0.0
            for p in range(4):
                a = r0 - 1 + p - first_row
                if a < 0 or a >= values.shape[0]:
                    continue
                for q in range(4):
                    b = c0 - 1 + q - first_col
                    if b < 0 or b >= values.shape[1] or np.isnan(values[a, b]):
                        continue
                    w = wy[p] * wx[q]
                    total += w * values[a, b]
                    weight += w
            out[i, j] = total / weight


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _weights(t: float, out: Any) -> None:
    s = 1.0 - t
    out[0] = s * s * s / 6.0
    out[1] = 2.0 / 3.0 - 0.5 * t * t * (2.0 - t)
    out[2] = 2.0 / 3.0 - 0.5 * s * s * (2.0 - s)
    out[3] = t * t * t / 6.0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def block_mean(fine: Any, factor: int) -> Any:
    """Mean of squares of ``factor`` x ``factor`` pixels; NaN counts nothing. float32."""
    rows, cols = fine.shape[0] // factor, fine.shape[1] // factor
    out = np.empty((rows, cols), np.float32)
    for i in range(rows):
        for j in range(cols):
            total, count = 0.0, 0
            for a in range(factor):
                for b in range(factor):
                    value = fine[i * factor + a, j * factor + b]
                    if not np.isnan(value):
                        total += value
                        count += 1
            out[i, j] = total / count if count else np.nan
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def block_mode(codes: Any, factor: int, unknown: int) -> Any:
    """Commonest code of squares of ``factor`` x ``factor`` pixels; of equals the smallest. uint8.

    ``unknown`` wins only where there is nothing else.
    """
    rows, cols = codes.shape[0] // factor, codes.shape[1] // factor
    out = np.empty((rows, cols), np.uint8)
    counts = np.zeros(256, np.int32)
    for i in range(rows):
        for j in range(cols):
            best, most = unknown, 0
            for a in range(factor):
                for b in range(factor):
                    code = codes[i * factor + a, j * factor + b]
                    if code == unknown:
                        continue
                    counts[code] += 1
                    if counts[code] > most or (counts[code] == most and code < best):
                        best, most = code, counts[code]
            for a in range(factor):
                for b in range(factor):
                    counts[codes[i * factor + a, j * factor + b]] = 0
            out[i, j] = best
    return out

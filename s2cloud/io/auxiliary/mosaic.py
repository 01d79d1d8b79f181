"""One map from many files: samples of it on the grid of a tile, across seams and the date line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from s2cloud.io.auxiliary.sampling import (
    Area,
    Lattice,
    Piece,
    block_mean,
    block_mode,
    central_meridian,
    sample,
)
from s2cloud.model.grid import Grid

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.io.auxiliary.rasters import Header, RasterFile

    Floats = npt.NDArray[np.float32]

__all__ = ["Mosaic", "lazy_map"]

#: Pixels of a map around an area that its samples may need.
PAD = 2


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Files of one map, with seams that do not show.

    Attributes
    ----------
    files
        The files that matter here, in any order; earlier ones win where they overlap.
    meaning
        Value for each code of a map of classes, NaN for codes that mean nothing; empty for a map
        of quantities.
    low
        Values below are no values.
    """

    files: tuple[RasterFile, ...]
    meaning: tuple[float, ...] = ()
    low: float = -math.inf

    def sampled(self, area: Area, *, smooth: bool) -> Floats:
        """Map at the pixel centres of an area.

        Parameters
        ----------
        area
            Pixels wanted.
        smooth
            Cubic B-spline rather than the nearest pixel.

        Returns
        -------
        ndarray
            float32 (height, width), NaN where no file has a value.
        """
        out = np.full((area.height, area.width), np.nan, dtype=np.float32)
        lattices: dict[str, Lattice] = {}
        for file in self.files:
            header = file.header
            if header.crs not in lattices:
                turn = central_meridian(area.grid.crs) if header.is_geographic else None
                lattices[header.crs] = Lattice.of(area, header.crs, turn)
            lattice = lattices[header.crs]
            for shift in _shifts(header, lattice):
                piece = self._piece(file, shift, lattice)
                if piece is not None:
                    sample(lattice, area, piece, out, smooth=smooth)
        return out

    def _piece(self, file: RasterFile, shift: float, lattice: Lattice) -> Piece | None:
        """Pixels of a file below a lattice and around it, those of its neighbours at seams."""
        header = file.header
        west = header.west + shift
        cols = _span((lattice.x - west) / header.dx, header.width)
        rows = _span((header.north - lattice.y) / header.dy, header.height)
        if cols is None or rows is None:
            return None
        values = np.full((rows[1] - rows[0], cols[1] - cols[0]), np.nan, dtype=np.float32)
        inner_rows = slice(max(rows[0], 0), min(rows[1], header.height))
        inner_cols = slice(max(cols[0], 0), min(cols[1], header.width))
        read = self._values(file, inner_rows, inner_cols)
        top, left = inner_rows.start - rows[0], inner_cols.start - cols[0]
        values[top : top + read.shape[0], left : left + read.shape[1]] = read
        self._fill_rim(file, values, (rows[0], cols[0]), west)
        return Piece(
            values,
            *(rows[0], cols[0], west, header.north, header.dx, header.dy),
            *(header.height, header.width),
        )

    def _fill_rim(
        self, file: RasterFile, values: Floats, corner: tuple[int, int], west: float
    ) -> None:
        """Give pixels beyond the edge of a file the nearest values of the other files."""
        header = file.header
        row = np.arange(corner[0], corner[0] + values.shape[0])
        col = np.arange(corner[1], corner[1] + values.shape[1])
        outside_rows = (row < 0) | (row >= header.height)
        outside_cols = (col < 0) | (col >= header.width)
        y = header.north - (row + 0.5) * header.dy
        x = west + (col + 0.5) * header.dx
        # Whole rows above and below, then what is left of the columns at both sides.
        for rows, cols in (
            (outside_rows, np.ones_like(outside_cols)),
            (~outside_rows, outside_cols),
        ):
            if rows.any() and cols.any():
                values[np.ix_(rows, cols)] = self._looked_up(header, x[cols], y[rows])

    def _looked_up(self, header: Header, x: Any, y: Any) -> Floats:
        out = np.full((y.size, x.size), np.nan, dtype=np.float32)
        for other in self.files:
            there = other.header
            if there.crs != header.crs:
                continue
            for turn in (0.0, -360.0, 360.0) if there.is_geographic else (0.0,):
                row = np.floor((there.north - y) / there.dy + 1e-9).astype(np.int64)
                col = np.floor((x - there.west - turn) / there.dx + 1e-9).astype(np.int64)
                rows = np.flatnonzero((row >= 0) & (row < there.height))
                cols = np.flatnonzero((col >= 0) & (col < there.width))
                if not rows.size or not cols.size or not np.isnan(out[np.ix_(rows, cols)]).any():
                    continue
                # Both axes run one way, so the ends of the index are its first and last.
                r0, r1 = int(row[rows].min()), int(row[rows].max()) + 1
                for run in _runs(col[cols]):
                    part = cols[run]
                    c0, c1 = int(col[part].min()), int(col[part].max()) + 1
                    read = self._values(other, slice(r0, r1), slice(c0, c1))
                    found = read[np.ix_(row[rows] - r0, col[part] - c0)]
                    old = out[np.ix_(rows, part)]
                    out[np.ix_(rows, part)] = np.where(np.isnan(old), found, old)
        return out

    def _values(self, file: RasterFile, rows: slice, cols: slice) -> Floats:
        """Pixels of a window as float32, NaN where they have no value."""
        raw = file.read(rows, cols)
        if self.meaning:
            table = np.full(256, np.nan, dtype=np.float32)
            table[: len(self.meaning)] = self.meaning
            return np.asarray(table[np.clip(raw, 0, 255).astype(np.uint8)])
        values = np.asarray(raw, dtype=np.float32)
        void = ~np.isfinite(values) | (values < self.low)
        if not math.isnan(file.header.nodata):
            void |= raw == file.header.nodata
        return np.where(void, np.float32(np.nan), values)


def _shifts(header: Header, lattice: Lattice) -> tuple[float, ...]:
    """Turns of the Earth that bring a file in degrees to the longitudes of a lattice."""
    if not header.is_geographic:
        return (0.0,)
    low, high = np.nanmin(lattice.x), np.nanmax(lattice.x)
    east = header.west + header.width * header.dx
    return tuple(s for s in (0.0, -360.0, 360.0) if header.west + s < high and east + s > low)


def _span(position: npt.NDArray[np.float64], size: int) -> tuple[int, int] | None:
    """Pixels that an interval of positions needs, a margin included; None beyond the file."""
    if not np.isfinite(position).any():
        return None
    low, high = float(np.nanmin(position)), float(np.nanmax(position))
    if high < -1 or low > size + 1:
        return None
    return max(math.floor(low), 0) - PAD, min(math.floor(high) + 1, size) + PAD


def _runs(index: npt.NDArray[np.int64]) -> list[slice]:
    """Pieces of an index without wide gaps: both rims of a window in one file are far apart."""
    cuts = np.flatnonzero(np.diff(index) > 64) + 1
    edges = [0, *cuts.tolist(), index.size]
    return [slice(a, b) for a, b in pairwise(edges)]


@dataclass(frozen=True, slots=True)
class _Task:
    """How the blocks of a map are made; picklable."""

    mosaic: Mosaic
    grid: Grid
    origin: tuple[int, int]
    factor: int
    how: Literal["mean", "mode", "share"]
    fill: float

    def block(self, row: int, col: int, height: int, width: int) -> npt.NDArray[Any]:
        area = Area(self.grid, self.origin[0] + row, self.origin[1] + col, height, width)
        fine = self.mosaic.sampled(area.refined(self.factor), smooth=self.how != "mode")
        if self.how == "mode":
            codes = np.where(np.isnan(fine), self.fill, fine).astype(np.uint8)
            return np.asarray(block_mode(codes, self.factor, int(self.fill)))
        if self.how == "mean":
            fine = np.where(np.isnan(fine), np.float32(self.fill), fine)
            return np.asarray(block_mean(fine, self.factor))
        mean = np.asarray(block_mean(fine, self.factor))
        # Two classes, 1 and 2: whichever covers more of the pixel.
        return np.where(np.isnan(mean), self.fill, np.where(mean >= 1.5, 2, 1)).astype(np.uint8)


def lazy_map(
    mosaic: Mosaic,
    grid: Grid,
    margin_m: float,
    resolution: float,
    *,
    how: Literal["mean", "mode", "share"],
    source_m: float,
    fill: float,
    name: str,
) -> xr.DataArray:
    """Map on a grid, block by block.

    Parameters
    ----------
    mosaic
        Files to sample.
    grid
        Area; its corner is a corner of pixels of the result.
    margin_m
        Wanted beyond the area on every side, rounded up to whole pixels. [m]
    resolution
        Size of a pixel. [m]
    how
        ``mean`` of splines through a quantity, ``mode`` of the nearest codes, or ``share``: the
        spline through a map of two classes, cut in the middle.
    source_m
        Size of a pixel of the map; smaller ones are averaged. [m]
    fill
        Where the map has no value.
    name
        Name of the result and its tasks.

    Returns
    -------
    DataArray
        (y, x) with coordinates, float32 for ``mean``, else uint8.
    """
    margin = math.ceil(margin_m / resolution)
    height = round(grid.height * grid.pixel_size / resolution)
    width = round(grid.width * grid.pixel_size / resolution)
    base = Grid(grid.crs, grid.ulx, grid.uly, resolution, height, width)
    whole = base.window(-margin, -margin, height + 2 * margin, width + 2 * margin)
    factor = min(max(round(resolution / source_m), 1), 6)
    task = _Task(mosaic, base, (-margin, -margin), factor, how, fill)
    block = max(round(18_300 / resolution), 1)
    chunks = tuple(_chunks(size, margin, block) for size in (height, width))
    dtype = np.dtype(np.float32 if how == "mean" else np.uint8)
    token = tokenize([f.token for f in mosaic.files], mosaic.meaning, base, margin, factor, how)
    array = da.map_blocks(
        _make,
        chunks=chunks,
        dtype=dtype,
        meta=np.empty((0, 0), dtype),
        name=f"{name}-{resolution:g}m-{token}",
        task=task,
    )
    return xr.DataArray(
        array,
        dims=("y", "x"),
        coords={"y": ("y", whole.y), "x": ("x", whole.x)},
        name=name,
    )


def _chunks(size: int, margin: int, block: int) -> tuple[int, ...]:
    """The margin and the blocks of a tile, which line up with those of the bands."""
    inner = [block] * (size // block) + ([size % block] if size % block else [])
    return (margin, *inner, margin) if margin else tuple(inner)


def _make(*, task: _Task, block_info: Any = None) -> npt.NDArray[Any]:
    (top, bottom), (left, right) = block_info[None]["array-location"]
    return task.block(top, left, bottom - top, right - left)

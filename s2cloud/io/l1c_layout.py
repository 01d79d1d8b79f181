"""Which grid each band of a product lies on; decimated and cropped products included."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.bands import BAND_INFO, Resolution
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s2cloud.model.grid import Grid

__all__ = [
    "RESOLUTIONS",
    "BandImage",
    "Layout",
    "layout_of",
    "nearest_resolution",
    "overview_factor",
    "window_of",
]

RESOLUTIONS: Final[tuple[Resolution, ...]] = (10, 20, 60)

#: First row, first column, rows, columns. [pixel]
Window = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class BandImage:
    """Size and place of one band's image as the image itself tells.

    Attributes
    ----------
    shape
        Rows and columns.
    corner, pixel_size
        Outer corner of the upper left pixel and size of a pixel [m]; None without georeference.
    """

    shape: tuple[int, int]
    corner: tuple[float, float] | None = None
    pixel_size: float | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Grids of a product.

    Attributes
    ----------
    grids
        Whole grid of each resolution node.
    nodes
        Node of each band.
    overview
        Grid of the overview.
    factors
        Pixels of each resolution node along the side of one overview pixel.
    note
        What differs between images and metadata; empty if nothing does.
    """

    grids: dict[Resolution, Grid]
    nodes: dict[str, Resolution]
    overview: Grid
    factors: dict[Resolution, int]
    note: str = ""


def layout_of(
    images: Mapping[str, BandImage], grids: Mapping[Resolution, Grid], name: str
) -> Layout:
    """Layout of a product from its images, its metadata standing in where there are none.

    Parameters
    ----------
    images
        Bands that are there.
    grids
        Grid of each resolution in the tile metadata.
    name
        Address of the product for messages.

    Returns
    -------
    Layout

    Raises
    ------
    InputError
        If the images fit no common lattice.
    """
    native = {band: BAND_INFO[band].resolution for band in images}
    if all(image.shape == grids[native[band]].shape for band, image in images.items()):
        factors: dict[Resolution, int] = {10: 6, 20: 3, 60: 1}
        return Layout(dict(grids), native, grids[60], factors)
    shapes = {image.shape for image in images.values()}
    if len(shapes) == 1 and len(set(native.values())) > 1:
        return _single(images, grids)
    return _decimated(images, native, grids, name)


def nearest_resolution(pixel_size: float) -> Resolution:
    """Nominal resolution closest to a pixel size by ratio."""
    ratios = [abs(np.log(pixel_size / resolution)) for resolution in RESOLUTIONS]
    return RESOLUTIONS[int(np.argmin(ratios))]


def overview_factor(pixel_size: float) -> int:
    """Pixels along the side of an overview pixel of about 60 m."""
    return max(1, round(60 / pixel_size))


def overview_grid(grid: Grid, factor: int) -> Grid:
    """Grid of blocks of pixels; the last ones may reach beyond the pixels."""
    return replace(
        grid,
        pixel_size=grid.pixel_size * factor,
        height=-(-grid.height // factor),
        width=-(-grid.width // factor),
    )


def window_of(grid: Grid, bounds: tuple[float, float, float, float]) -> Window | None:
    """Smallest window of whole pixels that covers an area, None if it lies outside.

    Parameters
    ----------
    grid
        Pixel grid.
    bounds
        West, south, east, north. [m]
    """
    size, tolerance = grid.pixel_size, 1e-6
    west, south, east, north = bounds
    left = max(0, int(np.floor((west - grid.ulx) / size + tolerance)))
    right = min(grid.width, int(np.ceil((east - grid.ulx) / size - tolerance)))
    top = max(0, int(np.floor((grid.uly - north) / size + tolerance)))
    bottom = min(grid.height, int(np.ceil((grid.uly - south) / size - tolerance)))
    if left >= right or top >= bottom:
        return None
    return (top, left, bottom - top, right - left)


def _single(images: Mapping[str, BandImage], grids: Mapping[Resolution, Grid]) -> Layout:
    """All bands on one grid: a product that someone resampled or cropped."""
    image = next(iter(images.values()))
    tile = grids[10]
    size = image.pixel_size or tile.height * tile.pixel_size / image.shape[0]
    ulx, uly = image.corner or (tile.ulx, tile.uly)
    height, width = image.shape
    grid = replace(tile, ulx=ulx, uly=uly, pixel_size=size, height=height, width=width)
    resolution, factor = nearest_resolution(size), overview_factor(size)
    return Layout(
        {resolution: grid},
        dict.fromkeys(images, resolution),
        overview_grid(grid, factor),
        {resolution: factor},
        f"all bands have {height} x {width} pixels of {size:g} m, the metadata says "
        f"{tile.height} x {tile.width} at 10 m: taken as a product of one resolution",
    )


def _decimated(
    images: Mapping[str, BandImage],
    native: Mapping[str, Resolution],
    grids: Mapping[Resolution, Grid],
    name: str,
) -> Layout:
    """Fewer pixels than the metadata says: lattices of 6, 3 and 1 pixels in a common cell."""
    shapes = _shapes(images, native, name)
    rows = min(shape[0] // (60 // r) for r, shape in shapes.items())
    cols = min(shape[1] // (60 // r) for r, shape in shapes.items())
    for resolution, (height, width) in shapes.items():
        steps = 60 // resolution
        if rows < 1 or cols < 1 or height // steps - rows > 1 or width // steps - cols > 1:
            raise InputError(
                "sizes of the images do not fit together",
                where=name,
                expected="6 : 3 : 1 pixels at 10, 20 and 60 m",
                found=", ".join(f"{r} m: {h} x {w}" for r, (h, w) in shapes.items()),
                fix="download the product again",
            )
    coarsest = max(shapes)
    sample = next(image for band, image in images.items() if native[band] == coarsest)
    tile = grids[60]
    extent = tile.height * tile.pixel_size
    # The coarsest grid gives the lattice: publishers round the finer ones to whole pixels.
    cell = (sample.pixel_size or extent / sample.shape[0]) * (60 / coarsest)
    ulx, uly = sample.corner or (tile.ulx, tile.uly)
    base = replace(tile, ulx=ulx, uly=uly, pixel_size=cell, height=rows, width=cols)
    fitted = {
        resolution: replace(
            base,
            pixel_size=cell / (60 // resolution),
            height=rows * (60 // resolution),
            width=cols * (60 // resolution),
        )
        for resolution in RESOLUTIONS
    }
    found = ", ".join(f"{h} x {w} at {r} m" for r, (h, w) in sorted(shapes.items()))
    return Layout(
        fitted,
        dict(native),
        base,
        {10: 6, 20: 3, 60: 1},
        f"images have {found}, the metadata says {grids[10].height} x {grids[10].width} at 10 m: "
        f"size taken from the images, cropped to {rows * 6}/{rows * 3}/{rows} rows, pixels of "
        f"{fitted[10].pixel_size:g}/{fitted[20].pixel_size:g}/{cell:g} m",
    )


def _shapes(
    images: Mapping[str, BandImage], native: Mapping[str, Resolution], name: str
) -> dict[Resolution, tuple[int, int]]:
    shapes: dict[Resolution, tuple[int, int]] = {}
    for band, image in images.items():
        first = shapes.setdefault(native[band], image.shape)
        if first != image.shape:
            raise InputError(
                "bands of one resolution differ in size",
                where=f"{name} {band}",
                expected=_size(first),
                found=_size(image.shape),
                fix="download the product again",
            )
    return dict(sorted(shapes.items()))


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))

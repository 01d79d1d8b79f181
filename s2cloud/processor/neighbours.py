"""Ground beyond the tile, from the overviews of neighbouring tiles of the same overpass."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyproj import Transformer

from s2cloud.model.bands import BANDS
from s2cloud.model.errors import InputError
from s2cloud.model.granule import granule
from s2cloud.model.grid import grid_of
from s2cloud.model.schema import OVERVIEW, reflectance_path
from s2cloud.processor.classification import classify_overview
from s2cloud.processor.dark_pixels import clear_masks
from s2cloud.processor.inputs import node_of, require_bands, scene_input
from s2cloud.processor.maps import detector_numbers
from s2cloud.processor.meteorology import meteorology
from s2cloud.processor.optics import Beyond, SceneInput, decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.model.grid import Grid

    Floats = npt.NDArray[np.float32]
    Counts = npt.NDArray[np.uint16]
    Doubles = npt.NDArray[np.float64]
    Indices = npt.NDArray[np.intp]

__all__ = ["Neighbour", "neighbour_of", "with_neighbours"]

logger = logging.getLogger(__name__)

#: Distance beyond the tile up to which its neighbours are read, for surroundings as far as those of
#: 6S: four fifths of what molecules scatter into the view. [m]
REACH_M: Final = 21_000.0
#: Longest multiple of it that is read, however far the surroundings are said to reach.
MOST_STRETCH: Final = 2.0
#: Pixels read beyond that, for the borders of clouds.
RIM_PX: Final = 20
#: Tiles of one overpass are sensed within this time; anything else is another day.
SAME_OVERPASS: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The part of a neighbouring tile that lies near a tile; lazy.

    Attributes
    ----------
    name
        Name of its product.
    given
        What the scene stage needs of it besides pixels, for that part.
    counts
        Lazy counts of all thirteen bands there, in ESA's order.
    detectors
        Numbers of the detectors of B08 there, or None.
    """

    name: str
    given: SceneInput
    counts: list[Any]
    detectors: Any

    @property
    def inputs(self) -> tuple[SceneInput, list[Any], Any]:
        """What `with_neighbours` takes of it."""
        return self.given, self.counts, self.detectors


def neighbour_of(l1c: xr.DataTree, given: SceneInput, tree: xr.DataTree) -> Neighbour:
    """Part of a neighbouring product that surrounds a tile.

    Parameters
    ----------
    l1c, given
        The tile, and what the scene stage needs of it.
    tree
        L1C tree of the neighbour. Nothing but its overview is ever read.

    Raises
    ------
    InputError
        If it is another overpass, another place, or lacks bands.
    """
    own, other = granule(l1c), granule(tree)
    apart = abs(own.sensing_time - other.sensing_time)
    if apart > SAME_OVERPASS:
        raise InputError(
            "neighbour is not of the same overpass",
            where=other.name,
            expected=f"sensing time within {SAME_OVERPASS} of {own.sensing_time:%Y-%m-%dT%H:%M:%S}",
            found=f"{other.sensing_time:%Y-%m-%dT%H:%M:%S}",
            fix="give neighbouring tiles of the same datatake",
        )
    require_bands(tree)
    overview = tree[f"{OVERVIEW}/r60m"].to_dataset()
    grid = grid_of(overview, crs=_crs(tree))
    rows, cols = _pixels(_centres(given), given.grid.crs, grid)
    near = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    near &= _outside(given)
    if not near.any():
        raise InputError(
            "neighbour does not lie near the tile",
            where=other.name,
            expected=f"ground within {REACH_M / 1000.0:g} km of it that it does not cover itself",
            found=f"tile {other.tile or grid.bounds[:2]}",
            fix="give tiles that touch it",
        )
    rim = RIM_PX + given.cell_px
    parts = [
        slice(max(0, int(at[near].min()) - rim), min(size, int(at[near].max()) + rim + 1))
        for at, size in ((rows, grid.height), (cols, grid.width))
    ]
    window = grid.window(
        parts[0].start,
        parts[1].start,
        *(part.stop - part.start for part in parts),
    )
    weather = meteorology(tree, given.config)
    part = scene_input(tree, window, weather, given.config)
    counts = [overview[name].transpose("y", "x").data[tuple(parts)] for name in BANDS]
    return Neighbour(other.name, part, counts, detector_numbers(tree, "b08", window, 1))


def with_neighbours(
    given: SceneInput,
    *neighbours: tuple[SceneInput, Sequence[Counts], npt.NDArray[np.uint8] | None],
) -> SceneInput:
    """Input of the scene stage with what is known of the ground beyond the tile.

    Parameters
    ----------
    given
        Of the tile.
    neighbours
        `Neighbour.inputs`; where they overlap the first one with clear ground counts.
    """
    margin = _margin(given)
    x, y = _centres(given)
    beyond = np.full((len(BANDS), y.size, x.size), np.nan, np.float32)
    free = _outside(given)
    for other, bands, detectors in neighbours:
        pairs = zip(BANDS, bands, strict=True)
        toa = np.stack([decoded(other, name, values) for name, values in pairs])
        _, scl = classify_overview(other, toa, detectors=detectors)
        clear, _ = clear_masks(scl)
        rows, cols = _pixels((x, y), given.grid.crs, other.grid)
        half = given.cell_px // 2
        inside = (rows >= half) & (rows < other.grid.height - half)
        inside &= (cols >= half) & (cols < other.grid.width - half)
        places = np.flatnonzero(inside & free)
        means = _means(toa, clear, rows.flat[places], cols.flat[places], given.cell_px)
        beyond.reshape(len(BANDS), -1)[:, places] = means
        free = free & ~np.isfinite(beyond).all(axis=0)
    known = float(np.isfinite(beyond[0]).sum() / max(1, int(_outside(given).sum())))
    logger.info("neighbours: %.0f %% of the ground within reach is known", 100.0 * known)
    return replace(given, beyond=Beyond(margin, beyond))


def _means(
    toa: Floats, clear: npt.NDArray[np.bool_], rows: Indices, cols: Indices, px: int
) -> Floats:
    """Means of clear pixels in squares around places, NaN without any; shape (band, place)."""
    total = np.zeros((toa.shape[0], rows.size), np.float64)
    count = np.zeros(rows.size)
    usable = clear & np.isfinite(toa).all(axis=0)
    for i in range(px):
        for j in range(px):
            at = (rows + (i - px // 2), cols + (j - px // 2))
            seen = usable[at]
            total += np.where(seen, toa[:, at[0], at[1]], 0.0)
            count += seen
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.where(count > 0, count, np.nan), dtype=np.float32)


def _margin(given: SceneInput) -> int:
    """Cells beyond the tile that are looked at."""
    stretch = min(given.config.surface.adjacency_km, MOST_STRETCH)
    return round(REACH_M * stretch / (given.cell_px * given.grid.pixel_size))


def _centres(given: SceneInput) -> tuple[Doubles, Doubles]:
    """Centres of the cells of the tile and around it. [m]."""
    margin, side = _margin(given), given.cell_px * given.grid.pixel_size
    rows, cols = given.cells
    x = np.asarray(np.arange(-margin, cols + margin) + 0.5, dtype=np.float64)
    y = np.asarray(np.arange(-margin, rows + margin) + 0.5, dtype=np.float64)
    return given.grid.ulx + x * side, given.grid.uly - y * side


def _outside(given: SceneInput) -> npt.NDArray[np.bool_]:
    """Which of `_centres` lie beyond the tile."""
    margin = _margin(given)
    return np.pad(np.zeros(given.cells, bool), margin, constant_values=True)


def _pixels(centres: tuple[Doubles, Doubles], crs: str, grid: Grid) -> tuple[Indices, Indices]:
    """Row and column of the pixels of a grid below places of another reference system."""
    x, y = np.meshgrid(*centres)
    if crs != grid.crs:
        x, y = Transformer.from_crs(crs, grid.crs, always_xy=True).transform(x, y)
        x, y = (np.where(np.isfinite(v), v, -1e9) for v in (x, y))
    rows = np.floor((grid.uly - y) / grid.pixel_size).astype(np.intp)
    return rows, np.floor((x - grid.ulx) / grid.pixel_size).astype(np.intp)


def _crs(tree: xr.DataTree) -> str:
    """Reference system of the pixels of a tree."""
    for resolution in (20, 10, 60):
        node = node_of(tree, reflectance_path(resolution))
        if node is not None and node.attrs.get("crs"):
            return str(node.attrs["crs"])
    return ""

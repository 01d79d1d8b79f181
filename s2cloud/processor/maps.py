"""Maps that lie under the pixels of a tile: the terrain model and the detectors' footprints."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from s2cloud.model.errors import InputError
from s2cloud.model.grid import Grid, grid_of
from s2cloud.model.schema import DETECTOR_FOOTPRINT, TERRAIN, terrain_path
from s2cloud.processor.inputs import node_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["TerrainModel", "detector_numbers", "terrain_model"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TerrainModel:
    """Elevations of a tile.

    Attributes
    ----------
    wide
        The whole tile and a margin around it at 60 m. [m], lazy
    corner
        Row and column of the tile's first pixel in it.
    fine
        On the 20 m pixels of the reflectance [m], lazy; None if there is none.
    """

    wide: Any
    corner: tuple[int, int]
    fine: Any


def terrain_model(tree: xr.DataTree, overview: Grid, work: Grid) -> TerrainModel | None:
    """Terrain model of a tree, None without ``conditions/terrain/r60m``.

    Parameters
    ----------
    tree
        Tree with auxiliary nodes.
    overview
        60 m grid of the whole tile.
    work
        Grid of the classification.

    Raises
    ------
    InputError
        If the elevations do not lie on the pixels of the tile.
    """
    wide = node_of(tree, terrain_path(60))
    fine = node_of(tree, terrain_path(20))
    if wide is None or "elevation" not in wide:
        if fine is not None:
            logger.warning("%s is missing: no terrain correction", terrain_path(60))
        return None
    grid = grid_of(wide)
    offsets = (
        (grid.uly - overview.uly) / overview.pixel_size,
        (overview.ulx - grid.ulx) / overview.pixel_size,
    )
    corner = (round(offsets[0]), round(offsets[1]))
    covers = all(
        at >= 0 and at + inner <= outer
        for at, inner, outer in zip(corner, overview.shape, grid.shape, strict=True)
    )
    on_lattice = np.allclose(offsets, corner, atol=1e-3)
    if not covers or not on_lattice or not np.isclose(grid.pixel_size, overview.pixel_size):
        raise _misplaced(60, overview, grid)
    pixels = None
    if fine is None or "elevation" not in fine:
        logger.warning("%s is missing: slopes are not corrected", terrain_path(20))
    else:
        found = grid_of(fine)
        if found.shape != work.shape or not np.allclose(found.transform, work.transform):
            raise _misplaced(20, work, found)
        pixels = _lazy(fine["elevation"])
    return TerrainModel(_lazy(wide["elevation"]), corner, pixels)


def _lazy(variable: xr.DataArray) -> Any:
    data = variable.transpose("y", "x").data
    return data if isinstance(data, da.Array) else da.from_array(data)


def _misplaced(resolution: int, wanted: Grid, found: Grid) -> InputError:
    def words(grid: Grid) -> str:
        return f"{grid.height} x {grid.width} pixels of {grid.pixel_size:g} m at {grid.bounds[:2]}"

    return InputError(
        "terrain model does not fit the tile",
        where=f"{TERRAIN}/r{resolution}m",
        expected=words(wanted) + (" and a margin" if resolution == 60 else ""),
        found=words(found),
        fix="make it with open_aux for this product",
    )


def detector_numbers(tree: xr.DataTree, band: str, grid: Grid, overview_px: int) -> Any:
    """Detector that sees each overview pixel below a grid, None if the tree does not tell.

    Parameters
    ----------
    tree
        L1C tree.
    band
        Name of the band.
    grid
        Pixels of the band, or of the layer that it is brought to.
    overview_px
        Its pixels along the side of an overview pixel.
    """
    node = node_of(tree, f"{DETECTOR_FOOTPRINT}/r60m")
    if node is None or band not in node:
        return None
    found = grid_of(node)
    height, width = (-(-n // overview_px) for n in grid.shape)
    corner = (
        (found.uly - grid.uly) / found.pixel_size,
        (grid.ulx - found.ulx) / found.pixel_size,
    )
    row, col = (round(at) for at in corner)
    covers = row >= 0 and col >= 0 and row + height <= found.height and col + width <= found.width
    if not covers or not np.allclose(corner, (row, col), atol=1e-3):
        return None
    return _lazy(node[band])[row : row + height, col : col + width]

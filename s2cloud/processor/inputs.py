"""What the processor takes from an L1C tree: nodes, decoding, elevation; what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from s2cloud.algorithms.geometry import tie_points
from s2cloud.model.bands import BANDS
from s2cloud.model.errors import InputError
from s2cloud.model.granule import granule
from s2cloud.model.schema import GEOMETRY, LAND_COVER, OVERVIEW, TERRAIN, land_cover_path
from s2cloud.processor.optics import SceneInput

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.config import ProcessorConfig
    from s2cloud.model.bands import Resolution
    from s2cloud.model.grid import Grid
    from s2cloud.processor.meteorology import Meteorology

__all__ = [
    "cell_elevation",
    "decoding_of",
    "land_cover_of",
    "merged",
    "node_of",
    "require_bands",
    "scene_input",
    "snow_possible_of",
]


def node_of(tree: xr.DataTree, path: str) -> xr.Dataset | None:
    """Dataset of a node, None if the tree has no such node."""
    try:
        return tree[path].to_dataset()
    except KeyError:
        return None


def merged(l1c: xr.DataTree, aux: xr.DataTree) -> xr.DataTree:
    """L1C tree with the nodes of an auxiliary tree in place of its own."""
    nodes = {node.path: node.to_dataset(inherit=False) for node in l1c.subtree}
    nodes |= {node.path: node.to_dataset(inherit=False) for node in aux.subtree if node.data_vars}
    tree = xr.DataTree.from_dict(nodes, name=l1c.name)
    tree.attrs = {**l1c.attrs, "auxiliary": list(aux.attrs.get("auxiliary", []))}
    return tree


def land_cover_of(tree: xr.DataTree, resolution: Resolution) -> xr.Dataset:
    """Lazy maps of classes on a grid of the tile; empty if there are none.

    Any of ``land_cover``, ``water_bodies`` and ``snow_condition``, uint8. At 20 m on the pixels
    of the reflectance, at 60 m on those of the overview.
    """
    node = node_of(tree, land_cover_path(resolution))
    return xr.Dataset() if node is None else node


def snow_possible_of(tree: xr.DataTree) -> bool | None:
    """Whether the snow climatology allows snow in this tile, None if there is none."""
    node = node_of(tree, LAND_COVER)
    found = None if node is None else node.get("snow_possible")
    return None if found is None else bool(found.values)


def decoding_of(variable: xr.DataArray) -> tuple[float, float]:
    """Scale and offset of counts."""
    return float(variable.attrs["scale_factor"]), float(variable.attrs["add_offset"])


def scene_input(
    tree: xr.DataTree, grid: Grid, weather: Meteorology, config: ProcessorConfig
) -> SceneInput:
    """What the scene stage needs of a tree besides pixels, without the relief.

    Parameters
    ----------
    tree
        L1C tree, auxiliary nodes included.
    grid
        60 m grid of its overview, or of a part of that.
    weather
        Its meteorology.
    config
        Options.
    """
    angles = tree[GEOMETRY].to_dataset()
    points = tie_points(
        angles["x"].values,
        angles["y"].values,
        angles["sun_angles"].values,
        angles["viewing_incidence_angles"].values,
        angles["detector"].values if "detector" in angles.coords else None,
    )
    overview = tree[f"{OVERVIEW}/r60m"].to_dataset()
    decoding = {name: decoding_of(overview[name]) for name in BANDS}
    sensor = granule(tree).sensor
    given = SceneInput(sensor, grid, points, decoding, weather, None, config)
    return replace(given, elevation=cell_elevation(tree, given))


def require_bands(l1c: xr.DataTree) -> None:
    """Refuse a tree that lacks bands, by name."""
    missing = list(l1c.attrs.get("missing_bands", []))
    if missing:
        raise InputError(
            "band is missing" if len(missing) == 1 else "bands are missing",
            where=", ".join(map(str, missing)),
            expected="all thirteen bands",
            fix="fetch the product again, the archive or upload is incomplete",
        )


def cell_elevation(tree: xr.DataTree, given: SceneInput) -> npt.NDArray[np.float32] | None:
    """Elevation of the cells from a terrain node with a grid, None where it is one number."""
    try:
        elevation = tree[TERRAIN].to_dataset()["elevation"]
    except KeyError:
        return None
    if "x" not in elevation.dims or "y" not in elevation.dims:
        return None
    side = given.cell_px * given.grid.pixel_size
    step = max(1, round(side / abs(float(elevation["x"][1] - elevation["x"][0]))))
    coarse = elevation.coarsen(x=step, y=step, boundary="pad").mean()
    rows, cols = given.cells
    at = coarse.sel(
        x=given.grid.ulx + (np.arange(cols) + 0.5) * side,
        y=given.grid.uly - (np.arange(rows) + 0.5) * side,
        method="nearest",
    )
    return np.asarray(at.values, dtype=np.float32)

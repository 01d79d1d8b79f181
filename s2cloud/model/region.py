"""Part of a tile that was asked for, and the surroundings that were read with it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.errors import InputError
from s2cloud.model.schema import OVERVIEW

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Region", "cut_to_region", "is_raster", "region_of"]

#: Attribute of an L1C tree that holds its region.
ATTRIBUTE: Final = "region"
_RASTER: Final = re.compile(r"/r(10|20|60)m$")


@dataclass(frozen=True, slots=True)
class Region:
    """Part of a tile that a product is wanted of.

    Attributes
    ----------
    crs
        Reference system of the tile.
    bounds
        West, south, east, north: whole pixels of the overview. [m]
    margin
        What was read beyond these bounds, less at the edge of the tile. [m]
    statistics
        ``tile`` if the overview covers the tile, ``region`` if it covers what was read.
    """

    crs: str
    bounds: tuple[float, float, float, float]
    margin: float = 0.0
    statistics: str = "tile"

    def to_attrs(self) -> dict[str, Any]:
        """JSON-serialisable form for the attributes of a tree."""
        return {**asdict(self), "bounds": list(self.bounds)}


def region_of(l1c: xr.DataTree) -> Region | None:
    """Region of a tree from ``open_l1c``, None if it covers its tile."""
    attrs = l1c.root.attrs.get(ATTRIBUTE)
    return None if attrs is None else Region(**{**attrs, "bounds": tuple(attrs["bounds"])})


def is_raster(path: str) -> bool:
    """Whether a node holds pixels of the product: ``.../r10m``, but not the overview."""
    return bool(_RASTER.search(path)) and not path.strip("/").startswith(OVERVIEW)


def cut_to_region(tree: xr.DataTree, l1c: xr.DataTree) -> xr.DataTree:
    """Rasters of a tree without the surroundings that were read for neighbourhood steps.

    Parameters
    ----------
    tree
        Level-1C or Level-2A tree.
    l1c
        Tree from ``open_l1c`` that it was made from.

    Returns
    -------
    DataTree
        The same tree if `l1c` has no region, or if nothing is to be cut.

    Raises
    ------
    InputError
        If rasters of the tree do not cover the region.
    """
    region = region_of(l1c)
    if region is None:
        return tree
    nodes = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    for path, dataset in nodes.items():
        if is_raster(path) and {"x", "y"} <= set(dataset.sizes):
            nodes[path] = _cut(dataset, region, path)
    made = type(tree).from_dict(nodes, name=tree.name)
    made.attrs = dict(tree.attrs)
    return made


def _cut(dataset: xr.Dataset, region: Region, path: str) -> xr.Dataset:
    west, south, east, north = region.bounds
    x, y = (np.asarray(dataset[axis].values, np.float64) for axis in ("x", "y"))
    cols = np.flatnonzero((x > west) & (x < east))
    rows = np.flatnonzero((y > south) & (y < north))
    if not cols.size or not rows.size:
        raise InputError(
            "pixels do not cover the region",
            where=path,
            expected=f"{region.bounds} in {region.crs}",
            found=f"x {x[:1]} to {x[-1:]}, y {y[-1:]} to {y[:1]}",
            fix="give the tree that was made from this Level-1C tree",
        )
    return dataset.isel(
        y=slice(int(rows[0]), int(rows[-1]) + 1), x=slice(int(cols[0]), int(cols[-1]) + 1)
    )

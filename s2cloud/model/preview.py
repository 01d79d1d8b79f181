"""A whole tile in seconds: the overview of a product as a product of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from s2cloud.model.region import is_raster
from s2cloud.model.schema import OVERVIEW, reflectance_path

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["preview"]

_OVERVIEW: Final = f"/{OVERVIEW}/r60m"


def preview(l1c: xr.DataTree) -> xr.DataTree:
    """The whole tile on its 60 m grid, read from the low resolutions of its images.

    Takes about 2 % of the bytes of the product: for a first look, and for pictures.

    Parameters
    ----------
    l1c
        Tree from ``open_l1c``; of a part of a tile the whole tile is shown.

    Returns
    -------
    xarray.DataTree
        Level-1C tree with all bands on one grid of 60 m, lazy; give it to ``process``. Its pixels
        are low-pass samples of the images and differ from means of the 10 and 20 m pixels by some
        1e-4 in reflectance. Maps and masks on finer grids are left out.

    Examples
    --------
    >>> process(preview(open_l1c("S2A_MSIL1C_....SAFE")))  # doctest: +SKIP
    """
    nodes = {
        node.path: node.to_dataset(inherit=False)
        for node in l1c.subtree
        if not is_raster(node.path) or node.path.endswith("/r60m")
    }
    nodes[f"/{reflectance_path(60)}"] = nodes[_OVERVIEW]
    made = type(l1c).from_dict(nodes, name=l1c.name)
    made.attrs = {name: value for name, value in l1c.attrs.items() if name != "region"}
    return made

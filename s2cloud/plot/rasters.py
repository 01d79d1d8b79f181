"""Rasters of a tree on one grid: found, reduced to the size of a picture, decoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import dask
import xarray as xr

from s2cloud.model.errors import InputError
from s2cloud.model.region import cut_to_region, region_of
from s2cloud.model.schema import FLAGS, OVERVIEW, REFLECTANCE, SCL_PATH, UNCERTAINTY
from s2cloud.processor.inputs import node_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["GAMMA", "PIXELS", "WHITE", "colours", "grid_with", "in_memory", "is_toa", "rasters"]

#: Pixels along the longer side of a picture that are enough. [pixel]
PIXELS: Final = 600
#: Reflectance shown as white. Between dark water and bright soil, the same before and after. [1]
WHITE: Final = 0.28
GAMMA: Final = 1.5

_PLACES: Final = {
    "scl": SCL_PATH,
    "aot": "quality/atmosphere",
    "wvp": "quality/atmosphere",
    "cld": "quality/probability",
    "snw": "quality/probability",
    "flags": FLAGS,
}
#: Bits and codes, of which there is no mean.
_CODES: Final = frozenset({"scl", "flags"})
#: The near infrared of 10 m, and the one that is delivered at 20 and 60 m.
_INSTEAD: Final = {"b08": "b8a"}


def rasters(
    tree: xr.DataTree, names: Sequence[str], *, pixels: int = PIXELS, sigma: bool = False
) -> xr.Dataset:
    """Rasters of a tree on its coarsest grid that is fine enough, in memory.

    Parameters
    ----------
    tree
        Level-1C or Level-2A tree, lazy or not.
    names
        Bands, ``scl``, ``aot``, ``wvp``, ``cld``, ``snw``, ``flags``; all of one grid.
    pixels
        Rows or columns that are enough; finer rasters are averaged, classes thinned. [pixel]
    sigma
        Take the uncertainty of the bands in place of their reflectance.

    Returns
    -------
    Dataset
        Reflectance with NaN for no-data, dimensions (y, x). For ``b08`` it holds ``b8a`` where
        only that is delivered.

    Raises
    ------
    InputError
        If no grid of the tree has all of them.
    """
    return _reduced(grid_with(tree, names, pixels=pixels, sigma=sigma), pixels).compute()


def in_memory(
    tree: xr.DataTree, groups: Sequence[Sequence[str]], *, pixels: int = PIXELS
) -> xr.DataTree:
    """Tree of the reduced rasters of several pictures, computed at once: one scene stage for all.

    Parameters
    ----------
    tree
        Level-1C or Level-2A tree, lazy or not.
    groups
        Names of rasters, as in `rasters`, of each picture.
    pixels
        As in `rasters`.

    Raises
    ------
    InputError
        If no grid of the tree has all rasters of a group.
    """
    grids = [_reduced(grid_with(tree, names, pixels=pixels), pixels) for names in groups]
    nodes: dict[str, xr.Dataset] = {}
    for names, grid in zip(groups, dask.compute(*grids), strict=True):
        size = round(abs(float(grid["x"][1] - grid["x"][0])))
        path = f"{_PLACES.get(names[0], REFLECTANCE)}/r{size}m"
        nodes[path] = grid.merge(nodes[path]) if path in nodes else grid
    return xr.DataTree.from_dict(nodes)


def _reduced(found: xr.Dataset, pixels: int) -> xr.Dataset:
    step = max(found.sizes["y"], found.sizes["x"]) // pixels
    codes = _CODES.intersection(found.data_vars)
    if step > 1 and codes:
        found = found.isel(y=slice(step // 2, None, step), x=slice(step // 2, None, step))
    elif step > 1:
        found = found.coarsen(y=step, x=step, boundary="trim").mean(keep_attrs=True)
    return found


def grid_with(
    tree: xr.DataTree | xr.Dataset,
    names: Sequence[str],
    *,
    pixels: int | None = None,
    sigma: bool = False,
) -> xr.Dataset:
    """Decoded rasters on the coarsest grid of at least so many pixels, or the finest; lazy.

    Parameters
    ----------
    tree
        Level-1C or Level-2A tree, or one node of it.
    names
        As in `rasters`.
    pixels
        Rows or columns that are enough; None = the finest grid. [pixel]
    sigma
        As in `rasters`.

    Raises
    ------
    InputError
        If no grid has all of them.
    """
    place = UNCERTAINTY if sigma else _PLACES.get(names[0], REFLECTANCE)
    if isinstance(tree, xr.Dataset):
        grids = [tree]
    else:
        tree = cut_to_region(tree, tree)
        grids = sorted(_grids(tree, place), key=lambda grid: grid.sizes["y"])
    fitting = [grid for grid in grids if all(_there(grid, name) for name in names)]
    if not fitting:
        raise InputError(
            f"no grid has {', '.join(names)}",
            where=place,
            expected="all of them at one resolution",
            found="; ".join(", ".join(map(str, grid.data_vars)) for grid in grids) or "nothing",
            fix="process with uncertainty: enabled" if sigma else "give the tree of `process`",
        )
    enough = [g for g in fitting if pixels and max(g.sizes["y"], g.sizes["x"]) >= pixels]
    grid = enough[0] if enough else fitting[-1]
    return xr.Dataset({found: _decoded(grid[found]) for found in (_there(grid, n) for n in names)})


def is_toa(raster: xr.DataArray) -> bool:
    """Whether it is reflectance at the top of the atmosphere."""
    return str(raster.attrs.get("standard_name", "")).startswith("toa")


def colours(
    bands: Sequence[xr.DataArray], *, white: float = WHITE, gamma: float = GAMMA
) -> xr.DataArray:
    """Red, green and blue for the eye, 0 to 1, NaN without data, dimensions (y, x, colour); lazy.

    Parameters
    ----------
    bands
        Reflectances shown as red, green and blue. [1], shape (y, x)
    white
        Reflectance shown as white. [1]
    gamma
        Exponent that lightens the dark; 1 = as it is.
    """
    rgb = xr.concat([b.reset_coords(drop=True) for b in bands], "colour", combine_attrs="drop")
    rgb = rgb.transpose(..., "colour").assign_coords(colour=["red", "green", "blue"])
    return ((rgb / white).clip(0, 1) ** (1 / gamma)).rename("rgb")


def _grids(tree: xr.DataTree, place: str) -> Iterator[xr.Dataset]:
    """Nodes ``r10m``, ``r20m``, ... below a place, and the overview of a Level-1C tree."""
    for node in tree.subtree:
        if re.fullmatch(rf"/{place}/r\d+m", node.path) and {"x", "y"} <= set(node.sizes):
            yield node.to_dataset(inherit=False)
    overview = node_of(tree, f"{OVERVIEW}/r60m")
    if place == REFLECTANCE and overview is not None:
        region = region_of(tree)
        if region is not None:
            west, south, east, north = region.bounds
            overview = overview.sel(x=slice(west, east), y=slice(north, south))
        yield overview


def _there(grid: xr.Dataset, name: str) -> str:
    """The name under which a grid has a raster, empty if it has none."""
    return next((n for n in (name, _INSTEAD.get(name, "")) if n in grid.data_vars), "")


def _decoded(raster: xr.DataArray) -> xr.DataArray:
    """Reflectance of the counts of a Level-1C tree; anything else as it is."""
    if "scale_factor" not in raster.attrs:
        return raster
    scale, offset = (float(raster.attrs[name]) for name in ("scale_factor", "add_offset"))
    decoded = (raster.astype("float32") * scale + offset).where(raster != 0)
    decoded.attrs = {
        "long_name": "top-of-atmosphere reflectance",
        "standard_name": "toa_bidirectional_reflectance",
        "units": "1",
    }
    return decoded

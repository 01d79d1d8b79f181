"""Subsets of a Level-2A tree: bands, resolutions, places. Nothing is computed here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

import dask.array as da
import numpy as np
import xarray as xr

from s2cloud.io import geometries
from s2cloud.io.l1c_layout import window_of
from s2cloud.io.part import at_least_two
from s2cloud.model.bands import band_name
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.grid import Grid, grid_of
from s2cloud.model.region import is_raster
from s2cloud.model.schema import ENCODINGS, FLAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["select"]

#: Rasters of a product besides its bands.
LAYERS: Final = ("scl", "cld", "snw", "aot", "wvp", "flags", "cloud")
_RESOLUTIONS: Final = (10, 20, 60)


def select(
    l2a: xr.DataTree,
    *,
    bands: str | Sequence[str] | None = None,
    resolution: int | Sequence[int] | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    bbox_crs: str = "EPSG:4326",
    geometry: Any = None,
    mask: bool = False,
) -> xr.DataTree:
    """Part of a Level-2A tree.

    Parameters
    ----------
    l2a
        Tree from ``process``.
    bands
        Rasters to keep: bands in any usual spelling (``B04``, ``b8a``), and ``scl``, ``aot``,
        ``wvp``, ``cld``, ``snw``, ``flags``, ``cloud``. A band keeps its uncertainty.
    resolution
        Pixel sizes to keep, of 10, 20 and 60. [m]
    bbox, bbox_crs, geometry
        Place to keep, as in `open_l1c`, extended to whole 60 m pixels.
    mask
        Make pixels whose centre is outside of `geometry` no-data.

    Returns
    -------
    DataTree
        Lazy, with the values of the whole product: whatever is left out is not computed by a
        writer. Angles, forecasts and the numbers of the scene stay.

    Raises
    ------
    UsageError
        If a band or resolution is not known, or a reference system.
    InputError
        If the tree has not what is asked for, or the place lies outside of it.

    Examples
    --------
    >>> to_cog(select(l2a, bands=["b04", "b08", "scl"]), "out")  # doctest: +SKIP
    """
    names = None if bands is None else _names(bands)
    sizes = _sizes(resolution)
    if mask and geometry is None:
        raise UsageError(
            "mask without a geometry", where="mask=True", expected="geometry", fix="give one"
        )
    nodes = {node.path: node.to_dataset(inherit=False) for node in l2a.subtree}
    rasters = {path for path, dataset in nodes.items() if is_raster(path) and dataset.data_vars}
    kept = {path: _chosen(path, nodes[path], names, sizes) for path in rasters}
    _require(names, sizes, {path: nodes[path] for path in rasters}, kept)
    shapes = []
    if bbox is not None:
        shapes.append(geometries.box(bbox, bbox_crs))
    if geometry is not None:
        shapes.append(geometries.geometry(geometry, bbox_crs))
    if shapes:
        bounds = _bounds(shapes, [nodes[path] for path in rasters])
        kept = {path: _cut(dataset, bounds) for path, dataset in kept.items() if dataset}
    if mask:
        kept = {path: _masked(path, dataset, shapes[-1]) for path, dataset in kept.items()}
    left = {path: dataset for path, dataset in nodes.items() if path not in rasters}
    left |= {path: dataset for path, dataset in kept.items() if dataset.data_vars}
    tree = xr.DataTree.from_dict(left, name=l2a.name)
    tree.attrs = dict(l2a.attrs)
    if mask:
        provenance = dict(tree.attrs.get("provenance", {}))
        provenance["masked_by"] = geometries.digest_of(shapes[-1])
        tree.attrs["provenance"] = provenance
    return tree


def _names(bands: str | Sequence[str]) -> list[str]:
    words = re.split(r"[\s,]+", bands.strip()) if isinstance(bands, str) else list(bands)
    found = [word.lower() if word.lower() in LAYERS else band_name(word) for word in words if word]
    if not found or "b10" in found:
        raise UsageError(
            "no such band in Level-2A" if found else "no bands",
            where=", ".join(map(str, words)),
            expected=f"b01 to b12 without b10, {', '.join(LAYERS)}",
            fix="choose others" if found else "leave bands out to keep all",
        )
    return found


def _sizes(resolution: int | Sequence[int] | None) -> tuple[int, ...]:
    if resolution is None:
        return _RESOLUTIONS
    wanted = tuple(resolution) if isinstance(resolution, Iterable) else (resolution,)
    if not wanted or set(wanted) - set(_RESOLUTIONS):
        raise UsageError(
            "no such resolution",
            where=", ".join(map(str, wanted)) or "none",
            expected="any of 10, 20 and 60",
        )
    return wanted


def _chosen(
    path: str, dataset: xr.Dataset, names: list[str] | None, sizes: tuple[int, ...]
) -> xr.Dataset:
    size = int(path.rsplit("/r", 1)[1].removesuffix("m"))
    if size not in sizes:
        return dataset[[]]
    return dataset if names is None else dataset[[name for name in names if name in dataset]]


def _require(
    names: list[str] | None,
    sizes: tuple[int, ...],
    given: dict[str, xr.Dataset],
    kept: dict[str, xr.Dataset],
) -> None:
    """Refuse what leaves nothing, by name."""
    for name in names or ():
        if not any(name in dataset for dataset in kept.values()):
            found = sorted({path.rsplit("/", 1)[1] for path, ds in given.items() if name in ds})
            raise InputError(
                "product does not hold the band at this resolution",
                where=name,
                expected=" or ".join(f"r{size}m" for size in sizes),
                found=", ".join(found) or "none",
                fix="choose another resolution" if found else "choose another band",
            )
    if not any(dataset.data_vars for dataset in kept.values()):
        raise InputError(
            "product does not hold this resolution",
            where=", ".join(map(str, sizes)),
            found=", ".join(sorted({path.rsplit("/", 1)[1] for path in given})) or "no rasters",
            fix="choose another resolution",
        )


def _bounds(
    shapes: list[geometries.Shape], rasters: list[xr.Dataset]
) -> tuple[float, float, float, float]:
    """Bounds of the place in whole 60 m pixels of the product. [m]."""
    coarse = max((grid_of(dataset) for dataset in rasters), key=lambda grid: grid.pixel_size)
    step = max(1, round(60 / coarse.pixel_size))
    grid = Grid(
        *(coarse.crs, coarse.ulx, coarse.uly, coarse.pixel_size * step),
        *(-(-coarse.height // step), -(-coarse.width // step)),
    )
    bounds = grid.bounds
    for shape in shapes:
        found = geometries.bounds_of(geometries.on_grid(shape, grid))
        window = None if found is None else window_of(grid, found)
        part = None if window is None else grid.window(*at_least_two(window, grid)).bounds
        if part is not None:
            west, south = max(bounds[0], part[0]), max(bounds[1], part[1])
            east, north = min(bounds[2], part[2]), min(bounds[3], part[3])
            bounds = (west, south, east, north)
        if part is None or bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
            raise InputError(
                "place outside of the product",
                where=shape.words,
                expected=f"within {grid.bounds} in {grid.crs}",
                fix="check the area and its reference system",
            )
    return bounds


def _cut(dataset: xr.Dataset, bounds: tuple[float, float, float, float]) -> xr.Dataset:
    window = window_of(grid_of(dataset), bounds)
    if window is None:
        return dataset[[]]
    row, col, height, width = window
    return dataset.isel(y=slice(row, row + height), x=slice(col, col + width))


def _masked(path: str, dataset: xr.Dataset, shape: geometries.Shape) -> xr.Dataset:
    """Dataset with no-data outside of a shape."""
    if not dataset.data_vars:
        return dataset
    grid = grid_of(dataset)
    inside = geometries.rasterised(geometries.on_grid(shape, grid), grid, touched=False)
    out = dataset.copy()
    for name, variable in dataset.data_vars.items():
        fill: Any = np.nan
        if not np.issubdtype(variable.dtype, np.floating):
            encoding = ENCODINGS.get(str(name))
            fill = 0 if path.strip("/").startswith(FLAGS) or encoding is None else encoding.fill
        keep = da.from_array(inside, chunks=variable.chunks or "auto")
        data = da.where(keep, variable.data, variable.dtype.type(fill))
        out[name] = variable.copy(data=cast("Any", data.astype(variable.dtype)))
        out[name].encoding = dict(variable.encoding)
    return out

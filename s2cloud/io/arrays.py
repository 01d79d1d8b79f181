"""An L1C tree from arrays that somebody has already: chips, mosaics, subsets, time series."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import dask.array as da
import numpy as np
import xarray as xr
from pyproj import Transformer

from s2cloud.io.arrays_conditions import Angles, Scalars, conditions
from s2cloud.io.l1c_layout import RESOLUTIONS, nearest_resolution, overview_factor, overview_grid
from s2cloud.io.overview import block_mean
from s2cloud.io.safe_metadata import earth_sun_correction
from s2cloud.model.bands import BAND_INFO, BANDS, SENSORS, Resolution, Sensor, band_name
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.granule import Granule
from s2cloud.model.grid import BLOCK_PX, Grid, grid_of
from s2cloud.model.schema import NODATA, OVERVIEW, SATURATED, reflectance_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    AngleLike = float | Sequence[float] | Mapping[str, float] | xr.DataArray

__all__ = ["l1c_from_bands"]

#: Encoding of reflectances given as floating-point numbers, that of products since 04.00.
SCALE: Final = 1e-4
OFFSET: Final = -0.1
HIGHEST: Final = 65_534


def l1c_from_bands(  # noqa: PLR0913  # one value per fact that a product would carry
    dataset: xr.Dataset | Mapping[Any, xr.Dataset] | xr.DataTree,
    *,
    sensor: Sensor,
    time: datetime | str | np.datetime64,
    sza: float | xr.DataArray,
    saa: float | xr.DataArray,
    vza: AngleLike,
    vaa: AngleLike,
    name: str = "",
    baseline: str = "",
    tile: str = "",
    crs: str | None = None,
    tcwv: float | None = None,
    tco3: float | None = None,
    pressure: float | None = None,
    aot550: float | None = None,
    elevation: float | xr.DataArray | npt.NDArray[np.floating] | None = None,
    pixel_size: float = 10.0,
) -> xr.DataTree:
    """L1C tree from top-of-atmosphere bands in memory or in dask arrays.

    Parameters
    ----------
    dataset
        Variables named by band in any usual spelling, dimensions y and x. One dataset whose
        bands share a grid of any pixel size, or the native grids by resolution:
        ``{10: ..., 20: ..., 60: ...}`` or a tree with nodes ``r10m``, ``r20m``, ``r60m``.
        Floating-point values are reflectances (1 = 100 %, NaN = no data); integers are counts
        and need ``scale_factor`` and ``add_offset`` in their attributes or encoding.
    sensor
        ``S2A``, ``S2B`` or ``S2C``.
    time
        Sensing time, UTC.
    sza, saa
        Solar zenith and azimuth: a number or an array of tie points with coordinates x and y.
        [degree]
    vza, vaa
        Viewing zenith and azimuth: also one value per band, as a mapping or a sequence in
        ESA's order, or an array (band, y, x). [degree]
    name, baseline, tile
        Identity, free.
    crs
        Reference system such as ``EPSG:32632`` where the dataset names none.
    tcwv
        Total column water vapour. [kg m-2]
    tco3
        Total column ozone. [DU]
    pressure
        Pressure at sea level. [hPa]
    aot550
        Aerosol optical thickness at 550 nm.
    elevation
        Elevation of the surface, a number or an array on the grid of the finest bands. [m]
    pixel_size
        Pixel size of the finest bands where there are no coordinates. [m]

    Returns
    -------
    DataTree
        As from `open_l1c`; bands that are not given are listed as ``missing_bands``.

    Raises
    ------
    UsageError
        If a variable is no band, or there is none.
    InputError
        If grids do not fit or counts come without their scale.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> chip = xr.Dataset({"B04": (("y", "x"), np.full((60, 60), 0.1))})
    >>> l1c = l1c_from_bands(
    ...     chip, sensor="S2A", time="2024-07-01T10:30", sza=30, saa=150, vza=5, vaa=100
    ... )
    >>> l1c["measurements/reflectance/r10m/b04"].shape
    (60, 60)
    """
    groups = {
        resolution: _named(group) for resolution, group in _groups(dataset, pixel_size).items()
    }
    finest = min(groups)
    placed = {
        resolution: _placed(group, pixel_size * (resolution / finest if len(groups) > 1 else 1))
        for resolution, group in groups.items()
    }
    if crs is None:
        crs = next((named for ds in placed.values() if (named := _crs(ds))), "")
    grids = {r: replace(grid_of(ds), crs=crs) for r, ds in placed.items()}
    overview, factors = _overview_of(grids)
    moment = _time(time)
    column = SENSORS.index(sensor) if sensor in SENSORS else 0
    nodes: dict[str, xr.Dataset] = {}
    small: dict[str, xr.Variable] = {}
    for resolution, group in placed.items():
        counts = {band: _counts(group[band], resolution) for band in BANDS if band in group}
        for band, variable in counts.items():
            variable.attrs["wavelength_nm"] = BAND_INFO[band].wavelength_nm[column]
            small[band] = _reduced(variable, factors[resolution])
        nodes[reflectance_path(resolution)] = _dataset(counts, grids[resolution], resolution)
    nodes[f"{OVERVIEW}/r60m"] = _dataset(
        {band: small[band] for band in BANDS if band in small}, overview, 60
    )
    bbox = _degrees(overview)
    nodes |= conditions(
        grids[finest],
        bbox,
        Angles(sza, saa, vza, vaa, tuple(band for band in BANDS if band in small)),
        Scalars(tcwv, tco3, pressure, aot550, elevation),
    )
    found = Granule(
        name=name or f"{sensor}_{moment:%Y%m%dT%H%M%S}",
        sensor=sensor,
        sensing_time=moment,
        tile=tile,
        baseline=baseline,
        bbox=bbox,
    )
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {
        "granule": found.to_attrs(),
        "sensor": sensor,
        "quantification": 1.0 / SCALE,
        "earth_sun_correction": earth_sun_correction(found.sensing_time),
        "solar_irradiance": [BAND_INFO[band].irradiance[column] for band in BANDS],
        "missing_bands": [band for band in BANDS if band not in small],
    }
    return tree


def _groups(
    dataset: xr.Dataset | Mapping[Any, xr.Dataset] | xr.DataTree, pixel_size: float
) -> dict[Resolution, xr.Dataset]:
    if isinstance(dataset, xr.Dataset):
        size = grid_of(dataset).pixel_size if {"x", "y"} <= set(dataset.coords) else pixel_size
        return {nearest_resolution(size): dataset}
    if isinstance(dataset, xr.DataTree):
        items: list[tuple[Any, xr.Dataset]] = [
            (node.name, node.to_dataset(inherit=False))
            for node in dataset.subtree
            if node.data_vars and "overview" not in node.path
        ]
    else:
        items = list(dataset.items())
    groups: dict[Resolution, xr.Dataset] = {}
    for key, group in items:
        found = re.fullmatch(r"r?(10|20|60)m?", str(key))
        if found:
            groups[cast("Resolution", int(found[1]))] = group
    if not groups:
        raise UsageError(
            "no native grids",
            where="dataset",
            expected="keys 10, 20, 60 or nodes r10m, r20m, r60m",
            found=", ".join(str(key) for key, _ in items) or "nothing",
            fix="name the grids by their resolution, or give one Dataset",
        )
    return dict(sorted(groups.items()))


def _named(group: xr.Dataset) -> xr.Dataset:
    names = {str(name): band_name(str(name)) for name in group.data_vars if _is_image(group[name])}
    if not names:
        raise UsageError(
            "no bands",
            where="dataset",
            expected="variables named B01 to B12 with dimensions y and x",
            found=", ".join(f"{n} {group[n].dims}" for n in group.data_vars) or "nothing",
            fix="rename the variables and dimensions",
        )
    return group[list(names)].squeeze(drop=True).rename(names)


def _is_image(variable: xr.DataArray) -> bool:
    return {"y", "x"} <= set(variable.dims)


def _placed(group: xr.Dataset, pixel_size: float) -> xr.Dataset:
    """Dataset with coordinates, made up where it has none."""
    first = next(iter(group.data_vars.values()))
    extra = set(first.dims) - {"y", "x"}
    if extra:
        raise InputError(
            "bands with more than two dimensions",
            where=str(first.name),
            expected="y and x",
            found=", ".join(map(str, first.dims)),
            fix="select one time",
        )
    group = group.transpose("y", "x")
    if "x" in group.coords and "y" in group.coords:
        return group
    height, width = group.sizes["y"], group.sizes["x"]
    made_up = Grid("", 0.0, height * pixel_size, pixel_size, height, width)
    return group.assign_coords(y=made_up.y, x=made_up.x)


def _crs(group: xr.Dataset) -> str:
    if group.attrs.get("crs"):
        return str(group.attrs["crs"])
    mapping = group.coords.get("spatial_ref")
    return "" if mapping is None else str(mapping.attrs.get("crs_wkt", ""))


def _overview_of(grids: Mapping[Resolution, Grid]) -> tuple[Grid, dict[Resolution, int]]:
    if len(grids) == 1:
        resolution, grid = next(iter(grids.items()))
        factor = overview_factor(grid.pixel_size)
        return overview_grid(grid, factor), {resolution: factor}
    coarsest = max(grids)
    base = grids[coarsest]
    for resolution, grid in grids.items():
        steps = coarsest // resolution
        fits = (
            grid.shape == (base.height * steps, base.width * steps)
            and np.isclose(grid.pixel_size * steps, base.pixel_size)
            and np.allclose((grid.ulx, grid.uly), (base.ulx, base.uly), atol=grid.pixel_size / 100)
        )
        if not fits or coarsest % resolution:
            raise InputError(
                "grids do not nest",
                where=f"{resolution} m and {coarsest} m",
                expected=f"{base.height * steps} x {base.width * steps} pixels of "
                f"{base.pixel_size / steps:g} m from the same corner",
                found=f"{grid.height} x {grid.width} of {grid.pixel_size:g} m",
                fix="crop the bands to whole 60 m pixels",
            )
    factors = {r: 60 // r for r in RESOLUTIONS if r in grids}
    return overview_grid(grids[min(grids)], 60 // min(grids)), factors


def _counts(band: xr.DataArray, resolution: Resolution) -> xr.Variable:
    """Counts as uint16 dask array, with the attributes of the tree."""
    block = BLOCK_PX[resolution]
    values = band.data
    lazy = values if isinstance(values, da.Array) else da.from_array(np.asarray(values), chunks=-1)
    lazy = lazy.rechunk(block)
    scale, offset = SCALE, OFFSET
    if lazy.dtype.kind == "f":
        counts = lazy.map_blocks(_quantised, dtype=np.uint16)
    elif lazy.dtype.kind in "iu":
        scale, offset = _scale_of(band)
        fill = band.attrs.get("_FillValue", band.encoding.get("_FillValue", NODATA))
        counts = lazy.map_blocks(_as_counts, int(fill), dtype=np.uint16)
    else:
        raise InputError(
            "bands of an unknown type",
            where=str(band.name),
            expected="reflectances as floating-point numbers or counts as integers",
            found=lazy.dtype,
            fix="convert the band",
        )
    attrs = {
        "long_name": f"top-of-atmosphere reflectance, band {str(band.name).upper()}",
        "units": "1",
        "scale_factor": scale,
        "add_offset": offset,
        "_FillValue": NODATA,
        "saturated": SATURATED,
    }
    return xr.Variable(("y", "x"), counts, attrs)


def _quantised(reflectance: npt.NDArray[np.floating]) -> npt.NDArray[np.uint16]:
    with np.errstate(invalid="ignore"):
        counts = np.clip(np.floor((reflectance - OFFSET) / SCALE + 0.5), 1, HIGHEST)
    return np.where(np.isnan(counts), NODATA, counts).astype(np.uint16)


def _as_counts(values: npt.NDArray[np.integer], fill: int) -> npt.NDArray[np.uint16]:
    counts = np.clip(values, 0, SATURATED).astype(np.uint16)
    return counts if fill == NODATA else np.where(values == fill, np.uint16(NODATA), counts)


def _scale_of(band: xr.DataArray) -> tuple[float, float]:
    for source in (band.attrs, band.encoding):
        if "scale_factor" in source:
            return float(source["scale_factor"]), float(source.get("add_offset", 0.0))
    raise InputError(
        "counts without scale",
        where=str(band.name),
        expected="attributes scale_factor and add_offset",
        found="integers",
        fix="set them (1e-4 and -0.1 since baseline 04.00, 1e-4 and 0 before), or give "
        "reflectances as floating-point numbers",
    )


def _reduced(variable: xr.Variable, factor: int) -> xr.Variable:
    counts = variable.data
    # Chunks of whole blocks, so that no mean is split between two chunks.
    chunk = max(factor, max(counts.chunksize) // factor * factor)
    counts = counts.rechunk(chunk)
    chunks = tuple(tuple(-(-size // factor) for size in sizes) for sizes in counts.chunks)
    small = counts.map_blocks(block_mean, factor, dtype=np.uint16, chunks=chunks).rechunk(-1)
    return xr.Variable(variable.dims, small, dict(variable.attrs))


def _dataset(variables: dict[str, xr.Variable], grid: Grid, resolution: int) -> xr.Dataset:
    return xr.Dataset(
        variables,
        coords={"y": ("y", grid.y), "x": ("x", grid.x)},
        attrs={"crs": grid.crs, "resolution": resolution},
    )


def _time(time: datetime | str | np.datetime64) -> datetime:
    if isinstance(time, np.datetime64):
        time = str(time.astype("datetime64[us]"))
    moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _degrees(grid: Grid) -> tuple[float, ...]:
    if not grid.crs:
        return ()
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    return tuple(float(v) for v in to_degrees.transform_bounds(*grid.bounds))

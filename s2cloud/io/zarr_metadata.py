"""Metadata of a Level-2A Zarr store: groups, arrays, coordinates and EOPF's root attributes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

import numcodecs
import numpy as np
import xarray as xr
import zarr
from pyproj import CRS
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from s2cloud.io.commit import VOLATILE
from s2cloud.io.stac import to_stac
from s2cloud.io.zarr_chunks import BLOSC
from s2cloud.io.zarr_overviews import OVERVIEWS, multiscales
from s2cloud.model.bands import BAND_INFO, SENSORS
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from s2cloud.io.layers import Layer
    from s2cloud.io.receipt import Receipt
    from s2cloud.io.target import Product
    from s2cloud.model.grid import Grid

__all__ = ["DIGEST", "ROOT", "hierarchy", "root_attributes"]

#: Object that makes a folder a Zarr store, written last, by version of the format.
ROOT: Final = {2: ".zmetadata", 3: "zarr.json"}
#: Attribute by which a store is known to be ours.
DIGEST: Final = "s2cloud:digest"
_GRID_MAPPING: Final = "spatial_ref"


def hierarchy(
    product: Product,
    small: Mapping[str, npt.NDArray[Any]],
    attributes: Mapping[str, Any],
    *,
    version: Literal[2, 3] = 3,
    sides: Mapping[str, int] | None = None,
) -> dict[str, bytes]:
    """All objects of the store but the chunks of the rasters, by path in the store.

    Parameters
    ----------
    product
        What is written.
    small
        Computed variables that were lazy, by ``path/name``.
    attributes
        Attributes of the root.
    version
        Of the Zarr format.
    sides
        Sides of the chunks in the shards of a raster, by ``path/name``; 0 without shards.

    Returns
    -------
    dict
        Metadata documents, consolidated too, and chunks of coordinates and small arrays.
    """
    documents: dict[str, Any] = {}
    memory = MemoryStore(documents)
    root = zarr.create_group(memory, zarr_format=version, attributes=_plain(attributes))
    nodes = {node.path.strip("/"): node for node in product.l2a.subtree}
    of_node: dict[str, list[Layer]] = {path: [] for path in nodes}
    for layer in product.layers:
        of_node.setdefault(layer.path, []).append(layer)
    for path, layers in of_node.items():
        dataset = xr.Dataset()
        if path in nodes:
            dataset = _small_dataset(nodes[path], path, {la.name for la in layers}, small, version)
        if layers:
            dataset = _with_georeference(dataset, layers[0].grid)
        if path and (dataset.variables or dataset.attrs):
            dataset.to_zarr(memory, group=path, mode="a", zarr_format=version, consolidated=False)
        for layer in layers:
            _create_array(root[path], layer, version, (sides or {}).get(f"{path}/{layer.name}", 0))
    if any(layer.resolution in OVERVIEWS for layer in product.layers):
        for path in sorted({layer.path.rpartition("/")[0] for layer in product.layers}):
            root[path].attrs["multiscales"] = multiscales(product.layers, path)
    plain = {name: buffer.to_bytes() for name, buffer in documents.items()}
    return _consolidated(plain) if version == 3 else _consolidated_2(plain)


def root_attributes(product: Product, receipt: Receipt) -> dict[str, Any]:
    """The three root attributes of EOPF products.

    No time of writing is among them, so that equal pixels make an equal store; it is in the
    receipt.
    """
    item = to_stac(product.l2a, receipt).to_dict(include_self_link=False)
    item["properties"].pop("created", None)
    item["assets"] = {}
    sensor = SENSORS.index(product.granule.sensor)
    numbers = receipt.statistics.get("numbers", {})
    return {
        "stac_discovery": item,
        "other_metadata": {
            "band_description": {
                info.name: {
                    "central_wavelength": info.wavelength_nm[sensor],
                    "bandwidth": info.fwhm_nm[sensor],
                    "units": "nm",
                    "onboard_resolution": info.resolution,
                }
                for info in BAND_INFO.values()
            },
            "mean_aerosol_optical_thickness": receipt.statistics.get("mean_aot"),
            "mean_water_vapour_kg_m2": receipt.statistics.get("mean_wvp"),
            "scene_content": receipt.statistics.get("percentages", {}),
            "retrieval": numbers,
            "warnings": list(receipt.warnings),
            DIGEST: product.digest,
        },
        "processing_history": {
            "Level-2A Product": [
                {
                    "type": "Level-2A Product",
                    "processor": "s2cloud",
                    "version": receipt.software.rpartition(" ")[2],
                    "inputs": {"Level-1C Product": product.granule.name},
                    "output": product.granule.l2a_name,
                    "parameters": {
                        key: value
                        for key, value in receipt.provenance.items()
                        if key not in VOLATILE
                    },
                }
            ]
        },
    }


def _small_dataset(
    node: xr.DataTree,
    path: str,
    rasters: set[str],
    small: Mapping[str, npt.NDArray[Any]],
    version: int,
) -> xr.Dataset:
    dataset = node.to_dataset(inherit=False).drop_vars(rasters).drop_encoding()
    for name, variable in dataset.variables.items():
        computed = small.get(f"{path}/{name}")
        data = variable.data if computed is None else computed
        if variable.dtype.kind in "US" and version == 3:
            # Fixed-width text has no definition in Zarr v3, text of free length has.
            data = np.asarray(data).astype(str).astype(object)
        if data is not variable.data:
            dataset[name] = (variable.dims, data, variable.attrs)
    # The readers of EOPF products, eopf 2.8 and xarray-eopf 0.3, fail on numbers without an axis.
    for name in [name for name, variable in dataset.data_vars.items() if variable.ndim == 0]:
        dataset[name] = dataset[name].expand_dims("scene")
    for name in dataset.coords:
        dataset[name].encoding["_FillValue"] = None
    dataset.attrs = _plain(dataset.attrs)
    return dataset


def _with_georeference(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """CF coordinates and grid mapping, with the transform that GDAL and rioxarray look for."""
    axes = {
        axis: xr.Variable(
            (axis,),
            values,
            {
                "standard_name": f"projection_{axis}_coordinate",
                "long_name": f"{axis} coordinate of the pixel centre",
                "units": "m",
                "axis": axis.upper(),
            },
            {"_FillValue": None},
        )
        for axis, values in (("x", grid.x), ("y", grid.y))
    }
    dataset = dataset.assign_coords(axes)
    if not grid.crs:
        return dataset
    crs = CRS.from_user_input(grid.crs)
    attrs = crs.to_cf()
    attrs["spatial_ref"] = attrs["crs_wkt"]
    size, _, ulx, _, _, uly = grid.transform
    attrs["GeoTransform"] = f"{ulx!r} {size!r} 0.0 {uly!r} 0.0 {-size!r}"
    dataset.attrs |= {"crs": grid.crs}
    return dataset.assign_coords({_GRID_MAPPING: xr.Variable((), np.int32(0), attrs)})


def _create_array(group: Any, layer: Layer, version: int, side: int) -> None:
    encoding = layer.encoding
    dtype = np.dtype(encoding.dtype)
    attrs: dict[str, Any] = {"long_name": encoding.long_name, "units": encoding.units}
    attrs |= _plain(layer.attrs)
    if layer.is_product and layer.is_quantity:
        attrs["_FillValue"] = encoding.fill
    if (encoding.scale, encoding.offset) != (1.0, 0.0):
        attrs |= {"scale_factor": encoding.scale, "add_offset": encoding.offset}
    if layer.is_classes:
        attrs |= {
            "flag_values": [int(code) for code in SCL],
            "flag_meanings": " ".join(code.name.lower() for code in SCL),
        }
    if layer.grid.crs:
        # Naming it as a coordinate, too, makes xarray keep it with each variable.
        attrs |= {"grid_mapping": _GRID_MAPPING, "coordinates": _GRID_MAPPING}
        epsg = CRS.from_user_input(layer.grid.crs).to_epsg()
        if epsg is not None:
            attrs["_CRS"] = {"url": f"http://www.opengis.net/def/crs/EPSG/0/{epsg}"}
    common = {"shape": layer.grid.shape, "dtype": dtype, "fill_value": encoding.fill}
    if version == 2:
        attrs["_ARRAY_DIMENSIONS"] = ["y", "x"]
        codec = numcodecs.Blosc(BLOSC["cname"], BLOSC["clevel"], numcodecs.Blosc.BITSHUFFLE)
        group.create_array(
            layer.name, chunks=layer.block, compressors=codec, attributes=attrs, **common
        )
        return
    group.create_array(
        layer.name,
        chunks=(side, side) if side else layer.block,
        shards=layer.block if side else None,
        dimension_names=("y", "x"),
        compressors=[BloscCodec(**BLOSC, typesize=dtype.itemsize, blocksize=0)],
        attributes=attrs,
        **common,
    )


def _consolidated(documents: dict[str, bytes]) -> dict[str, bytes]:
    """Add to each group the metadata of all below it, as zarr-python does for one.

    A reader then opens the product, or any group of it, with one request. zarr-python's own
    function warns that this is not in the specification yet; readers that do not know it skip it.
    """
    name = "zarr.json"
    metadata = {
        path.removesuffix(name).rstrip("/"): json.loads(data)
        for path, data in documents.items()
        if path.rsplit("/", 1)[-1] == name
    }
    result = dict(documents)
    for group, own in metadata.items():
        whole = dict(own)
        if own["node_type"] == "group":
            below = {
                path[len(group) :].lstrip("/"): value
                for path, value in sorted(metadata.items())
                if path != group and (not group or path.startswith(f"{group}/"))
            }
            whole["consolidated_metadata"] = {
                "kind": "inline",
                "must_understand": False,
                "metadata": below,
            }
        path = f"{group}/{name}" if group else name
        result[path] = json.dumps(whole, sort_keys=True).encode()
    return result


def _consolidated_2(documents: dict[str, bytes]) -> dict[str, bytes]:
    """Add ``.zmetadata``, where readers of version 2 look for the metadata of the whole store."""
    names = (".zgroup", ".zattrs", ".zarray")
    metadata = {
        path: json.loads(data)
        for path, data in sorted(documents.items())
        if path.rsplit("/", 1)[-1] in names
    }
    whole = {"zarr_consolidated_format": 1, "metadata": metadata}
    return {**documents, ROOT[2]: json.dumps(whole, sort_keys=True).encode()}


def _plain(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON can hold them."""
    return {str(key): _jsonable(value) for key, value in attrs.items()}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, list | tuple):
        return [_jsonable(part) for part in value]
    if isinstance(value, np.generic | np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)

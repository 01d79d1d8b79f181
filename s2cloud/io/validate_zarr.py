"""Structure and meaning of a Level-2A Zarr store against its receipt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.io.layers import encoding_of_path
from s2cloud.io.validate_rasters import same_crs
from s2cloud.io.zarr_metadata import DIGEST, ROOT
from s2cloud.io.zarr_source import zarr_group
from s2cloud.model.errors import S2CloudError
from s2cloud.model.schema import REFLECTANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.io.receipt import Asset, Receipt
    from s2cloud.io.stores import FileInfo, Store
    from s2cloud.io.validate_findings import Findings

__all__ = ["check_zarr"]

_NAME: Final = "zarr.json"
_ROOT: Final = ("stac_discovery", "other_metadata", "processing_history")


def check_zarr(
    store: Store,
    asset: Asset,
    receipt: Receipt,
    inside: Mapping[str, FileInfo],
    findings: Findings,
) -> None:
    """Check groups, arrays, attributes, coordinates and consolidated metadata.

    Parameters
    ----------
    store
        Folder that holds the Zarr store.
    asset
        Its entry in the receipt.
    receipt
        The receipt.
    inside
        Objects of the Zarr store.
    findings
        Where faults are noted.
    """
    documents = _documents(store, asset.href, inside, findings)
    version = 2 if ROOT[2] in inside else 3
    where = f"{asset.href}/{ROOT[version]}"
    root = documents.get("")
    if root is None:
        findings.add("missing", where, "no Zarr store without it")
        return
    attributes = root.get("attributes", {})
    for name in _ROOT:
        if name not in attributes:
            findings.add("schema", where, f"attribute {name} is missing")
    digest = attributes.get("other_metadata", {}).get(DIGEST)
    findings.compare("schema", where, "digest", receipt.digest, digest)
    _consolidated(store, asset.href, documents, version, findings)
    rasters = {path for path in documents if encoding_of_path(path) is not None}
    if not any(path.startswith(REFLECTANCE) for path in rasters):
        findings.add("schema", asset.href, f"no band in {REFLECTANCE}")
    for path in sorted(rasters):
        _array(f"{asset.href}/{path}", path, documents[path], findings)
    _grids(store, asset, documents, rasters, findings)


def _documents(
    store: Store, folder: str, inside: Mapping[str, FileInfo], findings: Findings
) -> dict[str, Any]:
    """Metadata of groups and arrays by path, in the words of version 3."""
    found: dict[str, Any] = {}
    parts = (".zgroup", ".zarray", ".zattrs") if ROOT[2] in inside else (_NAME,)
    names = [path for path in inside if path.rpartition("/")[2] in parts]
    for name, data in zip(names, store.read_many([f"{folder}/{n}" for n in names]), strict=True):
        path, _, part = name.rpartition("/")
        try:
            found.setdefault(path, {}).update(_translated(part, dict(json.loads(data))))
        except (ValueError, TypeError) as error:
            findings.add("damaged", f"{folder}/{name}", f"not JSON: {error}")
    return found


def _translated(part: str, document: dict[str, Any]) -> dict[str, Any]:
    """A document of version 2 in the words of version 3; what is version 3 already unchanged."""
    if part == ".zattrs":
        return {"attributes": document, "dimension_names": document.get("_ARRAY_DIMENSIONS")}
    if part == ".zarray":
        return {
            "node_type": "array",
            "shape": document.get("shape"),
            "fill_value": document.get("fill_value"),
            "data_type": np.dtype(document.get("dtype")).name,
        }
    return {"node_type": "group"} if part == ".zgroup" else document


def _consolidated(
    store: Store, folder: str, documents: Mapping[str, Any], version: int, findings: Findings
) -> None:
    """The root repeats all metadata below it; readers believe that copy."""
    name = f"{folder}/{ROOT[version]}"
    if version == 2:
        copies: dict[str, Any] = {}
        try:
            listed = dict(json.loads(store.read(name))["metadata"])
        except (ValueError, KeyError, TypeError, S2CloudError) as error:
            findings.add("damaged", name, f"unreadable: {type(error).__name__} {error}")
            return
        for path, value in listed.items():
            node, _, part = path.rpartition("/")
            copies.setdefault(node, {}).update(_translated(part, value))
    else:
        whole = documents[""].get("consolidated_metadata") or {}
        if whole.get("metadata") is None:
            findings.add("schema", name, "no consolidated metadata")
            return
        copies = {"": documents[""], **whole["metadata"]}
    for path in sorted(documents.keys() ^ copies.keys()):
        side = "the store" if path in copies else "the consolidated metadata"
        findings.add("schema", f"{folder}/{path}", f"not in {side}")
    for path in sorted(documents.keys() & copies.keys()):
        if _bare(documents[path]) != _bare(copies[path]):
            findings.add("schema", f"{folder}/{path}", "consolidated metadata tell otherwise")


def _bare(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}


def _array(where: str, path: str, document: Mapping[str, Any], findings: Findings) -> None:
    encoding = encoding_of_path(path)
    assert encoding is not None  # noqa: S101  # only such paths come here
    attributes = document.get("attributes", {})
    findings.compare("schema", where, "type", encoding.dtype, document.get("data_type"))
    findings.compare("schema", where, "axes", ["y", "x"], document.get("dimension_names"))
    findings.compare("offset", where, "fill value", encoding.fill, document.get("fill_value"))
    stored = (attributes.get("scale_factor", 1.0), attributes.get("add_offset", 0.0))
    expected = (encoding.scale, encoding.offset)
    findings.compare("offset", where, "scale and offset", expected, stored)
    findings.compare("schema", where, "unit", encoding.units, attributes.get("units"))


def _grids(
    store: Store,
    asset: Asset,
    documents: Mapping[str, Any],
    rasters: set[str],
    findings: Findings,
) -> None:
    """Coordinates, transform and reference system of each group of rasters."""
    groups = sorted({path.rpartition("/")[0] for path in rasters})
    axes = [f"{group}/{axis}" for group in groups for axis in ("x", "y")]
    coordinates = _values(store, asset.href, documents, axes, findings)
    ulx, uly = (asset.transform[2], asset.transform[5]) if asset.transform else (None, None)
    for group in groups:
        where = f"{asset.href}/{group}"
        shapes = {
            tuple(documents[path]["shape"]) for path in rasters if path.startswith(f"{group}/")
        }
        x, y = coordinates.get(f"{group}/x"), coordinates.get(f"{group}/y")
        if x is None or y is None:
            findings.add("georeference", where, "coordinates x and y cannot be read")
            continue
        findings.compare("schema", where, "rows and columns", shapes, {(y.size, x.size)})
        if not asset.crs:
            continue
        mapping = documents.get(f"{group}/spatial_ref", {}).get("attributes", {})
        if not same_crs(asset.crs, str(mapping.get("crs_wkt", ""))):
            findings.add("georeference", where, f"reference system is not {asset.crs}")
        numbers = [float(word) for word in str(mapping.get("GeoTransform", "")).split()]
        if len(numbers) != 6:
            findings.add("georeference", where, "GeoTransform of spatial_ref is missing")
            continue
        findings.compare("georeference", where, "corner", (ulx, uly), (numbers[0], numbers[3]))
        size = numbers[1]
        same = np.allclose(x, numbers[0] + (np.arange(x.size) + 0.5) * size, atol=1e-6)
        same &= np.allclose(y, numbers[3] - (np.arange(y.size) + 0.5) * size, atol=1e-6)
        if not same:
            findings.add("georeference", where, "coordinates contradict the GeoTransform")


def _values(
    store: Store,
    folder: str,
    documents: Mapping[str, Any],
    paths: list[str],
    findings: Findings,
) -> dict[str, Any]:
    """Content of small arrays."""
    group: Any = zarr_group(store, folder)
    found = {}
    for path in paths:
        if path not in documents:
            continue
        try:
            found[path] = np.asarray(group[path][...], dtype=np.float64)
        except Exception as error:  # noqa: BLE001  # zarr and its codecs raise whatever they like
            findings.add("damaged", f"{folder}/{path}", f"cannot be read: {error}")
    return found

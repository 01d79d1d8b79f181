"""Headers of GeoTIFF and JPEG 2000 files against what the receipt says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rasterio
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from s2cloud.model.errors import S2CloudError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.io.receipt import Asset
    from s2cloud.io.stores import Store
    from s2cloud.io.validate_findings import Findings

__all__ = ["check_grid", "check_raster", "same_crs"]


def check_raster(store: Store, path: str, asset: Asset, findings: Findings) -> None:
    """Compare a GeoTIFF with its entry in the receipt.

    Parameters
    ----------
    store
        Product folder.
    path
        File.
    asset
        What the receipt says.
    findings
        Where faults are noted.
    """
    try:
        data = store.read(path)
        with rasterio.Env(GDAL_NUM_THREADS="1"), MemoryFile(data) as file, file.open() as opened:
            _compare(opened, path, asset, findings)
    except (RasterioError, S2CloudError) as error:
        findings.add("damaged", path, f"cannot be opened: {' '.join(str(error).split())}")


def _compare(opened: Any, path: str, asset: Asset, findings: Findings) -> None:
    check_grid(opened, path, asset.shape, asset.crs, asset.transform, findings)
    findings.compare("schema", path, "type of the pixels", asset.dtype, opened.dtypes[0])
    findings.compare("offset", path, "no-data", asset.nodata, _whole(opened.nodata))
    expected = (asset.scale, asset.offset)
    for found in set(zip(opened.scales, opened.offsets, strict=True)):
        findings.compare("offset", path, "scale and offset", expected, found)
    structure = opened.tags(ns="IMAGE_STRUCTURE").get("LAYOUT")
    findings.compare("schema", path, "layout", "COG", structure)


def check_grid(
    opened: Any,
    path: str,
    shape: Sequence[int],
    crs: str,
    transform: Sequence[float],
    findings: Findings,
) -> None:
    """Compare size, reference system and transform of an open raster with what they must be."""
    findings.compare("schema", path, "rows and columns", tuple(shape), tuple(opened.shape))
    found = tuple(opened.transform)[:6]
    findings.compare("georeference", path, "transform", tuple(transform), found)
    same = same_crs(crs, opened.crs.to_wkt() if opened.crs else "")
    if not same:
        name = opened.crs.to_string() if opened.crs else "none"
        findings.add("georeference", path, f"reference system: expected {crs}, found {name}")


def same_crs(one: str, other: str) -> bool:
    """Whether two reference systems, as code or WKT, are the same; both may be missing."""
    if not one or not other:
        return one == other
    try:
        first, second = CRS.from_user_input(one), CRS.from_user_input(other)
        return bool(first.equals(second, ignore_axis_order=True))
    except CRSError:
        return False


def _whole(value: float | None) -> int | float | None:
    return int(value) if value is not None and float(value).is_integer() else value

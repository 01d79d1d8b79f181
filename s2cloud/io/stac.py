"""STAC 1.1 item of a written product, from the tree and its receipt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pystac
from pystac.extensions.file import FileExtension
from pystac.extensions.grid import GridExtension
from pystac.extensions.mgrs import MgrsExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.sat import SatExtension
from pystac.extensions.view import ViewExtension

from s2cloud.io.footprint import footprint
from s2cloud.io.layers import crs_of
from s2cloud.io.receipt import Receipt
from s2cloud.io.urls import join_url, public_url
from s2cloud.model.bands import BAND_INFO, SENSORS
from s2cloud.model.errors import UsageError
from s2cloud.model.granule import Granule, granule
from s2cloud.model.grid import Grid, grid_of
from s2cloud.model.schema import GEOMETRY, REFLECTANCE, SCL, SCL_PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from s2cloud.io.receipt import Asset

__all__ = ["to_stac"]

# Extensions whose present versions pystac does not write; their fields are plain properties.
_EO: Final = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
_RASTER: Final = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
_PROCESSING: Final = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
_CLASSIFICATION: Final = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
_SENTINEL_2: Final = "https://stac-extensions.github.io/sentinel-2/v1.0.0/schema.json"

_MGRS_TILE: Final = re.compile(r"^(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z][A-HJ-NP-V])$")
#: Names of the extension where they are not those of the product metadata in lower case.
_SHARES: Final = {"CAST_SHADOW_PERCENTAGE": "s2:dark_features_percentage"}
#: Where the product keeps the numbers of the scene stage.
_RETRIEVAL: Final = "quality/retrieval/"


def to_stac(
    l2a: xr.DataTree, receipt: Receipt | Sequence[Receipt], *, href: str | None = None
) -> pystac.Item:
    """STAC item of a written product.

    Parameters
    ----------
    l2a
        Tree returned by ``process``. Only its metadata and angles are used.
    receipt
        Receipt of the product, or several of its parts.
    href
        Address of the product folder. Links and assets are then absolute; without it they are
        relative to the folder, so that it can be moved.

    Returns
    -------
    pystac.Item
        With the extensions projection, eo, raster, classification, view, sat, grid, mgrs, file,
        processing and sentinel-2.

    Raises
    ------
    UsageError
        If there is no receipt, or receipts are of different products.

    Examples
    --------
    >>> item = to_stac(l2a, to_cog(l2a, "product"))  # doctest: +SKIP
    """
    receipts = [receipt] if isinstance(receipt, Receipt) else list(receipt)
    names = {one.product for one in receipts}
    if len(names) != 1:
        raise UsageError(
            "cannot make one item of these receipts",
            expected="receipts of one product",
            found=", ".join(sorted(names)) or "none",
            fix="call to_stac once per product",
        )
    newest = max(receipts, key=lambda one: one.created)
    identity = granule(l2a)
    grid = _finest_grid(l2a)
    geometry, bbox = footprint(grid)
    if bbox is None and identity.bbox:
        bbox = list(identity.bbox)
        geometry = _rectangle(bbox)
    item = pystac.Item(
        id=newest.product,
        geometry=geometry,
        bbox=bbox,
        datetime=identity.sensing_time,
        properties=_properties(identity, newest),
        stac_extensions=[_EO, _RASTER, _PROCESSING, _SENTINEL_2],
    )
    item.common_metadata.platform = f"sentinel-{identity.sensor[1:].lower()}"
    item.common_metadata.constellation = "sentinel-2"
    item.common_metadata.instruments = ["msi"]
    item.common_metadata.gsd = grid.pixel_size
    _add_projection(item, grid)
    _add_view(item, l2a)
    _add_orbit(item, identity)
    _add_tile(item, identity)
    for one in receipts:
        for asset in one.assets:
            if asset.key != "item":
                item.add_asset(asset.key, _asset(asset, identity, href))
                _describe(item, asset)
    _add_links(item, identity, newest, href)
    return item


def _properties(identity: Granule, receipt: Receipt) -> dict[str, Any]:
    software, _, version = receipt.software.rpartition(" ")
    result: dict[str, Any] = {
        "created": receipt.created,
        "processing:level": "L2A",
        "processing:software": {software or "s2cloud": version},
        "processing:lineage": f"surface reflectance from {identity.name}",
        "s2:product_uri": receipt.product,
        "s2:product_type": "S2MSI2A",
    }
    known = {
        "s2:mgrs_tile": identity.tile,
        "s2:datatake_id": identity.datatake,
        "s2:datastrip_id": identity.datastrip,
        "s2:processing_baseline": identity.baseline,
    }
    result |= {name: value for name, value in known.items() if value}
    shares: dict[str, float] = receipt.statistics.get("percentages", {})
    for name, share in shares.items():
        if name == "CLOUDY_PIXEL_PERCENTAGE":
            result["eo:cloud_cover"] = share
            continue
        if name == "SNOW_ICE_PERCENTAGE":
            result["eo:snow_cover"] = share
        result[_SHARES.get(name, f"s2:{name.lower()}")] = share
    for name, share in receipt.statistics.get("flag_percentages", {}).items():
        result[f"s2cloud:{name}_percentage"] = share
    # What the scene stage found and did, coded as in the product.
    for path, number in receipt.statistics.get("numbers", {}).items():
        if path.startswith(_RETRIEVAL):
            result[f"s2cloud:{path.removeprefix(_RETRIEVAL)}"] = number
    return result


def _finest_grid(l2a: xr.DataTree) -> Grid:
    # Products of maps or classes alone hold no bands.
    for group in (REFLECTANCE, "quality/atmosphere", SCL_PATH):
        for resolution in (10, 20, 60):
            dataset = _node(l2a, f"{group}/r{resolution}m")
            if dataset is not None:
                return grid_of(dataset, crs=crs_of(dataset))
    raise UsageError(
        "not a Level-2A tree",
        expected=f"bands in {REFLECTANCE}, maps or classes",
        fix="pass the tree returned by s2cloud.process",
    )


def _node(l2a: xr.DataTree, path: str) -> xr.Dataset | None:
    # ``path in tree`` looks at the children only, not further down.
    node = next((node for node in l2a.subtree if node.path.strip("/") == path), None)
    return node.to_dataset() if node is not None and node.data_vars else None


def _add_projection(item: pystac.Item, grid: Grid) -> None:
    if not grid.crs:
        return
    extension = ProjectionExtension.ext(item, add_if_missing=True)
    if grid.crs.upper().startswith("EPSG:"):
        extension.code = grid.crs.upper()
    else:
        extension.wkt2 = grid.crs
    extension.bbox = list(grid.bounds)


def _add_view(item: pystac.Item, l2a: xr.DataTree) -> None:
    angles = _node(l2a, GEOMETRY)
    if angles is None:
        return
    sun = _mean_angles(angles, "mean_sun_angles", "sun_angles")
    view = _mean_angles(angles, "mean_viewing_incidence_angles", "viewing_incidence_angles")
    if sun is None and view is None:
        return
    extension = ViewExtension.ext(item, add_if_missing=True)
    if sun is not None:
        extension.sun_elevation = round(90.0 - sun[0], 4)
        extension.sun_azimuth = round(sun[1], 4)
    if view is not None:
        extension.incidence_angle = round(view[0], 4)
        extension.azimuth = round(view[1], 4)


def _mean_angles(angles: xr.Dataset, *names: str) -> tuple[float, float] | None:
    """Mean zenith and azimuth of the first variable that is there. [degree]."""
    for name in names:
        if name not in angles or "angle" not in angles[name].dims:
            continue
        values = np.moveaxis(
            np.asarray(angles[name].values, dtype=np.float64),
            angles[name].dims.index("angle"),
            0,
        )
        zenith, azimuth = values[0].ravel(), values[1].ravel()
        known = np.isfinite(zenith) & np.isfinite(azimuth)
        if not known.any():
            continue
        # Directions are averaged as vectors: the mean of 359 and 1 degree is 0.
        mean = np.exp(1j * np.radians(azimuth[known])).mean()
        return float(zenith[known].mean()), float(np.degrees(np.angle(mean)) % 360.0)
    return None


def _add_orbit(item: pystac.Item, identity: Granule) -> None:
    if identity.relative_orbit <= 0 and identity.absolute_orbit <= 0:
        return
    extension = SatExtension.ext(item, add_if_missing=True)
    if identity.relative_orbit > 0:
        extension.relative_orbit = identity.relative_orbit
    if identity.absolute_orbit > 0:
        extension.absolute_orbit = identity.absolute_orbit


def _add_tile(item: pystac.Item, identity: Granule) -> None:
    match = _MGRS_TILE.match(identity.tile)
    if match is None:
        return
    zone, band, square = match.groups()
    mgrs = MgrsExtension.ext(item, add_if_missing=True)
    mgrs.apply(latitude_band=band, grid_square=square, utm_zone=int(zone))
    GridExtension.ext(item, add_if_missing=True).apply(f"MGRS-{identity.tile}")


def _asset(asset: Asset, identity: Granule, href: str | None) -> pystac.Asset:
    fields: dict[str, Any] = {}
    if asset.bands:
        fields["bands"] = [_band(name, identity) for name in asset.bands]
    if asset.dtype:
        fields |= {"data_type": asset.dtype, "gsd": asset.transform[0]}
        fields["raster:spatial_resolution"] = asset.transform[0]
        if asset.nodata is not None:
            fields["nodata"] = asset.nodata
        if (asset.scale, asset.offset) != (1.0, 0.0):
            fields |= {"raster:scale": asset.scale, "raster:offset": asset.offset}
        if asset.unit and asset.unit != "1":
            fields["unit"] = asset.unit
        if asset.statistics:
            fields["statistics"] = _stored_statistics(asset)
    if asset.key.startswith("scl_"):
        fields["classification:classes"] = [_class(code) for code in SCL]
    return pystac.Asset(
        href=f"./{asset.href}" if href is None else join_url(href, asset.href),
        title=asset.title,
        media_type=asset.media_type,
        roles=list(asset.roles),
        extra_fields=fields,
    )


def _describe(item: pystac.Item, asset: Asset) -> None:
    """Fields that pystac checks against the item's list of extensions."""
    made = item.assets[asset.key]
    file = FileExtension.ext(made, add_if_missing=True)
    file.size = asset.size
    # 0x12 0x20: sha2-256, 32 bytes (multihash).
    file.checksum = f"1220{asset.sha256}"
    if asset.href.endswith((".zarr", ".SAFE")):
        # The file extension speaks of files only, so a folder says how its checksum is made.
        made.description = (
            "A folder: file:size is the sum over its objects, file:checksum the SHA-256 of the "
            "lines 'path sha256', sorted by path, of its objects."
        )
    if asset.dtype and asset.crs:
        projection = ProjectionExtension.ext(made, add_if_missing=True)
        projection.shape = list(asset.shape)
        projection.transform = [*asset.transform, 0.0, 0.0, 1.0]
    classified = "classification:classes" in made.extra_fields
    if classified and _CLASSIFICATION not in item.stac_extensions:
        item.stac_extensions.append(_CLASSIFICATION)


def _band(name: str, identity: Granule) -> dict[str, Any]:
    info, sensor = BAND_INFO[name], SENSORS.index(identity.sensor)
    return {
        "name": info.esa_name,
        "eo:common_name": info.common_name,
        "eo:center_wavelength": round(info.wavelength_nm[sensor] / 1000.0, 5),
        "eo:full_width_half_max": round(info.fwhm_nm[sensor] / 1000.0, 5),
    }


def _class(code: SCL) -> dict[str, Any]:
    words = code.name.lower()
    result: dict[str, Any] = {
        "value": int(code),
        "name": words,
        "description": words.replace("_", " "),
    }
    return {**result, "nodata": True} if code == SCL.NO_DATA else result


def _stored_statistics(asset: Asset) -> dict[str, float]:
    """Statistics of the stored integers, which is what the fields describe."""
    return {
        name: value if name == "valid_percent" else round((value - asset.offset) / asset.scale, 3)
        for name, value in asset.statistics.items()
    }


def _add_links(item: pystac.Item, identity: Granule, receipt: Receipt, href: str | None) -> None:
    if href is not None:
        item.set_self_href(join_url(href, f"{receipt.product}.json"))
    if identity.uri.startswith(("https://", "s3://", "gs://")):
        link = pystac.Link(
            pystac.RelType.DERIVED_FROM, public_url(identity.uri), title="Level-1C product"
        )
        item.add_link(link)


def _rectangle(bbox: Sequence[float]) -> dict[str, Any]:
    west, south, east, north = bbox
    ring = [[west, north], [west, south], [east, south], [east, north], [west, north]]
    return {"type": "Polygon", "coordinates": [ring]}

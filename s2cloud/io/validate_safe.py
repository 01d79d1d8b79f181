"""A written SAFE product: manifest, metadata and images against each other and the receipt."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import rasterio
from defusedxml.ElementTree import fromstring
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from s2cloud.io.safe_names import BASELINE
from s2cloud.io.validate_rasters import check_grid
from s2cloud.model.bands import BAND_INFO
from s2cloud.model.errors import S2CloudError
from s2cloud.model.schema import ENCODINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.io.receipt import Asset, Receipt
    from s2cloud.io.stores import FileInfo, Store
    from s2cloud.io.validate_findings import Findings

__all__ = ["check_safe"]

_MANIFEST: Final = "manifest.safe"
_PRODUCT: Final = "MTD_MSIL2A.xml"
_TILE: Final = "MTD_TL.xml"
#: Pixel size of the masks that have the name of a band.
_OF_BAND: Final = {info.esa_name: str(info.resolution) for info in BAND_INFO.values()} | {
    "B00": "60"
}


def check_safe(
    store: Store,
    asset: Asset,
    receipt: Receipt,
    inside: Mapping[str, FileInfo],
    findings: Findings,
) -> None:
    """Check manifest, product and tile metadata, and the header of each image.

    Parameters
    ----------
    store
        Folder that holds the SAFE product.
    asset
        Its entry in the receipt.
    receipt
        The receipt.
    inside
        Files of the SAFE product.
    findings
        Where faults are noted.
    """
    manifest = _parsed(store, asset.href, _MANIFEST, findings)
    if manifest is not None:
        _manifest(store, asset.href, manifest, inside, findings)
    product = _parsed(store, asset.href, _PRODUCT, findings)
    images: set[str] = set()
    if product is not None:
        images = _product(asset, product, inside, receipt, findings)
    tiles = [path for path in inside if path.endswith(f"/{_TILE}")]
    findings.compare("schema", asset.href, f"number of {_TILE}", 1, len(tiles))
    tile = _parsed(store, asset.href, tiles[0], findings) if tiles else None
    if tile is None:
        return
    masks = {element.text or "" for element in tile.iter("MASK_FILENAME")}
    _missing(asset, masks, inside, tiles[0], findings)
    _images(store, asset, tile, sorted((images | masks) & inside.keys()), findings)


def _parsed(store: Store, folder: str, path: str, findings: Findings) -> Any:
    where = f"{folder}/{path}"
    try:
        return fromstring(store.read(where))
    except S2CloudError:
        findings.add("missing", where, "no SAFE product without it")
    except (SyntaxError, ValueError) as error:
        findings.add("damaged", where, f"not XML: {error}")
    return None


def _manifest(
    store: Store,
    folder: str,
    manifest: Any,
    inside: Mapping[str, FileInfo],
    findings: Findings,
) -> None:
    where = f"{folder}/{_MANIFEST}"
    listed = {}
    for stream in manifest.iter("byteStream"):
        path = stream.find("fileLocation").get("href", "").removeprefix("./")
        listed[path] = (int(stream.get("size", -1)), stream.findtext("checksum", ""))
    for path in sorted(inside.keys() - listed.keys() - {_MANIFEST}):
        findings.add("schema", where, f"{path} is not listed")
    for path, (size, total) in sorted(listed.items()):
        if path not in inside:
            findings.add("missing", f"{folder}/{path}", f"listed in {_MANIFEST}, not there")
        elif path.endswith(".xml"):
            found = hashlib.sha256(store.read(f"{folder}/{path}")).hexdigest()
            findings.compare("damaged", f"{folder}/{path}", "checksum of manifest", total, found)
        else:
            findings.compare(
                "damaged", f"{folder}/{path}", "bytes by manifest", size, inside[path].size
            )


def _product(
    asset: Asset,
    product: Any,
    inside: Mapping[str, FileInfo],
    receipt: Receipt,
    findings: Findings,
) -> set[str]:
    """Offsets, scales and identity; returns the images that the metadata list."""
    where = f"{asset.href}/{_PRODUCT}"
    offset = round(asset.offset / asset.scale)
    for element in product.iter("BOA_ADD_OFFSET"):
        band = f"offset of band {element.get('band_id')}"
        findings.compare("offset", where, band, str(offset), element.text)
    findings.compare("offset", where, "offsets", 13, len(list(product.iter("BOA_ADD_OFFSET"))))
    for tag, value in (
        ("BOA_QUANTIFICATION_VALUE", 1 / asset.scale),
        ("AOT_QUANTIFICATION_VALUE", 1 / ENCODINGS["aot"].scale),
        ("WVP_QUANTIFICATION_VALUE", 10 / ENCODINGS["wvp"].scale),
    ):
        found = next((element.text for element in product.iter(tag)), None)
        findings.compare("offset", where, tag, value, float(found) if found else None)
    for tag, text in (
        ("PRODUCT_URI", asset.href),
        ("PROCESSING_BASELINE", BASELINE),
        ("PROCESSING_LEVEL", "Level-2A"),
    ):
        found = next((element.text for element in product.iter(tag)), None)
        findings.compare("schema", where, tag, text, found)
    shares = receipt.statistics.get("percentages", {})
    for name, share in shares.items():
        found = next((element.text for element in product.iter(name)), None)
        if found is not None and abs(float(found) - share) > 1e-5:
            findings.add("schema", where, f"{name}: expected {share}, found {found}")
    images = {f"{element.text}.jp2" for element in product.iter("IMAGE_FILE")}
    _missing(asset, images, inside, _PRODUCT, findings)
    return images


def _missing(
    asset: Asset, paths: set[str], inside: Mapping[str, FileInfo], by: str, findings: Findings
) -> None:
    for path in sorted(paths - inside.keys()):
        findings.add("missing", f"{asset.href}/{path}", f"named in {by}, not there")


def _images(store: Store, asset: Asset, tile: Any, paths: list[str], findings: Findings) -> None:
    """Size, reference system and corner of each image by the geocoding of the tile."""
    where = f"{asset.href}/{_TILE}"
    crs = next((element.text or "" for element in tile.iter("HORIZONTAL_CS_CODE")), "")
    findings.compare("georeference", where, "reference system", asset.crs, crs)
    shapes = {
        element.get("resolution", ""): (
            int(element.findtext("NROWS", "0")),
            int(element.findtext("NCOLS", "0")),
        )
        for element in tile.iter("Size")
    }
    corners = {
        element.get("resolution", ""): (
            float(element.findtext("ULX", "nan")),
            float(element.findtext("ULY", "nan")),
        )
        for element in tile.iter("Geoposition")
    }
    for corner in set(corners.values()):
        expected = (asset.transform[2], asset.transform[5])
        findings.compare("georeference", where, "upper left corner", expected, corner)
    for path in paths:
        last = path.rpartition("_")[2].removesuffix(".jp2")
        resolution = _OF_BAND.get(last, last.removesuffix("m"))
        name = f"{asset.href}/{path}"
        if resolution not in shapes or resolution not in corners:
            findings.add("schema", where, f"no geocoding for {path}")
            continue
        size = float(resolution)
        ulx, uly = corners[resolution]
        transform = (size, 0.0, ulx, 0.0, -size, uly)
        try:
            data = store.read(name)
            with rasterio.Env(), MemoryFile(data, ext=".jp2") as file, file.open() as opened:
                check_grid(opened, name, shapes[resolution], crs, transform, findings)
        except (RasterioError, S2CloudError) as error:
            findings.add("damaged", name, f"cannot be opened: {' '.join(str(error).split())}")

"""Level-1C products in the layout of the open data on AWS: tiles here, products there.

The bucket ``sentinel-s2-l1c`` takes a SAFE apart: ``tiles/32/T/QM/2025/6/15/0/`` holds the images
as ``B01.jp2``, the metadata of the tile as ``metadata.xml`` and ``tileInfo.json``;
``products/2025/6/15/<name>/`` holds the metadata of the product, also as ``metadata.xml``, and
``productInfo.json``. Each names the other's path from the root of the bucket.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.safe import SafeProduct, tree_of
from s2cloud.io.safe_files import ProductFiles
from s2cloud.io.safe_metadata import parse_product, parse_tile, product_of_tile
from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from s2cloud.io.part import Part
    from s2cloud.io.safe_metadata import ProductMetadata, TileMetadata

__all__ = ["PRODUCT_INFO", "TILE_INFO", "read_aws_product", "read_granule_folder"]

logger = logging.getLogger(__name__)

TILE_INFO: Final = "tileInfo.json"
PRODUCT_INFO: Final = "productInfo.json"
#: Masks that lost the beginning of their name, with baseline 04.00.
_SHORT: Final = frozenset({"DETFOO", "QUALIT"})


def read_granule_folder(files: ProductFiles, metadata: str, *, part: Part, uri: str) -> xr.DataTree:
    """Tree of a folder that holds one granule without the product around it.

    Parameters
    ----------
    files
        Files of the folder.
    metadata
        Name of the tile metadata: ``MTD_TL.xml``, or ``metadata.xml`` in the open data on AWS.
    part
        What to read of it.
    uri
        Where it was opened, for its identity.

    Notes
    -----
    Where the metadata of the product cannot be found, its name, baseline and orbit come from
    those of the tile, the radiometric offset from the baseline, the distance of the sun from the
    date; that is logged and recorded.
    """
    if metadata == "metadata.xml" and not files.infos([metadata]):
        raise InputError(
            "tile metadata missing",
            where=files.url(metadata),
            expected="metadata.xml beside tileInfo.json",
            found=", ".join(sorted(files.found)[:6]) or "nothing",
            fix="copy the whole tile folder again",
        )
    tile = parse_tile(files.read(metadata), files.url(metadata))
    info = _json(files, TILE_INFO) if files.infos([TILE_INFO]) else {}
    product = _product_of(files, tile, info)
    notes: tuple[str, ...] = ()
    if product is None:
        product = product_of_tile(tile, info, files.url())
        note = "no metadata of the product: offset by the baseline, distance of the sun by the date"
        logger.warning("%s: %s", files.url(), note)
        notes = (note,)
    if metadata == "metadata.xml":
        tile = replace(tile, masks={key: _mask(*key, path) for key, path in tile.masks.items()})
    return tree_of(SafeProduct(files, "", product, tile, uri, notes), part)


def read_aws_product(files: ProductFiles, *, part: Part, uri: str) -> xr.DataTree:
    """Tree of the tile that a product folder of the open data on AWS points to.

    Parameters
    ----------
    files, part, uri
        As in `read_granule_folder`.
    """
    info = _json(files, PRODUCT_INFO)
    tiles = [str(tile.get("path", "")) for tile in info.get("tiles", ()) if isinstance(tile, dict)]
    if len(tiles) != 1:
        raise InputError(
            "not a product of one tile",
            where=files.url(PRODUCT_INFO),
            expected="one path in tiles",
            found=f"{len(tiles)}",
            fix="give the folder of one tile, tiles/<zone>/<band>/<square>/...",
        )
    root = _root_above(files, str(info.get("path", "")))
    if root is None:
        raise InputError(
            "product folder without the tiles beside it",
            where=files.url(),
            expected=f"{info.get('path')} and {tiles[0]} below one folder",
            found="another path",
            fix="give the folder of the tile",
        )
    _refuse_detour(tiles[0], files.url(PRODUCT_INFO))
    store = open_store(join_url(root, tiles[0]), files.store.storage_options)
    return read_granule_folder(ProductFiles.listed(store, ""), "metadata.xml", part=part, uri=uri)


def _product_of(
    files: ProductFiles, tile: TileMetadata, info: dict[str, Any]
) -> ProductMetadata | None:
    """Metadata of the product around a tile, None where they are not to be found."""
    path = str(info.get("productPath", ""))
    root = _root_above(files, str(info.get("path", "")))
    if not path or root is None:
        return None
    _refuse_detour(path, files.url(TILE_INFO))
    store = open_store(join_url(root, path), files.store.storage_options)
    name = store.url("metadata.xml")
    try:
        data = store.read("metadata.xml")
    except InputError:
        return None
    product = parse_product(data, name)
    if tile.tile and not all(f"T{tile.tile}" in image for image in product.images.values()):
        raise InputError(
            "product of another tile",
            where=name,
            expected=f"images of {tile.tile}",
            found=next(iter(product.images.values()), "none"),
            fix="check the productPath in tileInfo.json",
        )
    return replace(product, images={band: BAND_INFO[band].esa_name for band in BANDS})


def _refuse_detour(path: str, where: str) -> None:
    """Metadata may only point to folders below the root: they are somebody else's words."""
    if "://" in path or "\\" in path or {"", ".", ".."} & set(path.strip("/").split("/")):
        raise InputError(
            "path that leaves the folder of the products",
            where=where,
            expected="plain names, such as products/2025/6/15/<name>",
            found=path[:200],
            fix="copy the product again from where it is published",
        )


def _root_above(files: ProductFiles, path: str) -> str | None:
    """Address that holds the folder under a path, None if the folder's address ends otherwise."""
    address = join_url(files.store.uri, files.prefix).rstrip("/")
    if files.store.protocol == "file" and "://" not in address:
        address = Path(address).resolve().as_posix()
    path = path.strip("/")
    if not path or not address.endswith(f"/{path}"):
        return None
    return address.removesuffix(f"/{path}")


def _mask(kind: str, band: str, path: str) -> str:
    suffix = path.rpartition(".")[2]
    short = kind in _SHORT and suffix == "jp2"
    return f"qi/{'' if short else 'MSK_'}{kind}_{band.upper()}.{suffix}"


def _json(files: ProductFiles, name: str) -> dict[str, Any]:
    try:
        found = json.loads(files.read(name))
    except (ValueError, RecursionError) as error:
        raise InputError(
            "damaged metadata",
            where=files.url(name),
            found=str(error),
            fix="download the file again",
        ) from error
    return found if isinstance(found, dict) else {}

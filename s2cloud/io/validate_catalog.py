"""STAC items and static catalogs: fields, links, and agreement with the receipts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pystac

from s2cloud.model.errors import S2CloudError

if TYPE_CHECKING:
    from s2cloud.io.receipt import Receipt
    from s2cloud.io.stores import Store
    from s2cloud.io.validate_findings import Findings

__all__ = ["check_catalog", "check_item", "linked_products"]


def check_item(store: Store, path: str, receipt: Receipt, findings: Findings) -> None:
    """Compare a STAC item with the receipt of its product.

    Parameters
    ----------
    store
        Product folder.
    path
        The item.
    receipt
        The receipt.
    findings
        Where faults are noted.
    """
    try:
        item = pystac.Item.from_dict(json.loads(store.read(path)))
    except (ValueError, KeyError, TypeError, pystac.STACError, S2CloudError) as error:
        findings.add("schema", path, f"not a STAC item: {type(error).__name__} {error}")
        return
    findings.compare("schema", path, "id", receipt.product, item.id)
    if item.geometry is not None and item.bbox is None:
        findings.add("schema", path, "geometry without bbox")
    assets = {asset.key: asset for asset in receipt.assets if asset.key != "item"}
    for key in sorted(assets.keys() - item.assets.keys()):
        findings.add("schema", path, f"asset {key} of the receipt is missing")
    for key in sorted(item.assets.keys() - assets.keys()):
        findings.add("schema", path, f"asset {key} is not in the receipt")
    for key in sorted(assets.keys() & item.assets.keys()):
        known, fields = assets[key], item.assets[key].extra_fields
        where = f"{path}#{key}"
        href = item.assets[key].href
        findings.compare("link", where, "href", f"./{known.href}", href)
        checksum = f"1220{known.sha256}"
        findings.compare("schema", where, "file:checksum", checksum, fields.get("file:checksum"))
        findings.compare("schema", where, "file:size", known.size, fields.get("file:size"))
        if not known.dtype:
            continue
        findings.compare("schema", where, "data_type", known.dtype, fields.get("data_type"))
        stored = (fields.get("raster:scale", 1.0), fields.get("raster:offset", 0.0))
        findings.compare("offset", where, "scale, offset", (known.scale, known.offset), stored)
        if known.crs:
            transform = [*known.transform, 0.0, 0.0, 1.0]
            found = fields.get("proj:transform")
            findings.compare("georeference", where, "proj:transform", transform, found)


def check_catalog(store: Store, path: str, findings: Findings) -> None:
    """See that a catalog is one, and that its links lead somewhere.

    Parameters
    ----------
    store
        Folder of the catalog.
    path
        The catalog.
    findings
        Where faults are noted.
    """
    try:
        plain = json.loads(store.read(path))
        pystac.Catalog.from_dict(plain)
    except (ValueError, KeyError, TypeError, pystac.STACError, S2CloudError) as error:
        findings.add("schema", path, f"not a STAC catalog: {type(error).__name__} {error}")
        return
    for href in _item_links(plain):
        target = href.removeprefix("./")
        if "://" in target or target.startswith(("/", "../")):
            continue  # elsewhere, not part of this catalog
        try:
            found = json.loads(store.read(target)).get("id")
        except (ValueError, AttributeError, S2CloudError) as error:
            findings.add("link", path, f"link to {href} leads to no item: {type(error).__name__}")
            continue
        folder = target.rpartition("/")[0]
        if folder:
            findings.compare("link", path, f"id of {href}", folder.rpartition("/")[2], found)


def linked_products(store: Store, path: str) -> set[str]:
    """Folders below that the items of a catalog lie in; empty if it cannot be read."""
    try:
        links = _item_links(json.loads(store.read(path)))
    except (ValueError, S2CloudError):
        return set()
    folders = {href.removeprefix("./").rpartition("/")[0] for href in links}
    return {name for name in folders if name and "/" not in name and name != ".."}


def _item_links(plain: Any) -> list[str]:
    links = plain.get("links", []) if isinstance(plain, dict) else []
    return [str(link.get("href", "")) for link in links if link.get("rel") == "item"]

"""A static STAC catalog of many products: one file of links beside their folders."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pystac

from s2cloud.io.receipt import Receipt, read_receipt
from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from s2cloud.io.stores import Store

__all__ = ["CATALOG", "write_catalog"]

#: Name of the catalog in the folder that holds the product folders.
CATALOG: Final = "catalog.json"
_DESCRIPTION: Final = "Sentinel-2 Level-2A products made by s2cloud"


def write_catalog(
    destination: str | os.PathLike[str],
    products: Sequence[str] | None = None,
    *,
    title: str = "",
    storage_options: Mapping[str, Any] | None = None,
) -> pystac.Catalog:
    """Write ``catalog.json`` with a link to the STAC item of each complete product.

    Parameters
    ----------
    destination
        Folder that holds product folders, as ``s2cloud process`` makes them.
    products
        Names of the product folders; all below the destination by default.
    title
        Title of the catalog, the name of the folder by default.
    storage_options
        Options of the file system.

    Returns
    -------
    pystac.Catalog
        What was written. Links are relative: the folder can be moved as a whole.

    Raises
    ------
    UsageError
        If a named product has no receipt or no STAC item, or there is none at all.

    Notes
    -----
    A product without a receipt does not exist and gets no link. The catalog is written anew and
    whole each time, so it is always the state of one moment; products are sorted by name, which
    sorts them by unit and time.

    Examples
    --------
    >>> write_catalog("s3://bucket/l2a")  # doctest: +SKIP
    """
    store = open_store(str(destination), storage_options)
    wanted = sorted({name.strip("/") for name in products} if products else store.listdir())
    with ThreadPoolExecutor(store.concurrency) as pool:
        items = dict(zip(wanted, pool.map(lambda name: _item_of(store, name), wanted), strict=True))
    found = {name: item for name, item in items.items() if item is not None}
    missing = sorted(set(wanted) - set(found)) if products else []
    if missing or not found:
        raise UsageError(
            "no complete product with a STAC item",
            where=join_url(store.url(), missing[0]) if missing else store.url(),
            expected="product folders with a receipt and an item",
            found=", ".join(missing) or "none",
            fix="make the products with `s2cloud process` first",
        )
    name = store.url().rstrip("/").rpartition("/")[2] or "s2cloud"
    catalog = pystac.Catalog(
        id=name,
        description=f"{_DESCRIPTION}, {len(found)} of them.",
        title=title or name,
        catalog_type=pystac.CatalogType.SELF_CONTAINED,
    )
    catalog.add_links(
        [
            pystac.Link(
                pystac.RelType.ITEM, f"./{folder}/{item}", media_type="application/geo+json",
                title=folder,
            )
            for folder, item in found.items()
        ]
    )  # fmt: skip
    text = json.dumps(to_plain(catalog), indent=2) + "\n"
    store.write(CATALOG, text.encode())
    return catalog


def to_plain(catalog: pystac.Catalog) -> dict[str, Any]:
    """Content of the file: relative links, that to the root among them."""
    plain = catalog.to_dict(include_self_link=False, transform_hrefs=False)
    links = [link for link in plain["links"] if link["rel"] != "root"]
    root = {"rel": "root", "href": f"./{CATALOG}", "type": "application/json"}
    return {**plain, "links": [root, *links]}


def _item_of(store: Store, name: str) -> str | None:
    """Name of the item in a product folder; None if no product is complete there."""
    if name == CATALOG or name.startswith("."):
        return None
    receipt = read_receipt(store, f"{name}/{Receipt.name}")
    if receipt is None:
        return None
    return next((asset.href for asset in receipt.assets if asset.key == "item"), None)

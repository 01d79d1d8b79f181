"""Level-1C products named by STAC items: the address of the product behind the item's assets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import urljoin

from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url, public_url
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["as_item", "is_document", "item_address", "items_of", "read_document"]

#: Addresses of products in the addresses of their files, best first.
_FORMS: Final = (
    re.compile(r"^.*\.SAFE(?=/|$)"),
    re.compile(r"^.*\.zarr(?=/|$)"),
    re.compile(r"^.*/tiles/\d{1,2}/[A-Z]/[A-Z]{2}/\d{4}/\d{1,2}/\d{1,2}/\d+(?=/|$)"),
    re.compile(r"^.*(?=/(?:MTD_MSIL1C\.xml|manifest\.safe)$)"),
    re.compile(r"^.*\.zip$"),
)
#: Stores that are read in parts and without signing in by hand, before web servers.
_STORES: Final = ("s3://", "gs://", "abfs://", "az://", "file://", "/")


def is_document(address: str) -> bool:
    """Whether an address looks like that of a STAC document and not of a product."""
    path = address.partition("?")[0].rstrip("/")
    name = path.rsplit("/", 1)[-1]
    if name in {"tileInfo.json", "productInfo.json", "zarr.json"}:
        return False
    api = path.startswith(("http://", "https://")) and path.rsplit("/", 2)[-2:-1] == ["items"]
    return name.endswith((".json", ".geojson")) or api


def read_document(address: str, storage_options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """STAC item or collection of items from a file or URL.

    Raises
    ------
    InputError
        If it is no JSON document.
    """
    folder, name = parent_url(address)
    data = open_store(folder, storage_options).read(name)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _no_item(public_url(address), str(error)) from error
    if not isinstance(found, dict):
        raise _no_item(public_url(address), type(found).__name__)
    found["links"] = _links(found)
    if not any(link.get("rel") == "self" for link in found["links"]):
        here = address if "://" in address else Path(address).resolve().as_uri()
        found["links"].append({"rel": "self", "href": here})
    return found


def as_item(source: Any) -> dict[str, Any] | None:
    """Item as a dict from a dict or a `pystac.Item`, None for anything else."""
    if isinstance(source, dict):
        return source
    if hasattr(source, "assets") and hasattr(source, "to_dict"):
        # Nothing is fetched to make links absolute: they are resolved here.
        return dict(source.to_dict(transform_hrefs=False))
    return None


def items_of(document: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Items of a feature collection, or the item itself."""
    if document.get("type") == "FeatureCollection":
        yield from document.get("features") or ()
    elif document.get("type") == "Feature" and "assets" in document:
        yield dict(document)
    else:
        raise _no_item(name, str(document.get("type", "no type")))


def item_address(item: Mapping[str, Any]) -> str:
    """Address of the product that an item describes.

    Parameters
    ----------
    item
        STAC item of a Level-1C product: of Copernicus Data Space, Earth Search, the EOPF
        sample service, or any whose assets point to files of a product.

    Returns
    -------
    str
        Folder of a SAFE, a tile of the open data on AWS, a Zarr store or an archive; one in an
        object store where there is a choice.

    Raises
    ------
    InputError
        If the item is of another level, or no asset leads to a product.
    """
    name = str(item.get("id", "item without id"))
    if item.get("type") == "FeatureCollection":
        features = item.get("features")
        features = features if _is_list_of_objects(features) else []
        found = [str(each.get("id", "")) for each in features]
        if len(found) == 1:
            return item_address(features[0])
        raise InputError(
            "several items",
            where=_self(item) or name,
            expected="one item",
            found=f"{len(found)}" + (f", {found[0]} and others" if found else ""),
            fix="give one of them, or open all with iter_l1c",
        )
    if item.get("type") != "Feature" or "assets" not in item:
        raise _no_item(_self(item) or name, str(item.get("type", "no type")))
    if not _has_sound_assets(item):
        raise _no_item(_self(item) or name, "assets or properties that are no objects")
    _check_level(item, name)
    hrefs = list(_hrefs(item))
    for stores in (_STORES, ("",)):
        for form in _FORMS:
            for href in hrefs:
                found_at = form.match(href.partition("?")[0])
                if href.startswith(stores) and found_at:
                    # A signature belongs to the file it was made for.
                    whole = found_at[0] == href.partition("?")[0]
                    return href if whole else found_at[0]
    raise InputError(
        "no product behind the item",
        where=name,
        expected="an asset in a .SAFE, .zarr or .zip, or in a tile of sentinel-s2-l1c",
        found=", ".join(public_url(href) for href in hrefs[:3]) or "no assets",
        fix="take the item from a catalogue that links the product's files",
    )


def _hrefs(item: Mapping[str, Any]) -> Iterator[str]:
    base = _self(item)
    for key in sorted(item["assets"], key=lambda key: key.lower() not in {"product", "safe"}):
        asset = item["assets"][key]
        alternate = asset.get("alternate") or {}
        for kind, each in (("", asset), *(alternate.items())):
            href = str(each.get("href") or "")
            if kind == "s3" and href.startswith("/"):
                href = f"s3:/{href}"  # Copernicus Data Space: the bucket as a folder
            if href and not href.startswith("/") and "://" not in href and base:
                href = _absolute(base, href)
            if href:
                yield href


def _absolute(base: str, href: str) -> str:
    """Reference of an item relative to the item's own address."""
    if base.startswith(("http://", "https://", "file://")):
        joined = urljoin(base, href)
        return joined.removeprefix("file://") if joined.startswith("file:///") else joined
    folder, _ = parent_url(base)
    parts = folder.split("/")
    for step in href.split("/"):
        if step == "..":
            parts.pop()
        elif step not in {"", "."}:
            parts.append(step)
    return "/".join(parts)


def _self(item: Mapping[str, Any]) -> str:
    own = (str(link.get("href", "")) for link in _links(item) if link.get("rel") == "self")
    return next(own, "")


def _links(item: Mapping[str, Any]) -> list[Any]:
    links = item.get("links")
    return list(links) if _is_list_of_objects(links) else []


def _is_list_of_objects(value: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    return isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value)


def _has_sound_assets(item: Mapping[str, Any]) -> bool:
    assets, properties = item["assets"], item.get("properties") or {}
    if not (isinstance(assets, Mapping) and isinstance(properties, Mapping)):
        return False
    alternates = [
        asset.get("alternate") or {} for asset in assets.values() if isinstance(asset, Mapping)
    ]
    return len(alternates) == len(assets) and all(
        isinstance(each, Mapping) and _is_list_of_objects(list(each.values()))
        for each in alternates
    )


def _check_level(item: Mapping[str, Any], name: str) -> None:
    properties = item.get("properties") or {}
    keys = ("processing:level", "s2:product_type", "product:type", "productType")
    levels = [str(properties[key]) for key in keys if properties.get(key)]
    if "MSIL2A" in name or any("2A" in level.upper() for level in levels):
        raise InputError(
            "item of a Level-2A product",
            where=name,
            expected="Level-1C",
            found=next(iter(levels), name),
            fix="search the L1C collection; Level-2A is corrected already",
        )


def _no_item(name: str, found: str) -> InputError:
    return InputError(
        "not a STAC item",
        where=name,
        expected="a GeoJSON feature with assets",
        found=found,
        fix="give the address of an item, or of the product itself",
    )

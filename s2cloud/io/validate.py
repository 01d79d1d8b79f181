"""Check written products against their receipts: files, structure, georeference, meaning."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.catalog import CATALOG
from s2cloud.io.checksums import SUFFIX, folder_digest, is_passing, parse_checksums
from s2cloud.io.receipt import Layout, Receipt, read_receipt
from s2cloud.io.stores import open_store
from s2cloud.io.validate_catalog import check_catalog, check_item, linked_products
from s2cloud.io.validate_findings import Findings, Validation
from s2cloud.io.validate_rasters import check_raster
from s2cloud.io.validate_safe import check_safe
from s2cloud.io.validate_zarr import check_zarr
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from s2cloud.io.receipt import Asset
    from s2cloud.io.stores import FileInfo, Store

__all__ = ["validate"]

#: Files beside a product that are made from it and are not part of it.
BESIDE: Final = frozenset({"report.html", CATALOG})
#: Bytes read at a time; a file larger than this is never held whole for its checksum alone.
_STEP: Final = 16_777_216


def validate(
    destination: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    checksums: bool = True,
) -> Validation:
    """Check a product, a folder of products, or a static catalog.

    Parameters
    ----------
    destination
        Product folder, ``.zarr`` address, folder of product folders, or ``catalog.json``.
    storage_options
        Options of the file system.
    checksums
        Whether to read every byte and compare checksums; otherwise only lengths are compared
        and headers read.

    Returns
    -------
    Validation
        Its ``findings`` name each missing, damaged and unknown file, and each contradiction
        between the files and the receipt.

    Notes
    -----
    Checked are: the receipt; existence, length and SHA-256 of every file and of every object of
    a folder (Zarr, SAFE); size, type, reference system, transform, scale, offset and no-data of
    every raster; layout of GeoTIFFs; groups, arrays, attributes, coordinates and consolidated
    metadata of a Zarr store; manifest, names, offsets and geocoding of a SAFE product; fields and
    links of the STAC item and of catalogs.

    Examples
    --------
    >>> validate("memory://nothing/here").ok
    False
    """
    address = str(destination)
    checker = _Checker(dict(storage_options or {}), checksums)
    if address.rstrip("/").endswith(f"/{CATALOG}") or address == CATALOG:
        address = address.rstrip("/").removesuffix(CATALOG).rstrip("/") or "."
    layout = Layout.of(address)
    store = open_store(layout.root, storage_options)
    if layout.receipt != Receipt.name or store.exists(layout.receipt):
        checker.product(store, layout, "")
    else:
        checker.folder(store, address)
    findings = sorted(checker.findings.found, key=lambda f: (f.level != "error", f.where))
    return Validation(
        destination=store.url(),
        products=tuple(checker.products),
        files=checker.files,
        size=checker.size,
        findings=tuple(findings),
    )


@dataclass(slots=True)
class _Checker:
    options: dict[str, Any]
    checksums: bool
    findings: Findings = field(default_factory=Findings)
    products: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0

    def folder(self, store: Store, address: str) -> None:
        """Products one level below, and the catalog that lists them."""
        names = {name for name in store.listdir() if _is_there(store, f"{name}/{Receipt.name}")}
        if store.exists(CATALOG):
            names |= linked_products(store, CATALOG)
            check_catalog(store, CATALOG, self.findings)
            self.files += 1
        if not names:
            self.findings.add("receipt", Receipt.name, "no receipt: no complete product here")
        for name in sorted(names):
            below = open_store(f"{address.rstrip('/')}/{name}", self.options)
            self.findings.prefix = f"{name}/"
            self.product(below, Layout.of(below.uri), name)
            self.findings.prefix = ""

    def product(self, store: Store, layout: Layout, name: str) -> None:
        """One product."""
        self.products.append(name or layout.root.rstrip("/").rpartition("/")[2])
        try:
            receipt = read_receipt(store, layout.receipt)
        except InputError as error:
            self.findings.add("receipt", layout.receipt, f"unreadable receipt, {error.found}")
            return
        if receipt is None:
            self.findings.add(
                "receipt", layout.receipt, "no receipt: the product was never completed"
            )
            return
        self.products[-1] = receipt.product
        listing = store.find()
        alone = layout.receipt == Receipt.name
        for asset in receipt.assets:
            self._asset(store, receipt, asset, listing)
        self._extra(receipt, layout, listing, alone=alone)

    def _asset(
        self, store: Store, receipt: Receipt, asset: Asset, listing: Mapping[str, FileInfo]
    ) -> None:
        prefix = f"{asset.href}/"
        inside = {
            path[len(prefix) :]: info for path, info in listing.items() if path.startswith(prefix)
        }
        if asset.href in listing:
            self._file(store, asset, listing[asset.href])
        elif inside and _is_folder(asset):
            self._folder(store, receipt, asset, inside)
        else:
            self.findings.add("missing", asset.href, f"asset {asset.key} is not there")
            return
        if asset.href.endswith(".zarr"):
            check_zarr(store, asset, receipt, inside, self.findings)
        elif asset.href.endswith(".SAFE"):
            check_safe(store, asset, receipt, inside, self.findings)
        elif asset.dtype:
            check_raster(store, asset.href, asset, self.findings)
        elif asset.key == "item":
            check_item(store, asset.href, receipt, self.findings)

    def _file(self, store: Store, asset: Asset, info: FileInfo) -> None:
        self.files += 1
        self.size += info.size
        if info.size != asset.size:
            self.findings.add(
                "damaged", asset.href, f"expected {asset.size} bytes, found {info.size}"
            )
        elif self.checksums and (found := _sha256(store, asset.href, info.size)) != asset.sha256:
            self.findings.add(
                "damaged", asset.href, f"expected SHA-256 {asset.sha256}, found {found}"
            )

    def _folder(
        self, store: Store, receipt: Receipt, asset: Asset, inside: Mapping[str, FileInfo]
    ) -> None:
        """Every object of a folder, by the list of checksums beside it."""
        inside = {path: info for path, info in inside.items() if not is_passing(path)}
        self.files += len(inside)
        size = sum(info.size for info in inside.values())
        self.size += size
        expected = self._listed(store, receipt, asset)
        if expected is not None:
            for path in sorted(expected.keys() - inside.keys()):
                self.findings.add("missing", f"{asset.href}/{path}", "object is not there")
            for path in sorted(inside.keys() - expected.keys()):
                self.findings.add("extra", f"{asset.href}/{path}", "object is not in the receipt")
        if self.checksums:
            found = self._sums(store, asset.href, inside)
            if expected is not None:
                for path in sorted(expected.keys() & found.keys()):
                    if expected[path] != found[path]:
                        self.findings.add(
                            "damaged",
                            f"{asset.href}/{path}",
                            f"expected SHA-256 {expected[path]}, found {found[path]}",
                        )
            elif folder_digest(found) != asset.sha256:
                self.findings.add("damaged", asset.href, "an object changed, came or went")
        elif size != asset.size:
            self.findings.add("damaged", asset.href, f"expected {asset.size} bytes, found {size}")

    def _listed(self, store: Store, receipt: Receipt, asset: Asset) -> dict[str, str] | None:
        """Checksums of the objects of a folder; None without a list that can be believed."""
        href = asset.href + SUFFIX
        if href not in {one.href for one in receipt.assets}:
            return None
        try:
            listed = parse_checksums(store.read(href), store.url(href))
        except InputError:
            return None  # said of the list itself
        return listed if folder_digest(listed) == asset.sha256 else None

    def _sums(self, store: Store, folder: str, inside: Mapping[str, FileInfo]) -> dict[str, str]:
        with ThreadPoolExecutor(store.concurrency) as pool:
            sums = pool.map(
                lambda path: _sha256(store, f"{folder}/{path}", inside[path].size), inside
            )
            return dict(zip(inside, sums, strict=True))

    def _extra(
        self, receipt: Receipt, layout: Layout, listing: Mapping[str, FileInfo], *, alone: bool
    ) -> None:
        """Files that the receipt does not know; beside a bare ``.zarr`` they are none of ours."""
        if not alone:
            return
        hrefs = tuple(asset.href for asset in receipt.assets)
        for path in sorted(listing):
            known = path in hrefs or path == layout.receipt or path in BESIDE or is_passing(path)
            if known or path.startswith(tuple(f"{href}/" for href in hrefs)):
                continue
            if path.startswith("progress/"):
                what = "trace of a run that is at work or was killed"
            else:
                what = "file is not in the receipt"
            self.findings.add("extra", path, what, level="warning")


def _is_folder(asset: Asset) -> bool:
    return asset.href.endswith((".zarr", ".SAFE"))


def _sha256(store: Store, path: str, size: int) -> str:
    digest = hashlib.sha256()
    for start in range(0, max(size, 1), _STEP):
        stop = min(start + _STEP, size)
        digest.update(store.read(path, start, stop) if size > _STEP else store.read(path))
    return digest.hexdigest()


def _is_there(store: Store, path: str) -> bool:
    try:
        return store.exists(path)
    except InputError:  # below a file, which is no folder
        return False

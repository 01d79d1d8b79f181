"""Open a Level-1C product wherever it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from s2cloud.io.eopf import read_eopf
from s2cloud.io.safe import read_granule_folder, read_safe
from s2cloud.io.safe_files import ProductFiles
from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url, public_url
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from s2cloud.io.stores import Store

__all__ = ["open_l1c"]

_PRODUCT = "MTD_MSIL1C.xml"
_TILE_FILES = ("MTD_TL.xml", "metadata.xml")
_ZARR_FILES = (".zattrs", "zarr.json", ".zmetadata")


def open_l1c(
    uri: str | os.PathLike[str],
    *,
    bbox: tuple[float, float, float, float] | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Open a Level-1C product lazily.

    Parameters
    ----------
    uri
        Folder of a SAFE product, a ``.zip`` of one, its ``MTD_MSIL1C.xml`` or
        ``manifest.safe``, or the folder of a bare granule; a local path or any URL of fsspec,
        also chained (``zip://name.SAFE::s3://bucket/name.zip``).
    bbox
        West, south, east, north. [degree] Band arrays then cover only this window, extended
        to whole 60 m pixels; the overview still covers the tile.
    storage_options
        Options of the fsspec file system, such as ``{"endpoint_url": ...}``.

    Returns
    -------
    DataTree
        Counts under ``measurements/reflectance/r10m`` (``r20m``, ``r60m``), all bands at 60 m
        under ``measurements/overview/r60m``, angles, meteorology and masks under
        ``conditions`` and ``quality``. Only metadata has been read.

    Raises
    ------
    InputError
        If there is no readable Level-1C product, with what to do about it.
    UnavailableError
        If the store does not answer or refuses.

    Examples
    --------
    >>> l1c = open_l1c("S2B_MSIL1C_20250113T103309_N0511_R108_T32TLQ.SAFE")  # doctest: +SKIP
    >>> l1c["measurements/reflectance/r10m/b04"].mean().compute()  # doctest: +SKIP
    """
    address = os.fspath(uri)
    root = _root_of(address)
    store = open_store(root, storage_options)
    prefix, names = _locate(store, "")
    files = ProductFiles.listed(store, prefix)
    shown = public_url(address)
    if not files.found or _PRODUCT in files.found:
        return read_safe(files, bbox=bbox, uri=shown)
    metadata = next((name for name in _TILE_FILES if name in files.found), None)
    if metadata is not None:
        return read_granule_folder(files, metadata, bbox=bbox, uri=shown)
    if any(name in files.found for name in _ZARR_FILES):
        return read_eopf(files, uri=shown)
    raise _refusal(files, names)


def _root_of(address: str) -> str:
    """Folder of a product from the address of one of its files."""
    folder, name = parent_url(address)
    if name.startswith("MTD_MSIL2A"):
        raise _is_l2a(public_url(address))
    if name in {_PRODUCT, "manifest.safe", "metadata.xml", "tileInfo.json"}:
        return folder
    if name == "MTD_TL.xml":
        # The product around the granule says more: baseline, offsets, irradiance.
        above, granules = parent_url(parent_url(folder)[0])
        return above if granules == "GRANULE" else folder
    return address


def _locate(store: Store, prefix: str) -> tuple[str, list[str]]:
    """Path of the product in a store, which may be one folder further down."""
    names = store.listdir(prefix)
    if not names:
        return prefix, names
    here = {_PRODUCT, *_TILE_FILES, *_ZARR_FILES, "GRANULE"}
    if here.intersection(names) or any(name.startswith("MTD_MSIL2A") for name in names):
        return prefix, names
    inside = [name for name in names if name.endswith((".SAFE", ".zarr"))]
    if not inside and len(names) == 1:
        inside = names
    if len(inside) > 1:
        raise InputError(
            "several products",
            where=store.url(prefix),
            expected="one product",
            found=f"{len(inside)}, {inside[0]} and others",
            fix="give the address of one of them",
        )
    if not inside:
        return prefix, names
    below = f"{prefix}/{inside[0]}" if prefix else inside[0]
    return _locate(store, below) if below.count("/") < 3 else (below, names)


def _refusal(files: ProductFiles, names: list[str]) -> InputError:
    if any(path.rsplit("/", 1)[-1].startswith("MTD_MSIL2A") for path in files.found):
        return _is_l2a(files.url())
    if any(path.startswith("GRANULE/") for path in files.found):
        return InputError(
            "product metadata missing",
            where=files.url(_PRODUCT),
            expected=_PRODUCT,
            found=", ".join(names[:6]),
            fix="download the product again, with its MTD_MSIL1C.xml",
        )
    return InputError(
        "no Level-1C product",
        where=files.url(),
        expected=f"a SAFE folder with {_PRODUCT}",
        found=", ".join(names[:6]) or "nothing",
        fix="give the .SAFE folder, its .zip or a granule folder",
    )


def _is_l2a(name: str) -> InputError:
    return InputError(
        "this is a Level-2A product",
        where=name,
        expected="Level-1C",
        found="Level-2A",
        fix="give the L1C product of this acquisition; Level-2A is corrected already",
    )

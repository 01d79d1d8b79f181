"""Open a Level-1C product wherever it is and however it is laid out."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from s2cloud.io import stac_input
from s2cloud.io.aws_layout import PRODUCT_INFO, TILE_INFO, read_aws_product, read_granule_folder
from s2cloud.io.part import MARGIN, Statistics, part_of
from s2cloud.io.safe import read_safe
from s2cloud.io.safe_files import ProductFiles
from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url, public_url
from s2cloud.model.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from s2cloud.io.part import Part
    from s2cloud.io.stores import Store

__all__ = ["open_l1c"]

_PRODUCT = "MTD_MSIL1C.xml"
_TILE_FILES = ("MTD_TL.xml", "metadata.xml")
_ZARR_FILES = (".zattrs", "zarr.json", ".zmetadata")
#: What tells the layout of a folder, in the order of precedence.
_SIGNS = (_PRODUCT, PRODUCT_INFO, *_TILE_FILES, TILE_INFO, *_ZARR_FILES)


def open_l1c(
    source: Any,
    *,
    bbox: tuple[float, float, float, float] | None = None,
    bbox_crs: str = "EPSG:4326",
    geometry: Any = None,
    margin: float = MARGIN,
    statistics: Statistics = "tile",
    finest: Literal[10, 20, 60] = 10,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Open a Level-1C product lazily.

    Parameters
    ----------
    source : str, PathLike, dict or pystac.Item
        A local path or any URL of fsspec, also chained
        (``zip://name.SAFE::s3://bucket/name.zip``), of

        - the folder of a SAFE product, as in Copernicus Data Space (``s3://eodata/...``) and
          Google's bucket, a ``.zip`` of one, its ``MTD_MSIL1C.xml`` or ``manifest.safe``;
        - a tile or a product of the open data on AWS (``s3://sentinel-s2-l1c/tiles/...``), or
          the folder of any bare granule;
        - a Zarr store of EOPF, version 2 or 3;
        - a STAC item, by its address, as a dict or a `pystac.Item`.
    bbox
        West, south, east, north of the part that is wanted. In degrees east may be less than
        west: the box then crosses the date line.
    bbox_crs
        Reference system of `bbox`, and of a `geometry` that names none.
    geometry
        GeoJSON file (path or URL), GeoJSON dict or text, or anything with
        ``__geo_interface__``: its bounds on the grid of the tile are read. Pixels beside it are
        not masked here, for neighbourhood steps need them; see `select`. With `bbox`, what is
        in both.
    margin
        Surroundings to read with a part, so that the neighbourhood steps of `process` see there
        what they see in the whole tile. [m] The part itself is in the attribute ``region``, and
        `cut_to_region` cuts to it.
    statistics
        ``tile``: the statistics over the scene (aerosol, water vapour, clouds) come from the
        whole tile at reduced resolution, so that a part has the same pixels as the whole;
        ``region``: from the part with its margin alone, which reads less.
    finest
        Finest pixels that are wanted, 10, 20 or 60. [m] Finer bands of a whole tile then come from
        the low resolutions in their JPEG 2000 files: half of the time for 20, a twentieth for 60.
        Such a pixel is the low-pass of a wavelet at its centre, not the mean of the pixels below;
        the tree says so. At 60 there are no footprints of detectors, so that corrections take the
        mean of their directions. Parts of a tile, and layouts without JPEG 2000, are read in full.
    storage_options
        Options of the fsspec file system, such as ``{"endpoint_url": ...}`` or
        ``{"requester_pays": True}``.

    Returns
    -------
    DataTree
        Counts under ``measurements/reflectance/r10m`` (``r20m``, ``r60m``), all bands at 60 m
        under ``measurements/overview/r60m``, angles, meteorology and masks under
        ``conditions`` and ``quality``. Only metadata has been read. A part is extended to whole
        60 m pixels, at least two by two.

    Raises
    ------
    InputError
        If there is no readable Level-1C product, or the part lies outside of it.
    UnavailableError
        If the store does not answer or refuses.
    UsageError
        If a reference system or a choice is not known.

    Examples
    --------
    >>> l1c = open_l1c("S2B_MSIL1C_20250113T103309_N0511_R108_T32TLQ.SAFE")  # doctest: +SKIP
    >>> l1c["measurements/reflectance/r10m/b04"].mean().compute()  # doctest: +SKIP
    """
    part = replace(part_of(bbox, bbox_crs, geometry, margin, statistics), finest=_checked(finest))
    item = stac_input.as_item(source)
    if item is None and not isinstance(source, str | os.PathLike):
        raise UsageError(
            "not an input",
            where=type(source).__name__,
            expected="an address, a STAC item as dict or pystac.Item",
            fix="see open_l1c; lists and searches go to iter_l1c",
        )
    address = "" if item is not None else str(os.fspath(source))
    if item is None and stac_input.is_document(address):
        item = stac_input.read_document(address, storage_options)
    if item is not None:
        address = stac_input.item_address(item)
    root = _root_of(address)
    store = open_store(root, storage_options)
    prefix, names = _locate(store, "")
    return _read(ProductFiles.listed(store, prefix), names, part, public_url(address))


def _checked(finest: int) -> int:
    if finest not in (10, 20, 60):
        raise UsageError("no such pixel size", where=repr(finest), expected="10, 20 or 60")
    return finest


def _read(files: ProductFiles, names: list[str], part: Part, uri: str) -> xr.DataTree:
    """Tree of a folder, by the reader of its layout."""
    # Without a listing (HTTP) each sign is asked for.
    signs = files.infos(_SIGNS)
    if _PRODUCT in signs or not (signs or files.found):
        return read_safe(files, part=part, uri=uri)
    if PRODUCT_INFO in signs:
        return read_aws_product(files, part=part, uri=uri)
    metadata = next((name for name in _TILE_FILES if name in signs), None)
    if metadata is not None or TILE_INFO in signs:
        return read_granule_folder(files, metadata or "metadata.xml", part=part, uri=uri)
    if any(name in signs for name in _ZARR_FILES):
        # Zarr takes a quarter of a second to load, and only this layout needs it.
        from s2cloud.io.eopf import read_eopf  # noqa: PLC0415

        return read_eopf(files, part=part, uri=uri)
    raise _refusal(files, names)


def _root_of(address: str) -> str:
    """Folder of a product from the address of one of its files."""
    folder, name = parent_url(address)
    if name.startswith("MTD_MSIL2A"):
        raise _is_l2a(public_url(address))
    if name in {_PRODUCT, "manifest.safe", "metadata.xml", TILE_INFO, PRODUCT_INFO}:
        return folder
    if name in _ZARR_FILES:
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
    here = {*_SIGNS, "GRANULE"}
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
        expected=f"a SAFE folder with {_PRODUCT}, a tile with metadata.xml, or EOPF Zarr",
        found=", ".join(names[:6]) or "nothing",
        fix="give the folder, the .zip, the tile or the Zarr store of the product",
    )


def _is_l2a(name: str) -> InputError:
    return InputError(
        "this is a Level-2A product",
        where=name,
        expected="Level-1C",
        found="Level-2A",
        fix="give the L1C product of this acquisition; Level-2A is corrected already",
    )

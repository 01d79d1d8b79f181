"""Whether all of a product is there, before anything is started on a part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from s2cloud.io.stores import FileInfo, Store
    from s2cloud.service.products import Candidate

__all__ = ["Completeness", "completeness"]

_MANIFEST: Final = "manifest.safe"
_PRODUCT: Final = "MTD_MSIL1C.xml"
_TILE: Final = "MTD_TL.xml"
_ZARR: Final = ("zarr.json", ".zmetadata")
#: Metadata of a product; longer ones are none.
_LONGEST: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is there of a product.

    Attributes
    ----------
    missing
        What is known to be missing, in words; empty if nothing is.
    certain
        Whether nothing more can come: a manifest named every file. Without one, the product is
        complete when `state` has not changed for a while.
    state
        Changes when a file is added or grows.
    """

    missing: str
    certain: bool
    state: tuple[int, int]


def completeness(candidate: Candidate, options: Mapping[str, Any]) -> Completeness:
    """See what is there of a product; one listing, and its manifest or metadata.

    Parameters
    ----------
    candidate
        Product.
    options
        Options of the file system.

    Raises
    ------
    UnavailableError
        If the store does not answer.

    Notes
    -----
    ``manifest.safe`` names all files of a SAFE with their sizes and is certain. Without it, the
    product's metadata name the images, and those of the granule must be there. A tile of the open
    data on AWS needs ``tileInfo.json``, ``metadata.xml`` and 13 bands; a Zarr hierarchy its
    consolidated metadata, for chunks that are missing are fill values by its rules.
    """
    if candidate.kind == "zip":
        return _archive(candidate, options)
    store = open_store(candidate.url, options)
    files = store.find()
    state = (len(files), sum(info.size for info in files.values()))
    if candidate.kind == "safe" and _MANIFEST in files:
        return Completeness(_missing_of_manifest(store, files), certain=True, state=state)
    if candidate.kind == "safe":
        missing = _missing_of_metadata(store, files)
    elif candidate.kind == "tile":
        missing = _missing_of_tile(files)
    else:
        missing = "" if any(name in files for name in _ZARR) else " or ".join(_ZARR)
    return Completeness(missing, certain=False, state=state)


def _archive(candidate: Candidate, options: Mapping[str, Any]) -> Completeness:
    folder, name = parent_url(candidate.url)
    try:
        size = open_store(folder, options).info(name).size
    except InputError:
        return Completeness(name, certain=False, state=(0, 0))
    try:
        # The directory is at the end of an archive: one that is being copied has none.
        found = bool(open_store(candidate.url, options).find())
    except InputError:
        found = False
    return Completeness("" if found else "end of the archive", certain=found, state=(1, size))


def _missing_of_manifest(store: Store, files: Mapping[str, FileInfo]) -> str:
    try:
        root = fromstring(_text(store, files, _MANIFEST))
    except (ParseError, DefusedXmlException):
        return f"the end of {_MANIFEST}"
    lacking, partial = [], []
    for stream in root.iter("byteStream"):
        location = stream.find("fileLocation")
        path = "" if location is None else str(location.get("href", "")).removeprefix("./")
        if not path:
            continue
        info = files.get(path)
        size = stream.get("size", "")
        if info is None:
            # Stores do not keep what is empty.
            if size != "0":
                lacking.append(path)
        elif size.isdigit() and info.size != int(size):
            partial.append(f"{path} ({info.size} of {size} bytes)")
    return _words(lacking + partial)


def _missing_of_metadata(store: Store, files: Mapping[str, FileInfo]) -> str:
    if _PRODUCT not in files:
        return f"{_MANIFEST} and {_PRODUCT}"
    try:
        root = fromstring(_text(store, files, _PRODUCT))
    except (ParseError, DefusedXmlException):
        return f"the end of {_PRODUCT}"
    images = [str(e.text).strip() for e in root.iter("IMAGE_FILE")]
    images += [str(e.text).strip() for e in root.iter("IMAGE_ID")]
    lacking = [
        image
        for image in images
        if not any(path.endswith(f"{image}.jp2") and info.size for path, info in files.items())
    ]
    if not any(path.endswith(f"/{_TILE}") for path in files):
        lacking.append(_TILE)
    return _words(lacking) if images else "names of images"


def _missing_of_tile(files: Mapping[str, FileInfo]) -> str:
    wanted = ["tileInfo.json", "metadata.xml", *(f"{BAND_INFO[b].esa_name}.jp2" for b in BANDS)]
    return _words([name for name in wanted if name not in files])


def _text(store: Store, files: Mapping[str, FileInfo], name: str) -> bytes:
    if files[name].size > _LONGEST:
        raise InputError(
            "metadata too long", where=store.url(name), found=f"{files[name].size} bytes"
        )
    # The encoding is ours to say: a byte order mark before it is common.
    return re.sub(rb"^\xef\xbb\xbf", b"", store.read(name))


def _words(missing: list[str]) -> str:
    if len(missing) <= 3:
        return ", ".join(missing)
    return f"{', '.join(missing[:3])} and {len(missing) - 3} more"

"""Many inputs from one: lists of addresses, collections of STAC items, searches."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from s2cloud.io import stac_input
from s2cloud.io.open import open_l1c
from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url, public_url
from s2cloud.model.errors import InputError, S2CloudError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

__all__ = ["find_l1c", "iter_l1c", "search_l1c"]

logger = logging.getLogger(__name__)


def find_l1c(source: Any, *, storage_options: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Inputs that a list, a collection or a search names, one after the other.

    Parameters
    ----------
    source
        A text file (``.txt``, ``.lst``) with one address per line, ``#`` starting a comment; a
        STAC item or collection of items as file, URL, dict or `pystac` object; a search of
        ``pystac_client``; a sequence of any of these; or one address of a product.
    storage_options
        Options of the file system of files named here.

    Yields
    ------
    str
        Addresses for `open_l1c` or a job.

    Raises
    ------
    InputError
        If a list is empty or a document is none of STAC.

    Examples
    --------
    >>> list(find_l1c(["a.SAFE", "b.SAFE"]))
    ['a.SAFE', 'b.SAFE']
    """
    if isinstance(source, str | os.PathLike):
        address = os.fspath(source)
        if address.partition("?")[0].lower().endswith((".txt", ".lst")):
            yield from _lines(address, storage_options)
        elif stac_input.is_document(address):
            yield from find_l1c(stac_input.read_document(address, storage_options))
        else:
            yield address
    elif isinstance(source, Mapping):
        for each in stac_input.items_of(source, "STAC document"):
            yield stac_input.item_address(each)
    elif (item := stac_input.as_item(source)) is not None:
        yield stac_input.item_address(item)
    elif callable(found := getattr(source, "items", None)) or isinstance(found, list | tuple):
        # A search of pystac_client, or an item collection.
        for each in found() if callable(found) else found:
            yield from find_l1c(each)
    elif isinstance(source, Iterable):
        for each in source:
            yield from find_l1c(each, storage_options=storage_options)
    else:
        raise UsageError(
            "not an input",
            where=type(source).__name__,
            expected="an address, a list of them, STAC items or a search",
            fix="see find_l1c",
        )


def iter_l1c(
    source: Any,
    *,
    on_error: Literal["raise", "skip"] = "raise",
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[xr.DataTree]:
    """Open many Level-1C products, one after the other, each when it is asked for.

    Parameters
    ----------
    source
        As in `find_l1c`.
    on_error
        ``skip`` logs products that cannot be opened as errors and goes on.
    storage_options, **options
        As in `open_l1c`.

    Yields
    ------
    DataTree

    Examples
    --------
    >>> for l1c in iter_l1c("tiles.txt"):  # doctest: +SKIP
    ...     to_cog(process(l1c), "s3://bucket/l2a")
    """
    for address in find_l1c(source, storage_options=storage_options):
        try:
            tree = open_l1c(address, storage_options=storage_options, **options)
        except S2CloudError as error:
            if on_error == "raise" or isinstance(error, UsageError):
                raise
            logger.error("skipped: %s", error)  # noqa: TRY400  # one line, as told to the user
            continue
        yield tree


def search_l1c(url: str, **query: Any) -> Any:
    """Search a STAC API for Level-1C products.

    Parameters
    ----------
    url
        Address of the API.
    **query
        What `pystac_client.Client.search` takes: ``bbox``, ``datetime``, ``query``,
        ``max_items``, ``collections`` (by default ``sentinel-2-l1c``).

    Returns
    -------
    pystac_client.ItemSearch
        For `iter_l1c` and `find_l1c`; nothing is fetched before.

    Raises
    ------
    UsageError
        Without ``s2cloud[stac]``.

    Examples
    --------
    >>> search = search_l1c(
    ...     "https://earth-search.aws.element84.com/v1",
    ...     bbox=(11.0, 46.0, 11.2, 46.2),
    ...     datetime="2025-06-01/2025-06-30",
    ... )  # doctest: +SKIP
    >>> for l1c in iter_l1c(search, storage_options={"requester_pays": True}):  # doctest: +SKIP
    ...     print(l1c.attrs["granule"]["name"])
    """
    try:
        import pystac_client  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "no client for STAC searches",
            where=public_url(url),
            expected="pystac-client",
            fix="pip install 's2cloud[stac]'",
        ) from error
    client = pystac_client.Client.open(url)
    return client.search(**{"collections": ["sentinel-2-l1c"], **query})


def _lines(address: str, storage_options: Mapping[str, Any] | None) -> Iterator[Any]:
    folder, name = parent_url(address)
    text = open_store(folder, storage_options).read(name).decode("utf-8-sig")
    # Fragments of URLs are no comments: a comment starts a line, or follows a space.
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(
            "empty list of products",
            where=public_url(address),
            expected="one address per line",
            found="nothing",
            fix="check the program that wrote it",
        )
    for line in lines:
        relative = "://" not in line and not Path(line).is_absolute()
        near = "://" not in address
        # Paths in a list are relative to where the program runs, as in a shell.
        address_of = line if near or not relative else f"{folder}/{line}"
        yield from find_l1c(address_of, storage_options=storage_options)

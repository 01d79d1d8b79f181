"""Addresses: paths, URLs and chains of URLs as text. No file is touched here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from s2cloud.io.transport import connections, driver_options

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "join_url",
    "parent_url",
    "protocol_of",
    "public_url",
    "transport_options",
    "with_archive",
    "without_query",
]

_OBJECT_STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az"})


def join_url(uri: str, path: str) -> str:
    """Address of ``path`` below ``uri``; in a chain below its first element."""
    if not path:
        return uri
    head, separator, rest = with_archive(uri).partition("::")
    head, query = without_query(head)
    slash = "" if head.endswith("/") else "/"
    return f"{head}{slash}{path.strip('/')}{query}{separator}{rest}"


def parent_url(uri: str) -> tuple[str, str]:
    """Address of the folder that holds ``uri``, and the name in it."""
    head, separator, rest = uri.partition("::")
    head, query = without_query(head)
    folder, slash, name = head.rstrip("/").rpartition("/")
    if slash and (folder.endswith(":/") or not folder):
        folder += "/"
    return (f"{folder or '.'}{query}{separator}{rest}", name)


def public_url(uri: str) -> str:
    """Address without user names, passwords and signatures."""
    parts = []
    for part in uri.split("::"):
        bare, _ = without_query(part)
        parts.append(re.sub(r"^([a-z0-9+]+://)[^/@]*@(?=[^/])", r"\1", bare))
    return "::".join(parts)


def with_archive(uri: str) -> str:
    """Chained form of the address of a ``.zip`` file; other addresses unchanged."""
    archive = without_query(uri)[0].lower().endswith(".zip")
    return f"zip://::{uri}" if archive and not uri.startswith("zip://") else uri


def without_query(uri: str) -> tuple[str, str]:
    """Address and query string of an HTTP URL."""
    if uri.startswith(("http://", "https://")) and "?" in uri and "::" not in uri:
        bare, _, query = uri.partition("?")
        return bare, f"?{query}"
    return uri, ""


def protocol_of(uri: str) -> str:
    """Protocol of the first link of a chain, ``file`` for local paths."""
    head = with_archive(uri).partition("::")[0]
    return head.partition("://")[0] if "://" in head else "file"


def transport_options(chain: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for fsspec from options that are meant for the transport of a chain.

    Parameters
    ----------
    chain
        Address whose last link is the transport: the object store, server or disk.
    given
        Options of the transport, or dicts of options by protocol.
    """
    protocols = [protocol_of(f"{link}#") for link in chain.split("::")]
    last = protocols[-1]
    by_protocol = any(isinstance(given.get(name), dict) for name in (*protocols, "zip"))
    options = dict(cast("dict[str, Any]", given.get(last, {}) if by_protocol else given))
    if last in _OBJECT_STORES:
        # A cached listing would hide what another process wrote a second ago.
        options.setdefault("use_listings_cache", False)
    if last in {"s3", "s3a"}:
        options = driver_options(options, connections(chain, options))
    if len(protocols) == 1:
        return options
    nested = {name: given[name] for name in protocols[:-1] if by_protocol and name in given}
    return {**nested, last: options}

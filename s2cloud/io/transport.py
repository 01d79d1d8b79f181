"""How object stores are asked: connections, time limits and attempts of the drivers below us."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONNECTIONS", "connections", "driver_options", "single_attempts"]

#: Simultaneous requests that one process makes to one endpoint.
CONNECTIONS: Final = 16
#: Servers that answer more with "429 Too Many Requests": the free tier of Copernicus Data Space
#: allows four connections.
LIMITED: Final = {"dataspace.copernicus.eu": 4}
#: Changes these numbers: ``8`` for all endpoints, ``host=2`` for those whose address or options
#: hold a text, several with commas.
VARIABLE: Final = "S2CLOUD_STORE_CONNECTIONS"

#: Wait for a connection, and for the next byte of an answer. [s] A server that does not accept a
#: connection in that time is asked again; see `s2cloud.io.retries` for how often.
_CONNECT_S, _READ_S = 2.5, 30.0
#: Attempts of botocore within one of ours: parts of a large file are sent again by themselves.
_ATTEMPTS: Final = 2


def connections(uri: str, options: Mapping[str, Any]) -> int:
    """Simultaneous requests that the server behind an address should see from this process.

    Parameters
    ----------
    uri
        Address of a store.
    options
        Options of its file system; they may name the endpoint.

    Raises
    ------
    UsageError
        If ``S2CLOUD_STORE_CONNECTIONS`` is not understood.

    Examples
    --------
    >>> connections("s3://eodata", {"endpoint_url": "https://eodata.dataspace.copernicus.eu"})
    4
    """
    named = (uri, str(options), os.environ.get("AWS_ENDPOINT_URL", ""))
    everywhere, limits = _chosen()
    here = [limit for host, limit in limits.items() if any(host in text for text in named)]
    return min(here, default=everywhere)


def _chosen() -> tuple[int, dict[str, int]]:
    """Number for all endpoints, and those of some."""
    everywhere, limits = CONNECTIONS, dict(LIMITED)
    for part in filter(None, os.environ.get(VARIABLE, "").replace(" ", "").split(",")):
        host, _, text = part.rpartition("=")
        if not (text.isdigit() and 1 <= int(text) <= 1000):
            raise UsageError(
                "not a number of connections",
                where=VARIABLE,
                expected="a number from 1 to 1000, or host=number, with commas between",
                found=repr(part),
            )
        if host:
            limits[host] = int(text)
        else:
            everywhere = int(text)
    return everywhere, limits


def driver_options(options: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Options of s3fs with our defaults where the user chose nothing.

    Parameters
    ----------
    options
        As the user gave them.
    limit
        Simultaneous connections.
    """
    config = {
        "max_pool_connections": limit,
        "connect_timeout": _CONNECT_S,
        "read_timeout": _READ_S,
        "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
        **options.get("config_kwargs", {}),
    }
    return {**options, "config_kwargs": config}


def single_attempts(fs: Any) -> None:
    """Keep s3fs from repeating what its driver has repeated already: attempts would multiply."""
    transport = getattr(fs, "target", fs)
    if hasattr(transport, "retries"):
        transport.retries = 1

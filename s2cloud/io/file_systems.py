"""File systems of fsspec behind addresses, with directories of archives kept per process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, cast

from fsspec.core import url_to_fs

from s2cloud.io.transport import single_attempts
from s2cloud.io.urls import protocol_of, public_url, transport_options, with_archive
from s2cloud.io.zip_members import ZipMembers
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["file_system"]

#: Directories of archives kept per process.
MAX_ARCHIVES: Final = 16

_archives: dict[tuple[str, str], ZipMembers] = {}
_archives_lock = threading.Lock()
_EXTRAS: Final = {"s3": "s2cloud", "gs": "s2cloud[gcs]", "gcs": "s2cloud[gcs]"}


def file_system(uri: str, given: Mapping[str, Any], opened: str) -> tuple[Any, str]:
    """File system of an address, and its path in it.

    Parameters
    ----------
    uri
        Path, URL, or chain of URLs.
    given
        Options, of the transport or by protocol.
    opened
        Mark of the store: stores with the same one share the directory of an archive.

    Raises
    ------
    UsageError
        If an option is unknown, or the driver for this kind of URL is not installed.
    """
    try:
        fs, path = _opened(uri, given, opened)
    except TypeError as error:
        raise UsageError(
            "unknown storage option",
            where=public_url(uri),
            found=str(error),
            fix="see the options of this kind of file system in fsspec's documentation",
        ) from error
    except ImportError as error:
        protocol = protocol_of(uri)
        raise UsageError(
            "no driver for this kind of URL",
            where=public_url(uri),
            found=protocol,
            fix=f"pip install '{_EXTRAS.get(protocol, 's2cloud[http]')}'",
        ) from error
    single_attempts(fs)
    return fs, path


def _opened(uri: str, given: Mapping[str, Any], opened: str) -> tuple[Any, str]:
    chain = with_archive(uri)
    head, _, rest = chain.partition("::")
    if not (head.startswith("zip://") and rest):
        return cast("tuple[Any, str]", url_to_fs(chain, **transport_options(chain, given)))
    with _archives_lock:
        key = (rest, opened)
        if key not in _archives:
            target, path = url_to_fs(rest, **transport_options(rest, given))
            while len(_archives) >= MAX_ARCHIVES:
                del _archives[next(iter(_archives))]
            _archives[key] = ZipMembers(target, path, public_url(rest))
        return _archives[key], head.removeprefix("zip://")

"""Checksums of folders that are one asset: a Zarr store, a SAFE product."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SUFFIX", "checksum_lines", "folder_digest", "is_passing", "parse_checksums"]

#: Name of the list of checksums that lies beside a folder, after the name of the folder.
SUFFIX: Final = ".sha256"
#: Hidden files that are part of a product: metadata of Zarr version 2.
_HIDDEN: Final = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata"})


def is_passing(path: str) -> bool:
    """Whether a file is one of those that writers rename when they are whole.

    Examples
    --------
    >>> is_passing("a.zarr/b/.0.1.deadbeef"), is_passing("a.zarr/b/.zarray")
    (True, False)
    """
    name = path.rsplit("/", 1)[-1]
    return name.startswith(".") and name not in _HIDDEN


def folder_digest(files: Mapping[str, str]) -> str:
    """SHA-256 of the lines ``path sha256`` of the files of a folder, sorted by path.

    Parameters
    ----------
    files
        SHA-256 by path relative to the folder.

    Examples
    --------
    >>> folder_digest({}) == hashlib.sha256(b"").hexdigest()
    True
    """
    digest = hashlib.sha256()
    for path, total in sorted(files.items()):
        digest.update(f"{path} {total}\n".encode())
    return digest.hexdigest()


def checksum_lines(files: Mapping[str, str]) -> bytes:
    """List of checksums by path relative to the folder, as ``sha256sum --check`` reads it there.

    Examples
    --------
    >>> parse_checksums(checksum_lines({"a/b": "0" * 64})) == {"a/b": "0" * 64}
    True
    """
    return "".join(f"{total}  {path}\n" for path, total in sorted(files.items())).encode()


def parse_checksums(data: bytes, where: str = "") -> dict[str, str]:
    """Inverse of `checksum_lines`.

    Raises
    ------
    InputError
        If a line is not of that form.
    """
    found = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        total, separator, path = line.partition("  ")
        if not separator or len(total) != 64 or not path:
            raise InputError(
                "not a list of checksums",
                where=f"{where}, line {number}",
                expected="<sha256>  <path>",
                found=line[:100],
                fix="the list was damaged; write the product again",
            )
        found[path] = total
    return found

"""Files of a local disk that are never seen half written."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["create_file", "whole_file"]


@contextlib.contextmanager
def whole_file(full: str) -> Iterator[Path]:
    """Name beside a file to write to, for replacing it in one step; gone afterwards."""
    path = Path(full)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def create_file(full: str, data: bytes) -> bool:
    """Write a file unless it is there; one of several writers gets True."""
    with whole_file(full) as temporary:
        temporary.write_bytes(data)
        try:
            os.link(temporary, full)
        except FileExistsError:
            return False
        except OSError:
            # No hard links (some network disks): exclusive creation, not whole but exclusive.
            try:
                with Path(full).open("xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
    return True

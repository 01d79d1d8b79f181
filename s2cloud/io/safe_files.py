"""Files of a product: what a listing tells, or single questions where there are no listings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s2cloud.io.jp2_index import JP2Source
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s2cloud.io.stores import FileInfo, Store

__all__ = ["ProductFiles"]


@dataclass(slots=True)
class ProductFiles:
    """Files below the folder of a product.

    Attributes
    ----------
    store
        Store of the product or of a folder above it.
    prefix
        Path of the product in the store.
    found
        Files by their path in the product; empty where the store has no listings (HTTP).
    """

    store: Store
    prefix: str = ""
    found: dict[str, FileInfo] = field(default_factory=dict)

    @classmethod
    def listed(cls, store: Store, prefix: str) -> ProductFiles:
        """Files of a product folder, by one listing."""
        found = store.find(prefix)
        skip = len(prefix) + 1 if prefix else 0
        return cls(store, prefix, {path[skip:]: info for path, info in found.items()})

    def path(self, inside: str) -> str:
        """Path in the store of a path in the product."""
        return f"{self.prefix}/{inside}" if self.prefix else inside

    def url(self, inside: str = "") -> str:
        """Address for messages."""
        return self.store.url(self.path(inside) if inside else self.prefix)

    def read(self, inside: str) -> bytes:
        """Content of a file."""
        return self.store.read(self.path(inside))

    def infos(self, paths: Iterable[str]) -> dict[str, FileInfo]:
        """Size and tag of those of the paths that exist."""
        wanted = list(dict.fromkeys(paths))
        if self.found:
            return {path: self.found[path] for path in wanted if path in self.found}
        with ThreadPoolExecutor(self.store.concurrency) as pool:
            answers = pool.map(self._ask, wanted)
        return {path: info for path, info in zip(wanted, answers, strict=True) if info}

    def source(self, inside: str, info: FileInfo) -> JP2Source:
        """A file to be read by tasks."""
        return JP2Source(self.store, self.path(inside), info)

    def ending(self, suffix: str, *, folder: str = "") -> list[str]:
        """Paths below a folder that end with a text, sorted."""
        return sorted(p for p in self.found if p.startswith(folder) and p.endswith(suffix))

    def _ask(self, inside: str) -> FileInfo | None:
        try:
            return self.store.info(self.path(inside))
        except InputError:
            return None

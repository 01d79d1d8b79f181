"""Files of a product: what a listing tells, or single questions where there are no listings."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.jp2_index import JP2Source
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s2cloud.io.stores import FileInfo, Store

__all__ = ["ProductFiles"]

#: Files that say what a product is, and when and how it was made.
_METADATA: Final = ("MTD_MSIL1C.xml", "MTD_TL.xml", "metadata.xml", ".zattrs", "zarr.json")


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
    checksums
        SHA-256 of the metadata files read so far, by path.
    """

    store: Store
    prefix: str = ""
    found: dict[str, FileInfo] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict, init=False, compare=False)

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
        data = self.store.read(self.path(inside))
        if inside.rsplit("/", 1)[-1] in _METADATA:
            self.checksums[inside] = hashlib.sha256(data).hexdigest()
        return data

    def identity(self) -> dict[str, Any]:
        """Attributes that tell which input this is, for the provenance.

        ``input_identity`` is the same wherever the files lie; ``input_files`` has their number,
        their length [byte] and a digest of their names, lengths and entity tags (of a local disk
        the times of change).
        """
        lines = sorted(f"{path} {info.size} {info.tag}" for path, info in self.found.items())
        files = {
            "count": len(self.found),
            "bytes": sum(info.size for info in self.found.values()),
            "tags_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        }
        metadata = dict(sorted(self.checksums.items()))
        return {"input_identity": {"metadata_sha256": metadata}, "input_files": files}

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

"""Arrays of a Zarr hierarchy, version 2 or 3, in any of our stores."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import zarr
from dask.base import tokenize
from typing_extensions import override
from zarr.abc.store import (
    OffsetByteRequest,
    RangeByteRequest,
    SuffixByteRequest,
)
from zarr.abc.store import (
    Store as ZarrStore,
)

from s2cloud.io.jp2_array import block_edges
from s2cloud.model.errors import InputError, S2CloudError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from s2cloud.io.safe_files import ProductFiles
    from s2cloud.io.stores import Store

__all__ = ["ZarrFiles", "zarr_group"]

Window = tuple[int, int, int, int]

#: What zarr and its codecs raise for documents and chunks that are not sound.
_OF_LIBRARIES = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError),
    *(OSError, NotImplementedError, AssertionError),
)


class _Bytes(ZarrStore):
    """Objects of one of our stores, for zarr to read: with our counters, retries and errors."""

    supports_writes = False
    supports_deletes = False
    supports_listing = False
    supports_partial_writes = False

    def __init__(self, store: Store, prefix: str) -> None:
        super().__init__(read_only=True)
        self.store = store
        self.prefix = prefix

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (_Bytes, (self.store, self.prefix))

    @override
    def __eq__(self, other: object) -> bool:
        mine = (self.store.uri, self.prefix)
        return isinstance(other, _Bytes) and mine == (other.store.uri, other.prefix)

    @override
    def __hash__(self) -> int:
        return hash((self.store.uri, self.prefix))

    @override
    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        start, stop = _limits(byte_range)
        path = f"{self.prefix}/{key}" if self.prefix else key
        try:
            data = await asyncio.to_thread(self.store.read, path, start, stop)
        except InputError:
            return None
        return prototype.buffer.from_bytes(data)

    @override
    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        wanted = [self.get(key, prototype, limits) for key, limits in key_ranges]
        return list(await asyncio.gather(*wanted))

    @override
    async def exists(self, key: str) -> bool:
        path = f"{self.prefix}/{key}" if self.prefix else key
        return await asyncio.to_thread(self.store.exists, path)

    @override
    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError

    async def set_partial_values(self, key_start_values: Any) -> None:
        """Refuse."""
        raise NotImplementedError

    @override
    async def delete(self, key: str) -> None:
        raise NotImplementedError

    @override
    def list(self) -> AsyncIterator[str]:
        raise NotImplementedError

    @override
    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError

    @override
    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError


def zarr_group(store: Store, path: str) -> zarr.Group:
    """Hierarchy below one of our stores, to be read by zarr."""
    return zarr.open_group(_Bytes(store, path), mode="r")


class ZarrFiles:
    """Arrays of one hierarchy.

    Parameters
    ----------
    files
        Files of the product.
    wanted
        Paths of all arrays that may be asked for; found at once where metadata are not
        consolidated.
    """

    def __init__(self, files: ProductFiles, wanted: Iterable[str]) -> None:
        self.files = files
        self.arrays: dict[str, Any] = {}
        if not files.infos([".zgroup", ".zmetadata", "zarr.json"]):
            return
        with _metadata_of(files.url()):
            root = zarr.open_group(_Bytes(files.store, files.prefix), mode="r")

        def member(path: str) -> Any:
            with _metadata_of(files.url(path)):
                return _member(root, path)

        with ThreadPoolExecutor(files.store.concurrency) as pool:
            found = pool.map(member, wanted := list(wanted))
            self.arrays = {
                path: array for path, array in zip(wanted, found, strict=True) if array is not None
            }

    def values(self, paths: Iterable[str]) -> dict[str, Any]:
        """Content of small arrays, fetched concurrently; what is not there is left out."""
        present = [path for path in paths if path in self.arrays]
        with ThreadPoolExecutor(self.files.store.concurrency) as pool:
            arrays = pool.map(lambda path: self._reader(path)[...], present)
            return dict(zip(present, map(np.asarray, arrays), strict=True))

    def lazy(self, path: str, window: Window | None, *, block: int, token: str) -> da.Array:
        """Part of a large array.

        Parameters
        ----------
        path
            Path of a two-dimensional array.
        window
            First row, first column, rows and columns; None for all. [pixel]
        block
            Side of a block; chunks end at multiples of it counted from the array's corner.
        token
            Changes when the hierarchy does.
        """
        with _metadata_of(self.files.url(path)):
            array = self.arrays[path]
            # Whole stored chunks, one or several, so that none is decoded twice.
            chunks = tuple(max(1, block // size) * size for size in array.chunks)
            name = f"zarr-{tokenize(self.files.url(path), token)}"
            whole = da.from_array(
                self._reader(path), chunks=chunks, name=name, meta=array.dtype.type(0)
            )
            row, col, height, width = window or (0, 0, *array.shape)
            edges = (block_edges(row, height, block), block_edges(col, width, block))
            cut = whole[row : row + height, col : col + width]
            return cut.rechunk(tuple(tuple(b - a for a, b in pairwise(e)) for e in edges))

    def _reader(self, path: str) -> _Reader:
        return _Reader(self.arrays[path], self.files.url(path))


@dataclass(frozen=True, slots=True)
class _Reader:
    """An array whose errors say where it is."""

    array: Any
    url: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return len(self.array.shape)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.array[key]
        except S2CloudError:
            raise
        except MemoryError as error:
            raise InputError(
                "array larger than the memory",
                where=self.url,
                found=f"shape {self.shape}, chunks {self.array.chunks}",
                fix="check the product",
            ) from error
        except _OF_LIBRARIES as error:
            raise InputError(
                "array cannot be decoded",
                where=self.url,
                found=f"{type(error).__name__} {error}",
                fix="download the product again",
            ) from error


@contextlib.contextmanager
def _metadata_of(url: str) -> Iterator[None]:
    """Blame the metadata for what zarr makes of them."""
    try:
        yield
    except S2CloudError:
        raise
    except _OF_LIBRARIES as error:
        raise InputError(
            "metadata of a Zarr hierarchy unreadable",
            where=url,
            found=f"{type(error).__name__} {error}"[:300],
            fix="download the product again",
        ) from error


def _member(root: Any, path: str) -> Any:
    try:
        found = root[path]
    except KeyError:
        return None
    return found if hasattr(found, "chunks") else None


def _limits(wanted: ByteRequest | None) -> tuple[int | None, int | None]:
    if isinstance(wanted, RangeByteRequest):
        return wanted.start, wanted.end
    if isinstance(wanted, OffsetByteRequest):
        return wanted.offset, None
    if isinstance(wanted, SuffixByteRequest):
        return -wanted.suffix, None
    return None, None

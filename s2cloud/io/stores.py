"""One door to local folders, archives and object stores, with errors an operator can act on."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from s2cloud.io.byte_ranges import Range, merged_ranges
from s2cloud.io.file_systems import file_system
from s2cloud.io.local_files import create_file, whole_file
from s2cloud.io.retries import is_transient, persistently
from s2cloud.io.store_errors import boto_code, translated_error
from s2cloud.io.transport import connections
from s2cloud.io.urls import (
    join_url,
    protocol_of,
    public_url,
    with_archive,
    without_query,
)
from s2cloud.model.errors import InputError, S2CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["FileInfo", "Store", "open_store"]

_HTTP: Final = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a listing tells about one file.

    Attributes
    ----------
    size
        Length. [byte]
    tag
        Changes when the content does: the entity tag of an object store, the modification time
        of a local file, the checksum of an archive member.
    ranged
        Whether a part can be read without the rest; not in a compressed archive member.
    """

    size: int
    tag: str
    ranged: bool = True


@dataclass(slots=True)
class Store:
    """Files below one root, local or remote; picklable, shared by tasks of any process.

    Attributes
    ----------
    uri
        Root as given: a path, a URL of fsspec or a chain of URLs.
    storage_options
        Options of the file system. They may hold secrets and are never shown.
    opened
        Mark of one call of `open_store`: copies that travelled to tasks share the directory of
        an archive, a later call reads it afresh.
    requests, bytes_read
        Counted in this process since the object was made or unpickled, for the measurements
        of the documentation.

    Notes
    -----
    All methods take paths relative to the root, with forward slashes. They raise `InputError`
    for what is not there, `UnavailableError` for a store that does not answer or refuses,
    `CapacityError` for a full disk. Requests that nobody answered, or a busy server, are repeated
    (`s2cloud.io.retries`) below what the drivers do themselves.
    """

    uri: str
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)
    opened: str = field(default="", repr=False, compare=False)
    requests: int = field(default=0, init=False, compare=False)
    bytes_read: int = field(default=0, init=False, compare=False)
    _fs: Any = field(default=None, init=False, repr=False, compare=False)
    _root: str = field(default="", init=False, repr=False, compare=False)
    _query: str = field(default="", init=False, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (Store, (self.uri, self.storage_options, self.opened))

    @property
    def protocol(self) -> str:
        """Protocol of the file system, ``file`` for local paths."""
        return protocol_of(self.uri)

    @property
    def concurrency(self) -> int:
        """Simultaneous requests that this store's server should see from this process."""
        return connections(self.uri, self.storage_options)

    @property
    def fs(self) -> Any:
        """File system of fsspec behind this store."""
        if self._fs is None:
            self._open()
        return self._fs

    def url(self, path: str = "") -> str:
        """Address of a file for messages and provenance, without secrets."""
        return public_url(join_url(self.uri, path))

    def read(self, path: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Content of a file or of its bytes ``start`` to ``stop``."""
        full = self._full(path)

        def fetch() -> bytes:
            self._count(1, 0)
            with self._translated(path):
                return bytes(self.fs.cat_file(full, start=start, end=stop))

        data = persistently(fetch)
        self._count(0, len(data))
        return data

    def read_many(self, paths: Sequence[str]) -> list[bytes]:
        """Contents of several files, fetched concurrently where the store can."""
        return self.read_ranges([(path, None, None) for path in paths], merge=False)

    def read_ranges(
        self, ranges: Sequence[tuple[str, int | None, int | None]], *, merge: bool = True
    ) -> list[bytes]:
        """Several byte ranges, neighbours in one request.

        Parameters
        ----------
        ranges
            Path, first byte and the byte after the last; None for the ends of the file.
        merge
            Join ranges of one file that are less than `MAX_GAP` apart.

        Returns
        -------
        list of bytes
            In the order asked for.
        """
        if not ranges:
            return []
        plan = merged_ranges(ranges) if merge else [(r, [(i, r)]) for i, r in enumerate(ranges)]
        wanted = [whole for whole, _ in plan]
        if len(wanted) == 1:
            fetched = [self.read(*wanted[0])]
        else:
            fetched = [
                self._second_chance(part, data)
                for part, data in zip(wanted, self._fetched(wanted), strict=True)
            ]
        result = [b""] * len(ranges)
        for (whole, parts), data in zip(plan, fetched, strict=True):
            for index, (_, start, stop) in parts:
                offset = whole[1] or 0
                first = None if start is None else start - offset
                last = None if stop is None else stop - offset
                same = start == whole[1] and stop == whole[2]
                result[index] = bytes(data) if same else bytes(data[first:last])
        return result

    def exists(self, path: str = "") -> bool:
        """Whether a file or folder is there."""

        def ask() -> bool:
            self._count(1, 0)
            with self._translated(path):
                try:
                    self.fs.info(self._full(path))
                except FileNotFoundError:
                    return False
            return True

        return persistently(ask)

    def info(self, path: str) -> FileInfo:
        """Size and tag of a file."""

        def ask() -> FileInfo:
            self._count(1, 0)
            with self._translated(path):
                return _file_info(self.fs.info(self._full(path)))

        return persistently(ask)

    def listdir(self, path: str = "") -> list[str]:
        """Names of the files and folders in a folder, sorted; empty if it is not there.

        HTTP servers have no listings, so the answer is empty there too.
        """
        if self.protocol in _HTTP:
            return []
        full = self._full(path)

        def ask() -> list[str]:
            self._count(1, 0)
            with self._translated(path):
                try:
                    return list(self.fs.ls(full, detail=False))
                except (FileNotFoundError, NotADirectoryError):
                    return []

        names = persistently(ask)
        # Some object stores list the folder's own marker object among its content.
        inside = {str(n).rstrip("/") for n in names} - {full.strip("/"), full.rstrip("/")}
        return sorted(name.rsplit("/", 1)[-1] for name in inside)

    def find(self, path: str = "") -> dict[str, FileInfo]:
        """All files below a folder; one request on an object store, empty over HTTP."""
        if self.protocol in _HTTP:
            return {}
        full = self._full(path).rstrip("/")

        def ask() -> dict[str, Any]:
            self._count(1, 0)
            with self._translated(path):
                try:
                    return dict(self.fs.find(full, detail=True))
                except (FileNotFoundError, NotADirectoryError):
                    return {}

        found = persistently(ask)
        prefix = f"{path.rstrip('/')}/" if path else ""
        return {
            prefix + name[len(full) :].lstrip("/"): _file_info(info)
            for name, info in found.items()
            if info.get("type") == "file"
        }

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole: readers see the old content or the new, never a part."""
        full = self._full(path)

        def send() -> None:
            self._count(1, 0)
            with self._translated(path, writing=True):
                if self._is_local:
                    with whole_file(full) as temporary:
                        temporary.write_bytes(data)
                        temporary.replace(full)
                else:
                    self.fs.pipe_file(full, data)

        persistently(send)

    def write_if_absent(self, path: str, data: bytes) -> bool:
        """Write a file unless it is there; exactly one of several writers gets True.

        S3 is asked with ``If-None-Match``, Google with a generation match, a local disk with
        a hard link. Stores without such a condition are only asked whether the file exists.
        """
        full = self._full(path)
        attempts = 0

        def send() -> bool:
            nonlocal attempts
            attempts += 1
            self._count(1, 0)
            with self._translated(path, writing=True):
                if self._is_local:
                    return create_file(full, data)
                try:
                    self.fs.pipe_file(full, data, mode="create")
                except FileExistsError:
                    return False
                except OSError as error:
                    if boto_code(error) in {"PreconditionFailed", "412"}:
                        return False
                    raise
            return True

        won = persistently(send)
        # An attempt whose answer was lost may have written the file all the same.
        return won or (attempts > 1 and self.read(path) == data)

    def put_file(self, local: str | os.PathLike[str], path: str) -> None:
        """Copy a local file into the store, whole as with `write`."""
        full = self._full(path)

        def send() -> None:
            self._count(1, 0)
            with self._translated(path, writing=True):
                if self._is_local:
                    with whole_file(full) as temporary:
                        self.fs.put_file(str(local), str(temporary))
                        temporary.replace(full)
                else:
                    self.fs.put_file(str(local), full)

        persistently(send)

    def delete(self, path: str) -> None:
        """Delete a file or a folder with all it holds; nothing happens if it is not there."""

        def remove() -> None:
            self._count(1, 0)
            with self._translated(path, writing=True), contextlib.suppress(FileNotFoundError):
                self.fs.rm(self._full(path), recursive=True)

        persistently(remove)

    def _fetched(self, wanted: Sequence[Range]) -> list[bytes | BaseException]:
        """Ranges fetched concurrently, an exception in the place of each that failed."""
        with self._translated(wanted[0][0]):
            self._count(len(wanted), 0)
            return list(
                self.fs.cat_ranges(
                    [self._full(path) for path, _, _ in wanted],
                    [start for _, start, _ in wanted],
                    [stop for _, _, stop in wanted],
                    on_error="return",
                    **({"batch_size": self.concurrency} if self.fs.async_impl else {}),
                )
            )

    def _second_chance(self, part: Range, data: bytes | BaseException) -> bytes:
        """What was fetched; what was not is asked for again, alone, if that may help."""
        if not isinstance(data, BaseException):
            self._count(0, len(data))
            return bytes(data)
        error = translated_error(data, self.url(part[0]))
        if not is_transient(error):
            raise error from data
        return self.read(*part)

    @property
    def _is_local(self) -> bool:
        return self.protocol == "file"

    def _open(self) -> None:
        # The signature of an archive's address belongs to the archive, not to its members.
        archive = with_archive(self.uri) != self.uri
        uri, self._query = (self.uri, "") if archive else without_query(self.uri)
        with self._translated(""):
            self._fs, root = file_system(uri, self.storage_options, self.opened)
        self._root = str(root).rstrip("/") or ("/" if self.protocol == "file" else "")

    def _full(self, path: str) -> str:
        if self._fs is None:
            self._open()
        if ".." in path.replace("\\", "/").split("/") or "\0" in path:
            # Names come out of metadata and archives, which may have been made to lead elsewhere.
            raise InputError(
                "path leads out of the product",
                where=self.url(),
                found=repr(path[:200]),
                fix="download the product again",
            )
        joined = f"{self._root.rstrip('/')}/{path.strip('/')}" if path else self._root
        return (joined if self._root else path.strip("/")) + self._query

    def _count(self, requests: int, length: int) -> None:
        with self._lock:
            self.requests += requests
            self.bytes_read += length

    @contextlib.contextmanager
    def _translated(self, path: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except (ImportError, NameError, AttributeError, TypeError, S2CloudError):
            raise
        except Exception as error:
            # Drivers raise whatever their transport does: botocore, aiohttp, socket, zipfile.
            raise translated_error(error, self.url(path), writing=writing) from error


def open_store(
    uri: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Store:
    """Open a folder, an archive or a prefix of an object store.

    Parameters
    ----------
    uri
        Local path, ``.zip`` file, or URL of any fsspec file system, also chained
        (``zip://inner::s3://bucket/name.zip``).
    storage_options
        Options of that file system, such as ``{"endpoint_url": ...}`` for S3. For a chain or
        an archive either the options of the outermost transport or a dict by protocol.

    Returns
    -------
    Store

    Examples
    --------
    >>> store = open_store("memory://folder")
    >>> store.write("a.txt", b"one")
    >>> store.read("a.txt")
    b'one'
    """
    return Store(os.fspath(uri), dict(storage_options or {}), secrets.token_hex(8))


def _file_info(info: Mapping[str, Any]) -> FileInfo:
    # A name that changes with the content: whichever of these the file system knows.
    keys = ("ETag", "etag", "md5Hash", "CRC", "mtime", "LastModified", "created")
    tag = next((str(info[key]) for key in keys if info.get(key) is not None), "")
    return FileInfo(int(info.get("size") or 0), tag.strip('"'), not info.get("compressed", False))

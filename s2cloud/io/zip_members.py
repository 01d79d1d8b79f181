"""Members of a zip archive as files of any file system, read by ranges where they are stored."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

from fsspec.archive import AbstractArchiveFileSystem
from typing_extensions import override

from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ZipMembers"]

#: The directory of a SAFE archive (some 200 long names) fits into this much of its end.
TAIL_BYTES: Final = 131_072
#: Length of a local file header without name and extra field, APPNOTE.TXT 4.3.7.
LOCAL_HEADER: Final = 30
#: Room for the extra field of a local header, whose length only that header tells.
EXTRA_GUESS: Final = 96
#: Members beyond this length must not be this many times longer than they are packed: metadata
#: pack to a thirtieth, images hardly at all.
BOMB_BYTES: Final = 67_108_864
BOMB_RATIO: Final = 100


class ZipMembers(AbstractArchiveFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """Read-only view of the members of one archive.

    Unlike fsspec's own zip reader, a range of an uncompressed member costs one request of
    that range, any number of threads may read at once, and opening costs two requests.

    Parameters
    ----------
    target
        File system that holds the archive.
    path
        Path of the archive there.
    url
        Address for messages.
    """

    root_marker = ""
    protocol = "zip"
    cachable = False

    def __init__(self, target: Any, path: str, url: str) -> None:
        super().__init__()
        self.target = target
        self.path = path
        self.shown = url
        self.dir_cache: dict[str, dict[str, Any]] | None = None
        size = int(target.info(path)["size"])
        tail = target.cat_file(path, start=max(0, size - TAIL_BYTES), end=size)
        with zipfile.ZipFile(_Tail(target, path, size, tail)) as archive:
            self.members = {info.filename: info for info in archive.infolist()}
        self._offsets: dict[str, int] = {}

    @classmethod
    @override
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path)).lstrip("/")

    def _get_dirs(self) -> None:
        if self.dir_cache is not None:
            return
        names = list(self.members)
        entries: dict[str, dict[str, Any]] = {
            folder: {"name": folder, "size": 0, "type": "directory"}
            for folder in self._all_dirnames({name.rstrip("/") for name in names})
        }
        for name, info in self.members.items():
            folder = name.endswith("/")
            entries[name.rstrip("/")] = {
                "name": name.rstrip("/"),
                "size": info.file_size,
                "type": "directory" if folder else "file",
                "CRC": info.CRC,
                "compressed": info.compress_type != zipfile.ZIP_STORED,
            }
        self.dir_cache = entries

    @override
    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Bytes ``start`` to ``end`` of a member."""
        info = self._member(path)
        first, last, _ = slice(start, end).indices(info.file_size)
        if info.compress_type == zipfile.ZIP_STORED:
            return self._stored(info, first, last)
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise InputError(
                "compression of an archive member not supported",
                where=f"{self.shown} {info.filename}",
                expected="stored or deflated",
                found=f"method {info.compress_type}",
                fix="pack the archive again with zip",
            )
        return self._deflated(info, first, last)

    @override
    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Sequence[int | None],
        ends: Sequence[int | None],
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[bytes | Exception]:
        """Several ranges one after the other, an exception in place of what is not there."""
        found: list[bytes | Exception] = []
        for path, start, end in zip(paths, starts, ends, strict=True):
            try:
                found.append(self.cat_file(path, start, end))
            except Exception as error:  # noqa: BLE001  # handed back in its place, as fsspec does
                found.append(error)
        return found

    def _member(self, path: str) -> zipfile.ZipInfo:
        name = self._strip_protocol(path)
        if name not in self.members:
            raise FileNotFoundError(path)
        return self.members[name]

    def _stored(self, info: zipfile.ZipInfo, first: int, last: int) -> bytes:
        begin = self._offsets.get(info.filename)
        if begin is not None:
            return bytes(self._fetch(begin + first, begin + last))
        guess = LOCAL_HEADER + len(info.filename.encode()) + EXTRA_GUESS
        # Reads that begin at the member's start take the local header along for nothing.
        wanted = guess + (last if first <= TAIL_BYTES else 0)
        data = self._fetch(info.header_offset, info.header_offset + wanted)
        skip = self._header_length(info, data)
        self._offsets[info.filename] = info.header_offset + skip
        if first <= TAIL_BYTES and len(data) >= skip + last:
            return bytes(data[skip + first : skip + last])
        return bytes(
            self._fetch(info.header_offset + skip + first, info.header_offset + skip + last)
        )

    def _refuse_bomb(self, info: zipfile.ZipInfo) -> None:
        if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * info.compress_size:
            raise InputError(
                "archive member unpacks to far more than it is long",
                where=f"{self.shown} {info.filename}",
                expected=f"at most {BOMB_RATIO} times its {info.compress_size} bytes",
                found=f"{info.file_size} bytes",
                fix="download the archive again, from where it was published",
            )

    def _deflated(self, info: zipfile.ZipInfo, first: int, last: int) -> bytes:
        self._refuse_bomb(info)
        whole = last - first == info.file_size
        prefix = last <= TAIL_BYTES
        guess = LOCAL_HEADER + len(info.filename.encode()) + EXTRA_GUESS
        # Deflated bytes of a prefix are hardly ever more than the prefix itself.
        length = min(info.compress_size, last + 1024 if prefix else info.compress_size)
        raw = self._fetch(info.header_offset, info.header_offset + guess + length)
        body = raw[self._header_length(info, raw) :]
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            if prefix and not whole:
                data = stream.decompress(body, last)
                if len(data) >= last:
                    return data[first:last]
                return self._deflated(info, 0, info.file_size)[first:last]
            data = stream.decompress(body) + stream.flush()
        except zlib.error as error:
            raise self._damaged(info, str(error)) from error
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise self._damaged(info, "checksum or length differs")
        return data[first:last]

    def _header_length(self, info: zipfile.ZipInfo, data: bytes) -> int:
        if len(data) < LOCAL_HEADER or data[:4] != b"PK\x03\x04":
            raise self._damaged(info, "no local file header")
        name, extra = struct.unpack("<HH", data[26:30])
        return int(LOCAL_HEADER + name + extra)

    def _damaged(self, info: zipfile.ZipInfo, found: str) -> InputError:
        return InputError(
            "damaged archive member",
            where=f"{self.shown} {info.filename}",
            found=found,
            fix="download the archive again",
        )

    def _fetch(self, start: int, end: int) -> bytes:
        return bytes(self.target.cat_file(self.path, start=start, end=end))


class _Tail(io.RawIOBase):
    """File of which the end is in memory; what lies before is fetched when asked for."""

    def __init__(self, target: Any, path: str, size: int, tail: bytes) -> None:
        self._target, self._path, self._size, self._tail = target, path, size, tail
        self._position = 0

    @override
    def seekable(self) -> bool:
        return True

    @override
    def readable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    @override
    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._size, self._position + size)
        first = self._size - len(self._tail)
        if self._position >= first:
            data = self._tail[self._position - first : stop - first]
        else:
            data = bytes(self._target.cat_file(self._path, start=self._position, end=stop))
        self._position = stop
        return data

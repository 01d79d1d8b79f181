"""Files of any store as GDAL reads them: by ranges, page by page."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from s2cloud.model.errors import InputError, S2CloudError

if TYPE_CHECKING:
    from s2cloud.io.stores import Store

__all__ = ["RangedFile"]

#: Bytes per page; the internal tiles of the public maps are 0.2 to 4 MB.
PAGE: Final = 524_288
#: Pages kept per open file.
MAX_PAGES: Final = 16


class RangedFile(io.RawIOBase):
    """File of a store, fetched by pages.

    Parameters
    ----------
    store, path
        Which file.
    """

    def __init__(self, store: Store, path: str) -> None:
        super().__init__()
        self.store, self.path = store, path
        self.failure: S2CloudError | None = None
        self._position = 0
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        info = store.info(path)
        self._size = int(info.size)
        self._whole: bytes | None = None
        if not info.ranged or not info.size:
            # Packed archive members, and servers that do not tell a length.
            self._take_whole()

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._position

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    @override
    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @override
    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._position + size, self._size)
        start, self._position = self._position, max(stop, self._position)
        if stop <= start:
            return b""
        try:
            if self._whole is None:
                first, last = start // PAGE, (stop - 1) // PAGE
                pages = self._fetch(first, last + 1)
                if self._whole is None:
                    return pages[start - first * PAGE : stop - first * PAGE]
            return self._whole[start:stop]
        except S2CloudError as error:
            # GDAL does not know exceptions, an error in its reader can make it ask for ever. It
            # sees a short file, and whoever called GDAL looks here for the reason.
            self.failure = error
            return b""

    def _fetch(self, first: int, stop: int) -> bytes:
        missing = [page for page in range(first, stop) if page not in self._pages]
        # Runs of neighbouring pages that are not there yet, one request each.
        runs: list[list[int]] = []
        for page in missing:
            if runs and runs[-1][1] == page:
                runs[-1][1] = page + 1
            else:
                runs.append([page, page + 1])
        for begin, end in runs:
            low, high = begin * PAGE, min(end * PAGE, self._size)
            data = self.store.read(self.path, low, high)
            if len(data) > high - low:
                # The server ignored the range and sent the whole file.
                self._whole, self._size = data, len(data)
                return b""
            if len(data) < high - low:
                raise InputError(
                    "raster is cut off",
                    where=self.store.url(self.path),
                    expected=f"{self._size} bytes",
                    found=f"{low + len(data)} bytes",
                    fix="download the file again",
                )
            for page in range(begin, end):
                self._pages[page] = data[page * PAGE - low : (page + 1) * PAGE - low]
        result = b"".join(self._pages[page] for page in range(first, stop))
        for page in range(first, stop):
            self._pages.move_to_end(page)
        while len(self._pages) > MAX_PAGES:
            self._pages.popitem(last=False)
        return result

    def _take_whole(self) -> None:
        self._whole = self.store.read(self.path)
        self._size = len(self._whole)

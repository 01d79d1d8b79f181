"""Rasters of any store, read window by window; opened once per process."""

from __future__ import annotations

import re
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
from fsspec.core import url_to_fs
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from s2cloud.io.auxiliary.ranged import RangedFile
from s2cloud.io.urls import join_url
from s2cloud.model.errors import InputError, S2CloudError

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.io.stores import Store

__all__ = ["Header", "RasterFile"]

#: Files kept open per process; an 18.3 km block touches four tiles of a map at most.
MAX_OPEN: Final = 24
#: What the parts of a VRT may be.
_PARTS: Final = (".tif", ".tiff", ".vrt", ".img", ".jp2")


@dataclass(frozen=True, slots=True)
class Header:
    """Place and meaning of the pixels of a raster.

    Attributes
    ----------
    crs
        Reference system as text that pyproj reads.
    west, north
        Outer corner of the upper left pixel, in units of the reference system.
    dx, dy
        Size of a pixel, both positive.
    height, width
        Rows and columns.
    nodata
        Value of pixels without one, NaN if there is none.
    is_geographic
        Whether coordinates are degrees.
    """

    crs: str
    west: float
    north: float
    dx: float
    dy: float
    height: int
    width: int
    nodata: float
    is_geographic: bool = True

    @property
    def resolution_m(self) -> float:
        """Size of a pixel from north to south. [m]."""
        return self.dy * (111_320.0 if self.is_geographic else 1.0)


@dataclass(frozen=True, slots=True)
class RasterFile:
    """One raster of a store; picklable, opens itself where it is read.

    Attributes
    ----------
    store
        Folder of the file. None if ``path`` is for GDAL itself (``/vsis3/...``).
    path
        Name below the folder.
    """

    store: Store | None
    path: str

    @property
    def url(self) -> str:
        """Address without secrets."""
        return self.path if self.store is None else self.store.url(self.path)

    @property
    def token(self) -> tuple[str, str, str]:
        """Identity of the file within this call of ``open_aux``."""
        if self.store is None:
            return ("", "", self.path)
        return (self.store.uri, self.store.opened, self.path)

    @property
    def header(self) -> Header:
        """Place and size, from the first bytes of the file."""
        return _handle(self).header

    def read(self, rows: slice, columns: slice) -> npt.NDArray[Any]:
        """Pixels of a window inside the raster, shape (rows, columns)."""
        return _handle(self).read(rows, columns)


class _Handle:
    """An open raster; one reader at a time, as GDAL wants it."""

    def __init__(self, file: RasterFile) -> None:
        self.file = file
        self.lock = threading.Lock()
        self._ranged: list[RangedFile] = []
        self._failure: S2CloudError | None = None
        if re.search(r"\.hgt$", file.path, re.IGNORECASE):
            self.header, self._pixels = _read_hgt(file)
            self._dataset = None
        else:
            self._dataset = self._open()
            self.header = self._header()

    def read(self, rows: slice, columns: slice) -> npt.NDArray[Any]:
        if self._dataset is None:
            return self._pixels[rows, columns]
        window = Window.from_slices(rows, columns)
        with self.lock:
            try:
                data: npt.NDArray[Any] = self._dataset.read(1, window=window)
            except RasterioError as error:
                raise self._reason(error) from error
            if (failure := self._failed()) is not None:
                raise failure
        return data

    def _open(self) -> Any:
        store = self.file.store
        try:
            with warnings.catch_warnings():
                # Whether an unplaced raster can be used is decided in `_header`.
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                if store is None:
                    return rasterio.open(self.file.path)
                if store.protocol == "file":
                    store.info(self.file.path)
                    return rasterio.open(url_to_fs(join_url(store.uri, self.file.path))[1])
                # No look for side files beside it: each would be a request.
                with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
                    return rasterio.open(f"map/{self.file.path}", opener=self._opener)
        except RasterioError as error:
            raise self._reason(error) from error

    def _opener(self, path: str, mode: str = "rb") -> RangedFile:  # noqa: ARG002  # as GDAL asks
        store, wanted = self.file.store, path.removeprefix("map/")
        # Parts of a VRT lie beside it; GDAL and rasterio also try names that nobody has.
        part = self.file.path.lower().endswith(".vrt") and wanted.lower().endswith(_PARTS)
        if store is None or not (part or wanted == self.file.path):
            raise FileNotFoundError(path)
        try:
            self._ranged.append(RangedFile(store, wanted))
        except S2CloudError as error:
            self._failure = error
            raise
        return self._ranged[-1]

    def _header(self) -> Header:
        dataset: Any = self._dataset
        where, transform, crs = self.file.url, dataset.transform, dataset.crs
        height, width = (int(size) for size in dataset.shape)
        nodata = float("nan") if dataset.nodata is None else float(dataset.nodata)
        if crs is None and width == 2 * height:
            # A plain picture of the whole Earth, as ESA's GlobalSnowMap.tiff may be.
            step = 360.0 / width
            return Header("EPSG:4326", -180.0, 90.0, step, step, height, width, nodata)
        if crs is None:
            raise InputError(
                "raster without a reference system",
                where=where,
                expected="a georeferenced raster",
                fix="assign the reference system, for instance with gdal_translate -a_srs",
            )
        if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
            raise InputError(
                "raster is not north-up",
                where=where,
                expected="rows from north to south, columns from west to east",
                fix="warp it once with gdalwarp",
            )
        return Header(
            crs.to_wkt(),
            transform.c,
            transform.f,
            transform.a,
            -transform.e,
            height,
            width,
            nodata,
            bool(crs.is_geographic),
        )

    def _failed(self) -> S2CloudError | None:
        """What a store answered in place of bytes; the raster is opened afresh next time."""
        failures = (file.failure for file in self._ranged if file.failure)
        failure = next(failures, None) or self._failure
        if failure is not None:
            with _handles_lock:
                _handles.pop(self.file.token, None)
        return failure

    def _reason(self, error: Exception) -> S2CloudError:
        """Why GDAL failed: the store's answer if there was one."""
        return self._failed() or InputError(
            "raster cannot be read",
            where=self.file.url,
            found=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
            fix="check that it is a raster known to GDAL and not cut off",
        )


_handles: OrderedDict[tuple[str, str, str], _Handle] = OrderedDict()
_handles_lock = threading.Lock()
_opening: dict[tuple[str, str, str], threading.Lock] = {}


def _handle(file: RasterFile) -> _Handle:
    key = file.token
    with _handles_lock:
        if key in _handles:
            _handles.move_to_end(key)
            return _handles[key]
        turn = _opening.setdefault(key, threading.Lock())
    with turn:
        with _handles_lock:
            if key in _handles:
                return _handles[key]
        made = _Handle(file)
        with _handles_lock:
            _handles[key] = made
            _opening.pop(key, None)
            # GDAL closes it when the last reader lets go of it.
            while len(_handles) > MAX_OPEN:
                _handles.popitem(last=False)
        return made


def _read_hgt(file: RasterFile) -> tuple[Header, npt.NDArray[np.int16]]:
    """Tile of the Shuttle Radar Topography Mission: its name is its only header.

    Pixel centres lie on whole arc seconds (1 or 3), the outer ones on the edges of the degree.
    """
    name = file.path.rsplit("/", 1)[-1]
    match = re.match(r"([NS])(\d{2})([EW])(\d{3})", name.upper())
    data = b"" if file.store is None else file.store.read(file.path)
    side = round((len(data) / 2) ** 0.5)
    if match is None or side not in {1201, 3601} or len(data) != 2 * side * side:
        raise InputError(
            "not an SRTM tile",
            where=file.url,
            expected="a name such as N51E005.hgt and 1201 x 1201 or 3601 x 3601 pixels",
            found=f"{name}, {len(data)} bytes",
            fix="download the tile again",
        )
    south = int(match[2]) * (1 if match[1] == "N" else -1)
    west = int(match[4]) * (1 if match[3] == "E" else -1)
    step = 1.0 / (side - 1)
    header = Header(
        "EPSG:4326", west - step / 2, south + 1 + step / 2, step, step, side, side, -32768.0
    )
    return header, np.frombuffer(data, dtype=">i2").reshape(side, side).astype(np.int16)

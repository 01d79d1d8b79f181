"""Snow: how often it lies here at this season (ESA CCI), and whether it can lie here at all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr

from s2cloud.io.auxiliary.mosaic import Mosaic, lazy_map
from s2cloud.io.auxiliary.rasters import RasterFile
from s2cloud.io.auxiliary.sampling import Area
from s2cloud.io.auxiliary.tiles import single
from s2cloud.io.stores import open_store
from s2cloud.io.urls import public_url
from s2cloud.model.errors import InputError
from s2cloud.model.grid import Grid

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

    from s2cloud.io.auxiliary.protocol import Kind, Request

__all__ = ["SNOW_CLIMATOLOGY", "SNOW_CONDITION", "SnowClimatology", "SnowCondition"]

_RASTERS: Final = (".tif", ".tiff", ".nc", ".img")
#: 0 to 100 % occurrence, 254 water; everything else, 255 first of all, is unknown.
_OCCURRENCE: Final = tuple(float(v) if v <= 100 or v == 254 else float("nan") for v in range(256))
#: Distance of the points where the climatology is asked, a fifth of its pixel. [m]
_STEP: Final = 1000.0


@dataclass(frozen=True, slots=True)
class SnowCondition:
    """Snow occurrence of a week or month, averaged over years.

    Attributes
    ----------
    address
        Folder of the files by week or month, or the one file that fits.
    time
        Sensing time; chooses the file.
    storage_options
        Options of the file system.
    """

    address: str
    time: datetime
    storage_options: Any = field(default_factory=dict, repr=False)
    name: str = "cci"
    kind: Kind = "snow_condition"
    attribution: str = "ESA Climate Change Initiative Land Cover, (c) ESA CCI and UCLouvain"
    resolution_m: float = 500.0

    @property
    def source(self) -> str:
        """Name and address."""
        month = f"{self.time:%B}"
        return f"ESA CCI Snow Condition, {month}, {public_url(self.address)}"

    def open(self, grid: Grid, margin_m: float, resolution: float) -> xr.DataArray:
        """Occurrence over an area, see `AuxProvider.open`: 0 to 100 %, 254 water, 255 unknown."""
        return lazy_map(
            Mosaic((self._file(),), meaning=_OCCURRENCE),
            grid,
            margin_m,
            resolution,
            how="mode",
            source_m=self.resolution_m,
            fill=255.0,
            name=self.kind,
        )

    def _file(self) -> RasterFile:
        if self.address.partition("?")[0].lower().endswith((*_RASTERS, ".vrt", ".zip")):
            return single(self.address, self.storage_options)
        store = open_store(self.address, self.storage_options)
        names = [name for name in store.listdir() if name.lower().endswith(_RASTERS)]
        if not names:
            raise InputError(
                "no files of snow condition",
                where=store.url(),
                expected="rasters by week or month",
                fix="give the folder of the files; where it cannot be listed, give the file, with "
                "{time:%m} for the month",
            )
        return RasterFile(store, of_season(names, self.time, store.url()))


def of_season(names: list[str], time: datetime, where: str) -> str:
    """File of a time of the year.

    Parameters
    ----------
    names
        Files with a date (``20000716``: the first day of a week or month), with a month
        (``-07-`` or ``_07.``), or twelve of them in order.
    time
        What day it is.
    where
        Address of the folder for messages.

    Raises
    ------
    InputError
        If the names tell no season.
    """
    dated = {
        match[1]: name
        for name in sorted(names)
        if (match := re.search(r"(?<!\d)(?:19|20)\d\d([01]\d[0-3]\d)(?!\d)", name))
    }
    if len(dated) >= 12:
        # The last that has begun; before the first of January's it is the last of December.
        begun = [day for day in dated if day <= f"{time:%m%d}"]
        return dated[max(begun) if begun else max(dated)]
    months = {
        match[1]: name
        for name in sorted(names)
        if (match := re.search(r"(?<![\d.v])(0[1-9]|1[0-2])(?=\D*$|[-_.]v?\d)", name))
    }
    if len(months) == 12:
        return months[f"{time:%m}"]
    if len(names) == 12:
        # By number, not by letter: 2 before 10.
        order = sorted(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
        return order[time.month - 1]
    raise InputError(
        "files of snow condition without a season",
        where=where,
        expected="twelve files of months, or files with dates in their names",
        found=", ".join(sorted(names)[:4]),
        fix="give the one file to use",
    )


@dataclass(frozen=True, slots=True)
class SnowClimatology:
    """Whether a raster is greater than zero anywhere in the tile.

    Attributes
    ----------
    address
        The raster; one of the whole Earth (2:1) needs no georeference.
    storage_options
        Options of its file system.
    """

    address: str
    storage_options: Any = field(default_factory=dict, repr=False)
    name: str = "raster"
    kind: Kind = "snow_climatology"
    attribution: str = ""
    resolution_m: float = 5566.0

    @property
    def source(self) -> str:
        """Name and address."""
        return f"snow climatology, {public_url(self.address)}"

    def open(self, grid: Grid, margin_m: float, resolution: float) -> xr.DataArray:  # noqa: ARG002
        """One lazy bool, see `AuxProvider.open`."""
        mosaic = Mosaic((single(self.address, self.storage_options),))
        side = max(1, round(_STEP / grid.pixel_size))
        margin = int(np.ceil(margin_m / _STEP))
        coarse = Grid(
            grid.crs,
            *(grid.ulx, grid.uly, grid.pixel_size * side),
            *(-(-size // side) + 2 * margin for size in grid.shape),
        )
        area = Area(coarse, -margin, -margin, *coarse.shape)
        token = "-".join(mosaic.files[0].token)
        array = da.map_blocks(
            _anywhere,
            chunks=(),
            dtype=bool,
            meta=np.empty((), bool),
            name=f"snow_possible-{token}-{coarse}",
            mosaic=mosaic,
            area=area,
        )
        return xr.DataArray(array, name="snow_possible")


def _anywhere(*, mosaic: Mosaic, area: Area) -> npt.NDArray[np.bool_]:
    values = mosaic.sampled(area, smooth=False)
    return np.asarray(bool((values > 0).any()))


def _condition(request: Request) -> SnowCondition:
    return SnowCondition(request.address, request.time, dict(request.storage_options))


def _climatology(request: Request) -> SnowClimatology:
    return SnowClimatology(request.address, dict(request.storage_options))


SNOW_CONDITION: Final = {"cci": _condition}
SNOW_CLIMATOLOGY: Final = {"raster": _climatology}

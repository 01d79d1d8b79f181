"""Elevation: tiles of Copernicus DEM or SRTM, or any raster in metres."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.auxiliary.mosaic import Mosaic, lazy_map
from s2cloud.io.auxiliary.tiles import (
    beside,
    corner_name,
    degree_corners,
    existing,
    local_names,
    nothing_found,
    single,
)
from s2cloud.io.stores import open_store
from s2cloud.io.urls import public_url

if TYPE_CHECKING:
    import xarray as xr

    from s2cloud.io.auxiliary.protocol import Kind, Request
    from s2cloud.io.auxiliary.rasters import RasterFile
    from s2cloud.model.grid import Grid

__all__ = ["PROVIDERS", "Elevation", "guess"]

logger = logging.getLogger(__name__)

#: The shore of the Dead Sea, the lowest land, lies at -430 m; lower values are no elevations.
LOWEST: Final = -430.0

_COPERNICUS: Final = "Copernicus_DSM_COG_{step}_{{ns}}{{lat}}_00_{{ew}}{{lon}}_00_DEM"
_COPERNICUS_ATTRIBUTION: Final = (
    "produced using Copernicus WorldDEM-{metres} (c) DLR e.V. 2010-2014 and (c) Airbus Defence and "
    "Space GmbH 2014-2018 provided under COPERNICUS by the European Union and ESA; all rights "
    "reserved"
)


@dataclass(frozen=True, slots=True)
class _Tiling:
    """Tiles of one degree and their names."""

    name: str
    title: str
    templates: tuple[str, ...]
    pattern: str
    example: str
    resolution_m: float
    attribution: str


def _copernicus(step: int, metres: int) -> _Tiling:
    folder = _COPERNICUS.format(step=step)
    return _Tiling(
        name=f"copernicus-{metres}",
        title=f"Copernicus DEM GLO-{metres}",
        templates=(f"{folder}/{folder}.tif", f"{folder}.tif"),
        pattern=rf"Copernicus_DSM_COG_{step}_",
        example=f"Copernicus_DSM_COG_{step}_N46_00_E007_00_DEM",
        resolution_m=float(metres),
        attribution=_COPERNICUS_ATTRIBUTION.format(metres=metres),
    )


_TILINGS: Final = {
    tiling.name: tiling
    for tiling in (
        _copernicus(10, 30),
        _copernicus(30, 90),
        _Tiling(
            name="srtm",
            title="SRTM",
            templates=tuple(
                f"{{ns}}{{lat}}{{ew}}{{lon}}{suffix}"
                for suffix in (".hgt", ".SRTMGL1.hgt.zip", ".hgt.zip", ".SRTMGL3.hgt.zip")
            ),
            pattern=r"[NS]\d\d[EW]\d{3}\.",
            example="N46E007.hgt or N46E007.SRTMGL1.hgt.zip",
            resolution_m=30.0,
            attribution="SRTM by NASA and USGS, public domain",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Elevation:
    """Elevation above the sea, as the file has it (EGM2008 for Copernicus, EGM96 for SRTM).

    Attributes
    ----------
    name
        ``copernicus-30``, ``copernicus-90``, ``srtm`` or ``raster``.
    address
        Folder of the tiles, or the raster.
    storage_options
        Options of its file system.

    Notes
    -----
    Where there is no tile is sea, 0 m; so are pixels without value, as in ESA's processor. ESA
    takes everything below the sea for 0 too; here land down to -430 m keeps its elevation.
    """

    name: str
    address: str
    storage_options: Any = field(default_factory=dict, repr=False)

    @property
    def kind(self) -> Kind:
        """Kind of map."""
        return "elevation"

    @property
    def source(self) -> str:
        """Name and address."""
        title = _TILINGS[self.name].title if self.name in _TILINGS else "elevation"
        return f"{title}, {public_url(self.address)}"

    @property
    def attribution(self) -> str:
        """Words of the licence; empty for a raster of one's own."""
        return _TILINGS[self.name].attribution if self.name in _TILINGS else ""

    @property
    def resolution_m(self) -> float:
        """Pixel of the source. [m]."""
        if self.name in _TILINGS:
            return _TILINGS[self.name].resolution_m
        return single(self.address, self.storage_options).header.resolution_m

    def open(self, grid: Grid, margin_m: float, resolution: float) -> xr.DataArray:
        """Elevation over an area, see `AuxProvider.open`."""
        files = (
            self._tiles(_TILINGS[self.name], grid, margin_m)
            if self.name in _TILINGS
            else [single(self.address, self.storage_options)]
        )
        source_m = (
            _TILINGS[self.name].resolution_m
            if self.name in _TILINGS
            else files[0].header.resolution_m
        )
        elevation = lazy_map(
            Mosaic(tuple(files), low=LOWEST),
            grid,
            margin_m,
            resolution,
            how="mean",
            source_m=source_m,
            fill=0.0,
            name="elevation",
        )
        return elevation.assign_attrs(units="m", long_name="elevation of the surface")

    def _tiles(self, tiling: _Tiling, grid: Grid, margin_m: float) -> list[RasterFile]:
        store = open_store(self.address, self.storage_options)
        wanted = [
            [corner_name(lat, lon, template) for template in tiling.templates]
            for lat, lon in degree_corners(grid, margin_m, 1)
        ]
        found = existing(store, wanted)
        files = [beside(store, path) for path in found if path is not None]
        if not files:
            nothing_found(
                store,
                tiling.title,
                lambda name: re.match(tiling.pattern, name) is not None,
                tiling.example,
            )
        if len(files) < len(wanted):
            absent = [paths[0] for paths, path in zip(wanted, found, strict=True) if path is None]
            logger.warning(
                "%s: %d of %d tiles are not there, taken as sea at 0 m: %s",
                public_url(self.address),
                len(absent),
                len(wanted),
                ", ".join(name.rsplit("/", 1)[-1] for name in absent[:4]),
            )
        return files


def guess(address: str) -> str:
    """Name of the provider for an address: one raster by its suffix, else a folder of tiles.

    Tiles are told apart by their names on this machine, elsewhere by words of the address.
    """
    bare = address.partition("?")[0].rstrip("/").lower()
    if re.search(r"\.(tiff?|vrt|img|nc|jp2|dt[012]|asc|bil)$", bare) or address.startswith("/vsi"):
        return "raster"
    if re.search(r"\.hgt(\.zip)?$", bare):
        return "raster"
    for name in local_names(address):
        for tiling in _TILINGS.values():
            if re.match(tiling.pattern, name):
                return tiling.name
    if "srtm" in bare or "hgt" in bare:
        return "srtm"
    return "copernicus-90" if re.search(r"(?<!\d)90m?(?!\d)", bare) else "copernicus-30"


def _maker(name: str) -> Any:
    def make(request: Request) -> Elevation:
        return Elevation(name, request.address, dict(request.storage_options))

    return make


PROVIDERS: Final = {name: _maker(name) for name in (*_TILINGS, "raster")}

"""Land cover and water bodies: ESA WorldCover and the maps of ESA's Climate Change Initiative."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from s2cloud.io.auxiliary.mosaic import Mosaic, lazy_map
from s2cloud.io.auxiliary.rasters import RasterFile
from s2cloud.io.auxiliary.tiles import corner_name, degree_corners, existing, nothing_found, single
from s2cloud.io.stores import open_store
from s2cloud.io.urls import public_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from s2cloud.io.auxiliary.protocol import Kind, Request
    from s2cloud.model.grid import Grid

__all__ = ["LAND_COVER", "WATER_BODIES", "WORLD_COVER_TO_LCCS", "ClassMap", "guess"]

#: Classes of WorldCover (Zanaga et al. 2022, doi:10.5281/zenodo.7254221) -> nearest code of the
#: ESA CCI land cover (LCCS, Product User Guide 2.0).
WORLD_COVER_TO_LCCS: Final[Mapping[int, int]] = {
    10: 90,  # tree cover -> mixed leaf type
    20: 120,  # shrubland
    30: 130,  # grassland
    40: 10,  # cropland -> rainfed
    50: 190,  # built-up -> urban areas
    60: 200,  # bare or sparse vegetation -> bare areas
    70: 220,  # snow and ice
    80: 210,  # permanent water bodies
    90: 180,  # herbaceous wetland -> flooded shrub or herbaceous cover
    95: 170,  # mangroves -> tree cover flooded by saline water
    100: 140,  # moss and lichen
}

_WORLD_COVER: Final = "ESA_WorldCover_10m_{year}_{version}_{{ns}}{{lat}}{{ew}}{{lon}}_Map.tif"
_EDITIONS: Final = (("2021", "v200"), ("2020", "v100"))
_CCI_ATTRIBUTION: Final = "ESA Climate Change Initiative Land Cover, (c) ESA CCI and UCLouvain"
_WORLD_COVER_ATTRIBUTION: Final = (
    "(c) ESA WorldCover project / contains modified Copernicus Sentinel data (2021) processed by "
    "ESA WorldCover consortium, CC BY 4.0"
)


def _table(codes: Mapping[int, float]) -> tuple[float, ...]:
    return tuple(float(codes.get(code, float("nan"))) for code in range(256))


@dataclass(frozen=True, slots=True)
class _Map:
    """How a map becomes codes of ours."""

    title: str
    attribution: str
    resolution_m: float
    meaning: tuple[float, ...]
    how: Literal["mode", "share"]
    tiled: bool


_MAPS: Final[dict[tuple[str, str], _Map]] = {
    ("land_cover", "worldcover"): _Map(
        "ESA WorldCover", _WORLD_COVER_ATTRIBUTION, 10.0, _table(WORLD_COVER_TO_LCCS), "mode", True
    ),
    ("land_cover", "cci"): _Map(
        "ESA CCI Land Cover",
        _CCI_ATTRIBUTION,
        300.0,
        _table({code: code for code in range(10, 221)}),
        "mode",
        False,
    ),
    ("water_bodies", "worldcover"): _Map(
        "ESA WorldCover",
        _WORLD_COVER_ATTRIBUTION,
        10.0,
        _table({code: 2 if code == 80 else 1 for code in WORLD_COVER_TO_LCCS}),
        "mode",
        True,
    ),
    # Pixels of 150 m: Sen2Cor warps them with a spline and cuts in the middle, too.
    ("water_bodies", "cci"): _Map(
        "ESA CCI Water Bodies", _CCI_ATTRIBUTION, 150.0, _table({1: 1, 2: 2}), "share", False
    ),
}


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Land cover or water bodies.

    Attributes
    ----------
    kind
        ``land_cover``: codes of ESA CCI, 190 urban, 200 to 202 bare, 210 water, 220 snow and ice.
        ``water_bodies``: 1 land, 2 water. 0 is unknown in both.
    name
        ``worldcover`` or ``cci``.
    address
        Folder of WorldCover tiles, or one raster of either map.
    storage_options
        Options of its file system.
    """

    kind: Kind
    name: str
    address: str
    storage_options: Any = field(default_factory=dict, repr=False)

    @property
    def _map(self) -> _Map:
        return _MAPS[self.kind, self.name]

    @property
    def source(self) -> str:
        """Name and address."""
        return f"{self._map.title}, {public_url(self.address)}"

    @property
    def attribution(self) -> str:
        """Words of the licence."""
        return self._map.attribution

    @property
    def resolution_m(self) -> float:
        """Pixel of the source. [m]."""
        return self._map.resolution_m

    def open(self, grid: Grid, margin_m: float, resolution: float) -> xr.DataArray:
        """Codes over an area, see `AuxProvider.open`."""
        one = not self._map.tiled or _is_raster(self.address)
        files = [single(self.address, self.storage_options)] if one else self._tiles(grid, margin_m)
        return lazy_map(
            Mosaic(tuple(files), meaning=self._map.meaning),
            grid,
            margin_m,
            resolution,
            how=self._map.how,
            source_m=self._map.resolution_m,
            fill=0.0,
            name=self.kind,
        )

    def _tiles(self, grid: Grid, margin_m: float) -> list[RasterFile]:
        store = open_store(self.address, self.storage_options)
        templates = [_WORLD_COVER.format(year=y, version=v) for y, v in _EDITIONS]
        found = existing(
            store,
            [
                [corner_name(lat, lon, template) for template in templates]
                for lat, lon in degree_corners(grid, margin_m, 3)
            ],
        )
        files = [RasterFile(store, path) for path in found if path is not None]
        if not files:
            nothing_found(
                store,
                self._map.title,
                lambda name: name.startswith("ESA_WorldCover_10m_"),
                "ESA_WorldCover_10m_2021_v200_N45E006_Map.tif",
            )
        return files


def _is_raster(address: str) -> bool:
    bare = address.partition("?")[0].lower()
    return re.search(r"\.(tiff?|vrt|img|nc)$", bare) is not None or address.startswith("/vsi")


def guess(address: str) -> str:
    """Name of the provider for an address: ESA CCI is one raster, WorldCover a folder of tiles."""
    return "cci" if _is_raster(address) and "worldcover" not in address.lower() else "worldcover"


def _maker(kind: Kind, name: str) -> Any:
    def make(request: Request) -> ClassMap:
        return ClassMap(kind, name, request.address, dict(request.storage_options))

    return make


LAND_COVER: Final = {name: _maker("land_cover", name) for name in ("worldcover", "cci")}
WATER_BODIES: Final = {name: _maker("water_bodies", name) for name in ("worldcover", "cci")}

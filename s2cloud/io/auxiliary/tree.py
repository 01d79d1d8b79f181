"""The auxiliary tree: everything about a tile that the product itself does not bring."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from s2cloud.config import AuxiliaryConfig, ProcessorConfig
from s2cloud.io.auxiliary import aerosol, elevation, land_cover, snow
from s2cloud.io.auxiliary.protocol import AuxProvider, Kind, Request, provider_of
from s2cloud.io.urls import public_url
from s2cloud.model.errors import InputError
from s2cloud.model.granule import granule
from s2cloud.model.grid import Grid, grid_of
from s2cloud.model.schema import (
    CAMS,
    LAND_COVER,
    OVERVIEW,
    land_cover_path,
    reflectance_path,
    terrain_path,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from s2cloud.model.bands import Resolution

__all__ = ["open_aux"]

logger = logging.getLogger(__name__)

Address = str | os.PathLike[str] | AuxProvider

#: Argument -> kind, makers by name, the guess for an address without a name.
_MAPS: Final[dict[str, tuple[Kind, Mapping[str, Any], Callable[[str], str]]]] = {
    "dem": ("elevation", elevation.PROVIDERS, elevation.guess),
    "land_cover": ("land_cover", land_cover.LAND_COVER, land_cover.guess),
    "water_bodies": ("water_bodies", land_cover.WATER_BODIES, land_cover.guess),
    "snow_condition": ("snow_condition", snow.SNOW_CONDITION, lambda _: "cci"),
    "snow_climatology": ("snow_climatology", snow.SNOW_CLIMATOLOGY, lambda _: "raster"),
    "cams": ("aerosol", aerosol.PROVIDERS, lambda _: "cams"),
}
_CLASSES: Final = ("land_cover", "water_bodies", "snow_condition")


def open_aux(  # noqa: PLR0913  # one argument per map
    l1c: xr.DataTree,
    config: ProcessorConfig | AuxiliaryConfig | None = None,
    *,
    dem: Address | None = None,
    land_cover: Address | None = None,
    water_bodies: Address | None = None,
    snow_condition: Address | None = None,
    snow_climatology: Address | None = None,
    cams: Address | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Open global maps on the grids of a tile, lazily.

    Parameters
    ----------
    l1c
        Tree from ``open_l1c`` or ``l1c_from_bands``; says where and when.
    config
        Its block ``auxiliary`` names maps; arguments here come first.
    dem
        Folder or bucket of Copernicus DEM or SRTM tiles, or one raster.
    land_cover
        Folder of ESA WorldCover tiles, or the ESA CCI land cover map.
    water_bodies
        The ESA CCI water bodies map, or a folder of WorldCover tiles.
    snow_condition
        Folder of ESA CCI snow condition files by week or month, or one of them.
    snow_climatology
        Raster that is greater than zero where snow can lie.
    cams
        File or folder of CAMS optical thickness at 550 nm.
    storage_options
        Options of fsspec for remote addresses; with several kinds of store a dict by protocol,
        ``{"s3": {"anon": True}}``.

    Returns
    -------
    DataTree
        For ``process(l1c, aux)``: ``conditions/terrain/r20m`` and ``r60m`` (the tile and a
        margin), ``conditions/landcover`` with ``r20m`` and ``r60m``, and
        ``conditions/meteorology/cams``, as far as there are maps. The attribute ``auxiliary``
        lists what was opened. Pixels are read when they are computed.

    Raises
    ------
    InputError
        If an address holds no such map.
    UsageError
        If a provider is not known.
    UnavailableError
        If a store does not answer or refuses.

    Examples
    --------
    >>> aux = open_aux(l1c, dem="dem/glo-30", land_cover="worldcover/")  # doctest: +SKIP
    >>> process(l1c, aux)["conditions/mask/l2a_classification/r20m/scl"]  # doctest: +SKIP
    """
    options = config.auxiliary if isinstance(config, ProcessorConfig) else config
    options = options or AuxiliaryConfig()
    given = {
        "dem": dem,
        "land_cover": land_cover,
        "water_bodies": water_bodies,
        "snow_condition": snow_condition,
        "snow_climatology": snow_climatology,
        "cams": cams,
    }
    providers: dict[str, AuxProvider] = {}
    for argument in _MAPS:
        wanted = given[argument] if given[argument] is not None else getattr(options, argument)
        if wanted is not None:
            providers[argument] = _provider(argument, wanted, l1c, storage_options or {})
    tree = _Nodes(l1c, providers, options.terrain_margin_km * 1000.0).tree()
    missing = [_MAPS[argument][0] for argument in _MAPS if argument not in providers]
    if missing:
        logger.info("no auxiliary map of %s", ", ".join(missing))
    return tree


def _provider(
    argument: str, wanted: Any, l1c: xr.DataTree, storage_options: Mapping[str, Any]
) -> AuxProvider:
    kind, built_in, guess = _MAPS[argument]
    if isinstance(wanted, str | os.PathLike):
        address = os.fspath(wanted)
        remote = "://" in address and not address.startswith("file://")
        request = Request(
            address, granule(l1c).sensing_time, dict(storage_options) if remote else {}
        )
        return provider_of(kind, request, built_in, guess)
    provider: AuxProvider = wanted
    return provider


class _Nodes:
    """Nodes of the tree on the grids of a product."""

    def __init__(
        self, l1c: xr.DataTree, providers: Mapping[str, AuxProvider], margin_m: float
    ) -> None:
        self.l1c = l1c
        self.providers = providers
        self.margin_m = margin_m
        self.resolution, self.work = _working_grid(l1c)
        self.overview = grid_of(l1c[f"{OVERVIEW}/r60m"].to_dataset(), crs=self.work.crs)

    def tree(self) -> xr.DataTree:
        nodes: dict[str, xr.Dataset] = {}
        if (provider := self.providers.get("dem")) is not None:
            for resolution, grid, margin in (
                (self.resolution, self.work, 0.0),
                (60, self.overview, self.margin_m),
            ):
                nodes[terrain_path(resolution)] = self._dataset(
                    {"elevation": provider}, grid, margin
                )
        classes = {name: self.providers[name] for name in _CLASSES if name in self.providers}
        if classes:
            for resolution, grid in ((self.resolution, self.work), (60, self.overview)):
                nodes[land_cover_path(resolution)] = self._dataset(classes, grid, 0.0)
        if (provider := self.providers.get("snow_climatology")) is not None:
            possible = provider.open(self.overview, 0.0, self.overview.pixel_size)
            nodes[LAND_COVER] = xr.Dataset({"snow_possible": _signed(possible, provider)})
        if (provider := self.providers.get("cams")) is not None:
            nodes[CAMS] = self._aerosol(provider)
        tree = xr.DataTree.from_dict(nodes)
        tree.attrs["auxiliary"] = [
            {
                "kind": provider.kind,
                "source": provider.source,
                "resolution_m": round(float(provider.resolution_m), 1),
                "attribution": provider.attribution,
            }
            for provider in self.providers.values()
        ]
        return tree

    def _dataset(
        self, providers: Mapping[str, AuxProvider], grid: Grid, margin: float
    ) -> xr.Dataset:
        size = grid.pixel_size
        dataset = xr.Dataset(
            {name: _signed(p.open(grid, margin, size), p) for name, p in providers.items()},
            attrs={"crs": grid.crs, "resolution": size},
        )
        if not margin:
            # Exactly the coordinates of the bands, for xarray to line them up.
            expected = {"y": grid.height, "x": grid.width}
            if dict(dataset.sizes) != expected:
                raise InputError(
                    "map does not fit the tile",
                    where=", ".join(providers),
                    expected=expected,
                    found=dict(dataset.sizes),
                    fix="report it to whoever made the provider",
                )
        return dataset

    def _aerosol(self, provider: AuxProvider) -> xr.Dataset:
        """The product's own forecast with another optical thickness, or that alone."""
        try:
            own = self.l1c[CAMS].to_dataset()
        except KeyError:
            own = None
        if own is not None and isinstance(provider, aerosol.CamsAerosol):
            at = [np.asarray(own[name].values, np.float64) for name in ("latitude", "longitude")]
            return own.assign(aod550=_signed(provider.at(*at), provider))
        field = _signed(provider.open(self.overview, 0.0, self.overview.pixel_size), provider)
        return xr.Dataset({"aod550": field})


def _working_grid(l1c: xr.DataTree) -> tuple[Resolution, Grid]:
    """The 20 m grid of the bands, or the only grid there is."""
    order: tuple[Resolution, ...] = (20, 10, 60)
    for resolution in order:
        try:
            dataset = l1c[reflectance_path(resolution)].to_dataset()
        except KeyError:
            continue
        if dataset.data_vars:
            return resolution, grid_of(dataset)
    raise InputError(
        "tree without bands",
        where=public_url(str(l1c.name or "tree")),
        expected=reflectance_path(20),
        fix="open it with open_l1c or build it with l1c_from_bands",
    )


def _signed(variable: xr.DataArray, provider: AuxProvider) -> xr.DataArray:
    return variable.assign_attrs(source=provider.source, attribution=provider.attribution)

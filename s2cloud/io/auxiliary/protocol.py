"""What an auxiliary map is to the rest of s2cloud, and how one is found by name or address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, get_args, runtime_checkable

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    import xarray as xr

    from s2cloud.model.grid import Grid

__all__ = ["ENTRY_POINTS", "KINDS", "AuxProvider", "Kind", "Request", "provider_of"]

Kind = Literal[
    "elevation",
    "land_cover",
    "water_bodies",
    "snow_condition",
    "snow_climatology",
    "aerosol",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

#: Group of entry points of other packages. Its name is ``KIND.NAME``, its object a function that
#: takes a `Request` and returns an `AuxProvider`; ``NAME:ADDRESS`` then selects it.
ENTRY_POINTS: Final = "s2cloud.auxiliary"


@runtime_checkable
class AuxProvider(Protocol):
    """A source of one kind of map."""

    @property
    def name(self) -> str:
        """Short name such as ``copernicus-30``."""
        ...

    @property
    def kind(self) -> Kind:
        """What it maps."""
        ...

    @property
    def source(self) -> str:
        """Address for the provenance, without secrets."""
        ...

    @property
    def attribution(self) -> str:
        """Sentence that the licence of the map asks for."""
        ...

    @property
    def resolution_m(self) -> float:
        """Nominal size of a pixel of the source. [m]."""
        ...

    def open(self, grid: Grid, margin_m: float, resolution: float) -> xr.DataArray:
        """Map over an area, lazily.

        Parameters
        ----------
        grid
            Area and reference system.
        margin_m
            Wanted beyond the area on every side, whole pixels. [m]
        resolution
            Size of a pixel of the result; the corner of ``grid`` is a corner of pixels. [m]

        Returns
        -------
        DataArray
            (y, x) with coordinates of pixel centres: float32 [m] for elevation, uint8 codes for
            land cover, water bodies and snow condition. A snow climatology gives one bool. An
            aerosol map gives the optical thickness at 550 nm on (latitude, longitude).
        """
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a provider is made from.

    Attributes
    ----------
    address
        Path or URL; ``{time:%m}`` and the like stand for parts of the sensing time.
    time
        Sensing time, UTC.
    storage_options
        Options of the file system of the address; they may hold secrets.
    """

    address: str
    time: datetime
    storage_options: Mapping[str, Any]


def provider_of(
    kind: Kind,
    request: Request,
    built_in: Mapping[str, Callable[[Request], AuxProvider]],
    guess: Callable[[str], str],
) -> AuxProvider:
    """Provider for an address.

    Parameters
    ----------
    kind
        What is wanted.
    request
        Its address may begin with the name of a provider and a colon.
    built_in
        Makers of the providers of s2cloud by name.
    guess
        Name of the maker for an address without a name.

    Raises
    ------
    UsageError
        If the name is of no provider of this kind, or the address has a wrong place for the time.
    """
    installed = {
        point.name.removeprefix(f"{kind}."): point
        for point in entry_points(group=ENTRY_POINTS)
        if point.name.startswith(f"{kind}.")
    }
    address = request.address
    # Two letters at least, so that a drive of Windows is none; no URL has just one of the slashes.
    named = re.match(r"([A-Za-z][\w.-]+):(?!//)(.+)", address)
    name = named[1] if named and "::" not in named[0][: len(named[1]) + 2] else ""
    if name and name not in {*installed, *built_in}:
        raise UsageError(
            f"unknown provider of {kind.replace('_', ' ')}",
            where=address.partition("?")[0],
            expected=", ".join(sorted({*installed, *built_in})),
            found=name,
            fix="name one of these before the colon, or give a path or URL alone",
        )
    if name and named:
        address = named[2]
    address = re.sub(r"\{time:[^{}]+\}", lambda m: m[0].format(time=request.time), address)
    if "{time" in address:
        raise UsageError(
            "wrong place for the time",
            where=address.partition("?")[0],
            expected="{time:%Y%m%d} or other codes of strftime",
            fix="write the codes between the colon and the brace",
        )
    request = Request(address, request.time, request.storage_options)
    name = name or guess(address)
    if name in installed:
        provider: AuxProvider = installed[name].load()(request)
        return provider
    return built_in[name](request)

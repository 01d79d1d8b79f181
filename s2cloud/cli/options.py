"""Options that several commands share, and their translation from words to values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "BBOX",
    "FORMATS",
    "MAPS",
    "geometry_text",
    "is_remote",
    "parse_storage_options",
    "with_addresses_of_maps",
    "with_maps",
    "with_part",
    "with_storage_options",
]

FORMAT_NAMES: Final = ("cog", "zarr", "safe")
_DEGREES: Final = "EPSG:4326"


class _BBox(click.ParamType):  # type: ignore[type-arg]  # generic in new releases of click only
    """Four numbers ``W,S,E,N``."""

    name = "W,S,E,N"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float, float]:
        try:
            west, south, east, north = (float(word) for word in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not four numbers W,S,E,N", param, ctx)
        in_degrees = ctx is None or ctx.params.get("bbox_crs", _DEGREES) == _DEGREES
        on_earth = -90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180
        if in_degrees and not on_earth:
            self.fail(f"{value!r} has no area on Earth; the order is W,S,E,N", param, ctx)
        return west, south, east, north


class _Words(click.ParamType):  # type: ignore[type-arg]  # as above
    """Words between commas, or numbers."""

    def __init__(self, name: str, kind: Callable[[str], Any] = str) -> None:
        self.name = name
        self.kind = kind

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(word) for word in str(value).replace(",", " ").split())
        except ValueError:
            self.fail(f"{value!r} is not {self.name}", param, ctx)


class _Formats(click.ParamType):  # type: ignore[type-arg]  # as above
    """A comma-separated choice of output formats."""

    name = "cog,zarr,safe"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        wanted = {word.strip().lower() for word in str(value).split(",") if word.strip()}
        if not wanted or wanted - set(FORMAT_NAMES):
            self.fail(f"{value!r} is not made of {', '.join(FORMAT_NAMES)}", param, ctx)
        return tuple(name for name in FORMAT_NAMES if name in wanted)


BBOX: Final = _BBox()
FORMATS: Final = _Formats()


#: Auxiliary maps by the name of their option and of their configuration.
MAPS: Final = {
    "dem": "Elevation: folder of Copernicus DEM or SRTM tiles, or a raster.",
    "land_cover": "Land cover: folder of WorldCover tiles, or the ESA CCI map.",
    "water_bodies": "Water bodies: the ESA CCI map, or a folder of WorldCover tiles.",
    "snow_condition": "Snow occurrence: folder of ESA CCI files by week or month.",
    "snow_climatology": "Where snow can lie: a raster, above zero where it can.",
    "cams": "Aerosol optical thickness: file of CAMS, or a folder of them.",
}


def with_part(command: Any) -> Any:
    """Decorate a command with the options that choose a part of a product."""
    options = (
        click.option("--bbox", type=BBOX, help="Only this part, W,S,E,N."),
        # Eager, for the box is checked by it.
        click.option(
            "--bbox-crs",
            default=_DEGREES,
            show_default=True,
            is_eager=True,
            metavar="CRS",
            help="Reference system of --bbox, and of a geometry that names none.",
        ),
        click.option("--geometry", metavar="FILE", help="Only the area in this GeoJSON file."),
        click.option("--mask", is_flag=True, help="No-data outside of the geometry."),
        click.option("--bands", type=_Words("B02,B03,scl"), help="Only these bands and maps."),
        click.option("--resolution", type=_Words("10,20,60", int), help="Only these pixel sizes."),
        click.option(
            "--quick",
            is_flag=True,
            help="With --resolution 20 or 60: read finer bands at low resolution, in half or a "
            "tenth of the time. Pixels differ a little from those of the whole product.",
        ),
        click.option(
            "--statistics",
            type=click.Choice(["tile", "region"]),
            default="tile",
            show_default=True,
            help="What aerosol and vapour of a part come from: the tile at reduced resolution, "
            "with pixels as in the whole tile, or the part alone.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def geometry_text(path: str | None, crs: str, storage_options: dict[str, Any]) -> str | None:
    """Content of a geometry file as GeoJSON, so that a job does not depend on the file."""
    if path is None:
        return None
    from s2cloud.io.geometries import geometry, to_text  # noqa: PLC0415  # keep --help fast

    return to_text(geometry(path, crs, storage_options if is_remote(path) else {}))


def with_maps(command: Any) -> Any:
    """Decorate a command with one option per auxiliary map and those that reach their store."""
    return with_addresses_of_maps(
        _pair("aux-", "for the maps, where they differ from SRC")(command)
    )


def with_addresses_of_maps(command: Any) -> Any:
    """Decorate a command with one option per auxiliary map."""
    for name, words in reversed(MAPS.items()):
        option = f"--{name.replace('_', '-')}"
        command = click.option(option, name, metavar="ADDRESS", help=words)(command)
    return command


def with_storage_options(*, destination: bool) -> Callable[[Any], Any]:
    """Decorate a command with the options that reach the object stores.

    Parameters
    ----------
    destination
        Whether to offer a separate set for the destination.
    """

    def decorate(command: Any) -> Any:
        if destination:
            command = _pair("dst-", "for DST, where it differs from SRC")(command)
        return _pair("", "for the object store")(command)

    return decorate


def _pair(prefix: str, words: str) -> Callable[[Any], Any]:
    one = click.option(
        f"--{prefix}storage-option",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"One option {words}: endpoint_url=http://..., client_kwargs.region_name=...",
    )
    many = click.option(
        f"--{prefix}storage-options", metavar="JSON", help=f"The options {words} as JSON."
    )
    return lambda command: one(many(command))


def parse_storage_options(pairs: Iterable[str], text: str | None) -> dict[str, Any]:
    """Options for fsspec from ``KEY=VALUE`` words and a JSON object.

    Parameters
    ----------
    pairs
        Words such as ``anon=true`` or ``client_kwargs.region_name=eu-central-1``; a value is
        read as JSON where it is JSON.
    text
        A JSON object, refined by the pairs.

    Returns
    -------
    dict

    Raises
    ------
    click.BadParameter
        If a word has no ``=`` or the text is no JSON object.
    """
    options: dict[str, Any] = {}
    if text:
        try:
            parsed = json.loads(text)
        except json.JSONDecodeError as error:
            raise click.BadParameter(f"storage options are not JSON: {error}") from None
        if not isinstance(parsed, dict):
            raise click.BadParameter("storage options are not a JSON object")
        options.update(parsed)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"storage option {pair!r} is not KEY=VALUE")
        _put(options, key.split("."), value)
    return options


def _put(options: dict[str, Any], path: list[str], value: str) -> None:
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        parsed = value
    # Keys and secrets may look like numbers; only words with a JSON meaning are translated.
    if isinstance(parsed, int | float) and not isinstance(parsed, bool) and path[-1] in _TEXTS:
        parsed = value
    for key in path[:-1]:
        options = options.setdefault(key, {})
        if not isinstance(options, dict):
            raise click.BadParameter(f"storage option {'.'.join(path)!r} is inside a plain value")
    options[path[-1]] = parsed


_TEXTS: Final = frozenset({"key", "secret", "token", "username", "password", "profile"})


def is_remote(url: str) -> bool:
    """Whether a path names an object store rather than a folder of this machine."""
    return "://" in url and not url.startswith(("file://", "local://"))

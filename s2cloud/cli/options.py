"""Options that several commands share, and their translation from words to values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["BBOX", "FORMATS", "is_remote", "parse_storage_options", "with_storage_options"]

FORMAT_NAMES: Final = ("cog", "zarr")


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
            self.fail(f"{value!r} is not four numbers W,S,E,N in degrees", param, ctx)
        if not (-90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180):
            self.fail(f"{value!r} has no area on Earth; the order is W,S,E,N", param, ctx)
        return west, south, east, north


class _Formats(click.ParamType):  # type: ignore[type-arg]  # as above
    """A comma-separated choice of output formats."""

    name = "cog,zarr"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        wanted = {word.strip().lower() for word in str(value).split(",") if word.strip()}
        if not wanted or wanted - set(FORMAT_NAMES):
            self.fail(f"{value!r} is not made of {' and '.join(FORMAT_NAMES)}", param, ctx)
        return tuple(name for name in FORMAT_NAMES if name in wanted)


BBOX: Final = _BBox()
FORMATS: Final = _Formats()


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

"""``s2cloud config``: what may be chosen, and what is chosen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from s2cloud.cli.options import MAPS, with_addresses_of_maps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["config"]


@click.group(short_help="Show the processing options.")
def config() -> None:
    """Show what may be chosen, and what is chosen."""


@config.command(short_help="Print the options in force, and where each comes from.")
@click.option("--config", "path", metavar="FILE", help="Processing options, a YAML file.")
@with_addresses_of_maps
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(path: str | None, *, changed: bool, as_json: bool, **given: Any) -> None:
    """Print all options in force as YAML, ready to be edited and given to --config.

    The comments tell where each value comes from: the default, the file, a variable such as
    S2CLOUD_AEROSOL__MODEL=maritime, or the command line; the later in this order wins.
    """
    from s2cloud.config import load_config, origins_of  # noqa: PLC0415  # keep --help fast

    chosen = load_config(path)
    origins = origins_of(path)
    for name in MAPS:
        if given[name] is not None:
            maps_of = chosen.auxiliary.model_copy(update={name: given[name]})
            chosen = chosen.model_copy(update={"auxiliary": maps_of})
            origins[f"auxiliary.{name}"] = f"--{name.replace('_', '-')}"
    values = chosen.model_dump(mode="json")
    if as_json:
        rows = [
            {"option": name, "value": value, "origin": origins.get(name, "default")}
            for name, value in _leaves(values)
            if name in origins or not changed
        ]
        print(json.dumps(rows))
    else:
        print("\n".join(_lines(values, origins, changed=changed)) or "{}")


@config.command(short_help="Print the JSON schema of the options.")
@click.option("--service", is_flag=True, help="Of the settings of `s2cloud serve`.")
@click.option("--json", "as_json", is_flag=True, help="Without line breaks.")
def schema(*, service: bool, as_json: bool) -> None:
    """Print the JSON schema of the options: names, types, ranges, defaults and meanings."""
    if service:
        from s2cloud.service.settings import Settings  # noqa: PLC0415  # keep --help fast

        found = Settings.model_json_schema()
    else:
        from s2cloud.config import ProcessorConfig  # noqa: PLC0415

        found = ProcessorConfig.model_json_schema()
    print(json.dumps(found, indent=None if as_json else 2))


def _leaves(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield before + name, value


def _lines(
    values: Mapping[str, Any], origins: Mapping[str, str], *, changed: bool, before: str = ""
) -> Iterator[str]:
    """YAML with the origin of each value as a comment."""
    import yaml  # noqa: PLC0415  # keep --help fast

    indent = "  " * before.count(".")
    for name, value in values.items():
        full = before + name
        if isinstance(value, dict):
            inner = list(_lines(value, origins, changed=changed, before=f"{full}."))
            if inner:
                yield f"{indent}{name}:"
                yield from inner
        elif full in origins or not changed:
            text = yaml.safe_dump({name: value}, width=1000).rstrip()
            yield f"{indent}{text}  # {origins.get(full, 'default')}"

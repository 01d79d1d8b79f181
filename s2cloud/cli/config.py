"""``s2cloud config``: what may be chosen, and what is chosen."""

from __future__ import annotations

import json

import click

__all__ = ["config"]


@click.group(short_help="Show the processing options.")
def config() -> None:
    """Show what may be chosen, and what is chosen."""


@config.command(short_help="Print the options in force.")
@click.option("--config", "path", metavar="FILE", help="Processing options, a YAML file.")
def show(path: str | None) -> None:
    """Print all options in force as YAML, ready to be edited and given to --config."""
    import yaml  # noqa: PLC0415  # keep --help fast

    from s2cloud.config import load_config  # noqa: PLC0415

    values = load_config(path).model_dump(mode="json")
    print(yaml.safe_dump(values, sort_keys=False).rstrip())


@config.command(short_help="Print the JSON schema of the options.")
@click.option("--service", is_flag=True, help="Of the settings of `s2cloud serve`.")
def schema(*, service: bool) -> None:
    """Print the JSON schema of the options: names, types, ranges, defaults and meanings."""
    if service:
        from s2cloud.service.settings import Settings  # noqa: PLC0415  # keep --help fast

        print(json.dumps(Settings.model_json_schema(), indent=2))
        return
    from s2cloud.config import ProcessorConfig  # noqa: PLC0415

    print(json.dumps(ProcessorConfig.model_json_schema(), indent=2))

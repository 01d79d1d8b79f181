"""``s2cloud serve``: products made as their inputs arrive."""

from __future__ import annotations

import json
import logging
from typing import Any

import click

from s2cloud.cli import console

__all__ = ["serve", "with_settings"]


def with_settings(command: Any) -> Any:
    """Decorate a command with the option that names the settings of the service."""
    return click.option(
        "--settings",
        metavar="FILE",
        envvar="S2CLOUD_SETTINGS",
        required=True,
        help="Settings of the service, a YAML file; S2CLOUD_SETTINGS by default.",
    )(command)


@click.command(short_help="Make products as events name their inputs.")
@with_settings
@click.option("--check", is_flag=True, help="Check the settings and leave.")
@click.option("--json", "as_json", is_flag=True, help="Print settings, or the address, as JSON.")
def serve(settings: str, *, check: bool, as_json: bool) -> None:
    """Turn events of object stores and catalogues into Level-2A products, until SIGTERM.

    Events come to POST /events, from queues, or from polls. Products are made when their input
    is complete, each once, by however many processes run with the same settings.
    """
    from s2cloud.service.settings import load_settings  # noqa: PLC0415  # keep --help fast

    chosen = load_settings(settings)
    if check:
        console.say("settings are possible")
        if as_json:
            print(chosen.model_dump_json())
        return
    logging.getLogger("s2cloud").setLevel(
        min(logging.INFO, logging.getLogger("s2cloud").getEffectiveLevel())
    )
    if chosen.log.format == "json":
        console.log_as_json()
    from s2cloud.service.serve import serve as run  # noqa: PLC0415

    def started(url: str) -> None:
        console.say(f"listening on {url}")
        if as_json:
            print(json.dumps({"url": url}), flush=True)

    run(chosen, started=started)

"""``s2cloud simulate``: an L1C product whose truth is known."""

from __future__ import annotations

import json
from typing import Any

import click

from s2cloud.cli import console
from s2cloud.cli.options import is_remote, parse_storage_options, with_storage_options

__all__ = ["simulate"]


@click.command(short_help="Write an L1C product whose truth is known.")
@click.argument("destination", metavar="DST")
@click.option(
    "--size",
    type=int,
    default=2196,
    show_default=True,
    help="Rows and columns at 10 m, a multiple of 12 from 96 to 10980.",
)
@click.option(
    "--scene",
    type=click.Choice(["mixed", "clear", "vegetation", "snow"]),
    default="mixed",
    show_default=True,
    help="What the landscape and the sky look like.",
)
@click.option(
    "--sensor", type=click.Choice(["S2A", "S2B", "S2C"]), default="S2A", show_default=True
)
@click.option("--baseline", default="05.11", show_default=True, help="Baseline to imitate.")
@click.option(
    "--aot550", type=float, default=0.15, show_default=True, help="Aerosol optical thickness."
)
@click.option(
    "--tcwv", type=float, default=18.0, show_default=True, help="Water vapour column in kg m-2."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, same bytes.")
@with_storage_options(destination=False)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def simulate(
    destination: str,
    *,
    storage_option: tuple[str, ...],
    storage_options: str | None,
    as_json: bool,
    **recipe: Any,
) -> None:
    """Write a simulated L1C product, and the truth it was made from, under DST."""
    from s2cloud.simulation import simulate_l1c  # noqa: PLC0415  # keep --help fast

    options = parse_storage_options(storage_option, storage_options)
    product = simulate_l1c(
        destination, storage_options=options if is_remote(destination) else None, **recipe
    )
    if as_json:
        facts = {"name": product.name, "uri": product.uri, "truth_uri": product.truth_uri}
        print(json.dumps(facts))
    else:
        print(product.uri)
        console.say(f"truth: {product.truth_uri}")

"""``s2cloud catalog``: a static STAC catalog of many products."""

from __future__ import annotations

import json

import click

from s2cloud.cli import console
from s2cloud.cli.options import is_remote, parse_storage_options, with_storage_options

__all__ = ["catalog"]


@click.command(short_help="Write a STAC catalog of products.")
@click.argument("destination", metavar="DST")
@click.argument("products", metavar="[NAME]...", nargs=-1)
@click.option("--title", default="", help="Title of the catalog, the name of DST by default.")
@with_storage_options(destination=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def catalog(
    destination: str,
    products: tuple[str, ...],
    *,
    title: str,
    storage_option: tuple[str, ...],
    storage_options: str | None,
    as_json: bool,
) -> None:
    """Write DST/catalog.json with a link to each complete product below DST.

    DST is the folder or URL prefix that was given to `s2cloud process`. Without names all
    products that have a receipt are taken; run it again when there are more.
    """
    from s2cloud.io.catalog import CATALOG, write_catalog  # noqa: PLC0415  # keep --help fast
    from s2cloud.io.urls import join_url, public_url  # noqa: PLC0415

    options = parse_storage_options(storage_option, storage_options)
    written = write_catalog(
        destination,
        products or None,
        title=title,
        storage_options=options if is_remote(destination) else {},
    )
    address, number = public_url(join_url(destination, CATALOG)), len(written.get_links("item"))
    if as_json:
        print(json.dumps({"catalog": address, "products": number}))
    else:
        print(address)
        console.say(f"{number} products")

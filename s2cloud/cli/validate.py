"""``s2cloud validate``: whether what lies there is the product that its receipt describes."""

from __future__ import annotations

import json

import click

from s2cloud.cli.options import is_remote, parse_storage_options, with_storage_options

__all__ = ["validate"]

INVALID = 3


@click.command(short_help="Check a product against its receipt.")
@click.argument("destination", metavar="DST")
@click.option("--quick", is_flag=True, help="Lengths and headers only, no checksums.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@with_storage_options(destination=False)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def validate(
    destination: str,
    *,
    quick: bool,
    strict: bool,
    storage_option: tuple[str, ...],
    storage_options: str | None,
    as_json: bool,
) -> int:
    """Check the product, the folder of products or the catalog at DST.

    Names every missing, damaged and unknown file and every contradiction between files and
    receipt: structure, types, georeference, scales and offsets, checksums, links.

    Exits with 0 if there is no error, else with 3.
    """
    from s2cloud.io.validate import validate as check  # noqa: PLC0415  # keep --help fast

    options = parse_storage_options(storage_option, storage_options)
    result = check(
        destination,
        storage_options=options if is_remote(destination) else {},
        checksums=not quick,
    )
    print(json.dumps(result.to_dict()) if as_json else result)
    return 0 if result.ok and not (strict and result.findings) else INVALID

"""``s2cloud report``: one page about a product."""

from __future__ import annotations

import json

import click

from s2cloud.cli.options import is_remote, parse_storage_options, with_storage_options

__all__ = ["report"]


@click.command(short_help="Write a one-page report about a product.")
@click.argument("destination", metavar="DST")
@click.option("--output", metavar="FILE", help="Where to write; DST/report.html by default.")
@with_storage_options(destination=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def report(
    destination: str,
    *,
    output: str | None,
    storage_option: tuple[str, ...],
    storage_options: str | None,
    as_json: bool,
) -> None:
    """Write an HTML page about the product at DST: maps, histograms, classes, provenance.

    The page is one file without links to others. It is made from the product, which it is not a
    part of, and can be made again at any time.
    """
    from s2cloud.io.report import write_report  # noqa: PLC0415  # keep --help fast

    options = parse_storage_options(storage_option, storage_options)
    options = options if is_remote(destination) else {}
    page = str(write_report(destination, output, storage_options=options))
    print(json.dumps({"report": page}) if as_json else page)

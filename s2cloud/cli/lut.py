"""``s2cloud lut``: the look-up tables of the atmosphere."""

from __future__ import annotations

import json

import click

from s2cloud.cli import console

__all__ = ["lut"]

#: The models of `s2cloud.physics.aerosols`, named here to keep the command line quick.
AEROSOLS = ("continental", "maritime", "urban", "desert")


@click.group(short_help="Make look-up tables of the atmosphere.")
def lut() -> None:
    """Make the look-up tables of the atmosphere that s2cloud ships."""


@lut.command(short_help="Compute the tables of some aerosols, or of all.")
@click.argument("directory", metavar="[DIR]", type=click.Path(file_okay=False), default="lut")
@click.option(
    "--aerosol",
    "aerosols",
    multiple=True,
    type=click.Choice(AEROSOLS),
    help="Aerosol model, may be repeated; all by default.",
)
@click.option(
    "--sensor",
    "sensors",
    multiple=True,
    type=click.Choice(["S2A", "S2B", "S2C"]),
    help="Instrument, may be repeated; all by default.",
)
@click.option("--reduced", is_flag=True, help="Few nodes, for tests: seconds instead of an hour.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line per table.")
def build(
    directory: str,
    *,
    aerosols: tuple[str, ...],
    sensors: tuple[str, ...],
    reduced: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Compute tables into DIR (./lut); an interrupted build goes on where it stopped."""
    from s2cloud.model.bands import SENSORS  # noqa: PLC0415  # keep --help fast
    from s2cloud.physics.lut_build import build as build_table  # noqa: PLC0415

    if directory in AEROSOLS and not aerosols:
        raise click.UsageError(
            f"{directory} names an aerosol, not a folder; say --aerosol {directory}"
        )
    for aerosol in aerosols or AEROSOLS:
        with console.progress_bar(f"table {aerosol}") as on_progress:
            path = build_table(
                aerosol,
                directory,
                sensors=tuple(name for name in SENSORS if not sensors or name in sensors),
                reduced=reduced,
                jobs=jobs,
                progress=on_progress,
            )
        print(json.dumps({"aerosol": aerosol, "table": str(path)}) if as_json else path)

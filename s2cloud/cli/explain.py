"""``s2cloud explain``: why a pixel got its class."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from s2cloud.cli.options import is_remote, parse_storage_options, with_storage_options

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["explain"]


@click.command(short_help="Tell why a pixel got its class.")
@click.argument("source", metavar="SRC")
@click.option("--x", "x", type=float, required=True, help="Easting in metres, or longitude.")
@click.option("--y", "y", type=float, required=True, help="Northing in metres, or latitude.")
@click.option("--lonlat", is_flag=True, help="x and y are longitude and latitude in degrees.")
@click.option("--config", "config_path", metavar="FILE", help="Configuration, YAML or JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@with_storage_options(destination=False)
def explain(
    source: str,
    *,
    x: float,
    y: float,
    lonlat: bool,
    config_path: str | None,
    as_json: bool,
    storage_option: tuple[str, ...],
    storage_options: str | None,
) -> None:
    """Tell every test that the scene classification of the L1C product SRC made for one pixel."""
    from s2cloud.config import load_config  # noqa: PLC0415  # keep --help fast
    from s2cloud.io.auxiliary import open_aux  # noqa: PLC0415
    from s2cloud.io.open import open_l1c  # noqa: PLC0415
    from s2cloud.processor.explain import explain as explain_pixel  # noqa: PLC0415

    options = parse_storage_options(storage_option, storage_options)
    l1c = open_l1c(source, storage_options=options if is_remote(source) else {})
    config = load_config(config_path)
    if lonlat:
        x, y = _projected(l1c, x, y)
    found = explain_pixel(l1c, x, y, aux=open_aux(l1c, config), config=config)
    print(json.dumps(found.to_dict()) if as_json else found)


def _projected(l1c: xr.DataTree, lon: float, lat: float) -> tuple[float, float]:
    """Metres in the reference system of the tile."""
    from pyproj import Transformer  # noqa: PLC0415

    from s2cloud.model.schema import OVERVIEW  # noqa: PLC0415

    crs = str(l1c[f"{OVERVIEW}/r60m"].attrs["crs"])
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return float(x), float(y)

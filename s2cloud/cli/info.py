"""``s2cloud info``: what an L1C product is, without reading a pixel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from s2cloud.cli.options import is_remote, parse_storage_options, with_storage_options

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["info"]


@click.command(short_help="Tell what an L1C product is.")
@click.argument("source", metavar="SRC")
@with_storage_options(destination=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def info(
    source: str, *, storage_option: tuple[str, ...], storage_options: str | None, as_json: bool
) -> None:
    """Tell identity, size, angles, meteorology and missing bands of the L1C product SRC."""
    from s2cloud.io.open import open_l1c  # noqa: PLC0415  # keep --help fast

    options = parse_storage_options(storage_option, storage_options)
    facts = _facts(open_l1c(source, storage_options=options if is_remote(source) else {}))
    if as_json:
        print(json.dumps(facts))
    else:
        _print_table(facts)


def _facts(l1c: xr.DataTree) -> dict[str, Any]:
    from s2cloud.model.bands import BANDS  # noqa: PLC0415
    from s2cloud.model.granule import granule  # noqa: PLC0415
    from s2cloud.model.schema import CAMS, ECMWF, reflectance_path  # noqa: PLC0415

    facts: dict[str, Any] = {
        key: value for key, value in granule(l1c).to_attrs().items() if value not in ("", [], -1)
    }
    found: set[str] = set()
    for resolution in (10, 20, 60):
        path = reflectance_path(resolution)
        if path in l1c.groups or f"/{path}" in l1c.groups:
            node = l1c[path]
            found.update(map(str, node.data_vars))
            facts[f"size_{resolution}m"] = [int(node.sizes["y"]), int(node.sizes["x"])]
    facts["missing_bands"] = [band for band in BANDS if band not in found]
    facts.update(_angles(l1c))
    for name, path in (("ecmwf", ECMWF), ("cams", CAMS)):
        facts[name] = _means(l1c, path)
    return facts


def _angles(l1c: xr.DataTree) -> dict[str, float]:
    import numpy as np  # noqa: PLC0415

    from s2cloud.model.schema import GEOMETRY  # noqa: PLC0415

    if f"/{GEOMETRY}" not in l1c.groups:
        return {}
    angles: dict[str, float] = {}
    node = l1c[GEOMETRY]
    for variable, (zenith, azimuth) in (
        ("mean_sun_angles", ("sza", "saa")),
        ("mean_viewing_incidence_angles", ("vza", "vaa")),
    ):
        if variable not in node:
            continue
        values = np.asarray(node[variable].values, dtype=np.float64).reshape(-1, 2)
        east = np.nanmean(np.sin(np.radians(values[:, 1])))
        north = np.nanmean(np.cos(np.radians(values[:, 1])))
        angles[zenith] = round(float(np.nanmean(values[:, 0])), 2)
        angles[azimuth] = round(float(np.degrees(np.arctan2(east, north)) % 360), 2)
    return angles


def _means(l1c: xr.DataTree, path: str) -> dict[str, dict[str, Any]] | None:
    import numpy as np  # noqa: PLC0415

    if f"/{path}" not in l1c.groups:
        return None
    return {
        str(name): {
            "mean": float(f"{np.nanmean(np.asarray(variable.values)):.5g}"),
            "units": str(variable.attrs.get("units", "")),
        }
        for name, variable in l1c[path].data_vars.items()
    }


def _print_table(facts: dict[str, Any]) -> None:
    width = max(map(len, facts))
    for key, value in facts.items():
        print(f"{key.replace('_', ' '):{width}}  {_words(value)}")


def _words(value: Any) -> str:
    if value is None:
        return "none in the product"
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {item['mean']:g} {item['units']}".rstrip() for key, item in value.items()
        )
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)

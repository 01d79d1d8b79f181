"""``s2cloud simulate``: an L1C product whose truth is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from s2cloud.cli import console
from s2cloud.cli.options import is_remote, parse_storage_options, with_storage_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["simulate"]


class _Known(click.ParamType):  # type: ignore[type-arg]  # generic in new releases of click only
    """A choice whose words are imported when they are asked for, which keeps --help fast."""

    def __init__(self, name: str, words: Callable[[], Sequence[str]]) -> None:
        self.name = name
        self.words = words

    @override
    def get_metavar(self, param: click.Parameter, *args: Any, **kwargs: Any) -> str:
        return f"[{'|'.join(self.words())}]"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.words():
            self.fail(f"{value!r} is not one of {', '.join(self.words())}", param, ctx)
        return str(value)


def _scenes() -> Sequence[str]:
    from s2cloud.simulation.recipes import SCENES  # noqa: PLC0415  # keep --help fast

    return tuple(SCENES)


def _laws() -> Sequence[str]:
    from s2cloud.physics.gases import B09_LAWS  # noqa: PLC0415  # keep --help fast

    return tuple(B09_LAWS)


@click.command(short_help="Write an L1C product whose truth is known.")
@click.argument("destination", metavar="DST")
@click.option(
    "--size",
    type=int,
    default=2196,
    show_default=True,
    help="Rows and columns at 10 m, a multiple of 6 from 96 to 10980.",
)
@click.option(
    "--scene",
    type=_Known("scene", _scenes),
    default="mixed",
    show_default=True,
    help="What the landscape and the sky look like.",
)
@click.option(
    "--sensor",
    type=click.Choice(["S2A", "S2B", "S2C"]),
    default="S2A",
    show_default=True,
    help="Satellite.",
)
@click.option(
    "--date", default="2025-06-15T10:15:59", show_default=True, help="Start of sensing, UTC."
)
@click.option("--tile", default="32TQM", show_default=True, help="MGRS tile, north or south.")
@click.option(
    "--baseline",
    default="05.11",
    show_default=True,
    help="Baseline to imitate; before 04.00 without offset and with masks as polygons.",
)
@click.option(
    "--aot",
    "--aot550",
    "aot550",
    type=click.FloatRange(min=0),
    default=0.15,
    show_default=True,
    help="Aerosol optical thickness at 550 nm, mean over the image.",
)
@click.option(
    "--tcwv",
    type=click.FloatRange(min=0),
    default=18.0,
    show_default=True,
    help="Water vapour column in kg m-2, mean over the image.",
)
@click.option(
    "--tco3",
    type=click.FloatRange(min=0),
    default=320.0,
    show_default=True,
    help="Ozone column in Dobson units.",
)
@click.option(
    "--aerosol",
    default="continental",
    show_default=True,
    help="Aerosol model, or a mixture by volume such as continental:0.6+maritime:0.4.",
)
@click.option(
    "--rt",
    type=click.Choice(["tables", "direct"]),
    help="Scattering from the shipped tables, or from solver runs for this scene, which take a "
    "minute or more. Direct for mixtures, else tables by default.",
)
@click.option(
    "--b09-law",
    type=_Known("law", _laws),
    default="6sv",
    show_default=True,
    help="Law of water vapour in B09.",
)
@click.option(
    "--sza",
    type=click.FloatRange(0, 80),
    help="Zenith of the sun at the centre in degrees; that of place and time by default.",
)
@click.option(
    "--elevation",
    type=click.FloatRange(-400, 6000),
    default=100.0,
    show_default=True,
    help="Height in metres that the relief is counted from.",
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

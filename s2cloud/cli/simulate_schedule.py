"""``s2cloud simulate-schedule``: strategies compared on a made day, or on a recorded batch."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from s2cloud.cli import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.scheduling.simulator import Outcome, Pool
    from s2cloud.scheduling.strategies import Request

__all__ = ["simulate_schedule"]

_HOUR: Final = 3600.0


@click.command("simulate-schedule", short_help="Compare strategies on a simulated cluster.")
@click.option("--tiles", type=click.IntRange(min=1), default=15000, show_default=True,
              help="Of the day.")  # fmt: skip
@click.option("--satellites", type=click.IntRange(1, 3), default=3, show_default=True,
              help="That see them.")  # fmt: skip
@click.option("--urgent", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Share of tiles in near-real time.")  # fmt: skip
@click.option("--reprocessing", type=click.IntRange(min=0), default=0, show_default=True,
              help="Tiles of the archive that wait from the start.")  # fmt: skip
@click.option("--replay", metavar="FILE", help="Run file of a batch in place of a made day.")
@click.option("--strategy", "names", multiple=True, metavar="NAME",
              help="All by default; may be given several times.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=0), help="Steady workers.  [default: 10]")
@click.option("--spot-workers", type=click.IntRange(min=0), default=0, show_default=True,
              help="Workers that may be taken away.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), help="Per worker.  [default: 4]")
@click.option("--memory", default="16GiB", show_default=True, help="Per worker.")
@click.option("--spot-loss", type=click.FloatRange(min=0), default=0.05, show_default=True,
              help="Chance to lose a spot worker, per hour.")  # fmt: skip
@click.option("--failure", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Chance of a try to fail.")  # fmt: skip
@click.option("--aux-seconds", type=click.FloatRange(min=0), default=15.0, show_default=True,
              help="To fetch the maps of a tile to a worker.")  # fmt: skip
@click.option("--in-flight", type=click.IntRange(min=1), help="Most products at once.")
@click.option("--product-only", is_flag=True, help="No help from other workers.")
@click.option("--prices", metavar="FILE", help="Price table, YAML.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, same day.")
@click.option("--plot", metavar="FILE", help="Draw queue, threads and completions, PNG or SVG.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def simulate_schedule(**given: Any) -> None:
    """Compare strategies on a day of Sentinel-2, or on a recorded batch.

    Times and tasks are simulated, decisions are not: strategies and admission are those of
    `s2cloud batch`.
    """
    from s2cloud.scheduling.admission import Limits  # noqa: PLC0415  # keep --help fast
    from s2cloud.scheduling.plan import Prices  # noqa: PLC0415
    from s2cloud.scheduling.simulator import Weather, metrics_of, simulate, table  # noqa: PLC0415
    from s2cloud.scheduling.strategies import strategy, strategy_names  # noqa: PLC0415

    trace, pools, recorded = _given(given)
    weather = Weather(
        spot_loss_per_h=given["spot_loss"],
        failure=given["failure"],
        spread=0.0 if recorded else 0.15,
        aux_s=0.0 if recorded else given["aux_seconds"],
        decide_s=10.0 if len(trace) > 1000 else 0.0,
    )
    limits = Limits(in_flight=given["in_flight"], two_level=not given["product_only"])
    prices = Prices.read(given["prices"]) if given["prices"] else Prices()
    outcomes: list[Outcome] = []
    for name in given["names"] or strategy_names():
        began = time.monotonic()
        outcomes.append(
            simulate(
                trace, pools, strategy(name), limits=limits, weather=weather, seed=given["seed"]
            )
        )
        console.say(f"{name}: {len(trace)} products in {time.monotonic() - began:.1f} s")
    rows = [metrics_of(outcome, prices) for outcome in outcomes]
    if given["plot"]:
        from s2cloud.scheduling.simulator.plots import draw  # noqa: PLC0415  # an extra

        draw(outcomes, given["plot"])
    if given["as_json"]:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        print(table(rows))
        if recorded is not None:
            for row in rows:
                took = row.makespan_h * _HOUR
                off = 100.0 * (took / recorded - 1.0)
                print(
                    f"recorded {recorded:.1f} s, simulated {took:.1f} s with {row.strategy}: "
                    f"{off:+.0f} %"
                )


def _given(given: dict[str, Any]) -> tuple[Sequence[Request], list[Pool], float | None]:
    """Trace, workers, and how long a recorded batch took. [s]."""
    from dask.utils import parse_bytes  # noqa: PLC0415  # keep --help fast

    from s2cloud.scheduling.simulator import (  # noqa: PLC0415
        Pool,
        constellation_day,
        read_trace,
    )

    if given["replay"]:
        trace, values = read_trace(given["replay"])
        pools = [
            Pool(threads=int(each["threads"]), memory_bytes=int(each["memory_bytes"]))
            for each in values["workers"]
        ]
        made = [each for each in values["products"] if each["state"] == "done"]
        began = min(each["started"] for each in made)
        took = max(each["finished"] for each in made) - began
        if given["workers"] is None and pools:
            return trace, pools, took
    else:
        took = None
        trace = constellation_day(
            given["tiles"],
            satellites=given["satellites"],
            urgent=given["urgent"],
            reprocessing=given["reprocessing"],
            seed=given["seed"],
        )
    steady = 10 if given["workers"] is None else given["workers"]
    pools = [
        Pool(
            workers=count,
            threads=given["threads"] or 4,
            memory_bytes=int(parse_bytes(given["memory"])),
            spot=spot,
        )
        for count, spot in ((steady, False), (given["spot_workers"], True))
    ]
    return trace, [pool for pool in pools if pool.workers], took

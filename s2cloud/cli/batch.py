"""``s2cloud batch``: many L1C products to L2A on one cluster."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import sys
from typing import TYPE_CHECKING, Any, Final, Self

import click

from s2cloud.cli import console
from s2cloud.cli.options import (
    FORMATS,
    MAPS,
    geometry_text,
    is_remote,
    parse_storage_options,
    with_maps,
    with_part,
    with_storage_options,
)
from s2cloud.cli.placement import cluster_arguments, with_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s2cloud.scheduling.batch import Batch
    from s2cloud.scheduling.batch_events import Event, Snapshot
    from s2cloud.scheduling.submit import BatchResult

__all__ = ["batch"]

#: Exit code if some products failed and the others are there.
SOME_FAILED: Final = 6
#: Exit code if the batch was told to stop before its end, as for SIGTERM.
STOPPED: Final = 143
_MINUTE: Final = 60.0


@click.command(short_help="Make the L2A products of many L1C products on one cluster.")
@click.argument("sources", metavar="SRC...", nargs=-1)
@click.argument("destination", metavar="DST")
@click.option(
    "--format", "formats", type=FORMATS, default="cog,zarr", show_default=True, help="Outputs."
)
@with_part
@click.option("--config", metavar="FILE", help="Processing options, a YAML file.")
@with_maps
@click.option("--stac-api", metavar="URL", help="Search this STAC API for products as well.")
@click.option("--collections", default="sentinel-2-l1c", show_default=True, help="Of the search.")
@click.option("--search-bbox", metavar="W,S,E,N", help="Area of the search.")
@click.option("--datetime", "when", metavar="RANGE", help="Time of the search.")
@click.option("--max-items", type=click.IntRange(min=1), help="Most products of the search.")
@with_cluster
@click.option("--strategy", default="fifo", show_default=True, help="Which product comes next.")
@click.option("--in-flight", type=click.IntRange(min=1), help="Most products at once.")
@click.option("--priority", type=int, default=0, help="Of these products, for other strategies.")
@click.option("--deadline", type=float, metavar="MINUTES", help="When they should be done.")
@click.option("--owner", default="", help="Who asks, for fair shares.")
@click.option("--product-only", is_flag=True, help="One worker per product, no help from others.")
@click.option("--tries", type=click.IntRange(min=1), default=3, show_default=True,
              help="Of a product before it is given up.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Try again what failed in the run file.")
@click.option("--drain", type=float, default=600.0, show_default=True, metavar="SECONDS",
              help="Time for running products to end once told to stop.")  # fmt: skip
@click.option("--run-file", metavar="FILE", help="Read if it is there, kept up to date.")
@click.option("--metrics", metavar="[HOST:]PORT", help="Serve Prometheus metrics here.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text",
              show_default=True, help="Of what -v tells on stderr.")  # fmt: skip
@click.option("--report", metavar="FILE", help="Write dask's performance report, HTML.")
@click.option("--overwrite", is_flag=True, help="Replace products that are already there.")
@with_storage_options(destination=True)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def batch(**given: Any) -> int:
    """Make the L2A products of the L1C products SRC... under DST.

    Each SRC is a product, a folder or bucket prefix with a slash at its end, a list (.txt), a
    STAC item or collection of items, or - for addresses on standard input. Products that are
    complete are not made again. SIGTERM lets running products end and starts no more; a second
    one ends at once. Exit code 6 if some products failed.
    """
    from s2cloud.scheduling.cluster import cluster  # noqa: PLC0415  # keep --help fast
    from s2cloud.scheduling.observe import observed  # noqa: PLC0415
    from s2cloud.scheduling.remote import leads  # noqa: PLC0415
    from s2cloud.scheduling.submit import carry_out  # noqa: PLC0415
    from s2cloud.scheduling.tracing import traced  # noqa: PLC0415

    if given["log_format"] == "json":
        console.log_as_json()
    with (
        contextlib.ExitStack() as stack,
        _Screen() as screen,
        observed(given["metrics"] if leads(given["kind"]) else None) as metrics,
    ):

        def on_event(event: Event | None, now: Snapshot) -> None:
            screen(event, now)
            metrics(event, now)

        made = _batch(given, stack.enter_context(traced(on_event)))
        with _stops(made):
            result = carry_out(
                made,
                lambda: _reported(cluster(**cluster_arguments(given)), given["report"]),
            )
    _tell(result, as_json=given["as_json"])
    if result.stopped:
        left = sum(not entry.ended for entry in result.entries)
        console.say(f"stopped; {left} products are left for the next start of the same command")
        return STOPPED
    return SOME_FAILED if result.failed else 0


def _batch(given: dict[str, Any], on_event: Any) -> Batch:
    from s2cloud.config import load_config  # noqa: PLC0415  # keep --help fast
    from s2cloud.scheduling.admission import Limits  # noqa: PLC0415
    from s2cloud.scheduling.batch import Batch  # noqa: PLC0415
    from s2cloud.scheduling.batch_events import Policy  # noqa: PLC0415
    from s2cloud.scheduling.jobs import Job  # noqa: PLC0415
    from s2cloud.scheduling.runfile import Entry  # noqa: PLC0415

    common = parse_storage_options(given["storage_option"], given["storage_options"])
    separate = parse_storage_options(given["dst_storage_option"], given["dst_storage_options"])
    auxiliary = parse_storage_options(given["aux_storage_option"], given["aux_storage_options"])
    destination = given["destination"]
    to_options = (separate or common) if is_remote(destination) else {}
    config = load_config(given["config"])
    named = {name: given[name] for name in MAPS if given[name] is not None}
    if named:
        maps_of = config.auxiliary.model_copy(update=named)
        config = config.model_copy(update={"auxiliary": maps_of})
    chosen = {
        name: given[name] for name in ("formats", "bbox", "bbox_crs", "mask", "bands", "resolution")
    } | {"quick": given["quick"]}
    geometry = geometry_text(given["geometry"], given["bbox_crs"], common)
    minutes = given["deadline"]
    entries = [
        Entry(
            job=Job(
                source,
                destination,
                **chosen,
                geometry=geometry,
                statistics=given["statistics"],
                config=config,
                source_options=common if is_remote(source) else {},
                destination_options=to_options,
                auxiliary_options=auxiliary or common,
                overwrite=given["overwrite"],
            ),
            priority=given["priority"],
            deadline=math.inf if minutes is None else minutes * _MINUTE,
            owner=given["owner"],
        )
        for source in _sources(given, common)
    ]
    policy = Policy(
        strategy=given["strategy"],
        limits=Limits(in_flight=given["in_flight"], two_level=not given["product_only"]),
        tries=given["tries"],
        drain_s=given["drain"],
        retry_failed=given["retry_failed"],
    )
    run_file = given["run_file"] or ""
    return Batch(
        entries,
        policy,
        run_file=run_file,
        storage_options=to_options if is_remote(run_file) else {},
        on_event=on_event,
    )


def _sources(given: dict[str, Any], options: dict[str, Any]) -> Iterator[str]:
    from s2cloud.io.inputs import search_l1c  # noqa: PLC0415  # keep --help fast
    from s2cloud.scheduling.submit import sources_of  # noqa: PLC0415

    wanted: list[Any] = []
    for source in given["sources"]:
        if source == "-":
            lines = (line.partition(" #")[0].strip() for line in sys.stdin)
            wanted += [line for line in lines if line and not line.startswith("#")]
        else:
            wanted.append(source)
    if given["stac_api"]:
        query = {
            "collections": given["collections"].split(","),
            "bbox": [float(word) for word in given["search_bbox"].split(",")]
            if given["search_bbox"]
            else None,
            "datetime": given["when"],
            "max_items": given["max_items"],
        }
        wanted.append(search_l1c(given["stac_api"], **query))
    if not wanted:
        raise click.UsageError("no products: name some, or - for standard input, or --stac-api")
    return sources_of(wanted, options)


@contextlib.contextmanager
def _reported(opened: Any, path: str | None) -> Iterator[Any]:
    with opened as client:
        if path is None or client is None:
            if path is not None:
                console.say("warning: no performance report of threads; use --cluster local")
            yield client
            return
        from distributed import performance_report  # noqa: PLC0415

        with performance_report(filename=path):
            yield client


@contextlib.contextmanager
def _stops(made: Batch) -> Iterator[None]:
    """Have signals stop the batch gently, a second one at once."""

    def stop(*_: Any) -> None:
        if made.stopping:
            raise KeyboardInterrupt
        console.say("told to stop: running products may end, nothing more is started")
        made.stop()

    try:
        before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Screen:
    """Failures as they happen, and how far the batch is: a display, or lines."""

    def __init__(self) -> None:
        self._live: Any = None
        self._last = -math.inf

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.live import Live  # noqa: PLC0415  # keep --help fast

            self._live = Live(console=console.console(), refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event | None, now: Snapshot) -> None:
        if event is not None and event.kind in {"retry", "failed"}:
            self._say(f"{event.kind}: {event.name}: {event.words}")
        if self._live is not None:
            self._live.update(_picture(now))
        elif event is not None and event.kind in {"done", "found"}:
            self._say(f"{event.kind}: {event.words}, {_overall(now)}")
        elif now.elapsed_s - self._last > _MINUTE / 6:
            self._last = now.elapsed_s
            running = ", ".join(f"{name} {d}/{n}" for name, (d, n) in now.tasks.items())
            self._say(_overall(now) + (f"; {running}" if running else ""))

    def _say(self, words: str) -> None:
        if self._live is not None:
            self._live.console.print(words)
        else:
            console.say(words)


def _overall(now: Snapshot) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(now.states.items()))
    eta = "" if math.isnan(now.eta_s) else f", {now.eta_s / _MINUTE:.1f} min to go"
    return f"{100 * now.part:.0f} % ({states}){eta}"


def _picture(now: Snapshot) -> Any:
    from rich.console import Group  # noqa: PLC0415  # keep --help fast
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table.grid(padding=(0, 2))
    for name, (done, total) in now.tasks.items():
        bar = ProgressBar(total=max(total, 1), completed=done, width=30)
        table.add_row(name, bar, f"{done}/{total}")
    memory = f"{now.memory_bytes / 2**30:.1f} GiB used, {now.projected_bytes / 2**30:.1f} projected"
    return Group(table, f"{_overall(now)}; {now.workers} workers, {memory}")


def _tell(result: BatchResult, *, as_json: bool) -> None:
    if as_json:
        facts = {"stopped": result.stopped, "products": [e.to_dict() for e in result.entries]}
        print(json.dumps(facts))
        return
    for entry in result.entries:
        seconds = entry.finished - entry.started
        note = entry.destination if entry.state != "failed" else entry.causes[-1]
        took = f"{seconds:7.1f} s" if entry.state == "done" else " " * 9
        print(f"{entry.state:8} {took} {entry.tries} tries  {entry.name}  {note}")

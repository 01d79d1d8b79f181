"""Measures the scheduler live and in the simulator, and writes the tables of docs/scheduling.md.

    python benchmarks/scheduling.py SECTION...

Sections: throughput, levels_live, replay, losses_live, costs (live, minutes each, to be taken on an
idle machine); levels, strategies, losses (simulated). All of them if none is named.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sections import replace_section

from s2cloud.scheduling.admission import Limits
from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.batch_events import Policy
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.costs import FULL_TILE_MPX, CostModel, Measured
from s2cloud.scheduling.executors import executor_for
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.plan import Prices
from s2cloud.scheduling.runfile import measured_of
from s2cloud.scheduling.simulator import (
    Pool,
    Weather,
    constellation_day,
    metrics_of,
    read_trace,
    simulate,
    table,
)
from s2cloud.scheduling.simulator.plots import draw
from s2cloud.scheduling.strategies import Request, strategy, strategy_names
from s2cloud.simulation import simulate_l1c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from s2cloud.scheduling.runfile import Entry

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "scheduling.md"
SMALL, COUNT = 96, 8
#: A late large product among small ones, pixels of 10 m along a side.
LATE, AMONG = 3660, [1098] * 8
#: Products from which the cost model is fitted, and by which it is judged.
SIZES = (96, 366, 732, 1098, 1830)
LEVELS = {"two levels": True, "product only": False}
TILES = ("32TQM", "32TQL", "32TPM", "32TPL", "32TPN", "32TQN", "33TUG", "33TUH")


def made_products(folder: Path, sizes: Sequence[int]) -> list[str]:
    """Simulated products, one tile each, smallest last tile first."""
    return [
        simulate_l1c(folder / f"{number}", size=size, tile=TILES[number % len(TILES)]).uri
        for number, size in enumerate(sizes)
    ]


def live(
    sources: Sequence[str],
    out: Path,
    client: Any,
    *,
    two_level: bool = True,
    on_event: Any = None,
) -> tuple[float, Path, list[Entry]]:
    """Carry out a batch on a cluster that stands; wall time of its products. [s]."""
    run_file = out / "run.json"
    jobs = [Job(source, str(out), formats=("cog",)) for source in sources]
    limits = Limits(two_level=two_level)
    policy = Policy(limits=limits, tries=1 if on_event is None else 3)
    batch = Batch(jobs, policy, run_file=str(run_file), on_event=on_event)
    with executor_for(client, two_level=two_level) as executor:
        entries = batch.run(executor)
    failed = [entry.causes for entry in entries if entry.state != "done"]
    if failed:
        raise RuntimeError(str(failed))
    took = max(e.finished for e in entries) - min(e.started for e in entries)
    return took, run_file, entries


def loaded() -> str:
    """What else ran, for those who read the table."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load average of the "
        f"machine before {os.getloadavg()[0]:.1f}"
    )


def throughput() -> str:
    """Eight small products on one and two workers with one and two threads."""
    note = loaded()
    lines = ["| cluster | workers x threads | wall s | products per hour |", "|---|---|---|---|"]
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = made_products(Path(folder) / "l1c", [SMALL] * COUNT)
        for kind, workers, threads in (
            ("threads", 1, 1), ("threads", 1, 2), ("local", 1, 1), ("local", 1, 2), ("local", 2, 1),
        ):  # fmt: skip
            with cluster(kind, workers=workers, threads=threads) as client:
                live(sources[:2], Path(folder) / f"warm-{kind}-{workers}-{threads}", client)
                out = Path(folder) / f"{kind}-{workers}-{threads}"
                took, _, _ = live(sources, out, client)
            rates[f"{kind} {workers} x {threads}"] = COUNT / took * 3600
            lines.append(
                f"| {kind} | {workers} x {threads} | {took:.1f} | {COUNT / took * 3600:.0f} |"
            )
            print(lines[-1], flush=True)
    draw_bars(rates, "products per hour", DOCS / "images" / "scheduling_throughput.png")
    return (
        f"{COUNT} products of {SMALL} x {SMALL} pixels, COG. {note}.\n\n"
        + "\n".join(lines)
        + "\n\n![Products per hour](images/scheduling_throughput.png)"
    )


def levels() -> str:
    """A whole tile that comes last among small products, simulated."""
    model = CostModel()
    small = model.cost(FULL_TILE_MPX / 10)
    trace = [Request(key=f"{n:02d}", cost=small, arrived=n / 10) for n in range(60)]
    trace.append(Request(key="whole", cost=model.cost(), arrived=60.0))
    rows = ["| scheduling | makespan s | of it tail s |", "|---|---|---|"]
    spans = {}
    for word, two_level in LEVELS.items():
        limits = Limits(two_level=two_level)
        outcome = simulate(trace, [Pool(workers=8, threads=2)], strategy("fifo"), limits=limits)
        spans[word] = [(key, began, outcome.finished[key]) for began, key, _ in outcome.placements]
        rows.append(levels_row(word, spans[word], "whole"))
    draw_spans(spans, "whole", DOCS / "images" / "scheduling_levels.png")
    return (
        "Simulated: 60 products of a tenth of a tile, and a whole tile that arrives after a "
        "minute, on 8 workers of 2 threads. The tail is the time in which only the whole tile "
        "runs.\n\n" + "\n".join(rows) + "\n\n![Products over time](images/scheduling_levels.png)"
    )


def levels_live() -> str:
    """The same on this machine, with products that it can make in minutes."""
    note = loaded()
    rows = ["| scheduling | makespan s | of it tail s |", "|---|---|---|"]
    spans = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = made_products(Path(folder) / "l1c", [*AMONG, LATE])
        with cluster("local", workers=2) as client:
            live(sources[:2], Path(folder) / "warm", client)
            for word, two_level in LEVELS.items():
                _, _, entries = live(sources, Path(folder) / word, client, two_level=two_level)
                begin = min(entry.started for entry in entries)
                spans[word] = [
                    (entry.key, entry.started - begin, entry.finished - begin) for entry in entries
                ]
                rows.append(levels_row(word, spans[word], entries[-1].key))
                print(rows[-1], flush=True)
                shutil.rmtree(Path(folder) / word)
    draw_spans(spans, entries[-1].key, DOCS / "images" / "scheduling_levels_live.png")
    return (
        f"Live, 2 workers of 1 thread: {len(AMONG)} products of {AMONG[0]} pixels, and one of "
        f"{LATE} that comes last. {note}.\n\n"
        + "\n".join(rows)
        + "\n\n![Products over time](images/scheduling_levels_live.png)"
    )


def levels_row(word: str, spans: Sequence[tuple[str, float, float]], large: str) -> str:
    """Makespan, and the part of it after the last small product."""
    first = min(began for _, began, _ in spans)
    last = max(ended for _, _, ended in spans)
    tail = last - max(ended for key, _, ended in spans if key != large)
    return f"| {word} | {last - first:.1f} | {max(0.0, tail):.1f} |"


def draw_bars(values: dict[str, float], label: str, path: Path) -> None:
    """One bar per row of a table."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7, 3), layout="constrained")
    axis = figure.subplots()
    axis.barh(list(values)[::-1], list(values.values())[::-1])
    axis.set_xlabel(label)
    figure.savefig(path, dpi=100)


def draw_spans(runs: dict[str, list[tuple[str, float, float]]], large: str, path: Path) -> None:
    """One bar per product."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 2.2 * len(runs) + 1), layout="constrained")
    axes = figure.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (word, spans) in zip(axes, runs.items(), strict=True):
        for row, (key, began, ended) in enumerate(spans):
            axis.barh(row, ended - began, left=began, color="C1" if key == large else "C0")
        axis.set(title=word, ylabel="product")
    axes[-1].set_xlabel("time [s]")
    figure.savefig(path, dpi=100)


def replay() -> str:
    """A recorded batch, and what the simulator says it takes."""
    note = loaded()
    rows = [
        "| recorded on | products | recorded s | simulated s | difference |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        sources = made_products(Path(folder) / "l1c", [SMALL] * 5 + [360])
        for kind, workers, threads in (("threads", 1, 1), ("threads", 1, 2), ("local", 2, 1)):
            with cluster(kind, workers=workers, threads=threads) as client:
                live(sources[:2], Path(folder) / f"warm-{kind}{workers}{threads}", client)
                took, run_file, _ = live(
                    sources, Path(folder) / f"{kind}{workers}{threads}", client
                )
            trace, values = read_trace(str(run_file))
            pools = [
                Pool(threads=each["threads"], memory_bytes=each["memory_bytes"])
                for each in values["workers"]
            ]
            began = min(request.arrived for request in trace)
            outcome = simulate(trace, pools, strategy("fifo"), weather=Weather(spread=0.0))
            simulated = max(outcome.finished.values()) - began
            rows.append(
                f"| {kind} {workers} x {threads} | {len(trace)} | {took:.1f} | {simulated:.1f} "
                f"| {100 * (simulated / took - 1):+.0f} % |"
            )
            print(rows[-1], flush=True)
    return f"{note}.\n\n" + "\n".join(rows)


def compared(name: str, pools: Sequence[Pool], weather: Weather, **day: Any) -> str:
    """All strategies on one day."""
    trace = constellation_day(**day)
    outcomes, seconds = [], []
    for word in strategy_names():
        began = time.process_time()
        outcomes.append(simulate(trace, pools, strategy(word), weather=weather))
        seconds.append(time.process_time() - began)
        print(name, word, f"{seconds[-1]:.1f} s", flush=True)
    rows = [metrics_of(outcome, Prices()) for outcome in outcomes]
    picture = f"images/scheduling_{name}.png"
    draw(outcomes, str(DOCS / picture))
    workers = " and ".join(
        f"{p.workers} {'spot ' if p.spot else ''}workers of {p.threads} threads" for p in pools
    )
    return (
        f"{len(trace)} products on {workers}; {min(seconds):.0f} to {max(seconds):.0f} s of "
        f"CPU time per strategy.\n\n{table(rows)}\n\n![Strategies]({picture})"
    )


def strategies() -> str:
    """A day of 15 000 tiles."""
    calm = Weather(decide_s=10.0, aux_s=15.0)
    return compared("strategies", [Pool(workers=8, threads=4)], calm)


def losses() -> str:
    """The same day with an archive to be reprocessed, half of the workers on spot."""
    weather = Weather(decide_s=10.0, aux_s=15.0, spot_loss_per_h=0.2, failure=0.01)
    pools = [Pool(workers=5, threads=4), Pool(workers=5, threads=4, spot=True)]
    return compared("losses", pools, weather, reprocessing=3000)


def losses_live() -> str:
    """A worker killed at work, beside the same batch undisturbed."""
    note = loaded()
    rows = ["| run | wall s | products made | task s | rasters that differ |", "|---" * 5 + "|"]
    rasters: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        sources = made_products(Path(folder) / "l1c", [360] * 6)
        for word in ("undisturbed", "one of two workers killed"):
            out = Path(folder) / word
            with cluster("local", workers=2) as client:
                live(sources[:2], Path(folder) / f"warm {word}", client)
                killer = Killer(client, armed=word != "undisturbed")
                took, _, entries = live(sources, out, client, on_event=killer)
            if killer.armed and not killer.killed:
                raise RuntimeError("nothing was killed")
            found = rasters_of(out)
            rasters = rasters or found
            made = sum(entry.state == "done" for entry in entries)
            tasks = sum(entry.task_s for entry in entries)
            unlike = len(rasters.items() ^ found.items())
            rows.append(
                f"| {word} | {took:.1f} | {made} of {len(entries)} | {tasks:.1f} | {unlike} |"
            )
            print(rows[-1], flush=True)
    return (
        "Live, 2 workers of 1 thread, 6 products of 360 pixels; one worker gets SIGKILL while the "
        "second pair of products is at work, and another is started in its place. Compared are "
        f"the checksums of {len(rasters)} rasters. {note}.\n\n" + "\n".join(rows)
    )


def rasters_of(folder: Path) -> dict[str, str]:
    """Checksum of each raster of each product that has a receipt."""
    return {
        f"{path.parent.name}/{asset['href']}": asset["sha256"]
        for path in folder.glob("*/receipt.json")
        for asset in json.loads(path.read_text())["assets"]
        if asset["href"].endswith(".tif")
    }


class Killer:
    """Kills a worker once, when two products are done and others are at work."""

    def __init__(self, client: Any, *, armed: bool) -> None:
        self.client, self.armed, self.killed = client, armed, False

    def __call__(self, event: Any, now: Any) -> None:  # noqa: ARG002  # the protocol of OnEvent
        """Look whether the moment has come."""
        at_work = any(done > 20 for done, _ in now.tasks.values())
        if self.armed and not self.killed and now.states.get("done", 0) >= 2 and at_work:
            self.killed = True
            os.kill(next(iter(self.client.run(os.getpid).values())), signal.SIGKILL)


def costs() -> str:
    """Time and memory of products of several sizes, each predicted from the others."""
    note = loaded()
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        sources = made_products(Path(folder) / "l1c", SIZES)
        for source in sources:
            # A cluster for each: what one product leaves in a worker is not the next one's need.
            with cluster("local", workers=1, threads=2) as client:
                live(sources[:1], Path(folder) / "warm", client)
                shutil.rmtree(Path(folder) / "warm")
                _, run_file, _ = live([source], Path(folder) / "out", client)
            measured += measured_of(json.loads(run_file.read_text()))
            run_file.unlink()
            print(measured[-1], flush=True)
    before, fitted = CostModel(), CostModel().fitted(measured)
    rows = [
        "| megapixels | CPU s | shipped | by others | peak MiB | shipped | by others |",
        "|---" * 7 + "|",
    ]
    for number, each in enumerate(measured):
        others = before.fitted(measured[:number] + measured[number + 1 :]).cost(each.megapixels)
        shipped = before.cost(each.megapixels)
        rows.append(
            f"| {each.megapixels:.2f} | {each.cpu_s:.1f} | {shipped.cpu_s:.1f} "
            f"| {others.cpu_s:.1f} | {each.memory_bytes / 2**20:.0f} "
            f"| {shipped.memory_bytes / 2**20:.0f} | {others.memory_bytes / 2**20:.0f} |"
        )
    words = []
    names = {
        "cpu_s": "CPU time",
        "serial_s": "serial time",
        "memory_bytes": "peak memory",
        "bytes_written": "bytes written",
    }
    for name, word in names.items():
        error = before.error(measured, name)
        fixed, slope = getattr(fitted, name)
        words.append(
            f"- {word}: {fixed:.3g} + {slope:.3g} per megapixel; mean error {error.mean:.0f} %, "
            f"worst {error.worst:.0f} %"
        )
    return (
        "One product at a time on 1 worker of 2 threads; peak of its process. Beside what was "
        "measured: by the model as shipped, and by one fitted to the other products. "
        f"{note}.\n\n"
        + "\n".join(rows)
        + "\n\nLaws fitted to all of them, and the error of predicting each from the others:\n\n"
        + "\n".join(words)
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "throughput": throughput,
    "levels": levels,
    "levels_live": levels_live,
    "replay": replay,
    "strategies": strategies,
    "losses": losses,
    "losses_live": losses_live,
    "costs": costs,
}


def main() -> None:
    (DOCS / "images").mkdir(exist_ok=True)
    for name in sys.argv[1:] or SECTIONS:
        began = time.monotonic()
        text = SECTIONS[name]()
        replace_section(PAGE, f"scheduling {name}", text)
        print(text, f"\n{name} took {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

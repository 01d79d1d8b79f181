"""Measures the scheduler live and in the simulator, and writes the tables of docs/scheduling.md.

    python benchmarks/scheduling.py SECTION...

Sections: throughput, levels_live, replay (live, minutes); levels, strategies, losses (simulated).
"""

from __future__ import annotations

import os
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
from s2cloud.scheduling.costs import FULL_TILE_MPX, CostModel
from s2cloud.scheduling.executors import executor_for
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.plan import Prices
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
SMALL, LARGE, COUNT = 96, 732, 8
LEVELS = {"two levels": True, "product only": False}
TILES = ("32TQM", "32TQL", "32TPM", "32TPL", "32TPN", "32TQN", "33TUG", "33TUH")


def made_products(folder: Path, sizes: Sequence[int]) -> list[str]:
    """Simulated products, one tile each, smallest last tile first."""
    return [
        simulate_l1c(folder / f"{number}", size=size, tile=TILES[number % len(TILES)]).uri
        for number, size in enumerate(sizes)
    ]


def live(
    sources: Sequence[str], out: Path, client: Any, *, two_level: bool = True, warm: bool = False
) -> tuple[float, Path, list[Entry]]:
    """Carry out a batch on a cluster that stands; wall time of its products. [s]."""
    run_file = out / "run.json"
    jobs = [Job(source, str(out), formats=("cog",)) for source in sources]
    limits = Limits(two_level=two_level)
    batch = Batch(jobs, Policy(limits=limits, tries=1), run_file=str(run_file))
    with executor_for(client, two_level=two_level) as executor:
        entries = batch.run(executor)
    failed = [entry.causes for entry in entries if entry.state != "done"]
    if failed:
        raise RuntimeError(str(failed))
    if warm:
        return 0.0, run_file, entries
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
    with tempfile.TemporaryDirectory() as folder:
        sources = made_products(Path(folder) / "l1c", [SMALL] * COUNT)
        for kind, workers, threads in (
            ("threads", 1, 1), ("threads", 1, 2), ("local", 1, 1), ("local", 1, 2), ("local", 2, 1),
        ):  # fmt: skip
            with cluster(kind, workers=workers, threads=threads) as client:
                live(sources[:2], Path(folder) / f"warm-{kind}-{workers}-{threads}", client)
                out = Path(folder) / f"{kind}-{workers}-{threads}"
                took, _, _ = live(sources, out, client)
            lines.append(
                f"| {kind} | {workers} x {threads} | {took:.1f} | {COUNT / took * 3600:.0f} |"
            )
            print(lines[-1], flush=True)
    return f"{COUNT} products of {SMALL} x {SMALL} pixels, COG. {note}.\n\n" + "\n".join(lines)


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
    draw_spans(spans, DOCS / "images" / "scheduling_levels.png")
    return (
        "Simulated: 60 products of a tenth of a tile, and a whole tile that arrives after a "
        "minute, on 8 workers of 2 threads. The tail is the time in which only the whole tile "
        "runs.\n\n" + "\n".join(rows) + "\n\n![Products over time](images/scheduling_levels.png)"
    )


def levels_live() -> str:
    """The same on this machine, with products that it can make in minutes."""
    note = loaded()
    sizes = [SMALL] * 5 + [LARGE]
    rows = ["| scheduling | makespan s | of it tail s |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        sources = made_products(Path(folder) / "l1c", sizes)
        with cluster("local", workers=2) as client:
            live(sources[:2], Path(folder) / "warm", client)
            for word, two_level in LEVELS.items():
                _, _, entries = live(sources, Path(folder) / word, client, two_level=two_level)
                spans = [(entry.key, entry.started, entry.finished) for entry in entries]
                rows.append(levels_row(word, spans, entries[-1].key))
                print(rows[-1], flush=True)
    return (
        f"Live, 2 workers of 1 thread: {len(sizes) - 1} products of {SMALL} pixels, and a last "
        f"one of {LARGE}. {note}.\n\n" + "\n".join(rows)
    )


def levels_row(word: str, spans: Sequence[tuple[str, float, float]], large: str) -> str:
    """Makespan, and the part of it after the last small product."""
    first = min(began for _, began, _ in spans)
    last = max(ended for _, _, ended in spans)
    tail = last - max(ended for key, _, ended in spans if key != large)
    return f"| {word} | {last - first:.1f} | {max(0.0, tail):.1f} |"


def draw_spans(runs: dict[str, list[tuple[str, float, float]]], path: Path) -> None:
    """One bar per product."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 2.2 * len(runs) + 1), layout="constrained")
    axes = figure.subplots(len(runs), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (word, spans) in zip(axes, runs.items(), strict=True):
        for row, (key, began, ended) in enumerate(spans):
            axis.barh(row, ended - began, left=began, color="C1" if key == "whole" else "C0")
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


SECTIONS: dict[str, Callable[[], str]] = {
    "throughput": throughput,
    "levels": levels,
    "levels_live": levels_live,
    "replay": replay,
    "strategies": strategies,
    "losses": losses,
}


def main() -> None:
    (DOCS / "images").mkdir(exist_ok=True)
    for name in sys.argv[1:] or SECTIONS:
        text = SECTIONS[name]()
        replace_section(PAGE, f"scheduling {name}", text)
        print(text, flush=True)


if __name__ == "__main__":
    main()

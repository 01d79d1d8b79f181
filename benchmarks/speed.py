"""What a run costs beside a plain copy of the same product, measured in the same minutes.

    python benchmarks/speed.py SAFE [--groups runs,start,...] [--small FOLDER] [--page]

Every case is a process of its own: processor seconds of user and system, wall time, peak memory
and the bytes it read; ratios are to the copy of the same product in the same run. Groups:

- ``runs``: copy, GeoTIFFs, Zarr, from S3, 20 m, 60 m, a region;
- ``start``: help, import, open, graph, a window without and with remembered statistics;
- ``parts``: kernels and writers, in this process;
- ``scaling``: 1, 2 and 4 threads and processes;
- ``growth``: 1/16, 1/4 and the whole of a tile, and 1, 4 and 16 products, with a plot.

`--small` is where the smaller products are, or are simulated; scaling runs on a quarter of a tile.
`--page` puts tables into docs/performance.md. Ratios of processor seconds hold on a busy machine
too; wall times there mean nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from sections import replace_section  # noqa: E402
from speed_parts import table_of_parts  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "growth.png"
#: Images of a whole tile are longer. [byte]
FULL_BYTES = 400_000_000
GROUPS = ("runs", "start", "parts", "scaling", "growth")
HEAD = (
    "| run | CPU s | ratio to the copy | wall s | peak MB | read MB | |\n"
    "|---|---|---|---|---|---|---|"
)

GRAPH = """
import s2cloud, sys, time
from dask.highlevelgraph import HighLevelGraph
start = time.perf_counter()
l2a = s2cloud.process(s2cloud.open_l1c(sys.argv[1]))
took = time.perf_counter() - start
arrays = [v.data for node in l2a.subtree for v in node.data_vars.values() if v.chunks is not None]
print(len(HighLevelGraph.merge(*[array.dask for array in arrays])), f"tasks, {took:.2f} s of wall")
"""
OPEN = """
import s2cloud, sys, time
s2cloud.open_l1c
start = time.perf_counter()
s2cloud.open_l1c(sys.argv[1])
print(f"open_l1c {time.perf_counter() - start:.2f} s of wall")
"""
WINDOW = """
import s2cloud, sys, time
start, used = time.perf_counter(), time.process_time()
l1c = s2cloud.open_l1c(sys.argv[1])
l2a = s2cloud.process(l1c, cache=s2cloud.SceneCache(sys.argv[2]))
band = l2a["measurements/reflectance/r10m/b04"]
built, cpu = time.perf_counter(), time.process_time()
band.isel(x=slice(1024, 1536), y=slice(1024, 1536)).compute()
print(f"of it open and graph {cpu - used:.1f}, compute {time.process_time() - cpu:.1f} CPU s, "
      f"{time.perf_counter() - built:.1f} s of wall")
"""


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds, seconds, megabytes, megabytes, and the last it said."""

    cpu: float
    wall: float
    peak: float
    read: float
    said: str

    def row(self, words: str, limit: float, *, talks: bool = False) -> str:
        """Row of the table."""
        ratio = f"{self.cpu / limit:.2f}" if limit else ""
        return (
            f"| {words} | {self.cpu:.1f} | {ratio} | {self.wall:.1f} | {self.peak:.0f} "
            f"| {self.read:.0f} | {self.said if talks else ''} |"
        )


def cost(command: list[str]) -> Cost:
    """Run a command to its end and tell what it took, its children included."""
    start, read = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)  # noqa: S603 - our own words
        while True:
            try:
                words = Path(f"/proc/{process.pid}/io").read_text(encoding="ascii").split()
                read = max(read, int(words[1]))
            except (OSError, IndexError, ValueError):
                pass  # it has just ended, or this is not Linux
            found, status, usage = os.wait4(process.pid, os.WNOHANG)
            if found:
                break
            time.sleep(0.02)
        out.seek(0)
        said = out.read()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: {said[-2000:]}")
    last = said.strip().splitlines()[-1] if said.strip() else ""
    seconds = usage.ru_utime + usage.ru_stime
    return Cost(seconds, time.perf_counter() - start, usage.ru_maxrss / 1e3, read / 1e6, last)


def make(source: str, destination: Path, *options: str) -> list[str]:
    """Command that makes a product."""
    words = [sys.executable, "-m", "s2cloud", "process", source, str(destination)]
    return [*words, "--overwrite", *options]


def copy_of(source: str, folder: Path) -> list[str]:
    """Command of the yardstick."""
    script = str(ROOT / "benchmarks" / "copy_limit.py")
    return [sys.executable, script, source, str(folder / "copy")]


def middle(source: str) -> str:
    """Square of 5 km in the middle of a product, as an option."""
    import s2cloud  # noqa: PLC0415 - help starts without

    west, south, east, north = s2cloud.granule(s2cloud.open_l1c(source)).bbox
    x, y = (west + east) / 2, (south + north) / 2
    return f"{x - 0.03},{y - 0.022},{x + 0.03},{y + 0.022}"


def runs(source: str, folder: Path) -> Iterator[str]:
    """A product in all forms, beside its copy."""
    copy = cost(copy_of(source, folder))
    limit = copy.cpu
    yield copy.row("plain copy of the 13 bands, 2 threads", limit, talks=True)
    # Compiled code is kept; the first run of a version makes it.
    cost(make(source, folder / "warm", "--format", "cog", "--resolution", "60", "--bands", "B04"))
    two = ("--workers", "2")
    cases: list[tuple[str, tuple[str, ...]]] = [
        ("GeoTIFFs, all rasters", ("--format", "cog", *two)),
        ("Zarr, all rasters", ("--format", "zarr", *two)),
        ("20 m, `--quick`", ("--format", "cog", "--resolution", "20", "--quick", *two)),
        ("60 m, `--quick`", ("--format", "cog", "--resolution", "60", "--quick", *two)),
        ("5 km", ("--format", "cog", f"--bbox={middle(source)}", *two)),
        ("5 km, its own statistics",
         ("--format", "cog", f"--bbox={middle(source)}", "--statistics", "region", *two)),
    ]  # fmt: skip
    for number, (words, options) in enumerate(cases):
        target = folder / f"run{number}"
        yield cost(make(source, target, *options)).row(words, limit)
        shutil.rmtree(target, ignore_errors=True)
    yield from_s3(source, folder).row("GeoTIFFs, from an S3 server on this machine", limit)


def from_s3(source: str, folder: Path) -> Cost:
    """The same from a bucket."""
    import json  # noqa: PLC0415 - help starts without

    import s3fs  # noqa: PLC0415

    from tests.soak.servers import served  # noqa: PLC0415

    with served(folder / "server", "l1c") as server:
        name = Path(source).name
        s3fs.S3FileSystem(**server.options).put(source, f"l1c/{name}", recursive=True)
        options = ("--storage-options", json.dumps(server.options))
        address = f"s3://l1c/{name}"
        return cost(make(address, folder / "s3", "--format", "cog", "--workers", "2", *options))


def start(source: str, folder: Path) -> Iterator[str]:
    """What comes before the first pixel."""
    python = [sys.executable]
    cache = str(folder / "scenes")
    for words, command in (
        ("`s2cloud --help`", [*python, "-m", "s2cloud", "--help"]),
        ("`import s2cloud`", [*python, "-c", "import s2cloud"]),
        ("import and `open_l1c`", [*python, "-c", OPEN, source]),
        ("import, open, graph of all rasters", [*python, "-c", GRAPH, source]),
        ("512 pixels of B04, cache empty", [*python, "-c", WINDOW, source, cache]),
        ("512 pixels of B04, cache filled", [*python, "-c", WINDOW, source, cache]),
    ):
        yield cost(command).row(words, 0.0, talks="c" in command[1] and command[-1] != "--help")


def scaling(source: str, folder: Path) -> Iterator[str]:
    """Threads and processes."""
    limit = cost(copy_of(source, folder)).cpu
    yield f"| plain copy of the same | {limit:.1f} | 1.00 | | | | |"
    for n in (1, 2, 4):
        for words, options in (("threads", ()), ("processes", ("--cluster", "local"))):
            target = folder / f"{words}{n}"
            command = make(source, target, "--format", "cog", "--workers", str(n), *options)
            yield cost(command).row(f"{n} {words}", limit)
            shutil.rmtree(target, ignore_errors=True)


def simulated(folder: Path, size: int) -> str:
    """Product of a size, simulated if it is not there yet."""
    place = folder / str(size)
    if not list(place.glob("*.SAFE")):
        words = [sys.executable, "-m", "s2cloud", "simulate", str(place), "--size", str(size)]
        cost(words)
    return str(next(place.glob("*.SAFE")))


def growth(source: str, folder: Path, small: Path, known: Cost | None) -> Iterator[str]:
    """Cost against the size of a tile and the number of products; makes the plot."""
    areas: list[tuple[float, Cost]] = []
    for share, size in ((1 / 16, 2748), (1 / 4, 5490)):
        found = cost(make(simulated(small, size), folder / f"g{size}", "--format", "cog"))
        areas.append((share, found))
        yield found.row(f"1/{round(1 / share)} of a tile", 0.0)
    whole = known or cost(make(source, folder / "g1", "--format", "cog"))
    areas.append((1.0, whole))
    yield whole.row("the product given", 0.0)
    piece = Path(simulated(small, 1098))
    counts: list[tuple[float, Cost]] = []
    for n in (1, 4, 16):
        sources = [renamed(piece, folder / f"p{n}", zone) for zone in range(31, 31 + n)]
        words = [sys.executable, "-m", "s2cloud", "batch", *sources, str(folder / f"b{n}")]
        found = cost([*words, "--format", "cog"])
        counts.append((n, found))
        yield found.row(f"{n} products of 11 km", 0.0)
    plotted(areas, counts)


def renamed(product: Path, folder: Path, zone: int) -> str:
    """Copy of a product under the name of another tile."""
    old, new = "T32TQM", f"T{zone}TQM"
    target = folder / product.name.replace(old, new)
    shutil.copytree(product, target)
    for path in sorted(target.rglob("*"), key=lambda p: -len(p.parts)):
        if path.suffix in {".xml", ".safe"}:
            text = path.read_text(encoding="utf-8").replace(old, new)
            path.write_text(text, encoding="utf-8")
        if old in path.name:
            path.rename(path.with_name(path.name.replace(old, new)))
    return str(target)


def plotted(areas: list[tuple[float, Cost]], counts: list[tuple[float, Cost]]) -> None:
    """Both curves with a straight line through the first and the last point."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(2, 2, figsize=(8, 6), layout="constrained")
    for column, (points, label) in enumerate(
        ((areas, "share of a tile"), (counts, "products of 11 km"))
    ):
        at = [x for x, _ in points]
        for row, (values, unit) in enumerate(
            (([c.cpu for _, c in points], "CPU s"), ([c.peak for _, c in points], "peak MB"))
        ):
            axis = axes[row, column]
            axis.plot([at[0], at[-1]], [values[0], values[-1]], color="0.7", zorder=1)
            axis.plot(at, values, "o", color="C0")
            axis.set(xlabel=label, ylabel=unit, ylim=(0, None))
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=100)
    plt.close(figure)


def bytes_of(source: str) -> int:
    """Length of all images."""
    return sum(path.stat().st_size for path in Path(source).rglob("*.jp2"))


def title(source: str) -> str:
    """When, where and on what."""
    machine = platform.processor() or platform.machine()
    now = f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {os.cpu_count()} cores"
    return f"{now}, load {os.getloadavg()[0]:.1f}, {bytes_of(source) / 1e6:.0f} MB of images."


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--small", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    source, groups = str(Path(asked.source).resolve()), asked.groups.split(",")
    words: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
        "runs": ("Runs beside the copy", lambda folder: runs(source, folder)),
        "start": ("Before the first pixel", lambda folder: start(source, folder)),
        "scaling": (
            "Threads and processes, a quarter of the area",
            lambda folder: scaling(simulated(asked.small, 5490), folder),
        ),
        "growth": (
            "Growth with the area and with the number of products",
            lambda folder: growth(source, folder, asked.small, None),
        ),
    }
    for name in GROUPS:
        if name not in groups:
            continue
        lines = [title(source), ""]
        print("\n".join(lines), flush=True)
        if name == "parts":
            head = "Kernels and writers"
            lines += table_of_parts()
            print("\n".join(lines[2:]), flush=True)
        else:
            head, rows = words[name]
            lines.append(HEAD)
            print(HEAD)
            with tempfile.TemporaryDirectory() as folder:
                for row in rows(Path(folder)):
                    lines.append(row)
                    print(row, flush=True)
        if name == "growth":
            lines += ["", "![growth](images/growth.png)"]
        if asked.page:
            # Parts of tiles have sections of their own, so that they replace no whole one.
            kind, what = ("tile", "a tile")
            if bytes_of(source) <= FULL_BYTES:
                kind, what = ("part", "a part of a tile")
            text = f"## {head}: {what}\n\n" + "\n".join(lines)
            replace_section(PAGE, f"{kind}-{name}", text)


if __name__ == "__main__":
    main()

"""What a run costs beside a plain copy of the same product, measured in the same minutes.

    python benchmarks/speed.py SAFE [--only copy,cog,...] [--workers 1,2,4] [--page]

Every case is a process of its own: processor seconds of user and system, wall time, peak memory
and the bytes it read. `--page` puts the table into docs/performance.md. Ratios of processor
seconds hold on a busy machine too; wall times there mean nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sections import replace_section

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"

GRAPH = """
import s2cloud, sys
from dask.highlevelgraph import HighLevelGraph
l2a = s2cloud.process(s2cloud.open_l1c(sys.argv[1]))
arrays = [v.data for node in l2a.subtree for v in node.data_vars.values() if v.chunks is not None]
print(len(HighLevelGraph.merge(*[array.dask for array in arrays])), "tasks")
"""
OPEN = "import s2cloud, sys; s2cloud.open_l1c(sys.argv[1])"
WINDOW = """
import s2cloud, sys, time
l2a = s2cloud.process(s2cloud.open_l1c(sys.argv[1]))
band = l2a["measurements/reflectance/r10m/b04"]
band.isel(x=slice(512), y=slice(512)).compute()
"""


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds, seconds, megabytes, megabytes."""

    cpu: float
    wall: float
    peak: float
    read: float
    said: str


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


def cases(safe: str, folder: str, workers: list[int]) -> dict[str, tuple[str, list[str]]]:
    """Words and command of each case."""
    python = [sys.executable]
    make = [*python, "-m", "s2cloud", "process", safe]

    def made(name: str, words: str, *options: str) -> tuple[str, list[str]]:
        return (words, [*make, f"{folder}/{name}", "--overwrite", *options])

    copy = [*python, str(ROOT / "benchmarks" / "copy_limit.py"), safe, f"{folder}/copy"]
    found = {
        "copy": ("plain copy of the 13 bands, 2 threads", copy),
        "cog": made("cog", "GeoTIFFs", "--format", "cog"),
        "zarr": made("zarr", "Zarr", "--format", "zarr"),
        "r20": made("r20", "20 m, `--quick`", "--format", "cog", "--resolution", "20", "--quick"),
        "r60": made("r60", "60 m, `--quick`", "--format", "cog", "--resolution", "60", "--quick"),
        "help": ("`s2cloud --help`", [*python, "-m", "s2cloud", "--help"]),
        "import": ("`import s2cloud`", [*python, "-c", "import s2cloud"]),
        "open": ("import and `open_l1c`", [*python, "-c", OPEN, safe]),
        "graph": ("import, open, graph of all rasters", [*python, "-c", GRAPH, safe]),
        "window": ("512 pixels of B04, scene stage included", [*python, "-c", WINDOW, safe]),
    }
    for n in workers:
        found[f"threads{n}"] = made(
            f"t{n}", f"GeoTIFFs, {n} threads", "--format", "cog", "--workers", str(n)
        )
        found[f"processes{n}"] = made(
            f"p{n}",
            f"GeoTIFFs, {n} processes",
            *("--format", "cog", "--cluster", "local", "--workers", str(n)),
        )
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--only", default="")
    parser.add_argument("--workers", default="")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    safe = str(Path(asked.source).resolve())
    workers = [int(n) for n in asked.workers.split(",") if n]
    size = sum(path.stat().st_size for path in Path(safe).rglob("*.jp2")) / 1e6
    machine = platform.processor() or platform.machine()
    where = f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {os.cpu_count()} cores"
    lines = [
        f"{where}, load {os.getloadavg()[0]:.1f}, {size:.0f} MB of images.",
        "",
        "| run | CPU s | ratio to the copy | wall s | peak MB | read MB | |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        limit = 0.0
        for name, (words, command) in cases(safe, folder, workers).items():
            if asked.only and name not in asked.only.split(","):
                continue
            if name == "cog":
                # Compiled code is kept; the first run of a version makes it.
                cost(command)
            took = cost(command)
            limit = took.cpu if name == "copy" else limit
            ratio = f"{took.cpu / limit:.2f}" if limit else ""
            said = took.said if name in {"copy", "graph"} else ""
            lines.append(
                f"| {words} | {took.cpu:.1f} | {ratio} | {took.wall:.1f} | {took.peak:.0f} "
                f"| {took.read:.0f} | {said} |"
            )
            print(lines[-1], flush=True)
    if asked.page:
        replace_section(PAGE, "speed", "## Runs beside the copy\n\n" + "\n".join(lines))


if __name__ == "__main__":
    main()

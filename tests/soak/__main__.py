"""The long form of the soak tests; writes its results into docs/robustness.md.

    python -m tests.soak [kills] [faults] [mutations] [--rounds N] [--cases N] [--seed N]

Without a part all of them, one after the other.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from s2cloud.model.version import VERSION
from s2cloud.simulation import simulate_l1c
from tests.soak import faults, inputs, kills, product_runs, proxy
from tests.soak.servers import served

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from sections import replace_section  # type: ignore[import-not-found]  # noqa: E402

PAGE = ROOT / "docs" / "robustness.md"
SIZE = 288


def written(name: str, lines: list[str], began: float, command: str) -> None:
    """Put a section into the page, with when and where it was measured."""
    load = os.getloadavg()[0]
    stamp = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `{command}` with s2cloud {VERSION}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores (load {load:.0f}), in "
        f"{time.monotonic() - began:.0f} s."
    )
    replace_section(PAGE, name, "\n".join([stamp, "", *lines]))


def killed(folder: Path, arguments: argparse.Namespace) -> int:
    """Kill -9 at random moments."""
    began = time.monotonic()
    safe = simulate_l1c(folder / "l1c", size=SIZE).uri
    product_runs.warm(safe, folder / "warm")
    rounds, seed = arguments.rounds // 2, arguments.seed
    results = [kills.soak("disk", safe, str(folder / "out"), {}, rounds=rounds, seed=seed)]
    _write_kills(results, began, arguments)
    with served(folder / "s3") as server:
        results.append(
            kills.soak(
                server.name,
                safe,
                "s3://soak/out",
                server.options,
                rounds=rounds,
                seed=seed,
                folder_of_store=server.path("soak/out"),
            )
        )
    _write_kills(results, began, arguments)
    return sum(len(r.faults) for r in results)


def _write_kills(results: list[kills.Kills], began: float, arguments: argparse.Namespace) -> None:
    lines = [
        (
            "| store | rounds | kills that hit a living run | complete and bit-identical | faults "
            "| runs that took over finished parts | parts taken over | undisturbed run, s |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        lines.append(
            f"| {r.place} | {r.rounds} | {r.killed} | {r.committed} | {len(r.faults)} | "
            f"{r.resumed_runs} | {r.resumed_parts} | {r.seconds:.1f} |"
        )
        lines += [f"- {fault}" for fault in r.faults]
    command = f"python -m tests.soak kills --rounds {arguments.rounds} --seed {arguments.seed}"
    written("kills", lines, began, command)


def broken(folder: Path, arguments: argparse.Namespace) -> int:
    """A store that breaks."""
    began = time.monotonic()
    safe = simulate_l1c(folder / "l1c", size=SIZE).uri
    product_runs.warm(safe, folder / "warm")
    with served(folder / "s3") as server:
        upload = product_runs.FORK.Process(target=faults.upload, args=(server, safe))
        upload.start()
        upload.join()
        kinds = [*proxy.FAULTS, "all", "restart"]
        source = f"s3://soak/in/{Path(safe).name}"
        runs, seed = arguments.runs, arguments.seed
        results = faults.soak(server, source, kinds, runs=runs, rate=0.1, seed=seed)
    lines = [
        (
            "| fault | runs | faults injected | runs started again | same pixels and files "
            "| faults | s per run |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        lines.append(
            f"| {r.kind} | {r.runs} | {r.injected} | {r.again} | {r.equal} | {len(r.faults)} | "
            f"{r.seconds / max(1, r.runs):.1f} |"
        )
        lines += [f"- {fault}" for fault in r.faults]
    written("faults", lines, began, f"python -m tests.soak faults --runs {runs} --seed {seed}")
    return sum(len(r.faults) for r in results)


def mutated(folder: Path, arguments: argparse.Namespace) -> int:
    """Damaged inputs."""
    began = time.monotonic()
    logging.disable(logging.CRITICAL)
    cases, seed = arguments.cases, arguments.seed
    found = inputs.soak(folder, cases=cases, seed=seed)
    families = ", ".join(f"{name} {n}" for name, n in sorted(found.families.items()))
    kinds = ", ".join(f"{name} {n}" for name, n in sorted(found.kinds.items()))
    lines = [
        f"- cases: {found.cases} ({families})",
        f"- ended with an error of s2cloud's: {found.errors} ({kinds})",
        f"- ended as a product with the right pixels: {found.products}",
        (
            f"- slowest case {found.slowest:.1f} s (limit {inputs.SECONDS:.0f}), largest growth of "
            f"memory {found.largest_mb:.0f} MB (limit {inputs.MEGABYTES:.0f})"
        ),
        f"- faults (crash, hang, memory, other exception, path escape): {len(found.faults)}",
        *(f"  - {fault}" for fault in found.faults),
    ]
    command = f"python -m tests.soak mutations --cases {cases} --seed {seed}"
    written("mutations", lines, began, command)
    return len(found.faults)


PARTS = {"kills": killed, "faults": broken, "mutations": mutated}


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="kills, faults, mutations; all without any")
    parser.add_argument("--rounds", type=int, default=100, help="kills")
    parser.add_argument("--runs", type=int, default=4, help="for each kind of fault")
    parser.add_argument("--cases", type=int, default=3000, help="damaged inputs")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    failed = 0
    for part in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="s2cloud-soak-") as folder:
            found = PARTS[part](Path(folder), arguments)
        print(f"{part}: {found} faults", flush=True)  # noqa: T201
        failed += found
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

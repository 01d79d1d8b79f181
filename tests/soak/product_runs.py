"""Runs of a small product in processes that are forked from a warm one, and their comparison.

Imports and compiled kernels cost seconds; a process forked from one that has them starts in
milliseconds, so that a hundred runs that are killed and run again take minutes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask

from s2cloud.io import commit, journal, lease
from s2cloud.io.receipt import existing_receipt
from s2cloud.io.stores import open_store
from s2cloud.scheduling.jobs import Job, run_job

if TYPE_CHECKING:
    from pathlib import Path

FORK = multiprocessing.get_context("fork")


def warm(safe: str, folder: Path) -> None:
    """Load everything a run needs without leaving a thread behind, which a fork would lose."""
    with dask.config.set(scheduler="synchronous"):
        run_job(Job(safe, str(folder)))
    # A small product is done before the usual times of these have passed.
    journal.EVERY_S = 0.1  # type: ignore[misc]
    lease.POLL_S = 0.1  # type: ignore[misc]


@dataclass
class Ended:
    """How a run in a process of its own ended."""

    killed: bool
    seconds: float
    error: str = ""
    resumed: int = 0
    peak_mb: float = 0.0


def run(job: Job, *, kill_after: float | None = None, limit: float = 120.0) -> Ended:
    """Run a job in a fork, and kill it after some time unless it ended before."""
    here, there = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_child, args=(job, there))
    began = time.monotonic()
    process.start()
    there.close()
    process.join(limit if kill_after is None else kill_after)
    killed = process.is_alive()
    if killed and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    said: dict[str, Any] = {}
    with contextlib.suppress(EOFError):
        if here.poll():
            said = here.recv()
    here.close()
    if killed and kill_after is None:
        said = {"error": f"no end after {limit:.0f} s"}
    elif not killed and not said:
        said = {"error": f"died with exit code {process.exitcode}"}
    return Ended(killed, time.monotonic() - began, **said)


def _child(job: Job, answer: Any) -> None:
    counted = [0]
    original = journal.finished_parts

    def counting(*args: Any) -> Any:
        found = original(*args)
        counted[0] += len(found)
        return found

    commit.finished_parts = counting  # type: ignore[attr-defined,assignment]
    error = ""
    try:
        with dask.config.set(scheduler="threads", num_workers=2):
            run_job(job)
    except Exception as caught:  # noqa: BLE001  # told to the parent
        error = f"{type(caught).__name__}: {caught}"
    answer.send({"error": error, "resumed": counted[0]})
    os._exit(0)


def content(destination: str, options: dict[str, Any] | None = None) -> dict[str, str]:
    """Checksums of everything at a destination; of the receipt and the item without dates."""
    store = open_store(destination, options)
    found = {}
    for path in sorted(store.find()):
        data = store.read(path)
        if path.endswith(("receipt.json", ".json")) and ".zarr/" not in path:
            data = json.dumps(_undated(json.loads(data)), sort_keys=True).encode()
        found[path] = hashlib.sha256(data).hexdigest()
    return found


def _undated(value: Any) -> Any:
    """A document without what tells when and where it was written."""
    volatile = {"created", "updated", "timings", "destination", "processing:datetime", "published"}
    volatile |= {"sha256", "file:checksum", "size", "file:size", "input_files", "uri", "links"}
    if isinstance(value, dict):
        return {k: _undated(v) for k, v in value.items() if k not in volatile}
    if isinstance(value, list):
        return [_undated(v) for v in value]
    return value


def flaws(destination: str, options: dict[str, Any] | None = None) -> list[str]:
    """Assets that a receipt promises and the store does not hold; empty without a receipt."""
    receipt = existing_receipt(destination, options)
    if receipt is None:
        return []
    store = open_store(destination, options)
    found = []
    for asset in receipt.assets:
        if asset.href.endswith(".zarr"):
            inside = store.find(asset.href)
            lines, size = [], 0
            for path in sorted(inside):
                data = store.read(path)
                size += len(data)
                name = path.removeprefix(f"{asset.href}/")
                lines.append(f"{name} {hashlib.sha256(data).hexdigest()}\n")
            digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        else:
            data = store.read(asset.href)
            size, digest = len(data), hashlib.sha256(data).hexdigest()
        if (size, digest) != (asset.size, asset.sha256):
            found.append(f"{asset.key}: {size} bytes, not {asset.size}, or another checksum")
    return found

"""Where the processor seconds of a run go, task by task.

    python benchmarks/task_profile.py SAFE DST [--format cog] [--bands B02,SCL] [--resolution 20]

Runs a job on the threads of this process and counts the CPU time that every task takes for
itself. A task that dask has fused from several is taken apart again.
"""

from __future__ import annotations

import argparse
import re
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dask._task_spec import Task

from s2cloud.scheduling.jobs import Job, run_job

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Profile", "profiled"]

_TOKEN = re.compile(r"-?[0-9a-f]{32}")
_BAND = re.compile(r"(?<=[-_])b(?:0\d|1[0-2]|8a)(?=[-_]|$)")
_PIXEL = re.compile(r"[-_](?:10|20|60)m")


class Profile:
    """CPU seconds and calls by kind of task."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def add(self, kind: str, seconds: float) -> None:
        """Count one task."""
        with self._lock:
            self.seconds[kind] += seconds
            self.calls[kind] += 1

    def table(self, least: float = 0.05) -> str:
        """Markdown table, the dearest first; what is below `least` seconds is summed up."""
        rows = sorted(self.seconds.items(), key=lambda item: -item[1])
        total = sum(self.seconds.values())
        lines = ["| task | calls | CPU s | share |", "|---|---|---|---|"]
        rest = [name for name, seconds in rows if seconds < least]
        for name, seconds in rows:
            if seconds >= least:
                lines.append(
                    f"| {name} | {self.calls[name]} | {seconds:.2f} | {seconds / total:.1%} |"
                )
        small = sum(self.seconds[name] for name in rest)
        lines.append(f"| {len(rest)} kinds below {least} s | | {small:.2f} | {small / total:.1%} |")
        lines.append(f"| **all tasks** | | **{total:.1f}** | |")
        return "\n".join(lines)


def kind_of(key: Any) -> str:
    """Name of a task without what tells it from others of its kind."""
    name = str(key[0] if isinstance(key, tuple) else key)
    return _PIXEL.sub("", _BAND.sub("", _TOKEN.sub("", name))).replace("--", "-").strip("-_")


@contextmanager
def profiled() -> Iterator[Profile]:
    """Count the tasks that threads of this process run inside the ``with`` block."""
    profile = Profile()
    state = threading.local()
    plain = Task.__call__

    def counted(self: Any, values: Any = ()) -> Any:
        stack = state.__dict__.setdefault("stack", [])
        stack.append(0.0)
        start = time.thread_time()
        try:
            return plain(self, values)
        finally:
            spent = time.thread_time() - start
            inner = stack.pop()
            if stack:
                stack[-1] += spent
            # Arguments of a task are tasks without a key: they count for the task.
            if self.key is None and stack:
                stack[-1] -= spent - inner
            else:
                profile.add(kind_of(self.key), spent - inner)

    Task.__call__ = counted
    try:
        yield profile
    finally:
        Task.__call__ = plain


def main() -> None:
    """Profile a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("destination")
    parser.add_argument("--format", default="cog")
    parser.add_argument("--bands", default="")
    parser.add_argument("--resolution", default="")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    bands = tuple(asked.bands.split(",")) if asked.bands else None
    resolution = tuple(int(r) for r in asked.resolution.split(",")) if asked.resolution else None
    job = Job(
        asked.source,
        asked.destination,
        formats=tuple(asked.format.split(",")),
        bands=bands,
        resolution=resolution,
        quick=asked.quick,
        overwrite=True,
    )
    start = time.process_time()
    with profiled() as profile:
        run_job(job)
    print(profile.table())
    print(f"process: {time.process_time() - start:.1f} CPU s")


if __name__ == "__main__":
    main()

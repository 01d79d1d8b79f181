"""A storm of events on several processes that are killed at random; run as a program.

    python tests/service/storm.py --products 200 --events 10000 --kills 30

Events are shuffled, a share of them comes twice, every process gets some of them, and files of
products arrive while events about them do. Prints what came of it as JSON; exit code 1 if a product
was lost, made twice, or is stuck.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from s2cloud.io.stores import open_store
from s2cloud.service.records import records_of
from s2cloud.service.serve import serve
from tests.service.parts import (
    CommittingMaker,
    product_files,
    product_name,
    ready_event,
    settings_of,
    upload,
)

FILES = 35
BATCH = 20


def worker(folder: Path, number: int, work_s: float) -> int:
    """Fork a process that serves; its port stands in a file then."""
    mark = folder / f"port-{number}"
    mark.unlink(missing_ok=True)
    pid = os.fork()
    if pid:
        return pid
    try:
        out = os.open(folder / f"log-{number}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        random.seed()

        def started(url: str) -> None:
            mark.with_suffix(".new").write_text(url, encoding="utf-8")
            mark.with_suffix(".new").replace(mark)

        settings = settings_of(
            folder,
            jobs={"in_flight": 4, "scan_seconds": 0.5, "attempts": 50},
            http={"host": "127.0.0.1", "port": 0, "authentication": "none",
                  "requests_per_minute": 10_000_000},
        )  # fmt: skip
        serve(settings, make=CommittingMaker(work_s), started=started)
    except BaseException as error:  # noqa: BLE001  # a child must never come back
        os.write(2, repr(error).encode())
        os._exit(1)
    os._exit(0)


def post(folder: Path, number: int, urls: list[str]) -> bool:
    """Send a batch of events; whether they were taken."""
    try:
        url = (folder / f"port-{number}").read_text(encoding="utf-8")
        body = json.dumps([ready_event(each) for each in urls]).encode()
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        request = urllib.request.Request(f"{url}/events", body, kind)  # noqa: S310
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return bool(answer.status == 202)
    except OSError:
        return False


def memory(pid: int) -> float:
    """Resident memory of a process. [MB]."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


class Storm:
    """Three processes, their events and their end."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder = folder
        self.given: Any = arguments
        self.random = random.Random(arguments.seed)  # noqa: S311
        self.pids: dict[int, int] = {}
        self.killed = 0
        self.first_memory: dict[int, float] = {}
        self.last_memory: dict[int, float] = {}

    def run(self) -> dict[str, Any]:
        """Everything, and what came of it."""
        began = time.monotonic()
        names = [product_name(n) for n in range(self.given.products)]
        files = product_files(FILES)
        for number in range(self.given.workers):
            self.pids[number] = worker(self.folder, number, self.given.work)
        l1c = str(self.folder / "l1c")
        (self.folder / "l1c").mkdir(exist_ok=True)
        uploads = [(name, path) for name in names for path in files]
        self.random.shuffle(uploads)
        unique = [f"{l1c}/{name}.SAFE/{path}" for name, path in uploads]
        extra = max(0, self.given.events - len(unique))
        events = unique[: self.given.events]
        repeats = [self.random.choice(events) for _ in range(extra)]
        kill_at = {self.random.randrange(len(events) // BATCH) for _ in range(self.given.kills)}
        sent = 0
        for start in range(0, len(events), BATCH):
            for name, path in uploads[start : start + BATCH]:
                upload(l1c, name, {path: files[path]})
            some = events[start : start + BATCH]
            some += [repeats.pop() for _ in range(min(len(repeats), self._share(some, extra)))]
            self.random.shuffle(some)
            self._send(some)
            sent += len(some)
            if start // BATCH in kill_at:
                self._kill()
            if start // BATCH == len(events) // BATCH // 3:
                self.first_memory = {n: memory(pid) for n, pid in self.pids.items()}
        while repeats:
            some, repeats = repeats[:BATCH], repeats[BATCH:]
            self._send(some)
            sent += len(some)
        stuck = self._wait(len(names))
        self.last_memory = {n: memory(pid) for n, pid in self.pids.items()}
        codes = self._stop()
        return self._account(names, sent, stuck, codes) | {
            "seconds": round(time.monotonic() - began, 1)
        }

    def _share(self, some: list[str], extra: int) -> int:
        return int(round(len(some) * extra / max(1, self.given.events - extra)))  # noqa: RUF046

    def _send(self, urls: list[str]) -> None:
        """Send until somebody took them: senders do, at least once."""
        while not post(self.folder, self.random.randrange(self.given.workers), urls):
            time.sleep(0.05)

    def _kill(self) -> None:
        number = self.random.randrange(self.given.workers)
        os.kill(self.pids[number], signal.SIGKILL)
        os.waitpid(self.pids[number], 0)
        self.killed += 1
        self.first_memory.pop(number, None)
        self.pids[number] = worker(self.folder, number, self.given.work)

    def _wait(self, count: int) -> int:
        deadline = time.monotonic() + self.given.patience
        done = open_store(str(self.folder / "l2a"))
        finished = 0
        left = self.given.kills - self.killed
        while time.monotonic() < deadline:
            finished = len(done.listdir(".s2cloud/ended"))
            if finished >= count and not done.listdir(".s2cloud/open"):
                return 0
            if left > 0:
                self._kill()
                left -= 1
            time.sleep(0.3)
        return count - finished

    def _stop(self) -> list[int]:
        for pid in self.pids.values():
            os.kill(pid, signal.SIGTERM)
        return [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in self.pids.values()]

    def _account(self, names: list[str], sent: int, stuck: int, codes: list[int]) -> dict[str, Any]:
        l2a = open_store(str(self.folder / "l2a"))
        products = [n for n in l2a.listdir() if n.startswith("S2A")]
        committed = [n for n in products if l2a.exists(f"{n}/receipt.json")]
        settings = settings_of(self.folder)
        records = records_of(settings)
        states = [records.ended(job) for job in l2a.listdir(".s2cloud/ended")]
        growth = [
            self.last_memory[n] - first
            for n, first in self.first_memory.items()
            if n in self.last_memory
        ]
        return {
            "products": len(names),
            "events": sent,
            "kills": self.killed,
            "committed": len(committed),
            "done": sum(each is not None and each.state == "done" for each in states),
            "other": sum(each is None or each.state != "done" for each in states),
            "double": len(l2a.listdir("double")),
            "stuck": stuck,
            "open": len(l2a.listdir(".s2cloud/open")),
            "exit_codes": codes,
            "memory_mb": [round(each) for each in self.last_memory.values()],
            "memory_growth_mb": round(max(growth), 1) if growth else None,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--products", type=int, default=200)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--work", type=float, default=0.05, help="seconds that a product takes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=300.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        result = Storm(Path(folder), arguments).run()
        print(json.dumps(result))  # noqa: T201
        failed = (
            result["committed"] != result["products"]
            or result["done"] != result["products"]
            or any(result[word] for word in ("double", "stuck", "open", "other"))
            or any(result["exit_codes"])
        )
        if failed:
            for log in sorted(Path(folder).glob("log-*")):
                sys.stderr.write(log.read_text(encoding="utf-8")[-3000:])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

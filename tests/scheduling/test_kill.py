"""Workers, schedulers and clients that are killed: every product complete, the same bits, once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.batch_events import Policy
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.submit import carry_out, sources_of
from s2cloud.simulation import simulate_l1c

TILES = ("32TQM", "32TQL", "32TPM")
POLICY = Policy(tries=4, wait_s=0.2)
#: More than one by `make soak`; each kills at another moment.
ROUNDS = int(os.environ.get("S2CLOUD_KILL_ROUNDS", "1"))

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("l1c")
    for tile in TILES:
        simulate_l1c(folder, size=96, tile=tile)
    return list(sources_of(f"{folder}/"))


def jobs(sources, destination):
    return [Job(source, str(destination), formats=("cog",)) for source in sources]


def checksums(folder):
    """Checksum of every raster of every product; there is one receipt per product."""
    found = {}
    for path in sorted(Path(folder).glob("*/receipt.json")):
        receipt = json.loads(path.read_text())
        for asset in receipt["assets"]:
            file = path.parent / asset["href"]
            assert file.stat().st_size == asset["size"]
            if asset["href"].endswith(".tif"):
                found[f"{path.parent.name}/{asset['href']}"] = asset["sha256"]
    return found


@pytest.fixture(scope="module")
def undisturbed(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    result = carry_out(Batch(jobs(sources, folder), POLICY), lambda: cluster("threads", workers=2))
    assert [entry.state for entry in result.entries] == ["done"] * len(TILES)
    found = checksums(folder)
    assert len(found) > 10 * len(TILES)
    return found


class Killer:
    """Does something once, when a product has computed some tasks: in each round more of them."""

    def __init__(self, kill, at):
        self._kill = kill
        self._tasks = 20 + 61 * at % 200
        self.killed = False

    def __call__(self, event, now):
        if not self.killed and any(done > self._tasks for done, _ in now.tasks.values()):
            self.killed = True
            self._kill()


def complete(result):
    assert [entry.state for entry in result.entries] == ["done"] * len(TILES), result.failed


@pytest.mark.parametrize("at", range(ROUNDS))
def test_a_killed_worker(sources, undisturbed, tmp_path, at):
    clients: list[Any] = []

    def kill():
        (client,) = clients
        pids = client.run(os.getpid)
        os.kill(next(iter(pids.values())), signal.SIGKILL)

    @contextlib.contextmanager
    def opened():
        with cluster("local", workers=2) as client:
            clients.append(client)
            yield client

    killer = Killer(kill, at)
    result = carry_out(Batch(jobs(sources, tmp_path), POLICY, on_event=killer), opened)
    complete(result)
    assert killer.killed
    assert len(clients) == 1
    assert checksums(tmp_path) == undisturbed


@contextlib.contextmanager
def processes(folder):
    """A scheduler and two workers, each a process of its own."""
    words = [sys.executable, "-m", "dask"]
    contact = folder / f"scheduler-{time.monotonic_ns()}.json"
    host = ["--host", "127.0.0.1"]
    scheduler = [*words, "scheduler", "--port", "0", "--no-dashboard", *host]
    worker = [*words, "worker", "--nthreads", "1", "--no-dashboard", "--no-nanny", *host]
    started = []
    try:
        command = [*scheduler, "--scheduler-file", str(contact)]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))  # noqa: S603
        for _ in range(2):
            more = ["--scheduler-file", str(contact), "--local-directory", str(folder)]
            started.append(subprocess.Popen([*worker, *more], stderr=subprocess.DEVNULL))  # noqa: S603
        deadline = time.monotonic() + 60
        while not contact.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield json.loads(contact.read_text())["address"], started[0]
    finally:
        for each in started:
            each.kill()
        for each in started:
            each.wait()


@pytest.mark.parametrize("at", range(ROUNDS))
def test_a_killed_scheduler(sources, undisturbed, tmp_path, at):
    schedulers: list[Any] = []

    @contextlib.contextmanager
    def opened():
        with processes(tmp_path) as (address, scheduler), cluster(address) as client:
            schedulers.append(scheduler)
            yield client

    out = tmp_path / "out"
    killer = Killer(lambda: schedulers[0].kill(), at)  # noqa: PLW0108  # not there yet
    result = carry_out(Batch(jobs(sources, out), POLICY, on_event=killer), opened)
    assert len(schedulers) == 2
    assert {entry.state for entry in result.entries} <= {"done", "found"}
    assert checksums(out) == undisturbed


def client_process(sources, out, run_file):
    words = [sys.executable, "-m", "s2cloud", "batch", *sources, str(out), "--format", "cog"]
    more = ["--cluster", "local", "--workers", "2", "--run-file", str(run_file)]
    return subprocess.Popen([*words, *more], stderr=subprocess.PIPE, text=True)  # noqa: S603


def waited_for(condition, process):
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.parametrize("at", range(ROUNDS))
def test_a_killed_client_and_its_second_start(sources, undisturbed, tmp_path, at):
    out, run_file = tmp_path / "out", tmp_path / "run.json"
    process = client_process(sources, out, run_file)
    try:
        waited_for(lambda: len(list(out.glob("*/*.tif"))) > 7 * at % 50, process)
    finally:
        process.kill()
        process.communicate()
    batch = Batch(jobs(sources, out), POLICY, run_file=str(run_file))
    result = carry_out(batch, lambda: cluster("threads", workers=2))
    assert {entry.state for entry in result.entries} <= {"done", "found"}
    assert checksums(out) == undisturbed
    created = {p: json.loads(p.read_text())["created"] for p in out.glob("*/receipt.json")}
    again = Batch(jobs(sources, out), POLICY, run_file=str(run_file))
    result = carry_out(again, lambda: cluster("threads", workers=2))
    assert [entry.state for entry in result.entries] == ["found"] * len(TILES)
    assert created == {p: json.loads(p.read_text())["created"] for p in created}


def test_two_places_at_once(sources, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = client_process(sources, out, tmp_path / "there.json")
    try:
        waited_for((tmp_path / "there.json").exists, process)
        result = carry_out(Batch(jobs(sources, out), POLICY), lambda: cluster("threads", workers=2))
        _, err = process.communicate(timeout=200)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert {entry.state for entry in result.entries} <= {"done", "found"}
    assert checksums(out) == undisturbed

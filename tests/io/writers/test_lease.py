"""One writer at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from s2cloud.io import lease as module
from s2cloud.io.lease import leased, swept
from s2cloud.io.stores import open_store
from s2cloud.io.zarr_writer import to_zarr
from s2cloud.model.errors import UnavailableError

FOLDER = "progress"


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.05)
    monkeypatch.setattr(module, "POLL_S", 0.1)
    monkeypatch.setattr(module, "PATIENCE_S", 0.6)


@pytest.fixture
def nobody_is_waited_for(monkeypatch):
    sleep = time.sleep

    def refuse(seconds):
        assert seconds != module.POLL_S, "a lease that nobody holds was waited for"
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", refuse)


@pytest.fixture(params=["disk", "memory", "s3"])
def store(request, tmp_path):
    if request.param == "disk":
        return open_store(tmp_path)
    if request.param == "memory":
        return open_store(request.getfixturevalue("memory_url"))
    return open_store(f"s3://bucket/{tmp_path.name}", request.getfixturevalue("s3_server"))


def test_one_of_many_gets_it(store):
    won, refused = [], []
    begin, end = threading.Barrier(4), threading.Event()

    def attempt(i):
        begin.wait()
        try:
            with leased(store, FOLDER):
                won.append(i)
                end.wait(20)
        except UnavailableError as error:
            refused.append(error)
            if len(refused) == 3:
                end.set()

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(won), len(refused)) == (1, 3)
    assert "another run writes this product" in str(refused[0])
    assert store.find(FOLDER) == {}


def foreign(pid=1, place="elsewhere", renewed=None):
    facts = {"token": "x", "place": place, "pid": pid, "started": "1"}
    return json.dumps(facts | {"renewed": renewed or time.time()}).encode()


def test_a_holder_elsewhere_that_died_is_waited_for(store):
    store.write(f"{FOLDER}/lease-000007.json", foreign())
    began = time.monotonic()
    with leased(store, FOLDER) as lease:
        assert lease.number == 8
        assert time.monotonic() - began >= 0.6
    assert store.find(FOLDER) == {}


@pytest.mark.parametrize(
    "left", [b"", b"{}", foreign(renewed=1.0)], ids=["empty", "foreign", "old"]
)
@pytest.mark.usefixtures("nobody_is_waited_for")
def test_what_is_no_living_lease_is_passed_at_once(store, left):
    store.write(f"{FOLDER}/lease-000001.json", left)
    with leased(store, FOLDER) as lease:
        assert lease.number == 2


@pytest.mark.usefixtures("nobody_is_waited_for")
def test_a_process_killed_here_is_succeeded_at_once(tmp_path):
    text = (
        "import sys, time; from s2cloud.io.lease import leased; "
        "from s2cloud.io.stores import open_store\n"
        f"with leased(open_store({str(tmp_path)!r}), {FOLDER!r}):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    store = open_store(tmp_path)
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        process.kill()
    with leased(store, FOLDER) as lease:
        assert lease.number == 2


def test_a_holder_that_slept_too_long_is_told(store):
    lost = threading.Event()
    with leased(store, FOLDER) as lease:
        lease.on_loss = lost.set
        lease.confirm()
        store.write(f"{FOLDER}/lease-000002.json", foreign())
        assert lost.wait(10)
        with pytest.raises(UnavailableError, match="another run took over"):
            lease.confirm()
    # Not this one's to remove any more.
    assert f"{FOLDER}/lease-000002.json" in store.find(FOLDER)


def test_what_a_dead_run_left_is_swept(store):
    store.write(f"{FOLDER}/done-1.json", b"{}")
    store.write(f"{FOLDER}/lease-000001.json", foreign())
    swept(store, FOLDER)
    assert len(store.find(FOLDER)) == 2
    store.write(f"{FOLDER}/lease-000001.json", foreign(renewed=1.0))
    swept(store, FOLDER)
    assert store.find(FOLDER) == {}


def test_two_runs_of_different_products_do_not_mix(make_chip, tmp_path):
    place, started = module._process(os.getpid())
    assert place
    assert started
    target = tmp_path / "a.zarr"
    running, go_on = threading.Event(), threading.Event()

    def slow(_, array):
        def wait(block):
            if block.size:
                running.set()
                go_on.wait(20)
            return block

        return array.map_blocks(wait, dtype=array.dtype)

    made = []
    first = threading.Thread(target=lambda: made.append(to_zarr(make_chip(wrap=slow), target)))
    first.start()
    assert running.wait(20)
    other = make_chip(provenance={"configuration": {"a": 2}})
    with pytest.raises(UnavailableError, match="another run writes this product"):
        to_zarr(other, target, overwrite=True)
    go_on.set()
    first.join(30)
    assert to_zarr(make_chip(), target) == made[0]

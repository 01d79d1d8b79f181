"""A batch: order, tries, memory, the run file; with makers that only pretend."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from s2cloud.model.errors import CapacityError, InputError, UnavailableError, UsageError
from s2cloud.scheduling.admission import Limits
from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.batch_events import Policy
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.executors import executor_for
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.products import Made
from s2cloud.scheduling.projection import Projection
from s2cloud.scheduling.runfile import Entry, measured_of, read_run_file
from s2cloud.scheduling.strategies import Cost


class Record:
    """Every event, and the most products that ran at once."""

    def __init__(self):
        self.events = []
        self.most = 0
        self.last: Any = None

    def __call__(self, event, now):
        self.last = now
        self.most = max(self.most, now.states.get("running", 0))
        if event is not None:
            self.events.append((event.kind, event.name, event.words))

    def of(self, kind):
        return [name for found, name, _ in self.events if found == kind]


def jobs(*names):
    return [Job(f"memory://in/{name}", "memory://out") for name in names]


def known(job):
    """A product of known cost: one second per letter of its name."""
    name = job.source.rsplit("/", 1)[-1]
    cost = Cost(cpu_s=float(len(name)), memory_bytes=2**20)
    return Projection(product=name, tile="32TQM", date="2025-06-15", megapixels=1.0, cost=cost)


def made(job, settle=None):
    time.sleep(0.01)
    return Made(key=job.key, destination=f"memory://out/{job.source[-1]}", serial_s=0.5)


def carried_out(batch, workers=2):
    with cluster("none", workers=workers) as client, executor_for(client) as executor:
        return batch.run(executor)


def test_every_product_is_made_once_in_the_order_of_the_strategy():
    record, order = Record(), []

    def make(job, settle=None):
        order.append(job.source[-3:])
        return made(job)

    policy = Policy(strategy="longest", limits=Limits(in_flight=1))
    batch = Batch(jobs("a", "b", "c", "a"), policy, on_event=record, make=make, projected=known)
    entries = carried_out(batch)
    assert [entry.state for entry in entries] == ["done"] * 3
    assert sorted(order) == ["n/a", "n/b", "n/c"]
    assert record.most == 1
    assert record.last.part == pytest.approx(1.0)
    assert record.last.eta_s == pytest.approx(0.0)
    assert sorted(record.of("done")) == ["a", "b", "c"]


def test_no_more_run_at_once_than_may():
    lock, now, most = threading.Lock(), [0], [0]

    def make(job, settle=None):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        return made(job)

    names = [str(n) for n in range(10)]
    batch = Batch(jobs(*names), Policy(limits=Limits(in_flight=3)), make=make, projected=known)
    assert all(entry.state == "done" for entry in carried_out(batch))
    assert 1 < most[0] <= 3


def test_unsuitable_input_fails_at_once_and_others_do_not_suffer():
    def make(job, settle=None):
        if job.source.endswith("bad"):
            raise InputError("damaged product", where=job.source)
        return made(job)

    record = Record()
    batch = Batch(jobs("x", "bad", "y"), on_event=record, make=make, projected=known)
    states = {entry.name: entry for entry in carried_out(batch)}
    assert states["bad"].state == "failed"
    assert states["bad"].tries == 1
    assert "damaged product" in states["bad"].causes[0]
    assert states["x"].state == states["y"].state == "done"
    assert record.of("failed") == ["bad"]


@pytest.mark.parametrize("error", [UnavailableError("store down"), ZeroDivisionError("a bug")])
def test_a_poison_product_ends_after_its_tries_with_every_reason(error):
    def make(job, settle=None):
        if job.source.endswith("poison"):
            raise error
        return made(job)

    record = Record()
    policy = Policy(tries=3, wait_s=0.01)
    batch = Batch(jobs("poison", "x"), policy, on_event=record, make=make, projected=known)
    poison, other = carried_out(batch)
    assert (poison.state, poison.tries, len(poison.causes)) == ("failed", 3, 3)
    assert record.of("retry") == ["poison", "poison"]
    assert other.state == "done"


def test_what_passes_is_made_at_a_later_try():
    tries = []

    def make(job, settle=None):
        tries.append(job)
        if len(tries) == 1:
            raise UnavailableError("store busy")
        return made(job)

    (entry,) = carried_out(Batch(jobs("x"), Policy(wait_s=0.01), make=make, projected=known))
    assert (entry.state, entry.tries, len(tries)) == ("done", 2, 2)
    assert "store busy" in entry.causes[0]


def test_out_of_memory_is_tried_again_with_more():
    seen = []

    def make(job, settle=None):
        seen.append(batch.entries[job.key].request().cost.memory_bytes)
        if len(seen) == 1:
            raise CapacityError("out of memory")
        return made(job)

    batch = Batch(jobs("x"), Policy(wait_s=0.01), make=make, projected=known)
    carried_out(batch)
    assert seen[1] >= 2 * seen[0]


def test_what_never_fits_ends_with_its_reason_and_does_not_block():
    def projected(job):
        found = known(job)
        big = Cost(memory_bytes=2**60) if job.source.endswith("big") else found.cost
        return Projection(product=found.product, tile="", date="", megapixels=1.0, cost=big)

    big, small = carried_out(Batch(jobs("big", "s"), make=made, projected=projected))
    assert big.state == "failed"
    assert "does not fit" in big.causes[0]
    assert small.state == "done"


def test_the_run_file_resumes_without_doing_anything_twice(tmp_path):
    path = str(tmp_path / "run.json")
    count = []

    def make(job, settle=None):
        count.append(job.source[-1])
        if job.source.endswith("b"):
            raise InputError("damaged")
        folder = tmp_path / job.source[-1]
        folder.mkdir(exist_ok=True)
        text = {"product": "p", "formats": [], "destination": "", "assets": [], "created": ""}
        receipt = json.dumps({**text, "software": "", "digest": "d"})
        (folder / "receipt.json").write_text(receipt)
        return Made(key=job.key, destination=str(folder), serial_s=0.2)

    def again(policy=None):
        return Batch(jobs("a", "b", "c"), policy, run_file=path, make=make, projected=known)

    carried_out(again())
    assert sorted(count) == ["a", "b", "c"]
    kept = read_run_file(path)
    assert kept is not None
    assert [each["state"] for each in kept["products"]] == ["done", "failed", "done"]
    states = [entry.state for entry in carried_out(again())]
    assert states == ["found", "failed", "found"]
    assert len(count) == 3
    (tmp_path / "a" / "receipt.json").unlink()
    carried_out(again(Policy(retry_failed=True)))
    assert sorted(count[3:]) == ["a", "b"]


def test_a_run_file_holds_no_secrets_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "run.json"
    job = Job("s3://user:pass@b/x", "memory://out", source_options={"secret": "hush"})
    carried_out(Batch([job], run_file=str(path), make=made, projected=known))
    assert "hush" not in path.read_text()
    assert "pass" not in path.read_text()
    assert measured_of(json.loads(path.read_text())) == []
    path.write_text("{}")
    with pytest.raises(InputError, match="not a run file"):
        Batch([job], run_file=str(path))


def test_stopping_lets_what_runs_end_and_starts_nothing_more():
    record = Record()

    def make(job, settle=None):
        batch.stop()
        time.sleep(0.2)
        return made(job)

    policy = Policy(limits=Limits(in_flight=1))
    batch = Batch(jobs("a", "b", "c"), policy, on_event=record, make=make, projected=known)
    states = sorted(entry.state for entry in carried_out(batch))
    assert states.count("done") == 1
    assert len(record.of("started")) == 1


def test_priority_of_entries_reaches_the_strategy():
    order: list[str] = []

    def make(job, settle=None):
        if not order:  # until all others are known, so that the strategy has a choice
            while any(e.state in {"new", "projecting"} for e in batch.entries.values()):
                time.sleep(0.01)
        order.append(job.source[-1])
        return made(job)

    entries = [Entry(job=job, priority=n) for n, job in enumerate(jobs("a", "b", "c", "d"))]
    policy = Policy(strategy="priority", limits=Limits(in_flight=1))
    batch = Batch(entries, policy, make=make, projected=known)
    carried_out(batch)
    assert order[1:] == sorted(order[1:], reverse=True)
    assert len(order) == 4


def test_nonsense_is_a_usage_error():
    with pytest.raises(UsageError):
        Batch([], Policy(tries=0))
    with pytest.raises(UsageError):
        Batch([], Policy(strategy="astrology"))

"""Jobs: begun when the input is complete, made once, tried again, ended for good."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from s2cloud.io.lease import leased
from s2cloud.model.errors import InputError, UnavailableError, UsageError
from s2cloud.service.dispatcher import Dispatcher
from s2cloud.service.intake import Intake
from s2cloud.service.notifications import Found
from s2cloud.service.products import candidate_of
from s2cloud.service.records import Ended, Records, records_of
from tests.service.parts import (
    CommittingMaker,
    product_files,
    product_name,
    settings_of,
    upload,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s2cloud.service.settings import Settings


class Running:
    """A dispatcher at work in this process."""

    def __init__(self, settings: Settings, maker: CommittingMaker) -> None:
        self.settings = settings
        self.maker = maker
        self.records: Records = records_of(settings)
        self.told: list[tuple[str, str]] = []
        self.dispatcher = Dispatcher(
            settings,
            self.records,
            maker,
            on_end=lambda job, _, ended: self.told.append((job, ended.state)),
        )
        self.intake = Intake(
            settings, self.records, self.dispatcher.heard, self.dispatcher.stays_open
        )

    def event(self, url: str, *, whole: bool = False) -> str:
        """Take an event; the name of its job."""
        return next(iter(self.intake.take([Found(url, whole)]).jobs))

    def ended(self, job: str, within: float = 10.0) -> Ended:
        """Wait for a job to end."""
        until(lambda: self.records.ended(job) is not None, within)
        found = self.records.ended(job)
        assert found is not None
        until(lambda: not self.records.store.find(f"open/{job}"), within)
        return found


def until(true: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "not within the time given"
        time.sleep(0.02)


@contextmanager
def running(folder: Path, maker: CommittingMaker | None = None, **more: Any) -> Iterator[Running]:
    it = Running(settings_of(folder, **more), maker or CommittingMaker())
    thread = threading.Thread(target=it.dispatcher.run)
    thread.start()
    try:
        yield it
    finally:
        it.dispatcher.stop()
        thread.join()


def test_product_is_made_once_however_often_it_is_named(tmp_path: Path):
    with running(tmp_path) as it:
        urls = upload(str(tmp_path / "l1c"), product_name(0), product_files())
        jobs = {it.event(url) for url in urls * 3}
        assert len(jobs) == 1
        ended = it.ended(jobs.pop())
        assert ended.state == "done"
        assert it.event(urls[0])
        time.sleep(0.5)
        assert it.maker.made == {product_name(0): 1}
        assert [state for _, state in it.told] == ["done"]


def test_starts_exactly_when_the_last_file_is_there(tmp_path: Path):
    """Uploaded in any order, with pauses; events come with the files, or do not."""
    order = random.Random(4)  # noqa: S311
    with running(tmp_path) as it:
        files = list(product_files().items())
        order.shuffle(files)
        for path, data in files[:-1]:
            upload(str(tmp_path / "l1c"), product_name(1), {path: data})
            job = it.event(f"{tmp_path}/l1c/{product_name(1)}.SAFE/{path}")
            time.sleep(order.choice([0.0, 0.1]))
        time.sleep(0.8)
        assert it.maker.made == {}
        assert it.records.ended(job) is None
        # The last file as a part first, without an event: seen when it is looked for.
        path, data = files[-1]
        upload(str(tmp_path / "l1c"), product_name(1), {path: data[:-1]})
        time.sleep(0.8)
        assert it.maker.made == {}
        upload(str(tmp_path / "l1c"), product_name(1), {path: data})
        assert it.ended(job).state == "done"


def test_without_a_manifest_it_waits_until_nothing_more_comes(tmp_path: Path):
    name = product_name(2)
    metadata = b"<m><IMAGE_FILE>GRANULE/L1C/IMG_DATA/B01</IMAGE_FILE></m>"
    with running(tmp_path) as it:
        files = {"MTD_MSIL1C.xml": metadata, "GRANULE/L1C/IMG_DATA/B01.jp2": b"1"}
        urls = upload(str(tmp_path / "l1c"), name, files)
        job = it.event(urls[0])
        time.sleep(0.6)
        assert it.maker.made == {}, "MTD_TL.xml is missing"
        upload(str(tmp_path / "l1c"), name, {"GRANULE/L1C/MTD_TL.xml": b"<m/>"})
        began = time.monotonic()
        assert it.ended(job).state == "done"
        assert time.monotonic() - began > it.settings.jobs.settle_seconds


def test_incomplete_product_fails_and_its_late_file_opens_it_again(tmp_path: Path):
    files = product_files()
    name = product_name(3)
    with running(tmp_path, jobs={"ready_within_seconds": 0.5}) as it:
        late = "GRANULE/L1C/IMG_DATA/B03.jp2"
        urls = upload(str(tmp_path / "l1c"), name, {k: v for k, v in files.items() if k != late})
        job = it.event(urls[0])
        ended = it.ended(job)
        assert ended.state == "failed"
        assert late in ended.facts["reason"]
        url = upload(str(tmp_path / "l1c"), name, {late: files[late]})[0]
        it.event(url)
        until(lambda: (it.records.ended(job) or ended).state == "done")


def test_what_may_pass_is_tried_again_and_given_up_at_last(tmp_path: Path):
    def fail(name: str, count: int) -> BaseException | None:
        if name == product_name(0) and count < 3:
            return UnavailableError("store does not answer", where="s3://x?X-Amz-Signature=abc")
        if name == product_name(1):
            return OSError("https://store/x?X-Amz-Signature=abc broke")
        return InputError("damaged") if name == product_name(2) else None

    with running(tmp_path, CommittingMaker(fail=fail), jobs={"attempts": 3}) as it:
        jobs = []
        for number in range(3):
            files = upload(str(tmp_path / "l1c"), product_name(number), product_files())
            jobs.append(it.event(files[-1]))
        first, second, third = (it.ended(job) for job in jobs)
    assert (first.state, first.facts["tries"]) == ("done", 3)
    assert second.state == "failed"
    assert len(second.facts["causes"]) == 3
    assert (third.state, len(third.facts["causes"])) == ("failed", 1)
    assert it.maker.made[product_name(2)] == 1, "unsuitable input is not tried again"
    assert "abc" not in json.dumps([first.facts, second.facts])


def test_product_that_takes_its_process_along_is_given_up(tmp_path: Path):
    settings = settings_of(tmp_path, jobs={"attempts": 2})
    records = records_of(settings)
    url = upload(str(tmp_path / "l1c"), product_name(0), product_files())[0]
    candidate = candidate_of(url, settings)
    assert candidate is not None
    records.accept(candidate)
    records.begin(candidate.job)
    records.begin(candidate.job)
    with running(tmp_path, jobs={"attempts": 2}) as it:
        ended = it.ended(candidate.job)
    assert ended.state == "failed"
    assert "process that made it died" in ended.facts["reason"]
    assert it.maker.made == {}


def test_lease_of_another_machine_is_taken_over_only_once_it_was_watched_to_be_dead(
    tmp_path: Path,
):
    settings = settings_of(tmp_path)
    records = records_of(settings)
    url = upload(str(tmp_path / "l1c"), product_name(0), product_files())[0]
    candidate = candidate_of(url, settings)
    assert candidate is not None
    records.accept(candidate)
    records.begin(candidate.job)
    folder = f"open/{candidate.job}/lease"
    far = {"token": "x", "place": "another machine", "pid": 1, "started": "1"}
    text = json.dumps(far | {"renewed": time.time()}).encode()
    records.store.write(f"{folder}/lease-000001.json", text)
    began = time.monotonic()
    with (
        pytest.raises(UnavailableError, match="another run"),
        leased(records.store, folder, after=0),
    ):
        pass
    assert time.monotonic() - began < 20, "nobody is waited for"
    with running(tmp_path) as it:
        time.sleep(2.0)
        assert it.maker.made == {}
        # As if it had been watched for the time of the settings.
        it.dispatcher._watches[candidate.job].sign_since -= it.settings.jobs.lease_seconds + 1
        assert it.ended(candidate.job).state == "done"


_CLOUDY = b"<m><Cloud_Coverage_Assessment>93.5</Cloud_Coverage_Assessment></m>"
_DARK = b'<m><Mean_Sun_Angle><ZENITH_ANGLE unit="deg">88.1</ZENITH_ANGLE></Mean_Sun_Angle></m>'
_AWAY = b"<m><EXT_POS_LIST>10.0 5.0 10.0 6.0 11.0 6.0 11.0 5.0 10.0 5.0</EXT_POS_LIST></m>"
_SQUARE = {"type": "Polygon", "coordinates": [[[0, 40], [9, 40], [9, 50], [0, 50], [0, 40]]]}


@pytest.mark.parametrize(
    ("filters", "metadata", "reason"),
    [
        ({"max_cloud_cover": 80.0}, _CLOUDY, "cloud cover 93.5 %"),
        ({}, _DARK, "sun too low"),
        ({"geometry": _SQUARE}, _AWAY, "footprint"),
    ],
)
def test_unwanted_products_are_refused_for_good(
    tmp_path: Path, filters: dict[str, Any], metadata: bytes, reason: str
):
    with running(tmp_path, filters=filters) as it:
        files = {"MTD_MSIL1C.xml": metadata, "GRANULE/L1C/MTD_TL.xml": metadata}
        urls = upload(str(tmp_path / "l1c"), product_name(0), files | product_files())
        ended = it.ended(it.event(urls[0]))
        assert ended.state == "refused"
        assert reason in ended.facts["reason"]
        again = {ended.facts["job"]: "refused"}
        until(lambda: it.intake.take([Found(urls[0])]).jobs == again)
        assert it.maker.made == {}


def test_cancel_and_retry(tmp_path: Path):
    settings = settings_of(tmp_path)
    records = records_of(settings)
    url = f"{tmp_path}/l1c/{product_name(0)}.SAFE/manifest.safe"
    candidate = candidate_of(url, settings)
    assert candidate is not None
    job = candidate.job
    with pytest.raises(InputError, match="no such file"):
        records.cancel(job)
    records.accept(candidate)
    with pytest.raises(UsageError, match="not ended"):
        records.retry(job)
    records.cancel(job)
    with running(tmp_path) as it:
        assert it.ended(job).state == "cancelled"
        upload(str(tmp_path / "l1c"), product_name(0), product_files())
        records.retry(job)
        until(lambda: (records.ended(job) or Ended("failed")).state == "done")
        with pytest.raises(UsageError, match="is made"):
            records.retry(job)


def test_what_is_being_made_is_broken_off_when_it_is_cancelled(tmp_path: Path):
    class Slow(CommittingMaker):
        broken_off = threading.Event()

        @override
        def __call__(self, job: Any) -> Any:
            assert self.broken_off.wait(20)
            raise UnavailableError("product is cancelled")

        @override
        def cancel(self, job: Any) -> None:
            assert job.source.endswith(f"{product_name(0)}.SAFE")
            self.broken_off.set()

    with running(tmp_path, Slow()) as it:
        urls = upload(str(tmp_path / "l1c"), product_name(0), product_files())
        job = it.event(urls[0])
        until(lambda: it.dispatcher.running() == [job])
        it.records.cancel(job)
        ended = it.ended(job)
        assert (ended.state, ended.facts["reason"]) == ("cancelled", "cancelled while it was made")
        assert it.told == [(job, "cancelled")]


def test_lists_of_old_days_are_forgotten_and_what_became_of_a_job_is_not(tmp_path: Path):
    with running(tmp_path) as it:
        urls = upload(str(tmp_path / "l1c"), product_name(0), product_files())
        job = it.event(urls[0])
        it.ended(job)
        it.intake.put_aside(b"?", "no event")
        today = datetime.now(UTC).date()
        assert it.records.forget(today) == 0
        assert [each for each, _, _ in it.records.recent()] == [job]
        assert it.records.forget(today + timedelta(days=1)) == 2
        assert list(it.records.recent()) == []
        assert it.records.store.find("unread") == {}
        # Later than events of one product are taken for one.
        it.intake._recent.clear()
        assert it.intake.take([Found(urls[0])]).jobs == {job: "done"}
        assert it.maker.made == {product_name(0): 1}


def test_stop_waits_for_what_runs_and_forgets_the_try_that_it_breaks_off(tmp_path: Path):
    release = threading.Event()

    class Slow(CommittingMaker):
        @override
        def __call__(self, job: Any) -> Any:
            release.wait(20)
            raise UnavailableError("given up")

        @override
        def close(self) -> None:
            release.set()

    with running(tmp_path, Slow(), jobs={"drain_seconds": 0.2}) as it:
        urls = upload(str(tmp_path / "l1c"), product_name(0), product_files())
        job = it.event(urls[0])
        until(lambda: it.dispatcher.running() == [job])
    entry = it.records.open_jobs()[job]
    assert (entry.tries, entry.lease) == (0, 0), "another process may begin at once"


@pytest.mark.timeout(120)
def test_storm_of_events_with_kills_makes_each_product_once():
    """The short form; the long one is 200 products, 10 000 events, 30 kills."""
    program = Path(__file__).with_name("storm.py")
    words = ["--products", "20", "--events", "1000", "--kills", "3", "--work", "0.02"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, str(program), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["committed"], result["done"], result["double"]) == (20, 20, 0)
    assert result["kills"] == 3

"""Real products: simulated, uploaded file by file, processed, and looked at in a browser."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from s2cloud.io.receipt import existing_receipt
from s2cloud.service.records import records_of
from s2cloud.service.settings import load_settings
from s2cloud.simulation.product import simulate_l1c
from tests.service.parts import ready_event

SETTINGS = """
sources: [{{url: {folder}/l1c}}]
destination: {{url: {folder}/l2a}}
formats: [cog]
http: {{host: 127.0.0.1, port: 0, authentication: none}}
cluster: {{kind: threads, workers: 2}}
jobs: {{scan_seconds: 0.5}}
"""


def s2cloud(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "s2cloud", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def get(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, body, timeout=30) as answer:  # noqa: S310
        return bytes(answer.read())


@pytest.mark.timeout(200)
def test_product_uploaded_file_by_file_is_made_when_complete_and_seen_in_a_browser(tmp_path: Path):
    """The whole way, as a program: events, readiness, processing, page, commands, SIGTERM."""
    whole = Path(simulate_l1c(tmp_path / "made", size=96).uri)
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS.format(folder=tmp_path), encoding="utf-8")
    files = sorted(path for path in whole.rglob("*") if path.is_file())
    random.Random(2).shuffle(files)  # noqa: S311
    words = [sys.executable, "-m", "s2cloud", "serve", "--settings", str(settings)]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(words, stderr=log) as process,  # noqa: S603
    ):
        try:
            url = _listening(tmp_path / "log", process)
            for number, path in enumerate(files):
                target = tmp_path / "l1c" / whole.name / path.relative_to(whole)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
                event = json.dumps(ready_event(str(target))).encode()
                job = next(iter(json.loads(get(f"{url}/events", event))["jobs"]))
                if number == len(files) - 2:
                    time.sleep(1.5)
                    assert json.loads(get(f"{url}/jobs"))[0]["state"] == "pending"
            _until_done(url)
            picture = get(f"{url}/quicklook/{job}")
            assert picture.startswith(b"\x89PNG")
            page = _in_a_browser(url, tmp_path)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    product = next(path for path in (tmp_path / "l2a").iterdir() if path.name.startswith("S2A"))
    assert existing_receipt(str(product)) is not None
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert any(f"job {job}: done" in json.dumps(each) for each in records)
    if page is not None:
        assert f'data-state="done" id="{job}"' in page
        assert 'aria-pressed="false">1 done</button>' in page
    listed = json.loads(s2cloud("jobs", "list", "--settings", str(settings), "--json").stdout)
    assert [(each["job"], each["state"]) for each in listed] == [(job, "done")]
    shown = json.loads(s2cloud("jobs", "show", job, "--settings", str(settings)).stdout)
    assert shown["product"] == str(product)
    again = s2cloud("jobs", "retry", job, "--settings", str(settings))
    assert again.returncode == 2
    assert "is made" in again.stderr
    unknown = s2cloud("jobs", "cancel", "nothing", "--settings", str(settings))
    assert unknown.returncode == 3
    if page is None:
        pytest.skip("all but the page in a browser was checked: no chromium here")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_product_is_made_once_by_those_who_live_when_others_are_killed_at_it(tmp_path: Path):
    """Two processes; whichever makes the product is killed while pixels are computed."""
    whole = Path(simulate_l1c(tmp_path / "l1c", size=96).uri)
    settings = tmp_path / "settings.yaml"
    text = SETTINGS.format(folder=tmp_path).replace("workers: 2", "workers: 1")
    settings.write_text(text.replace("scan_seconds: 0.5", "scan_seconds: 0.2"), encoding="utf-8")
    records = records_of(load_settings(str(settings)))
    words = [sys.executable, "-m", "s2cloud", "serve", "--settings", str(settings)]
    running: dict[int, subprocess.Popen[bytes]] = {}

    def start(number: int) -> str:
        with (tmp_path / f"log-{number}").open("wb") as log:
            process = subprocess.Popen(words, stderr=log)  # noqa: S603
        running[process.pid] = process
        return _listening(tmp_path / f"log-{number}", process)

    def maker(tries: int) -> int:
        """Process that makes the product in this try, once it writes of it."""
        deadline = time.monotonic() + 90
        while True:
            begun = records.tries(job)
            staged = list((tmp_path / "l2a").glob("**/*.tif"))
            if len(begun) == tries and (staged or tries > 1):
                return int(begun[-1]["by"].split()[-1])
            assert records.ended(job) is None, "too quick to be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)

    try:
        urls = [start(number) for number in range(2)]
        event = json.dumps(ready_event(str(whole / "manifest.safe"))).encode()
        job = next(iter(json.loads(get(f"{urls[0]}/events", event))["jobs"]))
        for kill in range(2):
            pid = maker(kill + 1)
            running[pid].kill()
            running.pop(pid).wait()
        assert running == {}
        start(2)
        _until_done(start(3))
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(60) for process in running.values()]
    assert codes == [0, 0]
    ended = records.ended(job)
    assert ended is not None
    assert (ended.state, ended.facts["tries"]) == ("done", 3)
    assert ended.facts["causes"] == ["the process that made it died"] * 2
    (product,) = (path for path in (tmp_path / "l2a").iterdir() if path.name.startswith("S2A"))
    assert s2cloud("validate", str(product)).returncode == 0


def _listening(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while True:
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("listening on "):
                return line.removeprefix("listening on ")
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _until_done(url: str) -> None:
    deadline = time.monotonic() + 90
    while json.loads(get(f"{url}/jobs"))[0]["state"] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _in_a_browser(url: str, folder: Path) -> str | None:
    """The page as a browser has it after its scripts; None where there is no browser."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        return None
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser"]
    done = subprocess.run(  # noqa: S603
        [browser, *words, "--dump-dom", f"{url}/"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"HOME": str(folder)},
    )
    shot = os.environ.get("S2CLOUD_SCREENSHOT")
    if shot:
        subprocess.run(  # noqa: S603
            [browser, *words, "--window-size=1100,420", f"--screenshot={shot}", f"{url}/"],
            capture_output=True,
            check=False,
            timeout=60,
        )
    return done.stdout

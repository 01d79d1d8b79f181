"""A real SLURM: products through its queue, and a job that is cancelled while it works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.batch_events import Policy
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.submit import carry_out, sources_of
from s2cloud.simulation import simulate_l1c

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def queue():
    """Asks SLURM; skips where there is none."""
    if not os.environ.get("SLURM_CONF") or shutil.which("sinfo") is None:
        pytest.skip("no SLURM: SLURM_CONF is not set; `.ci/slurm start DIR` starts one")

    def ask(*words):
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return done.stdout.split()

    ask("sinfo")
    return ask


def test_a_batch_through_the_queue_survives_a_cancelled_job(queue, tmp_path):
    for tile in ("32TQM", "32TQL"):
        simulate_l1c(tmp_path / "l1c", size=96, tile=tile)
    sources = list(sources_of(f"{tmp_path}/l1c/"))
    cancelled: list[str] = []

    def on_event(event, now):
        if not cancelled and any(done > 10 for done, _ in now.tasks.values()):
            cancelled.append(queue("squeue", "-h", "-t", "R", "-o", "%i")[0])
            queue("scancel", cancelled[0])

    options = {
        "queue": "main",
        "interface": "lo",
        "walltime": "00:10:00",
        "log_directory": str(tmp_path / "logs"),
        "local_directory": str(tmp_path / "scratch"),
        "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
    }
    jobs = [Job(source, str(tmp_path / "l2a"), formats=("cog",)) for source in sources]
    result = carry_out(
        Batch(jobs, Policy(tries=4, wait_s=0.2), on_event=on_event),
        lambda: cluster("slurm", workers=2, memory="3GiB", options=options),
    )
    assert cancelled
    assert [entry.state for entry in result.entries] == ["done", "done"]
    assert len(list((tmp_path / "l2a").glob("*/receipt.json"))) == 2
    assert {entry.tries for entry in result.entries} <= {1, 2}
    assert queue("squeue", "-h", "-t", "R", "-o", "%i") == []


def test_one_job_step_runs_this_program_as_scheduler_client_and_workers(queue, tmp_path):
    for tile in ("32TQM", "32TQL"):
        simulate_l1c(tmp_path / "l1c", size=96, tile=tile)
    step = ["srun", "-n", "4", "--overcommit", "--mem=0", "-t", "5"]
    words = ["batch", f"{tmp_path}/l1c/", str(tmp_path / "l2a"), "--format", "cog", "--json"]
    done = subprocess.run(  # noqa: S603
        [*step, sys.executable, "-m", "s2cloud", *words, "--cluster", "slurm-runner"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    products = json.loads(done.stdout)["products"]
    assert [each["state"] for each in products] == ["done", "done"]
    assert len(list((tmp_path / "l2a").glob("*/receipt.json"))) == 2
    assert queue("squeue", "-h", "-t", "PD,R", "-o", "%i") == []

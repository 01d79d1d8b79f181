"""Identity of jobs; what they do is tested through the command line."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from s2cloud.config import ProcessorConfig
from s2cloud.scheduling.jobs import Job, run_job

JOB = Job("s3://bucket/l1c/NAME.SAFE", "s3://bucket/l2a")


def test_key_is_the_same_in_another_process():
    code = (
        "from s2cloud.scheduling.jobs import Job;"
        "print(Job('s3://bucket/l1c/NAME.SAFE', 's3://bucket/l2a').key)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == JOB.key
    assert len(JOB.key) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"source": "s3://bucket/l1c/OTHER.SAFE"},
        {"bbox": (7.0, 47.0, 8.0, 48.0)},
        {"formats": ("zarr",)},
        {"config": ProcessorConfig.model_validate({"aerosol": {"fallback_aot550": 0.3}})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_key_changes_with_what_is_made(change):
    assert dataclasses.replace(JOB, **change).key != JOB.key


@pytest.mark.parametrize(
    "change",
    [
        {"destination": "elsewhere"},
        {"formats": ("zarr", "cog")},
        {"source_options": {"key": "k", "secret": "s"}},
        {"overwrite": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_key_does_not_change_with_where_and_how(change):
    assert dataclasses.replace(JOB, **change).key == JOB.key


def test_secrets_are_not_shown():
    job = dataclasses.replace(JOB, source_options={"secret": "s3cr3t"})
    assert "s3cr3t" not in repr(job)


def test_unexpected_failures_pass_unchanged(monkeypatch):
    bug = ZeroDivisionError()

    def broken(*args, **kwargs):
        raise bug

    monkeypatch.setattr("s2cloud.scheduling.jobs.open_l1c", broken)
    with pytest.raises(ZeroDivisionError) as caught:
        run_job(JOB)
    assert caught.value is bug

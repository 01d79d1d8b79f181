"""Clusters that others run: what is asked for, and what is said when versions differ."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from s2cloud.model.errors import UnavailableError, UsageError
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.remote import Wish, kubernetes_spec, remote_cluster, slurm_arguments
from s2cloud.scheduling.skew import differences, require_equal_versions


def packages(**changed):
    have = {"python": "3.11.7.final.0", "s2cloud": "0.1.0", "dask": "1", "distributed": "1"}
    return {"packages": have | {"numpy": "2.0"} | changed}


def versions(worker):
    return {"client": packages(), "scheduler": packages(), "workers": {"tcp://w:1": worker}}


def test_equal_versions_pass_and_patches_of_python_do_not_matter():
    assert differences(versions(packages(python="3.11.9.final.0"))) == ([], [])


@pytest.mark.parametrize(
    ("name", "version"), [("s2cloud", "0.2.0"), ("distributed", "2"), ("python", "3.12.1.final.0")]
)
def test_skew_is_named_with_package_version_and_place(name, version):
    hard, soft = differences(versions(packages(**{name: version})))
    assert soft == []
    assert name in hard[0]
    assert "tcp://w:1" in hard[0]
    assert ".".join(version.split(".")[:2]) in hard[0]


def test_a_worker_without_s2cloud_is_named():
    (line,), _ = differences(versions(packages(s2cloud="None")))
    assert "s2cloud 0.1.0 on client and scheduler, None on worker tcp://w:1" in line


def test_lesser_skew_is_a_warning_only(caplog):
    class Client:
        def get_versions(self, packages):
            return versions(globals()["packages"](numpy="2.1"))

    require_equal_versions(Client())
    assert "numpy 2.0" in caplog.text


def test_skew_raises_unless_allowed(caplog):
    class Client:
        def get_versions(self, packages):
            return versions(globals()["packages"](dask="2"))

    with pytest.raises(UsageError, match="dask 1 on client and scheduler, 2 on worker"):
        require_equal_versions(Client())
    require_equal_versions(Client(), allow=True)
    assert "dask 1" in caplog.text


def test_pods_get_commands_that_exist_and_equal_requests_and_limits():
    pytest.importorskip("dask_kubernetes")
    wish = Wish(3, 2, "8GiB", {"name": "l2a", "image": "registry/s2cloud:1", "env": {"A": "1"}})
    spec = kubernetes_spec(wish)
    assert spec["metadata"]["name"] == "l2a"
    worker = spec["spec"]["worker"]
    (container,) = worker["spec"]["containers"]
    assert worker["replicas"] == 3
    assert container["image"] == "registry/s2cloud:1"
    assert container["args"][:2] == ["dask", "worker"]
    assert container["args"][-2:] == ["--preload", "s2cloud.scheduling.drain"]
    assert container["args"][container["args"].index("--nthreads") + 1] == "2"
    size = {"cpu": "2", "memory": "8Gi"}
    assert container["resources"] == {"requests": size, "limits": size}
    assert {"name": "A", "value": "1"} in container["env"]
    (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
    assert scheduler["args"][:2] == ["dask", "scheduler"]
    for pod in (worker["spec"], spec["spec"]["scheduler"]["spec"]):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert worker["spec"]["terminationGracePeriodSeconds"] >= 60


def test_jobs_of_slurm_hold_one_worker_that_drains(monkeypatch):
    jobqueue = pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/scratch/numba")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    arguments = slurm_arguments(Wish(2, 4, "16GiB", {"queue": "short", "walltime": "01:00:00"}))
    with jobqueue.SLURMCluster(**arguments, interface="lo") as made:
        script = made.job_script()
    assert "#SBATCH -p short" in script
    assert "#SBATCH --cpus-per-task=4" in script
    assert "#SBATCH --mem=15G" in script
    assert "--preload s2cloud.scheduling.drain" in script
    assert "export NUMBA_CACHE_DIR=/scratch/numba" in script
    assert "hush" not in script
    assert sys.executable in script


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_gateway", None)
    with pytest.raises(UsageError, match=r"s2cloud\[cluster\]"), cluster("gateway"):
        pass


def test_a_scheduler_that_is_not_there_is_unavailable(monkeypatch):
    monkeypatch.setattr("s2cloud.scheduling.remote.CONNECT_S", 0.5)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9"), cluster("tcp://127.0.0.1:9"):
        pass


def worker_process(address, folder, *words):
    command = [sys.executable, "-m", "dask", "worker", address, "--no-dashboard", *words]
    return subprocess.Popen(  # noqa: S603  # our own words
        [*command, "--nthreads", "1", "--local-directory", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.cluster
def test_an_address_is_used_and_a_worker_that_is_told_to_go_hands_over(tmp_path):
    with cluster("local", workers=1) as first:
        assert first is not None
        address = first.scheduler.address
        one = worker_process(
            address, tmp_path, "--no-nanny", "--preload", "s2cloud.scheduling.drain"
        )
        try:
            with cluster(address) as client:
                assert client is not None
                client.wait_for_workers(2, timeout=60)
                old = next(iter(first.cluster.workers.values())).worker_address
                (new,) = set(client.scheduler_info(n_workers=-1)["workers"]) - {old}
                kept = client.submit(abs, -7, workers=[new])
                kept.result()
                time.sleep(1.5)
                os.kill(one.pid, signal.SIGTERM)
                one.wait(timeout=60)
                assert client.who_has([kept])[kept.key] == (old,)
                assert kept.result() == 7
        finally:
            one.kill()
            one.wait()


@pytest.mark.cluster
def test_no_worker_is_said_in_time():
    from distributed import LocalCluster  # noqa: PLC0415

    options = {"processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=0, scheduler_kwargs={"dashboard": False}, **options) as empty:
        wish = Wish(1, 1, "1GiB", {"first_worker_s": 0.2})
        late = remote_cluster(empty.scheduler_address, wish)
        with pytest.raises(UnavailableError, match="no worker came"), late:
            pass


def test_an_address_without_port_is_a_usage_error():
    with pytest.raises(UsageError, match="not the address of a scheduler"), cluster("tcp://host"):
        pass

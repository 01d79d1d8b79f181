"""dask-gateway with its local backend: a cluster asked of a server, products through it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from s2cloud.simulation import simulate_l1c

pytestmark = pytest.mark.cluster

CONFIG = """
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.DaskGateway.address = "127.0.0.1:{private}"
c.Proxy.address = "127.0.0.1:{public}"
c.Proxy.api_token = "{token}"
c.ClusterConfig.scheduler_cmd = ["{folder}/scheduler"]
c.ClusterConfig.worker_cmd = ["{folder}/worker"]
c.ClusterConfig.scheduler_memory = "1 G"
c.ClusterConfig.worker_memory = "2 G"
c.UnsafeLocalBackend.clusters_directory = "{folder}/clusters"
"""


def free_ports(count):
    import socket  # noqa: PLC0415

    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports


@pytest.fixture
def gateway(tmp_path):
    pytest.importorskip("dask_gateway_server")
    pytest.importorskip("sqlalchemy")
    private, public = free_ports(2)
    # dask-gateway 2026.3 asks for programs that distributed 2026.8 does not have any more.
    for name in ("scheduler", "worker"):
        script = tmp_path / name
        module = f"distributed.cli.dask_{name}"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        script.chmod(0o755)
    config = tmp_path / "config.py"
    token = os.urandom(32).hex()
    facts = {"private": private, "public": public, "folder": tmp_path, "token": token}
    config.write_text(CONFIG.format(**facts))
    log = (tmp_path / "server.log").open("w")
    command = [sys.executable, "-m", "dask_gateway_server", "-f", str(config)]
    server = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)  # noqa: S603
    address = f"http://127.0.0.1:{public}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{address}/api/health", timeout=2).close()  # noqa: S310
                break
            except (OSError, urllib.error.URLError):
                assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def test_a_batch_on_a_cluster_of_the_gateway(gateway, tmp_path):
    for tile in ("32TQM", "32TQL"):
        simulate_l1c(tmp_path / "l1c", size=96, tile=tile)
    # In a process of its own: dask-gateway's client complains when it is cleared away.
    words = ["batch", f"{tmp_path}/l1c/", str(tmp_path / "l2a"), "--format", "cog", "--json"]
    where = ["--cluster", "gateway", "--workers", "2", "--cluster-option", f"address={gateway}"]
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "s2cloud", *words, *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    products = json.loads(done.stdout)["products"]
    assert [each["state"] for each in products] == ["done", "done"]
    assert {worker[:6] for each in products for worker in each["workers"]} == {"tls://"}

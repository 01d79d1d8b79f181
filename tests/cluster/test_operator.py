"""The dask operator on a real API server: it takes our objects, notebooks get their clusters."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from s2cloud.simulation.product import simulate_l1c
from tests.cluster.conftest import ROOT, until
from tests.cluster.hollow import HollowNode
from tests.cluster.test_chart_live import helm, values_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NOTEBOOKS = "notebooks"
IN_A_NOTEBOOK = """
import json, sys
import s2cloud
from s2cloud.scheduling.jobs import Job, run_job

source, destination = sys.argv[1:]
options = {"namespace": "notebooks", "image": "s2cloud:0.1.0", "quiet": True}
with s2cloud.cluster("kubernetes", n_workers=2, memory="2GiB", options=options) as client:
    client.wait_for_workers(2, timeout=60)
    receipt = run_job(Job(source, destination, formats=("cog",)), client=client)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    print(json.dumps({"workers": sorted(w["name"] for w in workers), "made": receipt.destination}))
"""


def components(api: Api, namespace: str) -> dict[str, dict[str, Any]]:
    found = api.get("deployments,services,daskworkergroups", "--namespace", namespace)
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def test_cluster_of_the_chart_is_set_up_and_scaled(api: Api, operator: Path):
    namespace = api.namespace("chart-cluster")
    helm(api, namespace, "install", values_of("production"))
    name = "s2-s2cloud-dask"

    def told() -> str:
        return f"{sorted(components(api, namespace))}\n{operator.read_text()[-3000:]}"

    def workers() -> list[dict[str, Any]]:
        found = components(api, namespace)
        return [each for key, each in found.items() if key.startswith(f"Deployment/{name}-default")]

    until(lambda: len(workers()) == 2, 60, told)
    found = components(api, namespace)
    assert {f"Deployment/{name}-scheduler", f"Service/{name}-scheduler"} <= found.keys()
    scheduler = found[f"Deployment/{name}-scheduler"]["spec"]["template"]
    service = found[f"Service/{name}-scheduler"]["spec"]
    assert service["selector"].items() <= scheduler["metadata"]["labels"].items()
    assert {port["port"] for port in service["ports"]} == {8786, 8787}
    # What the chart says of its pods reaches them, and policies and monitors find them.
    for each in workers():
        pod = each["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        assert container["args"][:4] == ["dask", "worker", "--name", "$(DASK_WORKER_NAME)"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        given = {variable["name"] for variable in container["env"]}
        assert {"DASK_WORKER_NAME", "DASK_SCHEDULER_ADDRESS"} <= given
        labels = {"dask.org/cluster-name": name, "dask.org/component": "worker"}
        assert labels.items() <= pod["metadata"]["labels"].items()
        (owner,) = each["metadata"]["ownerReferences"]
        assert owner["kind"] == "DaskWorkerGroup"
    words = ("scale", "daskcluster", name, "--replicas=4", "--namespace", namespace)
    api.kubectl(*words)
    until(lambda: len(workers()) == 4, 60, told)
    helm(api, namespace, "uninstall")
    until(lambda: api.get("daskclusters", "--namespace", namespace) == [], 60, told)


@pytest.mark.parametrize(("name", "count"), [("daskcluster", 2), ("daskjob", 2)])
def test_plain_manifests_are_set_up(api: Api, operator: Path, name: str, count: int):
    namespace = api.namespace(f"plain-{name}")
    api.kubectl("apply", "--namespace", namespace, "-f", str(ROOT / "k8s" / f"{name}.yaml"))

    def workers() -> int:
        found = components(api, namespace)
        return sum(key.startswith("Deployment/") and "worker" in key for key in found)

    until(lambda: workers() == count, 60, lambda: operator.read_text()[-3000:])


def test_notebook_gets_a_cluster_and_its_account_may_do_no_more(
    api: Api, operator: Path, tmp_path: Path
):
    """With the account of k8s/notebook.yaml; a product is made on workers in pods."""
    if not os.environ.get("S2CLOUD_OWN_NETWORK"):
        pytest.skip("needs a network and names of its own: make cluster-test")
    api.namespace(NOTEBOOKS)
    api.kubectl("apply", "--namespace", NOTEBOOKS, "-f", str(ROOT / "k8s" / "notebook.yaml"))
    account = f"--as=system:serviceaccount:{NOTEBOOKS}:s2cloud"
    for right, elsewhere in (
        ("get secrets", NOTEBOOKS),
        ("create pods", NOTEBOOKS),
        ("create deployments", NOTEBOOKS),
        ("create pods/exec", NOTEBOOKS),
        ("create daskclusters", "default"),
        ("list pods", "default"),
    ):
        words = ("auth", "can-i", *right.split(), account, "-n", elsewhere)
        assert api.kubectl(*words, check=False).startswith("no"), right
    l1c = simulate_l1c(tmp_path / "l1c", size=96)
    config = api.kubeconfig("notebook", NOTEBOOKS)
    with HollowNode(api, NOTEBOOKS) as node:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", IN_A_NOTEBOOK, l1c.uri, str(tmp_path / "l2a")],
            env=os.environ | {"KUBECONFIG": str(config)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert node.faults == []
        assert done.returncode == 0, done.stderr[-3000:] + operator.read_text()[-3000:]
        assert '"workers": ["s2cloud-default-worker-' in done.stdout
        assert len([name for name in node.processes if "-worker-" in name]) == 2
    assert api.get("daskclusters", "--namespace", NOTEBOOKS) == [], "it is gone after the block"
    assert (tmp_path / "l2a").exists()

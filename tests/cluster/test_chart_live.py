"""The chart and the plain manifests on a real API server: admitted, changed, removed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster.conftest import ROOT, until
from tests.helm.test_chart import MINIMUM, merged, pods, profile

if TYPE_CHECKING:
    from tests.cluster.conftest import Api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROFILES = {
    "local": [profile("local")],
    "production": [profile("production")],
    "spot": [profile("production"), profile("spot")],
    "keda and ingress": [
        {"keda": {"enabled": True, "triggers": [{"type": "aws-sqs-queue", "metadata": {}}]}},
        {"ingress": {"enabled": True, "host": "s2.example.org", "tlsSecret": "tls"}},
    ],
}
KINDS = (
    "deployments,services,configmaps,serviceaccounts,poddisruptionbudgets,networkpolicies,"
    "ingresses,daskclusters,daskautoscalers,servicemonitors,podmonitors,prometheusrules,"
    "scaledobjects,roles,rolebindings"
)
MINE = ("--selector", "app.kubernetes.io/instance=s2")


def values_of(name: str) -> dict[str, Any]:
    found = dict(MINIMUM)
    for each in PROFILES[name]:
        found = merged(found, each)
    return found


def helm(api: Api, namespace: str, step: str, values: dict[str, Any] | None = None) -> Any:
    program = Path(__file__).with_name("release.py")
    words = [sys.executable, str(program), str(api.kubeconfig()), namespace, step]
    done = subprocess.run(  # noqa: S603
        words, input=json.dumps(values or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def listed(api: Api, namespace: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Objects of the release by kind and name."""
    found = api.get(KINDS, "--namespace", namespace, *MINE)
    return {
        (each["kind"], each["metadata"]["name"]): each.get("spec", each.get("data", {}))
        for each in found
    }


@pytest.fixture(scope="module")
def render() -> Any:
    """Objects of the chart, rendered in a process of its own."""
    code = (
        "import json, sys, helm_python as h; "
        "print(json.dumps(h.Chart.load(sys.argv[1]).render("
        "json.load(sys.stdin), name='s2', namespace=sys.argv[2])))"
    )

    def of(values: dict[str, Any], namespace: str) -> list[dict[str, Any]]:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, str(ROOT / "helm" / "s2cloud"), namespace],
            input=json.dumps(values), capture_output=True, text=True, check=True,
        )  # fmt: skip
        texts = {k: v for k, v in json.loads(done.stdout).items() if not k.endswith("NOTES.txt")}
        return [o for text in texts.values() for o in yaml.safe_load_all(text) if o]

    return of


@pytest.mark.parametrize("name", PROFILES)
def test_release_is_installed_changed_taken_back_and_removed(api: Api, name: str):
    namespace = api.namespace(f"life-{name.replace(' ', '-')}")
    values = values_of(name)
    helm(api, namespace, "install", values)
    first = listed(api, namespace)
    assert ("Deployment", "s2-s2cloud") in first
    assert (("DaskCluster", "s2-s2cloud-dask") in first) == (name in {"production", "spot"})
    changed = merged(values, {"serve": {"replicas": 5}, "config": {"formats": ["zarr"]}})
    helm(api, namespace, "upgrade", merged(changed, {"networkPolicy": {"enabled": False}}))
    second = listed(api, namespace)
    serve = second["Deployment", "s2-s2cloud"]
    assert name == "keda and ingress" or serve["replicas"] == 5
    assert "zarr" in second["ConfigMap", "s2-s2cloud-settings"]["settings.yaml"]
    mark = "checksum/settings"
    before = first["Deployment", "s2-s2cloud"]["template"]["metadata"]["annotations"][mark]
    assert serve["template"]["metadata"]["annotations"][mark] != before
    assert not any(kind == "NetworkPolicy" for kind, _ in second)
    assert name == "local" or any(kind == "NetworkPolicy" for kind, _ in first)
    helm(api, namespace, "rollback")
    third = listed(api, namespace)
    assert third.keys() == first.keys()
    assert third["Deployment", "s2-s2cloud"] == first["Deployment", "s2-s2cloud"]
    assert third["ConfigMap", "s2-s2cloud-settings"] == first["ConfigMap", "s2-s2cloud-settings"]
    assert len(helm(api, namespace, "history")) == 3
    helm(api, namespace, "uninstall")
    until(lambda: listed(api, namespace) == {}, told=lambda: str(listed(api, namespace).keys()))


@pytest.mark.parametrize("name", PROFILES)
def test_every_pod_is_admitted_where_none_may_have_a_privilege(api: Api, render: Any, name: str):
    """Under the restricted Pod Security Standard; a Deployment is admitted whatever its pods."""
    namespace = api.namespace(f"pods-{name.replace(' ', '-')}")
    objects = render(values_of(name), namespace)
    found = list(pods(objects))
    assert len(found) >= 3
    api.kubectl("--namespace", namespace, "create", "serviceaccount", "s2-s2cloud")
    for number, spec in enumerate(found):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{number}", "namespace": namespace},
            "spec": spec,
        }
        api.kubectl("create", "--dry-run=server", "--filename", "-", given=[pod])
    # The server does look: without its confinement the same pod is refused.
    loose = {key: value for key, value in found[0].items() if key != "securityContext"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loose", "namespace": namespace},
        "spec": loose,
    }
    words = ("create", "--dry-run=server", "--filename", "-")
    assert "violates PodSecurity" in api.kubectl(*words, given=[pod], check=False)


@pytest.mark.parametrize("name", ["daskcluster", "daskjob", "job", "notebook"])
def test_plain_manifests_are_admitted(api: Api, name: str):
    if "s2cloud" not in api.kubectl("get", "namespaces"):
        api.namespace("s2cloud")
    words = ("apply", "--dry-run=server", "--validate=strict", "--namespace", "s2cloud")
    told = api.kubectl(*words, "--filename", str(ROOT / "k8s" / f"{name}.yaml"), check=False)
    assert "(server dry run)" in told
    assert "Warning" not in told
    assert "rror" not in told


def test_the_kustomization_is_admitted(api: Api):
    if "s2cloud" not in api.kubectl("get", "namespaces"):
        api.namespace("s2cloud")
    told = api.kubectl("apply", "--dry-run=server", "--kustomize", str(ROOT / "k8s"))
    listed = yaml.safe_load((ROOT / "k8s" / "kustomization.yaml").read_text())["resources"]
    assert told.count("(server dry run)") >= len(listed)


def test_the_account_of_the_chart_may_do_nothing(api: Api):
    """Neither the service nor the workers talk to the API."""
    namespace = api.namespace("rights")
    helm(api, namespace, "install", values_of("production"))
    account = f"--as=system:serviceaccount:{namespace}:s2-s2cloud"
    told = api.kubectl("auth", "can-i", "--list", account, "--namespace", namespace, "--no-headers")
    pages = "api version healthz livez readyz openapi openid .well-known"
    told_of_all = ("selfsubject", *(f"[/{page}" for page in pages.split()))
    for line in told.splitlines():
        assert any(word in line for word in told_of_all), line
    for right in ("get secrets", "create pods", "list daskclusters", "get configmaps"):
        verb, what = right.split()
        told = api.kubectl("auth", "can-i", verb, what, account, "-n", namespace, check=False)
        assert told.startswith("no"), (right, told)

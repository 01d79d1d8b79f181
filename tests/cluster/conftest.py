"""A real Kubernetes API server for the time of the tests; see .ci/kubernetes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.service.brokers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
#: Objects of operators whose own schemas are not at hand here: accepted as they are.
FOREIGN = {
    "monitoring.coreos.com/v1": ("ServiceMonitor", "PodMonitor", "PrometheusRule"),
    "keda.sh/v1alpha1": ("ScaledObject",),
}


@dataclass(frozen=True)
class Api:
    """The server, as its administrator and others see it."""

    folder: Path
    url: str
    token: str

    def kubeconfig(self, token: str = "", namespace: str = "default") -> Path:
        """File for a client that shows a token."""
        path = self.folder / f"config-{token or 'admin'}-{namespace}"
        cluster = {"server": self.url, "certificate-authority": str(self.folder / "apiserver.crt")}
        values = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token or self.token}}],
            "contexts": [
                {"name": "x", "context": {"cluster": "c", "user": "u", "namespace": namespace}}
            ],
            "current-context": "x",
        }
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    def kubectl(self, *words: str, given: Any = None, check: bool = True) -> str:
        """What kubectl prints; both of its streams where it may fail."""
        program = shutil.which("kubectl")
        if program is None:
            pytest.skip("no kubectl")
        done = subprocess.run(  # noqa: S603
            [program, "--kubeconfig", str(self.kubeconfig()), *words],
            input=None if given is None else yaml.safe_dump_all(given),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr[-4000:]
        return done.stdout if check else done.stdout + done.stderr

    def get(self, *words: str) -> list[dict[str, Any]]:
        """Objects."""
        found = json.loads(self.kubectl("get", *words, "--output", "json"))
        return list(found.get("items", [found]))

    def namespace(self, name: str) -> str:
        """A new namespace that takes only pods without any privilege."""
        self.kubectl("create", "namespace", name)
        for mode in ("enforce", "warn"):
            label = f"pod-security.kubernetes.io/{mode}=restricted"
            self.kubectl("label", "namespace", name, label)
        # Made by a controller elsewhere.
        self.kubectl("--namespace", name, "create", "serviceaccount", "default")
        return name


@contextmanager
def running(words: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process for the time of the block."""
    with (
        log.open("wb") as out,
        subprocess.Popen(  # noqa: S603
            words, stdout=out, stderr=out, env=os.environ | environment
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def until(true: Any, within: float = 60.0, told: Any = lambda: "") -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, told() or "not within the time given"
        time.sleep(0.3)


def _programs() -> Path:
    script = str(ROOT / ".ci" / "kubernetes")
    found = subprocess.run(["/bin/bash", script], capture_output=True, text=True, check=False)  # noqa: S603
    if found.returncode:
        pytest.skip(found.stderr.strip())
    return Path(found.stdout.strip())


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server with role-based access control, admission, and the operators' resources."""
    programs = _programs()
    folder = tmp_path_factory.mktemp("kubernetes")
    client, peer, port = free_port(), free_port(), free_port()
    key = folder / "accounts.key"
    signer = rsa.generate_private_key(65537, 2048)
    key.write_bytes(
        signer.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    token = secrets.token_hex(16)
    accounts = "system:serviceaccounts,system:authenticated"
    (folder / "tokens").write_text(
        f"{token},admin,admin,system:masters\n"
        f'notebook,system:serviceaccount:notebooks:s2cloud,n,"{accounts}"\n',
        encoding="utf-8",
    )
    etcd = [
        str(programs / "etcd"),
        *("--data-dir", str(folder / "etcd"), "--unsafe-no-fsync"),
        *("--listen-client-urls", f"http://127.0.0.1:{client}"),
        *("--advertise-client-urls", f"http://127.0.0.1:{client}"),
        *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
    ]
    server = [
        str(programs / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{client}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        f"--token-auth-file={folder / 'tokens'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--enable-priority-and-fairness=false",
        # Never used, and asked for where there is no other network than the loopback.
        "--advertise-address=192.0.2.1",
    ]
    made = Api(folder, f"https://127.0.0.1:{port}", token)
    with ExitStack() as stack:
        stack.enter_context(running(etcd, folder / "etcd.log"))
        process = stack.enter_context(running(server, folder / "server.log"))

        def log() -> str:
            return (folder / "server.log").read_text(encoding="utf-8")[-3000:]

        def ready() -> bool:
            assert process.poll() is None, log()
            return made.kubectl("get", "--raw", "/readyz", check=False) == "ok"

        until(ready, 180, log)
        made.kubectl("apply", "--server-side", "--filename", "-", given=list(_resources()))
        for kind in ("daskclusters", "daskjobs", "servicemonitors", "scaledobjects"):
            until(lambda kind=kind: "NotFound" not in made.kubectl("get", kind, check=False))
        yield made


def _resources() -> Iterator[dict[str, Any]]:
    """Custom resources: those of the dask operator as it ships them."""
    pytest.importorskip("dask_kubernetes", reason="dask-kubernetes is not installed")
    folder = files("dask_kubernetes") / "operator/deployment/helm/dask-kubernetes-operator/crds"
    for name in ("daskcluster", "daskworkergroup", "daskjob", "daskautoscaler"):
        yield yaml.safe_load((folder / f"{name}.yaml").read_text())
    for version, kinds in FOREIGN.items():
        group, _, number = version.partition("/")
        for kind in kinds:
            plural = f"{kind.lower()}s"
            schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            yield {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{plural}.{group}"},
                "spec": {
                    "group": group,
                    "scope": "Namespaced",
                    "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                    "versions": [
                        {
                            "name": number,
                            "served": True,
                            "storage": True,
                            "schema": {"openAPIV3Schema": schema},
                        }
                    ],
                },
            }


@pytest.fixture(scope="session")
def operator(api: Api) -> Iterator[Path]:
    """The dask operator at work; its log."""
    module = "dask_kubernetes.operator.controller.controller"
    log = api.folder / "operator.log"
    words = [sys.executable, "-m", "kopf", "run", "-m", module, "--all-namespaces"]
    with running(words, log, KUBECONFIG=str(api.kubeconfig())):
        yield log

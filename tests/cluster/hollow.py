"""A node without containers: what a Deployment's pod would run is run as a process of this machine.

It stands in for the controllers of Deployments, the scheduler of Kubernetes and the kubelet, all
at once, so that what speaks to the API server and to pods can be tested with the server alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    from tests.cluster.conftest import Api


class HollowNode:
    """Runs the pods of Deployments in one namespace.

    Parameters
    ----------
    api
        The server.
    namespace
        Whose Deployments.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.faults: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)

    def _run(self) -> None:
        while not self._over.wait(0.5):
            for each in self.api.get("deployments", "--namespace", self.namespace):
                name = f"{each['metadata']['name']}-0"
                if name not in self.processes and not self.faults:
                    self._start(name, each["spec"]["template"])

    def _start(self, name: str, template: dict[str, Any]) -> None:
        metadata = {**template["metadata"], "name": name, "namespace": self.namespace}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        told = self.api.kubectl("create", "--filename", "-", given=[pod], check=False)
        if "created" not in told:
            self.faults.append(told)
            return
        (container,) = template["spec"]["containers"]
        variables = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
        words = [
            re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word)
            for word in [*container.get("command", []), *container["args"]]
        ]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with (self.api.folder / f"{self.namespace}-{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603
                words, stdout=log, stderr=log, env=os.environ | {"PATH": path} | variables
            )
        state = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": {"running": {}},
        }
        kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        status = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [{"type": kind, "status": "True"} for kind in kinds],
            "containerStatuses": [state],
        }
        words = ["patch", "pod", name, "--namespace", self.namespace, "--subresource=status"]
        self.api.kubectl(*words, "--type=merge", f"--patch={json.dumps({'status': status})}")

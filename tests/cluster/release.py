"""One step in the life of a release, as a program: Helm's library must not share a process.

    python release.py KUBECONFIG NAMESPACE install|upgrade|rollback|uninstall|history < values.json

Prints what Helm says of the release as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CHART = Path(__file__).parents[2] / "helm" / "s2cloud"
NAME = "s2"


def main(kubeconfig: str, namespace: str, step: str) -> None:
    """Do the step."""
    import helm_python as helm  # noqa: PLC0415

    config: Any = helm.Config(kubeconfig_path=kubeconfig, namespace=namespace)
    values = json.loads(sys.stdin.read() or "{}")
    chart = helm.Chart.load(str(CHART))
    if step == "install":
        told = config.install(chart, NAME, values, namespace=namespace, timeout=120)
    elif step == "upgrade":
        told = config.upgrade(chart, NAME, values, namespace=namespace, timeout=120)
    elif step == "rollback":
        told = config.rollback(NAME, version=1, timeout=120)
    elif step == "uninstall":
        told = config.uninstall(NAME, timeout=120)
    else:
        told = config.history(NAME)
    print(json.dumps(told, default=str))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])

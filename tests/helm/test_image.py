"""The image, run as a cluster runs it: user 1000, read-only root, no capabilities, no network.

``docker/check`` builds it and runs this. Containers of one test share a network of their own that
reaches nothing outside.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from s2cloud.model.version import VERSION
from tests.service.parts import ready_event

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
CONFINED = (
    *("--user", "1000:1000", "--read-only", "--tmpfs", "/tmp:size=2g"),  # noqa: S108
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)


@pytest.fixture(scope="module")
def image() -> str:
    found = os.environ.get("S2CLOUD_IMAGE", "")
    if not found:
        pytest.skip("no S2CLOUD_IMAGE: docker/check builds the image and runs this")
    return found


def docker(*words: str, check: bool = True) -> str:
    """What a command of docker prints."""
    program = shutil.which("docker") or "docker"
    done = subprocess.run(  # noqa: S603
        [program, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or not check, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout if check else f"{done.returncode} {done.stdout} {done.stderr}"


def run(image: str, *words: str, check: bool = True, memory: str = "3g") -> str:
    """What a command in a container of its own prints."""
    options = (*CONFINED, "--network", "none", "--memory", memory)
    return docker("run", "--rm", *options, image, *words, check=check)


@contextmanager
def container(image: str, *words: str, options: tuple[str, ...]) -> Iterator[str]:
    """Name of a container that runs until the end of the block."""
    name = docker("run", "--detach", *CONFINED, *options, image, *words).strip()
    try:
        yield name
    finally:
        docker("rm", "--force", name, check=False)


def rendered(**values: Any) -> list[dict[str, Any]]:
    """Objects of the chart in its profile for one machine."""
    helm = pytest.importorskip("helm_python", reason="helm-python-sdk is not installed")
    profile = yaml.safe_load((ROOT / "helm/s2cloud/values-local.yaml").read_text())
    config = {
        "sources": [{"url": "/data/l1c"}],
        "destination": {"url": "/data/l2a"},
        "formats": ["cog"],
        **profile.pop("config"),
    }
    texts = helm.Chart.load(str(ROOT / "helm/s2cloud")).render(
        {**profile, "config": config, **values}, name="s2", namespace="eo"
    )
    return [
        each
        for name, text in texts.items()
        if not name.endswith("NOTES.txt")
        for each in yaml.safe_load_all(text)
        if each
    ]


def the_container(objects: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Container of that name in the pods of the chart."""
    for each in objects:
        spec = each.get("spec", {})
        for pod in (spec, spec.get("template", {}).get("spec", {})):
            for found in pod.get("containers", []):
                if found["name"] == name:
                    return dict(found)
    raise AssertionError(name)


def environment(found: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        word for each in found["env"] for word in ("--env", f"{each['name']}={each['value']}")
    )


def test_it_runs_as_a_user_of_its_own_and_writes_only_where_it_may(image: str):
    assert run(image, "s2cloud", "--version").split()[-1] == VERSION
    assert run(image, "python", "-c", "import getpass; print(getpass.getuser())") == "s2cloud\n"
    assert run(image, "id", "-u") == "1000\n"
    for place in ("/opt/s2cloud/x", "/home/s2cloud/x", "/x"):
        assert "Read-only file system" in run(image, "sh", "-c", f"touch {place}", check=False)
    assert docker("image", "inspect", "-f", "{{.Config.User}}", image).strip() == "1000:1000"


@pytest.mark.parametrize("name", ["dask-scheduler", "dask-worker"])
def test_commands_that_operators_still_call_are_there(image: str, name: str):
    assert "--version" in run(image, name, "--help")


def test_what_is_in_it_is_told_and_is_what_was_pinned(image: str):
    told = json.loads(run(image, "cat", "/opt/s2cloud/sbom.cdx.json"))
    assert told["bomFormat"] == "CycloneDX"
    inside = {each["name"].lower(): each["version"] for each in told["components"]}
    lock = (ROOT / "docker" / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z0-9,-]+\])?==(\S+)", lock, re.MULTILINE))
    assert len(pinned) > 100
    wrong = {
        name: (version, inside.get(name, "absent"))
        for name, version in pinned.items()
        if inside.get(name, "absent") not in {version, "absent"}
    }
    assert wrong == {}
    assert {"numpy", "rasterio", "dask", "aiohttp"} <= inside.keys()


def test_the_test_of_the_chart_passes_and_compiles_nothing(image: str):
    """The very command of `helm test`, in the memory that the chart gives it."""
    found = the_container(rendered(), "process")
    memory = found["resources"]["limits"]["memory"].replace("Gi", "g")
    shell, flags, script = found["args"]
    script += "\ndiff -r /opt/s2cloud/numba $NUMBA_CACHE_DIR && echo nothing was compiled"
    told = run(image, shell, flags, script, memory=memory)
    assert "nothing was compiled" in told


def test_service_scheduler_and_worker_of_the_chart_make_a_product(image: str, tmp_path: Path):
    """Their very commands and settings; the network is one loopback that they share."""
    objects = rendered()
    settings = tmp_path / "settings"
    settings.mkdir()
    (config,) = [o for o in objects if o["metadata"]["name"].endswith("-settings")]
    (settings / "settings.yaml").write_text(config["data"]["settings.yaml"], encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    (settings / "settings.yaml").chmod(0o644)
    for folder in (settings, tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    volumes = ("--volume", f"{data}:/data")
    docker("run", "--rm", *CONFINED, "--network", "none", *volumes, image,
           "s2cloud", "simulate", "/data/l1c", "--size", "96")  # fmt: skip
    (product,) = (data / "l1c").glob("*.SAFE")
    parts = {name: the_container(objects, name) for name in ("scheduler", "worker", "serve")}
    alone = ("--network", "none", "--add-host", "s2-s2cloud-dask-scheduler:127.0.0.1")
    with ExitStack() as stack:

        def start(name: str, *options: str) -> str:
            variables = environment(parts[name])
            args = parts[name]["args"]
            return stack.enter_context(container(image, *args, options=(*options, *variables)))

        beside = ("--network", f"container:{start('scheduler', *alone)}", *volumes)
        start("worker", *beside)
        serve = start("serve", *beside, "--volume", f"{settings}:/etc/s2cloud/settings:ro")

        def get(path: str, body: str = "") -> str:
            code = (
                "import sys, urllib.request as u; "
                "print(u.urlopen('http://127.0.0.1:8080' + sys.argv[1], "
                "sys.argv[2].encode() or None).read().decode())"
            )
            return docker("exec", serve, "python", "-c", code, path, body, check=False)

        def until(path: str, words: str, within: float) -> None:
            deadline = time.monotonic() + within
            while words not in (told := get(path)):
                assert time.monotonic() < deadline, told[-500:] + docker("logs", serve)[-3000:]
                time.sleep(1.0)

        until("/healthz", "ok", 120)
        until("/readyz", "ok", 120)
        event = json.dumps(ready_event(f"/data/l1c/{product.name}/manifest.safe"))
        assert '"new"' in get("/events", event)
        until("/jobs", '"state": "done"', 300)
        docker("stop", "--time", "60", serve)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", serve).strip() == "0"
    (made,) = [path for path in (data / "l2a").iterdir() if path.name.startswith("S2A")]
    assert (made / "receipt.json").stat().st_uid == 1000

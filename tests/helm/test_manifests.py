"""The plain manifests, and what the image is made of."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from s2cloud.cli.app import cli
from s2cloud.model.version import VERSION
from tests.helm.crds import closed

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="not installed")
jsonschema = pytest.importorskip("jsonschema", reason="not installed")

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "k8s"


def documents(name):
    return [each for each in yaml.safe_load_all((MANIFESTS / name).read_text()) if each]


@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_kubernetes_accepts_the_job(version):
    (job,) = documents("job.yaml")
    kubernetes_validate.validate(job, version, strict=True)


@pytest.mark.parametrize("name", ["daskcluster", "daskjob"])
def test_the_dask_operator_accepts_its_objects(name):
    pytest.importorskip("dask_kubernetes", reason="dask-kubernetes is not installed")
    folder = files("dask_kubernetes") / "operator/deployment/helm/dask-kubernetes-operator/crds"
    crd = yaml.safe_load((folder / f"{name}.yaml").read_text())
    (found,) = documents(f"{name}.yaml")
    jsonschema.validate(found, closed(crd))


def containers(node):
    if isinstance(node, dict):
        yield from node.get("containers", [])
        for each in node.values():
            yield from containers(each)
    elif isinstance(node, list):
        for each in node:
            yield from containers(each)


@pytest.mark.parametrize("name", ["job", "daskcluster", "daskjob"])
def test_pods_are_confined_and_run_this_version(name):
    found = list(containers(documents(f"{name}.yaml")))
    assert found
    for container in found:
        assert container["image"] == f"s2cloud:{VERSION}"
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        command, *rest = container["args"]
        assert command == "dask" or (command == "s2cloud" and rest[0] in cli.commands)


def test_everything_that_is_applied_exists():
    (kustomization,) = documents("kustomization.yaml")
    listed = kustomization["resources"] + kustomization["configurations"]
    assert all((MANIFESTS / name).is_file() for name in listed)


def test_the_image_is_pinned_to_what_the_package_needs():
    lock = (ROOT / "docker" / "requirements.lock").read_text()
    pinned = set(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z0-9,-]+\])?==", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^A-Za-z0-9_.-]", each)[0] for each in project["dependencies"]}
    assert {name.lower().replace("_", "-") for name in needed} <= pinned
    assert lock.count("--hash=sha256:") > len(pinned)


def test_the_image_holds_what_the_dockerfile_copies():
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    assert copied
    for line in copied:
        assert all((ROOT / name).exists() for name in line.split())

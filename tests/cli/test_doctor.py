"""The doctor finds what would fail, says the fix, and exits as the failing command would."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from s2cloud.model.errors import InputError
from s2cloud.scheduling import doctor


def findings(out):
    return {check["name"]: check for check in json.loads(out)["checks"]}


def test_a_machine_that_can_run_the_tests_is_well(run, tmp_path, bucket):
    words = [f"--storage-option={key}={value}" for key, value in bucket.items()]
    code, out, err = run(
        *("doctor", "--write", "s3://test/l2a", "--write", tmp_path, "--read", "s3://test/"),
        *(word for word in words if "client_kwargs" not in word),
        "--json",
    )
    found = findings(out)
    assert (code, json.loads(out)["ok"]) == (0, True), err
    assert "openjpeg" in found["JPEG 2000"]["found"]
    assert found["library numba"]["found"] == metadata.version("numba")
    assert found["write s3://test/l2a"]["found"] == "written, read and removed"
    # What was written is gone.
    assert found["read s3://test/"]["state"] == "warning"
    assert not list(tmp_path.iterdir())
    assert {"table continental", "memory", "cores", "disk", "GDAL"} <= set(found)


def test_what_fails_is_told_with_its_fix_and_exit_code(run, monkeypatch, bucket):
    monkeypatch.setattr(doctor, "MEMORY_LIMIT", 5e8)
    words = ("--storage-option", f"endpoint_url={bucket['endpoint_url']}")
    code, out, _ = run("doctor", "--write", "s3://no-such-bucket/x", *words)
    assert code != 0
    lines = out.splitlines()
    assert any(line.startswith("failure  memory: 0.5 GB") for line in lines)
    assert any(line.startswith("failure  write s3://no-such-bucket/x") for line in lines)
    assert sum(line.startswith("         Fix: ") for line in lines) >= 2
    assert not any("library" in line for line in lines)


def test_a_library_that_is_missing_or_too_old(run, monkeypatch):
    genuine = metadata.version

    def version(name):
        if name == "zarr":
            return "2.1"
        if name == "scipy":
            raise metadata.PackageNotFoundError(name)
        return genuine(name)

    monkeypatch.setattr(metadata, "version", version)
    code, out, _ = run("doctor")
    assert code == 2
    failures = [line for line in out.splitlines() if line.startswith("failure")]
    assert failures == ["failure  library scipy: missing", "failure  library zarr: 2.1"]
    assert "Fix: pip install 'zarr>=" in out


def test_a_damaged_table_and_a_broken_library(run, monkeypatch):
    def load(sensor, name):
        raise InputError("damaged", where=name, fix="install s2cloud again")

    def gdal():
        raise ImportError("libgdal.so.36: cannot open shared object file")

    monkeypatch.setattr("s2cloud.physics.lut.load", load)
    monkeypatch.setattr(doctor, "_gdal", gdal)
    code, out, _ = run("doctor", "--json")
    found = findings(out)
    assert code == 3
    assert found["table desert"]["fix"] == "install s2cloud again"
    assert "libgdal.so.36" in found["GDAL"]["found"]
    assert found["GDAL"]["exit_code"] == 2


@pytest.mark.parametrize("variable", ["S2CLOUD_AEROSOL__MODEL"])
def test_an_impossible_option_in_the_environment(run, monkeypatch, variable):
    monkeypatch.setenv(variable, "lunar")
    code, out, _ = run("doctor")
    assert code == 2
    assert f"failure  options: configuration is not valid: environment (found {variable}" in out


def test_compiled_code_that_cannot_be_kept(run, monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    code, out, _ = run("doctor")
    assert code == 2
    assert "failure  compiled code: cannot be kept: [Errno 13]" in out
    assert "Fix: set NUMBA_CACHE_DIR" in out

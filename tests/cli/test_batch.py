"""`batch`, `plan` and `simulate-schedule` from the command line."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from s2cloud.simulation import simulate_l1c


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("many")
    for tile in ("32TQM", "32TQL"):
        simulate_l1c(found, size=96, tile=tile)
    return found


def test_a_folder_is_made_once_and_found_then(run, folder, tmp_path):
    run_file = tmp_path / "run.json"
    words = ["batch", f"{folder}/", tmp_path / "l2a", "--format", "cog", "--run-file", run_file]
    code, out, err = run(*words, "--workers", "2", "--strategy", "longest")
    assert code == 0, err
    assert out.count("done ") == 2
    assert len(list((tmp_path / "l2a").glob("*/receipt.json"))) == 2
    assert "100 % (2 done)" in err
    code, out, err = run(*words, "--json")
    assert code == 0, err
    assert [each["state"] for each in json.loads(out)["products"]] == ["found", "found"]
    code, out, err = run("plan", f"{folder}/", "--fit", run_file, "--json")
    assert code == 0, err
    assert json.loads(out)["model_products"] == 2
    assert json.loads(out)["error"]["cpu_s"]["products"] == 2
    assert "mean error" in err


def test_what_fails_is_told_and_the_rest_is_made(run, folder, tmp_path, monkeypatch):
    (good, _) = sorted(str(path) for path in folder.glob("*.SAFE"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"# two\n{good}\n{tmp_path}/none.SAFE\n"))
    code, out, err = run("batch", "-", tmp_path / "l2a", "--format", "cog")
    assert code == 6
    assert "failed: none.SAFE" in err
    assert out.count("done ") == 1
    assert out.count("failed ") == 1


def test_a_plan_tells_area_cost_and_what_does_not_fit(run, folder, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text("core_hour: 3600\nget_1000: 0\nput_1000: 0\ngb_month: 0\n")
    code, out, err = run("plan", f"{folder}/", "--threads", "2", "--prices", prices, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["blocks"] == 2
    assert found["area_km2"] == pytest.approx(2 * 0.96**2)
    assert found["cost"] == pytest.approx(2 * found["wall_s"])
    code, out, _ = run("plan", f"{folder}/", "--memory", "10MiB")
    assert code == 5
    assert "does not fit" in out
    prices.write_text("core_hours: 1\n")
    code, _, err = run("plan", f"{folder}/", "--prices", prices)
    assert code == 3
    assert "core_hours" in err


def test_strategies_are_compared_and_drawn(run, tmp_path):
    picture = tmp_path / "day.png"
    words = ("--tiles", "200", "--strategy", "fifo", "--strategy", "priority", "--workers", "1")
    code, out, err = run("simulate-schedule", *words, "--plot", picture)
    assert code == 0, err
    assert [line.split(" | ")[0] for line in out.splitlines()[2:]] == ["| fifo", "| priority"]
    assert picture.stat().st_size > 1000
    code, _, err = run("simulate-schedule", "--strategy", "astrology")
    assert code == 2
    assert "unknown strategy" in err


def test_no_products_is_a_usage_error(run, tmp_path):
    code, _, err = run("batch", tmp_path / "l2a")
    assert code == 2
    assert "no products" in err
    (tmp_path / "empty").mkdir()
    code, _, err = run("batch", f"{tmp_path}/empty/", tmp_path / "l2a")
    assert code == 3
    assert "no product in the folder" in err


def test_told_to_stop_it_ends_what_runs_and_goes_on_at_the_next_start(run, folder, tmp_path):
    out, run_file = tmp_path / "l2a", tmp_path / "run.json"
    words = ["batch", f"{folder}/", str(out), "--format", "cog", "--run-file", str(run_file)]
    process = subprocess.Popen(  # noqa: S603  # our own words
        [sys.executable, "-m", "s2cloud", *words, "--in-flight", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(out.glob("*/*.tif")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    printed, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "1 products are left" in err
    assert printed.count("done ") == 1
    code, printed, err = run(*words)
    assert code == 0, err
    assert printed.count("found ") == 1
    assert printed.count("done ") == 1

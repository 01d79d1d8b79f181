"""A strategy of another package, installed beside s2cloud: found, tested by the contract, used."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

MODULE = """
from s2cloud.scheduling.strategies import Placement


class NorthFirst:
    name = "north-first"

    def place(self, waiting, cluster):
        for request in sorted(waiting, key=lambda r: (r.tile[2:3], r.key), reverse=True):
            yield Placement(request.key)


class Twice(NorthFirst):
    name = "twice"

    def place(self, waiting, cluster):
        for request in waiting:
            yield Placement(request.key)
            yield Placement(request.key)
"""
TESTS = """
from north_first import NorthFirst, Twice
from s2cloud.testing import StrategyContract


class TestNorthFirst(StrategyContract):
    def strategy(self):
        return NorthFirst()


class TestTwice(StrategyContract):
    def strategy(self):
        return Twice()
"""
METADATA = "Metadata-Version: 2.1\nName: north-first\nVersion: 1.0\n"
POINTS = "[s2cloud.strategies]\nnorth-first = north_first:NorthFirst\n"


@pytest.fixture
def python(tmp_path):
    """Runs Python where the other package is installed."""
    site = tmp_path / "site"
    info = site / "north_first-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "north_first.py").write_text(MODULE)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "test_north_first.py").write_text(TESTS)

    def run(*words):
        return subprocess.run(  # noqa: S603  # our own words
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": str(site)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    return run


def test_it_is_chosen_by_name_on_the_command_line(python):
    words = ("simulate-schedule", "--tiles", "20", "--strategy", "north-first", "--json")
    done = python("-m", "s2cloud", *words)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["strategy"], row["products"]) == ("north-first", 20)


def test_the_contract_passes_what_is_right_and_finds_what_is_wrong(python):
    some = ("-k", "NorthFirst or at_most_once")
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *some, "test_north_first.py")
    assert "TestTwice::test_each_product_is_placed_at_most_once" in done.stdout
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert failed
    assert all("TestTwice" in line for line in failed)
    assert "passed" in done.stdout

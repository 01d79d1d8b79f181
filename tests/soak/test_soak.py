"""The short form of the soak: a few kills, faults and damaged inputs, always the same ones.

`make soak` does a hundred kills and three thousand inputs. All of it runs in one process that is
warmed once and forked from, apart from this one, which has threads.
"""

from __future__ import annotations

import logging
import multiprocessing
import traceback
from pathlib import Path
from typing import Any

import pytest

from tests.soak import faults, inputs, kills, product_runs
from tests.soak.servers import served

#: Half a minute on an idle machine, all of it in the first of these tests.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def soaked(small_safe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("soak")
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_all, args=(small_safe.uri, str(folder), theirs)
    )
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    finally:
        process.join(120)
    assert isinstance(found, dict), found
    return found


def _all(safe, text, answer):
    logging.disable(logging.CRITICAL)
    folder = Path(text)
    try:
        product_runs.warm(safe, folder / "warm")
        found: dict[str, Any] = {}
        found["disk"] = kills.soak("disk", safe, str(folder / "out"), {}, rounds=1, seed=1)
        with served(folder / "s3") as server:
            upload = product_runs.FORK.Process(target=faults.upload, args=(server, safe))
            upload.start()
            upload.join()
            found["s3"] = kills.soak(
                "s3",
                safe,
                "s3://soak/o",
                server.options,
                rounds=1,
                seed=1,
                folder_of_store=server.path("soak/o"),
            )
            # A restarted moto has forgotten everything.
            kinds = ["all", "restart"] if server.program else ["all"]
            source = f"s3://soak/in/{Path(safe).name}"
            for result in faults.soak(server, source, kinds, runs=1, rate=0.1, seed=1):
                found[result.kind] = result
        found["inputs"] = inputs.soak(folder / "inputs", cases=40, seed=1, products_every=40)
    except BaseException:
        answer.send(traceback.format_exc())
        raise
    answer.send(found)


@pytest.mark.parametrize(("kind", "rounds"), [("disk", 1), ("s3", 1)])
def test_a_killed_run_is_completed_to_the_bit(soaked, kind, rounds):
    found = soaked[kind]
    assert found.faults == []
    assert (found.rounds, found.committed) == (rounds, rounds)


@pytest.mark.parametrize("kind", ["all", "restart"])
def test_a_store_that_breaks_changes_no_pixel(soaked, kind):
    if kind not in soaked:
        pytest.skip("no versitygw, and moto keeps nothing over a restart: run .ci/versitygw")
    found = soaked[kind]
    assert found.faults == []
    assert (found.runs, found.equal) == (1, 1)
    assert found.injected > 0


def test_damaged_inputs_end_well(soaked):
    found = soaked["inputs"]
    assert found.faults == []
    assert found.cases == found.errors + found.products == 40

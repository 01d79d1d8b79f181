"""Run a product through a store that breaks, and compare with a run through a sound one."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2cloud.io.stores import open_store
from s2cloud.scheduling.jobs import Job
from tests.soak import product_runs
from tests.soak.proxy import broken, faults_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.soak.servers import S3Server


@dataclass
class Faults:
    """Result of some runs under one kind of fault."""

    kind: str
    runs: int = 0
    equal: int = 0
    seconds: float = 0.0
    injected: int = 0
    again: int = 0
    faults: list[str] = field(default_factory=list)


def upload(server: S3Server, safe: str) -> str:
    """Address of a product in the bucket."""
    root = Path(safe)
    address = f"s3://soak/in/{root.name}"
    store = open_store(address, server.options)
    for path in sorted(root.rglob("*")):
        if path.is_file():
            store.put_file(path, path.relative_to(root).as_posix())
    return address


def soak(
    server: S3Server, source: str, kinds: Sequence[str], *, runs: int, rate: float, seed: int
) -> list[Faults]:
    """Runs under each kind of fault: those of the proxy, ``all``, or ``restart``.

    Notes
    -----
    A run that gives up with an error of its own is started again, as an operator would, up to
    three times; what it left is taken over. Nothing else may differ from a run without faults.
    Uploading the product must happen in another process than this, which is forked from.
    """
    name = Path(source).name.removesuffix(".SAFE").replace("MSIL1C", "MSIL2A")
    whole = product_runs.run(_job(source, "s3://soak/whole", server.options))
    if whole.error:
        raise RuntimeError(whole.error)

    def at(folder: str) -> tuple[str, dict[str, Any]]:
        local = server.path(f"soak/{folder}/{name}")
        return (local, {}) if local else (f"s3://soak/{folder}/{name}", server.options)

    expected = product_runs.content(*at("whole"))
    results = []
    for kind in kinds:
        result = Faults(kind)
        for number in range(runs):
            folder = f"s3://soak/{kind}{number}"
            if kind == "restart":
                _with_restart(server, source, folder, result, whole.seconds, seed + number)
            else:
                with broken(server.port, kind, rate, seed + number) as endpoint:
                    options = {**server.options, "endpoint_url": endpoint}
                    _until_done(source, folder, options, result)
                    result.injected += sum(faults_of(endpoint).values())
            found = product_runs.flaws(*at(f"{kind}{number}"))
            result.faults += [f"{kind} {number}: {text}" for text in found]
            after = product_runs.content(*at(f"{kind}{number}"))
            if after == expected:
                result.equal += 1
            else:
                names = {k for k in {*after, *expected} if after.get(k) != expected.get(k)}
                result.faults.append(f"{kind} {number}: other content: {sorted(names)[:4]}")
            result.runs += 1
        results.append(result)
    return results


def _job(source: str, folder: str, options: dict[str, Any]) -> Job:
    return Job(source, folder, source_options=options, destination_options=options)


def _until_done(source: str, folder: str, options: dict[str, Any], result: Faults) -> None:
    for _ in range(4):
        ended = product_runs.run(_job(source, folder, options))
        result.seconds += ended.seconds
        if not ended.error:
            return
        result.again += 1
        if not ended.error.startswith("UnavailableError"):
            break
    result.faults.append(f"{folder}: {ended.error}")


def _with_restart(
    server: S3Server, source: str, folder: str, result: Faults, usual: float, seed: int
) -> None:
    """The server is killed at a random moment and comes back after one to three seconds."""
    dice = random.Random(seed)  # noqa: S311
    moment, pause = dice.uniform(0.1, 0.9) * usual, dice.uniform(1.0, 3.0)

    def restart() -> None:
        time.sleep(moment)
        server.kill()
        time.sleep(pause)
        server.start()

    thread = threading.Thread(target=restart)
    thread.start()
    _until_done(source, folder, server.options, result)
    thread.join()
    result.injected += 1

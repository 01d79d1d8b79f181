"""Kill a run at random moments, run it again, and compare with a run that nobody disturbed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url
from s2cloud.scheduling.jobs import Job
from tests.soak import product_runs

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Kills:
    """Result of many kills in one kind of store."""

    place: str
    seconds: float
    rounds: int = 0
    killed: int = 0
    committed: int = 0
    resumed_runs: int = 0
    resumed_parts: int = 0
    faults: list[str] = field(default_factory=list)


def soak(
    place: str,
    source: str,
    destination: str,
    options: dict[str, Any],
    *,
    rounds: int,
    seed: int,
    formats: Sequence[Any] = ("cog", "zarr"),
    folder_of_store: str = "",
) -> Kills:
    """Kill as many runs; every second round is killed twice, at another moment.

    Parameters
    ----------
    place
        Name of the kind of store.
    source
        Product, reached with the same options as the destination.
    destination
        Empty folder.
    options
        Of the store.
    rounds, seed
        Number of rounds and start of the random numbers.
    formats
        To write.
    folder_of_store
        Where the server of a store keeps the destination on this disk: looking there is quicker.
    """
    seen = (folder_of_store or destination, {} if folder_of_store else options)
    moments = random.Random(f"{place} {seed}")  # noqa: S311
    source_options = options if "://" in source else {}
    name = Path(source).name.removesuffix(".SAFE").replace("MSIL1C", "MSIL2A")

    def job(folder: str) -> Job:
        return Job(
            source,
            folder,
            formats=tuple(formats),
            source_options=source_options,
            destination_options=options,
        )

    def product(folder: str) -> str:
        return join_url(folder, name)

    whole = join_url(destination, "whole")
    # The first run of a process pays for connections and caches; the second tells the time.
    for _ in range(2):
        open_store(destination, options).delete("whole")
        first = product_runs.run(job(whole))
        if first.error:
            raise RuntimeError(first.error)

    def at(folder: str) -> tuple[str, dict[str, Any]]:
        return product(join_url(seen[0], folder)), seen[1]

    expected = product_runs.content(*at("whole"))
    result = Kills(place, first.seconds)
    seconds = first.seconds
    for number in range(rounds):
        folder = join_url(destination, f"r{number}")
        for _ in range(1 + number % 2):
            ended = product_runs.run(job(folder), kill_after=moments.uniform(0.0, seconds))
            result.killed += ended.killed
            if not ended.killed:
                # The machine has become quicker: later moments would come after the end, too.
                seconds = min(seconds, ended.seconds)
            found = product_runs.flaws(*at(f"r{number}"))
            result.faults += [f"round {number}, after the kill: {text}" for text in found]
        again = product_runs.run(job(folder))
        if again.error:
            result.faults.append(f"round {number}, run again: {again.error}")
        result.resumed_runs += again.resumed > 0
        result.resumed_parts += again.resumed
        after = product_runs.content(*at(f"r{number}"))
        result.committed += not again.error and after == expected
        if after != expected:
            names = {k for k in {*after, *expected} if after.get(k) != expected.get(k)}
            result.faults.append(f"round {number}: other content: {sorted(names)[:4]}")
        open_store(destination, options).delete(f"r{number}")
        result.rounds += 1
    return result

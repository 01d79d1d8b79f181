"""What arrives when: made days of Sentinel-2, and recorded batches."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url
from s2cloud.model.errors import InputError, UsageError
from s2cloud.scheduling.costs import FULL_TILE_MPX, CostModel
from s2cloud.scheduling.strategies.model import Cost, Request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

__all__ = ["constellation_day", "read_trace", "replay_of"]

DAY_S: Final = 86400.0
#: 143 orbits in the ten days after which the ground track repeats. [s]
ORBIT_S: Final = 10 * DAY_S / 143
#: Sensing to Level-1C: downlink to one of the ground stations and production of the datastrip;
#: median and spread (of the logarithm). [h]
DELAY_H: Final = (2.5, 0.35)
#: The tiles of a datastrip come out of production within so long. [s]
BURST_S: Final = 900.0
#: Share of tiles that the edge of the swath cuts.
CUT_TILES: Final = 0.35
_BANDS: Final = "CDEFGHJKLMNPQRSTUVWX"


def constellation_day(
    tiles: int = 15000,
    *,
    satellites: int = 3,
    urgent: float = 0.1,
    reprocessing: int = 0,
    model: CostModel | None = None,
    seed: int = 1,
) -> list[Request]:
    """Level-1C tiles as a day of Sentinel-2A, B and C brings them.

    Parameters
    ----------
    tiles
        Tiles acquired, all satellites together.
    satellites
        1 to 3; equally spaced along the orbit.
    urgent
        Share of tiles asked for in near-real time: due half an hour after they arrive, priority
        10, of the owner ``nrt``. The others are due after six hours, of the owner ``routine``.
    reprocessing
        Further tiles that wait from the start without a deadline, of the owner ``archive``.
    model
        Cost model.
    seed
        The same seed, the same day.

    Returns
    -------
    list of Request
        In the order of arrival, seconds after the first midnight; production takes hours, so the
        last tiles arrive on the next day.

    Notes
    -----
    A satellite makes 14.3 orbits a day. What it sees of land differs between orbits, by a gamma
    law here, and is downlinked and produced datastrip by datastrip, so tiles arrive in bursts of
    tens to hundreds rather than one by one.
    """
    if tiles < 1 or not 1 <= satellites <= 3 or not 0 <= urgent <= 1 or reprocessing < 0:
        raise UsageError(
            "no such day",
            expected="1 tile or more, 1 to 3 satellites, a share of 0 to 1",
            found=f"{tiles} tiles, {satellites} satellites, {urgent} urgent",
        )
    rng = np.random.default_rng(seed)
    chosen = model or CostModel()
    starts, sizes = _datastrips(rng, tiles, satellites)
    requests = []
    for strip, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        ready = start + 3600.0 * DELAY_H[0] * math.exp(rng.normal(0.0, DELAY_H[1]))
        zone = int(rng.integers(1, 61))
        for number in range(size):
            arrived = ready + float(rng.uniform(0.0, BURST_S))
            is_urgent = bool(rng.random() < urgent)
            requests.append(
                Request(
                    key=f"{strip:03d}-{number:04d}",
                    cost=_cost(rng, chosen),
                    arrived=arrived,
                    deadline=arrived + (1800.0 if is_urgent else 6 * 3600.0),
                    priority=10 if is_urgent else 0,
                    owner="nrt" if is_urgent else "routine",
                    tile=f"{zone:02d}{_BANDS[number // 8 % len(_BANDS)]}{number % 8}",
                    date=f"strip-{strip:03d}",
                )
            )
    requests += [
        Request(
            key=f"archive-{number:05d}",
            cost=_cost(rng, chosen),
            arrived=0.0,
            owner="archive",
            tile=f"A{number // 50:04d}",
            date=f"archive-{number % 50:02d}",
            priority=-1,
        )
        for number in range(reprocessing)
    ]
    return sorted(requests, key=lambda request: (request.arrived, request.key))


def _datastrips(
    rng: np.random.Generator, tiles: int, satellites: int
) -> tuple[list[float], list[int]]:
    """Start and number of tiles of each datastrip: one per half orbit in daylight."""
    orbits = math.ceil(DAY_S / ORBIT_S)
    starts = [
        ORBIT_S * (orbit + satellite / satellites)
        for satellite in range(satellites)
        for orbit in range(orbits)
        if ORBIT_S * (orbit + satellite / satellites) < DAY_S
    ]
    shares: npt.NDArray[Any] = rng.gamma(2.0, size=len(starts))
    sizes = np.floor(tiles * shares / shares.sum()).astype(int)
    sizes[int(np.argmax(sizes))] += tiles - int(sizes.sum())
    return starts, [int(size) for size in sizes]


def _cost(rng: np.random.Generator, model: CostModel) -> Cost:
    part = float(rng.uniform(0.05, 1.0)) if rng.random() < CUT_TILES else 1.0
    return model.cost(FULL_TILE_MPX * part)


def replay_of(values: Mapping[str, Any]) -> list[Request]:
    """Trace of a recorded batch: what arrived, with what it really took.

    Parameters
    ----------
    values
        Content of a run file.
    """
    return [
        Request(
            key=str(each["key"]),
            cost=Cost(
                blocks=max(1, int(each["blocks"])),
                # Threads are taken by what they wait for as well as by what they do.
                cpu_s=float(each["task_s"]) + float(each.get("dispatch_s", 0.0)),
                serial_s=float(each["serial_s"]),
                memory_bytes=int(each["memory_bytes"]),
                bytes_written=int(each["bytes_written"]),
            ),
            arrived=float(each["arrived"]),
            deadline=math.inf if each["deadline"] is None else float(each["deadline"]),
            priority=int(each["priority"]),
            owner=str(each["owner"]),
            tile=str(each["tile"]),
            date=str(each["date"]),
        )
        for each in values["products"]
        if each["state"] == "done" and each["task_s"] > 0
    ]


def read_trace(
    address: str, storage_options: Mapping[str, Any] | None = None
) -> tuple[list[Request], Mapping[str, Any]]:
    """Trace of a run file, and its content.

    Raises
    ------
    InputError
        If the file is none, or no product of it was made.
    """
    folder, name = parent_url(address)
    text = open_store(folder, storage_options).read(name)
    try:
        values = json.loads(text)
        requests: Sequence[Request] = replay_of(values)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "not a run file",
            where=address,
            expected="a file written by s2cloud batch --run-file",
            found=f"{type(error).__name__} {error}",
        ) from error
    if not requests:
        raise InputError(
            "run file without a product that was made",
            where=address,
            expected="state done, with seconds of tasks",
            fix="record a batch that makes its products rather than finding them",
        )
    return list(requests), values

"""What a batch will take and cost, before anything runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import yaml

from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url
from s2cloud.model.errors import InputError
from s2cloud.scheduling.admission import Limits, fits_at_all
from s2cloud.scheduling.costs import CostModel
from s2cloud.scheduling.projection import Projection, project
from s2cloud.scheduling.simulator import Pool, Weather, simulate
from s2cloud.scheduling.strategies import WorkerState, strategy
from s2cloud.scheduling.strategies.model import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from s2cloud.scheduling.jobs import Job

__all__ = ["Plan", "Prices", "plan"]

#: Requests to an object store per product, measured on a full tile (``docs/performance.md``).
_GETS: Final = 700
_PUTS: Final = 60
_GB: Final = 1e9
#: Area of 10 m pixels. [km2 per 1e6]
_KM2_PER_MPX: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What things cost, in any currency.

    Attributes
    ----------
    core_hour, spot_core_hour
        One core for an hour, memory included.
    gb_read, gb_written
        Transfer. [per 1e9 byte]
    get_1000, put_1000
        Requests to the object store. [per 1000]
    gb_month
        Storage of what is written, first month. [per 1e9 byte]
    """

    core_hour: float = 0.04
    spot_core_hour: float = 0.015
    gb_read: float = 0.0
    gb_written: float = 0.0
    get_1000: float = 0.0004
    put_1000: float = 0.005
    gb_month: float = 0.023

    @classmethod
    def read(cls, address: str, storage_options: Mapping[str, Any] | None = None) -> Prices:
        """Prices from a YAML or JSON file.

        Raises
        ------
        InputError
            If a name is unknown or a value is no number.
        """
        folder, name = parent_url(address)
        text = open_store(folder, storage_options).read(name)
        known = {each.name for each in fields(cls)}
        try:
            values = yaml.safe_load(text)
            return cls(**{str(key): float(value) for key, value in values.items()})
        except (yaml.YAMLError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                "not a price table",
                where=address,
                expected=f"numbers for any of {', '.join(sorted(known))}",
                found=str(error)[:200],
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a batch will take.

    Attributes
    ----------
    products
        One projection per product.
    unsuitable
        Address and reason of what cannot be opened.
    oversized
        Names of products that do not fit into the cluster.
    blocks, bytes_read, bytes_written, cpu_s
        Sums. [1], [byte], [byte], [s]
    memory_bytes
        Peak of the largest product. [byte]
    wall_s
        On the cluster given, simulated. [s]
    area_km2
        [km2]
    cost, cost_per_1000_km2
        In the currency of the prices.
    model_products
        Number of products that the cost model was fitted from.
    """

    products: tuple[Projection, ...]
    unsuitable: tuple[tuple[str, str], ...]
    oversized: tuple[str, ...]
    blocks: int
    bytes_read: int
    bytes_written: int
    cpu_s: float
    memory_bytes: int
    wall_s: float
    area_km2: float
    cost: float
    cost_per_1000_km2: float
    model_products: int

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON."""
        return asdict(self)


def plan(
    jobs: Iterable[Job],
    pools: Sequence[Pool],
    *,
    model: CostModel | None = None,
    prices: Prices | None = None,
    strategy_name: str = "fifo",
    projected: Callable[[Job, CostModel], Projection] = project,
) -> Plan:
    """Tell what a batch will take on a cluster.

    Parameters
    ----------
    jobs
        Products; their metadata are read, no pixel is.
    pools
        Workers of the cluster.
    model
        Cost model; fit your own from the run files of your machines.
    prices
        Price table.
    strategy_name
        Which product comes next.
    projected
        Tells the cost of a product.

    Returns
    -------
    Plan
    """
    chosen, table = model or CostModel(), prices or Prices()
    found: list[Projection] = []
    unsuitable: list[tuple[str, str]] = []
    for job in jobs:
        try:
            found.append(projected(job, chosen))
        except InputError as error:
            unsuitable.append((job.source, str(error)))
    workers = [
        WorkerState(name=f"{number}-{each}", memory_bytes=pool.memory_bytes, threads=pool.threads)
        for number, pool in enumerate(pools)
        for each in range(pool.workers)
    ]
    requests = [
        Request(key=str(number), cost=each.cost, tile=each.tile, date=each.date)
        for number, each in enumerate(found)
    ]
    fitting = [r for r in requests if fits_at_all(r, workers, Limits())]
    wall = 0.0
    if fitting:
        outcome = simulate(fitting, pools, strategy(strategy_name), weather=Weather(spread=0.0))
        wall = max(outcome.finished.values())
    area = sum(each.megapixels for each in found) * _KM2_PER_MPX
    read = sum(each.cost.bytes_read for each in found)
    written = sum(each.cost.bytes_written for each in found)
    core_hours = dict.fromkeys((False, True), 0.0)
    for pool in pools:
        core_hours[pool.spot] += wall / 3600.0 * pool.workers * pool.threads
    cost = (
        core_hours[False] * table.core_hour
        + core_hours[True] * table.spot_core_hour
        + read / _GB * table.gb_read
        + written / _GB * (table.gb_written + table.gb_month)
        + len(found) * (_GETS * table.get_1000 + _PUTS * table.put_1000) / 1000.0
    )
    return Plan(
        products=tuple(found),
        unsuitable=tuple(unsuitable),
        oversized=tuple(found[int(r.key)].product for r in requests if r not in fitting),
        blocks=sum(each.cost.blocks for each in found),
        bytes_read=read,
        bytes_written=written,
        cpu_s=sum(each.cost.work_s for each in found),
        memory_bytes=max((each.cost.memory_bytes for each in found), default=0),
        wall_s=wall,
        area_km2=area,
        cost=cost,
        cost_per_1000_km2=1000.0 * cost / area if area else 0.0,
        model_products=chosen.products,
    )

"""Events of a cluster: products arrive, workers come and go, tasks start and end.

The clock is that of simpy. Which product starts is decided by the strategies and the admission
that decide live; what is modelled here is only what dask does with the tasks.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import simpy

from s2cloud.model.errors import CapacityError, UsageError
from s2cloud.scheduling.admission import Admission, Limits, admit, fits_at_all
from s2cloud.scheduling.simulator.world import (
    BLOCKS,
    HEAD,
    OVER,
    Outcome,
    Pool,
    Product,
    Task,
    Weather,
    Worker,
)
from s2cloud.scheduling.strategies.model import (
    ClusterState,
    Request,
    Running,
    SchedulingStrategy,
    WorkerState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["simulate"]

#: Part of the serial time before the blocks, opening and the scene stage; the rest commits.
HEAD_PART: Final = 0.7


def simulate(
    requests: Sequence[Request],
    pools: Sequence[Pool],
    strategy: SchedulingStrategy,
    *,
    limits: Limits | None = None,
    weather: Weather | None = None,
    seed: int = 1,
) -> Outcome:
    """Run a trace through a cluster.

    Parameters
    ----------
    requests
        What arrives.
    pools
        Workers.
    strategy
        As for a live batch.
    limits
        As for a live batch.
    weather
        Losses, failures, spread.
    seed
        The same seed, the same outcome.

    Returns
    -------
    Outcome

    Raises
    ------
    UsageError
        If there is no worker, or a key comes twice.
    CapacityError
        If the workers leave before all products are made.
    """
    if not pools or not any(pool.workers > 0 for pool in pools):
        raise UsageError("no workers", expected="a pool of one or more")
    if len({request.key for request in requests}) != len(requests):
        raise UsageError("two products of one key", fix="give each product of a trace its own")
    return _Engine(requests, strategy, limits or Limits(), weather or Weather(), seed).run(pools)


class _Engine:
    def __init__(
        self,
        requests: Sequence[Request],
        strategy: SchedulingStrategy,
        limits: Limits,
        weather: Weather,
        seed: int,
    ) -> None:
        self.env = simpy.Environment()
        self.strategy, self.limits, self.weather = strategy, limits, weather
        self.rng = np.random.default_rng(seed)
        self.outcome = Outcome(requests, strategy.name)
        self.waiting: dict[str, Request] = {}
        self.running: dict[str, Product] = {}
        self.workers: dict[str, Worker] = {}
        self.idle: dict[str, Worker] = {}
        self.queue: list[Product] = []
        self.served: defaultdict[str, float] = defaultdict(float)
        self.tries: defaultdict[str, int] = defaultdict(int)
        self.left = len(requests)
        self.to_come = 0
        self.numbers = 0
        self.deciding = False
        self.decided = -math.inf

    def run(self, pools: Sequence[Pool]) -> Outcome:
        for number, pool in enumerate(pools):
            for each in range(pool.workers):
                self.to_come += 1
                self._at(pool.from_s, self._join, f"p{number}-w{each:04d}", pool)
        for request in self.outcome.requests:
            self._at(request.arrived, self._arrive, request)
        # An environment that runs dry ends; one with spot workers would go on for ever.
        while self.left and self.env.peek() < math.inf:
            self.env.step()
        if self.left:
            raise CapacityError(
                "workers left before all products were made",
                expected=f"{len(self.outcome.requests)} products",
                found=f"{len(self.outcome.finished)} made",
                fix="keep workers, or give them the memory that the products need",
            )
        for worker in list(self.workers.values()):
            self._pay(worker)
        return self.outcome

    def _at(self, when: float, function: Callable[..., None], *values: Any) -> None:
        event = self.env.timeout(max(0.0, when - self.env.now))
        event.callbacks.append(lambda _: function(*values))

    # -- products --------------------------------------------------------------------------------

    def _arrive(self, request: Request) -> None:
        self.waiting[request.key] = request
        self._decide_soon()

    def _decide_soon(self) -> None:
        if self.deciding or not self.waiting:
            return
        self.deciding = True
        self._at(max(self.env.now, self.decided + self.weather.decide_s), self._decide)

    def _decide(self) -> None:
        self.deciding = False
        self.decided = self.env.now
        state = self._state()
        room = self.limits.bound(sum(w.threads for w in state.workers)) - len(self.running)
        if room > 0:
            waiting = list(self.waiting.values())
            for admission in admit(self.strategy, waiting, state, self.limits):
                self._start(admission)
            if not self.running and not self.to_come:
                self._refuse(state)
        self._sample()

    def _refuse(self, state: ClusterState) -> None:
        for request in list(self.waiting.values()):
            if state.workers and not fits_at_all(request, state.workers, self.limits):
                del self.waiting[request.key]
                self.outcome.failed.append(request.key)
                self.left -= 1

    def _state(self) -> ClusterState:
        workers = tuple(
            WorkerState(
                name=worker.name,
                threads=worker.pool.threads,
                memory_bytes=worker.pool.memory_bytes,
                projected_bytes=worker.projected,
                products=tuple(worker.homes),
                tiles=frozenset(worker.tiles),
                dates=frozenset(worker.dates),
            )
            for worker in self.workers.values()
            if worker.accepting
        )
        running = tuple(
            Running(
                request=product.request,
                workers=tuple(worker.name for worker in product.homes),
                started=product.started,
            )
            for product in self.running.values()
        )
        return ClusterState(
            now=self.env.now, workers=workers, running=running, served=dict(self.served)
        )

    def _start(self, admission: Admission) -> None:
        request = self.waiting.pop(admission.key)
        homes = tuple(self.workers[name] for name in admission.workers)
        self.numbers += 1
        self.tries[request.key] += 1
        product = Product(
            request, homes, admission.urgency, self.numbers, self.env.now, head_at=homes[0]
        )
        self.running[request.key] = product
        self.served[request.owner] += request.cost.work_s
        share = -(-request.cost.memory_bytes // len(homes))
        for worker in homes:
            worker.homes[request.key] = product
            worker.projected += share
            self.outcome.overcommitted += worker.projected > worker.pool.memory_bytes
        self.outcome.placements.append((self.env.now, request.key, admission.workers))
        self._became_ready(product)

    def _end(self, product: Product) -> None:
        """Free the place of a product that is complete, failed or lost."""
        product.phase = OVER
        product.ready = 0
        del self.running[product.request.key]
        share = -(-product.request.cost.memory_bytes // len(product.homes))
        for worker in product.homes:
            if worker.homes.pop(product.request.key, None) is not None:
                worker.projected -= share
        self._decide_soon()

    def _finish(self, product: Product) -> None:
        request = product.request
        self._end(product)
        if self.weather.failure and self.rng.random() < self.weather.failure:
            if self.tries[request.key] < self.weather.tries:
                self._arrive(request)
                return
            self.outcome.failed.append(request.key)
        else:
            self.outcome.finished[request.key] = self.env.now
        self.left -= 1

    # -- tasks -------------------------------------------------------------------------------------

    def _became_ready(self, product: Product) -> None:
        if product.phase != BLOCKS:
            # Coordinators do not take part in the bounded number of tasks of a worker.
            product.ready, product.running = 0, 1
            length = self._length(product, product.head_at)
            self._at(self.env.now + length, self._coordinated, product, length)
            return
        heapq.heappush(self.queue, product)
        for worker in product.homes:
            self._fill(worker)
        if self.limits.two_level:
            while product.ready and self.idle:
                self._fill(next(iter(self.idle.values())))

    def _fill(self, worker: Worker) -> None:
        """Give the free threads of a worker tasks: its own products first, then others'."""
        while worker.free and worker.accepting:
            product = min((each for each in worker.homes.values() if each.ready), default=None) or (
                self._stolen() if self.limits.two_level else None
            )
            if product is None:
                break
            self._run(product, worker)
        if worker.free and worker.accepting:
            self.idle[worker.name] = worker
        else:
            self.idle.pop(worker.name, None)

    def _stolen(self) -> Product | None:
        while self.queue:
            if self.queue[0].ready:
                return self.queue[0]
            heapq.heappop(self.queue)
        return None

    def _run(self, product: Product, worker: Worker) -> None:
        product.ready -= 1
        product.running += 1
        worker.free -= 1
        self.numbers += 1
        task = Task(product, worker, self.env.now, self.numbers)
        worker.tasks[task.number] = task
        self._at(self.env.now + self._length(product, worker), self._done, task)

    def _length(self, product: Product, worker: Worker) -> float:
        cost = product.request.cost
        if product.phase == BLOCKS:
            mean = cost.cpu_s / cost.blocks
        elif product.phase == HEAD:
            mean = cost.serial_s * HEAD_PART
        else:
            mean = cost.serial_s * (1.0 - HEAD_PART)
        spread = self.weather.spread
        length = mean * math.exp(self.rng.normal(-spread * spread / 2, spread)) if spread else mean
        if product.phase == HEAD and product.request.tile not in worker.tiles:
            length += self.weather.aux_s
            worker.tiles.add(product.request.tile)
            worker.dates.add(product.request.date)
        return length

    def _coordinated(self, product: Product, length: float) -> None:
        if product.phase != OVER:
            self.outcome.busy_s += length
            product.running = 0
            self._next_phase(product)

    def _done(self, task: Task) -> None:
        worker, product = task.worker, task.product
        if worker.tasks.pop(task.number, None) is None:
            return  # lost with its worker
        self.outcome.busy_s += self.env.now - task.began
        worker.free += 1
        product.running -= 1
        if product.phase != OVER and not product.running and not product.ready:
            self._next_phase(product)
        self._fill(worker)
        if not worker.accepting and not worker.tasks:
            self._gone(worker)

    def _next_phase(self, product: Product) -> None:
        product.phase += 1
        if product.phase == OVER:
            self._finish(product)
            return
        product.ready = product.request.cost.blocks if product.phase == BLOCKS else 1
        self._became_ready(product)

    # -- workers -----------------------------------------------------------------------------------

    def _join(self, name: str, pool: Pool) -> None:
        self.to_come -= 1
        worker = Worker(name, pool, self.env.now, pool.threads)
        self.workers[name] = worker
        if pool.until_s < math.inf:
            self._at(pool.until_s, self._told_to_go, worker)
        if pool.spot and self.weather.spot_loss_per_h > 0:
            life = 3600.0 * float(self.rng.exponential(1.0 / self.weather.spot_loss_per_h))
            self._at(self.env.now + life, self._taken, worker)
        self._fill(worker)
        self._decide_soon()

    def _taken(self, worker: Worker) -> None:
        """A spot worker gets notice, and is gone when it is over."""
        if worker.name not in self.workers:
            return
        self.to_come += 1
        back = self.env.now + self.weather.notice_s + self.weather.spot_back_s
        self._at(back, self._join, f"{worker.name.partition('+')[0]}+{self.numbers}", worker.pool)
        self._at(self.env.now + self.weather.notice_s, self._gone, worker)
        self._told_to_go(worker)

    def _told_to_go(self, worker: Worker) -> None:
        if worker.name not in self.workers:
            return
        worker.accepting = False
        self.idle.pop(worker.name, None)
        # Its products go on where else they are at home, or are helped by whoever is idle.
        for product in list(worker.homes.values()):
            if self.limits.two_level:
                while product.ready and self.idle:
                    self._fill(next(iter(self.idle.values())))
        if not worker.tasks:
            self._gone(worker)

    def _gone(self, worker: Worker) -> None:
        if self.workers.pop(worker.name, None) is None:
            return
        worker.alive = worker.accepting = False
        self.idle.pop(worker.name, None)
        self._pay(worker)
        lost, worker.tasks = list(worker.tasks.values()), {}
        for task in lost:
            self.outcome.busy_s += self.env.now - task.began
            self.outcome.lost_s += self.env.now - task.began
            task.product.running -= 1
        # The coordinator of a product dies with its worker, and the product starts anew.
        coordinated = [p for p in self.running.values() if p.head_at is worker]
        alone = [p for p in worker.homes.values() if all(w is worker for w in p.homes)]
        restarted: Iterable[Product] = dict.fromkeys(coordinated + alone)
        for product in restarted:
            self.tries[product.request.key] -= 1
            self._end(product)
            self._arrive(product.request)
        for task in lost:
            if task.product.phase != OVER:
                task.product.ready += 1
                self._became_ready(task.product)
        self._decide_soon()

    def _pay(self, worker: Worker) -> None:
        kind = "spot" if worker.pool.spot else "steady"
        self.outcome.paid_s[kind] += (self.env.now - worker.since) * worker.pool.threads

    def _sample(self) -> None:
        threads = sum(worker.pool.threads for worker in self.workers.values())
        free = sum(worker.free for worker in self.workers.values())
        self.outcome.samples.append(
            (self.env.now, len(self.waiting), len(self.running), threads - free, threads)
        )

"""Clusters that others run: an address, SLURM, Kubernetes, dask-gateway."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import dask

from s2cloud.model.errors import UnavailableError, UsageError
from s2cloud.scheduling.skew import require_equal_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from distributed import Client

__all__ = ["Wish", "kubernetes_spec", "leads", "remote_cluster"]

logger = logging.getLogger(__name__)

#: Longest wait for the first worker: queues of batch systems and nodes of clouds take minutes.
FIRST_WORKER_S: Final = 900.0
#: Longest wait for a scheduler that is said to run already.
CONNECT_S: Final = 30.0
#: Longest wait for a scheduler to take note that we leave.
CLOSE_S: Final = 3.0
#: Makes a worker hand over its data and its tasks when it is told to go.
_DRAIN: Final = "s2cloud.scheduling.drain"
_IMAGE: Final = "s2cloud"
#: Pods as the restricted Pod Security Standard of Kubernetes wants them: they execute whatever
#: reaches the scheduler, and need no right for it.
_CONFINED: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    Attributes
    ----------
    workers, threads
        Number of workers, and of threads in each.
    memory
        Limit of each worker, ``8GiB``.
    options
        As in `cluster`.
    """

    workers: int
    threads: int
    memory: str
    options: dict[str, Any] = field(default_factory=dict)


def leads(kind: str) -> bool:
    """Whether this process carries out the batch.

    Inside of ``srun`` the same program runs on every rank; all but one become the scheduler or a
    worker as soon as they open the cluster, and never come back from it.
    """
    return kind != "slurm-runner" or os.environ.get("SLURM_PROCID", "1") == "1"


def _leave(*_: Any) -> None:
    raise SystemExit(0)


@contextlib.contextmanager
def remote_cluster(kind: str, wish: Wish) -> Iterator[Client]:
    """Client of a cluster of some kind, checked for versions, with one worker or more."""
    options = dict(wish.options)
    allow_skew = bool(options.pop("allow_skew", False))
    patience = float(options.pop("first_worker_s", FIRST_WORKER_S))
    opened = _KINDS.get(kind)
    with contextlib.ExitStack() as stack:
        asked = Wish(wish.workers, wish.threads, wish.memory, options)
        client = opened(stack, asked) if opened else _address(stack, kind, options)
        _wait_for_worker(client, kind, patience)
        require_equal_versions(client, allow=allow_skew)
        yield client


def _wait_for_worker(client: Client, kind: str, patience: float) -> None:
    try:
        client.wait_for_workers(1, timeout=patience)
    except (TimeoutError, OSError) as error:
        raise UnavailableError(
            "no worker came",
            where=kind,
            expected=f"one within {patience:g} s",
            found=f"{type(error).__name__}: {error}"[:200],
            fix="look at the queue of the batch system or at the events of the pods",
        ) from error


def _address(stack: contextlib.ExitStack, address: str, options: dict[str, Any]) -> Client:
    from distributed import Client, Security  # noqa: PLC0415

    security = Security(**options, require_encryption=True) if options else None
    before = dask.config.get("scheduler", None)
    try:
        client = Client(address, timeout=CONNECT_S, security=security)
    except (OSError, TimeoutError) as error:
        # A client that could not start stays the default, and threads would ask for it.
        dask.config.set(scheduler=before)
        raise UnavailableError(
            "scheduler does not answer",
            where=address,
            found=f"{type(error).__name__}: {error}"[:200],
            fix="check the address, the network and the certificates",
        ) from error
    except ValueError as error:
        dask.config.set(scheduler=before)
        raise UsageError(
            "not the address of a scheduler",
            where=address,
            expected="tcp://HOST:PORT",
            found=str(error),
        ) from error
    # Closed in little time: the scheduler may be what was lost.
    stack.callback(client.close, timeout=CLOSE_S)
    return client


def slurm_arguments(wish: Wish) -> dict[str, Any]:
    """Arguments for ``dask_jobqueue.SLURMCluster``, one worker per job."""
    extra = ["--preload", _DRAIN, *wish.options.get("worker_extra_args", ())]
    defaults = {
        "cores": wish.threads,
        "processes": 1,
        "memory": wish.memory.replace("iB", "B"),  # SLURM's units are binary without saying so
        "python": sys.executable,
        # Jobs do not inherit what was set for this process; object stores need it.
        "job_script_prologue": _exports(),
    }
    return {**defaults, **wish.options, "worker_extra_args": extra}


def _exports() -> list[str]:
    """Settings of numerical libraries and of our configuration; no credentials in job scripts."""
    names = ("OMP_NUM_THREADS", "NUMBA_CACHE_DIR", "S2CLOUD_CONFIG")
    return [f"export {name}={os.environ[name]}" for name in names if name in os.environ]


def _slurm(stack: contextlib.ExitStack, wish: Wish) -> Client:
    from distributed import Client  # noqa: PLC0415

    made = _library("dask_jobqueue", "cluster").SLURMCluster(**slurm_arguments(wish))
    found = stack.enter_context(made)
    found.scale(jobs=wish.workers)
    return stack.enter_context(Client(found))


def _slurm_runner(stack: contextlib.ExitStack, wish: Wish) -> Client:
    from distributed import Client  # noqa: PLC0415

    options = dict(wish.options)
    options.setdefault("scheduler_file", f"s2cloud-scheduler-{os.environ.get('SLURM_JOB_ID')}.json")
    options.setdefault("worker_options", {"nthreads": wish.threads})
    if not leads("slurm-runner"):
        # The runner ends scheduler and workers by SIGINT, which must mean just that.
        signal.signal(signal.SIGINT, _leave)
    runner = _library("dask_jobqueue.slurm", "cluster").SLURMRunner(**options)
    return stack.enter_context(Client(stack.enter_context(runner)))


def kubernetes_spec(wish: Wish) -> dict[str, Any]:
    """Custom resource ``DaskCluster`` for the dask operator.

    Parameters
    ----------
    wish
        Its options ``name``, ``image``, ``env`` and ``resources`` are used; ``resources`` default
        to one CPU per thread and the memory, as request and as limit.

    Notes
    -----
    The commands of scheduler and worker are put in place of those of dask-kubernetes 2026.3,
    which names programs that distributed 2026.8 does not have any more.
    """
    operator = _library("dask_kubernetes.operator", "cluster")
    options = wish.options
    size = {"cpu": str(wish.threads), "memory": wish.memory.removesuffix("B")}
    spec: dict[str, Any] = operator.make_cluster_spec(
        str(options.get("name", "s2cloud")),
        image=str(options.get("image", _IMAGE)),
        n_workers=wish.workers,
        env=dict(options.get("env", {})),
        resources=dict(options.get("resources", {"requests": size, "limits": size})),
    )
    worker = spec["spec"]["worker"]["spec"]["containers"][0]
    scheduler = spec["spec"]["scheduler"]["spec"]["containers"][0]
    worker["args"] = [
        *("dask", "worker", "--name", "$(DASK_WORKER_NAME)", "--dashboard"),
        *("--dashboard-address", "8788", "--nthreads", str(wish.threads)),
        *("--memory-limit", wish.memory, "--preload", _DRAIN),
    ]
    scheduler["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]  # noqa: S104  # in a pod
    for pod in (spec["spec"]["worker"]["spec"], spec["spec"]["scheduler"]["spec"]):
        pod.update(_CONFINED)
        pod["containers"][0] |= {
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108  # in a pod
        }
    # A node that is taken away gives notice; the default of 30 s is too short to hand over.
    spec["spec"]["worker"]["spec"]["terminationGracePeriodSeconds"] = 120
    return spec


def _kubernetes(stack: contextlib.ExitStack, wish: Wish) -> Client:
    from distributed import Client  # noqa: PLC0415

    operator = _library("dask_kubernetes.operator", "cluster")
    known = {"name", "image", "env", "resources"}
    rest = {name: value for name, value in wish.options.items() if name not in known}
    made = operator.KubeCluster(custom_cluster_spec=kubernetes_spec(wish), **rest)
    return stack.enter_context(Client(stack.enter_context(made)))


def _gateway(stack: contextlib.ExitStack, wish: Wish) -> Client:
    library = _library("dask_gateway", "cluster")
    options = dict(wish.options)
    ends = {key: options.pop(key) for key in ("address", "auth", "proxy_address") if key in options}
    name = options.pop("cluster_name", None)
    try:
        gateway = stack.enter_context(library.Gateway(**ends))
        if name is not None:
            return stack.enter_context(gateway.connect(name).get_client())
        made = stack.enter_context(gateway.new_cluster(shutdown_on_close=True, **options))
        made.scale(wish.workers)
        return stack.enter_context(made.get_client())
    except (OSError, ValueError, library.GatewayServerError) as error:
        raise UnavailableError(
            "gateway does not answer",
            where=str(ends.get("address", "dask configuration gateway.address")),
            found=f"{type(error).__name__}: {error}"[:200],
            fix="check the address and the credentials",
        ) from error


def _library(name: str, extra: str) -> Any:
    handler = signal.getsignal(signal.SIGINT)
    try:
        found = importlib.import_module(name)
        # dask_jobqueue takes the signal for itself when it is imported.
        if signal.getsignal(signal.SIGINT) is not handler and handler is not None:
            signal.signal(signal.SIGINT, handler)
    except ImportError as error:
        raise UsageError(
            "library for this kind of cluster is not installed",
            expected=name,
            found=f"no module {error.name}",
            fix=f"pip install 's2cloud[{extra}]'",
        ) from error
    return found


_KINDS: Final[Mapping[str, Callable[[contextlib.ExitStack, Wish], Client]]] = {
    "slurm": _slurm,
    "slurm-runner": _slurm_runner,
    "kubernetes": _kubernetes,
    "gateway": _gateway,
}

"""Preload for workers that may be told to go: ``--preload s2cloud.scheduling.drain``.

Kubernetes, batch systems and spot markets send SIGTERM some time before they kill. A worker then
takes no more tasks and hands what it holds in memory to the others; what it was running starts
elsewhere, and nothing counts as a failure.
"""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any, Final

__all__ = ["dask_setup"]

logger = logging.getLogger(__name__)

#: The worker's command line sets handlers of its own just after the preloads have run.
_AFTER_S: Final = 1.0


def dask_setup(server: Any) -> None:
    """Called by dask in the process of a worker, or of the nanny that guards one."""
    if threading.current_thread() is threading.main_thread():
        server.loop.add_callback(server.loop.call_later, _AFTER_S, _install, server)


def _install(server: Any) -> None:
    def drain(*_: Any) -> None:
        logger.warning("told to go: handing over", extra={"worker": server.address})
        server.loop.add_callback_from_signal(_drain, server)

    signal.signal(signal.SIGTERM, drain)


async def _drain(server: Any) -> None:
    if hasattr(server, "close_gracefully"):
        await server.close_gracefully(reason="SIGTERM")
        return
    address = getattr(server, "worker_address", None)
    if address is not None:
        await server.scheduler.retire_workers(addresses=[address], close_workers=True)
    await server.close(reason="SIGTERM")

"""Asking a store again: a few times, after a random pause, and only where that can help."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final, TypeVar

import tenacity

from s2cloud.model.errors import S2CloudError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ATTEMPTS", "VARIABLE", "attempts", "is_transient", "persistently"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Attempts in all, and the environment variable that changes the number.
ATTEMPTS: Final = 4
VARIABLE: Final = "S2CLOUD_STORE_ATTEMPTS"
#: Longest pause before the second attempt, and before any. [s] The pause is drawn evenly from
#: zero to a limit that doubles, so that many workers do not return at the same moment (Brooker
#: 2015, "Exponential backoff and jitter", AWS Architecture Blog).
_FIRST, _LONGEST = 0.5, 10.0
#: An endpoint that accepts no connection may be restarting: it is asked for at least this long,
#: and no longer. [s] With the time limits of the drivers, a wrong address is told in 15 s.
_UNREACHABLE_S: Final = 9.0
_LONGEST_UNREACHABLE = 2.0
_NO_CONNECTION: Final = frozenset(
    {"EndpointConnectionError", "ConnectTimeoutError", "ConnectionRefusedError", "gaierror"}
    | {"ClientConnectorError", "ClientConnectorDNSError", "ConnectionTimeoutError"}
)


def attempts() -> int:
    """Attempts for one request: ``S2CLOUD_STORE_ATTEMPTS`` or `ATTEMPTS`.

    Raises
    ------
    UsageError
        If the variable is no whole number from 1 to 20.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return ATTEMPTS
    if not (text.isdigit() and 1 <= int(text) <= 20):
        raise UsageError(
            "not a number of attempts", where=VARIABLE, expected="1 to 20", found=repr(text)
        )
    return int(text)


def is_transient(error: BaseException) -> bool:
    """Whether asking again may help: nobody answered, or the server was busy or broken.

    What the store understood and refused (rights, missing files, wrong requests) stays refused.
    """
    return isinstance(error, UnavailableError) and error.transient


def persistently(call: Callable[[], T]) -> T:
    """Result of a call that may be repeated.

    Parameters
    ----------
    call
        Raises errors of this package; calling it twice must do no harm.

    Raises
    ------
    S2CloudError
        The last one, of whatever kind.
    """
    limit = attempts()

    def enough(state: tenacity.RetryCallState) -> bool:
        if limit > 1 and _is_unreachable(state):
            return (state.seconds_since_start or 0.0) >= _UNREACHABLE_S
        return state.attempt_number >= limit

    def pause(state: tenacity.RetryCallState) -> float:
        longest = _LONGEST_UNREACHABLE if _is_unreachable(state) else _LONGEST
        return tenacity.wait_random_exponential(multiplier=_FIRST, max=longest)(state)

    retrying = tenacity.Retrying(
        stop=enough,
        wait=pause,
        retry=tenacity.retry_if_exception(is_transient),
        before_sleep=_tell,
        reraise=True,
    )
    return retrying(call)


def _is_unreachable(state: tenacity.RetryCallState) -> bool:
    link = state.outcome.exception() if state.outcome else None
    while link is not None:
        if type(link).__name__ in _NO_CONNECTION:
            return True
        link = link.__cause__ or link.__context__
    return False


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    reason = error.found if isinstance(error, S2CloudError) else error
    where = error.where if isinstance(error, S2CloudError) else ""
    logger.warning("attempt %d failed, asking again: %s (%s)", state.attempt_number, where, reason)

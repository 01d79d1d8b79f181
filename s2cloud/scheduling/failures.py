"""What the failures of other libraries mean to an operator: retry, a bigger machine, or a bug."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from s2cloud.model.errors import CapacityError, InputError, S2CloudError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_s2cloud_error"]

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

#: Classes of libraries that need not be loaded here, by name: a lost worker, a lost scheduler,
#: a store that does not answer or refuses.
_LOST_WORKER = frozenset({"KilledWorker"})
_UNAVAILABLE = frozenset(
    {
        "BotoCoreError",
        "ClientError",
        "ClientOSError",
        "CommClosedError",
        "ConnectionError",
        "TimeoutError",
        "HTTPClientError",
        "WorkerStartTimeoutError",
    }
)


def as_s2cloud_error(error: BaseException, where: str = "") -> S2CloudError | None:
    """The error of our own family that an exception stands for.

    Parameters
    ----------
    error
        Anything raised while a product was made.
    where
        The product or destination concerned, for the message.

    Returns
    -------
    S2CloudError or None
        None if the exception is unexpected, which means a bug.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, S2CloudError):
            return link
    for meaning in (_capacity, _outside):
        for link in chain:
            if (found := meaning(link, where)) is not None:
                return found
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[BaseException] = [error]
    while pending:
        link = pending.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        if isinstance(link, BaseExceptionGroup):
            pending.extend(link.exceptions)
        if link.__cause__ is not None:
            pending.append(link.__cause__)
        elif link.__context__ is not None and not link.__suppress_context__:
            pending.append(link.__context__)


def _capacity(error: BaseException, where: str) -> S2CloudError | None:
    if isinstance(error, MemoryError):
        return CapacityError(
            "out of memory",
            where=where,
            found=_words(error) or None,
            fix="use fewer workers or threads, a smaller --bbox, or a bigger machine",
        )
    if _LOST_WORKER & _names(error):
        return CapacityError(
            "worker processes died, most likely for lack of memory",
            where=where,
            fix="use fewer workers or a bigger machine",
        )
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return _no_space(error.filename or where)
    if "no space left on device" in str(error).lower():  # GDAL passes on the words only
        return _no_space(where)
    return None


def _no_space(where: object) -> CapacityError:
    return CapacityError(
        "no space left", where=str(where), fix="free space or choose another destination"
    )


def _outside(error: BaseException, where: str) -> S2CloudError | None:
    if isinstance(error, FileNotFoundError):
        return InputError(
            "file not found", where=_words(error) or where, fix="check the path or URL"
        )
    if isinstance(error, PermissionError):
        return UnavailableError(
            "access denied",
            where=where,
            found=_words(error) or None,
            fix="check the credentials and the rights on the bucket or folder",
        )
    if "NoCredentialsError" in _names(error):
        return UnavailableError(
            "no credentials for the store",
            where=where,
            fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --storage-option anon=true",
        )
    if isinstance(error, ConnectionError | TimeoutError) or _UNAVAILABLE & _names(error):
        return UnavailableError(
            "a store or the cluster does not answer",
            where=where,
            found=_words(error) or type(error).__name__,
            fix="check the endpoint and the network, then retry",
        )
    return None


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]

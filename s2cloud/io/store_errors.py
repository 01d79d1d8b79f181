"""Our errors for those of file systems and their transports."""

from __future__ import annotations

import errno
import re
from typing import Final

from s2cloud.model.errors import (
    CapacityError,
    InputError,
    S2CloudError,
    UnavailableError,
    UsageError,
)

__all__ = ["boto_code", "http_status", "translated_error"]

_REFUSED: Final = frozenset(
    {
        *("401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        *("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed"),
    }
)


#: Client errors that are none: time-out, too early, too many requests.
_BUSY: Final = frozenset({408, 425, 429})


def boto_code(error: BaseException) -> str:
    """Error code of S3 behind an exception, wherever in the chain it is."""
    link: BaseException | None = error
    while link is not None:
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        link = link.__cause__ or link.__context__
    return ""


def translated_error(
    error: BaseException, url: str, *, writing: bool = False
) -> S2CloudError | ImportError:
    """Our error for one of a file system's; it names the URL and never a secret.

    Parameters
    ----------
    error
        What the driver raised: botocore, aiohttp, socket, zipfile and others all differ.
    url
        Address without secrets.
    writing
        Whether something was being written: then a missing folder is the caller's mistake.
    """
    if isinstance(error, S2CloudError | ImportError):
        return error
    name, code = type(error).__name__, boto_code(error)
    status = str(getattr(error, "status", "") or code)
    absent = UsageError if writing else InputError
    number = error.errno if isinstance(error, OSError) else None
    refused = isinstance(error, PermissionError) or "Credentials" in name or status in _REFUSED
    cases: tuple[tuple[bool, type[S2CloudError], str, str, str], ...] = (
        (
            code == "NoSuchBucket",
            absent,
            "no such bucket",
            "",
            "check the bucket name and the endpoint_url",
        ),
        (
            isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError),
            absent,
            "no such file",
            "",
            "check the address",
        ),
        (
            number in {errno.EACCES, errno.EPERM, errno.EROFS} and not code,
            UnavailableError,
            "access refused",
            name,
            "check the permissions of the folder",
        ),
        (
            refused,
            UnavailableError,
            "access refused",
            status or name,
            "check credentials (keys, profile, endpoint_url, requester_pays) and permissions",
        ),
        (
            number in {errno.ENOSPC, errno.EDQUOT},
            CapacityError,
            "no space left",
            "",
            "free space or write elsewhere",
        ),
        (
            isinstance(error, MemoryError),
            CapacityError,
            "not enough memory",
            "",
            "use a bigger machine",
        ),
        (
            name == "BadZipFile",
            InputError,
            "damaged archive",
            str(error),
            "download it again",
        ),
        (
            isinstance(error, ValueError) and "rotocol" in str(error),
            UsageError,
            "unknown kind of URL",
            str(error),
            "use a path, .zip, s3://, gs:// or https://",
        ),
    )
    for applies, kind, what, found, fix in cases:
        if applies:
            return kind(what, where=url, found=found or None, fix=fix)
    unanswered = UnavailableError(
        "store does not answer",
        where=url,
        found=code or f"{name} {_first_line(error)}".strip(),
        fix="check the network and the endpoint_url, then retry",
    )
    unanswered.transient = _may_pass(http_status(error))
    return unanswered


def http_status(error: BaseException) -> int:
    """HTTP status behind an exception, 0 if there was no answer."""
    link: BaseException | None = error
    while link is not None:
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        status = getattr(link, "status", None)
        if isinstance(status, int):
            return status
        link = link.__cause__ or link.__context__
    return 0


def _may_pass(status: int) -> bool:
    return status not in range(400, 500) or status in _BUSY


def _first_line(error: BaseException) -> str:
    # Signatures of pre-signed URLs stand behind the question mark.
    text = next(iter(str(error).splitlines()), "")
    return re.sub(r"\?\S+", "", text)[:200]

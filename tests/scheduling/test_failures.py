"""Failures of other libraries, sorted by what an operator should do."""

from __future__ import annotations

import errno
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from distributed import KilledWorker

from s2cloud.model.errors import CapacityError, InputError, UnavailableError
from s2cloud.scheduling.failures import as_s2cloud_error


def killed():
    return KilledWorker("decode-b02", Mock(address="tcp://127.0.0.1:1"), 3)


CASES = [
    (MemoryError(), CapacityError),
    (killed(), CapacityError),
    (OSError(errno.ENOSPC, "No space left on device", "/out/b02.tif"), CapacityError),
    (RuntimeError("GDAL: write failed: No space left on device"), CapacityError),
    (ConnectionRefusedError(111, "Connection refused"), UnavailableError),
    (TimeoutError(), UnavailableError),
    (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), UnavailableError),
    (NoCredentialsError(), UnavailableError),
    (ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), UnavailableError),
    (PermissionError(13, "Forbidden"), UnavailableError),
    (FileNotFoundError(2, "No such file", "B02.jp2"), InputError),
]


@pytest.mark.parametrize(("error", "kind"), CASES, ids=lambda case: getattr(case, "__name__", None))
def test_meaning(error, kind):
    known = as_s2cloud_error(error, where="s3://bucket/x")
    assert type(known) is kind
    assert "\n" not in str(known)
    assert "Fix: " in str(known)


@pytest.mark.parametrize("error", [ValueError("shape"), KeyError("b02"), ZeroDivisionError()])
def test_bugs_stay_bugs(error):
    assert as_s2cloud_error(error) is None


def linked(error, *, cause=None, context=None):
    """An exception raised from a cause, or while another was handled."""
    error.__context__ = context
    if cause is not None:  # even None as a cause hides the context
        error.__cause__ = cause
    return error


def test_cause_is_found_behind_a_wrapper():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert isinstance(
        as_s2cloud_error(linked(RuntimeError("could not write"), cause=full)), CapacityError
    )
    assert isinstance(
        as_s2cloud_error(linked(RuntimeError("could not write"), context=full)), CapacityError
    )


def test_our_own_error_behind_a_wrapper_wins_and_is_kept():
    own = InputError("truncated", where="B02.jp2")
    assert as_s2cloud_error(linked(MemoryError(), cause=own)) is own


def test_cause_is_found_in_a_group():
    group = ExceptionGroup("two tasks", [ValueError("x"), MemoryError()])
    assert isinstance(as_s2cloud_error(group), CapacityError)


def test_hidden_context_is_not_the_cause():
    error = linked(ValueError("a bug"), context=FileNotFoundError("optional.xml"))
    error.__suppress_context__ = True
    assert as_s2cloud_error(error) is None


def test_a_circle_of_causes_ends():
    first, second = ValueError("a"), ValueError("b")
    linked(first, cause=second)
    linked(second, cause=first)
    assert as_s2cloud_error(first) is None

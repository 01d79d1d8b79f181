"""Requests are repeated where that can help, and nowhere else."""

from __future__ import annotations

import logging

import pytest
from botocore.exceptions import ClientError

from s2cloud.io.retries import ATTEMPTS, VARIABLE, attempts
from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError, UnavailableError, UsageError


@pytest.fixture
def pauses(monkeypatch):
    """Pauses that were asked for, none of which is made."""
    asked: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", asked.append)
    return asked


@pytest.fixture
def flaky(tmp_path, monkeypatch):
    """A store whose calls fail as the test says, and the count of the calls."""
    store = open_store(str(tmp_path))
    store.write("a.txt", b"0123456789")
    calls = []

    def break_down(name, errors, *, after=False):
        real, left = getattr(type(store.fs), name), list(errors)

        def broken(_fs, *args, **kwargs):
            calls.append(name)
            if not left:
                return real(store.fs, *args, **kwargs)
            if after:
                real(store.fs, *args, **kwargs)
            raise left.pop(0)

        monkeypatch.setattr(type(store.fs), name, broken)

    return store, break_down, calls


def answered(status, code="Error"):
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )


@pytest.mark.parametrize(
    "error",
    [TimeoutError("slow"), ConnectionResetError("gone"), answered(500), answered(503, "SlowDown"),
     answered(429)],
)  # fmt: skip
def test_what_may_pass_is_tried_again(flaky, pauses, caplog, error):
    store, break_down, calls = flaky
    break_down("cat_file", [error, error])
    with caplog.at_level(logging.WARNING):
        assert store.read("a.txt", 2, 5) == b"234"
    assert len(calls) == 3
    assert "attempt 2 failed" in caplog.text
    assert len(pauses) == 2
    assert all(0 <= pause <= 10 for pause in pauses)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered(400, "InvalidRequest"), UnavailableError),
        (answered(403, "AccessDenied"), UnavailableError),
        (PermissionError("no"), UnavailableError),
        (FileNotFoundError("a.txt"), InputError),
    ],
)
def test_what_was_refused_stays_refused(flaky, pauses, error, kind):
    store, break_down, calls = flaky
    break_down("cat_file", [error] * 9)
    with pytest.raises(kind):
        store.read("a.txt")
    assert (len(calls), pauses) == (1, [])


def test_attempts_end(flaky, pauses):
    store, break_down, calls = flaky
    break_down("cat_file", [TimeoutError("slow")] * 99)
    with pytest.raises(UnavailableError, match="does not answer"):
        store.read("a.txt")
    assert len(calls) == ATTEMPTS
    assert len(pauses) == ATTEMPTS - 1


def test_the_number_of_attempts_is_the_operators(flaky, pauses, monkeypatch):
    store, break_down, calls = flaky
    monkeypatch.setenv(VARIABLE, "2")
    break_down("cat_file", [TimeoutError("slow")] * 99)
    with pytest.raises(UnavailableError):
        store.read("a.txt")
    assert (len(calls), len(pauses)) == (2, 1)
    monkeypatch.setenv(VARIABLE, "many")
    with pytest.raises(UsageError, match=VARIABLE):
        attempts()


def test_an_endpoint_that_accepts_nobody_is_given_up_by_the_clock(flaky, pauses, monkeypatch):
    store, break_down, calls = flaky
    times = iter(range(0, 1000, 2))
    monkeypatch.setattr("tenacity.time.monotonic", lambda: float(next(times)))
    break_down("cat_file", [ConnectionRefusedError("no")] * 99)
    with pytest.raises(UnavailableError, match="does not answer"):
        store.read("a.txt")
    # Asked at 0, 2, 4, ... 10 s: longer than the number of attempts, shorter than 15 s.
    assert ATTEMPTS < len(calls) <= 6
    assert all(0 <= pause <= 2 for pause in pauses)


def test_one_bad_range_does_not_cost_the_others(flaky, pauses):
    store, _, _ = flaky
    fetched = store._fetched
    broken = []

    def half(wanted):
        parts = fetched(wanted)
        broken.append(parts[1])
        return [parts[0], TimeoutError("slow"), *parts[2:]]

    store_type = type(store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_type, "_fetched", lambda _self, wanted: half(wanted))
        ranges = [("a.txt", 0, 1), ("a.txt", 4, 6), ("a.txt", 9, 10)]
        assert store.read_ranges(ranges, merge=False) == [b"0", b"45", b"9"]
    assert broken == [b"45"]
    assert pauses == []


def test_a_name_won_by_a_lost_answer_is_won(monkeypatch, pauses):
    store = open_store("memory://retries")
    store.delete("lease")
    real = type(store.fs).pipe_file
    answers = [TimeoutError("answer lost")]

    def lost(fs, path, value, mode="overwrite", **kwargs):
        real(fs, path, value, mode=mode, **kwargs)
        if answers:
            raise answers.pop()

    monkeypatch.setattr(type(store.fs), "pipe_file", lost)
    assert store.write_if_absent("lease", b"token 1") is True
    assert store.write_if_absent("lease", b"token 2") is False
    assert len(pauses) == 1

"""Errors, split by what the operator should do next; each class carries its exit code."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

__all__ = ["CapacityError", "InputError", "S2CloudError", "UnavailableError", "UsageError"]


class S2CloudError(Exception):
    """Root of all errors raised on purpose.

    Parameters
    ----------
    what
        What is wrong, in one sentence without a full stop.
    where
        The file, URL, granule, band or block concerned.
    expected, found
        The value that was needed and the one that was met.
    fix
        What the user can do about it.

    Notes
    -----
    ``str(error)`` is one line: ``what: where (expected ..., found ...). Fix: ...``.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        expected: object = None,
        found: object = None,
        fix: str = "",
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.fix = fix
        super().__init__(self._line())

    @override
    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by the default pickling of exceptions, and errors
        # travel between dask workers and the client.
        return (_rebuild, (type(self), self.what, self.where, self.expected, self.found, self.fix))

    def _line(self) -> str:
        line = f"{self.what}: {self.where}" if self.where else self.what
        facts = [
            f"{word} {value}"
            for word, value in (("expected", self.expected), ("found", self.found))
            if value is not None
        ]
        if facts:
            line += f" ({', '.join(facts)})"
        if self.fix:
            line += f". Fix: {self.fix}"
        return " ".join(line.split())


def _rebuild(
    kind: type[S2CloudError], what: str, where: str, expected: object, found: object, fix: str
) -> S2CloudError:
    return kind(what, where=where, expected=expected, found=found, fix=fix)


class UsageError(S2CloudError):
    """The request itself is wrong: an option, a configuration value, a URL. Exit code 2."""

    exit_code: ClassVar[int] = 2


class InputError(S2CloudError):
    """The input product cannot be processed, now or later. Exit code 3, do not retry."""

    exit_code: ClassVar[int] = 3


class UnavailableError(S2CloudError):
    """A store, network or other dependency failed. Exit code 4, retry later.

    Attributes
    ----------
    transient
        Whether the same request may succeed in a moment; not if it was understood and refused.
    """

    exit_code: ClassVar[int] = 4
    transient: bool = False


class CapacityError(S2CloudError):
    """Not enough memory or disk. Exit code 5, retry on a bigger machine."""

    exit_code: ClassVar[int] = 5

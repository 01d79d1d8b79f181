"""What is written to stderr: messages, logs and progress; stdout carries results only."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from typing import TYPE_CHECKING, Final

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from s2cloud.scheduling.progress import OnProgress

__all__ = ["console", "log_as_json", "progress_bar", "say", "say_error", "set_up_logging"]

#: Where there is no terminal, a line is written for every so many percent, and not more often
#: than every so many seconds.
STEP_PERCENT: Final = 10
STEP_SECONDS: Final = 2.0

_HANDLER: Final = "s2cloud"


def console() -> Console:
    """A console on stderr; no colours and no control codes where stderr is not a terminal."""
    from rich.console import Console  # noqa: PLC0415  # keep --help fast

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Write one line to stderr."""
    print(text, file=sys.stderr, flush=True)


def say_error(text: str) -> None:
    """Write one line that begins with ``error:`` to stderr."""
    say(f"error: {text}")


def set_up_logging(verbose: int) -> None:
    """Send log records to stderr: warnings, with ``-v`` steps, with ``-vv`` everything.

    Parameters
    ----------
    verbose
        How often ``-v`` was given.
    """
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if handler.name == _HANDLER]:
        root.removeHandler(old)
    handler: logging.Handler
    if verbose:
        from rich.logging import RichHandler  # noqa: PLC0415  # keep --help fast

        handler = RichHandler(console=console(), show_path=verbose > 1, rich_tracebacks=False)
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handler.name = _HANDLER
    handler.addFilter(_Ours(logging.WARNING if verbose else logging.ERROR))
    root.addHandler(handler)
    logging.getLogger("s2cloud").setLevel(level)
    logging.captureWarnings(capture=True)


def log_as_json() -> None:
    """Have log records written as JSON from now on, one object per line."""
    from s2cloud.scheduling.logs import JsonFormatter  # noqa: PLC0415  # keep --help fast

    root = logging.getLogger()
    handler = logging.StreamHandler()
    handler.name = _HANDLER
    handler.setFormatter(JsonFormatter())
    for old in [each for each in root.handlers if each.name == _HANDLER]:
        for each in old.filters:
            handler.addFilter(each)
        root.removeHandler(old)
    root.addHandler(handler)


class _Ours(logging.Filter):
    """Passes our records, and those of other libraries from a level on.

    Their warnings are for their callers, that is us, and no news to an operator.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] == "s2cloud" or record.levelno >= self._level


@contextlib.contextmanager
def progress_bar(words: str) -> Iterator[OnProgress]:
    """Show progress on stderr for the ``with`` block.

    A bar where stderr is a terminal, otherwise plain lines.

    Parameters
    ----------
    words
        What is being done.

    Yields
    ------
    OnProgress
        To be called with ``(done, total)``.
    """
    if not sys.stderr.isatty():
        yield _Lines(words)
        return
    from rich.progress import (  # noqa: PLC0415  # keep --help fast
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console(),
        transient=False,
    ) as bar:
        task = bar.add_task(words, total=None, visible=False)

        def update(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield update


class _Lines:
    """Progress as a line every ten percent."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._step = -1
        self._time = 0.0

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // total if total else 0
        step = percent // STEP_PERCENT
        now = time.monotonic()
        if step <= self._step or (now - self._time < STEP_SECONDS and done < total):
            return
        self._step, self._time = step, now
        say(f"{self._words}: {percent} % ({done} of {total} tasks)")

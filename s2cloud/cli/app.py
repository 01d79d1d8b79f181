"""The command ``s2cloud``: one group of commands and one meaning for every exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from s2cloud.cli import console
from s2cloud.cli.batch import batch
from s2cloud.cli.catalog import catalog
from s2cloud.cli.completion import complete_paths
from s2cloud.cli.config import config
from s2cloud.cli.demo import demo
from s2cloud.cli.doctor import doctor
from s2cloud.cli.explain import explain
from s2cloud.cli.info import info
from s2cloud.cli.jobs import jobs
from s2cloud.cli.l2a_process import l2a_process
from s2cloud.cli.lut import lut
from s2cloud.cli.plan import plan
from s2cloud.cli.process import process
from s2cloud.cli.report import report
from s2cloud.cli.serve import serve
from s2cloud.cli.simulate import simulate
from s2cloud.cli.simulate_schedule import simulate_schedule
from s2cloud.cli.validate import validate
from s2cloud.model.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["main"]

logger = logging.getLogger(__name__)

BUG: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
TERMINATED: Final = 143
BROKEN_PIPE: Final = 141

ISSUES: Final = "the issue tracker of s2cloud"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 bug, 2 usage, 3 input unsuitable (do not retry), "
    "4 dependency failed (retry), 5 not enough memory or disk (retry on a bigger machine), "
    "6 some products of a batch failed.",
)
@click.version_option(VERSION, "-V", "--version", prog_name="s2cloud")
@click.option("-v", "--verbose", count=True, help="Tell more on stderr; twice for debugging.")
def cli(verbose: int) -> None:
    """Sentinel-2 Level-1C to Level-2A, from object storage to object storage."""
    console.set_up_logging(verbose)


for _command in (
    batch,
    plan,
    process,
    info,
    explain,
    validate,
    report,
    catalog,
    serve,
    jobs,
    config,
    doctor,
    l2a_process,
    simulate,
    simulate_schedule,
    demo,
    lut,
):
    cli.add_command(_command)
complete_paths(cli)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Words after the program name, those of this process by default.

    Returns
    -------
    int
        The exit code. Failures are told on stderr, in one line unless they are bugs.
    """
    with _terminable():
        try:
            result = cli.main(
                args=None if arguments is None else list(arguments),
                prog_name="s2cloud",
                standalone_mode=False,
            )
        except (click.Abort, KeyboardInterrupt):
            return _stopped("interrupted", INTERRUPTED, leave=arguments is None)
        except _Terminated:
            return _stopped("terminated", TERMINATED, leave=arguments is None)
        except click.ClickException as error:
            return _usage(error)
        except BrokenPipeError:
            # Whoever read our output left; keep the interpreter from complaining at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except Exception as error:  # noqa: BLE001  # the last line of defence names the bug
            return _failure(error)
    return result if isinstance(result, int) else 0


def _usage(error: click.ClickException) -> int:
    hint = ""
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USAGE
    if context is not None:
        hint = f". Fix: see `{context.command_path} --help`"
    console.say_error(" ".join(error.format_message().split()).rstrip(".") + hint)
    return USAGE


def _failure(error: Exception) -> int:
    from s2cloud.scheduling.failures import as_s2cloud_error  # noqa: PLC0415  # keep --help fast

    known = as_s2cloud_error(error)
    if known is not None:
        logger.debug("raised here", exc_info=error)
        console.say_error(str(known))
        return known.exit_code
    traceback.print_exception(error)
    console.say_error(
        f"internal error: {type(error).__name__}: {error}. "
        f"Fix: please report it with the lines above to {ISSUES}"
    )
    return BUG


def _stopped(how: str, code: int, *, leave: bool) -> int:
    console.say_error(f"{how}; nothing was committed")
    if leave:
        # A signal that hits a thread pool while it starts a thread leaves one that Python's own
        # exit would wait for without end. Everything of ours is cleared away by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


class _Terminated(BaseException):
    """SIGTERM, as Kubernetes and batch systems send it before they kill."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that workers and temporary files are cleared away."""

    def stop(*_: Any) -> NoReturn:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

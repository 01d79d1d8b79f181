"""What every command has in common: JSON, completion, progress on terminals and in notebooks."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from s2cloud.cli.app import cli

COMMAND = Path(sys.executable).with_name("s2cloud")
PROGRESS = """
import sys
from s2cloud.cli.console import progress_bar
with progress_bar("processing") as on_progress:
    for done in range(101):
        on_progress(done, 100)
"""


def leaves(group, before=()):
    """Words and command of everything that can be called."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*before, name))
        else:
            yield (*before, name), command


COMMANDS = dict(leaves(cli))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_answers_in_json_and_says_what_it_does(words, run):
    command = COMMANDS[words]
    options = {name: param for param in command.params for name in param.opts}
    assert options["--json"].is_flag
    assert command.short_help.endswith(".")
    assert all(param.help for param in command.params if isinstance(param, click.Option))
    code, out, err = run(*words, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: s2cloud {' '.join(words)} ")
    assert max(map(len, out.splitlines())) <= 100


def completed(line):
    """What bash offers after a line."""
    bash = shutil.which("bash")
    if bash is None or not COMMAND.exists():
        pytest.skip("needs bash and the installed command")
    script = f"""
    eval "$(_S2CLOUD_COMPLETE=bash_source {COMMAND})"
    COMP_WORDS=({line} ""); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    compopt() {{ echo "compopt $*"; }}
    _s2cloud_completion {COMMAND}
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    # The script of click calls the command by the name it was completed for.
    environment = os.environ | {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    done = subprocess.run(  # noqa: S603  # our own words
        [bash, "--norc", "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.split("\n"), done.stderr


def test_bash_completes_commands_choices_and_paths():
    offered, err = completed("s2cloud")
    assert {"process", "l2a-process", "doctor"} <= set(offered), err
    assert {"S2A", "S2B", "S2C"} <= set(completed("s2cloud simulate --sensor")[0])
    assert completed("s2cloud process")[0][:2] == ["compopt -o", "default"]
    assert completed("s2cloud batch a.txt b --config")[0][:2] == ["compopt -o", "default"]


def test_progress_on_a_terminal_is_a_bar():
    ours, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603  # our own words
        [sys.executable, "-c", PROGRESS],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"},
    )
    out, _ = process.communicate(timeout=60)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert process.returncode == 0
    assert out == b""
    assert "━" in shown
    assert "100/100" in shown
    assert "\x1b[?25h" in shown  # the cursor is back


def test_progress_in_a_notebook_is_dasks_own(simulated):
    """A notebook's standard error is no terminal; the bar of dask goes to its standard output."""
    words = f"""
from dask.diagnostics import ProgressBar
import s2cloud
l2a = s2cloud.process(s2cloud.open_l1c({simulated.uri!r}))
with ProgressBar(dt=0.05):
    l2a["measurements/reflectance/r60m/b01"].compute()
"""
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", words], capture_output=True, text=True, check=True
    )
    assert "100% Completed" in done.stdout

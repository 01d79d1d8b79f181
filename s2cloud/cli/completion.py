"""What the shell completes: click knows commands and options, here it learns of paths."""

from __future__ import annotations

from typing import Final

import click

__all__ = ["complete_paths"]

#: Names of words that may be the path of a file or folder, or an address.
_PATHS: Final = frozenset({"SRC", "SRC...", "[SRC]...", "DST", "FILE", "PATH", "URL", "INPUT_DIR"})
_PATH: Final = click.Path()


def complete_paths(command: click.Command) -> None:
    """Let the words of a command, and of its subcommands, be completed as paths.

    Parameters
    ----------
    command
        Command or group; its plain words that are called by a name of `_PATHS` are changed.
    """
    for parameter in command.params:
        if parameter.metavar in _PATHS and parameter.type is click.STRING:
            parameter.type = _PATH
    for inner in getattr(command, "commands", {}).values():
        complete_paths(inner)

"""Words for operators: arguments in, exit codes out, no logic."""

from __future__ import annotations

from s2cloud.cli.app import main

__all__ = ["main"]

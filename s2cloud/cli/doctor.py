"""``s2cloud doctor``: whether this machine can do what it is to do."""

from __future__ import annotations

import json

import click

from s2cloud.cli.options import parse_storage_options, with_storage_options

__all__ = ["doctor"]


@click.command(short_help="Look for what would fail on this machine, and say how to mend it.")
@click.option("--read", multiple=True, metavar="URL", help="Inputs come from here; repeatable.")
@click.option("--write", multiple=True, metavar="URL", help="Products go here; repeatable.")
@click.option("--all", "everything", is_flag=True, help="Name what is fine of libraries, too.")
@with_storage_options(destination=False)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(
    *,
    read: tuple[str, ...],
    write: tuple[str, ...],
    everything: bool,
    storage_option: tuple[str, ...],
    storage_options: str | None,
    as_json: bool,
) -> int:
    """Look at interpreter, libraries, codecs, tables, memory, disk and stores.

    With --write a small object is written there and removed. Exits with 0 if nothing will fail,
    else with the exit code that other commands would fail with.
    """
    from s2cloud.scheduling.doctor import examine  # noqa: PLC0415  # keep --help fast

    options = parse_storage_options(storage_option, storage_options)
    checks = examine(read, write, storage_options=options)
    code = max((check.exit_code for check in checks), default=0)
    if as_json:
        print(json.dumps({"ok": not code, "checks": [check.to_dict() for check in checks]}))
        return code
    for check in checks:
        plain = check.name.startswith(("library ", "extra ")) and check.state == "ok"
        if everything or not plain:
            print(f"{check.state:8} {check.name}: {check.found}")
            if check.fix and check.state != "ok":
                print(f"         Fix: {check.fix}")
    return code

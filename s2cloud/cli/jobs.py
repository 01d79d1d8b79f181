"""``s2cloud jobs``: what the service has done, does, and is to do again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from s2cloud.cli import console
from s2cloud.cli.serve import with_settings

if TYPE_CHECKING:
    from s2cloud.service.records import Records

__all__ = ["jobs"]

_STATES = ("pending", "leased", "done", "failed", "refused", "cancelled")


@click.group(short_help="List, show, retry and cancel jobs of the service.")
def jobs() -> None:
    """Look after the jobs of `s2cloud serve`, in the store where it keeps them."""


@jobs.command("list", short_help="List jobs.")
@with_settings
@click.option("--state", type=click.Choice(_STATES), help="Only these.")
@click.option("--days", type=click.IntRange(min=1), default=7, show_default=True, help="Ended in.")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True, help="Most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_jobs(settings: str, state: str | None, days: int, limit: int, *, as_json: bool) -> None:
    """List jobs that have not ended, then those that ended lately, the last one first."""
    records = _records(settings)
    rows: list[dict[str, Any]] = []
    if state in {None, "pending", "leased"}:
        for job, entry in sorted(records.open_jobs().items()):
            found = "leased" if entry.lease else "pending"
            if entry.known and state in {None, found}:
                rows.append({"job": job, "state": found, "tries": entry.tries})
    if state not in {"pending", "leased"}:
        for job, ended, moment in records.recent(days=days, limit=limit):
            if state in {None, ended}:
                facts = (records.ended(job) or _nothing()).facts
                row = {"job": job, "state": ended, "ended": moment.isoformat()}
                kept = ("tries", "reason", "product", "name")
                rows.append(row | {name: facts[name] for name in kept if name in facts})
    rows = rows[:limit]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        words = row.get("reason") or row.get("product") or ""
        print(f"{row['state']:9} {row.get('tries', 0):2} tries  {row['job']}  {words}".rstrip())
    if not rows:
        console.say("no jobs")


@jobs.command(short_help="Show one job.")
@click.argument("job")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Without line breaks.")
def show(job: str, settings: str, *, as_json: bool) -> None:
    """Print all that is known of JOB as JSON."""
    records = _records(settings)
    indent = None if as_json else 2
    ended = records.ended(job)
    if ended is not None:
        print(json.dumps(ended.facts | {"state": ended.state}, indent=indent))
        return
    _, facts = records.description(job)
    entry = records.open_jobs().get(job)
    state = "leased" if entry is not None and entry.lease else "pending"
    age = round(time.time() - float(facts["received"]), 1)
    tries = records.tries(job)
    print(json.dumps(facts | {"state": state, "age": age, "tries": tries}, indent=indent))


@jobs.command(short_help="Make jobs again that failed or were refused.")
@click.argument("names", nargs=-1, metavar="[JOB]...")
@click.option("--failed", is_flag=True, help="All that failed in the last 7 days.")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print the names of the jobs as JSON.")
def retry(names: tuple[str, ...], settings: str, *, failed: bool, as_json: bool) -> None:
    """Open each JOB once more, with all its tries."""
    records = _records(settings)
    wanted = list(names)
    if failed:
        wanted += [job for job, state, _ in records.recent(limit=10_000) if state == "failed"]
    if not wanted:
        raise click.UsageError("name jobs, or give --failed")
    opened = []
    for job in dict.fromkeys(wanted):
        if failed and job not in names:
            ended = records.ended(job)
            if ended is None or ended.state != "failed":
                continue  # it was opened again since
        records.retry(job)
        opened.append(job)
        console.say(f"{job} is open again")
    if as_json:
        print(json.dumps(opened))


@jobs.command(short_help="Cancel jobs that have not ended.")
@click.argument("names", nargs=-1, required=True, metavar="JOB...")
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print the names of the jobs as JSON.")
def cancel(names: tuple[str, ...], settings: str, *, as_json: bool) -> None:
    """End each JOB; of a product that is being made no further task begins."""
    records = _records(settings)
    for job in names:
        records.cancel(job)
        console.say(f"{job} will be cancelled")
    if as_json:
        print(json.dumps(names))


def _records(settings: str) -> Records:
    from s2cloud.service.records import records_of  # noqa: PLC0415  # keep --help fast
    from s2cloud.service.settings import load_settings  # noqa: PLC0415

    return records_of(load_settings(settings))


def _nothing() -> Any:
    from s2cloud.service.records import Ended  # noqa: PLC0415

    return Ended("failed")

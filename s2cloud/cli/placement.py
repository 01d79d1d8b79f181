"""Options that say where the work is done, for several commands."""

from __future__ import annotations

from typing import Any

import click

from s2cloud.cli.options import parse_storage_options

__all__ = ["cluster_arguments", "with_cluster"]


def with_cluster(command: Any) -> Any:
    """Decorate a command with the options that choose a cluster."""
    options = (
        click.option(
            "--cluster",
            "kind",
            default="threads",
            show_default=True,
            metavar="KIND",
            help="threads, local, slurm, slurm-runner, kubernetes, gateway, or the address of a "
            "scheduler, tcp://HOST:PORT.",
        ),
        click.option("--workers", type=click.IntRange(min=1), help="Workers, or threads."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads per worker."),
        click.option("--memory", metavar="8GiB", help="Memory per worker."),
        click.option(
            "--cluster-option",
            multiple=True,
            metavar="KEY=VALUE",
            help="More for the cluster: queue=..., image=..., address=..., tls_ca_file=...",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def cluster_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `s2cloud.scheduling.cluster.cluster` from the options of `with_cluster`."""
    return {
        "kind": given["kind"],
        "workers": given["workers"],
        "threads": given["threads"],
        "memory": given["memory"],
        "options": parse_storage_options(given["cluster_option"], None),
    }

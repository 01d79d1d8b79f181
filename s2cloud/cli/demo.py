"""``s2cloud demo``: the whole way on this machine, with nothing but this package."""

from __future__ import annotations

import json

import click

from s2cloud.cli import console

__all__ = ["demo"]


@click.command(short_help="Show the whole way on this machine, from bucket to bucket.")
@click.argument("directory", metavar="[DIR]", default="demo", type=click.Path(file_okay=False))
@click.option("--size", type=click.IntRange(min=360), default=2196, show_default=True,
              help="Rows and columns of the 10 m grid, a multiple of 6.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def demo(directory: str, *, size: int, workers: int | None, as_json: bool) -> None:
    """Simulate a product, process it from bucket to bucket, and compare with the truth.

    Starts an S3 server on this machine, simulates an L1C product into it, processes it on a
    local dask cluster, and downloads products, pictures and the comparison to DIR.
    """
    from s2cloud.demo import run_demo  # noqa: PLC0415  # keep --help fast

    with console.progress_bar("processing") as on_progress:
        result = run_demo(
            directory, size=size, workers=workers, on_step=console.say, on_progress=on_progress
        )
    if as_json:
        facts = {"product": result.product, "quicklook": result.quicklook, "table": result.table}
        print(json.dumps(facts | {"seconds": round(result.seconds, 1)}, default=str))
        return
    print(result.table)
    for path in result.files:
        console.say(str(path))

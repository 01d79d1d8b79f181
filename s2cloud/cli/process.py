"""``s2cloud process``: one L1C product to L2A."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from s2cloud.cli import console
from s2cloud.cli.options import (
    FORMATS,
    MAPS,
    geometry_text,
    is_remote,
    parse_storage_options,
    with_maps,
    with_part,
    with_storage_options,
)
from s2cloud.cli.placement import cluster_arguments, with_cluster

__all__ = ["process"]


@click.command(short_help="Make the L2A product of an L1C product.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--format", "formats", type=FORMATS, default="cog,zarr", show_default=True, help="Outputs."
)
@with_part
@click.option(
    "--neighbour",
    "neighbours",
    multiple=True,
    metavar="SRC",
    help="Neighbouring tile of the same overpass, for light from beyond the border; repeatable.",
)
@click.option("--config", metavar="FILE", help="Processing options, a YAML file.")
@with_maps
@with_cluster
@click.option("--overwrite", is_flag=True, help="Replace a product that is already there.")
@click.option("--report", is_flag=True, help="Write a page about the product, too: report.html.")
@with_storage_options(destination=True)
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def process(  # noqa: PLR0913  # one parameter per option
    source: str,
    destination: str,
    *,
    formats: tuple[Any, ...],
    bbox: tuple[float, float, float, float] | None,
    bbox_crs: str,
    geometry: str | None,
    mask: bool,
    bands: tuple[str, ...] | None,
    resolution: tuple[int, ...] | None,
    quick: bool,
    statistics: Any,
    neighbours: tuple[str, ...],
    config: str | None,
    overwrite: bool,
    report: bool,
    storage_option: tuple[str, ...],
    storage_options: str | None,
    dst_storage_option: tuple[str, ...],
    dst_storage_options: str | None,
    aux_storage_option: tuple[str, ...],
    aux_storage_options: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Make the L2A product of the L1C product SRC under DST.

    SRC is a SAFE folder, a zip of one, a tile of the open data on AWS, EOPF Zarr, or a STAC item;
    on disk or at a URL such as s3://bucket/path/NAME.SAFE.
    DST is a folder or a URL prefix; the product goes to DST/NAME_OF_THE_L2A_PRODUCT/ and is
    complete once its receipt is there. A product that is complete is not made again.
    """
    from s2cloud.config import load_config  # noqa: PLC0415  # keep --help fast
    from s2cloud.scheduling.cluster import cluster  # noqa: PLC0415
    from s2cloud.scheduling.heap import keep_freed_memory, spare_modules  # noqa: PLC0415
    from s2cloud.scheduling.jobs import Job, run_job  # noqa: PLC0415

    keep_freed_memory()
    spare_modules()
    common = parse_storage_options(storage_option, storage_options)
    separate = parse_storage_options(dst_storage_option, dst_storage_options)
    auxiliary = parse_storage_options(aux_storage_option, aux_storage_options)
    chosen = load_config(config)
    named = {name: given[name] for name in MAPS if given[name] is not None}
    if named:
        maps_of = chosen.auxiliary.model_copy(update=named)
        chosen = chosen.model_copy(update={"auxiliary": maps_of})
    job = Job(
        source=source,
        destination=destination,
        formats=formats,
        bbox=bbox,
        bbox_crs=bbox_crs,
        geometry=geometry_text(geometry, bbox_crs, common),
        mask=mask,
        bands=bands,
        resolution=resolution,
        statistics=statistics,
        quick=quick,
        config=chosen,
        source_options=common if is_remote(source) else {},
        destination_options=(separate or common) if is_remote(destination) else {},
        auxiliary_options=auxiliary or common,
        overwrite=overwrite,
        neighbours=neighbours,
    )
    began = time.monotonic()
    with (
        cluster(**cluster_arguments(given)) as client,
        console.progress_bar("processing") as on_progress,
    ):
        receipt = run_job(job, on_progress=on_progress, client=client)
        if report:
            from s2cloud.io.report import write_report  # noqa: PLC0415
            from s2cloud.io.urls import join_url  # noqa: PLC0415

            write_report(
                join_url(destination, receipt.product),
                storage_options=dict(job.destination_options),
            )
    seconds = time.monotonic() - began
    if as_json:
        facts = {"job": job.key, "seconds": round(seconds, 1), **json.loads(receipt.to_json())}
        print(json.dumps(facts))
    else:
        print(receipt.destination)
        console.say(f"done in {seconds:.0f} s")

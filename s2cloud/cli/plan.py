"""``s2cloud plan``: what products will take and cost, before anything runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from s2cloud.cli import console
from s2cloud.cli.options import (
    FORMATS,
    geometry_text,
    is_remote,
    parse_storage_options,
    with_part,
    with_storage_options,
)

if TYPE_CHECKING:
    from s2cloud.scheduling.costs import CostModel, Measured
    from s2cloud.scheduling.plan import Plan

__all__ = ["plan"]


@click.command(short_help="Tell what products will take and cost, before anything runs.")
@click.argument("sources", metavar="SRC...", nargs=-1)
@click.option(
    "--format", "formats", type=FORMATS, default="cog,zarr", show_default=True, help="Outputs."
)
@with_part
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True,
              help="Workers of the cluster.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True,
              help="Threads per worker.")  # fmt: skip
@click.option("--memory", default="8GiB", show_default=True, help="Memory per worker.")
@click.option("--strategy", default="fifo", show_default=True, help="Which product comes next.")
@click.option("--prices", metavar="FILE", help="Price table, YAML: core_hour: 0.04, ...")
@click.option("--model", metavar="FILE", help="Cost model written by --save-model.")
@click.option("--fit", multiple=True, metavar="FILE",
              help="Fit the cost model from run files and receipts.")  # fmt: skip
@click.option("--save-model", metavar="FILE", help="Keep the fitted model.")
@with_storage_options(destination=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def plan(**given: Any) -> int:
    """Tell blocks, bytes, CPU time, memory, wall time and cost of the L1C products SRC...

    SRC as for `s2cloud batch`. Metadata are read, no pixel is. Exit code 5 if a product does not
    fit into the memory of the workers.
    """
    from s2cloud.scheduling.plan import Prices  # noqa: PLC0415  # keep --help fast
    from s2cloud.scheduling.plan import plan as plan_jobs  # noqa: PLC0415
    from s2cloud.scheduling.simulator import Pool  # noqa: PLC0415

    options = parse_storage_options(given["storage_option"], given["storage_options"])
    model, measured = _model(given, options)
    if not given["sources"]:
        if not given["fit"]:
            raise click.UsageError("no products")
        return 0
    pool = Pool(
        workers=given["workers"], threads=given["threads"], memory_bytes=_bytes(given["memory"])
    )
    found = plan_jobs(
        _jobs(given, options),
        [pool],
        model=model,
        prices=Prices.read(given["prices"]) if given["prices"] else None,
        strategy_name=given["strategy"],
    )
    if given["as_json"]:
        print(json.dumps({**found.to_dict(), "error": _errors(model, measured)}))
    else:
        print(_words(found))
    return 5 if found.oversized else 0


def _model(given: dict[str, Any], options: dict[str, Any]) -> tuple[CostModel, list[Measured]]:
    from s2cloud.scheduling.costs import CostModel  # noqa: PLC0415  # keep --help fast

    def of(address: str) -> dict[str, Any]:
        return options if is_remote(address) else {}

    model = CostModel()
    if given["model"]:
        model = CostModel.read(given["model"], of(given["model"]))
    measured = [each for path in given["fit"] for each in _measured(path, of(path))]
    if given["fit"]:
        model = model.fitted(measured)
        for name, error in _errors(model, measured).items():
            console.say(
                f"{name}: fitted from {model.products} products; each predicted from the others: "
                f"mean error {error['mean']:.0f} %, worst {error['worst']:.0f} %"
            )
    if given["save_model"]:
        from s2cloud.io.stores import open_store  # noqa: PLC0415  # keep --help fast
        from s2cloud.io.urls import parent_url  # noqa: PLC0415

        folder, name = parent_url(given["save_model"])
        open_store(folder, of(folder)).write(name, model.to_json().encode())
    return model, measured


def _measured(address: str, options: dict[str, Any]) -> list[Measured]:
    from s2cloud.io.stores import open_store  # noqa: PLC0415  # keep --help fast
    from s2cloud.io.urls import parent_url  # noqa: PLC0415
    from s2cloud.model.errors import InputError  # noqa: PLC0415
    from s2cloud.scheduling.costs import Measured  # noqa: PLC0415
    from s2cloud.scheduling.runfile import measured_of  # noqa: PLC0415

    folder, name = parent_url(address)
    text = open_store(folder, options).read(name)
    try:
        values = json.loads(text)
        if "products" in values:
            return measured_of(values)
        found = Measured.from_receipt(values)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "neither a run file nor a receipt",
            where=address,
            found=f"{type(error).__name__} {error}",
        ) from error
    return [] if found is None else [found]


def _errors(model: CostModel, measured: list[Measured]) -> dict[str, dict[str, float]]:
    if len(measured) < 2:
        return {}
    names = ("cpu_s", "serial_s", "memory_bytes", "bytes_written")
    found = {name: model.error(measured, name) for name in names}
    return {
        name: {"products": each.count, "mean": each.mean, "worst": each.worst}
        for name, each in found.items()
        if each.count
    }


def _jobs(given: dict[str, Any], options: dict[str, Any]) -> list[Any]:
    from s2cloud.scheduling.jobs import Job  # noqa: PLC0415  # keep --help fast
    from s2cloud.scheduling.submit import sources_of  # noqa: PLC0415

    geometry = geometry_text(given["geometry"], given["bbox_crs"], options)
    chosen = {
        name: given[name]
        for name in ("formats", "bbox", "bbox_crs", "mask", "bands", "resolution", "statistics")
    } | {"quick": given["quick"]}
    return [
        Job(
            source,
            "",
            **chosen,
            geometry=geometry,
            source_options=options if is_remote(source) else {},
        )
        for source in sources_of(list(given["sources"]), options)
    ]


def _bytes(text: str) -> int:
    from dask.utils import parse_bytes  # noqa: PLC0415  # keep --help fast

    try:
        return int(parse_bytes(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a size such as 8GiB") from error


def _words(found: Plan) -> str:
    gigabyte = 1e9
    lines = [
        f"products          {len(found.products)}",
        f"area              {found.area_km2:.0f} km2",
        f"blocks            {found.blocks}",
        f"read              {found.bytes_read / gigabyte:.2f} GB",
        f"written           {found.bytes_written / gigabyte:.2f} GB",
        f"CPU time          {found.cpu_s:.0f} s",
        f"peak memory       {found.memory_bytes / 2**30:.2f} GiB per product at most",
        f"wall time         {found.wall_s:.0f} s on these workers",
        f"cost              {found.cost:.4f}, {found.cost_per_1000_km2:.4f} per 1000 km2",
        "cost model        "
        + (
            f"fitted from {found.model_products} products"
            if found.model_products
            else "as it comes along; fit your own with --fit"
        ),
    ]
    lines += [f"does not fit      {name}" for name in found.oversized]
    lines += [f"unsuitable        {source}: {reason}" for source, reason in found.unsuitable]
    return "\n".join(lines)

"""The commit protocol: one writer at a time, every file first, the receipt last.

A product exists when its receipt does. Names are the same for every attempt: one that follows a
killed or interrupted one keeps what that finished and makes the rest, under a lease that keeps
other runs away (`s2cloud.io.lease`, `s2cloud.io.journal`).
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import dask
import numpy as np
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph

from s2cloud.io.attempt import Attempt
from s2cloud.io.checksums import is_passing
from s2cloud.io.draft import draft
from s2cloud.io.journal import Journal, finished_parts
from s2cloud.io.layers import Layer, layers_of
from s2cloud.io.lease import Lease, leased, swept
from s2cloud.io.receipt import Asset, Layout, Receipt, digest_of, read_receipt
from s2cloud.io.stac import to_stac
from s2cloud.io.stores import Store, open_store
from s2cloud.io.target import Product, Results, Sink, Target, file_name, layer_id
from s2cloud.model.errors import CapacityError, UnavailableError, UsageError
from s2cloud.model.granule import granule
from s2cloud.model.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr

__all__ = ["VOLATILE", "commit", "product_digest"]

logger = logging.getLogger(__name__)

#: Parts of the provenance that differ between runs that make the same pixels.
VOLATILE: Final = frozenset(
    {"created", "started", "finished", "timings", "warnings", "host", "input_files"}
)


def commit(
    l2a: xr.DataTree,
    destination: str,
    targets: Sequence[Target],
    *,
    storage_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    item: bool = False,
    settle: Callable[[], None] | None = None,
) -> Receipt:
    """Write a product in some formats, in one computation, and commit it.

    Parameters
    ----------
    l2a
        Tree returned by ``process``.
    destination
        Product folder, or ``.zarr`` address where Zarr is the only format.
    targets
        Formats.
    storage_options
        Options of the file system.
    settle
        Called after a failure and before the clean-up: waits until tasks that still run in other
        processes have ended, so that they write nothing after it.
    overwrite
        Replace what is committed there.
    item
        Write a STAC item, too.

    Returns
    -------
    Receipt
        The one found if the same product is there already in these formats.

    Raises
    ------
    UsageError
        If another product is there and `overwrite` is False.
    UnavailableError
        If another run is writing there, or the store fails.
    CapacityError
        If a disk or the memory is full.
    """
    store, product = _prepare(l2a, str(destination), storage_options)
    wanted = Attempt(product, store, list(targets), item, None, extend=False, settle=settle)
    if not overwrite and (found := _found(wanted)) is not None:
        swept(store, product.layout.progress)
        return found
    with leased(store, product.layout.progress) as lease:
        # Looked for again: whoever held the lease before may have made it.
        if not overwrite and (found := _found(wanted)) is not None:
            lease.spent = True
            return found
        old = read_receipt(store, product.layout.receipt)
        extend = old is not None and not overwrite
        if extend and old is not None:
            targets = [target for target in targets if target.format not in old.formats]
        if not overwrite:
            for target in targets:
                target.check(product, store)
        return _execute(replace(wanted, targets=list(targets), old=old, extend=extend), lease)


def _found(run: Attempt) -> Receipt | None:
    """Receipt of the product that is there in all formats; another product is an error."""
    old = read_receipt(run.store, run.product.layout.receipt)
    if old is None:
        return None
    if old.digest != run.product.digest:
        raise _occupied(old, run.product, run.store)
    formats, keys = {target.format for target in run.targets}, {a.key for a in old.assets}
    if not formats <= set(old.formats) or (run.item and "item" not in keys):
        return None
    logger.info("found %s already written at %s", run.product.name, run.store.url())
    return old


def _prepare(
    l2a: xr.DataTree, destination: str, storage_options: Mapping[str, Any] | None
) -> tuple[Store, Product]:
    identity = granule(l2a)
    layout = Layout.of(destination, file_name(identity.l2a_name))
    layers = tuple(layers_of(l2a))
    product = Product(l2a, identity, layers, layout, product_digest(l2a, layers))
    return open_store(layout.root, storage_options), product


def _execute(run: Attempt, lease: Lease) -> Receipt:
    start = time.perf_counter()
    product, store = run.product, run.store
    sink = Sink.opened(store)
    lease.on_loss = sink.close
    journal = Journal(sink, product.layout.progress, run.key)
    try:
        if run.old is not None and not run.extend:
            # First of all: the product must never look complete while it is half replaced.
            store.delete(product.layout.receipt)
        run.remove_unfinished()
        results, seconds = _compute(run, sink, journal)
        receipt = draft(run, results)
        assets = list(receipt.assets)
        for target, part in zip(run.targets, results, strict=True):
            assets += target.finish(product, part, receipt, sink)
        receipt = replace(receipt, assets=tuple(assets))
        if run.item:
            receipt = _with_item(receipt, product, sink)
        _verify(receipt, store)
        lease.confirm()
        total = time.perf_counter() - start
        timings = {"compute_s": round(seconds, 3), "total_s": round(total, 3)}
        receipt = _write_receipt(run, replace(receipt, timings=timings))
    except BaseException as error:
        sink.close()
        if run.settle is not None:
            run.settle()
        lease.spent = not run.leave(journal, error)
        if isinstance(error, MemoryError):
            raise CapacityError(
                "not enough memory", where=product.name, fix="use fewer threads or a bigger machine"
            ) from error
        raise
    finally:
        sink.close()
        journal.close()
    run.remove_stale(receipt)
    lease.spent = True
    logger.info(
        "wrote %s to %s: %d assets, %.1f MB in %.1f s",
        *(product.name, store.url(), len(receipt.assets), receipt.size / 1e6, total),
        extra={"granule": product.granule.name},
    )
    return receipt


def _compute(run: Attempt, sink: Sink, journal: Journal) -> tuple[list[Results], float]:
    """Everything of all formats in one computation, so that shared work happens once."""
    start = time.perf_counter()
    layers = {layer_id(la): la for t in run.targets for la in t.layers(run.product)}
    small = _small_variables(run)
    arrays = _optimised_together([*(la.counts for la in layers.values()), *small.values()])
    blocks = {
        name: array.to_delayed(optimize_graph=False)
        for name, array in zip(layers, arrays[: len(layers)], strict=True)
    }
    tasks = [target.tasks(run.product, blocks, sink) for target in run.targets]
    units = [[str(task.key).replace(sink.token, "") for task in some] for some in tasks]
    done = finished_parts(run.store, journal.folder, journal.key, run.names)
    missing = {
        unit: _noted(task, unit, journal)
        for names, some in zip(units, tasks, strict=True)
        for unit, task in zip(names, some, strict=True)
        if unit not in done
    }
    made, values = dask.compute(
        list(missing.values()), list(arrays[len(layers) :]), optimize_graph=False
    )
    done |= dict(zip(missing, made, strict=True))
    computed = {name: np.asarray(value) for name, value in zip(small, values, strict=True)}
    # In the order of the tasks, whoever did them: equal products have equal metadata.
    results = [Results([w for name in names for w in done[name]], computed) for names in units]
    return results, time.perf_counter() - start


def _noted(task: Any, unit: str, journal: Journal) -> Any:
    """The task, followed by a note of what it wrote."""
    name = f"note-{unit}-{journal.sink.token}"
    return dask.delayed(journal.note, pure=False)(unit, task, dask_key_name=name)


def _optimised_together(arrays: list[Any]) -> list[Any]:
    """The arrays on one graph in which what they share is one task.

    Not by `dask.optimize`: dask 2026 optimises each array apart there, and a decoder that has
    one consumer in the graph of each of two arrays is fused into both and runs twice.
    """
    if not arrays:
        return []
    merged = HighLevelGraph.merge(*(array.__dask_graph__() for array in arrays))
    keys = list(flatten([array.__dask_keys__() for array in arrays]))
    graph = arrays[0].__dask_optimize__(merged, keys)
    rebuilt = []
    for array in arrays:
        rebuild, args = array.__dask_postpersist__()
        rebuilt.append(rebuild(graph, *args))
    return rebuilt


def _small_variables(run: Attempt) -> dict[str, Any]:
    """Lazy variables that are no rasters; single numbers alone where only rasters are written."""
    rasters = {layer_id(layer) for layer in run.product.layers}
    numbers_only = all(target.format != "zarr" for target in run.targets)
    return {
        f"{node.path.strip('/')}/{name}": variable.data
        for node in run.product.l2a.subtree
        for name, variable in node.data_vars.items()
        if variable.chunks is not None
        and f"{node.path.strip('/')}/{name}" not in rasters
        and (variable.ndim == 0 or not numbers_only)
    }


def _with_item(receipt: Receipt, product: Product, sink: Sink) -> Receipt:
    item = to_stac(product.l2a, receipt)
    text = json.dumps(item.to_dict(include_self_link=False), indent=2) + "\n"
    written = sink.write(product.layout.item, text.encode())
    asset = Asset(
        key="item",
        href=written.path,
        media_type="application/geo+json",
        roles=("metadata",),
        size=written.size,
        sha256=written.sha256,
        title="STAC item",
    )
    return replace(receipt, assets=(*receipt.assets, asset))


def _verify(receipt: Receipt, store: Store) -> None:
    """See that all files are there: another run that failed may have cleaned them away."""
    for asset in receipt.assets:
        folder = asset.href.endswith((".zarr", ".SAFE"))
        found = (
            sum(info.size for path, info in store.find(asset.href).items() if not is_passing(path))
            if folder
            else store.info(asset.href).size
        )
        if found != asset.size:
            raise UnavailableError(
                "file changed while the product was written",
                where=store.url(asset.href),
                expected=f"{asset.size} bytes",
                found=found,
                fix="another run writes to the same place; try again when it is done",
            )


def _write_receipt(run: Attempt, receipt: Receipt) -> Receipt:
    name, data = run.product.layout.receipt, receipt.to_json().encode()
    if run.extend:
        run.store.write(name, data)
        return receipt
    if run.store.write_if_absent(name, data):
        return receipt
    other = read_receipt(run.store, name)
    if other is not None and other.digest == receipt.digest:
        logger.warning("another run has just committed %s to %s", receipt.product, run.store.url())
        return other
    raise _occupied(other, run.product, run.store)


def _occupied(other: Receipt | None, product: Product, store: Store) -> UsageError:
    made = f"{other.product} by {other.software}" if other is not None else "another product"
    return UsageError(
        "destination holds another product",
        where=store.url(product.layout.receipt),
        expected=f"{product.granule.l2a_name} with the same configuration and software",
        found=made,
        fix="pass overwrite=True (--overwrite) or choose another destination",
    )


def product_digest(l2a: xr.DataTree, layers: Sequence[Layer]) -> str:
    """Identity of the content of a product before a pixel of it is computed.

    Notes
    -----
    Granule, grids, provenance (configuration, tables, auxiliary data) and software version make
    the pixels. Pixels that did not come from a product have no identity but themselves: there
    the graph's own token joins in, which dask derives from the arrays given.
    """
    identity = granule(l2a)
    provenance = l2a.root.attrs.get("provenance", {})
    facts: dict[str, Any] = {
        "granule": {k: v for k, v in identity.to_attrs().items() if k != "uri"},
        "provenance": {k: v for k, v in provenance.items() if k not in VOLATILE},
        "grids": {
            layer_id(layer): (layer.grid.crs, layer.grid.transform, layer.grid.shape)
            for layer in layers
        },
        "software": VERSION,
    }
    if not identity.uri:
        facts["pixels"] = [layer.counts.name for layer in layers]
    return digest_of(facts)

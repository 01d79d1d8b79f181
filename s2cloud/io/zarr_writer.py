"""L2A trees to Zarr v3 in the group and variable names of ESA's EOPF products."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import dask
import numpy as np

from s2cloud.io.checksums import SUFFIX
from s2cloud.io.commit import commit
from s2cloud.io.folders import folder_assets, remove_leftovers
from s2cloud.io.layers import Layer, RasterKind, summarise
from s2cloud.io.target import Product, Results, Sink, Written, layer_id
from s2cloud.io.zarr_chunks import encode_chunk, encode_shard
from s2cloud.io.zarr_metadata import DIGEST, ROOT, hierarchy, root_attributes
from s2cloud.io.zarr_overviews import overview_layers
from s2cloud.model.errors import InputError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.io.receipt import Asset, Receipt
    from s2cloud.io.stores import Store

__all__ = ["ZarrOptions", "ZarrTarget", "to_zarr"]

#: Simultaneous uploads of metadata, small objects that cost a round trip each.
_UPLOADS = 8
#: Chunks along a side of a shard.
_PER_SHARD: Final = 3


@dataclass(frozen=True, slots=True)
class ZarrOptions:
    """How a Zarr store is laid out.

    Attributes
    ----------
    version
        Version of the Zarr format. EOPF's own products are version 2, and its tools and GDAL
        before 3.11 read no other; everything newer reads 3.
    sharding
        Whether a block of 18.3 km is nine chunks in one object, so that a reader of a small place
        decodes a ninth; version 3 only.
    overviews
        Whether there are rasters of 120, 240 and 480 m, too.
    """

    version: Literal[2, 3] = 3
    sharding: bool = False
    overviews: bool = False

    def __post_init__(self) -> None:
        if self.version not in {2, 3} or (self.sharding and self.version == 2):
            raise UsageError(
                "no such Zarr layout",
                expected="version 2, or version 3 with or without sharding",
                found=f"version {self.version}, sharding {self.sharding}",
                fix="leave sharding out or choose version 3",
            )


def to_zarr(
    l2a: xr.DataTree,
    destination: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    options: ZarrOptions | None = None,
) -> Receipt:
    """Write a tree as Zarr.

    Parameters
    ----------
    l2a
        Tree returned by ``process``; it is computed here, once.
    destination
        Address of the store, ending in ``.zarr``; or a product folder that gets the store
        ``<product name>.zarr``, beside GeoTIFFs of the same product if there are any.
    storage_options
        Options of its file system.
    overwrite
        Replace a different product that is committed there.
    options
        Layout of the store: version of the format, sharding, overviews.

    Returns
    -------
    Receipt
        What was written, or what was found if the same product is there already.

    Raises
    ------
    UsageError
        If something else is there and `overwrite` is False.
    CapacityError
        If a disk or the memory is full.

    Notes
    -----
    Zarr v3 unless `options` say otherwise, consolidated, one chunk per 18.3 km block, blosc with
    zstd level 1 and bit-shuffle.
    Pixels are the integers that the GeoTIFFs hold, with CF ``scale_factor``, ``add_offset`` and
    ``_FillValue``; the scene classification has no ``_FillValue``, so that it opens as integers
    with class 0 for no-data. Blocks without data are not stored.
    """
    return commit(
        l2a,
        str(destination),
        [ZarrTarget(options=options or ZarrOptions())],
        storage_options=storage_options,
        overwrite=overwrite,
    )


@dataclass(frozen=True, slots=True)
class ZarrTarget:
    """The Zarr format of `s2cloud.io.commit`."""

    format: str = "zarr"
    options: ZarrOptions = ZarrOptions()

    def layers(self, product: Product) -> list[Layer]:
        """All rasters of the tree, and overviews."""
        extra = overview_layers(product.layers) if self.options.overviews else []
        return [*product.layers, *extra]

    def names(self, product: Product) -> list[str]:
        """Names of the store and of its checksums."""
        return [product.layout.zarr, product.layout.zarr + SUFFIX]

    def check(self, product: Product, store: Store) -> None:
        """Refuse a Zarr store that is not the rest of a killed attempt of ours."""
        root = f"{product.layout.zarr}/{ROOT[self.options.version]}"
        try:
            found = store.read(root)
        except InputError:
            return
        if DIGEST.encode() not in found:
            raise UsageError(
                "destination holds a Zarr store of another program",
                where=store.url(product.layout.zarr),
                fix="pass overwrite=True (--overwrite) or choose another destination",
            )

    def tasks(self, product: Product, blocks: Mapping[str, Any], sink: Sink) -> list[Any]:
        """One task per chunk."""
        made = []
        for layer in self.layers(product):
            name = layer_id(layer)
            side = chunk_side(layer, self.options)
            key = "c/{}/{}" if self.options.version == 3 else "{}.{}"
            job = _Job(
                *(f"{product.layout.zarr}/{name}/{key}", name, layer.block),
                *(layer.encoding.fill, layer.kind, side),
            )
            call = partial(_write_chunk, sink, job)
            label = f"write-zarr-{layer.path.split('/')[-2]}-{layer.key}-{sink.token}"
            task = dask.delayed(call, pure=False)
            for (row, col), block in np.ndenumerate(blocks[name]):
                made.append(task(block, row, col, dask_key_name=(label, row, col)))
        return made

    def finish(self, product: Product, results: Results, draft: Receipt, sink: Sink) -> list[Asset]:
        """Write metadata and small arrays, the root last, and describe the store."""
        attributes = root_attributes(product, draft)
        whole = replace(product, layers=tuple(self.layers(product)))
        sides = {layer_id(la): chunk_side(la, self.options) for la in whole.layers}
        documents = hierarchy(
            whole, results.small, attributes, version=self.options.version, sides=sides
        )
        last = ROOT[self.options.version]
        root = documents.pop(last)
        prefix = product.layout.zarr
        with ThreadPoolExecutor(_UPLOADS) as pool:
            jobs = [
                pool.submit(sink.write, f"{prefix}/{name}", data)
                for name, data in sorted(documents.items())
            ]
            chunks = [part for part in results.written if part.path]
            written = chunks + [job.result() for job in jobs]
        remove_leftovers(sink.store, prefix, written)
        written.append(sink.write(f"{prefix}/{last}", root))
        finest = next(layer for layer in product.layers if layer.is_reflectance)
        titles = (
            "all rasters, EOPF layout",
            "SHA-256 of each object of the Zarr store, for sha256sum --check",
        )
        return folder_assets(
            sink,
            prefix,
            written,
            finest.grid,
            resolution=finest.resolution,
            key="zarr",
            media_type=f"application/vnd.zarr; version={self.options.version}",
            titles=titles,
        )


@dataclass(frozen=True, slots=True)
class _Job:
    """What a task must know of its raster: no arrays, which would drag the graph along."""

    path: str
    layer: str
    chunk: tuple[int, int]
    fill: int
    kind: RasterKind
    side: int


def chunk_side(layer: Layer, options: ZarrOptions) -> int:
    """Side of the chunks in a shard of a raster; 0 where a chunk is an object of its own."""
    rows, cols = layer.block
    divides = rows == cols and rows % _PER_SHARD == 0
    return rows // _PER_SHARD if options.sharding and divides else 0


def _write_chunk(
    sink: Sink, job: _Job, block: npt.NDArray[Any], row: int, col: int
) -> list[Written]:
    """Encode one chunk, upload it and tell what it is."""
    summary = summarise(block, job.fill, kind=job.kind)
    if summary.valid == 0:
        return [Written("", 0, "", job.layer, summary)]
    if block.shape != job.chunk:
        # Zarr chunks are all of one size; what lies beyond the edge is never read.
        whole = np.full(job.chunk, job.fill, dtype=block.dtype)
        whole[: block.shape[0], : block.shape[1]] = block
        block = whole
    data = encode_shard(block, job.side, job.fill) if job.side else encode_chunk(block)
    return [sink.write(job.path.format(row, col), data, job.layer, summary)]

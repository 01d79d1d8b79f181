"""L2A trees to Zarr v3 in the group and variable names of ESA's EOPF products."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import dask
import imagecodecs
import numpy as np

from s2cloud.io.checksums import SUFFIX, checksum_lines, folder_digest
from s2cloud.io.commit import commit
from s2cloud.io.layers import Layer, summarise
from s2cloud.io.receipt import Asset, Receipt
from s2cloud.io.target import Product, Results, Sink, Written, layer_id
from s2cloud.io.zarr_metadata import BLOSC, DIGEST, hierarchy, root_attributes
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.schema import ENCODINGS

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.io.stores import Store

__all__ = ["ZarrTarget", "to_zarr"]

#: Simultaneous uploads of metadata, small objects that cost a round trip each.
_UPLOADS = 8


def to_zarr(
    l2a: xr.DataTree,
    destination: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
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
    Zarr v3, consolidated, one chunk per 18.3 km block, blosc with zstd level 1 and bit-shuffle.
    Pixels are the integers that the GeoTIFFs hold, with CF ``scale_factor``, ``add_offset`` and
    ``_FillValue``; the scene classification has no ``_FillValue``, so that it opens as integers
    with class 0 for no-data. Blocks without data are not stored.
    """
    return commit(
        l2a, str(destination), [ZarrTarget()], storage_options=storage_options, overwrite=overwrite
    )


@dataclass(frozen=True, slots=True)
class ZarrTarget:
    """The Zarr format of `s2cloud.io.commit`."""

    format: str = "zarr"

    def layers(self, product: Product) -> list[Layer]:
        """All rasters of the tree."""
        return list(product.layers)

    def names(self, product: Product) -> list[str]:
        """Names of the store and of its checksums."""
        return [product.layout.zarr, product.layout.zarr + SUFFIX]

    def check(self, product: Product, store: Store) -> None:
        """Refuse a Zarr store that is not the rest of a killed attempt of ours."""
        root = f"{product.layout.zarr}/zarr.json"
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
        for layer in product.layers:
            name = layer_id(layer)
            job = _Job(
                *(f"{product.layout.zarr}/{name}", name, layer.block),
                *(layer.encoding.fill, layer.is_classes),
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
        documents = hierarchy(product, results.small, attributes)
        root = documents.pop("zarr.json")
        prefix = product.layout.zarr
        with ThreadPoolExecutor(_UPLOADS) as pool:
            jobs = [
                pool.submit(sink.write, f"{prefix}/{name}", data)
                for name, data in sorted(documents.items())
            ]
            chunks = [part for part in results.written if part.path]
            written = chunks + [job.result() for job in jobs]
        _remove_leftovers(sink.store, prefix, {part.path for part in written})
        written.append(sink.write(f"{prefix}/zarr.json", root))
        files = {part.path.removeprefix(prefix)[1:]: part.sha256 for part in written}
        listed = sink.write(prefix + SUFFIX, checksum_lines(files))
        reflectance = ENCODINGS["reflectance"]
        finest = next(layer for layer in product.layers if layer.is_reflectance)
        return [
            Asset(
                key="zarr",
                href=prefix,
                media_type="application/vnd.zarr; version=3",
                roles=("data", "reflectance"),
                size=sum(part.size for part in written),
                sha256=folder_digest(files),
                title="all rasters, EOPF layout",
                resolution=finest.resolution,
                crs=finest.grid.crs,
                transform=finest.grid.transform,
                scale=reflectance.scale,
                offset=reflectance.offset,
                nodata=reflectance.fill,
            ),
            Asset(
                key="zarr_checksums",
                href=listed.path,
                media_type="text/plain",
                roles=("metadata",),
                size=listed.size,
                sha256=listed.sha256,
                title="SHA-256 of each object of the Zarr store, for sha256sum --check",
            ),
        ]


@dataclass(frozen=True, slots=True)
class _Job:
    """What a task must know of its raster: no arrays, which would drag the graph along."""

    folder: str
    layer: str
    chunk: tuple[int, int]
    fill: int
    classes: bool


def _write_chunk(
    sink: Sink, job: _Job, block: npt.NDArray[Any], row: int, col: int
) -> list[Written]:
    """Encode one chunk, upload it and tell what it is."""
    summary = summarise(block, job.fill, classes=job.classes)
    if summary.valid == 0:
        return [Written("", 0, "", job.layer, summary)]
    if block.shape != job.chunk:
        # Zarr chunks are all of one size; what lies beyond the edge is never read.
        whole = np.full(job.chunk, job.fill, dtype=block.dtype)
        whole[: block.shape[0], : block.shape[1]] = block
        block = whole
    return [sink.write(f"{job.folder}/c/{row}/{col}", encode_chunk(block), job.layer, summary)]


def encode_chunk(block: npt.NDArray[Any]) -> bytes:
    """Bytes of a chunk as the ``bytes`` and ``blosc`` codecs of Zarr v3 read them.

    One thread, for several would store their blocks in the order they finish and equal pixels
    would not make equal bytes; the parallelism is over chunks.
    """
    little = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("<"))
    return bytes(
        imagecodecs.blosc_encode(
            cast("Any", little),  # the stub knows bytes only
            level=BLOSC["clevel"],
            compressor=BLOSC["cname"],
            shuffle=BLOSC["shuffle"],
            typesize=little.dtype.itemsize,
            numthreads=1,
        )
    )


def _remove_leftovers(store: Store, prefix: str, current: set[str]) -> None:
    """Remove objects of a killed or replaced attempt that this one did not write."""
    for path in store.find(prefix):
        if path not in current:
            store.delete(path)

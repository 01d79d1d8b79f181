"""L2A trees to SAFE products: JPEG 2000 images, names and metadata as SNAP and GDAL read them."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import dask
import numpy as np
from pyproj import CRS

from s2cloud.io.checksums import SUFFIX
from s2cloud.io.folders import folder_assets, remove_leftovers
from s2cloud.io.jp2_encode import IMAGE_TILE, Jp2Profile, encode_jp2, mask_profile
from s2cloud.io.layers import Layer, Summary, summarise
from s2cloud.io.safe_manifest import manifest
from s2cloud.io.safe_names import SafeNames
from s2cloud.io.safe_product_metadata import Facts, product_metadata
from s2cloud.io.safe_quality import QualityMask, components, quality_masks
from s2cloud.io.safe_tile_metadata import datastrip_metadata, tile_metadata
from s2cloud.io.target import Product, Results, Sink, Written, layer_id
from s2cloud.io.true_colour import true_colour
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.io.jp2_encode import Component
    from s2cloud.io.jp2_index import JP2Source
    from s2cloud.io.layers import RasterKind
    from s2cloud.io.receipt import Asset, Receipt
    from s2cloud.io.stores import Store
    from s2cloud.model.grid import Grid

__all__ = ["SafeTarget"]

Kind = Literal["image", "colour", "probability"]
_COLOURS: Final = ("b04", "b03", "b02")
_MAPS: Final = ("aot", "wvp", "scl")
_PROBABILITIES: Final = ("cld", "snw")
#: Reflectance fits 15 bits (`ENCODINGS`), as in ESA's images.
_REFLECTANCE_BITS: Final = 15


@dataclass(frozen=True, slots=True)
class _File:
    href: str
    kind: Kind
    resolution: int
    grid: Grid
    layers: tuple[Layer, ...]
    shrink: int = 1


@dataclass(frozen=True, slots=True)
class SafeTarget:
    """The SAFE format of `s2cloud.io.commit`.

    Attributes
    ----------
    format
        Name in the receipt.
    l1c
        Tree of the Level-1C product whose quality masks are to be repeated; None for none.
    """

    format: str = "safe"
    l1c: xr.DataTree | None = field(default=None, repr=False, compare=False)

    def layers(self, product: Product) -> list[Layer]:
        """Rasters that become files, and the flags, which are only counted."""
        found = {layer_id(la): la for file in _files(product) for la in file.layers}
        return [*found.values(), *_flags(product)]

    def names(self, product: Product) -> list[str]:
        """Names of the product folder and of its checksums."""
        folder = _names(product).folder
        return [folder, folder + SUFFIX]

    def check(self, product: Product, store: Store) -> None:  # noqa: ARG002
        """Refuse pixels that no SAFE product can hold; files without a receipt are our own."""
        _files(product)

    def tasks(self, product: Product, blocks: Mapping[str, Any], sink: Sink) -> list[Any]:
        """One task per file, with the blocks of its rasters."""
        made = []
        folder = _names(product).folder
        for file in _files(product):
            call = partial(_write_file, sink, _plain(file, folder))
            parts = [blocks[layer_id(layer)].tolist() for layer in file.layers]
            name = f"write-safe-{file.href.rpartition('/')[2]}-{sink.token}"
            made.append(dask.delayed(call, pure=False)(parts, dask_key_name=name))
        for layer in _flags(product):
            call = partial(_count, layer_id(layer), layer.encoding.fill)
            parts = blocks[layer_id(layer)].tolist()
            name = f"count-{layer.key}-{sink.token}"
            made.append(dask.delayed(call, pure=False)(parts, dask_key_name=name))
        for mask in self._masks(product):
            href = f"{folder}/{_names(product).quality(mask.stem)}"
            task = f"write-safe-{mask.stem}-{sink.token}"
            if mask.source is not None:
                call = dask.delayed(_copy_file, pure=False)
                made.append(call(sink, href, mask.source, dask_key_name=task))
            else:
                blocks_of_mask = mask.array.to_delayed(optimize_graph=False).tolist()
                call = partial(_write_mask, sink, href, mask.grid, mask.resolution, mask.layers)
                made.append(dask.delayed(call, pure=False)(blocks_of_mask, dask_key_name=task))
        return made

    def finish(self, product: Product, results: Results, draft: Receipt, sink: Sink) -> list[Asset]:
        """Write the metadata, the manifest last, and describe the product."""
        names = _names(product)
        files = _files(product)
        finest = min(files, key=lambda file: file.resolution)
        masks = [names.quality(mask.stem) for mask in self._masks(product)]
        hrefs = (*masks, *(file.href for file in files))
        facts = Facts(names, product, draft, finest.grid, hrefs)
        grids = {file.resolution: file.grid for file in files}
        documents = {
            "MTD_MSIL2A.xml": product_metadata(facts),
            f"{names.granule}/MTD_TL.xml": tile_metadata(facts, grids, results.small),
            f"{names.datastrip}/MTD_DS.xml": datastrip_metadata(facts),
        }
        prefix = names.folder
        written = [part for part in results.written if part.path]
        written += [sink.write(f"{prefix}/{path}", data) for path, data in documents.items()]
        remove_leftovers(sink.store, prefix, written)
        total = {part.path.removeprefix(prefix)[1:]: (part.size, part.sha256) for part in written}
        written.append(sink.write(f"{prefix}/manifest.safe", manifest(facts, total)))
        titles = (
            "product in ESA's SAFE format, baseline 99.99",
            "SHA-256 of each file of the SAFE product, for sha256sum --check",
        )
        return folder_assets(
            sink,
            prefix,
            written,
            finest.grid,
            resolution=finest.resolution,
            key="safe",
            media_type="inode/directory",
            titles=titles,
        )

    def _masks(self, product: Product) -> list[QualityMask]:
        if self.l1c is None:
            return []
        grids = {file.resolution: file.grid for file in _files(product)}
        return quality_masks(self.l1c, grids[min(grids)], grids)


def _names(product: Product) -> SafeNames:
    names = SafeNames.of(product.granule)
    grid = product.layers[0].grid
    if names is None or not grid.crs or CRS.from_user_input(grid.crs).to_epsg() is None:
        raise UsageError(
            "cannot be written as a SAFE product",
            where=product.granule.name,
            expected="a tile in UTM with the name of an ESA product",
            found=f"reference system {grid.crs or 'none'}",
            fix="choose the formats cog and zarr",
        )
    return names


def _flags(product: Product) -> list[Layer]:
    """No SAFE product has a place for them, but their shares are told in every format."""
    return [layer for layer in product.layers if layer.is_flags]


def _files(product: Product) -> list[_File]:
    names = _names(product)
    files = []
    by_grid: dict[int, dict[str, Layer]] = {}
    for layer in product.layers:
        if layer.is_product and (layer.is_reflectance or layer.name in _MAPS + _PROBABILITIES):
            by_grid.setdefault(layer.resolution, {})[layer.name] = layer
    for resolution, layers in sorted(by_grid.items()):
        grid = next(iter(layers.values())).grid
        for name, layer in layers.items():
            if name in _PROBABILITIES:
                href = names.probability(name, resolution)
                files.append(_File(href, "probability", resolution, grid, (layer,)))
            else:
                href = names.image(name, resolution)
                files.append(_File(href, "image", resolution, grid, (layer,)))
        if set(_COLOURS) <= layers.keys():
            colours = tuple(layers[name] for name in _COLOURS)
            href = names.image("tci", resolution)
            files.append(_File(href, "colour", resolution, grid, colours))
    return files + _coarse_probabilities(names, by_grid)


def _coarse_probabilities(
    names: SafeNames, by_grid: Mapping[int, Mapping[str, Layer]]
) -> list[_File]:
    """ESA's 60 m probabilities are the means of 3 x 3 pixels of 20 m."""
    fine, coarse = by_grid.get(20, {}), by_grid.get(60, {})
    if not coarse:
        return []
    grid = next(iter(coarse.values())).grid
    return [
        _File(names.probability(name, 60), "probability", 60, grid, (layer,), shrink=3)
        for name, layer in fine.items()
        if name in _PROBABILITIES
        and name not in coarse
        and layer.grid.shape == (3 * grid.height, 3 * grid.width)
        and all(side % 3 == 0 for side in layer.block)
    ]


@dataclass(frozen=True, slots=True)
class _Job:
    """What a task must know: a `_File` without its arrays, which would drag the graph along."""

    href: str
    kind: Kind
    grid: Grid
    profile: Jp2Profile
    layer: str
    values: RasterKind
    fill: int
    shrink: int


def _plain(file: _File, folder: str) -> _Job:
    layer = file.layers[0]
    dtype = "uint8" if file.kind == "colour" else layer.encoding.dtype
    bits = _REFLECTANCE_BITS if layer.is_reflectance and file.kind == "image" else 0
    profile = (
        mask_profile(file.resolution)
        if file.kind == "probability"
        else Jp2Profile(dtype, IMAGE_TILE[file.resolution], bits=bits)
    )
    counted = "" if file.kind == "colour" or file.shrink > 1 else layer_id(layer)
    return _Job(
        *(f"{folder}/{file.href}", file.kind, file.grid, profile, counted),
        *(layer.kind, layer.encoding.fill, file.shrink),
    )


def _write_file(
    sink: Sink, job: _Job, sources: list[list[list[npt.NDArray[Any]]]]
) -> list[Written]:
    """Encode one file, upload it and tell what it is."""
    summary = _summary(sources[0], job.fill, job.values) if job.layer else None
    convert = {
        "image": None,
        "colour": true_colour,
        "probability": partial(_probability, fill=job.fill, shrink=job.shrink),
    }[job.kind]
    written = _upload(sink, job.href, job.grid, job.profile, [(s, convert) for s in sources])
    return [replace(written, layer=job.layer, summary=summary)]


def _summary(rows: list[list[npt.NDArray[Any]]], fill: int, kind: RasterKind) -> Summary:
    return sum((summarise(b, fill, kind=kind) for row in rows for b in row), start=Summary())


def _count(layer: str, fill: int, rows: list[list[npt.NDArray[Any]]]) -> list[Written]:
    return [Written("", 0, "", layer, _summary(rows, fill, "flags"))]


def _write_mask(
    sink: Sink,
    href: str,
    grid: Grid,
    resolution: int,
    layers: int,
    blocks: list[list[npt.NDArray[np.uint8]]],
) -> list[Written]:
    return [_upload(sink, href, grid, mask_profile(resolution), components(blocks, layers))]


def _copy_file(sink: Sink, href: str, source: JP2Source) -> list[Written]:
    return [sink.write(href, source.store.read(source.path))]


def _upload(
    sink: Sink, href: str, grid: Grid, profile: Jp2Profile, parts: list[Component]
) -> Written:
    with tempfile.TemporaryDirectory(prefix="s2cloud-") as folder:
        local = Path(folder) / "image.jp2"
        encode_jp2(local, grid, profile, parts)
        size = local.stat().st_size
        with local.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sink.put(local, href)
    return Written(href, size, digest)


def _probability(block: npt.NDArray[np.uint8], *, fill: int, shrink: int) -> npt.NDArray[np.uint8]:
    """Per cent, 0 for no-data as in ESA's files; the mean of ``shrink`` x ``shrink`` pixels."""
    known = np.where(block == fill, 0, block).astype(np.uint8)
    if shrink == 1:
        return known
    rows, cols = known.shape[0] // shrink, known.shape[1] // shrink
    cells = known[: rows * shrink, : cols * shrink].reshape(rows, shrink, cols, shrink)
    sums: npt.NDArray[np.int64] = cells.sum(axis=(1, 3), dtype=np.int64)
    return (sums // shrink**2).astype(np.uint8)

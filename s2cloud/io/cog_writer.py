"""L2A trees to cloud-optimised GeoTIFFs: one file per band at its native resolution."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask

from s2cloud.io.cog_encode import CogProfile, encode_cog
from s2cloud.io.commit import commit
from s2cloud.io.layers import Layer, RasterKind, Summary, summarise
from s2cloud.io.receipt import Asset, Receipt
from s2cloud.io.target import (
    Product,
    Results,
    Sink,
    Written,
    file_name,
    layer_id,
    summaries_of,
)
from s2cloud.io.true_colour import true_colour
from s2cloud.model.bands import BAND_INFO
from s2cloud.model.errors import CapacityError, UsageError
from s2cloud.model.granule import PRODUCT_NAME, Granule

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.io.stores import Store

__all__ = ["CogTarget", "to_cog"]

MEDIA_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
#: Resolution of the rasters that are not bands, where the tree has it. [m]
_MAP_RESOLUTION: Final = 20
_COLOURS: Final = ("b04", "b03", "b02")
#: A class has no mean: half a cloud and half a lake is no cirrus.
_CLASS_OVERVIEWS: Final = "MODE"


def to_cog(
    l2a: xr.DataTree,
    destination: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Receipt:
    """Write a tree as cloud-optimised GeoTIFFs.

    Parameters
    ----------
    l2a
        Tree returned by ``process``; it is computed here, once.
    destination
        Product folder, local path or URL.
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
        If another product is there and `overwrite` is False.
    CapacityError
        If a disk or the memory is full.

    Notes
    -----
    Files are named as ESA names them, ``T32TQM_20250601T101601_B02_10m.tif``. Every band comes
    at its native resolution, AOT, WVP, SCL, flags and the cloud and snow probabilities at 20 m,
    the true-colour image at the finest one; a tree of one resolution gives all of them at that one.
    """
    return commit(
        l2a, str(destination), [CogTarget()], storage_options=storage_options, overwrite=overwrite
    )


@dataclass(frozen=True, slots=True)
class _File:
    key: str
    href: str
    title: str
    layers: tuple[Layer, ...]
    profile: CogProfile
    roles: tuple[str, ...]
    rgb: bool = False


@dataclass(frozen=True, slots=True)
class CogTarget:
    """The COG format of `s2cloud.io.commit`."""

    format: str = "cog"

    def layers(self, product: Product) -> list[Layer]:
        """Rasters that become files."""
        return [layer for file in _files(product) for layer in file.layers]

    def names(self, product: Product) -> list[str]:
        """Names of the files."""
        return [file.href for file in _files(product)]

    def check(self, product: Product, store: Store) -> None:
        """Refuse a destination that is a Zarr store; files without a receipt are our own."""
        if product.layout.receipt != Receipt.name:
            raise UsageError(
                "GeoTIFFs inside a Zarr store",
                where=store.url(product.layout.zarr),
                expected="a folder",
                fix="choose a destination that does not end in .zarr",
            )

    def tasks(self, product: Product, blocks: Mapping[str, Any], sink: Sink) -> list[Any]:
        """One task per file, with the blocks of its rasters."""
        made = []
        for file in _files(product):
            call = partial(_write_file, sink, _plain(file))
            parts = [blocks[layer_id(layer)].tolist() for layer in file.layers]
            name = f"write-cog-{file.key}-{sink.token}"
            made.append(dask.delayed(call, pure=False)(parts, dask_key_name=name))
        return made

    def finish(
        self, product: Product, results: Results, _draft: Receipt, _sink: Sink
    ) -> list[Asset]:
        """Describe the files."""
        done = {part.path: part for part in results.written}
        summaries = summaries_of(results.written)
        assets = []
        for file in _files(product):
            part, layer = done[file.href], file.layers[0]
            summary = None if file.rgb else summaries.get(layer_id(layer))
            assets.append(
                Asset(
                    key=file.key,
                    href=file.href,
                    media_type=MEDIA_TYPE,
                    roles=file.roles,
                    size=part.size,
                    sha256=part.sha256,
                    title=file.title,
                    bands=tuple(la.name for la in file.layers if la.is_reflectance),
                    dtype=file.profile.dtype,
                    shape=layer.grid.shape,
                    resolution=layer.resolution,
                    crs=layer.grid.crs,
                    transform=layer.grid.transform,
                    scale=file.profile.scale,
                    offset=file.profile.offset,
                    nodata=file.profile.nodata,
                    unit=file.profile.unit,
                    statistics=_statistics(layer, summary),
                )
            )
        return assets


def _statistics(layer: Layer, summary: Summary | None) -> dict[str, float]:
    if summary is None:
        return {}
    found = summary.statistics(layer.encoding)
    # Bits have neither mean nor extremes.
    return {k: v for k, v in found.items() if layer.is_quantity or k == "valid_percent"}


def _files(product: Product) -> list[_File]:
    chosen = _native(product.layers)
    stem = _stem(product.granule)
    files = [_single(product, layer, stem) for layer in chosen]
    colours = _colour_layers(product.layers)
    if colours:
        files.append(_colour_file(product, colours, stem))
    return files


def _native(layers: Sequence[Layer]) -> list[Layer]:
    """Each raster of the product once: at its own resolution, else the nearest coarser one."""
    best: dict[str, tuple[tuple[bool, int], Layer]] = {}
    for layer in layers:
        if not layer.is_product:
            continue
        band = BAND_INFO.get(layer.name)
        own = band.resolution if band is not None else _MAP_RESOLUTION
        rank = (layer.resolution < own, abs(layer.resolution - own))
        if layer.label not in best or rank < best[layer.label][0]:
            best[layer.label] = (rank, layer)
    return [layer for _, layer in best.values()]


def _colour_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    for resolution in sorted({layer.resolution for layer in layers}):
        found = {la.name: la for la in layers if la.is_reflectance and la.resolution == resolution}
        if all(name in found for name in _COLOURS):
            return tuple(found[name] for name in _COLOURS)
    return ()


def _single(product: Product, layer: Layer, stem: str) -> _File:
    encoding = layer.encoding
    band = BAND_INFO.get(layer.name) if layer.is_reflectance else None
    title = encoding.long_name
    if layer.name in BAND_INFO:
        title = f"{title} {layer.name.upper()}"
    profile = CogProfile(
        dtype=encoding.dtype,
        nodata=encoding.fill,
        bands=(title,),
        scale=encoding.scale,
        offset=encoding.offset,
        unit=encoding.units,
        predictor=layer.is_quantity,
        overviews="AVERAGE" if layer.is_quantity else _CLASS_OVERVIEWS,
        tags=_tags(product, title),
    )
    roles = ("data", "reflectance") if band else ("data",)
    href = f"{stem}_{layer.label.upper()}_{layer.resolution}m.tif"
    return _File(layer.key, href, title, (layer,), profile, roles)


def _colour_file(product: Product, layers: tuple[Layer, ...], stem: str) -> _File:
    title = "true-colour image"
    profile = CogProfile(
        dtype="uint8",
        nodata=0,
        bands=("red", "green", "blue"),
        tags=_tags(product, title),
        rgb=True,
    )
    resolution = layers[0].resolution
    href = f"{stem}_TCI_{resolution}m.tif"
    return _File(f"tci_{resolution}m", href, title, layers, profile, ("visual",), rgb=True)


def _stem(granule: Granule) -> str:
    if not granule.tile:
        return file_name(granule.l2a_name)
    match = PRODUCT_NAME.search(granule.name)
    start = match["start"] if match else f"{granule.sensing_time:%Y%m%dT%H%M%S}"
    return f"T{granule.tile}_{start}"


def _tags(product: Product, title: str) -> dict[str, str]:
    # The time of the picture, not of the writing: files of equal pixels stay equal.
    return {
        "TIFFTAG_IMAGEDESCRIPTION": f"{title}, {product.granule.l2a_name}",
        "TIFFTAG_SOFTWARE": "s2cloud",
        "TIFFTAG_DATETIME": f"{product.granule.sensing_time:%Y:%m:%d %H:%M:%S}",
        "AREA_OR_POINT": "Area",
    }


@dataclass(frozen=True, slots=True)
class _Job:
    """What a task must know: a `_File` without its arrays, which would drag the graph along."""

    href: str
    grid: Any
    profile: CogProfile
    layer: str
    rgb: bool
    kind: RasterKind
    fill: int


def _plain(file: _File) -> _Job:
    layer = file.layers[0]
    fill = layer.encoding.fill
    return _Job(
        *(file.href, layer.grid, file.profile, layer_id(layer)),
        *(file.rgb, layer.kind, fill),
    )


def _write_file(
    sink: Sink, job: _Job, sources: list[list[list[npt.NDArray[Any]]]]
) -> list[Written]:
    """Encode one file, upload it and tell what it is."""
    summary = None
    if not job.rgb:
        parts = [block for row in sources[0] for block in row]
        first, *rest = (summarise(b, job.fill, kind=job.kind) for b in parts)
        summary = sum(rest, start=first)
    with _temporary_folder() as folder:
        local = folder / Path(job.href).name
        encode_cog(local, job.grid, job.profile, sources, true_colour if job.rgb else None)
        size, digest = local.stat().st_size, _sha256(local)
        sink.put(local, job.href)
    return [Written(job.href, size, digest, "" if job.rgb else job.layer, summary)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="s2cloud-")
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise CapacityError(
            "no space left for temporary files", where=tempfile.gettempdir()
        ) from error
    with folder as name:
        yield Path(name)

"""The rasters of an L2A tree as stored integers: one quantiser for every format.

Every writer takes its pixels from here, so a COG and a Zarr chunk of one product hold the same
integers, and a product written in both formats is quantised once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import dask.array as da
import numba
import numpy as np

from s2cloud.algorithms.classification import class_counts
from s2cloud.model.bands import BAND_INFO
from s2cloud.model.errors import InputError
from s2cloud.model.grid import BLOCK_PX, Grid, grid_of
from s2cloud.model.schema import (
    ENCODINGS,
    FLAGS,
    PROBABILITY,
    REFLECTANCE,
    SCL_PATH,
    UNCERTAINTY,
    Encoding,
    Flag,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.model.bands import Resolution

__all__ = [
    "Layer",
    "Summary",
    "crs_of",
    "encoding_of_path",
    "layers_of",
    "quantise",
    "summarise",
]

RasterKind = Literal["quantity", "classes", "flags"]

_NODE: Final = re.compile(r"^/?(?P<family>.+)/r(?P<resolution>10|20|60|120|240|480)m$")
_FAMILIES: Final = {
    REFLECTANCE: None,  # every band
    "quality/atmosphere": ("aot", "wvp"),
    SCL_PATH: ("scl",),
    PROBABILITY.rpartition("/")[0]: ("cld", "snw"),
    FLAGS: ("flags",),
    UNCERTAINTY: None,
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One raster of a product.

    Attributes
    ----------
    path, name
        Node and variable in the tree.
    resolution
        Nominal pixel size, that of the node's name. [m]
    grid
        Where the pixels lie.
    encoding
        How values are stored.
    counts
        Stored integers in the 18.3 km blocks counted from the raster's own corner. Lazy,
        shape (y, x).
    block
        Rows and columns of a whole block.
    attrs
        Attributes of the variable.
    """

    path: str
    name: str
    resolution: int
    grid: Grid
    encoding: Encoding
    counts: Any
    block: tuple[int, int]
    attrs: dict[str, Any]

    @property
    def key(self) -> str:
        """Name within the product, ``b02_10m``, ``b02_sigma_10m`` for its uncertainty."""
        return f"{self.label}_{self.resolution}m"

    @property
    def label(self) -> str:
        """Name without the resolution."""
        return f"{self.name}_sigma" if self.path.startswith(UNCERTAINTY) else self.name

    @property
    def is_reflectance(self) -> bool:
        """Whether this is a band."""
        return self.path.startswith(REFLECTANCE)

    @property
    def is_product(self) -> bool:
        """Whether this is one of the rasters a Level-2A product is known for."""
        return _family(self.path, self.name)

    @property
    def is_classes(self) -> bool:
        """Whether values are names, not quantities: the scene classification."""
        return self.path.startswith(SCL_PATH)

    @property
    def is_flags(self) -> bool:
        """Whether the bits of a value are names."""
        return self.path.startswith(FLAGS)

    @property
    def is_quantity(self) -> bool:
        """Whether values are numbers that have a mean."""
        return self.kind == "quantity"

    @property
    def kind(self) -> RasterKind:
        """What values are."""
        if self.is_classes:
            return "classes"
        return "flags" if self.is_flags else "quantity"


@dataclass(slots=True)
class Summary:
    """What is known of the pixels of a raster or of a part of it; parts add up exactly.

    Attributes
    ----------
    pixels, valid
        Number of pixels and of those with data.
    total, minimum, maximum
        Sum and extremes of the stored integers of valid pixels.
    tally
        Pixels per class of the scene classification, or per bit of the flags; empty for other
        rasters.
    """

    pixels: int = 0
    valid: int = 0
    total: int = 0
    minimum: int = 0
    maximum: int = 0
    tally: list[int] = field(default_factory=list)

    def __add__(self, other: Summary) -> Summary:
        if not (self.valid and other.valid):
            low, high = (
                (self.minimum, self.maximum) if self.valid else (other.minimum, other.maximum)
            )
        else:
            low, high = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        pairs = zip_longest(self.tally, other.tally, fillvalue=0)
        return Summary(
            self.pixels + other.pixels,
            self.valid + other.valid,
            self.total + other.total,
            low,
            high,
            [a + b for a, b in pairs],
        )

    def statistics(self, encoding: Encoding) -> dict[str, float]:
        """``valid_percent`` [%], and ``minimum``, ``maximum``, ``mean`` of the decoded values."""
        if not self.pixels:
            return {}
        result = {"valid_percent": round(100.0 * self.valid / self.pixels, 4)}
        if self.valid and not self.tally:
            for name, stored in (
                ("minimum", float(self.minimum)),
                ("maximum", float(self.maximum)),
                ("mean", self.total / self.valid),
            ):
                result[name] = round(stored * encoding.scale + encoding.offset, 6)
        return result


def quantise(values: npt.NDArray[Any], encoding: Encoding) -> npt.NDArray[Any]:
    """Stored integers of decoded values.

    Parameters
    ----------
    values
        Decoded values, NaN for no-data; or integers that are stored already.
    encoding
        Scale, offset, limits and fill value.

    Returns
    -------
    ndarray
        Of ``encoding.dtype``, the shape of `values`.

    Notes
    -----
    ``round((value - offset) / scale)`` in float64, ties to even as `numpy.rint`, then clipped to
    ``minimum`` ... ``maximum``. Subtraction, division and rounding are each correctly rounded by
    IEEE 754 and the kernel is compiled without fastmath, so the result of a pixel depends on its
    value alone: not on its place, the chunking or the machine. Clipping keeps a valid pixel off
    the fill value: a reflectance below -0.0999 is stored as -0.0999, one above 3.1767 as 3.1767.

    Examples
    --------
    >>> quantise(np.array([0.05, np.nan, -0.05, 9.0], np.float32), ENCODINGS["reflectance"])
    array([ 1500,     0,   500, 32767], dtype=uint16)
    """
    dtype = np.dtype(encoding.dtype)
    if values.dtype.kind in "iub":
        return values.astype(dtype, copy=False)
    out = np.empty(values.shape, dtype=dtype)
    _quantise(
        np.ascontiguousarray(values).reshape(-1),
        encoding.scale,
        encoding.offset,
        dtype.type(encoding.fill),
        float(encoding.minimum),
        float(encoding.maximum),
        out.reshape(-1),
    )
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator, unused-ignore]
def _quantise(
    values: Any, scale: float, offset: float, fill: Any, low: float, high: float, out: Any
) -> None:
    for i in range(values.size):
        value = np.float64(values[i])
        if np.isnan(value):
            out[i] = fill
        else:
            # The limits first: an infinity must not meet the conversion to an integer.
            stored = min(max((value - offset) / scale, low), high)
            out[i] = np.rint(stored)


def summarise(
    counts: npt.NDArray[Any], layer_fill: int, *, kind: RasterKind = "quantity"
) -> Summary:
    """Summary of stored integers.

    Parameters
    ----------
    counts
        Stored integers, any shape.
    layer_fill
        The no-data value.
    kind
        What values are; classes and bits of flags are counted one by one.
    """
    valid, total, low, high = _summarise(np.ascontiguousarray(counts).reshape(-1), layer_fill)
    tally: list[int] = []
    if kind == "classes":
        tally = [int(n) for n in class_counts(counts)]
    elif kind == "flags":
        tally = [int(np.count_nonzero(counts & counts.dtype.type(flag))) for flag in Flag]
    return Summary(counts.size, int(valid), int(total), int(low), int(high), tally)


@numba.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _summarise(counts: Any, fill: int) -> tuple[int, int, int, int]:
    valid: Any = 0
    total: Any = 0
    low: Any = 2**31
    high: Any = 0
    for i in range(counts.size):
        value = np.int64(counts[i])
        if value != fill:
            valid += 1
            total += value
            low = min(low, value)
            high = max(high, value)
    if valid == 0:
        low = 0
    return valid, total, low, high


def layers_of(l2a: xr.DataTree) -> list[Layer]:
    """All rasters of a tree, those of the product quantised, others as they are.

    Parameters
    ----------
    l2a
        Tree returned by ``process``.

    Returns
    -------
    list of Layer
        In the order of the tree. Rasters carried over from the input are among them if they are
        lazy integers on a grid of the tile; small arrays in memory are not.

    Raises
    ------
    InputError
        If the tree holds no raster of a product.
    """
    layers = [layer for node in l2a.subtree for layer in _layers_of_node(node)]
    if not any(layer.is_product for layer in layers):
        raise InputError(
            "not a Level-2A tree",
            where=str(l2a.name or "tree"),
            expected=f"bands in {REFLECTANCE}/r10m, r20m or r60m",
            found=", ".join(node.path for node in l2a.subtree)[:200],
            fix="pass the tree returned by s2cloud.process",
        )
    return layers


def _layers_of_node(node: xr.DataTree) -> Iterator[Layer]:
    match = _NODE.match(node.path)
    if match is None or not node.data_vars:
        return
    dataset = node.to_dataset(inherit=True)
    crs = crs_of(dataset) or str(node.root.attrs.get("crs", ""))
    resolution = cast("Resolution", int(match["resolution"]))
    grid = None
    for name, variable in _ordered(dataset.data_vars.items()):
        if variable.dims != ("y", "x"):
            continue
        product = _family(node.path, name)
        if not product and (variable.chunks is None or variable.dtype.kind not in "iu"):
            continue
        if grid is None:
            grid = grid_of(dataset.assign_attrs(crs=crs))
        size = BLOCK_PX[resolution]
        block = (min(size, grid.height), min(size, grid.width))
        encoding = _encoding(node.path, name, variable)
        data = variable.data
        if variable.chunks is None:
            data = da.from_array(data, chunks=block)
        counts = da.map_blocks(
            quantise,
            data,
            encoding=encoding,
            dtype=encoding.dtype,
            meta=np.empty((0, 0), encoding.dtype),
        )
        # Chunks of a file are counted from its corner; a window of a tile starts in mid-block.
        chunks = tuple(da.core.blockdims_from_blockshape(grid.shape, block))
        if counts.chunks != chunks:
            counts = counts.rechunk(chunks)
        yield Layer(
            node.path.strip("/"),
            name,
            int(resolution),
            grid,
            encoding,
            counts,
            block,
            dict(variable.attrs),
        )


def encoding_of_path(path: str) -> Encoding | None:
    """How a raster of the product is stored, by the path of its variable; None for other arrays.

    Examples
    --------
    >>> encoding_of_path("measurements/reflectance/r10m/b02").offset
    -0.1
    >>> encoding_of_path("conditions/geometry/sun_angles") is None
    True
    """
    node, _, name = path.strip("/").rpartition("/")
    if not _family(node, name):
        return None
    if node.startswith(UNCERTAINTY):
        return ENCODINGS["uncertainty"]
    return ENCODINGS.get(name, ENCODINGS["reflectance"])


def _family(path: str, name: str) -> bool:
    match = _NODE.match(path)
    family = match["family"].strip("/") if match else ""
    if family not in _FAMILIES:
        return False
    names = _FAMILIES[family]
    return name in BAND_INFO if names is None else name in names


def _encoding(path: str, name: str, variable: xr.DataArray) -> Encoding:
    known = encoding_of_path(f"{path}/{name}")
    if known is not None:
        return known
    limits = np.iinfo(variable.dtype)
    title = str(variable.attrs.get("long_name", name))
    return Encoding(str(variable.dtype), 1.0, 0.0, 0, int(limits.min), int(limits.max), "1", title)


def _ordered(
    items: Iterable[tuple[Hashable, xr.DataArray]],
) -> list[tuple[str, xr.DataArray]]:
    return [(str(name), variable) for name, variable in items]


def crs_of(dataset: xr.Dataset) -> str:
    """Reference system of a dataset as ``EPSG:32632`` or WKT, empty if there is none."""
    if dataset.attrs.get("crs"):
        return str(dataset.attrs["crs"])
    if "spatial_ref" in dataset.coords:
        attrs = dataset["spatial_ref"].attrs
        return str(attrs.get("crs_wkt") or attrs.get("spatial_ref") or "")
    return ""

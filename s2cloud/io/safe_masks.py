"""Quality masks of SAFE products as lazy arrays: rasters since baseline 04.00, polygons before.

Nothing is read when a product is opened. Masks of real products are small (some 100 kB each),
so a file is fetched whole by one task, and every block decodes or rasterises its own part.
"""

from __future__ import annotations

import re
import threading
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import ParseError

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from s2cloud.io.jp2 import (
    decode_reduced,
    decode_tile,
    is_reducible,
    parts_in_memory,
    reduced_prefix,
)
from s2cloud.io.jp2_array import block_edges
from s2cloud.io.jp2_header import read_header
from s2cloud.io.xml_read import elements
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

    from s2cloud.io.jp2_header import J2KHeader
    from s2cloud.io.jp2_index import JP2Source
    from s2cloud.model.grid import Grid

__all__ = ["CLASSIFICATION_BITS", "QUALITY_BITS", "detector_map", "polygon_mask", "raster_mask"]

#: Layers of MSK_QUALIT in their order; the bit of layer i is 2**i.
QUALITY_LAYERS: Final = (
    "ANC_LOST",
    "ANC_DEG",
    "MSI_LOST",
    "MSI_DEG",
    "QT_DEFECTIVE_PIXELS",
    "QT_NODATA_PIXELS",
    "QT_PARTIALLY_CORRECTED_PIXELS",
    "QT_SATURATED_PIXELS",
)
QUALITY_BITS: Final = {layer: 1 << i for i, layer in enumerate(QUALITY_LAYERS)}
CLASSIFICATION_BITS: Final = {"OPAQUE": 1, "CIRRUS": 2, "SNOW_ICE": 4}

#: rasterize() silences a warning of its own with catch_warnings, which is not thread-safe.
_rasterize_lock = threading.Lock()

#: Wavelet levels left out of a detector footprint, 8 pixels become 1: 80 m of a 10 m band.
REDUCTION: Final = 3

#: Value and rings of one polygon, the outer one first.
Polygon = tuple[int, tuple[tuple[tuple[float, float], ...], ...]]
Window = tuple[int, int, int, int]


def raster_mask(
    source: JP2Source, shape: tuple[int, int], window: Window, *, block: int
) -> da.Array:
    """Mask image of a product of baseline 04.00 or later.

    Parameters
    ----------
    source
        JPEG 2000 file.
    shape
        Rows and columns that the metadata promises for the image.
    window
        First row, first column, rows and columns wanted. [pixel]
    block
        Side of a block. [pixel]

    Returns
    -------
    dask.array.Array
        uint8: the values of an image of one layer, the bits 1, 2, 4 ... of one of several.
    """
    make = partial(_raster_block, source.url, shape)
    return _blocks(
        ("raster", source.token, shape), partial(_content, [source]), make, window, block
    )


def detector_map(
    source: JP2Source, shape: tuple[int, int], factor: int, window: Window
) -> da.Array:
    """Detector that sees the centre of each overview pixel, from the footprint image of a band.

    Parameters
    ----------
    source
        JPEG 2000 file.
    shape
        Rows and columns that the metadata promises for the image.
    factor
        Pixels of the image along the side of an overview pixel.
    window
        First row, first column, rows and columns wanted. [overview pixel]

    Returns
    -------
    dask.array.Array
        uint8, 0 outside of all detectors; one chunk, made by one task. Tiles of the image that
        lie in one detector, which their low-pass tells, are not decoded further.
    """
    size = 1 << 30
    make = partial(_sampled, source.url, shape, factor)
    tokens = ("detectors", source.token, shape, factor)
    return _blocks(tokens, partial(_content, [source]), make, window, size)


def polygon_mask(
    sources: Sequence[JP2Source], values: dict[str, int], grid: Grid, *, block: int
) -> da.Array:
    """Polygons of a product before baseline 04.00, rasterised.

    Parameters
    ----------
    sources
        GML files that belong to one mask.
    values
        Bit of each type of polygon; empty for detector footprints, whose value is the number
        of the detector.
    grid
        Pixel grid of the result.
    block
        Side of a block. [pixel]

    Returns
    -------
    dask.array.Array
        uint8, 0 outside of all polygons.
    """
    tokens = ("polygons", [s.token for s in sources], sorted(values.items()), grid)
    fetch = partial(_polygons, list(sources), values)
    window = (0, 0, grid.height, grid.width)
    return _blocks(
        tokens, fetch, partial(_polygon_block, grid, "bits" if values else "numbers"), window, block
    )


def _blocks(
    tokens: tuple[Any, ...],
    fetch: Callable[[], Any],
    make: Callable[[Window, Any], npt.NDArray[np.uint8]],
    window: Window,
    block: int,
) -> da.Array:
    token = tokenize(tokens, window, block)
    row, col, height, width = window
    rows, cols = block_edges(row, height, block), block_edges(col, width, block)
    source, name = f"mask-fetch-{tokenize(tokens)}", f"mask-{token}"
    tasks: dict[Any, Any] = {}
    for i, (top, bottom) in enumerate(pairwise(rows)):
        for j, (left, right) in enumerate(pairwise(cols)):
            tasks[name, i, j] = (partial(make, (top, left, bottom, right)), source)
    graph = HighLevelGraph(
        {source: {source: (fetch,)}, name: tasks}, {source: set(), name: {source}}
    )
    chunks = (tuple(np.diff(rows).tolist()), tuple(np.diff(cols).tolist()))
    return da.Array(graph, name, chunks, dtype=np.uint8)


def _content(sources: Sequence[JP2Source]) -> bytes:
    return sources[0].store.read(sources[0].path)


def _checked_header(name: str, shape: tuple[int, int], data: bytes) -> J2KHeader:
    header = read_header(lambda start, stop: data[start:stop], len(data), name)
    if header.shape != shape:
        raise InputError(
            "mask of an unexpected size",
            where=name,
            expected=" x ".join(map(str, shape)),
            found=" x ".join(map(str, header.shape)),
            fix="download the product again",
        )
    return header


def _sampled(
    name: str, shape: tuple[int, int], factor: int, bounds: Window, data: bytes
) -> npt.NDArray[np.uint8]:
    header = _checked_header(name, shape, data)
    top, left, bottom, right = bounds
    out = np.zeros((bottom - top, right - left), np.uint8)
    # The pixel beside the centre; the last blocks of a tile may be cut.
    rows = np.minimum(np.arange(top, bottom) * factor + factor // 2, shape[0] - 1)
    cols = np.minimum(np.arange(left, right) * factor + factor // 2, shape[1] - 1)
    for tile, pieces in parts_in_memory(header, data).items():
        t, l, b, r = header.tile_bounds(tile)  # noqa: E741  # top, left, bottom, right
        i = slice(*np.searchsorted(rows, (t, b)))
        j = slice(*np.searchsorted(cols, (l, r)))
        if rows[i].size and cols[j].size:
            parts = [data[at : at + length] for at, length in pieces]
            out[i, j] = _samples(header, tile, parts, (rows[i] - t, cols[j] - l))
    return out


def _samples(
    header: J2KHeader,
    tile: int,
    pieces: Sequence[bytes],
    wanted: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
) -> npt.NDArray[np.uint8]:
    """Pixels of a tile at some rows and columns, from a reduced resolution if that can tell."""
    if is_reducible(header, REDUCTION) and reduced_prefix(header, tile, pieces[0], REDUCTION):
        low = decode_reduced(header, tile, pieces[0], REDUCTION)
        # At a border the wavelet mixes two numbers, and that may give the number of a third.
        if low.min() == low.max():
            return np.full([index.size for index in wanted], low.flat[0], np.uint8)
    return np.asarray(decode_tile(header, tile, pieces)[np.ix_(*wanted)], np.uint8)


def _raster_block(
    name: str, shape: tuple[int, int], bounds: Window, data: bytes
) -> npt.NDArray[np.uint8]:
    header = _checked_header(name, shape, data)
    parts = parts_in_memory(header, data)
    top, left, bottom, right = bounds
    out = np.empty((bottom - top, right - left), np.uint8)
    for tile, pieces in parts.items():
        t, l, b, r = header.tile_bounds(tile)  # noqa: E741  # top, left, bottom, right
        y0, x0, y1, x1 = max(t, top), max(l, left), min(b, bottom), min(r, right)
        if y0 >= y1 or x0 >= x1:
            continue
        pixels = decode_tile(header, tile, [data[at : at + length] for at, length in pieces])
        part = pixels[y0 - t : y1 - t, x0 - l : x1 - l]
        out[y0 - top : y1 - top, x0 - left : x1 - left] = part if part.ndim == 2 else _packed(part)
    return out


def _packed(layers: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.uint8]:
    out = np.zeros(layers.shape[:2], np.uint8)
    for layer in range(min(layers.shape[2], 8)):
        out |= (layers[..., layer] != 0).astype(np.uint8) << np.uint8(layer)
    return out


def _polygons(sources: Sequence[JP2Source], values: dict[str, int]) -> list[Polygon]:
    polygons: list[Polygon] = []
    for source in sources:
        data = source.store.read(source.path)
        try:
            root = fromstring(data)
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise InputError(
                "damaged mask",
                where=source.url,
                found=str(error),
                fix="download the file again",
            ) from error
        for feature in elements(root, "MaskFeature"):
            value = _value(feature, values)
            if value:
                polygons.extend((value, rings) for rings in _rings(feature))
    return polygons


def _value(feature: Element, values: dict[str, int]) -> int:
    if values:
        kind = next((e.text or "" for e in elements(feature, "maskType")), "").strip()
        # The saturated pixels are named after the level they were found at.
        return next((bit for layer, bit in values.items() if kind.startswith(layer)), 0)
    identifier = next((v for k, v in feature.attrib.items() if k.endswith("id")), "")
    detector = re.search(r"-B\d[0-9A]-(\d+)-", identifier)
    return int(detector[1]) if detector else 0


def _rings(feature: Element) -> Iterable[tuple[tuple[tuple[float, float], ...], ...]]:
    for polygon in elements(feature, "Polygon"):
        rings = []
        for positions in elements(polygon, "posList"):
            dimension = int(positions.get("srsDimension", "2"))
            numbers = [float(word) for word in (positions.text or "").split()]
            points = tuple(zip(numbers[::dimension], numbers[1::dimension], strict=True))
            if len(points) >= 4:
                rings.append(points)
        if rings:
            yield tuple(rings)


def _polygon_block(
    grid: Grid,
    kind: str,
    bounds: Window,
    polygons: list[Polygon],
) -> npt.NDArray[np.uint8]:
    # Half of the time to import this module would be rasterio's; new products need none of it.
    from rasterio.features import rasterize  # noqa: PLC0415
    from rasterio.transform import Affine  # noqa: PLC0415

    top, left, bottom, right = bounds
    part = grid.window(top, left, bottom - top, right - left)
    out = np.zeros(part.shape, np.uint8)
    west, south, east, north = part.bounds
    for value in sorted({value for value, _ in polygons}):
        shapes = [
            {"type": "Polygon", "coordinates": rings}
            for v, rings in polygons
            if v == value and _overlaps(rings[0], (west, south, east, north))
        ]
        if not shapes:
            continue
        with _rasterize_lock:
            burnt = rasterize(
                shapes, out_shape=part.shape, transform=Affine(*part.transform), dtype=np.uint8
            )
        if kind == "bits":
            out |= burnt * np.uint8(value)
        else:
            out[burnt != 0] = value
    return out


def _overlaps(
    ring: Sequence[tuple[float, float]], bounds: tuple[float, float, float, float]
) -> bool:
    west, south, east, north = bounds
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return max(xs) > west and min(xs) < east and max(ys) > south and min(ys) < north

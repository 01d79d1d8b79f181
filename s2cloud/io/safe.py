"""Level-1C products as ESA distributes them (SAFE), and bare granule folders of public archives.

Opening reads a listing, two XML files, the meteorological files and the first 8 KiB of each
band. Pixels and masks are read when they are computed.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from pyproj import Transformer

from s2cloud.io.grib import read_grib
from s2cloud.io.jp2_array import JP2Image
from s2cloud.io.jp2_header import HEADER_BYTES, georeference
from s2cloud.io.jp2_index import JP2Group
from s2cloud.io.l1c_layout import BandImage, Layout, layout_of, window_of
from s2cloud.io.safe_masks import CLASSIFICATION_BITS, QUALITY_BITS, polygon_mask, raster_mask
from s2cloud.io.safe_metadata import (
    ProductMetadata,
    TileMetadata,
    parse_product,
    parse_tile,
    product_of_tile,
)
from s2cloud.model.bands import BAND_INDEX, BAND_INFO, BANDS, SENSORS, Resolution
from s2cloud.model.errors import InputError
from s2cloud.model.granule import Granule
from s2cloud.model.grid import BLOCK_PX, Grid
from s2cloud.model.schema import (
    CAMS,
    DETECTOR_FOOTPRINT,
    ECMWF,
    GEOMETRY,
    L1C_CLASSIFICATION,
    NODATA,
    OVERVIEW,
    QUALITY_MASK,
    SATURATED,
    reflectance_path,
)

if TYPE_CHECKING:
    import dask.array as da

    from s2cloud.io.safe_files import ProductFiles

__all__ = ["read_granule_folder", "read_safe"]

logger = logging.getLogger(__name__)

Bbox = tuple[float, float, float, float]
Window = tuple[int, int, int, int]

_FORECASTS: Final = {
    ECMWF: ("AUX_DATA/AUX_ECMWFT", "auxiliary/ECMWFT", "auxiliary/AUX_ECMWFT"),
    CAMS: (
        *("AUX_DATA/AUX_CAMSFO", "AUX_DATA/AUX_CAMSRE"),
        *("auxiliary/CAMSFO", "auxiliary/AUX_CAMSFO", "auxiliary/CAMSRE", "auxiliary/AUX_CAMSRE"),
    ),
}


@dataclass(frozen=True, slots=True)
class _Product:
    """Everything known of a product before its tree is built."""

    files: ProductFiles
    granule: str
    product: ProductMetadata
    tile: TileMetadata
    uri: str


def read_safe(files: ProductFiles, *, bbox: Bbox | None, uri: str) -> xr.DataTree:
    """Tree of a SAFE product.

    Parameters
    ----------
    files
        Files of the product; MTD_MSIL1C.xml is known to be there.
    bbox
        West, south, east, north. [degree] None for the whole tile.
    uri
        Where the product was opened, for its identity.
    """
    name = files.url("MTD_MSIL1C.xml")
    product = parse_product(files.read("MTD_MSIL1C.xml"), name)
    folders = {path.partition("/IMG_DATA/")[0] for path in product.images.values()}
    folder = next(iter(folders), "")
    path = f"{folder}/MTD_TL.xml"
    if not files.infos([path]):
        others = [p for p in files.ending("/MTD_TL.xml") if p.startswith("GRANULE/")]
        if len(others) != 1:
            raise InputError(
                "tile metadata missing",
                where=files.url(path if folder else "GRANULE"),
                expected="one MTD_TL.xml",
                found=f"{len(others)}",
                fix="download the product again, with its GRANULE folder",
            )
        path = others[0]
    tile = parse_tile(files.read(path), files.url(path))
    folder = path.removesuffix("/MTD_TL.xml")
    return _tree(_Product(files, folder, product, tile, uri), bbox)


def read_granule_folder(
    files: ProductFiles, metadata: str, *, bbox: Bbox | None, uri: str
) -> xr.DataTree:
    """Tree of a folder that holds one granule without the product around it.

    Parameters
    ----------
    files
        Files of the folder.
    metadata
        Name of the tile metadata: ``MTD_TL.xml``, or ``metadata.xml`` in the public archive.
    bbox, uri
        As in `read_safe`.
    """
    tile = parse_tile(files.read(metadata), files.url(metadata))
    info: dict[str, Any] = {}
    if files.infos(["tileInfo.json"]):
        try:
            info = json.loads(files.read("tileInfo.json"))
        except ValueError as error:
            raise InputError(
                "damaged metadata",
                where=files.url("tileInfo.json"),
                found=str(error),
                fix="download the file again",
            ) from error
    product = product_of_tile(tile, info, files.url())
    return _tree(_Product(files, "", product, tile, uri), bbox)


def _tree(p: _Product, bbox: Bbox | None) -> xr.DataTree:
    images, missing = _images(p)
    headers = {
        band: BandImage(image.header.shape, *_place(first))
        for band, (image, first) in images.items()
    }
    layout = layout_of(headers, p.tile.grids, p.files.url())
    if layout.note:
        logger.warning("%s: %s", p.product.name, layout.note)
    window = _overview_window(layout.overview, bbox, p.files.url())
    bands = {band: image for band, (image, _) in images.items()}
    nodes: dict[str, xr.Dataset] = {}
    for resolution in layout.grids:
        members = [band for band in BANDS if layout.nodes.get(band) == resolution and band in bands]
        nodes[reflectance_path(resolution)] = _reflectance(
            p, layout, window, resolution, {band: bands[band] for band in members}
        )
    nodes[f"{OVERVIEW}/r60m"] = _overview(p, layout, window, bands)
    nodes[GEOMETRY] = p.tile.geometry
    nodes |= _meteorology(p)
    nodes |= _masks(p, layout, window)
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = _attrs(p, layout, missing)
    return tree


def _images(p: _Product) -> tuple[dict[str, tuple[JP2Image, bytes]], list[str]]:
    """Images with their first bytes, and the paths of those that are not there."""
    expected = {
        band: f"{path}.jp2" if not path.endswith(".jp2") else path
        for band, path in p.product.images.items()
    }
    for band in BANDS:
        esa = BAND_INFO[band].esa_name
        known = expected.setdefault(band, f"{p.granule}/IMG_DATA/{esa}.jp2".lstrip("/"))
        if known not in p.files.found:
            # Repackaged products keep the folders but not always the names.
            folder = f"{p.granule}/IMG_DATA/".lstrip("/")
            others = p.files.ending(f"_{esa}.jp2", folder=folder)
            expected[band] = others[0] if len(others) == 1 else known
    infos = p.files.infos(expected[band] for band in BANDS)
    present = {band: expected[band] for band in BANDS if expected[band] in infos}
    starts = p.files.store.read_ranges(
        [(p.files.path(path), 0, min(HEADER_BYTES, infos[path].size)) for path in present.values()],
        merge=False,
    )
    images: dict[str, tuple[JP2Image, bytes]] = {}
    for (band, path), first in zip(present.items(), starts, strict=True):
        source = p.files.source(path, infos[path])
        images[band] = (JP2Image(source, source.header(first)), first)
    hopping = tuple(
        (image.source, image.header)
        for image, _ in images.values()
        if not (image.header.parts or image.source.is_near)
    )
    if hopping:
        group = JP2Group(hopping)
        images = {
            band: (replace(image, group=group), first) for band, (image, first) in images.items()
        }
    return images, [p.files.url(expected[band]) for band in BANDS if band not in images]


def _place(first: bytes) -> tuple[tuple[float, float] | None, float | None]:
    found = georeference(first)
    return (None, None) if found is None else ((found[0], found[1]), found[2])


def _overview_window(grid: Grid, bbox: Bbox | None, name: str) -> Window:
    """Window of the overview's grid that covers a box."""
    if bbox is None:
        return (0, 0, grid.height, grid.width)
    west, south, east, north = bbox
    if not (-90 <= south < north <= 90) or west == east:
        raise InputError(
            "not a bounding box",
            where=str(bbox),
            expected="west, south, east, north in degrees",
            fix="check the order of the numbers",
        )
    # A box across the date line has its east west of its west.
    turn = 360.0 if east < west else 0.0
    to_tile = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    bounds = to_tile.transform_bounds(west, south, east + turn, north)
    window = window_of(grid, bounds) if np.all(np.isfinite(bounds)) else None
    if window is None:
        inside = ", ".join(f"{v:.3f}" for v in _degrees(grid))
        raise InputError(
            "bounding box outside of the tile",
            where=name,
            expected=f"within {inside}",
            found=", ".join(f"{v:g}" for v in bbox),
            fix="check the box, or take the tile that covers it",
        )
    return window


def _degrees(grid: Grid) -> tuple[float, ...]:
    to_degrees = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    return tuple(float(v) for v in to_degrees.transform_bounds(*grid.bounds))


def _scaled(window: Window, factor: int, grid: Grid) -> Window:
    row, col, height, width = (value * factor for value in window)
    return (row, col, min(height, grid.height - row), min(width, grid.width - col))


def _reflectance(
    p: _Product,
    layout: Layout,
    window: Window,
    resolution: Resolution,
    bands: dict[str, JP2Image],
) -> xr.Dataset:
    grid = layout.grids[resolution]
    row, col, height, width = _scaled(window, layout.factors[resolution], grid)
    arrays = {
        band: image.array((row, col, height, width), block=BLOCK_PX[resolution])
        for band, image in bands.items()
    }
    return _counts(p, grid.window(row, col, height, width), resolution, arrays)


def _overview(
    p: _Product, layout: Layout, window: Window, bands: dict[str, JP2Image]
) -> xr.Dataset:
    arrays: dict[str, da.Array] = {}
    shape = layout.overview.shape
    whole = window == (0, 0, *shape)
    for band, image in bands.items():
        node = layout.nodes[band]
        factor, grid = layout.factors[node], layout.grids[node]
        read = _scaled(window, factor, grid)
        if factor == 1 and whole:
            # The very array of the band: its tiles are then decoded once for both.
            arrays[band] = image.array(read, block=BLOCK_PX[node]).rechunk(-1)
        else:
            arrays[band] = image.overview(factor, shape, window=read)
    return _counts(p, layout.overview, 60, arrays)


def _counts(
    p: _Product, grid: Grid, resolution: Resolution, arrays: dict[str, da.Array]
) -> xr.Dataset:
    dims = ("y", "x")
    column = SENSORS.index(p.product.sensor) if p.product.sensor in SENSORS else 0
    variables = {}
    for band, array in arrays.items():
        info = BAND_INFO[band]
        attrs = {
            "long_name": f"top-of-atmosphere reflectance, band {info.esa_name}",
            "units": "1",
            "scale_factor": 1.0 / p.product.quantification,
            "add_offset": p.product.offsets[BAND_INDEX[band]] / p.product.quantification,
            "_FillValue": NODATA,
            "saturated": SATURATED,
            "wavelength_nm": info.wavelength_nm[column],
        }
        variables[band] = xr.Variable(dims, array, attrs)
    return xr.Dataset(
        variables,
        coords={"y": ("y", grid.y), "x": ("x", grid.x)},
        attrs={"crs": grid.crs, "resolution": resolution},
    )


def _meteorology(p: _Product) -> dict[str, xr.Dataset]:
    paths = {
        node: [f"{p.granule}/{name}".lstrip("/") for name in names]
        for node, names in _FORECASTS.items()
    }
    infos = p.files.infos(path for names in paths.values() for path in names)
    chosen = {
        node: next(path for path in names if path in infos)
        for node, names in paths.items()
        if any(path in infos for path in names)
    }
    contents = p.files.store.read_many([p.files.path(path) for path in chosen.values()])
    return {
        node: read_grib(data, p.files.url(path))
        for (node, path), data in zip(chosen.items(), contents, strict=True)
    }


def _masks(p: _Product, layout: Layout, window: Window) -> dict[str, xr.Dataset]:
    paths = _mask_paths(p)
    bounds = layout.overview.window(*window).bounds
    infos = p.files.infos(paths.values())
    sources = {
        key: p.files.source(path, infos[path]) for key, path in paths.items() if path in infos
    }
    arrays: dict[str, dict[str, xr.Variable]] = {}
    grids: dict[str, Grid] = {}

    def add(node: str, variable: str, array: da.Array, grid: Grid, name: str) -> None:
        attrs = {"long_name": name, "units": "1"}
        arrays.setdefault(node, {})[variable] = xr.Variable(("y", "x"), array, attrs)
        grids[node] = grid

    for band in ("b00", *BANDS):
        own = {kind: source for (kind, b), source in sources.items() if b == band}
        native: Resolution = 60 if band == "b00" else BAND_INFO[band].resolution
        node = layout.nodes.get(band, native) if band != "b00" else 60
        raster = p.tile.grids[native]
        cut = window_of(raster, bounds)
        for kinds, path, title, values in (
            (("CLASSI", "CLOUDS"), L1C_CLASSIFICATION, "cloud and snow", CLASSIFICATION_BITS),
            (("DETFOO",), f"{DETECTOR_FOOTPRINT}/r{{}}m", "detector number", {}),
            (
                ("QUALIT", "TECQUA", "DEFECT", "NODATA", "SATURA"),
                f"{QUALITY_MASK}/r{{}}m",
                "quality",
                QUALITY_BITS,
            ),
        ):
            found = [own[kind] for kind in kinds if kind in own]
            images = [source for source in found if source.path.endswith(".jp2")]
            if images and cut is not None:
                array = raster_mask(images[0], raster.shape, cut, block=BLOCK_PX[native])
                add(path.format(native), band, array, raster.window(*cut), title)
            elif found and not images:
                grid = _polygon_grid(layout, window, node)
                array = polygon_mask(found, values, grid, block=BLOCK_PX[node])
                add(path.format(node), band, array, grid, title)
    return {
        node: xr.Dataset(
            variables,
            coords={"y": ("y", grids[node].y), "x": ("x", grids[node].x)},
            attrs={"crs": grids[node].crs},
        )
        for node, variables in arrays.items()
    }


def _mask_paths(p: _Product) -> dict[tuple[str, str], str]:
    """Type and band -> path, from the folder if there is a listing, else from the metadata."""
    if not p.files.found:
        return p.tile.masks
    paths: dict[tuple[str, str], str] = {}
    folders = tuple(f"{p.granule}/{name}/".lstrip("/") for name in ("QI_DATA", "qi"))
    for path in p.files.found:
        name = path.rsplit("/", 1)[-1]
        found = re.search(r"^(?:.*MSK_)?([A-Z]{6})_(?:.*_)?(B\d[0-9A])\b.*\.(?:jp2|gml)$", name)
        if found and path.startswith(folders):
            paths[found[1], found[2].lower()] = path
    return paths


def _polygon_grid(layout: Layout, window: Window, node: Resolution) -> Grid:
    if node not in layout.grids:
        return layout.overview.window(*window)
    grid = layout.grids[node]
    return grid.window(*_scaled(window, layout.factors[node], grid))


def _attrs(p: _Product, layout: Layout, missing: list[str]) -> dict[str, Any]:
    found = Granule(
        name=p.product.name,
        sensor=p.product.sensor,  # type: ignore[arg-type]  # checked by Granule itself
        sensing_time=p.tile.sensing_time,
        tile=p.tile.tile,
        baseline=p.product.baseline,
        relative_orbit=p.product.relative_orbit,
        absolute_orbit=p.tile.absolute_orbit,
        datatake=p.product.datatake,
        datastrip=p.tile.datastrip,
        bbox=_degrees(layout.overview),
        uri=p.uri,
    )
    attrs: dict[str, Any] = {
        "granule": found.to_attrs(),
        "sensor": p.product.sensor,
        "quantification": p.product.quantification,
        "earth_sun_correction": p.product.earth_sun_correction,
        "solar_irradiance": list(p.product.solar_irradiance),
        "missing_bands": missing,
    }
    if layout.note:
        attrs["image_size_note"] = layout.note
    return attrs

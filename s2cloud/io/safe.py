"""Level-1C products as ESA distributes them (SAFE), and bare granule folders of public archives.

Opening reads a listing, two XML files, the meteorological files and the first 8 KiB of each
band. Pixels and masks are read when they are computed.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import xarray as xr

from s2cloud.io.grib import read_grib
from s2cloud.io.jp2_array import JP2Image
from s2cloud.io.jp2_header import HEADER_BYTES, georeference
from s2cloud.io.jp2_index import JP2Group
from s2cloud.io.l1c_layout import BandImage, Layout, layout_of, window_of
from s2cloud.io.l1c_tree import block_means, counts, root_attrs
from s2cloud.io.part import Part, Placed, degrees
from s2cloud.io.safe_masks import (
    CLASSIFICATION_BITS,
    QUALITY_BITS,
    detector_map,
    polygon_mask,
    raster_mask,
)
from s2cloud.io.safe_metadata import (
    ProductMetadata,
    TileMetadata,
    parse_product,
    parse_tile,
)
from s2cloud.io.safe_quality import SOURCE
from s2cloud.model.bands import BAND_INDEX, BAND_INFO, BANDS, Resolution
from s2cloud.model.errors import InputError
from s2cloud.model.granule import Granule
from s2cloud.model.grid import BLOCK_PX, Grid
from s2cloud.model.schema import (
    CAMS,
    DETECTOR_FOOTPRINT,
    ECMWF,
    GEOMETRY,
    L1C_CLASSIFICATION,
    OVERVIEW,
    QUALITY_MASK,
    reflectance_path,
)

if TYPE_CHECKING:
    import dask.array as da

    from s2cloud.io.safe_files import ProductFiles

__all__ = ["SafeProduct", "read_safe", "tree_of"]

logger = logging.getLogger(__name__)

Window = tuple[int, int, int, int]

_FORECASTS: Final = {
    ECMWF: ("AUX_DATA/AUX_ECMWFT", "auxiliary/ECMWFT", "auxiliary/AUX_ECMWFT"),
    CAMS: (
        *("AUX_DATA/AUX_CAMSFO", "AUX_DATA/AUX_CAMSRE"),
        *("auxiliary/CAMSFO", "auxiliary/AUX_CAMSFO", "auxiliary/CAMSRE", "auxiliary/AUX_CAMSRE"),
    ),
}


@dataclass(frozen=True, slots=True)
class SafeProduct:
    """Everything known of a product before its tree is built.

    Attributes
    ----------
    files
        Its files.
    granule
        Folder of the granule in it, empty if the granule lies at the top.
    product, tile
        Metadata.
    uri
        Where it was opened, for its identity.
    notes
        What is not as in other products.
    """

    files: ProductFiles
    granule: str
    product: ProductMetadata
    tile: TileMetadata
    uri: str
    notes: tuple[str, ...] = ()


def read_safe(files: ProductFiles, *, part: Part, uri: str) -> xr.DataTree:
    """Tree of a SAFE product.

    Parameters
    ----------
    files
        Files of the product; MTD_MSIL1C.xml is known to be there.
    part
        What to read of it.
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
    return tree_of(SafeProduct(files, folder, product, tile, uri), part)


def tree_of(p: SafeProduct, part: Part) -> xr.DataTree:
    """Tree of a product whose files and metadata are known.

    Parameters
    ----------
    p
        The product.
    part
        What to read of it.
    """
    images, missing = _images(p)
    headers = {
        band: BandImage(image.header.shape, *_place(first))
        for band, (image, first) in images.items()
    }
    layout = layout_of(headers, p.tile.grids, p.files.url())
    if layout.note:
        logger.warning("%s: %s", p.product.name, layout.note)
    placed = part.on(layout.overview, p.files.url())
    window = placed.window
    bands = {band: image for band, (image, _) in images.items()}
    overview = _overview(p, layout, placed, bands)
    finest = part.finest if placed.region is None else min(layout.grids)
    nodes: dict[str, xr.Dataset] = {}
    for resolution in layout.grids:
        members = [band for band in BANDS if layout.nodes.get(band) == resolution and band in bands]
        if resolution < finest:
            continue
        if resolution == finest == 60:
            nodes[reflectance_path(resolution)] = overview
            continue
        nodes[reflectance_path(resolution)] = _reflectance(
            p, layout, window, resolution, {band: bands[band] for band in members}
        )
    if finest == 20 and (20 in layout.grids):
        finer = [band for band in BANDS if layout.nodes.get(band) == 10 and band in bands]
        low = _low_pass(p, layout, {band: bands[band] for band in finer})
        nodes[reflectance_path(20)] = nodes[reflectance_path(20)].assign(low.data_vars)
    nodes[f"{OVERVIEW}/r60m"] = overview
    nodes[GEOMETRY] = p.tile.geometry
    nodes |= _meteorology(p)
    nodes |= _masks(p, layout, placed, finest)
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = _attrs(p, layout, placed, missing, finest) | p.files.identity()
    return tree


def _images(p: SafeProduct) -> tuple[dict[str, tuple[JP2Image, bytes]], list[str]]:
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


def _scaled(window: Window, factor: int, grid: Grid) -> Window:
    row, col, height, width = (value * factor for value in window)
    return (row, col, min(height, grid.height - row), min(width, grid.width - col))


def _reflectance(
    p: SafeProduct,
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


def _low_pass(p: SafeProduct, layout: Layout, bands: dict[str, JP2Image]) -> xr.Dataset:
    """10 m bands on the pixels of 20 m, from the low resolutions of their files."""
    grid = layout.grids[20]
    # Small images, too: what a pixel is must not depend on the size of the tile.
    arrays = {band: image.overview(2, grid.shape, least=0) for band, image in bands.items()}
    return _counts(p, grid, 20, arrays)


def _overview(
    p: SafeProduct, layout: Layout, placed: Placed, bands: dict[str, JP2Image]
) -> xr.Dataset:
    arrays: dict[str, da.Array] = {}
    window, shape = placed.window, layout.overview.shape
    for band, image in bands.items():
        node = layout.nodes[band]
        factor, grid = layout.factors[node], layout.grids[node]
        read = _scaled(window, factor, grid)
        if placed.is_own_scene or (factor == 1 and window == (0, 0, *shape)):
            # The very array of the band: its tiles are then decoded once for both.
            arrays[band] = block_means(image.array(read, block=BLOCK_PX[node]), factor)
        else:
            arrays[band] = image.overview(factor, shape, window=read)
    grid = layout.overview.window(*window) if placed.is_own_scene else layout.overview
    return _counts(p, grid, 60, arrays)


def _counts(
    p: SafeProduct, grid: Grid, resolution: Resolution, arrays: dict[str, da.Array]
) -> xr.Dataset:
    scale = p.product.quantification
    decoding = {band: (1.0 / scale, p.product.offsets[BAND_INDEX[band]] / scale) for band in arrays}
    return counts(arrays, decoding, grid, resolution, p.product.sensor)


def _meteorology(p: SafeProduct) -> dict[str, xr.Dataset]:
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


def _masks(p: SafeProduct, layout: Layout, placed: Placed, finest: int) -> dict[str, xr.Dataset]:
    paths, window = _mask_paths(p), placed.window
    if finest == 60:
        # A quick look takes the mean direction: footprints would be a tenth of its time.
        paths = {key: path for key, path in paths.items() if key[0] != "DETFOO"}
    scene = window if placed.is_own_scene else (0, 0, *layout.overview.shape)
    infos = p.files.infos(paths.values())
    sources = {
        key: p.files.source(path, infos[path]) for key, path in paths.items() if path in infos
    }
    arrays: dict[str, dict[str, xr.Variable]] = {}
    grids: dict[str, Grid] = {}

    def add(
        node: str, variable: str, array: da.Array, grid: Grid, name: str, whole: Any = None
    ) -> None:
        attrs = {"long_name": name, "units": "1"}
        encoding = {} if whole is None else {SOURCE: whole}
        arrays.setdefault(node, {})[variable] = xr.Variable(("y", "x"), array, attrs, encoding)
        grids[node] = grid

    for band in ("b00", *BANDS):
        own = {kind: source for (kind, b), source in sources.items() if b == band}
        native: Resolution = 60 if band == "b00" else BAND_INFO[band].resolution
        node = layout.nodes.get(band, native) if band != "b00" else 60
        raster = p.tile.grids[native]
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
            # At 60 m the footprints cover what the scene stage sees, the whole tile.
            area = scene if native == 60 and kinds == ("DETFOO",) else window
            cut = window_of(raster, layout.overview.window(*area).bounds)
            found = [own[kind] for kind in kinds if kind in own]
            images = [source for source in found if source.path.endswith(".jp2")]
            if images and cut is not None:
                # Footprints at 60 m are small, and asked for as a whole.
                small = kinds == ("DETFOO",) and native == 60
                block = max(raster.shape) if small else BLOCK_PX[native]
                array = raster_mask(images[0], raster.shape, cut, block=block)
                whole = images[0] if array.shape == raster.shape else None
                add(path.format(native), band, array, raster.window(*cut), title, whole)
            elif found and not images:
                grid = _polygon_grid(layout, area, node)
                array = polygon_mask(found, values, grid, block=BLOCK_PX[node])
                add(path.format(node), band, array, grid, title)
        if native < 60 and "DETFOO" in own and layout.overview == p.tile.grids[60]:
            # Which detector sees an overview pixel, for the directions of the correction.
            source, grid = own["DETFOO"], layout.overview.window(*scene)
            if source.path.endswith(".jp2"):
                array = detector_map(source, raster.shape, 60 // native, scene)
            else:
                array = polygon_mask([source], {}, grid, block=BLOCK_PX[60])
            add(f"{DETECTOR_FOOTPRINT}/r60m", band, array, grid, "detector number")
    return {
        node: xr.Dataset(
            variables,
            coords={"y": ("y", grids[node].y), "x": ("x", grids[node].x)},
            attrs={"crs": grids[node].crs},
        )
        for node, variables in arrays.items()
    }


def _mask_paths(p: SafeProduct) -> dict[tuple[str, str], str]:
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


def _attrs(
    p: SafeProduct, layout: Layout, placed: Placed, missing: list[str], finest: int
) -> dict[str, Any]:
    quick = finest > min(layout.grids)
    note = f"finer bands are low-passes of their wavelet at {finest} m, not means of pixels"
    if quick:
        logger.warning("%s: %s", p.product.name, note)
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
        bbox=degrees(layout.overview),
        uri=p.uri,
    )
    return root_attrs(
        found,
        quantification=p.product.quantification,
        earth_sun_correction=p.product.earth_sun_correction,
        solar_irradiance=list(p.product.solar_irradiance),
        missing=missing,
        placed=placed,
        notes=[*p.notes, layout.note, note if quick else ""],
    )

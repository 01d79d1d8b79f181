"""Level-1C products in ESA's Zarr form (EOPF), Zarr version 2 or 3.

Opening reads the metadata, angles and forecasts; pixels and masks are read when they are
computed. The form has no reduced resolutions, so the statistics over the scene read all pixels
of the tile once; ``statistics="region"`` reads those of the region alone.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from dask.base import tokenize

from s2cloud.io.eopf_geometry import (
    GEOMETRY_ARRAYS,
    METEOROLOGY_ARRAYS,
    geometry_of,
    meteorology_of,
)
from s2cloud.io.l1c_layout import window_of
from s2cloud.io.l1c_tree import block_means, counts, root_attrs
from s2cloud.io.part import Placed
from s2cloud.io.safe_metadata import checked_baseline
from s2cloud.io.wavelet import overview_of
from s2cloud.io.zarr_source import ZarrFiles
from s2cloud.model.bands import BAND_INFO, BANDS, SENSORS, Resolution
from s2cloud.model.errors import InputError
from s2cloud.model.granule import PRODUCT_NAME, Granule
from s2cloud.model.grid import BLOCK_PX, Grid
from s2cloud.model.schema import (
    DETECTOR_FOOTPRINT,
    GEOMETRY,
    L1C_CLASSIFICATION,
    OVERVIEW,
    QUALITY_MASK,
    reflectance_path,
)

if TYPE_CHECKING:
    import dask.array as da

    from s2cloud.io.part import Part
    from s2cloud.io.safe_files import ProductFiles

__all__ = ["read_eopf"]

logger = logging.getLogger(__name__)

_RESOLUTIONS: Final[tuple[Resolution, ...]] = (10, 20, 60)
_CORRECTION: Final = (
    "reflectance_correction_factor_from_the_Sun-Earth_distance_variation_computed_using_the_"
    "acquisition_date"
)
#: Kinds of masks: node, title.
_MASKS: Final = {
    f"{QUALITY_MASK}/r{{}}m": "quality",
    f"{DETECTOR_FOOTPRINT}/r{{}}m": "detector number",
}


def _band_path(band: str) -> str:
    return f"{reflectance_path(BAND_INFO[band].resolution)}/{band}"


def _wanted() -> list[str]:
    masks = [f"{node.format(BAND_INFO[b].resolution)}/{b}" for node in _MASKS for b in BANDS]
    axes = [f"{reflectance_path(r)}/{axis}" for r in _RESOLUTIONS for axis in ("x", "y")]
    bands = [_band_path(band) for band in BANDS]
    return [
        *bands,
        *masks,
        f"{L1C_CLASSIFICATION}/b00",
        *axes,
        *GEOMETRY_ARRAYS,
        *METEOROLOGY_ARRAYS,
    ]


def read_eopf(files: ProductFiles, *, part: Part, uri: str) -> xr.DataTree:
    """Tree of an EOPF Zarr product.

    Parameters
    ----------
    files
        Files of the product.
    part
        What to read of it.
    uri
        Where the product was opened, for its identity.

    Raises
    ------
    InputError
        If it is no Level-1C product, or groups are missing that cannot be done without.
    """
    root = _Root.of(files, uri)
    zarr = ZarrFiles(files, _wanted())
    present = [band for band in BANDS if _band_path(band) in zarr.arrays]
    missing = [files.url(_band_path(band)) for band in BANDS if band not in present]
    nodes: dict[str, xr.Dataset] = {"/": xr.Dataset()}
    if not present:
        logger.warning("%s holds attributes but no pixels", files.url())
        nodes[GEOMETRY] = root.mean_sun_angles()
        return root.tree(nodes, [], missing, None)
    product = _Pixels(files, zarr, root, present)
    placed = part.on(product.overview, files.url())
    for resolution in _RESOLUTIONS:
        nodes[reflectance_path(resolution)] = product.reflectance(resolution, placed)
    nodes[f"{OVERVIEW}/r60m"] = product.overviews(placed)
    nodes |= product.masks(placed)
    nodes[GEOMETRY] = geometry_of(zarr, product.grids[10], files.url(GEOMETRY))
    nodes |= meteorology_of(zarr)
    tree = root.tree(nodes, list(product.decoding.values()), missing, placed)
    tree.attrs |= files.identity()
    return tree


@dataclass(frozen=True, slots=True)
class _Root:
    """What the attributes of the root tell."""

    granule: Granule
    irradiance: dict[str, float]
    other: dict[str, Any]
    crs: str
    token: str

    @classmethod
    def of(cls, files: ProductFiles, uri: str) -> _Root:
        path = next((p for p in (".zattrs", "zarr.json") if files.infos([p])), ".zattrs")
        name = files.url(path)
        try:
            attrs = json.loads(files.read(path))
            attrs = attrs.get("attributes", attrs)
            item, other = attrs["stac_discovery"], attrs.get("other_metadata", {})
            properties = item["properties"]
            kind = str(properties.get("product:type", ""))
            if kind != "S02MSIL1C":
                raise InputError(
                    "not a Level-1C product",
                    where=name,
                    expected="S02MSIL1C",
                    found=kind,
                    fix="give the L1C product of this acquisition",
                )
            irradiance = {
                str(band.get("name")): float(band["solar_illumination"])
                for band in properties.get("bands", [])
                if isinstance(band, dict) and "solar_illumination" in band
            }
            found = _granule(item, other, uri, name)
            code = properties.get("proj:code") or properties.get("proj:epsg")
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(
                "attributes of an EOPF product unreadable",
                where=name,
                expected="stac_discovery of an S02MSIL1C product",
                found=f"{type(error).__name__} {error}",
                fix="download the product again",
            ) from error
        crs = str(other.get("horizontal_CRS_code") or code or "")
        token = tokenize(item.get("id"), properties)
        return cls(found, irradiance, other, f"EPSG:{crs}" if crs.isdigit() else crs, token)

    def mean_sun_angles(self) -> xr.Dataset:
        """All that the attributes know of the geometry."""
        keys = (
            f"mean_sun_{kind}_angle_in_deg_for_all_bands_all_detectors"
            for kind in ("zenith", "azimuth")
        )
        angles = [self.other.get(key) for key in keys]
        if None in angles:
            return xr.Dataset()
        values = np.array(angles, dtype=np.float64)
        return xr.Dataset(
            {"mean_sun_angles": (("angle",), values, {"units": "degree"})},
            coords={"angle": ["zenith", "azimuth"]},
        )

    def tree(
        self,
        nodes: dict[str, xr.Dataset],
        decoding: list[tuple[float, float]],
        missing: list[str],
        placed: Placed | None,
    ) -> xr.DataTree:
        """Tree of the nodes with the attributes of a Level-1C tree."""
        tree = xr.DataTree.from_dict(nodes)
        correction = self.other.get(_CORRECTION)
        tree.attrs = root_attrs(
            self.granule,
            quantification=1.0 / decoding[0][0] if decoding else 10_000.0,
            earth_sun_correction=float("nan") if correction is None else float(correction),
            solar_irradiance=[self.irradiance.get(band, float("nan")) for band in BANDS],
            missing=missing,
            placed=placed or Placed((0, 0, 0, 0)),
            notes=[],
        )
        return tree


class _Pixels:
    """Bands and masks of a product on their grids."""

    def __init__(self, files: ProductFiles, zarr: ZarrFiles, root: _Root, bands: list[str]) -> None:
        self.files, self.zarr, self.root, self.bands = files, zarr, root, bands
        self.decoding = {band: self._decoding(band) for band in bands}
        native = {band: BAND_INFO[band].resolution for band in bands}
        first = {native[band]: band for band in reversed(bands)}
        known = {resolution: self._grid(band) for resolution, band in first.items()}
        base = known[min(known)]
        self.grids: dict[Resolution, Grid] = {
            r: known.get(r) or _resized(base, min(known), r) for r in _RESOLUTIONS
        }
        self.overview = self.grids[60]
        for band in bands:
            self._check(band, native[band])

    def reflectance(self, resolution: Resolution, placed: Placed) -> xr.Dataset:
        """Counts of the bands of one resolution."""
        grid, factor = self.grids[resolution], 60 // resolution
        window = _scaled(placed.window, factor, grid)
        arrays = {
            band: self._lazy(_band_path(band), window, resolution)
            for band in self.bands
            if BAND_INFO[band].resolution == resolution
        }
        cut = grid.window(*window)
        return counts(arrays, self.decoding, cut, resolution, self.root.granule.sensor)

    def overviews(self, placed: Placed) -> xr.Dataset:
        """All bands on the 60 m grid."""
        grid, arrays = self.overview, {}
        if placed.is_own_scene:
            grid = grid.window(*placed.window)
        for band in self.bands:
            resolution = BAND_INFO[band].resolution
            factor = 60 // resolution
            if placed.is_own_scene:
                window = _scaled(placed.window, factor, self.grids[resolution])
                pixels = self._lazy(_band_path(band), window, resolution)
                arrays[band] = block_means(pixels, factor)
            else:
                pixels = self._lazy(_band_path(band), None, resolution)
                arrays[band] = overview_of(pixels, resolution, factor)
        return counts(arrays, self.decoding, grid, 60, self.root.granule.sensor)

    def masks(self, placed: Placed) -> dict[str, xr.Dataset]:
        """Quality masks, footprints of the detectors, cloud and snow mask."""
        scene = placed.window if placed.is_own_scene else (0, 0, *self.overview.shape)
        arrays: dict[str, dict[str, xr.Variable]] = {}
        grids: dict[str, Grid] = {}

        def add(node: str, band: str, array: da.Array, grid: Grid, title: str) -> None:
            attrs = {"long_name": title, "units": "1"}
            arrays.setdefault(node, {})[band] = xr.Variable(("y", "x"), array, attrs)
            grids[node] = grid

        def mask(node: str, band: str, title: str, native: Resolution) -> None:
            # At 60 m the footprints cover what the scene stage sees, the whole tile.
            whole = node == f"{DETECTOR_FOOTPRINT}/r60m"
            area = scene if whole else placed.window
            cut = window_of(self.grids[native], self.overview.window(*area).bounds)
            if f"{node}/{band}" in self.zarr.arrays and cut is not None:
                array = self._lazy(f"{node}/{band}", cut, native).astype(np.uint8)
                add(node, band, array, self.grids[native].window(*cut), title)

        mask(L1C_CLASSIFICATION, "b00", "cloud and snow", 60)
        for band in BANDS:
            native = BAND_INFO[band].resolution
            for node, title in _MASKS.items():
                mask(node.format(native), band, title, native)
            path = f"{DETECTOR_FOOTPRINT}/r{native}m/{band}"
            if native < 60 and path in self.zarr.arrays:
                # Which detector sees the centre of an overview pixel.
                factor, (row, col, height, width) = 60 // native, scene
                whole = self._lazy(path, None, native).astype(np.uint8)
                rows = slice(row * factor + factor // 2, (row + height) * factor, factor)
                cols = slice(col * factor + factor // 2, (col + width) * factor, factor)
                grid = self.overview.window(*scene)
                sampled = whole[rows, cols].rechunk(-1)
                add(f"{DETECTOR_FOOTPRINT}/r60m", band, sampled, grid, "detector number")
        return {
            node: xr.Dataset(
                variables,
                coords={"y": ("y", grids[node].y), "x": ("x", grids[node].x)},
                attrs={"crs": grids[node].crs},
            )
            for node, variables in arrays.items()
        }

    def _lazy(
        self, path: str, window: tuple[int, int, int, int] | None, resolution: Resolution
    ) -> da.Array:
        return self.zarr.lazy(path, window, block=BLOCK_PX[resolution], token=self.root.token)

    def _decoding(self, band: str) -> tuple[float, float]:
        attrs = dict(self.zarr.arrays[_band_path(band)].attrs)
        inner = attrs.get("_eopf_attrs")
        named = {**(inner if isinstance(inner, dict) else {}), **attrs}
        # Guessing here would shift every reflectance by 0.1.
        scale, offset = _numbers(
            [named.get(key) for key in ("scale_factor", "add_offset")],
            "counts without their scale",
            where=self.files.url(_band_path(band)),
            expected="numbers scale_factor and add_offset",
        )
        return scale, offset

    def _grid(self, band: str) -> Grid:
        array = self.zarr.arrays[_band_path(band)]
        attrs, (height, width) = dict(array.attrs), array.shape
        crs = f"EPSG:{attrs['proj:epsg']}" if attrs.get("proj:epsg") else self.root.crs
        transform = attrs.get("proj:transform")
        if transform is not None:
            size, _, ulx, _, _, uly, *_ = _numbers(
                transform,
                "place of the pixels unreadable",
                where=self.files.url(_band_path(band)),
                expected="six numbers in proj:transform",
                least=6,
            )
            return Grid(crs, ulx, uly, size, height, width)
        node = reflectance_path(BAND_INFO[band].resolution)
        axes = self.zarr.values([f"{node}/x", f"{node}/y"])
        if len(axes) < 2 or min(axis.size for axis in axes.values()) < 2:
            raise InputError(
                "pixels without coordinates",
                where=self.files.url(_band_path(band)),
                expected="attribute proj:transform, or arrays x and y",
                found="neither",
                fix="download the product again",
            )
        x, y = (axes[f"{node}/{axis}"].astype(np.float64) for axis in ("x", "y"))
        size = float(x[1] - x[0])
        return Grid(crs, float(x[0]) - size / 2, float(y[0]) + size / 2, size, height, width)

    def _check(self, band: str, resolution: Resolution) -> None:
        array, grid = self.zarr.arrays[_band_path(band)], self.grids[resolution]
        factor = 60 // resolution
        nested = tuple(size * factor for size in self.overview.shape)
        if array.dtype != np.uint16 or array.shape != grid.shape or grid.shape != nested:
            raise InputError(
                "array is not as in an EOPF product",
                where=self.files.url(_band_path(band)),
                expected=f"uint16, {nested[0]} x {nested[1]} pixels",
                found=f"{array.dtype}, {' x '.join(map(str, array.shape))} pixels",
                fix="give the product as ESA made it, not resampled or decoded",
            )


def _granule(item: dict[str, Any], other: dict[str, Any], uri: str, name: str) -> Granule:
    properties = item["properties"]
    product = str(item["id"]).removesuffix(".SAFE")
    match = PRODUCT_NAME.match(product)
    sensor = str(properties["platform"]).replace("sentinel-", "S").upper()
    if sensor not in SENSORS:
        raise InputError(
            "unknown sensor",
            where=name,
            expected=" or ".join(SENSORS),
            found=sensor,
            fix="update s2cloud",
        )
    time = other.get("mean_sensing_time") or properties["start_datetime"]
    west, south, east, north = _ordered(item.get("bbox", ()))
    return Granule(
        name=product,
        sensor=sensor,
        sensing_time=datetime.fromisoformat(time),
        tile=match["tile"] if match else "",
        baseline=checked_baseline(str(properties.get("eopf:baseline", "")), name),
        relative_orbit=int(properties.get("sat:relative_orbit", -1)),
        absolute_orbit=int(properties.get("sat:absolute_orbit", -1)),
        datatake=str(properties.get("eopf:data_take_id", "")),
        datastrip=str(properties.get("eopf:datastrip_id", "")),
        bbox=(west, south, east, north),
        uri=uri,
    )


def _ordered(bbox: Any) -> tuple[float, float, float, float]:
    # Products up to 2025 give east before west.
    west, south, east, north = (float(value) for value in bbox)
    return (min(west, east), min(south, north), max(west, east), max(south, north))


def _scaled(
    window: tuple[int, int, int, int], factor: int, grid: Grid
) -> tuple[int, int, int, int]:
    row, col, height, width = (value * factor for value in window)
    return (row, col, min(height, grid.height - row), min(width, grid.width - col))


def _resized(grid: Grid, resolution: int, other: int) -> Grid:
    """Grid over the same area with pixels of another nominal size."""
    ratio = other / resolution
    return Grid(
        *(grid.crs, grid.ulx, grid.uly, grid.pixel_size * ratio),
        *(round(grid.height / ratio), round(grid.width / ratio)),
    )


def _numbers(values: Any, what: str, *, where: str, expected: str, least: int = 2) -> list[float]:
    """Finite numbers out of attributes, which may hold anything."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) < least or not np.isfinite(numbers).all():
        raise InputError(
            what,
            where=where,
            expected=expected,
            found=repr(values)[:80],
            fix="download the product again",
        )
    return numbers

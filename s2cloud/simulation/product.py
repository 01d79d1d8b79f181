"""A complete synthetic Level-1C product and the truth it was made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url, transport_options
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.errors import UsageError
from s2cloud.physics import lut
from s2cloud.physics.atmosphere import surface_pressure
from s2cloud.simulation.auxiliary import forecasts
from s2cloud.simulation.forward import ENVIRONMENT_RANGE, NODE_STEP, state
from s2cloud.simulation.geometry import Viewing, swath_edge
from s2cloud.simulation.identity import identity
from s2cloud.simulation.jp2 import encode_image, encode_mask, true_colour
from s2cloud.simulation.product_metadata import (
    checksum,
    datastrip_metadata,
    manifest,
    product_metadata,
)
from s2cloud.simulation.raster import block_mean, from_nodes
from s2cloud.simulation.recipes import recipe
from s2cloud.simulation.scene import Scene, make_scene
from s2cloud.simulation.tile_metadata import Shares, tile_metadata
from s2cloud.simulation.tiling import tile_grid
from s2cloud.simulation.truth import Truth

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt

    from s2cloud.io.stores import Store
    from s2cloud.model.grid import Grid
    from s2cloud.simulation.identity import Identity

__all__ = ["SimulatedProduct", "simulate_l1c"]

#: Bands worked on at a time; each holds up to 0.8 GB of a full tile.
_JOBS: Final = 2
_FULL_TILE: Final = 10980


@dataclass(frozen=True, slots=True)
class SimulatedProduct:
    """What `simulate_l1c` has written.

    Attributes
    ----------
    uri
        Address of the SAFE folder.
    truth_uri
        Address of the truth, a Zarr store laid out like a Level-2A product.
    granule
        Name of the granule's folder inside the product.
    name
        Name of the product without suffix.
    """

    uri: str
    truth_uri: str
    granule: str
    name: str


def simulate_l1c(  # noqa: PLR0913 -- one keyword per property of the product
    destination: str | os.PathLike[str],
    *,
    size: int = 2196,
    scene: str = "mixed",
    sensor: str = "S2A",
    date: str | datetime = "2025-06-15T10:15:59",
    tile: str = "32TQM",
    aot550: float = 0.15,
    tcwv: float = 18.0,
    tco3: float = 320.0,
    aerosol: str = "continental",
    baseline: str = "05.11",
    seed: int = 1,
    sza: float | None = None,
    elevation: float = 100.0,
    nodata_fraction: float = 0.0,
    storage_options: Mapping[str, Any] | None = None,
) -> SimulatedProduct:
    """Write a synthetic Level-1C product with a known surface and atmosphere.

    Parameters
    ----------
    destination
        Folder or URL of any fsspec file system to put the product and its truth into.
    size
        Rows and columns at 10 m, a multiple of 6 from 96 to 10980. The image is the upper left
        part of the tile.
    scene
        ``mixed`` (clouds, shadows, cirrus), ``clear``, ``vegetation`` or ``snow``.
    sensor
        ``S2A``, ``S2B`` or ``S2C``.
    date
        Start of sensing, UTC.
    tile
        MGRS tile.
    aot550
        Mean aerosol optical thickness at 550 nm; it varies by 25 % across the image. [1]
    tcwv
        Mean total column water vapour; it varies by 15 %. [kg m-2]
    tco3
        Total column ozone. [DU]
    aerosol
        Name of the aerosol model.
    baseline
        Processing baseline to imitate. It decides the radiometric offset, the kind of masks, and
        the index of the image files.
    seed
        Seed of all randomness: the same arguments give the same bytes.
    sza
        Zenith of the sun at the centre; by default that of place and time. [degree]
    elevation
        Height of the flat ground above mean sea level. [m]
    nodata_fraction
        Share of the image beyond the eastern edge of the swath. [1]
    storage_options
        Options of the file system.

    Returns
    -------
    SimulatedProduct

    Raises
    ------
    UsageError
        If an argument is not understood.

    Notes
    -----
    The forecasts in ``AUX_DATA`` are wrong on purpose: aerosol by ``1.15 aot550 + 0.01`` without
    its gradient, water vapour by a factor of 1.05; ozone, sea-level pressure and elevation are
    right. A full tile takes 290 CPU seconds, most of them in the JPEG 2000 coder, and 5 GB;
    2196 pixels take 14 seconds.

    Examples
    --------
    >>> product = simulate_l1c("memory://demo", size=96)
    >>> product.uri
    'memory://demo/S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559.SAFE'
    """
    if size % 6 or not 96 <= size <= _FULL_TILE:
        raise UsageError(
            "size not supported", where=str(size), expected="a multiple of 6 from 96 to 10980"
        )
    if not 0.0 <= nodata_fraction < 1.0:
        raise UsageError("no such share", where=f"nodata_fraction={nodata_fraction}")
    product = identity(sensor, tile, baseline, date)
    grid = tile_grid(product.tile, size)
    viewing = Viewing.of(grid, swath_edge(grid.scaled(6), nodata_fraction))
    pressure = float(surface_pressure(elevation))
    at = state(grid, product.time, aot550=aot550, tcwv=tcwv, tco3=tco3, pressure=pressure, sza=sza)
    made = make_scene(
        grid, recipe(scene), product.sensor, lut.load(product.sensor, aerosol), at, viewing, seed
    )
    root = str(destination)
    store = open_store(join_url(root, f"{product.name}.SAFE"), storage_options)
    address = join_url(root, f"{product.name}.truth.zarr")
    truth = Truth(address, grid, transport_options(address, storage_options or {}))
    truth.begin(
        {
            "scene": scene,
            "seed": seed,
            "aerosol": aerosol,
            "aot550": aot550,
            "tcwv": tcwv,
            "tco3": tco3,
            "pressure": pressure,
            "elevation": elevation,
            "sensor": product.sensor,
            "product": product.name,
            "environment": f"exp(-distance / {ENVIRONMENT_RANGE:g} m) of the 60 m surface",
            "crs": grid.crs,
        }
    )
    writer = _Writer(store, product, {})
    shares = _write_masks(writer, truth, made)
    _write_images(writer, truth, made)
    centres = 60.0 * (np.arange(size // 6) + 0.5)
    truth.atmosphere(*(from_nodes(a, NODE_STEP, centres, centres) for a in (at.aot550, at.tcwv)))
    truth.finish()
    for name, data in forecasts(product, grid, aot550, tcwv, tco3, elevation).items():
        writer.write(f"GRANULE/{product.granule}/AUX_DATA/{name}", data)
    metadata = tile_metadata(product, grid, viewing, sza, shares)
    writer.write(f"GRANULE/{product.granule}/MTD_TL.xml", metadata)
    writer.write(f"DATASTRIP/{product.datastrip}/MTD_DS.xml", datastrip_metadata(product))
    writer.write("MTD_MSIL1C.xml", product_metadata(product, grid, shares))
    # Written last: a product without its manifest is not complete.
    store.write("manifest.safe", manifest(product, grid, dict(sorted(writer.files.items()))))
    return SimulatedProduct(store.uri, truth.uri, product.granule, product.name)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes files and remembers what the manifest needs."""

    store: Store
    product: Identity
    files: dict[str, tuple[int, str]]

    def write(self, path: str, data: bytes) -> None:
        self.store.write(path, data)
        self.files[path] = (len(data), checksum(self.product, data))


def _write_images(writer: _Writer, truth: Truth, scene: Scene) -> None:
    """Images of all bands, the true colour image and its thumbnail, and the true reflectances."""
    product, colours = writer.product, {}

    def make(band: str) -> tuple[str, npt.NDArray[np.uint16], bytes, Any]:
        info = BAND_INFO[band]
        surface, counts = scene.band(band, product.offset)
        grid = scene.grid.scaled(info.resolution // 10)
        coded = encode_image(counts, grid, info.resolution, tlm=product.tlm)
        visible = band in {"b02", "b03", "b04"}
        return band, surface, coded, true_colour(counts, product.offset) if visible else None

    # Large bands first, so that the last one to finish is a small one.
    order = sorted(BANDS, key=lambda band: BAND_INFO[band].resolution)
    with ThreadPoolExecutor(_JOBS) as pool:
        for start in range(0, len(order), _JOBS):
            for band, surface, coded, colour in pool.map(make, order[start : start + _JOBS]):
                info = BAND_INFO[band]
                writer.write(f"{product.image(info.esa_name)}.jp2", coded)
                truth.reflectance(band, info.resolution, surface)
                if colour is not None:
                    colours[band] = colour
    image = np.stack([colours.pop(band) for band in ("b04", "b03", "b02")])
    data = encode_image(image, scene.grid, 10, tlm=product.tlm)
    writer.write(f"{product.image('TCI')}.jp2", data)
    # One pixel of the thumbnail is 320 m, the last ones reach over the edge as in real products.
    small = np.ascontiguousarray(image[:, 16::32, 16::32])
    grid = _resized(scene.grid, 32, small.shape[1])
    thumbnail = encode_mask(small, grid, 60)
    writer.write(product.quality(f"T{product.tile}_{product.start}_PVI.jp2"), thumbnail)


def _write_masks(writer: _Writer, truth: Truth, scene: Scene) -> Shares:
    """Quality masks of the product; classes and masks of the truth."""
    product, grid = writer.product, scene.grid
    classes = scene.classes()
    truth.classes(classes.scl, classes.masks)
    if product.masks_are_rasters:
        layers = [block_mean(classes.masks[name], 3) > 0.3 for name in ("cloud", "cirrus", "snow")]
        opaque, cirrus, snow = layers
        stacked = np.stack([opaque, cirrus & ~opaque, snow]).astype(np.uint8)
        data = encode_mask(stacked, grid.scaled(6), 60)
        writer.write(product.quality("MSK_CLASSI_B00.jp2"), data)
        empty: dict[int, bytes] = {}
        for band in BANDS:
            info = BAND_INFO[band]
            own = grid.scaled(info.resolution // 10)
            detectors = scene.detectors(band)
            data = encode_mask(detectors, own, info.resolution)
            writer.write(product.quality(f"MSK_DETFOO_{info.esa_name}.jp2"), data)
            if info.resolution not in empty:
                # Only the layer of missing data can hold something, the same for all bands.
                layers8 = np.zeros((8, *detectors.shape), dtype=np.uint8)
                layers8[5] = detectors == 0
                empty[info.resolution] = encode_mask(layers8, own, info.resolution)
            writer.write(product.quality(f"MSK_QUALIT_{info.esa_name}.jp2"), empty[info.resolution])
    seen = max(float(classes.valid.mean()), 1e-9)
    cloud = float((classes.masks["cloud"] | classes.masks["cirrus"]).mean()) / seen
    snow_share = float(classes.masks["snow"].mean()) / seen
    return Shares(*(round(100 * s, 6) for s in (cloud, snow_share, 1 - seen)))


def _resized(grid: Grid, factor: int, size: int) -> Grid:
    coarse = grid.scaled(factor)
    return coarse.window(0, 0, size, size)

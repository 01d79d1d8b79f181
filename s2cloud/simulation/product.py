"""A complete synthetic Level-1C product and the truth it was made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url, transport_options
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.errors import UsageError
from s2cloud.physics import lut
from s2cloud.physics.aerosols import AEROSOL_MODELS
from s2cloud.physics.gases import B09_LAWS
from s2cloud.simulation.auxiliary import forecasts
from s2cloud.simulation.geometry import Viewing, swath_edge
from s2cloud.simulation.gml import polygon_masks
from s2cloud.simulation.identity import identity
from s2cloud.simulation.jp2 import encode_image, encode_mask, true_colour
from s2cloud.simulation.optics import aerosol_of, scene_optics
from s2cloud.simulation.product_metadata import (
    checksum,
    datastrip_metadata,
    manifest,
    product_metadata,
)
from s2cloud.simulation.raster import block_mean
from s2cloud.simulation.recipes import recipe
from s2cloud.simulation.scene import Scene, make_scene
from s2cloud.simulation.state import SCALE_HEIGHT, column_maps, state
from s2cloud.simulation.tile_metadata import Shares, tile_metadata
from s2cloud.simulation.tiling import tile_grid
from s2cloud.simulation.truth import Truth

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt

    from s2cloud.io.stores import Store
    from s2cloud.model.bands import Sensor
    from s2cloud.model.grid import Grid
    from s2cloud.physics.aerosols import AerosolModel
    from s2cloud.physics.gases import B09Law
    from s2cloud.simulation.forward import OpticsSource
    from s2cloud.simulation.identity import Identity
    from s2cloud.simulation.state import State

__all__ = ["SimulatedProduct", "Transfer", "simulate_l1c"]

#: Where the scattering comes from: the tables of the package or the solver itself.
Transfer = Literal["tables", "direct"]

#: Bands worked on at a time; each holds up to 0.8 GB of a full tile.
_JOBS: Final = 2
_FULL_TILE: Final = 10980
#: Lowest sun for which a flat Earth will do. [degree]
_MAX_SZA: Final = 80.0


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
    aerosol: str | AerosolModel = "continental",
    rt: Transfer | None = None,
    b09_law: B09Law = "6sv",
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
        What the landscape and the sky look like, one of `s2cloud.simulation.recipes.SCENES`.
    sensor
        ``S2A``, ``S2B`` or ``S2C``.
    date
        Start of sensing, UTC.
    tile
        MGRS tile, of either hemisphere.
    aot550
        Mean aerosol optical thickness at 550 nm above ground at `elevation`; it varies by 25 %
        across the image, and thins with a scale height of 2 km where relief rises higher. [1]
    tcwv
        Mean total column water vapour, likewise; it varies by 15 %. [kg m-2]
    tco3
        Total column ozone. [DU]
    aerosol
        Name of an aerosol model, a mixture by volume such as ``continental:0.6+maritime:0.4`` of
        models or of their components (see `s2cloud.simulation.optics.aerosol_of`), or any
        `s2cloud.physics.aerosols.AerosolModel`.
    rt
        Where the scattering comes from. ``tables``: the tables of the package, which the
        processor uses too. ``direct``: runs of the radiative-transfer solver for this scene,
        which need ``s2cloud[lut]`` and take 17 s for a new aerosol and 20 s for each level of
        elevation (one on a plane, two on gentle ground, four in mountains). They are kept in the
        user's cache folder for scenes of like sun, view and atmosphere. By default tables for
        the models of the package, direct for any other aerosol.
    b09_law
        Law of water vapour in B09, one of `s2cloud.physics.gases.B09_LAWS`.
    baseline
        Processing baseline to imitate. It decides the radiometric offset, the kind of masks, the
        forecasts that come along, and the index of the image files.
    seed
        Seed of all randomness: the same arguments give the same bytes.
    sza
        Zenith of the sun at the centre; by default that of place and time. [degree]
    elevation
        Height above mean sea level that the scene's own relief is counted from. [m]
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
        If an argument is not understood, or ``direct`` is asked for without the solver.

    Notes
    -----
    The forecasts in ``AUX_DATA`` are wrong on purpose: aerosol by ``1.15 aot550 + 0.01`` without
    its gradient and its species by factors, water vapour by a factor of 1.05; ozone, sea-level
    pressure and elevation are right. A full tile takes 290 CPU seconds, most of them in the JPEG
    2000 coder, and 5 GB; 2196 pixels take 14 seconds.

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
    if b09_law not in B09_LAWS:
        raise UsageError(
            "no such water-vapour law of B09",
            where=repr(b09_law),
            expected="one of " + ", ".join(B09_LAWS),
        )
    product = identity(sensor, tile, baseline, date)
    kinds = recipe(scene)
    model = aerosol_of(aerosol) if isinstance(aerosol, str) else aerosol
    transfer = _transfer(rt, model)
    grid = tile_grid(product.tile, size)
    viewing = Viewing.of(grid, swath_edge(grid.scaled(6), nodata_fraction))
    at = state(
        grid,
        product.time,
        aot550=aot550,
        tcwv=tcwv,
        tco3=tco3,
        elevation=elevation,
        sza=sza,
        b09_law=b09_law,
    )
    if at.sza.max() > _MAX_SZA:
        raise UsageError(
            "the sun stands too low",
            where=f"{product.tile} at {product.time:%Y-%m-%d %H:%M} UTC",
            expected=f"a zenith up to {_MAX_SZA:g} degrees",
            found=f"{at.sza.max():.1f}",
            fix="another date, or sza",
        )
    optics = _optics(transfer, product.sensor, model, at, viewing)
    made = make_scene(grid, kinds, product.sensor, optics, at, viewing, seed)
    root = str(destination)
    store = open_store(join_url(root, f"{product.name}.SAFE"), storage_options)
    address = join_url(root, f"{product.name}.truth.zarr")
    truth = Truth(address, grid, transport_options(address, storage_options or {}))
    truth.begin(
        {
            "scene": scene,
            "seed": seed,
            "aerosol": model.name,
            "aerosol_volume": {part.name: share for part, share in model.parts},
            "radiative_transfer": transfer,
            "b09_law": b09_law,
            "aot550": aot550,
            "tcwv": tcwv,
            "tco3": tco3,
            "pressure": at.pressure,
            "column_scale_height": SCALE_HEIGHT,
            "elevation": elevation,
            "sensor": product.sensor,
            "product": product.name,
            "environment": "6S environment functions of molecules and of aerosol",
            "crs": grid.crs,
        }
    )
    writer = _Writer(store, product, {})
    shares = _write_masks(writer, truth, made)
    _write_images(writer, truth, made)
    ground = made.relief.inner
    columns = column_maps(at, ground.shape, ground)
    truth.atmosphere(*columns)
    truth.terrain(made.relief)
    truth.finish()
    means = (float(np.mean(a, dtype=np.float64)) for a in (*columns, ground))
    aot_mean, tcwv_mean, height = means
    told = forecasts(product, grid, model, aot_mean, tcwv_mean, tco3, height)
    for name, data in told.items():
        writer.write(f"GRANULE/{product.granule}/AUX_DATA/{name}", data)
    metadata = tile_metadata(product, grid, viewing, sza, shares)
    writer.write(f"GRANULE/{product.granule}/MTD_TL.xml", metadata)
    writer.write(f"DATASTRIP/{product.datastrip}/MTD_DS.xml", datastrip_metadata(product))
    writer.write("MTD_MSIL1C.xml", product_metadata(product, grid, shares))
    # Written last: a product without its manifest is not complete.
    store.write("manifest.safe", manifest(product, grid, dict(sorted(writer.files.items()))))
    return SimulatedProduct(store.uri, truth.uri, product.granule, product.name)


def _transfer(rt: Transfer | None, model: AerosolModel) -> Transfer:
    """Way of the radiative transfer, checked against the aerosol."""
    shipped = AEROSOL_MODELS.get(model.name) == model
    if rt not in (None, *get_args(Transfer)):
        raise UsageError(
            "no such radiative transfer",
            where=repr(rt),
            expected="one of " + ", ".join(get_args(Transfer)),
        )
    if rt == "tables" and not shipped:
        raise UsageError(
            "no table of this aerosol",
            where=repr(model.name),
            expected="one of " + ", ".join(AEROSOL_MODELS),
            fix="rt='direct'",
        )
    return rt or ("tables" if shipped else "direct")


def _optics(
    transfer: Transfer, sensor: Sensor, model: AerosolModel, at: State, viewing: Viewing
) -> OpticsSource:
    if transfer == "tables":
        return lut.load(sensor, model.name)
    return scene_optics(sensor, model, at, viewing)


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
    layers = [block_mean(classes.masks[name], 3) > 0.3 for name in ("cloud", "cirrus", "snow")]
    opaque, cirrus, snow = layers
    if not product.masks_are_rasters:
        found = {"OPAQUE": opaque, "CIRRUS": cirrus & ~opaque}
        for name, data in polygon_masks(product, grid, scene.viewing, found):
            writer.write(product.quality(name), data)
    else:
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

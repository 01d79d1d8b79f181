"""Scene classification of a product: what it is told of terrain, maps and angles."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dask.array as da
import numpy as np

from s2cloud.algorithms import geometry, terrain
from s2cloud.algorithms.classification import (
    PARALLAX,
    ClassificationScene,
    Dilation,
    Frame,
    Ground,
    Options,
    Sky,
    classify_scene,
    classify_window,
    cloud_mask,
    parallax_vector,
    reach_of,
)
from s2cloud.algorithms.classification.block import refined
from s2cloud.algorithms.classification.refine import built_index, place_at
from s2cloud.algorithms.classification.trace import Traced
from s2cloud.model.bands import BAND_INDEX, BANDS
from s2cloud.model.errors import InputError
from s2cloud.model.grid import grid_of
from s2cloud.model.schema import NODATA, SATURATED, land_cover_path
from s2cloud.physics import gases
from s2cloud.physics.angles import airmass
from s2cloud.processor.classifier import classifier, cloud_probability
from s2cloud.processor.inputs import land_cover_of
from s2cloud.processor.optics import decoded
from s2cloud.processor.relief import mean_sun

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

    from s2cloud.config import ClassificationConfig
    from s2cloud.model.grid import Grid
    from s2cloud.processor.band_input import BandInput
    from s2cloud.processor.optics import SceneInput
    from s2cloud.processor.windows import Block

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]

__all__ = [
    "MAPS",
    "BlockInput",
    "classify",
    "classify_counts",
    "classify_overview",
    "decimate_classes",
    "halo_of",
    "maps_of",
    "mask_of",
    "options_of",
    "parallax_state",
    "traced",
]

logger = logging.getLogger(__name__)

#: Probability of no-data pixels, as in ESA's EOPF products.
NO_PROBABILITY: Final = 101
#: Maps of classes that the classification reads, on the overview and on the pixels.
MAPS: Final[dict[int, tuple[str, ...]]] = {
    60: ("land_cover", "water_bodies", "snow_condition"),
    20: ("water_bodies", "snow_condition"),
}
#: Displacement per height of a real instrument is above this; below, bands share their angles or
#: two detectors are averaged. [m/m]
_LEAST_SHIFT: Final = 0.006
#: Displacement of B8A against B08 per height, along the track of a descending orbit (heading 194
#: degrees): B8A crosses a place 1.79 s after B08 (Sentinel-2 MSI user guide, inter-band temporal
#: offsets), in which the line of sight turns by 16.9 mrad. [m/m], southwards and eastwards
_DESIGN_SHIFT: Final = (0.0164, -0.0042)
#: Less of the ground than this in B10 does not matter. [1]
_LEAST_LEAK: Final = 4e-3
#: Overview pixels with one direction of view: 1.2 km, in which it turns by 0.1 degrees.
_STEP: Final = 20


@dataclass(frozen=True, slots=True)
class BlockInput:
    """What the classification of a block needs besides pixels; small and picklable.

    Attributes
    ----------
    bands
        How the counts of each band come onto the block.
    given
        Grids, sun, options.
    maps
        Names of the maps that follow the bands, ``elevation`` among them.
    halo
        Pixels around the block that are handed over, those of a classifier included.
    overview_px
        Block pixels along the side of an overview pixel.
    snow_possible
        Whether there may be snow in the tile.
    """

    bands: tuple[BandInput, ...]
    given: SceneInput
    maps: tuple[str, ...]
    halo: int
    overview_px: int
    snow_possible: bool

    @property
    def pixel_size(self) -> float:
        """Of the block. [m]."""
        return self.given.grid.pixel_size / self.overview_px


def options_of(config: ClassificationConfig, *, snow_possible: bool) -> Options:
    """Choices of the algorithm from the configuration and the snow climatology."""
    return Options(
        variant=config.variant,
        snow_possible=snow_possible and config.snow_possible,
        thresholds=config.thresholds,
        dilation=Dilation(**config.dilation.model_dump()),
        median=config.median,
        parallax=config.parallax,
        model_weight=0.0 if config.model is None else config.model_weight,
    )


def halo_of(config: ClassificationConfig, pixel_size: float) -> int:
    """Pixels around a block that its classification looks at."""
    reach = reach_of(pixel_size, options_of(config, snow_possible=True))
    return reach + (0 if config.model is None else int(classifier(config.model).halo))


def maps_of(tree: xr.DataTree, resolution: Any, grid: Grid) -> dict[str, Any]:
    """Lazy maps of classes on the pixels of a grid, by name.

    Raises
    ------
    InputError
        If they do not lie on the pixels.
    """
    dataset = land_cover_of(tree, resolution)
    found = {name: dataset[name] for name in MAPS.get(resolution, ()) if name in dataset}
    if not found:
        return {}
    on = grid_of(dataset)
    if on.shape != grid.shape or not np.allclose(on.transform, grid.transform):
        raise InputError(
            "maps of land cover do not fit the tile",
            where=land_cover_path(resolution),
            expected=f"{grid.shape} pixels of {grid.pixel_size:g} m at {grid.bounds[:2]}",
            found=f"{on.shape} pixels of {on.pixel_size:g} m at {on.bounds[:2]}",
            fix="make them with open_aux for this product",
        )
    arrays = {name: variable.transpose("y", "x").data for name, variable in found.items()}
    return {
        name: array if isinstance(array, da.Array) else da.from_array(array)
        for name, array in arrays.items()
    }


def classify_overview(
    given: SceneInput,
    toa: Floats,
    *,
    maps: dict[str, Any] | None = None,
    elevation: Floats | None = None,
    corner: tuple[int, int] = (0, 0),
    detectors: npt.NDArray[Any] | None = None,
    snow_possible: bool = True,
    in_place: bool = False,
) -> tuple[ClassificationScene, Codes]:
    """Scene stage of the classification.

    Parameters
    ----------
    given
        Grids, angles, options.
    toa
        TOA reflectance of the overview. [1], shape (13, y, x)
    maps
        By name, shape (y, x).
    elevation, corner
        Terrain of the tile with a margin [m], and the tile's first pixel in it.
    detectors
        Number of the detector of B08 on each overview pixel, 0 = none; shape (y, x).
    snow_possible
        Whether the snow climatology allows snow.
    in_place
        Whether `toa` may be changed.

    Returns
    -------
    tuple
        What the blocks need, and the classes of the overview, shape (y, x).
    """
    config = given.config.classification
    toa = above_vapour(given, toa, in_place=in_place)
    found = options_of(config, snow_possible=snow_possible)
    size = given.grid.pixel_size
    ground = Ground(altitude=given.meteorology.elevation, **(maps or {}))
    sza, saa = mean_sun(given)
    if elevation is not None:
        ground = _with_terrain(ground, elevation, corner, given, (sza, saa))
    model = None if config.model is None else cloud_probability(config.model, toa)
    scene, scl = classify_scene(toa, size, sky_of(given, detectors), ground, found, model=model)
    logger.info("classification: parallax %s, maps %s", scene.parallax, ", ".join(scene.maps))
    return scene, scl


def classify_counts(
    given: SceneInput, counts: list[npt.NDArray[np.uint16]], **surroundings: Any
) -> tuple[ClassificationScene, Codes]:
    """`classify_overview` of the counts of all thirteen bands, shape (y, x) each."""
    toa = np.empty((len(BANDS), *counts[0].shape), np.float32)
    for plane, name, values in zip(toa, BANDS, counts, strict=True):
        plane[:] = decoded(given, name, values)
    return classify_overview(given, toa, in_place=True, **surroundings)


def parallax_state(scene: ClassificationScene) -> npt.NDArray[np.int8]:
    """Index into `PARALLAX`."""
    return np.asarray(PARALLAX.index(scene.parallax), dtype=np.int8)


def _with_terrain(
    ground: Ground,
    elevation: Floats,
    corner: tuple[int, int],
    given: SceneInput,
    sun: tuple[float, float],
) -> Ground:
    """Slopes and shadows of the tile, from terrain that reaches beyond it."""
    size = given.grid.pixel_size
    inside = tuple(slice(at, at + n) for at, n in zip(corner, given.grid.shape, strict=True))
    heights = np.asarray(elevation, dtype=np.float32)
    slope, aspect = terrain.slope_aspect(heights, size)
    facing = terrain.cos_incidence(slope, aspect, *sun)
    cast = terrain.cast_shadow(heights, size, *sun)
    return replace(
        ground,
        elevation=heights[inside],
        slope=np.nan_to_num(slope[inside]),
        cos_incidence=_known(facing[inside], sun[0]),
        # A slope that faces away from the sun is in its own shadow.
        cast=(cast | (facing < 0))[inside],
    )


def _known(facing: Floats, sza: float) -> Floats:
    """Cosine of incidence, that of level ground where the elevation is unknown."""
    level = np.float32(np.cos(np.radians(sza)))
    return np.where(np.isfinite(facing), facing, level)


def sky_of(given: SceneInput, detectors: npt.NDArray[Any] | None = None) -> Sky:
    """Directions over the overview; parallax where the views of single bands are known."""
    grid, points = given.grid, given.points
    sza, saa = mean_sun(given)
    x, y = grid.x, grid.y

    def view(band: str, parity: int | None) -> tuple[Any, Any]:
        vectors = points.view if parity is None or points.parity is None else points.parity[parity]
        # The interpolation of the sun's direction, given that of a view.
        towards = replace(points, sun=vectors[BAND_INDEX[band]])
        east, north = geometry.sun_vector(towards, x[::_STEP], y[::_STEP])
        return (
            np.degrees(np.arctan(np.hypot(east, north))).astype(np.float32),
            np.degrees(np.arctan2(east, north)).astype(np.float32),
        )

    def spread(values: Any) -> Any:
        """Values of the nodes on the pixels around them, last axes (y, x)."""
        wide = np.repeat(np.repeat(values, _STEP, -2), _STEP, -1)
        return wide[..., : y.size, : x.size]

    parities = (None,) if detectors is None or points.parity is None else (0, 1)
    shifts = [
        spread(np.stack(parallax_vector(*view("b08", parity), *view("b8a", parity))))
        for parity in parities
    ]
    shift = shifts[0]
    if len(shifts) == 2 and detectors is not None:
        shift = np.where(np.asarray(detectors) % 2 == 1, shifts[1], shifts[0])
    vza, vaa = map(spread, view("b02", None))
    usable = np.hypot(*shift) >= _LEAST_SHIFT
    known = usable.any()
    if known and not usable.all():
        # Where two detectors are averaged nothing is known; the search finds no match there.
        typical = np.float32(_LEAST_SHIFT)
        shift = np.where(usable, shift, np.array([typical, 0.0], np.float32)[:, None, None])
    if not known:
        logger.warning(
            "the product tells no view angles of single bands: cloud parallax is that of the design"
        )
    return Sky(
        sza=sza,
        saa=saa,
        vza=vza,
        vaa=vaa,
        shift=(shift[0], shift[1]) if known else _DESIGN_SHIFT,
        shift_known=usable if known else None,
        shift_assumed=not known,
    )


def classify(block: Block, *inputs: Any) -> Codes:
    """Scene class, cloud and snow probability of a block, shape (3, y, x).

    `inputs` are the counts of the bands, the maps of the block, the scene and the `BlockInput`.
    """
    window = _window(block, inputs)
    scl, cloud, snow = classify_window(*window.parts, **window.given)
    inner = (
        slice(window.halo, window.halo + block.height),
        slice(window.halo, window.halo + block.width),
    )
    out = np.stack([scl[inner], cloud[inner], snow[inner]])
    out[1:, out[0] == NODATA] = NO_PROBABILITY
    return out


def traced(block: Block, *inputs: Any) -> npt.NDArray[np.object_]:
    """A block of one pixel with all that its class depends on; an object array (1, 1)."""
    window = _window(block, inputs)
    toa, scene, _, options = window.parts
    found = refined(*window.parts, **window.given)
    at = (window.halo, window.halo)
    defective = window.given["defective"]
    finished = classify(block, *inputs)[:, 0, 0]
    model = window.given["model"]
    pixel = Traced(
        toa=toa[:, at[0], at[1]],
        place=place_at(found.planes, *at),
        lines=float(built_index(toa, *at)),
        model=float("nan") if model is None else float(model[at]),
        defective=bool(defective[at]),
        refined=int(found.state.scl[at]),
        finished=(int(finished[0]), int(finished[1]), int(finished[2])),
        scene=scene,
        options=options,
    )
    out = np.empty((1, 1), dtype=object)
    out[0, 0] = pixel
    return out


class _Window(NamedTuple):
    """A window for `classify_window`: its arguments by position and by name."""

    parts: tuple[Floats, ClassificationScene, Frame, Options]
    given: dict[str, Any]
    halo: int


def _window(block: Block, inputs: tuple[Any, ...]) -> _Window:
    *arrays, scene, spec = inputs
    counts, extra = arrays[: len(spec.bands)], arrays[len(spec.bands) :]
    toa, saturated = pixels_of(block, counts, spec)
    config = spec.given.config.classification
    options = options_of(config, snow_possible=spec.snow_possible)
    halo = spec.halo
    frame = Frame(block.row - halo, block.col - halo, spec.overview_px, spec.pixel_size)
    given = {
        "ground": ground_of(dict(zip(spec.maps, extra, strict=True)), spec),
        "defective": saturated,
        "model": None if config.model is None else cloud_probability(config.model, toa),
    }
    return _Window((toa, scene, frame, options), given, halo)


def pixels_of(
    block: Block, counts: list[npt.NDArray[np.uint16]], spec: BlockInput
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Reflectance of all bands, and where any is saturated, with the halo of the block."""
    pairs = list(zip(spec.bands, counts, strict=True))
    shape = (block.height + 2 * spec.halo, block.width + 2 * spec.halo)
    # Fifty megabytes of fresh memory cost more than filling them: one array, and no copy of it.
    toa = np.empty((len(pairs), *shape), np.float32)
    saturated = np.zeros(shape, dtype=bool)
    for plane, (band, values) in zip(toa, pairs, strict=True):
        plane[:] = band.reflectance(block, values)
        # A look at the largest count is all that most blocks need.
        if values.max(initial=0) == SATURATED:
            saturated |= band.saturated(block, values)
    return above_vapour(spec.given, toa, in_place=True), saturated


def above_vapour(given: SceneInput, toa: Floats, *, in_place: bool = False) -> Floats:
    """Pixels whose B10 holds no light of the ground, as far as the column forecast tells.

    In dry air B10 sees the ground: at 7 kg m-2 two to three per cent of it, more than the 0.012
    that make a pixel cirrus. What the water vapour lets through is taken off, with the mean of
    the windows B8A and B11 for the ground. The classic variant keeps B10 as it is.

    Parameters
    ----------
    given
        Sensor, sun, meteorology, options.
    toa
        TOA reflectance of all bands. [1], shape (13, y, x)
    in_place
        Whether `toa` itself may get another B10.

    Returns
    -------
    ndarray
        `toa`, or a copy with another B10.
    """
    if given.config.classification.variant != "evolution":
        return toa
    slant = given.meteorology.tcwv * float(airmass(mean_sun(given)[0], 0.0))
    leak = float(gases.water_vapour_transmittance(given.sensor, "b10", slant))
    if leak < _LEAST_LEAK:
        return toa
    ground = np.float32(leak / 2) * (toa[BAND_INDEX["b8a"]] + toa[BAND_INDEX["b11"]])
    out = toa if in_place else toa.copy()
    out[BAND_INDEX["b10"]] = np.maximum(toa[BAND_INDEX["b10"]] - ground, np.float32(1e-4))
    return out


def ground_of(maps: dict[str, Any], spec: BlockInput) -> Ground:
    """Maps and terrain of a block with its halo; elevation comes with one pixel more."""
    elevation = maps.pop("elevation", None)
    ground = Ground(altitude=spec.given.meteorology.elevation, **maps)
    if elevation is None:
        return ground
    sza, saa = mean_sun(spec.given)
    heights = np.asarray(elevation, dtype=np.float32)
    slope, aspect = (part[1:-1, 1:-1] for part in terrain.slope_aspect(heights, spec.pixel_size))
    facing = terrain.cos_incidence(slope, aspect, sza, saa)
    return replace(
        ground,
        elevation=heights[1:-1, 1:-1],
        slope=np.nan_to_num(slope),
        cos_incidence=_known(facing, sza),
    )


def mask_of(block: Block, scl: Codes) -> Codes:  # noqa: ARG001 - same call as every local stage
    """Mask of clouds alone of a block."""
    return cloud_mask(scl)


def decimate_classes(block: Block, scl: Codes, *, factor: int) -> Codes:
    """Median class of ``factor`` x ``factor`` pixels, as ESA derives 60 m from 20 m."""
    square = scl.reshape(block.height, factor, block.width, factor)
    ordered = square.swapaxes(1, 2).reshape(block.height, block.width, factor * factor)
    return np.asarray(np.sort(ordered, axis=-1)[..., factor * factor // 2])

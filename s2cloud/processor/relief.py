"""Terrain of a tile: how high its cells lie, and what light reaches each pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms import geometry, illumination, resampling, terrain

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.config import TerrainConfig
    from s2cloud.processor.optics import SceneInput
    from s2cloud.processor.scene import Scene
    from s2cloud.processor.windows import Block

    Floats = npt.NDArray[np.float32]

__all__ = [
    "Relief",
    "light_of",
    "limits",
    "mean_sun",
    "pixel_fields",
    "smoothing_px",
    "with_relief",
]

#: A tile is flat if its relief is lower [m] and less of it than the share is steeper [degree].
FLAT_M: Final = 50.0
FLAT_SHARE: Final = 0.01
FLAT_SLOPE: Final = 6.0
#: Stored value of a fully open sky in `light_of`.
WHOLE: Final = 250
#: Stored depth below the edge of a shadow: of the edge itself, and steps per pixel. The depth is
#: counted in the height that the ray of the sun rises along a pixel.
EDGE: Final = 125
DEPTH_STEPS: Final = 62
#: The elevations between which the optics of a cell are interpolated are this far apart. [m]
LEAST_SPAN: Final = 100.0
#: Distance to which the horizon is searched for the visible sky. [m]
SKY_REACH_M: Final = 3000.0


@dataclass(frozen=True, slots=True)
class Relief:
    """Elevation of the cells of a scene.

    Attributes
    ----------
    mean, low, high
        Mean of each cell; lowest and highest pixel in it and the cells around it. [m], shape
        (cell_y, cell_x)
    elevation
        Mean of the tile. [m]
    span
        Highest minus lowest pixel of the tile. [m]
    steep
        Share of the tile steeper than 6 degrees. [1]
    by_pixel
        Whether there are elevations for single pixels.
    rugged
        Whether the tile is treated pixel by pixel; flat tiles are corrected as without terrain.
    """

    mean: Floats
    low: Floats
    high: Floats
    elevation: float
    span: float
    steep: float
    by_pixel: bool
    rugged: bool

    @classmethod
    def of(
        cls, given: SceneInput, elevation: Floats, corner: tuple[int, int], *, by_pixel: bool
    ) -> Relief:
        """Relief of a tile.

        Parameters
        ----------
        given
            Grids and options.
        elevation
            Elevation at 60 m, with a margin around the tile. [m], NaN counts as the sea
        corner
            Row and column of the tile's first pixel in it.
        by_pixel
            Whether there are elevations for single pixels.
        """
        size = given.grid.pixel_size
        whole = np.nan_to_num(np.asarray(elevation, dtype=np.float32))
        slope, _ = terrain.slope_aspect(whole, size)
        inside = tuple(slice(at, at + n) for at, n in zip(corner, given.grid.shape, strict=True))
        tile, slope = whole[inside], slope[inside]
        span = float(tile.max() - tile.min())
        steep = float((slope > FLAT_SLOPE).mean())
        flat = span < FLAT_M and steep < FLAT_SHARE
        rows, cols = (np.arange(0, n, given.cell_px) for n in tile.shape)

        def of_cells(reduce: np.ufunc) -> Floats:
            lines = reduce.reduceat(tile, rows, axis=0)
            return np.asarray(reduce.reduceat(lines, cols, axis=1), dtype=np.float32)

        count = np.outer(np.diff(rows, append=tile.shape[0]), np.diff(cols, append=tile.shape[1]))
        mean = (of_cells(np.add) / count).astype(np.float32)
        low = ndimage.minimum_filter(of_cells(np.minimum), 3, mode="nearest")
        high = ndimage.maximum_filter(of_cells(np.maximum), 3, mode="nearest")
        middle = (low + high) / 2
        half = np.maximum((high - low) / 2, np.float32(LEAST_SPAN / 2))
        return cls(
            mean,
            (middle - half).astype(np.float32),
            (middle + half).astype(np.float32),
            float(tile.mean(dtype=np.float64)),
            span,
            steep,
            by_pixel,
            by_pixel and not flat,
        )


def with_relief(given: SceneInput, relief: Relief) -> SceneInput:
    """Input of the scene stage with the elevations of a terrain model."""
    weather = given.meteorology
    sources = {**weather.sources, "elevation": "terrain"}
    weather = replace(weather, elevation=relief.elevation, sources=sources)
    return replace(given, elevation=relief.mean, relief=relief, meteorology=weather)


def light_of(
    given: SceneInput, elevation: Floats, corner: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """What the horizon leaves of sky and sun at 60 m.

    Parameters
    ----------
    given
        Grids, sun, options and relief.
    elevation, corner
        As in `Relief.of`.

    Returns
    -------
    ndarray
        Visible share of the sky in units of 1 / `WHOLE`, and depth in shadow in units of
        1 / `DEPTH_STEPS` of the ray's rise along a pixel, counted from `EDGE`, uint8, shape
        (2, y, x) of the tile.
    """
    shape = given.grid.shape
    if given.relief is None or not given.relief.rugged:
        level = np.array([WHOLE, 0], np.uint8)[:, np.newaxis, np.newaxis]
        return np.broadcast_to(level, (2, *shape))
    size = given.grid.pixel_size
    whole = np.nan_to_num(np.asarray(elevation, dtype=np.float32))
    sza, saa = mean_sun(given)
    inside = tuple(slice(at, at + n) for at, n in zip(corner, shape, strict=True))
    # The sky is seen from three kilometres at most; a wider margin is for the shadows.
    reach = round(SKY_REACH_M / size) + 1
    near = tuple(
        slice(max(0, at - reach), at + n + reach) for at, n in zip(corner, shape, strict=True)
    )
    place = tuple(
        slice(at - part.start, at - part.start + n)
        for at, n, part in zip(corner, shape, near, strict=True)
    )
    sky = terrain.sky_view(whole[near], size, reach_m=SKY_REACH_M)[place]
    depth = terrain.shadow_depth(whole, size, sza, saa)[inside]
    # A sun in the zenith casts no shadow.
    rise = size / max(float(np.tan(np.radians(sza))), 1e-3)
    steps = np.clip(depth * np.float32(DEPTH_STEPS / rise) + EDGE, 0, 2 * EDGE)
    return np.stack([np.rint(sky * WHOLE), np.rint(steps)]).astype(np.uint8)


def mean_sun(given: SceneInput) -> tuple[float, float]:
    """Zenith and azimuth of the sun in the middle of the tile. [degree]."""
    west, south, east, north = given.grid.bounds
    middle = np.array([(west + east) / 2]), np.array([(south + north) / 2])
    sun = geometry.sun_vector(given.points, *middle)[:, 0, 0]
    zenith = np.degrees(np.arctan(np.hypot(*sun)))
    return float(zenith), float(np.degrees(np.arctan2(sun[0], sun[1])) % 360.0)


def limits(given: SceneInput, wavelength_nm: float) -> tuple[float, float, float, float, float]:
    """Limits of the correction on slopes for a band, see ``illumination.correct``."""
    options: TerrainConfig = given.config.terrain
    sza, _ = mean_sun(given)
    level = float(np.cos(np.radians(sza)))
    turn = 0.0
    if options.limit:
        angle = illumination.limit_angle(sza, options.limit_incidence)
        turn = float(np.cos(np.radians(angle))) / level
    visible = wavelength_nm < 720.0
    exponent = options.limit_exponent_visible if visible else options.limit_exponent_infrared
    cap = options.maximum_reflectance
    return (options.minimum_cosine / level, turn, options.limit_lower_bound, exponent, cap)


def smoothing_px(options: TerrainConfig, pixel_size: float) -> int:
    """Pixels on each side of the centre over which the cosine of incidence is averaged."""
    return int(options.smoothing_m / pixel_size / 2)


def pixel_fields(
    block: Block,
    elevation: Floats,
    light: npt.NDArray[np.uint8],
    scene: Scene,
    *,
    halo: int,
    overview_px: int,
) -> Floats:
    """``illumination.FIELDS`` of a block, level and sunlit below clouds.

    Parameters
    ----------
    block
        Place of the block.
    elevation
        With a rim of `halo` pixels. [m]
    light
        From `light_of`, with a rim of one of its pixels.
    scene
        Result of the scene stage.
    halo
        Pixels of rim.
    overview_px
        Pixels along the side of an overview pixel.
    """
    given = scene.given
    shape = (block.height, block.width)
    if given.relief is None or not given.relief.rugged:
        return np.broadcast_to(np.float32(0.0), (len(illumination.FIELDS), *shape))
    size = given.grid.pixel_size / overview_px
    heights = np.nan_to_num(np.asarray(elevation, dtype=np.float32))
    inner = (slice(halo, -halo), slice(halo, -halo))
    first, last = given.grid.ulx, given.grid.uly
    rim = halo - 1
    x = first + (block.col - rim + np.arange(block.width + 2 * rim) + 0.5) * size
    y = last - (block.row - rim + np.arange(block.height + 2 * rim) + 0.5) * size
    slope, aspect = (part[1:-1, 1:-1] for part in terrain.slope_aspect(heights, size))
    sun = geometry.sun_vector(given.points, x.astype(np.float64), y.astype(np.float64))
    tilt = illumination.tilt(slope, aspect, sun)
    tilt = illumination.smoothed(tilt, rim)
    start = (block.row // overview_px - 1, block.col // overview_px - 1)
    sky, depth = (
        resampling.upsample(
            part.astype(np.float32), overview_px, start, (block.row, block.col), shape
        )
        for part in light
    )
    sky /= np.float32(WHOLE)
    # The edge of a shadow runs between the pixels of the overview; it is one own pixel wide.
    depth = (depth - np.float32(EDGE)) * np.float32(overview_px / DEPTH_STEPS)
    lit = np.clip(np.float32(0.5) - depth, 0, 1)
    lit = np.where(tilt > 0, lit, np.float32(0.0))
    fields = np.stack([heights[inner], tilt, sky, lit]).astype(np.float32)
    # No slope below tilts the top of a cloud.
    clouds = scene.cloudy
    rows = np.clip((block.row + np.arange(shape[0])) // overview_px, 0, clouds.shape[0] - 1)
    cols = np.clip((block.col + np.arange(shape[1])) // overview_px, 0, clouds.shape[1] - 1)
    fields[1:, clouds[np.ix_(rows, cols)]] = 1.0
    return fields

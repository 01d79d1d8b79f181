"""Clouds, their shadows, and thin cirrus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.model.bands import BAND_INDEX
from s2cloud.physics import gases
from s2cloud.simulation.landscape import fractal
from s2cloud.simulation.raster import STRIP, magnified, strips

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.simulation.recipes import Recipe

    Float32s = npt.NDArray[np.float32]

__all__ = ["CIRRUS_LIMIT", "Clouds", "Gas", "above_cirrus", "above_cloud", "clouds"]

#: Heights of the tops of clouds and of cirrus, and of what casts the shadow. [m]
_CLOUD_TOP: Final = 4_000.0
_CIRRUS_HEIGHT: Final = 9_000.0
_SHADOW_HEIGHT: Final = 2_000.0
#: Scale height of water vapour. [m]
_WATER_SCALE: Final = 2_000.0
#: Reflectance of thick cloud by band; water absorbs in the short-wave infrared. [1]
_CLOUD: Final = np.array(
    [0.70, 0.70, 0.70, 0.71, 0.72, 0.73, 0.73, 0.74, 0.74, 0.72, 0.55, 0.48, 0.35], np.float32
)
#: Reflectance of cirrus in each band over that in the visible; ice absorbs. [1]
_CIRRUS: Final = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.9, 0.6, 0.45], np.float32)
#: Reflectance of the thickest cirrus in the visible, and the least that makes a pixel cirrus. [1]
_CIRRUS_PEAK: Final = 0.045
CIRRUS_LIMIT: Final = 0.010


@dataclass(frozen=True, slots=True)
class Clouds:
    """Clouds of a scene.

    Attributes
    ----------
    cover
        Cover of thick cloud in 255ths on the 10 m grid; None without cloud.
    shadow
        Share of the direct sunbeam taken away, in 255ths on the 10 m grid; None without cloud.
    cirrus
        Reflectance of cirrus in the visible on the 60 m grid; None without cirrus. [1]
    """

    cover: npt.NDArray[np.uint8] | None
    shadow: npt.NDArray[np.uint8] | None
    cirrus: Float32s | None


@dataclass(frozen=True, slots=True)
class Gas:
    """Gases over a scene, as single numbers: enough for light from clouds.

    Attributes
    ----------
    sensor
        Instrument.
    airmass
        Sum of the slant paths. [1]
    tcwv, tco3
        Columns above the ground. [kg m-2], [DU]
    """

    sensor: Sensor
    airmass: float
    tcwv: float
    tco3: float


def clouds(size: int, recipe: Recipe, sza: float, saa: float, seed: int) -> Clouds:
    """Clouds of a scene.

    Parameters
    ----------
    size
        Rows and columns at 10 m.
    recipe
        Shares of the scene.
    sza, saa
        Zenith and azimuth of the sun at the centre. [degree]
    seed
        Seed of all randomness.

    Returns
    -------
    Clouds
    """
    rng = np.random.default_rng([seed, 2])
    coarse = size // 6
    bulk, detail, veil = (fractal(coarse, beta, rng) for beta in (1.9, 1.1, 2.0))
    cover = shadow = cirrus = None
    if recipe.cloud:
        field = ndimage.gaussian_filter(bulk, 1.5, mode="wrap") + 0.12 * detail
        limit = np.quantile(field, 1 - recipe.cloud)
        cover = np.empty((size, size), dtype=np.uint8)
        for rows in strips(size, STRIP):
            part = magnified(field, 6, slice(rows.start // 6, rows.stop // 6))
            soft = np.clip((part - limit) / 0.5 + 0.35, 0.0, 1.0)
            cover[rows] = np.rint(255 * soft * soft * (3 - 2 * soft))
        away = _SHADOW_HEIGHT * np.tan(np.radians(sza)) / 10.0
        down = round(away * np.cos(np.radians(saa)))
        right = round(-away * np.sin(np.radians(saa)))
        shadow = _shifted(cover, down, right)
    if recipe.cirrus:
        limit = np.quantile(veil, 1 - recipe.cirrus)
        top = max(float(veil.max() - limit), 1e-6)
        cirrus = np.clip((veil - limit) / (0.5 * top) + 0.2, 0.0, 1.0).astype(np.float32)
        cirrus *= _CIRRUS_PEAK
    return Clouds(cover, shadow, cirrus)


def above_cloud(toa: Float32s, cover: Float32s, texture: Float32s, band: str, gas: Gas) -> Float32s:
    """Cover a scene with thick cloud.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance of the cloudless scene. [1]
    cover
        Cover by cloud. [1]
    texture
        Brightness of the cloud, zero mean and unit standard deviation. [1]
    band
        Band.
    gas
        Gases of the scene.

    Returns
    -------
    ndarray
        Top-of-atmosphere reflectance. [1]
    """
    seen = _transmittance(band, gas, _CLOUD_TOP)
    bright = _CLOUD[BAND_INDEX[band]] * seen
    cloud = np.float32(bright) * (0.9 + 0.1 * cover) * (1 + np.float32(0.03) * texture)
    return np.asarray(toa + cover * (cloud - toa))


def above_cirrus(toa: Float32s, cirrus: Float32s, band: str, gas: Gas) -> Float32s:
    """Cover a scene with thin cirrus.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance below. [1]
    cirrus
        Reflectance of the cirrus in the visible. [1]
    band
        Band.
    gas
        Gases of the scene.

    Returns
    -------
    ndarray
        Top-of-atmosphere reflectance. [1]
    """
    seen = np.float32(_transmittance(band, gas, _CIRRUS_HEIGHT))
    own = cirrus * _CIRRUS[BAND_INDEX[band]]
    return np.asarray(toa * (1 - own) ** 2 + own * seen)


def _transmittance(band: str, gas: Gas, height: float) -> float:
    above = gas.tcwv * np.exp(-height / _WATER_SCALE)
    parts = gases.transmittance(
        gas.sensor, band, airmass=gas.airmass, tcwv=above, tco3=gas.tco3, pressure=0.0
    )
    return float(parts.water_vapour * parts.ozone)


def _shifted(field: npt.NDArray[np.uint8], down: int, right: int) -> npt.NDArray[np.uint8]:
    """Copy of a field moved by whole pixels, zero where nothing moves in."""
    out = np.zeros_like(field)
    height, width = field.shape
    if abs(down) < height and abs(right) < width:
        to = np.s_[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
        origin = np.s_[
            max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
        ]
        out[to] = field[origin]
    return out

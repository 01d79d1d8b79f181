"""Landscapes: a mosaic of fields, forests, towns, lakes, rivers and roads on the 10 m grid.

Two surfaces, the share of the first, and a texture describe a pixel, so that a full tile takes
half a gigabyte for all bands together. Boundaries are made sharp and the sensor blurs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft, ndimage

from s2cloud.simulation.raster import STRIP, block_mean, magnified, strips

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.simulation.recipes import Recipe
    from s2cloud.simulation.surfaces import Surfaces

    Float32s = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

__all__ = ["TEXTURE_UNIT", "Landscape", "fractal", "landscape", "reflectance_rows"]

#: Texture is stored in this fraction of its standard deviation.
TEXTURE_UNIT: Final = 1 / 40
#: Fine texture repeats after so many pixels; it has no seam.
_TEXTURE_PX: Final = 4096
#: Change of brightness per standard deviation of texture. [1]
_CONTRAST: Final = 0.055
#: Standard deviation of the blur of the instrument, in pixels of the band.
_BLUR: Final = 0.55

_FOREST: Final = ("conifer_dark", "conifer", "broadleaf", "broadleaf_bright")
_ROOFS: Final = ("roof_red", "concrete", "asphalt", "roof_red", "roof_bright")


@dataclass(frozen=True, slots=True)
class Landscape:
    """Mixture of surfaces in every 10 m pixel.

    Attributes
    ----------
    first, second
        Codes of two surfaces, shape (y, x).
    share
        Share of the first, in 255ths, shape (y, x).
    texture
        Brightness, in `TEXTURE_UNIT` standard deviations, shape (y, x).
    """

    first: Bytes
    second: Bytes
    share: Bytes
    texture: npt.NDArray[np.int8]


def fractal(size: int, beta: float, rng: np.random.Generator) -> Float32s:
    """Noise with a power spectrum of 1/f**(2 beta).

    Parameters
    ----------
    size
        Number of rows and columns.
    beta
        Exponent of the amplitude; larger is smoother.
    rng
        Source of randomness.

    Returns
    -------
    ndarray
        Zero mean and unit standard deviation, periodic, shape (size, size).
    """
    spectrum = fft.rfft2(rng.standard_normal((size, size), dtype=np.float32), overwrite_x=True)
    fy = np.fft.fftfreq(size).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(size).astype(np.float32)[None, :]
    square = fy * fy + fx * fx
    square[0, 0] = 1.0
    spectrum *= square ** np.float32(-beta / 2)
    spectrum[0, 0] = 0.0
    out = fft.irfft2(spectrum, s=(size, size), overwrite_x=True)
    out /= out.std()
    return np.ascontiguousarray(out, dtype=np.float32)


def landscape(size: int, recipe: Recipe, surfaces: Surfaces, seed: int) -> Landscape:
    """Landscape of a scene.

    Parameters
    ----------
    size
        Rows and columns at 10 m, a multiple of 6.
    recipe
        Shares of the scene.
    surfaces
        The surfaces to use; only their codes matter.
    seed
        Seed of all randomness.

    Returns
    -------
    Landscape
    """
    rng = np.random.default_rng([seed, 1])
    relief = fractal(size // 6, 1.9, rng)
    second_relief = fractal(size // 6, 1.9, rng)
    fine = fractal(fft.next_fast_len(min(size, _TEXTURE_PX), real=True), 1.15, rng)
    painter = _Painter(recipe, surfaces, relief, second_relief, fine, seed)
    first, second, share = (np.empty((size, size), dtype=np.uint8) for _ in range(3))
    out = Landscape(first, second, share, np.empty((size, size), dtype=np.int8))
    for rows in strips(size, STRIP):
        out.first[rows], out.second[rows], weight, texture = painter.paint(rows)
        out.share[rows] = np.rint(np.clip(weight, 0, 1) * 255)
        out.texture[rows] = np.rint(np.clip(texture / TEXTURE_UNIT, -127, 127))
    return out


def reflectance_rows(
    scene: Landscape, table: Float32s, gain: float, factor: int, rows: slice
) -> Float32s:
    """Surface reflectance of one band on some rows of its grid, blurred by the instrument.

    Parameters
    ----------
    scene
        The landscape.
    table
        Reflectance of each surface in the band. [1], shape (surface,)
    gain
        Strength of the texture in this band.
    factor
        Pixel size of the band over 10 m: 1, 2 or 6.
    rows
        Rows of the band's grid.

    Returns
    -------
    ndarray
        [1], shape (y, x)
    """
    height = scene.first.shape[0] // factor
    halo = 2  # reach of the blur
    start, stop = max(rows.start - halo, 0), min(rows.stop + halo, height)
    part = np.s_[start * factor : stop * factor]
    share = scene.share[part] * np.float32(1 / 255)
    first = table[scene.first[part]]
    image = table[scene.second[part]]
    image += share * (first - image)
    image *= 1 + scene.texture[part] * np.float32(_CONTRAST * gain * TEXTURE_UNIT)
    image = block_mean(image, factor)
    image = ndimage.gaussian_filter(image, _BLUR, mode="nearest", radius=halo)
    return np.asarray(image[rows.start - start : rows.stop - start], dtype=np.float32)


class _Painter:
    """Paints strips of a landscape; all decisions depend on the position only."""

    def __init__(
        self,
        recipe: Recipe,
        surfaces: Surfaces,
        relief: Float32s,
        second_relief: Float32s,
        fine: Float32s,
        seed: int,
    ) -> None:
        self.relief, self.second_relief, self.fine, self.seed = relief, second_relief, fine, seed
        self.width = relief.shape[1] * 6
        self.forest_above = np.quantile(relief, 1 - recipe.forest)
        self.lake_below = np.quantile(relief, recipe.lake)
        # Only about half of a town is built, and forest and lakes come before towns.
        self.town_above = np.quantile(second_relief, 1 - min(recipe.town * 1.5, 1.0))
        self.snow_above = np.quantile(relief, 1 - recipe.snow) if recipe.snow else np.inf
        self.code = surfaces.code
        shares = np.cumsum(list(recipe.fields.values()))
        self.field_limits = (shares / shares[-1]).astype(np.float32)
        self.field_codes = np.array([surfaces.code(n) for n in recipe.fields], dtype=np.uint8)
        green = surfaces.scl[self.field_codes] == surfaces.scl[surfaces.code("meadow")]
        undergrowth = np.where(green, surfaces.code("soil_dark"), surfaces.code("grass_dry"))
        self.field_below = undergrowth.astype(np.uint8)

    def paint(self, rows: slice) -> tuple[Bytes, Bytes, Float32s, Float32s]:
        """First and second surface, share of the first, and texture of some rows."""
        at = slice(rows.start // 6, rows.stop // 6)
        low = magnified(self.relief, 6, at)
        other = magnified(self.second_relief, 6, at)
        y, x = np.mgrid[rows, 0 : self.width].astype(np.float32)
        period = self.fine.shape[0]
        fine = np.take(
            np.take(self.fine, np.arange(rows.start, rows.stop) % period, axis=0),
            np.arange(self.width) % period,
            axis=1,
        )
        # Warped parallelograms of three sizes are the fields.
        warped_x, warped_y = x + 18 * low, y + 12 * other
        big = self._hash((warped_x * 0.8 + warped_y * 0.3) // 310,
                         (warped_y * 0.9 - warped_x * 0.25) // 260, 7)  # fmt: skip
        column = (warped_x * 0.95 + warped_y * 0.31) // (34 + 40 * (big > 0.5))
        row = (warped_y * 0.95 - warped_x * 0.31) // (22 + 30 * (big > 0.3))
        kind, vigour = self._hash(column, row, 11), self._hash(column, row, 23)
        index = np.searchsorted(self.field_limits, kind, side="right")
        index = np.minimum(index, self.field_codes.size - 1)
        first, second = self.field_codes[index], self.field_below[index]
        share = 0.72 + 0.26 * vigour + 0.04 * fine
        texture = fine + 0.35 * (vigour - 0.5)

        forest = low > self.forest_above
        stand = self._hash(warped_x // 61, warped_y // 47, 31)
        codes = np.array([self.code(name) for name in _FOREST], dtype=np.uint8)
        choice = np.clip((stand * 2 + (other > 0) * 2).astype(np.intp), 0, 3)
        first = np.where(forest, codes[choice], first)
        second = np.where(forest, codes[(choice + 1) % 4], second)
        share = np.where(forest, 0.75 + 0.08 * fine, share)
        texture = np.where(forest, 1.5 * fine, texture)

        house = self._hash(x // 3, y // 3, 5)
        town = (other > self.town_above) & ~forest & (house > 0.35)
        roofs = np.array([self.code(name) for name in _ROOFS], dtype=np.uint8)
        first = np.where(town, roofs[np.minimum((vigour * 5).astype(np.intp), 4)], first)
        second = np.where(town, self.code("meadow"), second)
        share = np.where(town, 0.55 + 0.45 * house, share)

        road = ((x + 0.2 * y + 9 * low) % 233 < 1.6) | ((y - 0.15 * x) % 307 < 1.6)
        second = np.where(road & ~forest, self.code("asphalt"), second)
        share = np.where(road & ~forest, np.minimum(share, 0.45), share)

        snow = low > self.snow_above
        first = np.where(snow, self.code("snow_coarse"), first)
        second = np.where(snow, self.code("snow_dirty"), second)
        share = np.where(snow, 0.8 + 0.1 * fine, share)
        texture = np.where(snow, 0.4 * fine, texture)
        return self._water(low, other, fine, first, second, share, texture)

    def _water(
        self,
        low: Float32s,
        other: Float32s,
        fine: Float32s,
        first: Bytes,
        second: Bytes,
        share: Float32s,
        texture: Float32s,
    ) -> tuple[Bytes, Bytes, Float32s, Float32s]:
        lake = low < self.lake_below
        river = (abs(other - 0.12) < 0.006) & ~lake & (low < self.snow_above)
        deep = np.where(other > 0, self.code("water_clear"), self.code("water_green"))
        water = lake | river
        first = np.where(lake, deep, np.where(river, self.code("water_river"), first))
        second = np.where(water, self.code("water_turbid"), second)
        share = np.where(water, 0.92 + 0.01 * fine, share)
        texture = np.where(water, 0.15 * fine, texture)
        return first.astype(np.uint8), second.astype(np.uint8), share, texture

    def _hash(self, a: Float32s, b: Float32s, salt: int) -> Float32s:
        """Uniform numbers in [0, 1) that depend on two integers."""
        ia = a.astype(np.int32).view(np.uint32)
        ib = b.astype(np.int32).view(np.uint32)
        h = (ia * np.uint32(0x9E3779B1)) ^ (ib * np.uint32(0x85EBCA77))
        h ^= np.uint32((salt + 1009 * self.seed) * 2654435761 % 2**32)
        for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
            h ^= h >> np.uint32(shift)
            h *= np.uint32(factor)
        h ^= h >> np.uint32(15)
        return h.astype(np.float32) * np.float32(2**-32)

"""Landscapes on the 10 m grid, and their reflectance as an instrument sees it.

Two surfaces, the share of the first, and a texture describe a pixel, so that a full tile takes
half a gigabyte for all bands together. Boundaries are made sharp and the sensor blurs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.simulation.painting import Painter
from s2cloud.simulation.raster import STRIP, block_mean, strips

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.simulation.recipes import Recipe
    from s2cloud.simulation.relief import Relief
    from s2cloud.simulation.surfaces import Surfaces

    Float32s = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]

__all__ = ["TEXTURE_UNIT", "Landscape", "landscape", "reflectance_rows"]

#: Texture is stored in this fraction of its standard deviation.
TEXTURE_UNIT: Final = 1 / 40
#: Change of brightness per standard deviation of texture. [1]
_CONTRAST: Final = 0.055
#: Standard deviation of the blur of the instrument, in pixels of the band.
_BLUR: Final = 0.55


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


def landscape(relief: Relief, recipe: Recipe, surfaces: Surfaces, seed: int) -> Landscape:
    """Landscape of a scene.

    Parameters
    ----------
    relief
        Its relief: what grows where follows the ground.
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
    painter = Painter(relief, recipe, surfaces, seed)
    size = painter.width
    first, second, share = (np.empty((size, size), dtype=np.uint8) for _ in range(3))
    out = Landscape(first, second, share, np.empty((size, size), dtype=np.int8))
    for rows in strips(size, STRIP):
        canvas = painter.paint(rows)
        out.first[rows], out.second[rows] = canvas.first, canvas.second
        out.share[rows] = np.rint(np.clip(canvas.share, 0, 1) * 255)
        out.texture[rows] = np.rint(np.clip(canvas.texture / TEXTURE_UNIT, -127, 127))
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

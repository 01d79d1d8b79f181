"""Which cloud a line of sight or a ray of the sun passes on its way to a pixel.

A band sees a cloud where its line of sight passes the height of the cloud, so bands and detectors
that look in other directions see it over other ground. The shadow is where the sun's ray through
the cloud ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s2cloud.simulation.cloud_kernels import march
from s2cloud.simulation.raster import block_mean

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.simulation.clouds import Layer
    from s2cloud.simulation.geometry import Viewing

    Floats = npt.NDArray[np.float64]
    Float32s = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Rays", "Sight"]


@dataclass(frozen=True, slots=True)
class Rays:
    """Directions in which light travels, at nodes from the upper left corner.

    Attributes
    ----------
    lean
        Way towards the satellite or the sun per metre of height, south and east, for even and odd
        detectors. [1], shape (2, 2, node_y, node_x)
    step
        Distance of the nodes. [m]
    """

    lean: Float32s
    step: float

    @classmethod
    def of_view(cls, viewing: Viewing, band: str, y: Floats, x: Floats, step: float) -> Rays:
        """Lines of sight of a band over nodes at `y` and `x`."""
        views = [viewing.view(band, odd, y, x) for odd in (False, True)]
        return cls(np.stack([_lean(v.zenith, v.azimuth) for v in views]), step)

    @classmethod
    def of_sun(cls, sza: Floats, saa: Floats, step: float) -> Rays:
        """Rays of the sun at nodes. [degree]."""
        return cls(np.stack([_lean(sza, saa)] * 2), step)


@dataclass(frozen=True, slots=True)
class Sight:
    """A layer of clouds on the way of some rays.

    Attributes
    ----------
    layer, rays
        Clouds and rays.
    ground
        Height of the ground on the 60 m grid. [m], shape (y, x)
    """

    layer: Layer
    rays: Rays
    ground: Float32s

    def rows(
        self,
        factor: int,
        rows: slice,
        odd: Mask | None = None,
        sunward: tuple[float, float] = (0.0, 0.0),
    ) -> tuple[Float32s, Float32s]:
        """Optical thickness along the rays that end at the pixels of some rows.

        Parameters
        ----------
        factor
            Pixel size of the band over 10 m: 1, 2 or 6.
        rows
            Rows of the band's grid, whole 60 m cells.
        odd
            Whether a detector of odd number sees the pixel, shape (y, x); None for rays of the
            sun.
        sunward
            Horizontal unit vector towards the sun, south and east.

        Returns
        -------
        thickness, lit
            [1], and how much the side of the cloud faces the sun, -1 to 1; shape (y, x)
        """
        layer, fine = self.layer, min(factor, 2)
        scale = factor // fine
        shape = ((rows.stop - rows.start) * scale, self.ground.shape[1] * 6 // fine)
        if odd is None:
            odd = np.zeros((1, 1), dtype=np.bool_)
        elif scale > 1:
            odd = odd.repeat(scale, axis=0).repeat(scale, axis=1)
        thickness, lit = (np.zeros(shape, dtype=np.float32) for _ in range(2))
        march(
            layer.amount, layer.height, layer.detail, layer.there, self.ground,
            self.rays.lean, self.rays.step, odd, np.array(sunward, dtype=np.float32),
            layer.roughness, layer.softness, layer.thickness,
            rows.start * scale, 6 // fine, thickness, lit,
        )  # fmt: skip
        return block_mean(thickness, scale), block_mean(lit, scale)


def _lean(zenith: Floats, azimuth: Floats) -> Float32s:
    slant = np.tan(np.radians(zenith))
    south, east = -slant * np.cos(np.radians(azimuth)), slant * np.sin(np.radians(azimuth))
    return np.stack([south, east]).astype(np.float32)

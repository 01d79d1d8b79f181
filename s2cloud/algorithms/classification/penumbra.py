"""Edges of cloud shadows, and water among them: what a pixel alone does not tell.

Steps of ``evolution`` only. The edge of a cloud lets part of the sun through, so the ground below
is too bright for the tests of shadow, which know the scene's land only on cells of kilometres. Land
of its own kind in the sun next to it is a far better measure. Deep shadow looks like water, pixel
by pixel; single "water" pixels among shadow are shadow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms.classification.morphology import box_count, box_dilated
from s2cloud.algorithms.classification.rules import compiled
from s2cloud.algorithms.classification.steps import CAST
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["reach_of_edges", "tidy_shadows"]

#: Half side of the square in which shadow and water are counted. [m]
_AROUND_M: Final = 80.0
#: Width of the edge of a shadow, and distance to which land in the sun is looked at. [m]
_EDGE_M: Final = 40.0
_SUNLIT_M: Final = 120.0
#: Share of the brightness of land in the sun below which land at an edge is in shadow. A cloud that
#: takes three tenths of the beam leaves 0.73 of the light in the near infrared.
_EDGE_RATIO: Final = np.float32(0.85)
#: Pixels of land in the sun that make a measure.
_ENOUGH: Final = 6
_MAP_WATER: Final = 2
_LAND: Final = (SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.SNOW_ICE)
_OTHER: Final = (SCL.CAST_SHADOW, SCL.UNCLASSIFIED)


def reach_of_edges(pixel_size: float) -> int:
    """Pixels around a window that `tidy_shadows` looks at."""
    edge = max(1, round(_EDGE_M / pixel_size))
    return max(1, round(_AROUND_M / pixel_size)) + 2 * edge + max(1, round(_SUNLIT_M / pixel_size))


def tidy_shadows(
    toa: Floats,
    scl: Codes,
    possible: Mask,
    flags: npt.NDArray[np.uint16],
    water: Codes,
    pixel_size: float,
    light: Floats | None,
) -> None:
    """Give shadows their edges and the water among them, in place.

    Parameters
    ----------
    toa
        TOA reflectance, bands in ESA's order. [1], shape (13, y, x)
    scl
        Classes, shape (y, x).
    possible
        Where the shadow of a cloud may fall, shape (y, x).
    flags
        Bits of the scene on the same pixels.
    water
        Map of water bodies, shape (y, x) or (1, 1).
    pixel_size
        [m]
    light
        Sun on the slopes over that on level ground, None if it is. [1], shape (y, x)
    """
    shade = scl == SCL.CLOUD_SHADOW
    if not shade.any():
        return
    radius = max(1, round(_AROUND_M / pixel_size))
    wet = scl == SCL.WATER
    among = wet & possible & (water != _MAP_WATER)
    if among.any():
        among &= box_count(shade, radius) > box_count(wet, radius)
        scl[among] = SCL.CLOUD_SHADOW
    possible = possible & ((flags & CAST) == 0)
    land = np.isin(scl, _LAND)
    lit = land & ~box_dilated(~land, max(1, round(_EDGE_M / pixel_size)))
    reach = max(1, round(_SUNLIT_M / pixel_size))
    dark = np.isin(scl, _OTHER)
    near, short = toa[BAND_INDEX["b8a"]], toa[BAND_INDEX["b11"]]
    if light is not None:
        near, short = near / light, short / light
    for _ in range(max(1, round(_EDGE_M / pixel_size))):
        edge = box_dilated(scl == SCL.CLOUD_SHADOW, 1) & possible & (land | dark)
        edge &= scl != SCL.CLOUD_SHADOW
        if not edge.any():
            return
        ratio = _brightness(near, short, scl, edge, lit, reach)
        scl[edge & (ratio < _EDGE_RATIO)] = SCL.CLOUD_SHADOW


@compiled
def _brightness(b8a: Floats, b11: Floats, scl: Codes, edge: Mask, lit: Mask, reach: int) -> Floats:
    """Brightness over that of land of the same class in the sun around, of all land if none is."""
    rows, columns = scl.shape
    out = np.full((rows, columns), np.inf, np.float32)
    for i in range(rows):
        for j in range(columns):
            if not edge[i, j]:
                continue
            near = short = np.float32(0.0)
            all_near = all_short = np.float32(0.0)
            same = any_ = 0
            for y in range(max(i - reach, 0), min(i + reach + 1, rows)):
                for x in range(max(j - reach, 0), min(j + reach + 1, columns)):
                    if lit[y, x]:
                        any_ += 1
                        all_near += b8a[y, x]
                        all_short += b11[y, x]
                        if scl[y, x] == scl[i, j]:
                            same += 1
                            near += b8a[y, x]
                            short += b11[y, x]
            if same < _ENOUGH:
                near, short, same = all_near, all_short, any_
            if same >= _ENOUGH:
                square = b8a[i, j] * b11[i, j] / max(near * short, np.float32(1e-9))
                out[i, j] = np.sqrt(square) * np.float32(same)
    return out

"""Darkness as in the shadow of clouds, by a spectrum or relative to sunlit land around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification.rules import compiled, inlined

if TYPE_CHECKING:
    import numpy.typing as npt

    Angle = npt.NDArray[np.floating[Any]] | float
    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "CELL",
    "CELL_M",
    "HALO",
    "LIGHTER_M",
    "clear_reference",
    "radiometric_shadow",
    "reference_at",
    "relative_shadow",
    "shadow_threshold",
]

#: Reflectance of shadow in B02, B03, B04, B8A, B11, B12 (Sen2Cor's RV_MEAN). [1]
_SHADOW_SPECTRUM: Final = np.array([0.12, 0.08, 0.06, 0.10, 0.0545, 0.0255], np.float32)
#: Pixels around a block that `radiometric_shadow` and `relative_shadow` need.
HALO: Final = 1
#: Cells of `clear_reference`, in pixels of the overview and in metres.
CELL: Final = 20
CELL_M: Final = 1200.0
#: Distance from deep shadow within which lighter shadow is believed. [m]
LIGHTER_M: Final = 80.0
#: Least similarity to it that counts in Sen2Cor 2.8. [1]
_CLASSIC_THRESHOLD: Final = 1.0 - 0.018
#: B02/B11 of water is above.
_WATER_RATIO: Final = 6.0
_HALF: Final = np.float32(0.5)
_ONE: Final = np.float32(1)
#: Share of the clear land that is darker than the reference. [1]
_DARKER_SHARE: Final = 0.25
#: Reflectance over that of clear land at which a pixel is surely shadow, and surely none. [1]
_INFRARED_RATIO: Final = (0.70, 1.00)
#: B11 at which a pixel brighter in the visible than in B8A is surely water, and surely none. [1]
_WATER_SWIR: Final = (0.015, 0.035)


def radiometric_shadow(
    b02: Floats,
    b03: Floats,
    b04: Floats,
    b8a: Floats,
    b11: Floats,
    b12: Floats,
    *,
    threshold: float = _CLASSIC_THRESHOLD,
) -> Floats:
    """Likeness to shadow by Sen2Cor's absolute reference spectrum.

    Parameters
    ----------
    b02, b03, b04, b8a, b11, b12
        TOA reflectance on one grid, NaN for no-data; with a halo of `HALO`. [1], shape (y, x)
    threshold
        Similarity below which a pixel is no shadow: the one of 2.8, or the scene's own from
        `shadow_threshold`. [1]

    Returns
    -------
    ndarray
        0 to 1, shape (y, x).

    Notes
    -----
    Water (B02/B11 > 6) is no shadow. A pixel that with its neighbours is darker than the reference
    in every band is one. Dark forest and water that is not that blue are mistaken for shadow;
    `relative_shadow` is not as easily misled.
    """
    like, darker = _similarity(b02, b03, b04, b8a, b11, b12)
    like[like < threshold] = 0.0
    like[darker] = 1.0
    like[b02 > _WATER_RATIO * np.maximum(b11, np.float32(1e-6))] = 0.0
    return np.nan_to_num(like, copy=False)


def shadow_threshold(
    b02: Floats,
    b03: Floats,
    b04: Floats,
    b8a: Floats,
    b11: Floats,
    b12: Floats,
    clear_land: Mask,
    cloud: Mask,
) -> float:
    """Threshold of `radiometric_shadow` for a scene, from the overview (Sen2Cor 2.10 and later).

    Parameters
    ----------
    b02, b03, b04, b8a, b11, b12
        TOA reflectance of the overview. [1], shape (y, x)
    clear_land, cloud
        Clear land; clouds. Shape (y, x)

    Returns
    -------
    float
        Mean plus two standard deviations of the similarity of clear land near the edges of clouds,
        within 0.90 to 0.9999; the one of 2.8 where too little land is clear. [1]
    """
    like, _ = _similarity(b02, b03, b04, b8a, b11, b12)
    edge = cloud & ~ndimage.binary_erosion(cloud, np.ones((5, 5)), border_value=1)
    near = ndimage.maximum_filter(edge, 25, mode="constant")
    values = like[near & clear_land & np.isfinite(like)].astype(np.float64)
    if values.size < max(100, 0.0002 * cloud.size):
        return _CLASSIC_THRESHOLD
    return float(np.clip(values.mean() + 2 * values.std(), 0.90, 0.9999))


def clear_reference(
    b8a: Floats, b11: Floats, b12: Floats, clear_land: Mask, *, cell: int = CELL
) -> Floats:
    """Brightness of the darker part of sunlit land around, from the overview.

    Parameters
    ----------
    b8a, b11, b12
        TOA reflectance of the overview. [1], shape (y, x)
    clear_land
        Land that is certainly sunlit, shape (y, x).
    cell
        Pixels on a side of the squares in which the land is looked at.

    Returns
    -------
    ndarray
        Lower quartile of clear land in the three bands, averaged over neighbouring cells by the
        amount of clear land in them. [1], shape (3, cell_y, cell_x); NaN if there is none at all.
    """
    rows, columns = (-(-size // cell) for size in clear_land.shape)
    total = np.zeros((3, rows, columns))
    count = np.zeros((rows, columns))
    bands = np.stack([b8a, b11, b12])
    land = clear_land & np.isfinite(bands).all(axis=0)
    if not land.any():
        return np.full(total.shape, np.nan, np.float32)
    _darker_quantiles(bands, land, cell, total, count)
    return np.stack([_spread(band) / _spread(count) for band in total]).astype(np.float32)


@compiled
def _darker_quantiles(
    bands: Floats,
    land: Mask,
    cell: int,
    total: npt.NDArray[np.float64],
    count: npt.NDArray[np.float64],
) -> None:
    """Quantile of the land in each cell times its pixels, and these; linear as `numpy.quantile`."""
    values = np.empty((3, cell * cell), np.float32)
    for i in range(count.shape[0]):
        for j in range(count.shape[1]):
            n = 0
            for y in range(i * cell, min((i + 1) * cell, land.shape[0])):
                for x in range(j * cell, min((j + 1) * cell, land.shape[1])):
                    if land[y, x]:
                        for band in range(3):
                            values[band, n] = bands[band, y, x]
                        n += 1
            count[i, j] = n
            if n == 0:
                continue
            place = np.float32(n - 1) * np.float32(_DARKER_SHARE)
            first = int(place)
            weight = np.float32(place - np.float32(first))
            for band in range(3):
                least = np.partition(values[band, :n], min(first + 1, n - 1))
                below = least[: first + 1].max()
                above = least[min(first + 1, n - 1)]
                step = np.float32(above - below)
                if weight < _HALF:
                    value = np.float32(below + step * weight)
                else:
                    value = np.float32(above - step * (_ONE - weight))
                total[band, i, j] = np.float64(value) * n


def _spread(cells: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum over neighbours, and with ever less weight over farther ones and over all cells."""
    near, far = (ndimage.gaussian_filter(cells, sigma, mode="nearest") for sigma in (0.5, 2.0))
    return np.asarray(near + 0.02 * far + 0.01 * cells.mean())


def reference_at(
    reference: Floats, cell: int, origin: tuple[int, int], shape: tuple[int, int]
) -> Floats:
    """Reference of a window, bilinear between the centres of the cells.

    Parameters
    ----------
    reference
        From `clear_reference`, shape (3, cell_y, cell_x).
    cell
        Side of a cell in pixels of the window.
    origin, shape
        Row and column of the window's first pixel on the tile's grid; rows and columns.

    Returns
    -------
    ndarray
        [1], shape (3, y, x)
    """
    out = reference
    for axis, (start, size) in enumerate(zip(origin, shape, strict=True), 1):
        last = reference.shape[axis] - 1
        at = np.clip((start + np.arange(size) + 0.5) / cell - 0.5, 0, last)
        first = np.minimum(at.astype(np.intp), max(last - 1, 0))
        weight = (at - first).astype(np.float32)
        weight = weight[:, np.newaxis] if axis == 1 else weight
        second = out.take(np.minimum(first + 1, last), axis)
        out = out.take(first, axis) * (1 - weight) + second * weight
    return np.asarray(out, dtype=np.float32)


def relative_shadow(
    b03: Floats, b04: Floats, b8a: Floats, b11: Floats, b12: Floats, reference: Floats
) -> Floats:
    """Likeness to shadow by darkness relative to sunlit land around.

    Parameters
    ----------
    b03, b04, b8a, b11, b12
        TOA reflectance on one grid, NaN for no-data; with a halo of `HALO`. [1], shape (y, x)
    reference
        From `reference_at`, shape (3, y, x) or broadcasting to it.

    Returns
    -------
    ndarray
        0 to 1, shape (y, x); 0 where there is no reference.

    Notes
    -----
    Shadow takes away the direct beam, nearly all light in the infrared, so it is darker than its
    surroundings in near *and* short-wave infrared. Dark forest is so in the short-wave only.
    Water is darker still and, unlike vegetation or soil in shadow, darker in B8A than in the
    visible, so such a pixel counts only if its short-wave infrared is brighter than that of water.
    """
    nir, one, two = (_median3(band) for band in (b8a, b11, b12))
    swir = np.sqrt(np.maximum(one * two, 0) / (reference[1] * reference[2]))
    like = _fall(nir / reference[0], *_INFRARED_RATIO) * _fall(swir, *_INFRARED_RATIO)
    like *= np.where(b8a < np.minimum(b03, b04), 1 - _fall(b11, *_WATER_SWIR), np.float32(1))
    return np.asarray(np.nan_to_num(like, nan=0.0), dtype=np.float32)


def _fall(value: Floats, full: float, none: float) -> Floats:
    """Line from 1 at `full` and below to 0 at `none` and above."""
    return np.asarray(np.clip((np.float32(none) - value) / np.float32(none - full), 0, 1))


def _median3(image: Floats) -> Floats:
    """Median of 3 x 3 pixels, the rim repeated; NaN next to NaN."""
    return np.asarray(_median_inside(np.pad(image.astype(np.float32, copy=False), 1, "edge")))


@compiled
def _median_inside(image: Floats) -> Floats:
    """Median of 3 x 3 pixels, without the rim."""
    rows, columns = image.shape[0] - 2, image.shape[1] - 2
    out = np.empty((rows, columns), np.float32)
    order = np.empty((4, columns + 2), np.float32)
    low, middle, high, bad = order
    for i in range(rows):
        above, here, below = image[i], image[i + 1], image[i + 2]
        for j in range(columns + 2):
            low[j] = min(above[j], here[j], below[j])
            middle[j] = _middle(above[j], here[j], below[j])
            high[j] = max(above[j], here[j], below[j])
            total = above[j] + here[j] + below[j]
            bad[j] = total - total  # 0, or NaN if any is
        for j in range(columns):
            lows = max(low[j], low[j + 1], low[j + 2])
            middles = _middle(middle[j], middle[j + 1], middle[j + 2])
            highs = min(high[j], high[j + 1], high[j + 2])
            out[i, j] = _middle(lows, middles, highs) + (bad[j] + bad[j + 1] + bad[j + 2])
    return out


@inlined
def _middle(a: float, b: float, c: float) -> float:
    return max(min(a, b), min(max(a, b), c))


def _similarity(*bands: Floats) -> tuple[Floats, Mask]:
    """One minus the mean distance from the reference; whether all bands are darker. Medians."""
    distance = np.zeros(bands[0].shape, np.float32)
    darker = np.ones(bands[0].shape, dtype=np.float32)
    for band, reference in zip(bands, _SHADOW_SPECTRUM, strict=True):
        distance += np.abs(band - reference)
        darker *= band < reference
    return 1 - _median3(distance / np.float32(len(bands))), _median3(darker) > 0.5

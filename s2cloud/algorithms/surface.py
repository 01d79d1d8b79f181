"""Top-of-atmosphere to surface reflectance (local stage) and its environment (scene stage).

With a known environment the coupling of surface and atmosphere is linear in the pixel::

    toa = path + [ direct * boa + diffuse * environment ] / (1 - s * environment) / gain
    boa = toa * slope - intercept        (resampling.linear_by_cells)
    slope = (1 + q) * gain * (1 - s * environment)
    intercept = path * slope + q * environment

where ``q`` is the ratio of diffuse to direct transmittance from surface to sensor (Vermote et al.
1997, doi:10.1109/36.581987; Richter 1998, doi:10.1364/AO.37.004004). Without an environment the
pixel is its own surrounding: ``boa = y / (1 + s y)``, ``y = (toa - path) * gain``.

Both are ``boa = y / (1 + s y)`` with ``y = toa * a - b``: with an environment ``s`` is zero,
without one ``a`` is the gain and ``b`` the path reflectance times the gain.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numba as nb
import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = [
    "AEROSOL_REACH_KM",
    "MOLECULAR_REACH_KM",
    "correct_by_detector",
    "environment",
    "linear_terms",
    "square_mean",
    "uniform_surface",
]

#: Shares and ranges [km] of the exponentials of the environment functions, see `environment`.
MOLECULAR_REACH_KM: Final = ((0.930, 1 / 0.08), (0.070, 1 / 1.10))
AEROSOL_REACH_KM: Final = ((1.0, 1.0),)
#: Cells around a cell within which the density of the weights is averaged.
_NEAR: Final = 3
#: Share of clear surroundings below which the mean of the scene takes over.
_FLOOR: Final = 0.05


def linear_terms(
    path: Floats, gain: Floats, spherical_albedo: Floats, diffuse_ratio: Floats, around: Floats
) -> tuple[Floats, Floats]:
    """Slope and intercept of surface over top-of-atmosphere reflectance.

    Parameters
    ----------
    path
        Path reflectance, gases included.
    gain
        Inverse of the two-way transmittance, gases included.
    spherical_albedo
        Spherical albedo of the atmosphere seen from below.
    diffuse_ratio
        Diffuse over direct transmittance from surface to sensor.
    around
        Surface reflectance of the environment.

    Returns
    -------
    tuple
        Slope and intercept, same shape as the inputs, float32.
    """
    slope = (1.0 + diffuse_ratio) * gain * (1.0 - spherical_albedo * around)
    intercept = path * slope + diffuse_ratio * around
    return slope.astype(np.float32), intercept.astype(np.float32)


def uniform_surface(toa: Floats, path: Floats, gain: Floats, spherical_albedo: Floats) -> Floats:
    """Surface reflectance where the surroundings look like the pixel.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance.
    path, gain, spherical_albedo
        As in `linear_terms`, broadcast against ``toa``.

    Returns
    -------
    numpy.ndarray
        Surface reflectance, float32.
    """
    y = (toa - path) * gain
    return np.asarray(y / (1.0 + spherical_albedo * y), dtype=np.float32)


def environment(
    boa: Floats,
    clear: npt.NDArray[np.bool_],
    cell_m: float,
    molecular: Floats | float,
    *,
    stretch: float = 1.0,
) -> tuple[Floats, float]:
    """Reflectance of the surroundings as the air above a cell gathers it.

    Parameters
    ----------
    boa
        Surface reflectance on the cells of the scene, shape (cell_y, cell_x).
    clear
        Cells that show the surface; the others and what lies beyond the array have no say.
    cell_m
        Side of a cell. [m]
    molecular
        Share of the light scattered on its way up that molecules scatter, the rest being the
        aerosol's. [1], a number or on the cells
    stretch
        Factor on the ranges.

    Returns
    -------
    tuple
        Environment reflectance without gaps, float32, and the mean over the scene that fills
        places with no clear cell in reach.

    Notes
    -----
    From within r kilometres comes ``F(r) = 1 - 0.930 exp(-0.08 r) - 0.070 exp(-1.10 r)`` of what
    molecules scatter into the view, as in 6S (Vermote et al. 1997, doi:10.1109/36.581987): half of
    it from more than 8 km away. Of what aerosol scatters it is ``1 - exp(-r)``, half from within
    0.7 km. The reach of aerosol depends on its height, which nobody knows; that of 6S,
    ``1 - 0.448 exp(-0.27 r) - 0.552 exp(-2.83 r)`` for a scale height of 2 km, has half within
    0.5 km and a third from beyond 1 km. A square of one kilometre is right for neither: beside
    snow it is off by 0.01 to 0.02 in the blue.
    """
    usable = clear & np.isfinite(boa)
    if not usable.any():
        return np.zeros_like(boa), 0.0
    mean = float(boa[usable].mean(dtype=np.float64))
    values = np.where(usable, boa, 0.0).astype(np.float64)
    rows, cols = boa.shape
    mask = usable.tobytes()
    plane = _transform(values)

    def gathered(reach: tuple[tuple[float, float], ...]) -> npt.NDArray[np.float64]:
        place = ((rows, cols), cell_m, reach, stretch)
        share, inside = _shares(mask, *place)
        total = fft.irfft2(plane * _spectrum(*place), _size(boa.shape))[:rows, :cols]
        return _filled(total, share, inside, mean)

    near, far = gathered(AEROSOL_REACH_KM), gathered(MOLECULAR_REACH_KM)
    return (near + np.asarray(molecular) * (far - near)).astype(np.float32), mean


def _filled(
    total: npt.NDArray[np.float64],
    share: npt.NDArray[np.float64],
    inside: npt.NDArray[np.float64],
    mean: float,
) -> npt.NDArray[np.float64]:
    """Weighted mean of what is clear; where that is little, the scene's mean comes in gently."""
    return np.asarray((total + _FLOOR * inside * mean) / (share + _FLOOR * inside))


def _size(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Rows and columns of the transforms: room for all distances within an array."""
    return tuple(fft.next_fast_len(2 * n - 1, real=True) for n in shape)


def _transform(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    return np.asarray(fft.rfft2(plane, _size(plane.shape)))


@lru_cache(maxsize=8)
def _shares(
    mask: bytes,
    shape: tuple[int, int],
    cell_m: float,
    reach: tuple[tuple[float, float], ...],
    stretch: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights of the clear cells around each one, and of all cells of the array.

    Bands and steps of a retrieval mostly share what is clear: two thirds of the transforms.
    """
    usable = np.frombuffer(mask, dtype=bool).reshape(shape)
    weights = _spectrum(shape, cell_m, reach, stretch)
    share, inside = (
        fft.irfft2(_transform(plane) * weights, _size(shape))[: shape[0], : shape[1]].copy()
        for plane in (usable.astype(np.float64), np.ones(shape))
    )
    return share, inside


@lru_cache(maxsize=8)
def _spectrum(
    shape: tuple[int, int],
    cell_m: float,
    reach: tuple[tuple[float, float], ...],
    stretch: float,
) -> npt.NDArray[np.complex128]:
    """Transform of the weights of cells at all distances within an array."""
    size = _size(shape)
    fine = 7
    weights = np.zeros(size)
    rows, cols = (np.minimum(np.arange(n), n - np.arange(n)) * cell_m for n in size)
    part = (np.arange(fine) - fine // 2) * (cell_m / fine)
    for share, kilometres in reach:
        length = kilometres * 1000.0 * stretch

        def density(y: Any, x: Any, length: float = length) -> Any:
            r = np.hypot(y, x)
            return np.exp(-r / length) / (2 * np.pi * length * r)

        with np.errstate(divide="ignore"):
            whole = density(rows[:, None], cols[None, :]) * cell_m**2
        # Near by, the density falls within a cell: the mean of parts of cells.
        for i in range(-_NEAR, _NEAR + 1):
            for j in range(-_NEAR, _NEAR + 1):
                if (i or j) and abs(i) < shape[0] and abs(j) < shape[1]:
                    y, x = i * cell_m + part[:, None], j * cell_m + part[None, :]
                    whole[i, j] = density(y, x).mean() * cell_m**2
        # The cell itself, as a circle of the same area.
        whole[0, 0] = 1.0 - np.exp(-cell_m / np.sqrt(np.pi) / length)
        weights += share * whole
    return np.asarray(fft.rfft2(weights))


def square_mean(boa: Floats, clear: npt.NDArray[np.bool_], half_side: int) -> tuple[Floats, float]:
    """Mean surface reflectance in a square around each cell, without clouds and what is beyond.

    Parameters
    ----------
    boa, clear
        As in `environment`.
    half_side
        Cells on each side of the centre.

    Returns
    -------
    tuple
        As `environment`.
    """
    usable = clear & np.isfinite(boa)
    if not usable.any():
        return np.zeros_like(boa), 0.0
    mean = float(boa[usable].mean(dtype=np.float64))
    values = np.where(usable, boa, 0.0).astype(np.float64)
    size = 2 * half_side + 1
    total, share, inside = (
        ndimage.uniform_filter(np.asarray(plane, np.float64), size, mode="constant")
        for plane in (values, usable, np.ones(values.shape))
    )
    return _filled(total, share, inside, mean).astype(np.float32), mean


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def correct_by_detector(
    values: Floats,
    planes: Floats,
    detectors: npt.NDArray[np.uint8],
    step: int,
    ratio: float,
    origin: tuple[int, int],
) -> Floats:
    """Surface reflectance of a block, each pixel with the direction of its detector.

    Parameters
    ----------
    values
        Top-of-atmosphere reflectance, NaN for no-data, shape (y, x).
    planes
        ``a``, ``b`` and ``s`` on the cells of the whole scene for detectors of even and of odd
        number, shape (2, 3, cell_y, cell_x).
    detectors
        Number of the detector that sees a pixel, on pixels `step` times as wide.
    step
        Pixels of the block along one of `detectors`.
    ratio
        Cell side over pixel side.
    origin
        Row and column of the block's first pixel, from the corner of the scene.

    Returns
    -------
    numpy.ndarray
        Shape (y, x). One pass; the terms are interpolated as by ``resampling.linear_by_cells``.
    """
    height, width = values.shape
    rows, cols = planes.shape[2:]
    out = np.empty((height, width), np.float32)
    left = np.empty(width, np.int64)
    right = np.empty(width, np.int64)
    weight = np.empty(width, np.float32)
    for j in range(width):
        left[j], right[j], weight[j] = _position(origin[1] + j, ratio, cols)
    ends = _ends_of(left)
    lines = np.empty((2, 3, cols), np.float32)
    coupled = planes[:, 2].any()
    one = np.float32(1.0)
    first = origin[1] % step
    for i in range(height):
        top, bottom, fy = _position(origin[0] + i, ratio, rows)
        for v in range(2):
            for n in range(3 if coupled else 2):
                before, after, line = planes[v, n, top], planes[v, n, bottom], lines[v, n]
                for k in range(left[0], right[width - 1] + 1):
                    line[k] = before[k] + fy * (after[k] - before[k])
        seen = detectors[(origin[0] % step + i) // step]
        source, to = values[i], out[i]
        start = 0
        while start < width:
            # Runs of pixels with one direction, so that the inner loop has nothing to choose.
            v = seen[(first + start) // step] & 1
            at = (first + start) // step + 1
            while at * step - first < width and seen[at] & 1 == v:
                at += 1
            stop = min(at * step - first, width)
            a, b, s = lines[v, 0], lines[v, 1], lines[v, 2]
            while start < stop:
                # And of pixels between the same two cells.
                end = min(ends[start], stop)
                k, m = left[start], right[start]
                a0, da, b0, db = a[k], a[m] - a[k], b[k], b[m] - b[k]
                s0, ds = s[k], s[m] - s[k]
                # Views that begin at 0: indices that cannot be negative become vectors.
                x, w, y = source[start:end], weight[start:end], to[start:end]
                for j in range(x.size):
                    y[j] = x[j] * (a0 + w[j] * da) - (b0 + w[j] * db)
                if coupled:
                    for j in range(x.size):
                        y[j] /= one + (s0 + w[j] * ds) * y[j]
                start = end
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _ends_of(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each element the place after the last of its equal neighbours."""
    ends = np.empty(numbers.size, np.int64)
    for j in range(numbers.size - 1, -1, -1):
        alone = j == numbers.size - 1 or numbers[j + 1] != numbers[j]
        ends[j] = j + 1 if alone else ends[j + 1]
    return ends


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _position(pixel: int, ratio: float, cells: int) -> tuple[int, int, np.float32]:
    """Cells before and after a pixel along one axis, and how far it is from the first."""
    place = min(max((pixel + 0.5) / ratio - 0.5, 0.0), cells - 1.0)
    before = min(int(place), max(cells - 2, 0))
    return before, min(before + 1, cells - 1), np.float32(place - before)

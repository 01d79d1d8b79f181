"""Surface reflectance on slopes: the light that a tilted, partly shaded pixel receives.

On level ground ``boa = y / (1 + s y)``, ``y = toa * a - b`` (`s2cloud.algorithms.surface`; with a
known environment ``s`` is zero). A slope receives another amount of light, ``f`` times that of the
level ground, and the reflectance is what was found for the level divided by ``f``::

    f = sunlit * c * (direct + diffuse * k)                beam and light from around the sun
        + diffuse * (1 - k * (sunlit + (1 - sunlit) * h)) * sky    even light of the visible sky
        + (1 - sky) * surroundings                         light from the slopes opposite

``c`` is the cosine of incidence over that on level ground, ``direct + diffuse = 1`` the shares of
the light that falls on level ground, ``k`` the share of the scattered light that comes from around
the sun (in the manner of Hay 1979, doi:10.1016/0038-092X(79)90123-5), ``h`` how much of that a
mountain hides that hides the sun, ``sky`` the visible share of the sky, and ``surroundings`` the
mean reflectance around, not yet corrected for slopes, for that is what the opposite slopes send,
all their reflections included (Richter 1998, doi:10.1364/AO.37.004004; Richter & Schläpfer, ATCOR
theoretical background).

``k`` and ``h`` are from radiances of the sky, computed with sasktran2 (discrete ordinates, exact
single scattering) at 490, 665, 865 and 1610 nm for three aerosols of optical thickness 0.05 to 0.3
and suns at 30 and 60 degrees. Weights that give the light on planes of 15 to 45 degrees are
``k = (1 - m) * sqrt(tau) + 0.14 * m`` within 0.05, where ``tau`` is the transmittance of the beam
and ``m`` the share that molecules alone would scatter: at 60 degrees and an optical thickness of
0.1 (continental) 0.41 at 490 nm and 0.79 at 865 nm. Hay's ``k = tau`` is off by 0.2, and by 0.8
where there is no aerosol. A wall 3 degrees higher than the sun takes away 0.2 to 0.64 of ``k``,
depending on its width (50 to 120 degrees) and the aerosol, 0.4 in the mean; so light in shadow
remains uncertain. Within 15 degrees of the sun lie 15 (490 nm) and 25 % (865 nm) of the scattered
light in that case.

Steeply inclined faces come out too bright where the terrain model or the assumption of an even
scatterer fails. There Richter's limit takes over: below a cosine of incidence ``cos(beta_T)`` the
result is multiplied with ``(cos(beta) / cos(beta_T)) ** exponent``, as far as the sun shines on
it: light in shadow does not depend on that cosine. Where that begins is a choice. Richter's and
Sen2Cor's 10 to 25 degrees beyond the zenith of the sun leave 20 to 40 % of the shading that slopes
have in low sun (on simulated mountains, Lambertian). With circumsolar light and reflecting slopes
accounted for, what is left to guard against is the error of the terrain model, which a slope
wrong by 3 degrees makes large only beyond 80 degrees: the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba as nb
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = [
    "FIELDS",
    "TERMS",
    "around_sun",
    "block_means",
    "correct",
    "factor",
    "limit_angle",
    "smoothed",
    "tilt",
]

#: What a pixel's place adds, first axis of ``fields``: elevation [m], cosine of incidence over
#: that on level ground, visible share of the sky, share of the pixel that the sun reaches.
FIELDS: Final = ("elevation", "tilt", "sky", "sunlit")
#: First axis of ``planes``: ``a``, ``b``, ``s``, diffuse share times ``k``, diffuse share,
#: surroundings, and what the first five change per metre of elevation.
TERMS: Final = 11
#: Less light than this share of that on level ground is taken for an error of the terrain model.
_LEAST: Final = np.float32(0.02)
#: Share of the light of molecules that counts as coming from around the sun.
_MOLECULAR: Final = 0.14
#: ``h``: share of the light from around the sun that is hidden with the sun.
_HIDDEN: Final = np.float32(0.4)


def around_sun(
    beam: npt.NDArray[np.float64], molecules: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Share ``k`` of the scattered light that comes from around the sun.

    Parameters
    ----------
    beam
        Transmittance of the direct beam. [1]
    molecules
        Light that molecules alone would scatter to the ground over all that is scattered. [1]

    Returns
    -------
    numpy.ndarray
        [1], same shape; see the head of this module.
    """
    return np.asarray((1.0 - molecules) * np.sqrt(beam) + _MOLECULAR * molecules)


def limit_angle(sza: float, incidence: float | None = None) -> float:
    """Incidence angle beyond which the correction is held back.

    Parameters
    ----------
    sza
        Zenith of the sun. [degree]
    incidence
        The angle, where the sun is 5 degrees higher at least; None for a graded one. [degree]

    Returns
    -------
    float
        ``beta_T`` of Richter, Kellenberger & Kaufmann (2009, doi:10.3390/rs1030184), graded as by
        Sen2Cor if no angle is given. [degree]
    """
    if incidence is not None:
        return max(incidence, sza + 5.0)
    for below, added in ((35.0, 25.0), (45.0, 20.0), (50.0, 15.0), (60.0, 10.0)):
        if sza < below:
            return sza + added
    return max(70.0, sza + 5.0)


def tilt(slope: Floats, aspect: Floats, sun: npt.NDArray[np.float64]) -> Floats:
    """Cosine of incidence over that on level ground.

    Parameters
    ----------
    slope, aspect
        Steepness, and the azimuth the slope faces. [degree], shape (y, x)
    sun
        ``tan(zenith) * (sin, cos)(azimuth)`` of the sun, shape (2, y, x).

    Returns
    -------
    numpy.ndarray
        1 on the level, negative where the ground turns its back to the sun, float32.
    """
    steep, towards = np.radians(slope), np.radians(aspect)
    along = sun[0] * np.sin(towards) + sun[1] * np.cos(towards)
    return np.asarray(np.cos(steep) + np.sin(steep) * along, dtype=np.float32)


def smoothed(values: Floats, half_side: int) -> Floats:
    """Mean over a square of pixels, without the rim that it needs.

    Parameters
    ----------
    values
        Shape (y + 2 half_side, x + 2 half_side).
    half_side
        Pixels on each side of the centre.

    Returns
    -------
    numpy.ndarray
        Shape (y, x); the sum of each window is taken anew, so results do not depend on the cut.
    """
    if half_side == 0:
        return values
    size = 2 * half_side + 1
    height, width = (n - 2 * half_side for n in values.shape)
    rows = sum(values[k : k + height] for k in range(size))
    whole = sum(np.asarray(rows)[:, k : k + width] for k in range(size))
    return np.asarray(whole / np.float32(size * size), dtype=np.float32)


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _position(pixel: int, ratio: float, cells: int) -> tuple[int, int, np.float32]:
    """Cells before and after a pixel along one axis, and how far it is from the first."""
    place = min(max((pixel + 0.5) / ratio - 0.5, 0.0), cells - 1.0)
    before = min(int(place), max(cells - 2, 0))
    return before, min(before + 1, cells - 1), np.float32(place - before)


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def correct(  # noqa: PLR0913, PLR0917 - a kernel takes plain arrays and numbers
    values: Floats,
    planes: Floats,
    detectors: npt.NDArray[np.uint8],
    step: int,
    fields: Floats,
    scale: int,
    halo: int,
    ratio: float,
    origin: tuple[int, int],
    limits: tuple[float, float, float, float, float],
) -> Floats:
    """Surface reflectance of a block on slopes.

    Parameters
    ----------
    values
        Top-of-atmosphere reflectance, NaN for no-data, shape (y, x).
    planes
        `TERMS` on the cells of the whole scene, for even and odd detectors or for all alike,
        shape (1 or 2, TERMS, cell_y, cell_x).
    detectors
        Number of the detector that sees a pixel, on pixels `step` times as wide; not read if there
        are planes for one direction only.
    step
        Pixels of the block along one of `detectors`.
    fields
        `FIELDS` on pixels `scale` times as wide, with a rim of `halo` of them.
    scale, halo
        See `fields`.
    ratio
        Cell side over pixel side.
    origin
        Row and column of the block's first pixel, from the corner of the scene.
    limits
        Least tilt of sunlit ground; tilt at the limit angle (0 = no limit); least factor and
        exponent of the limit; reflectance beyond which nothing is brightened.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), in one pass.
    """
    height, width = values.shape
    variants, _, rows, cols = planes.shape
    out = np.empty((height, width), np.float32)
    left, right, weight = _columns(width, ratio, origin[1], cols)
    before, after, share = _columns(width, float(scale), halo * scale, fields.shape[2])
    line = np.empty(max(cols, fields.shape[2]), np.float32)
    terms = np.empty((11, width), np.float32)
    place = np.empty((4, width), np.float32)
    # Without a limit no tilt is below it.
    least, turn = np.float32(limits[0]), np.float32(limits[1] if limits[1] > 0 else -np.inf)
    lower, exponent, cap = np.float32(limits[2]), np.float32(limits[3]), np.float32(limits[4])
    first = origin[1] % step
    for i in range(height):
        top, bottom, fy = _position(halo * scale + i, float(scale), fields.shape[1])
        for n in range(4):
            _interpolated(
                fields[n], top, bottom, fy, line, before, after, share, place[n], 0, width
            )
        top, bottom, fy = _position(origin[0] + i, ratio, rows)
        seen = detectors[min((origin[0] % step + i) // step, detectors.shape[0] - 1)]
        start = 0
        while start < width:
            # Runs of pixels with one direction.
            v, stop = 0, width
            if variants == 2:
                at = (first + start) // step
                v = seen[at] & 1
                while at * step - first < width and seen[at] & 1 == v:
                    at += 1
                stop = min(at * step - first, width)
            for n in range(11):
                _interpolated(
                    planes[v, n], top, bottom, fy, line, left, right, weight, terms[n], start, stop
                )
            start = stop
        _level_and_light(values[i], terms, place, least, cap, out[i])
        for j in range(width):
            if place[1, j] < turn and place[3, j] > 0:
                held = max(place[1, j] / turn, lower) ** exponent
                out[i, j] *= np.float32(1.0) - place[3, j] * (np.float32(1.0) - held)
    return out


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _interpolated(  # noqa: PLR0913, PLR0917 - likewise
    field: Floats,
    top: int,
    bottom: int,
    fy: np.float32,
    line: Floats,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    weight: Floats,
    out: Floats,
    start: int,
    stop: int,
) -> None:
    """Bilinear values of a field along a part of a row of pixels."""
    for k in range(left[start], right[stop - 1] + 1):
        line[k] = field[top, k] + fy * (field[bottom, k] - field[top, k])
    for j in range(start, stop):
        a = line[left[j]]
        out[j] = a + weight[j] * (line[right[j]] - a)


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _level_and_light(
    values: Floats,
    terms: Floats,
    place: Floats,
    least: np.float32,
    cap: np.float32,
    out: Floats,
) -> None:
    """Reflectance of a row of pixels; nothing is brightened beyond the cap."""
    one = np.float32(1.0)
    for j in range(values.size):
        z, tilted, sky, sunlit = place[0, j], max(place[1, j], least), place[2, j], place[3, j]
        y = values[j] * (terms[0, j] + z * terms[6, j]) - (terms[1, j] + z * terms[7, j])
        level = y / (one + (terms[2, j] + z * terms[8, j]) * y)
        ring, diffuse = terms[3, j] + z * terms[9, j], terms[4, j] + z * terms[10, j]
        beam = sunlit * tilted * (one - diffuse + ring)
        even = diffuse - ring * (_HIDDEN + (one - _HIDDEN) * sunlit)
        light = beam + even * sky + (one - sky) * terms[5, j]
        found = level / max(light, _LEAST)
        most = max(level, cap)
        # Written so that NaN passes.
        out[j] = most if found > most else found  # noqa: FURB136 - see above


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _columns(
    width: int, ratio: float, origin: int, cols: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    left = np.empty(width, np.int64)
    right = np.empty(width, np.int64)
    weight = np.empty(width, np.float32)
    for j in range(width):
        left[j], right[j], weight[j] = _position(origin + j, ratio, cols)
    return left, right, weight


def factor(planes: Floats, fields: Floats, least: float) -> Floats:
    """Light of pixels over that on level ground, as in `correct`.

    Parameters
    ----------
    planes
        Terms 3 to 5 of `TERMS` on the pixels: diffuse share times ``k``, diffuse share,
        surroundings, shape (3, y, x).
    fields
        `FIELDS` on the pixels, shape (4, y, x).
    least
        Least tilt of sunlit ground.
    """
    ring, diffuse, around = planes
    _, tilted, sky, sunlit = fields
    beam = sunlit * np.maximum(tilted, np.float32(least)) * (1.0 - diffuse + ring)
    even = diffuse - ring * (_HIDDEN + (1.0 - _HIDDEN) * sunlit)
    light = beam + even * sky + (1.0 - sky) * around
    return np.asarray(np.maximum(light, _LEAST), dtype=np.float32)


def block_means(fields: Floats, factor: int) -> Floats:
    """Means over ``factor`` x ``factor`` pixels of fields of shape (field, y, x)."""
    # One order of summation for blocks of any shape.
    total = np.zeros_like(fields[:, ::factor, ::factor])
    for i in range(factor):
        for j in range(factor):
            total += fields[:, i::factor, j::factor]
    return np.asarray(total / np.float32(factor * factor))

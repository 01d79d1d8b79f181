"""Slope, illumination, cast shadow and sky view of the ground from a terrain model.

Arrays are float32 of shape (y, x), row 0 in the north, square pixels; angles in degrees, azimuths
clockwise from north. Unknown elevations (NaN) neither hide anything nor tilt their neighbours.

Slope is local with a halo of one pixel, the sky view with one of ``reach_m``, the cast shadow with
one of the longest shadow: with that margin an array may be cut anywhere, to the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba as nb
import numpy as np

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    Angle = npt.NDArray[np.floating[Any]] | float
    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.int64]

__all__ = ["cast_shadow", "cos_incidence", "shadow_depth", "sky_view", "slope_aspect"]


class _Ray(NamedTuple):
    """Samples of the terrain along a direction, nearest first, by linear interpolation.

    A ray is sampled where it crosses the lines through the pixel centres, of rows and of columns:
    between two crossings the bilinear surface has no ridge, so none is overlooked. Every pixel has
    the same samples, which makes the work of a row one vector loop.

    Attributes
    ----------
    offset
        Rows and columns from the pixel to the two neighbours of each sample, shape (4, sample).
    weight
        Weight of the second neighbour, shape (sample,)
    distance
        [m], shape (sample,)
    """

    offset: Integers
    weight: Floats
    distance: Floats


def slope_aspect(elevation: Floats, pixel_size: float) -> tuple[Floats, Floats]:
    """Slope and aspect by Horn's (1981, doi:10.1109/PROC.1981.11918) weighted differences.

    Parameters
    ----------
    elevation
        [m], shape (y, x); beyond its rim the terrain is continued linearly.
    pixel_size
        [m]

    Returns
    -------
    slope, aspect
        Steepness, and the azimuth the slope faces (0 on the level). [degree], NaN where the
        elevation is.
    """
    east, north = _gradients(elevation, pixel_size)
    slope = np.degrees(np.arctan(np.hypot(east, north)))
    aspect = np.degrees(np.arctan2(-east, -north))
    aspect = np.where(aspect < 0, aspect + np.float32(360), aspect)
    return slope.astype(np.float32), np.where(slope == 0, np.float32(0), aspect)


def cos_incidence(slope: Floats, aspect: Floats, sza: Angle, saa: Angle) -> Floats:
    """Cosine of the angle between the sun and the normal of the ground.

    Parameters
    ----------
    slope, aspect
        From `slope_aspect`. [degree]
    sza, saa
        Zenith and azimuth of the sun. [degree], numbers or arrays of the same shape

    Returns
    -------
    ndarray
        ``cos(sza)`` on level ground, negative where the ground turns its back to the sun. [1]
    """
    tilt = np.radians(slope, dtype=np.float32)
    zenith = np.radians(sza, dtype=np.float32)
    turn = np.radians(np.subtract(saa, aspect, dtype=np.float32))
    level = np.cos(zenith) * np.cos(tilt)
    return np.asarray(level + np.sin(zenith) * np.sin(tilt) * np.cos(turn), dtype=np.float32)


def cast_shadow(
    elevation: Floats, pixel_size: float, sza: float, saa: float
) -> npt.NDArray[np.bool_]:
    """Ground that the sun does not reach because higher ground stands in its way.

    From each pixel a ray goes towards the sun until it is above everything still ahead.

    Parameters
    ----------
    elevation
        Terrain with a margin as long as a shadow towards the sun. [m], shape (y, x)
    pixel_size
        [m]
    sza, saa
        Zenith, below 90, and azimuth of the sun. [degree]

    Returns
    -------
    ndarray
        True in shadow, also on slopes that face away from the sun; shape (y, x), bool.

    Raises
    ------
    UsageError
        If the sun is not above the horizon.
    """
    return shadow_depth(elevation, pixel_size, sza, saa) > 0


def shadow_depth(elevation: Floats, pixel_size: float, sza: float, saa: float) -> Floats:
    """How far the ground lies below the rays that pass over the terrain between it and the sun.

    Between pixels this height is smooth, the shadow is not: its edge is where the depth is zero.

    Parameters
    ----------
    elevation, pixel_size, sza, saa
        As in `cast_shadow`.

    Returns
    -------
    ndarray
        [m], negative in the sun, minus infinity where nothing stands in the way, NaN where the
        elevation is; shape (y, x), float32.

    Raises
    ------
    UsageError
        If the sun is not above the horizon.
    """
    if not 0.0 <= sza < 90.0:
        raise UsageError(
            "no shadow can be cast by a sun that is not above the horizon",
            where="terrain.cast_shadow",
            expected="a sun zenith of 0 to 90 degrees",
            found=sza,
        )
    terrain = np.ascontiguousarray(elevation, dtype=np.float32)
    if np.isnan(terrain).all() or sza == 0.0:
        return np.where(np.isnan(terrain), terrain, np.float32(-np.inf))
    rise = 1.0 / np.tan(np.radians(sza))
    relief = float(np.nanmax(terrain) - np.nanmin(terrain))
    ray = _ray(saa, pixel_size, min(relief / rise, pixel_size * float(np.hypot(*terrain.shape))))
    highest = np.fmax.reduce(terrain, axis=1)
    north = np.cos(np.radians(saa)) > 0
    ahead = np.fmax.accumulate(highest if north else highest[::-1])
    drop = (ray.distance * rise).astype(np.float32)
    highest_ray = _highest(terrain, *ray[:2], drop, ahead if north else ahead[::-1])
    return np.asarray(highest_ray - terrain, dtype=np.float32)


def sky_view(
    elevation: Floats, pixel_size: float, *, directions: int = 16, reach_m: float = 3000.0
) -> Floats:
    """Share of the diffuse light of an even sky that reaches the ground.

    Parameters
    ----------
    elevation
        Terrain with a margin of `reach_m`; beyond its rim nothing hides the sky. [m], shape (y, x)
    pixel_size
        [m]
    directions
        Azimuths in which the horizon is searched, four at least.
    reach_m
        Distance to which it is searched. [m]

    Returns
    -------
    ndarray
        Sky-view factor of the inclined pixel, 1 on an open plain, ``(1 + cos(slope)) / 2`` on an
        open slope. [1], shape (y, x)

    Raises
    ------
    UsageError
        If there are fewer than four directions.

    Notes
    -----
    Equation 7b of Dozier & Frew (1990, doi:10.1109/36.58986), a sum over azimuths of the zenith
    angles of the horizon. The horizon is never below the pixel's own plane nor the horizontal.
    """
    if directions < 4:
        raise UsageError(
            "too few directions for a sky view",
            where="terrain.sky_view",
            expected="at least 4",
            found=directions,
        )
    terrain = np.ascontiguousarray(elevation, dtype=np.float32)
    azimuths = np.arange(directions) * (360.0 / directions)
    rays = [_ray(azimuth, pixel_size, reach_m) for azimuth in azimuths]
    ends = np.cumsum([ray.distance.size for ray in rays])
    towards = np.stack([np.sin(np.radians(azimuths)), np.cos(np.radians(azimuths))])
    return np.asarray(
        _sky(
            terrain,
            _gradients(terrain, pixel_size),
            np.concatenate([ray.offset for ray in rays], axis=1),
            np.concatenate([ray.weight for ray in rays]),
            (1.0 / np.concatenate([ray.distance for ray in rays])).astype(np.float32),
            ends,
            towards.astype(np.float32),
        )
    )


def _ray(azimuth: float, pixel_size: float, reach: float) -> _Ray:
    """Crossings of the grid lines within a distance. [degree], [m], [m]."""
    down, right = -np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))
    limit = reach / pixel_size + 1e-6
    crossings = [
        np.arange(1, np.floor(limit * abs(step)) + 1) / abs(step)
        for step in (down, right)
        if abs(step) > 1e-9
    ]
    # A ray along a diagonal crosses rows and columns at once.
    distance = np.unique(np.round(np.concatenate(crossings), 6))
    at = np.round(np.stack([distance * down, distance * right]), 5)
    first = np.floor(at).astype(np.int64)
    share = at - first
    second = first + (share > 0)
    offset = np.concatenate([first, second])
    weight = share.max(axis=0)  # one of the two lies on a line of the grid
    return _Ray(offset, weight.astype(np.float32), (distance * pixel_size).astype(np.float32))


def _gradients(elevation: Floats, pixel_size: float) -> Floats:
    """Rise to the east and to the north. [1], shape (2, y, x)."""
    # Odd reflection continues a slope beyond the rim.
    around = np.pad(elevation.astype(np.float32, copy=False), 1, "reflect", reflect_type="odd")
    return np.asarray(_weighted_differences(around, np.float32(1.0 / (8.0 * pixel_size))))


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _weighted_differences(padded: Floats, scale: float) -> Floats:
    rows, columns = padded.shape[0] - 2, padded.shape[1] - 2
    out = np.empty((2, rows, columns), np.float32)
    two = np.float32(2.0)
    near = np.empty((3, 3), np.float32)
    for i in range(rows):
        for j in range(columns):
            centre = padded[i + 1, j + 1]
            for k in range(3):
                for m in range(3):
                    value = padded[i + k, j + m]
                    near[k, m] = centre if np.isnan(value) else value
            right = near[0, 2] + two * near[1, 2] + near[2, 2]
            left = near[0, 0] + two * near[1, 0] + near[2, 0]
            above = near[0, 0] + two * near[0, 1] + near[0, 2]
            below = near[2, 0] + two * near[2, 1] + near[2, 2]
            out[0, i, j] = (right - left) * scale + (centre - centre)  # NaN stays NaN
            out[1, i, j] = (above - below) * scale + (centre - centre)
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _highest(
    elevation: Floats, offset: Integers, weight: Floats, drop: Floats, ahead: Floats
) -> Floats:
    """Highest terrain less `drop`, the rise of the ray, over the samples of each pixel.

    `ahead` is the highest elevation of a row and of all rows behind it, as seen by the ray.
    """
    rows, columns = elevation.shape
    out = np.full((rows, columns), np.float32(-np.inf))
    for i in range(rows):
        top = out[i]
        lowest = np.float32(np.inf)
        for j in range(columns):
            lowest = min(lowest, elevation[i, j])
        for s in range(weight.size):
            r1, r2 = i + offset[0, s], i + offset[2, s]
            if min(r1, r2) < 0 or max(r1, r2) >= rows:
                break
            nearest = r1 if abs(r1 - i) < abs(r2 - i) else r2
            if ahead[nearest] - drop[s] <= lowest:
                break
            left, right = offset[1, s], offset[3, s]
            start, stop = max(0, -left), min(columns, columns - right)
            near, far, fall = np.float32(1) - weight[s], weight[s], drop[s]
            # Slices, not sums in the index, let the compiler do eight pixels at once.
            one, two = elevation[r1, start + left :], elevation[r2, start + right :]
            part = top[start:]
            for j in range(stop - start):
                height = near * one[j] + far * two[j] - fall
                part[j] = height if height > part[j] else part[j]  # noqa: FURB136 -- as fast as it gets
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _sky(
    elevation: Floats,
    gradient: Floats,
    offset: Integers,
    weight: Floats,
    nearness: Floats,
    ends: Integers,
    towards: Floats,
) -> Floats:
    """Sky-view factor; the samples of all directions follow each other, up to `ends`."""
    rows, columns = elevation.shape
    out = np.zeros((rows, columns), np.float32)
    horizon = np.empty(columns, np.float32)
    one, right_angle = np.float32(1), np.float32(0.5 * np.pi)
    share = np.float32(1.0 / ends.size)
    for i in range(rows):
        first = 0
        for d in range(ends.size):
            for j in range(columns):
                own = gradient[0, i, j] * towards[0, d] + gradient[1, i, j] * towards[1, d]
                horizon[j] = max(own, np.float32(0))
            for s in range(first, ends[d]):
                r1, r2 = i + offset[0, s], i + offset[2, s]
                if min(r1, r2) < 0 or max(r1, r2) >= rows:
                    break
                left, right = offset[1, s], offset[3, s]
                start, stop = max(0, -left), min(columns, columns - right)
                near, far, scale = one - weight[s], weight[s], nearness[s]
                a, b = elevation[r1, start + left :], elevation[r2, start + right :]
                own_height, part = elevation[i, start:], horizon[start:]
                for j in range(stop - start):
                    tangent = (near * a[j] + far * b[j] - own_height[j]) * scale
                    part[j] = tangent if tangent > part[j] else part[j]  # noqa: FURB136
            first = ends[d]
            for j in range(columns):
                east, north = gradient[0, i, j], gradient[1, i, j]
                cos_slope = one / np.sqrt(one + east * east + north * north)
                facing = -(east * towards[0, d] + north * towards[1, d]) * cos_slope
                tangent = horizon[j]
                sin2 = one / (one + tangent * tangent)
                angle = right_angle - np.arctan(tangent)
                out[i, j] += share * (cos_slope * sin2 + facing * (angle - tangent * sin2))
        for j in range(columns):
            out[i, j] = min(max(out[i, j], np.float32(0)), one)
    return out

"""Height of clouds from the parallax between two bands (local stage).

B08 and B8A see nearly the same light 1.8 seconds apart along the track. The product is rectified
to the ground, so what stands above it is displaced from one band to the other, by some 15 m per
kilometre of height. The displacement is found for every pixel by matching the surroundings: a
search along the one direction it can have, then least squares (Lucas & Kanade 1981) in this and
the perpendicular direction, which height cannot explain and which therefore tells bad matches.

A wind of 10 m/s along the track moves a cloud by as much as 1.1 km of height would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from s2cloud.algorithms.classification.rules import compiled, inlined, single
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]
    Angle = npt.NDArray[np.floating[Any]] | float
    Vector = tuple[Floats | float, Floats | float]

__all__ = ["HALO", "cloud_height", "parallax_vector"]

#: Pixels around a block at 20 m that `cloud_height` needs; whole 60 m pixels.
HALO: Final = 102

#: Pixel size below which the search is done on pixels three times as large. [m]
_FINE: Final = 30.0
_FACTOR: Final = 3
#: Half widths of the windows of the local mean and of the matching. [pixel]
_MEAN_RADIUS: Final = 6
_MATCH_RADIUS: Final = 5
_FINE_MEAN_RADIUS: Final = 12
_FINE_MATCH_RADIUS: Final = 10
#: Reflectance of the noise. [1]
_NOISE: Final = 0.001
#: Keeps quotients finite where there is no texture at all. [1]
_TINY: Final = single(1e-6)
#: Limits of a reliable match: correlation; displacement across the direction, disagreement of
#: forward and backward, and standard error of the displacement. [1], [pixel]
_CORRELATION: Final = 0.75
_ACROSS: Final = 0.4
_DISAGREEMENT: Final = 1.0
_ERROR: Final = 0.15


def parallax_vector(
    vza_b08: Angle,
    vaa_b08: Angle,
    vza_b8a: Angle,
    vaa_b8a: Angle,
) -> tuple[Floats, Floats]:
    """Displacement of B8A against B08 per metre of height above the ground.

    Parameters
    ----------
    vza_b08, vaa_b08, vza_b8a, vaa_b8a
        Zenith and azimuth towards the sensor of both bands. [degree], numbers or arrays; detectors
        of odd and even number see opposite displacements.

    Returns
    -------
    dy, dx
        To the south (down the rows) and to the east. [m/m]
    """

    def seen(zenith: Angle, azimuth: Angle) -> tuple[Any, Any]:
        # What stands high is seen away from the sensor.
        tangent, angle = np.tan(np.radians(zenith)), np.radians(azimuth)
        return tangent * np.cos(angle), -tangent * np.sin(angle)

    first, second = seen(vza_b08, vaa_b08), seen(vza_b8a, vaa_b8a)
    dy, dx = (np.asarray(b - a, dtype=np.float32) for a, b in zip(first, second, strict=True))
    return dy, dx


def cloud_height(
    b08: Floats,
    b8a: Floats,
    pixel_size: float,
    shift_per_height: Vector,
    *,
    max_height: float = 13_000.0,
) -> tuple[Floats, Mask]:
    """Height above the ground of what is seen in each pixel.

    Parameters
    ----------
    b08, b8a
        TOA reflectance on one grid of 20 or 60 m, NaN for no-data. [1], shape (y, x)
    pixel_size
        [m]. Below 30 m the sides must be whole multiples of three pixels.
    shift_per_height
        From `parallax_vector`; numbers, or arrays that broadcast to (y, x). [m/m]
    max_height
        Heights to search. [m]

    Returns
    -------
    height
        [m], NaN where nothing was found. Shape (y, x)
    reliable
        Where the match is good. Shape (y, x)
    """
    along = np.asarray(np.hypot(*shift_per_height) / pixel_size, dtype=np.float32)
    if pixel_size < _FINE and (b08.shape[0] % _FACTOR or b08.shape[1] % _FACTOR):
        raise UsageError(
            "the search for cloud heights needs whole 60 m pixels",
            where="cloud_height",
            expected=f"sides that are multiples of {_FACTOR} pixels",
            found=b08.shape,
            fix="choose a block and halo of whole 60 m pixels",
        )
    if not along.all():
        raise UsageError(
            "the two bands look in the same direction and show no parallax",
            where="cloud_height",
            expected="view angles of B08 and of B8A that differ",
            found="a displacement of zero",
        )
    direction = _Direction(
        *(np.atleast_2d(np.asarray(v / pixel_size / along, np.float32)) for v in shift_per_height)
    )
    length = np.atleast_2d(along)
    farthest = float(length.max()) * max_height
    if pixel_size >= _FINE:
        shift, reliable = _searched(b08, b8a, direction, farthest)
    else:
        start, good = _searched(
            _block_mean(b08), _block_mean(b8a), direction.coarse(), farthest / _FACTOR
        )
        first, second = _equalised(b08, b8a, _FINE_MEAN_RADIUS, _FINE_MATCH_RADIUS)
        shift = _repeated(start * _FACTOR)
        shift, reliable = _refined(first, second, direction, shift, _FINE_MATCH_RADIUS, 1)
        reliable &= _repeated(good)
    height = np.asarray(shift / length)
    height[~(np.isfinite(b08) & np.isfinite(b8a))] = np.nan
    return height, reliable & np.isfinite(height)


class _Direction(NamedTuple):
    """Unit vector of the displacement, down the rows and to the right, shapes (y, x) or (1, 1)."""

    down: Floats
    right: Floats

    def coarse(self) -> _Direction:
        down, right = (v[::_FACTOR, ::_FACTOR] if v.size > 1 else v for v in self)
        return _Direction(down, right)


def _noise_in(radius: int) -> float:
    """Sum of the squares of the noise over a window."""
    return _NOISE**2 * (2 * radius + 1) ** 2


def _block_mean(image: Floats) -> Floats:
    rows, columns = (size // _FACTOR for size in image.shape)
    total = np.zeros((rows, columns), np.float32)
    for i in range(_FACTOR):
        for j in range(_FACTOR):
            total += image[i::_FACTOR, j::_FACTOR]
    return np.asarray(total / np.float32(_FACTOR**2), dtype=np.float32)


def _repeated(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.repeat(np.repeat(image, _FACTOR, 0), _FACTOR, 1)


def _equalised(first: Floats, second: Floats, wide: int, near: int) -> tuple[Floats, Floats]:
    """Both images without their local means; the second brought to the contrast of the first."""
    planes = _filled(first, second)
    squares = _centred(planes, _box_sums(planes, wide))
    floor = np.float32(_noise_in(near))
    one, two = _box_sums(squares, near)
    planes[1] *= np.sqrt((one + floor) / (two + floor))
    return planes[0], planes[1]


def _searched(
    b08: Floats, b8a: Floats, direction: _Direction, farthest: float
) -> tuple[Floats, Mask]:
    """Displacement along a direction found from nothing, and whether it is reliable. [pixel]."""
    first, second = _equalised(b08, b8a, _MEAN_RADIUS, _MATCH_RADIUS)
    energy = _box_sums(np.stack([first * first, second * second]), _MATCH_RADIUS)
    energy += np.float32(_noise_in(_MATCH_RADIUS))
    best = np.full((5, *first.shape), -1.0, np.float32)
    back = np.full((2, *first.shape), -1.0, np.float32)
    for step in range(-1, int(np.ceil(farthest)) + 1):
        product = _product(first, second, *direction, single(step))
        (total,) = _box_sums(product[np.newaxis], _MATCH_RADIUS)
        _keep_best(total, energy, *direction, single(step), best, back)
    start, good = _peak(best, back, *direction)
    shift, exact = _refined(first, second, direction, start, _MATCH_RADIUS, 2)
    return shift, good & exact


def _refined(
    first: Floats, second: Floats, direction: _Direction, start: Floats, radius: int, steps: int
) -> tuple[Floats, Mask]:
    """Least squares along the direction, with checks across it and of the standard error."""
    number, noise = single((2 * radius + 1) ** 2), single(_noise_in(radius))
    shift = start
    for step in range(steps):
        planes = _normal_planes(first, second, shift, *direction)
        sums = _box_sums(planes if step == steps - 1 else planes[:2], radius)
        shift = _solved(sums, start)
    return shift, _exact(sums, start, shift, noise, number)


@compiled
def _filled(first: Floats, second: Floats) -> Floats:
    """Both images, 0 where either is unknown, and where both are known; shape (3, y, x)."""
    rows, columns = first.shape
    out = np.zeros((3, rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            if np.isfinite(first[i, j] + second[i, j]):
                out[0, i, j], out[1, i, j] = first[i, j], second[i, j]
                out[2, i, j] = np.float32(1)
    return out


@compiled
def _centred(planes: Floats, sums: Floats) -> Floats:
    """Take the local means off, in place; the squares of what is left, shape (2, y, x)."""
    _, rows, columns = planes.shape
    squares = np.empty((2, rows, columns), np.float32)
    for n in range(2):
        for i in range(rows):
            for j in range(columns):
                mean = sums[n, i, j] / max(sums[2, i, j], np.float32(1))
                value = (planes[n, i, j] - mean) * planes[2, i, j]
                planes[n, i, j] = value
                squares[n, i, j] = value * value
    return squares


@compiled
def _box_sums(planes: Floats, radius: int) -> Floats:
    """Sums over squares, zero outside; taps in one order, for the same bits in every window."""
    count, rows, columns = planes.shape
    out = np.empty((count, rows, columns), np.float32)
    line = np.zeros(columns + 2 * radius, np.float32)
    middle = line[radius : radius + columns]
    for n in range(count):
        for i in range(rows):
            middle[:] = np.float32(0)
            for k in range(max(i - radius, 0), min(i + radius + 1, rows)):
                row = planes[n, k]
                for j in range(columns):
                    middle[j] += row[j]
            total = out[n, i]
            total[:] = np.float32(0)
            for m in range(2 * radius + 1):
                part = line[m : m + columns]
                for j in range(columns):
                    total[j] += part[j]
    return out


@inlined
def _at(field: Floats, i: int, j: int) -> float:
    """Value of an array whose axes may be one."""
    row = field[i if field.shape[0] > 1 else 0]
    value: float = row[j if field.shape[1] > 1 else 0]
    return value


@inlined
def _place(origin: int, offset: float, size: int) -> int:
    """Nearest pixel of a displaced place, the outermost one beyond the rim."""
    return min(max(origin + int(np.floor(offset + np.float32(0.5))), 0), size - 1)


@compiled
def _product(first: Floats, second: Floats, down: Floats, right: Floats, step: float) -> Floats:
    """Product of each pixel and the one it would go to."""
    rows, columns = first.shape
    out = np.empty((rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            y = _place(i, step * _at(down, i, j), rows)
            x = _place(j, step * _at(right, i, j), columns)
            out[i, j] = first[i, j] * second[y, x]
    return out


@compiled
def _keep_best(
    product: Floats,
    energy: Floats,
    down: Floats,
    right: Floats,
    step: float,
    best: Floats,
    back: Floats,
) -> None:
    """Take a step of the search into account, in place.

    `best` holds the highest correlation, those one step before and after it, its step, and the
    correlation of the step before this one; `back` the highest and its step as seen from where
    the pixels went.
    """
    rows, columns = product.shape
    for i in range(rows):
        for j in range(columns):
            y = _place(i, step * _at(down, i, j), rows)
            x = _place(j, step * _at(right, i, j), columns)
            value = product[i, j] / np.sqrt(energy[0, i, j] * energy[1, y, x])
            if best[3, i, j] == step - np.float32(1):
                best[2, i, j] = value
            if value > best[0, i, j]:
                best[0, i, j], best[1, i, j] = value, best[4, i, j]
                best[2, i, j], best[3, i, j] = np.float32(-1), step
            best[4, i, j] = value
            if value > back[0, y, x]:
                back[0, y, x], back[1, y, x] = value, step


@compiled
def _peak(best: Floats, back: Floats, down: Floats, right: Floats) -> tuple[Floats, Mask]:
    """Top of the parabola through the best three steps, and whether to trust it."""
    _, rows, columns = best.shape
    shift = np.empty((rows, columns), np.float32)
    good = np.empty((rows, columns), np.bool_)
    half = np.float32(0.5)
    for i in range(rows):
        for j in range(columns):
            top, before, after, step = best[0, i, j], best[1, i, j], best[2, i, j], best[3, i, j]
            bend = max(top - half * (before + after), np.float32(1e-6))
            offset = np.float32(0.25) * (after - before) / bend
            shift[i, j] = step + min(max(offset, -half), half)
            y = _place(i, step * _at(down, i, j), rows)
            x = _place(j, step * _at(right, i, j), columns)
            good[i, j] = top > _CORRELATION and abs(back[1, y, x] - step) <= _DISAGREEMENT
    return shift, good


@compiled
def _solved(sums: Floats, start: Floats) -> Floats:
    """Displacement from the sums of `_normal_planes`, at most a pixel from where it started."""
    _, rows, columns = sums.shape
    out = np.empty((rows, columns), np.float32)
    one = np.float32(1)
    for i in range(rows):
        for j in range(columns):
            value = sums[1, i, j] / (sums[0, i, j] + _TINY)
            out[i, j] = min(max(value, start[i, j] - one), start[i, j] + one)
    return out


@compiled
def _exact(sums: Floats, start: Floats, shift: Floats, noise: float, number: float) -> Mask:
    """Whether the standard error is small, and the match no better to the side."""
    _, rows, columns = sums.shape
    out = np.empty((rows, columns), np.bool_)
    for i in range(rows):
        for j in range(columns):
            rest = sums[4, i, j] + noise
            sure = rest < np.float32(_ERROR * _ERROR) * number * sums[0, i, j]
            straight = abs(sums[3, i, j]) < np.float32(_ACROSS) * (sums[2, i, j] + _TINY)
            out[i, j] = sure and straight and abs(shift[i, j] - start[i, j]) < np.float32(1)
    return out


@compiled
def _normal_planes(
    first: Floats, second: Floats, shift: Floats, down: Floats, right: Floats
) -> Floats:
    """Terms of the least squares of each pixel for a given displacement of the second image.

    With slopes ``a`` along and ``c`` across the direction and the rest ``r``: ``a a``,
    ``a (r + a shift)``, ``c c``, ``c r``, ``r r``; shape (5, y, x). The second term asks for the
    displacement, not for its change, so that neighbours may start differently. Interpolation by
    cubic convolution (Keys 1981, doi:10.1109/TASSP.1981.1163711).
    """
    rows, columns = first.shape
    out = np.empty((5, rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            uy, ux, s = _at(down, i, j), _at(right, i, j), shift[i, j]
            y, x = np.floor(s * uy), np.floor(s * ux)
            wy, gy = _cubic(s * uy - y)
            wx, gx = _cubic(s * ux - x)
            top, left = i + int(y) - 1, j + int(x) - 1
            inside = 0 <= left < columns - 3
            value, slope_y, slope_x = np.float32(0), np.float32(0), np.float32(0)
            for k in range(4):
                line = second[min(max(top + k, 0), rows - 1)]
                if inside:
                    four = line[left : left + 4]
                    a, b, c, d = four[0], four[1], four[2], four[3]
                else:
                    a = line[min(max(left, 0), columns - 1)]
                    b = line[min(max(left + 1, 0), columns - 1)]
                    c = line[min(max(left + 2, 0), columns - 1)]
                    d = line[min(max(left + 3, 0), columns - 1)]
                part = wx[0] * a + wx[1] * b + wx[2] * c + wx[3] * d
                value += wy[k] * part
                slope_y += gy[k] * part
                slope_x += wy[k] * (gx[0] * a + gx[1] * b + gx[2] * c + gx[3] * d)
            along, across = slope_y * uy + slope_x * ux, slope_x * uy - slope_y * ux
            rest = first[i, j] - value
            out[0, i, j] = along * along
            out[1, i, j] = along * (rest + along * s)
            out[2, i, j] = across * across
            out[3, i, j] = across * rest
            out[4, i, j] = rest * rest
    return out


@inlined
def _cubic(t: float) -> tuple[Any, Any]:
    """Weights of the four neighbours, and the derivatives of the weights."""
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)
    three, four, five = np.float32(3), np.float32(4), np.float32(5)
    eight, nine, ten = np.float32(8), np.float32(9), np.float32(10)
    weights = (
        half * t * (t * (two - t) - one),
        half * (t * t * (three * t - five) + two),
        half * t * (t * (four - three * t) + one),
        half * t * t * (t - one),
    )
    slopes = (
        half * (t * (four - three * t) - one),
        half * t * (nine * t - ten),
        half * (t * (eight - nine * t) + one),
        half * t * (three * t - two),
    )
    return weights, slopes

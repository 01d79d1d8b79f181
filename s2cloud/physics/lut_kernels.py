"""Compiled kernels of the table interpolation. Angles in degrees, tables in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Float32s = NDArray[np.float32]
    Axes = tuple[NDArray[np.float64], ...]
    Four = tuple[np.float32, np.float32, np.float32, np.float32]

__all__ = ["contract", "denominators", "interpolate", "interpolate_contracted"]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _clamp(x: float, nodes: Floats) -> float:
    result: float = min(max(x, nodes[0]), nodes[-1])
    return result


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fold(raa: float) -> float:
    """Azimuth to 0 - 180 degrees."""
    return abs((raa + 180.0) % 360.0 - 180.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _first(nodes: Floats, x: float) -> int:
    """Index of the first of the four nodes around `x`."""
    i = 0
    last = nodes.size - 4
    while i < last and x >= nodes[i + 2]:
        i += 1
    return i


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _cubic(nodes: Floats, inverse: Floats, i: int, x: float) -> Four:
    """Lagrange weights of the four nodes from `i` on; `inverse` from `denominators`."""
    a, b, c, d = x - nodes[i], x - nodes[i + 1], x - nodes[i + 2], x - nodes[i + 3]
    low, high = a * b, c * d
    return (
        np.float32(b * high * inverse[i, 0]),
        np.float32(a * high * inverse[i, 1]),
        np.float32(low * d * inverse[i, 2]),
        np.float32(low * c * inverse[i, 3]),
    )


def denominators(nodes: Floats) -> Floats:
    """One over the denominators of the Lagrange weights.

    Parameters
    ----------
    nodes
        Ascending.

    Returns
    -------
    ndarray
        Shape (nodes - 3, 4)
    """
    if nodes.size < 4:  # an axis that is interpolated linearly
        return np.empty((0, 4))
    windows = np.lib.stride_tricks.sliding_window_view(nodes, 4)
    gaps = windows[:, :, np.newaxis] - windows[:, np.newaxis, :]
    return np.asarray(1.0 / np.where(gaps == 0.0, 1.0, gaps).prod(axis=2))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _linear(nodes: Floats, x: float) -> tuple[int, float]:
    """Index of the node below `x` and the fraction of the way to the next."""
    n = nodes.size
    i = 0
    while i < n - 2 and x >= nodes[i + 1]:
        i += 1
    return i, (x - nodes[i]) / (nodes[i + 1] - nodes[i])


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def interpolate(
    nodes: Axes, inverses: Axes,
    path: Float32s, total: Float32s, direct: Float32s, albedo: Float32s,
    points: Axes, out: Float32s,
) -> None:  # fmt: skip
    """All six terms at every point.

    Parameters
    ----------
    nodes, inverses
        Nodes of sza, vza, raa, aot550, pressure, and their `denominators`.
    path
        Path reflectance, shape (aot, pressure, sza, raa, vza) with four vza.
    total, direct, albedo
        Shapes (aot, pressure, sza), the same, (aot, pressure).
    points
        Contiguous sza, vza, raa, aot550, pressure; arrays of one element are repeated.
    out
        Result, shape (6, point), in the order of `s2cloud.physics.lut.Optics`.
    """
    sza_nodes, vza_nodes, raa_nodes, aot_nodes, p_nodes = nodes
    sza_inverse, vza_inverse, raa_inverse, aot_inverse, _ = inverses
    sza, vza, raa, aot, pressure = points
    step_s, step_v, step_r = int(sza.size > 1), int(vza.size > 1), int(raa.size > 1)
    step_a, step_p = int(aot.size > 1), int(pressure.size > 1)
    flat = path.reshape(-1)
    row = 4 * raa_nodes.size
    layer = row * sza_nodes.size
    slab = layer * p_nodes.size
    wd = np.empty(16, np.float32)
    wp = np.empty(8, np.float32)
    for k in range(out.shape[1]):
        s, v, r = sza[k * step_s], vza[k * step_v], raa[k * step_r]
        a, p = aot[k * step_a], pressure[k * step_p]
        if np.isnan(s + v + r + a + p):
            for j in range(6):
                out[j, k] = np.nan
            continue
        s, t, r = _clamp(s, sza_nodes), _clamp(v, sza_nodes), _clamp(_fold(r), raa_nodes)
        v, a, p = _clamp(v, vza_nodes), _clamp(a, aot_nodes), _clamp(p, p_nodes)
        i_s, i_t = _first(sza_nodes, s), _first(sza_nodes, t)
        i_r, i_a = _first(raa_nodes, r), _first(aot_nodes, a)
        ws = _cubic(sza_nodes, sza_inverse, i_s, s)
        wt = _cubic(sza_nodes, sza_inverse, i_t, t)
        wr = _cubic(raa_nodes, raa_inverse, i_r, r)
        wv = _cubic(vza_nodes, vza_inverse, 0, v)
        wa = _cubic(aot_nodes, aot_inverse, i_a, a)
        i_p, f = _linear(p_nodes, p)
        high = np.float32(f)
        low = np.float32(1.0) - high
        for j in range(4):
            for m in range(4):
                wd[4 * j + m] = wr[j] * wv[m]
            wp[2 * j], wp[2 * j + 1] = wa[j] * low, wa[j] * high
        start = i_p * layer + i_s * row + 4 * i_r
        rayleigh = _block(flat, start, layer, row, low, high, ws, wd)
        path_sum, down, up = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        up_direct, sphere = np.float32(0.0), np.float32(0.0)
        start += i_a * slab
        for j in range(4):
            path_sum += wa[j] * _block(flat, start + j * slab, layer, row, low, high, ws, wd)
        for j in range(8):
            ia, ip, w = i_a + j // 2, i_p + j % 2, wp[j]
            sphere += w * albedo[ia, ip]
            line = total[ia, ip]
            down += w * _dot(line[i_s : i_s + 4], ws)
            up += w * _dot(line[i_t : i_t + 4], wt)
            up_direct += w * _dot(direct[ia, ip, i_t : i_t + 4], wt)
        # Rounding of the weights must not separate what is equal by definition.
        out[0, k] = rayleigh if a == 0.0 else path_sum
        out[1, k] = rayleigh
        out[2, k] = down
        out[3, k] = up
        out[4, k] = up_direct
        out[5, k] = sphere


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _dot(line: Float32s, w: Four) -> np.float32:
    result: np.float32 = w[0] * line[0] + w[1] * line[1] + w[2] * line[2] + w[3] * line[3]
    return result


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _block(
    flat: Float32s, start: int, layer: int, row: int,
    low: np.float32, high: np.float32, ws: Four, wd: Float32s,
) -> np.float32:  # fmt: skip
    """Path reflectance of one aerosol node: over pressure, sun and direction.

    Slices of constant length are what lets the compiler use vector registers: 2.5 times as fast
    as indices.
    """
    p0 = flat[start : start + 16]
    p1 = flat[start + row : start + row + 16]
    p2 = flat[start + 2 * row : start + 2 * row + 16]
    p3 = flat[start + 3 * row : start + 3 * row + 16]
    start += layer
    q0 = flat[start : start + 16]
    q1 = flat[start + row : start + row + 16]
    q2 = flat[start + 2 * row : start + 2 * row + 16]
    q3 = flat[start + 3 * row : start + 3 * row + 16]
    result = np.float32(0.0)
    for m in range(16):
        below = ws[0] * p0[m] + ws[1] * p1[m] + ws[2] * p2[m] + ws[3] * p3[m]
        above = ws[0] * q0[m] + ws[1] * q1[m] + ws[2] * q2[m] + ws[3] * q3[m]
        result += wd[m] * (low * below + high * above)
    return result


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def contract(
    nodes: Axes, inverses: Axes,
    path: Float32s, total: Float32s, direct: Float32s,
    sza: float, vza: float, raa: float,
) -> Floats:  # fmt: skip
    """Tables of one direction: path, down, up, direct up; shape (4, aot, pressure)."""
    sza_nodes, vza_nodes, raa_nodes, _, _ = nodes
    sza_inverse, vza_inverse, raa_inverse, _, _ = inverses
    out = np.full((4, path.shape[0], path.shape[1]), np.nan)
    if np.isnan(sza + vza + raa):
        return out
    s, t, r = _clamp(sza, sza_nodes), _clamp(vza, sza_nodes), _clamp(_fold(raa), raa_nodes)
    i_s, i_t, i_r = _first(sza_nodes, s), _first(sza_nodes, t), _first(raa_nodes, r)
    ws = _cubic(sza_nodes, sza_inverse, i_s, s)
    wt = _cubic(sza_nodes, sza_inverse, i_t, t)
    wr = _cubic(raa_nodes, raa_inverse, i_r, r)
    wv = _cubic(vza_nodes, vza_inverse, 0, _clamp(vza, vza_nodes))
    for ia in range(path.shape[0]):
        for ip in range(path.shape[1]):
            total_sum = 0.0
            for j in range(4):
                for m in range(4):
                    row = path[ia, ip, i_s + j, i_r + m]
                    total_sum += ws[j] * wr[m] * _dot(row, wv)
            out[0, ia, ip] = total_sum
            out[1, ia, ip] = _dot(total[ia, ip, i_s : i_s + 4], ws)
            out[2, ia, ip] = _dot(total[ia, ip, i_t : i_t + 4], wt)
            out[3, ia, ip] = _dot(direct[ia, ip, i_t : i_t + 4], wt)
    return out


@njit(cache=True, nogil=True, fastmath={"contract"})  # type: ignore[untyped-decorator]
def interpolate_contracted(
    nodes: Axes, inverses: Axes, tables: Floats, albedo: Float32s, points: Axes, out: Float32s
) -> None:
    """All six terms at every point for the one direction given to `contract`."""
    _, _, _, aot_nodes, p_nodes = nodes
    _, _, _, aot_inverse, _ = inverses
    _, _, _, aot, pressure = points
    step_a, step_p = int(aot.size > 1), int(pressure.size > 1)
    path, down, up, direct = tables[0], tables[1], tables[2], tables[3]
    for k in range(out.shape[1]):
        a, p = aot[k * step_a], pressure[k * step_p]
        if np.isnan(a + p + path[0, 0]):
            for j in range(6):
                out[j, k] = np.nan
            continue
        a = _clamp(a, aot_nodes)
        i_a = _first(aot_nodes, a)
        wa = _cubic(aot_nodes, aot_inverse, i_a, a)
        i_p, f = _linear(p_nodes, _clamp(p, p_nodes))
        g = 1.0 - f
        rayleigh = g * path[0, i_p] + f * path[0, i_p + 1]
        s0, s2, s3, s4, s5 = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(4):
            low, high, ia = wa[j] * g, wa[j] * f, i_a + j
            s0 += low * path[ia, i_p] + high * path[ia, i_p + 1]
            s2 += low * down[ia, i_p] + high * down[ia, i_p + 1]
            s3 += low * up[ia, i_p] + high * up[ia, i_p + 1]
            s4 += low * direct[ia, i_p] + high * direct[ia, i_p + 1]
            s5 += low * albedo[ia, i_p] + high * albedo[ia, i_p + 1]
        out[0, k] = rayleigh if a == 0.0 else s0
        out[1, k] = rayleigh
        out[2, k], out[3, k], out[4, k], out[5, k] = s2, s3, s4, s5

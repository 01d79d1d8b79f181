"""Compiled kernel of the table interpolation. Angles in degrees, tables in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from s2cloud.physics.lut_lattice import LANES, cell, clamp, cubic, first, fold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from s2cloud.physics.lut_lattice import Axes, Floats, Integers

    Float32s = NDArray[np.float32]

__all__ = ["interpolate"]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def interpolate(  # noqa: PLR0913, PLR0915, PLR0917 - one pass over the points
    lattices: Floats, nodes: Axes, inverse: Float32s, origin: Integers, corners: Integers,
    path: Float32s, total: Float32s, direct: Float32s, albedo: Float32s,
    points: Axes, out: Float32s,
) -> None:  # fmt: skip
    """All six terms at every point.

    Parameters
    ----------
    lattices
        From `lattice`.
    nodes, inverse
        Nodes of sza, vza, raa, aot550, pressure, and the `denominators` of aot550.
    origin, corners
        From `mark` for these points, or for more.
    path
        From `path_on_corners`.
    total, direct
        From `on_lattice` over sza.
    albedo
        Shape (windows, 8).
    points
        Contiguous sza, vza, raa, aot550, pressure; arrays of one element are repeated.
    out
        Result, shape (6, point), in the order of `s2cloud.physics.lut.Optics`.

    Notes
    -----
    Rows of eight are what keeps the inner loop in vector registers, and unsigned indices what
    spares it the test for negative ones: a third of the time of plain indices.
    """
    sza, vza, raa, aot, pressure = points
    step_s, step_v, step_r = int(sza.size > 1), int(vza.size > 1), int(raa.size > 1)
    step_a, step_p = int(aot.size > 1), int(pressure.size > 1)
    aot_nodes, p_nodes = nodes[3], nodes[4]
    starts = aot_nodes.size - 3
    windows = starts * (p_nodes.size - 1)
    axis_s, axis_v, axis_r = lattices[0], lattices[1], lattices[2]
    stride_v = corners.shape[2]
    stride_s = stride_v * corners.shape[1]
    # Numbers of windows, not of corners, to multiply once.
    number = corners.reshape(-1) * windows
    w8 = np.empty(LANES, np.float32)
    one = np.float32(1.0)
    for k in range(out.shape[1]):
        s, v, r = sza[k * step_s], vza[k * step_v], raa[k * step_r]
        a, p = aot[k * step_a], pressure[k * step_p]
        if np.isnan(s + v + r + a + p):
            for j in range(6):
                out[j, k] = np.nan
            continue
        i_s, fs = cell(s, axis_s)
        i_v, fv = cell(v, axis_v)
        i_r, fr = cell(fold(r), axis_r)
        i_t, ft = cell(v, axis_s)  # upward transmittance lies on the wide axis of the sun
        a = clamp(a, aot_nodes[0], aot_nodes[-1])
        p = clamp(p, p_nodes[0], p_nodes[-1])
        i_a = first(aot_nodes, a)
        wa = cubic(aot_nodes, inverse, i_a, a)
        i_p = 0
        while i_p < p_nodes.size - 2 and p >= p_nodes[i_p + 1]:
            i_p += 1
        high = np.float32((p - p_nodes[i_p]) / (p_nodes[i_p + 1] - p_nodes[i_p]))
        low = one - high
        for j in range(4):
            w8[j], w8[4 + j] = wa[j] * low, wa[j] * high
        gs, gv, gr, gt = one - fs, one - fv, one - fr, one - ft
        g00, g01, g10, g11 = gs * gv, gs * fv, fs * gv, fs * fv
        c0, c1, c2, c3 = g00 * gr, g00 * fr, g01 * gr, g01 * fr
        c4, c5, c6, c7 = g10 * gr, g10 * fr, g11 * gr, g11 * fr
        c = (i_s - origin[0]) * stride_s + (i_v - origin[1]) * stride_v + i_r - origin[2]
        base = i_p * starts
        n0, n1 = number[c] + base, number[c + 1] + base
        n2, n3 = number[c + stride_v] + base, number[c + stride_v + 1] + base
        c += stride_s
        n4, n5 = number[c] + base, number[c + 1] + base
        n6, n7 = number[c + stride_v] + base, number[c + stride_v + 1] + base
        # No aerosol: the first of the four of the first window.
        x0, x1 = path[np.uint64(n0)], path[np.uint64(n1)]
        x2, x3 = path[np.uint64(n2)], path[np.uint64(n3)]
        x4, x5 = path[np.uint64(n4)], path[np.uint64(n5)]
        x6, x7 = path[np.uint64(n6)], path[np.uint64(n7)]
        rayleigh = low * (
            c0 * x0[0] + c1 * x1[0] + c2 * x2[0] + c3 * x3[0]
            + c4 * x4[0] + c5 * x5[0] + c6 * x6[0] + c7 * x7[0]
        ) + high * (
            c0 * x0[4] + c1 * x1[4] + c2 * x2[4] + c3 * x3[4]
            + c4 * x4[4] + c5 * x5[4] + c6 * x6[4] + c7 * x7[4]
        )  # fmt: skip
        x0, x1 = path[np.uint64(n0 + i_a)], path[np.uint64(n1 + i_a)]
        x2, x3 = path[np.uint64(n2 + i_a)], path[np.uint64(n3 + i_a)]
        x4, x5 = path[np.uint64(n4 + i_a)], path[np.uint64(n5 + i_a)]
        x6, x7 = path[np.uint64(n6 + i_a)], path[np.uint64(n7 + i_a)]
        base += i_a
        sun, view = i_s * windows + base, i_t * windows + base
        d0, d1 = total[np.uint64(sun)], total[np.uint64(sun + windows)]
        u0, u1 = total[np.uint64(view)], total[np.uint64(view + windows)]
        e0, e1 = direct[np.uint64(view)], direct[np.uint64(view + windows)]
        sphere = albedo[np.uint64(base)]
        o0, o2, o3 = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        o4, o5 = np.float32(0.0), np.float32(0.0)
        for j in range(8):
            w = w8[j]
            o0 += w * (
                c0 * x0[j] + c1 * x1[j] + c2 * x2[j] + c3 * x3[j]
                + c4 * x4[j] + c5 * x5[j] + c6 * x6[j] + c7 * x7[j]
            )  # fmt: skip
            o2 += w * (gs * d0[j] + fs * d1[j])
            o3 += w * (gt * u0[j] + ft * u1[j])
            o4 += w * (gt * e0[j] + ft * e1[j])
            o5 += w * sphere[j]
        # Rounding of the weights must not separate what is equal by definition.
        out[0, k] = rayleigh if a == 0.0 else o0
        out[1, k] = rayleigh
        out[2, k], out[3, k], out[4, k], out[5, k] = o2, o3, o4, o5

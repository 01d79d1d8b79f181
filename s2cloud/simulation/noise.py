"""Reproducible randomness: fractal fields, and numbers that depend on a place only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32s = npt.NDArray[np.float32]

__all__ = ["fractal", "hashed", "tiled"]


def fractal(
    size: int, beta: float, rng: np.random.Generator, longest: float | None = None
) -> Float32s:
    """Noise with a power spectrum of 1/f**(2 beta).

    Parameters
    ----------
    size
        Number of rows and columns.
    beta
        Exponent of the amplitude; larger is smoother.
    rng
        Source of randomness.
    longest
        Wavelength beyond which the spectrum is flat; None for the size of the field. [cell]

    Returns
    -------
    ndarray
        Zero mean and unit standard deviation, periodic, shape (size, size).
    """
    spectrum = fft.rfft2(rng.standard_normal((size, size), dtype=np.float32), overwrite_x=True)
    fy = np.fft.fftfreq(size).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(size).astype(np.float32)[None, :]
    square = fy * fy + fx * fx
    if longest is not None:
        square += np.float32(longest**-2)
    square[0, 0] = 1.0
    spectrum *= square ** np.float32(-beta / 2)
    spectrum[0, 0] = 0.0
    out = fft.irfft2(spectrum, s=(size, size), overwrite_x=True)
    out /= out.std()
    return np.ascontiguousarray(out, dtype=np.float32)


def hashed(a: npt.NDArray[Any], b: npt.NDArray[Any], salt: int, seed: int) -> Float32s:
    """Uniform numbers in [0, 1) that depend on the integer parts of two numbers.

    Parameters
    ----------
    a, b
        Such as row and column of a cell, shape (y, x).
    salt, seed
        Numbers that make independent draws.

    Returns
    -------
    ndarray
        Shape (y, x).
    """
    ia = a.astype(np.int32).view(np.uint32)
    ib = b.astype(np.int32).view(np.uint32)
    h = (ia * np.uint32(0x9E3779B1)) ^ (ib * np.uint32(0x85EBCA77))
    h ^= np.uint32((salt + 1009 * seed) * 2654435761 % 2**32)
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    h ^= h >> np.uint32(15)
    return h.astype(np.float32) * np.float32(2**-32)


def tiled(field: Float32s, rows: slice, width: int) -> Float32s:
    """Rows of a periodic field repeated to any size, shape (rows, width)."""
    height, period = field.shape
    part = field[np.arange(rows.start, rows.stop) % height]
    return np.asarray(np.take(part, np.arange(width) % period, axis=1))

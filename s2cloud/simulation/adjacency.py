"""How far a pixel's surroundings reach into the light that is seen above it.

References
----------
Vermote, E. F. et al. (1997): Second simulation of the satellite signal in the solar spectrum, 6S,
doi:10.1109/36.581987; the environment functions F(r) of molecules and of aerosol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32s = npt.NDArray[np.float32]

__all__ = ["AEROSOL_REACH", "MOLECULAR_REACH", "environment"]

#: Shares and ranges [m] of the exponentials in ``F(r) = 1 - sum share exp(-r / range)``, the part
#: of the scattered light that comes from within r. For a scale height of 8 km and one of 2 km.
MOLECULAR_REACH: Final = ((0.930, 1000.0 / 0.080), (0.070, 1000.0 / 1.100))
AEROSOL_REACH: Final = ((0.448, 1000.0 / 0.27), (0.552, 1000.0 / 2.83))


def environment(
    surface: Float32s, reach: tuple[tuple[float, float], ...], step: float = 60.0
) -> Float32s:
    """Mean reflectance of the surroundings of each cell.

    Parameters
    ----------
    surface
        Reflectance of the cells, dimmed where they lie in shadow. [1], shape (y, x)
    reach
        `MOLECULAR_REACH` or `AEROSOL_REACH`.
    step
        Size of a cell. [m]

    Returns
    -------
    ndarray
        [1]; the image is mirrored at its edges.

    Notes
    -----
    The density of ``F(r)``, ``exp(-r / range) / (2 pi r range)`` per area and exponential, has the
    Hankel transform ``1 / sqrt(1 + (2 pi nu range)^2)``, and mirrored images are what the cosine
    transform is made for: the convolution is exact and never cut off, whatever its range. The
    change of F with the view angle, below 3 % within 12 degrees of nadir, is left out.
    """
    wave = (np.pi * np.arange(n, dtype=np.float32) / (n * np.float32(step)) for n in surface.shape)
    down, across = wave
    square = down[:, np.newaxis] ** 2 + across[np.newaxis, :] ** 2
    transfer = np.zeros(surface.shape, dtype=np.float32)
    for share, length in reach:
        transfer += np.float32(share) / np.sqrt(1 + square * np.float32(length) ** 2)
    spectrum = fft.dctn(np.asarray(surface, dtype=np.float32), type=2)
    spectrum *= transfer
    return np.asarray(fft.idctn(spectrum, type=2, overwrite_x=True), dtype=np.float32)

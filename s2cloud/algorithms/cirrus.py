"""Thin cirrus taken away with the help of the band that sees nothing else.

Water vapour absorbs at 1.38 um all that comes from the ground, so B10 shows cirrus alone, dimmed by
the little vapour above it. In another band the same cirrus adds ``slope * b10`` (Gao et al. 1998,
doi:10.1029/98JD02006; Gao et al. 2002, doi:10.1109/TGRS.2002.802454; Richter et al. 2011,
doi:10.3390/rs3061074). The slope is found in the scene, for each band by itself: fluctuations of
the band are regressed on those of B10. The ground below knows nothing of the cirrus above, so it
is noise in this regression, and what is uncorrelated does not bias a slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["STATES", "Cirrus", "find", "take_away"]

#: What became of cirrus: nobody asked, it was taken away, or why it was not.
STATES: Final = (
    "not_requested", "corrected", "dry_air", "high_ground", "no_cirrus", "no_clear_sky",
)  # fmt: skip

#: B10 above which a pixel counts as cirrus, and below which the background is looked for. [1]
CIRRUS: Final = 0.014
CLEAR: Final = 0.008
#: B10 above which ice is too thick to look through. [1]
THICK: Final = 0.06
#: Pixels of cirrus without which no slope is sought. [overview pixel]
LEAST_PIXELS: Final = 500
#: Side of the square whose mean is the background of a fluctuation. [overview pixel]
WINDOW: Final = 51
#: Slopes that physics allows: in the visible and near infrared cirrus is as bright as in B10 or
#: brighter by the vapour above it, at longer waves ice absorbs.
LIMITS: Final = {"short": (1.0, 1.0 / 0.6), "long": (0.2, 1.0 / 0.6)}
LONG_WAVES: Final = ("b09", "b11", "b12")


@dataclass(frozen=True, slots=True)
class Cirrus:
    """Cirrus of a scene.

    Attributes
    ----------
    slopes
        Reflectance of the cirrus in a band over that in B10; empty if nothing is taken away.
    background
        B10 without cirrus. [1]
    reason
        Why nothing is taken away, in words; empty if something is.
    state
        The same as one of `STATES`.
    """

    slopes: dict[str, float]
    background: float
    reason: str = ""
    state: str = "corrected"


def find(b10: Floats, bands: Mapping[str, Floats], usable: npt.NDArray[np.bool_]) -> Cirrus:
    """Slope of each band against B10.

    Parameters
    ----------
    b10
        Top-of-atmosphere reflectance of B10, shape (y, x).
    bands
        The same of the other bands.
    usable
        Pixels with data that are no opaque cloud and no shadow of one.

    Returns
    -------
    Cirrus
    """
    seen = usable & np.isfinite(b10) & (b10 < THICK)
    below = b10[seen & (b10 < CLEAR)]
    background = float(np.median(below)) if below.size else float("nan")
    if not np.isfinite(background):
        return Cirrus({}, 0.0, "no pixel without cirrus", "no_clear_sky")
    if np.count_nonzero(seen & (b10 > CIRRUS)) < LEAST_PIXELS:
        return Cirrus({}, background, "no cirrus", "no_cirrus")
    excess = _fluctuation(b10, seen)
    power = float((excess * excess).sum())
    slopes = {}
    for name, values in bands.items():
        both = seen & np.isfinite(values)
        slope = float((_fluctuation(values, both) * excess).sum()) / power
        low, high = LIMITS["long" if name in LONG_WAVES else "short"]
        slopes[name] = float(np.clip(slope, low, high))
    return Cirrus(slopes, background)


def take_away(toa: Floats, b10: Floats, slope: float, background: float) -> Floats:
    """Reflectance without cirrus.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance of a band.
    b10
        That of B10 on the same pixels; NaN counts as none.
    slope, background
        From `find`.
    """
    excess = np.maximum(np.nan_to_num(b10 - np.float32(background)), np.float32(0.0))
    return np.asarray(toa - np.float32(slope) * excess, dtype=np.float32)


def _fluctuation(values: Floats, seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Departure from the mean of the surroundings, zero where nothing is seen."""
    filled = np.where(seen, values, 0.0).astype(np.float64)
    total = ndimage.uniform_filter(filled, WINDOW, mode="constant")
    share = ndimage.uniform_filter(seen.astype(np.float64), WINDOW, mode="constant")
    return np.where(seen, filled - total / np.maximum(share, 1e-9), 0.0)

"""Relations between surface reflectances, and which pixels may obey one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["SELECTION_BANDS", "WATER", "Relation", "kinds", "vegetation"]

#: Surfaces whose reflectances differ by less are of one kind.
KIND: Final = 0.03
#: Bands that tell vegetation apart; aerosols hardly touch them.
SELECTION_BANDS: Final = ("b05", "b8a", "b12")


@dataclass(frozen=True, slots=True)
class Relation:
    """Linear relation between the surface reflectances of some bands.

    ``intercept + sum(weights * reflectance) = 0``

    Attributes
    ----------
    bands
        Names of the bands.
    weights
        One per band.
    intercept
        Constant term.
    quantile
        Share of the pixels of a place that lie below the value taken for it.
    scatter
        How far off a single kind of surface is, in optical thickness (one sigma).
    sigma
        How far off that value is over a scene of many kinds, in optical thickness (one sigma):
        regions differ. What the choice of the aerosol adds is worked out for the scene.
    """

    bands: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float
    quantile: float
    scatter: float
    sigma: float


#: Water without glint: what B8A shows beyond B11 and B12 is suspended matter. Most of it is clear,
#: and shores only add, hence the low quantile. Fine particles hardly scatter so far out, so that
#: the sum says little of them.
WATER: Final = Relation(("b8a", "b11", "b12"), (1.0, 1.0, 1.0), -0.018, 0.3, 0.10, 0.10)
#: Limits of `vegetation` on normalised differences of B8A with B12 and B05 and on the surface
#: reflectance of B8A and B12.
GREEN_INDEX_B12, GREEN_INDEX_B05, GREEN_B8A, GREEN_B12 = 0.45, 0.30, 0.15, 0.01
#: Snow among the plants brightens B05 and darkens B12. One in a hundred plants is below.
SNOWLESS_B12 = 0.4


def vegetation(b05: Floats, b8a: Floats, b12: Floats) -> Mask:
    """Pixels of green vegetation.

    Parameters
    ----------
    b05, b8a, b12
        Surface reflectance, a first guess will do: aerosols hardly touch these bands. Any shape.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(
            (b8a > GREEN_B8A)
            & (b12 > GREEN_B12)
            & ((b8a - b12) > GREEN_INDEX_B12 * (b8a + b12))
            & ((b8a - b05) > GREEN_INDEX_B05 * (b8a + b05))
            & (b12 > SNOWLESS_B12 * b05)
        )


def kinds(*bands: Floats) -> float:
    """Number of kinds of surface among pixels.

    Parameters
    ----------
    bands
        Surface reflectance of some bands, shape (pixel,) each.

    Returns
    -------
    float
        Inverse of the chance that two pixels fall into one box of side `KIND`: the number of
        boxes, were all equally full (Simpson 1949, doi:10.1038/163688a0). 0 without pixels.
    """
    boxes = np.stack([np.floor(band / np.float32(KIND)) for band in bands], axis=-1)
    if not boxes.size:
        return 0.0
    boxes = np.clip(boxes, -1, 40).astype(np.int64) + 1
    code = boxes @ (42 ** np.arange(len(bands), dtype=np.int64))
    share = np.bincount(np.unique(code, return_inverse=True)[1]) / len(code)
    return float(1.0 / (share**2).sum())

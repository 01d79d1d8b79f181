"""What the green vegetation of a scene says of the aerosol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.algorithms import aerosol
from s2cloud.processor.dark_pixels import AOT_NODES, Pixels

if TYPE_CHECKING:
    import numpy.typing as npt

    Slopes = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["vegetation_evidence"]

#: Pixels that tell the optical thickness at which the relations are made.
FEW: Final = 2_000
#: Optical thickness on either side of it between which the change of the reflectance is taken.
STEP: Final = 0.05
#: The relations hardly change beyond.
HAZY: Final = 1.5


def vegetation_evidence(pixels: Pixels, guess: float) -> list[aerosol.AerosolRetrieval]:
    """Evidence of each canopy that is there.

    Parameters
    ----------
    pixels
        Clear land below an aerosol.
    guess
        Optical thickness to begin with.
    """
    told = []
    # Coarse aerosol brightens the infrared: how leafy a pixel is depends on what is assumed.
    index = np.zeros(pixels.green.shape, np.float32)
    index[pixels.green] = aerosol.leafiness(
        *(pixels.surface(band, guess, pixels.green) for band in ("b8a", "b12"))
    )
    for canopy in aerosol.CANOPIES:
        members = pixels.green & canopy.holds(index)
        few = np.zeros_like(members)
        few[np.flatnonzero(members)[:: max(1, int(members.sum()) // FEW)]] = True
        first = _evidence(pixels, canopy, few, guess)
        if first is None:
            continue
        near = float(np.clip(first.middle, 0.0, HAZY))
        found = first if near == guess else _evidence(pixels, canopy, members, near)
        if found is not None:
            told.append(found)
    return told


def _evidence(
    pixels: Pixels, canopy: aerosol.Canopy, chosen: Mask, guess: float
) -> aerosol.AerosolRetrieval | None:
    """Evidence of some pixels of a canopy, None without any."""
    if not chosen.any():
        return None
    slopes = _slopes(pixels, chosen, guess)
    boa = np.stack([pixels.surface(band, guess, chosen) for band in aerosol.SPECTRUM])
    kept = chosen.copy()
    kept[chosen] = canopy.plausible(boa, slopes)
    if not kept.any():
        return None
    return pixels.evidence(canopy.relation(slopes), kept)


def _slopes(pixels: Pixels, chosen: Mask, guess: float) -> Slopes:
    """Change of the mean surface reflectance of some pixels per optical thickness assumed."""
    low, high = max(guess - STEP, 0.0), guess + STEP
    change = []
    for band in aerosol.SPECTRUM:
        toa, around = (plane(band)[chosen].mean() for plane in (pixels.seen, pixels.around))
        terms = pixels.correction(band).stacked.mean(axis=(2, 3))
        curve: Any = aerosol.surface_at(toa, around, terms)
        ends = np.interp([low, high], AOT_NODES, curve)
        change.append((ends[1] - ends[0]) / (high - low))
    return np.array(change)

"""What the green vegetation of a scene says of the aerosol."""

from __future__ import annotations

from dataclasses import replace
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
FEW: Final = 4_000
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
    told = _of_canopies(pixels.fewer(FEW), guess)
    if not told:
        return _of_canopies(pixels, guess)
    counts = np.sum([one.counts for one in told], axis=0)
    guess = float(np.clip(replace(told[0], counts=counts).middle, 0.0, HAZY))
    return _of_canopies(pixels, guess)


def _of_canopies(pixels: Pixels, guess: float) -> list[aerosol.AerosolRetrieval]:
    # How leafy pixels are is not asked again with each aerosol that is tried: more of a coarse one
    # darkens the infrared, which then looks leafier and asks for more.
    with np.errstate(invalid="ignore"):
        index = aerosol.leafiness(*pixels.first[1:])
    found = (_evidence(pixels, c, pixels.green & c.holds(index), guess) for c in aerosol.CANOPIES)
    return _shared([one for one in found if one is not None])


def _shared(told: list[aerosol.AerosolRetrieval]) -> list[aerosol.AerosolRetrieval]:
    """Evidence with the kinds of all canopies shared among them by their pixels.

    A few stray pixels are a kind of their own, but not one that tells as much as a forest.
    """
    pixels = np.array([one.counts.sum() for one in told])
    share = pixels / max(float(pixels.sum()), 1.0)
    alike = sum(s**2 / one.kinds for s, one in zip(share, told, strict=True) if one.kinds > 0.0)
    return [
        replace(o, kinds=float(s / alike) if o.kinds else 0.0)
        for s, o in zip(share, told, strict=True)
    ]


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

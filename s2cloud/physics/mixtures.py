"""Mixtures of the aerosols of the look-up tables, by their shares of the optical thickness.

An external mixture scatters, to first order, what its parts scatter by their shares of the optical
thickness: exact where light is scattered once, within 3 % of the path reflectance up to an optical
thickness of 0.5 unless the parts absorb very differently (Abdou et al. 1997,
doi:10.1029/96JD03434). Optical thicknesses add, so that transmittances multiply.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.errors import UsageError
from s2cloud.physics import lut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.model.bands import Sensor

__all__ = ["MixedTable", "load", "shares_of", "spelled"]

#: Terms of `lut.Optics` that multiply; the others add.
_MULTIPLY: Final = ("transmittance_down", "transmittance_up", "transmittance_up_direct")
#: Smaller shares are left out. [1]
_LEAST: Final = 0.005


def spelled(shares: Mapping[str, float]) -> str:
    """Name of a mixture: ``continental`` or ``continental:0.70+maritime:0.30``.

    Parameters
    ----------
    shares
        Share of the optical thickness at 550 nm by the name of the aerosol, of any sum.

    Raises
    ------
    UsageError
        If no share is positive.
    """
    total = sum(max(share, 0.0) for share in shares.values())
    if not total > 0.0:
        raise UsageError("an aerosol mixture needs a positive share", found=str(dict(shares)))
    kept = {name: share / total for name, share in shares.items() if share > _LEAST * total}
    if len(kept) == 1:
        return next(iter(kept))
    total = sum(kept.values())
    return "+".join(f"{name}:{share / total:.3f}" for name, share in kept.items())


def shares_of(text: str) -> dict[str, float]:
    """Shares of a mixture spelled by `spelled`, summing to one.

    Raises
    ------
    UsageError
        If the text is no mixture.

    Examples
    --------
    >>> shares_of("continental:0.75+urban:0.25")
    {'continental': 0.75, 'urban': 0.25}
    """
    found: dict[str, float] = {}
    try:
        for part in text.split("+"):
            name, _, share = part.partition(":")
            found[name] = float(share) if share else 1.0
        total = sum(found.values())
        return {name: share / total for name, share in found.items()}
    except (ValueError, ZeroDivisionError):
        raise UsageError(
            "not an aerosol mixture",
            where=repr(text),
            expected="name:share+name:share",
            found=text,
        ) from None


class MixedTable:
    """Look-up tables of several aerosols, to be used like one.

    Attributes
    ----------
    sensor, aerosol
        What it is for.
    parts
        Tables and their shares.
    """

    def __init__(self, sensor: Sensor, shares: Mapping[str, float]) -> None:
        self.sensor: Sensor = sensor
        self.aerosol = spelled(shares)
        self.parts = [(lut.load(sensor, n), s) for n, s in shares_of(self.aerosol).items()]

    @property
    def metadata(self) -> dict[str, Any]:
        """Provenance of the table with the largest share."""
        return max(self.parts, key=lambda part: part[1])[0].metadata

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """As in ``lut.LookUpTable``: what all parts hold."""
        every = [table.bounds for table, _ in self.parts]
        return {
            axis: (max(b[axis][0] for b in every), min(b[axis][1] for b in every))
            for axis in every[0]
        }

    def evaluate(self, band: str, **where: Any) -> lut.Optics:
        """As ``lut.LookUpTable.evaluate``."""
        found = [(table.evaluate(band, **where), np.float32(share)) for table, share in self.parts]
        terms = {}
        for name in lut.Optics._fields:
            values = [(getattr(optics, name), share) for optics, share in found]
            if name in _MULTIPLY:
                logs = [share * np.log(np.maximum(v, np.float32(1e-9))) for v, share in values]
                terms[name] = np.exp(sum(logs[1:], logs[0]))
            else:
                sums = [share * v for v, share in values]
                terms[name] = sum(sums[1:], sums[0])
        return lut.Optics(**terms)


@lru_cache(maxsize=32)
def load(sensor: Sensor, aerosol: str) -> lut.LookUpTable | MixedTable:
    """Table of an aerosol or of a mixture as `spelled` gives it.

    Parameters
    ----------
    sensor
        ``S2A``, ``S2B`` or ``S2C``.
    aerosol
        Name of one table, or a mixture.
    """
    shares = shares_of(aerosol)
    if len(shares) == 1:
        return lut.load(sensor, next(iter(shares)))
    return MixedTable(sensor, shares)

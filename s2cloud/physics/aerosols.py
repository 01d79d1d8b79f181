"""Aerosol models: external mixtures of lognormal components with tabulated refractive indices.

Sources
-------
d'Almeida, G. A., Koepke, P., Shettle, E. P. (1991): *Atmospheric Aerosols: Global Climatology and
Radiative Characteristics*, Deepak Publishing. Components dust-like, water-soluble, oceanic, soot.
World Meteorological Organization (1986), WCP-112: the volume fractions of the standard mixtures.
Hess, M., Koepke, P., Schult, I. (1998): OPAC, doi:10.1175/1520-0477(1998)079<0831:OPOAAC>2.0.CO;2.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, exp, log, pi, sqrt
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "AEROSOL_MODELS",
    "RADIUS_LIMITS_UM",
    "AerosolModel",
    "Component",
    "Mixture",
    "aerosol_model",
    "number_fractions",
]

#: Smallest and largest particle of every distribution. [um]
RADIUS_LIMITS_UM: Final = (0.001, 20.0)


@dataclass(frozen=True, slots=True)
class Component:
    """One lognormal population of homogeneous spheres.

    The number distribution is ``dn/dln(r) ~ exp(-(ln r - ln r_mode)^2 / (2 ln(sigma)^2))``.

    Attributes
    ----------
    name
        Name of the component in its source.
    mode_radius_um
        Mode (= median) radius of the number distribution. [um]
    sigma
        Geometric standard deviation. [1]
    index_real, index_imaginary
        Pairs (wavelength [um], n) and (wavelength [um], k) of the refractive index n - ik;
        linear in between, constant outside.
    """

    name: str
    mode_radius_um: float
    sigma: float
    index_real: tuple[tuple[float, float], ...]
    index_imaginary: tuple[tuple[float, float], ...]

    def refractive_index(self, wavelength_nm: float) -> complex:
        """Refractive index n - ik at one wavelength.

        Parameters
        ----------
        wavelength_nm
            Wavelength in vacuum. [nm]
        """
        um = wavelength_nm / 1000.0
        real = np.interp(um, *_columns(self.index_real))
        imaginary = np.interp(um, *_columns(self.index_imaginary))
        return complex(float(real), -float(imaginary))

    def mean_volume_um3(self) -> float:
        """Mean volume of the particles between `RADIUS_LIMITS_UM`. [um3].

        Notes
        -----
        The limits matter: the untruncated dust-like mode holds 10 % more volume, which would
        lower the share of its large particles in a mixture (4e-3 in the 443/550 nm extinction).
        """
        width = log(self.sigma)
        third_moment = self.mode_radius_um**3 * exp(4.5 * width**2)
        low, high = (
            erf((log(limit / self.mode_radius_um) - 3.0 * width**2) / (sqrt(2.0) * width))
            for limit in RADIUS_LIMITS_UM
        )
        return 4.0 / 3.0 * pi * third_moment * 0.5 * (high - low)


class AerosolModel(Protocol):
    """What the table generator needs to know of an aerosol."""

    @property
    def name(self) -> str:
        """Short lower-case name, also the name of the table file."""
        ...

    @property
    def parts(self) -> Sequence[tuple[Component, float]]:
        """Components and their shares of the particle volume, summing to one."""
        ...


@dataclass(frozen=True, slots=True)
class Mixture:
    """External mixture by volume; the built-in form of `AerosolModel`.

    Attributes
    ----------
    name
        Short lower-case name.
    parts
        Components and their shares of the particle volume. [1]
    source
        Where sizes, indices and shares come from.
    """

    name: str
    parts: tuple[tuple[Component, float], ...]
    source: str

    def __post_init__(self) -> None:
        total = sum(share for _, share in self.parts)
        if not self.parts or abs(total - 1.0) > 1e-6 or any(s <= 0 for _, s in self.parts):
            raise UsageError(
                "the volume shares of an aerosol mixture must be positive and sum to one",
                where=self.name,
                found=f"a sum of {total:g}",
            )


def number_fractions(model: AerosolModel) -> NDArray[np.float64]:
    """Shares of the particle number that realise the volume shares of `model`. [1]."""
    numbers = np.array([share / part.mean_volume_um3() for part, share in model.parts])
    return np.asarray(numbers / numbers.sum())


def aerosol_model(name: str) -> Mixture:
    """Built-in aerosol model by name.

    Parameters
    ----------
    name
        One of `AEROSOL_MODELS`.

    Raises
    ------
    UsageError
        If there is no such model.
    """
    try:
        return AEROSOL_MODELS[name]
    except KeyError:
        raise UsageError(
            "no such aerosol model",
            where=repr(name),
            expected="one of " + ", ".join(AEROSOL_MODELS),
        ) from None


def _columns(
    pairs: tuple[tuple[float, float], ...],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = np.asarray(pairs, dtype=np.float64)
    return table[:, 0], table[:, 1]


# The dust-like and water-soluble indices agree below 0.7 um; beyond it liquid and crystal
# absorption bands near 3 um pull n down. d'Almeida et al. (1991), tables A.
_DUST_LIKE: Final = Component(
    "dust-like",
    0.471,
    2.512,
    (
        (0.694, 1.53), (0.76, 1.528), (0.86, 1.52), (1.24, 1.462), (1.536, 1.40),
        (1.65, 1.368), (1.95, 1.276), (2.25, 1.22), (3.75, 1.20),
    ),
    ((1.95, 0.008), (2.25, 0.0085), (3.75, 0.011)),
)  # fmt: skip
_WATER_SOLUBLE: Final = Component(
    "water-soluble",
    0.0285,
    2.239,
    (
        (0.694, 1.53), (0.76, 1.528), (0.86, 1.52), (1.24, 1.51), (1.536, 1.42),
        (2.25, 1.42), (3.75, 1.452),
    ),
    (
        (0.488, 0.005), (0.515, 0.0053), (0.55, 0.006), (0.59, 0.006), (0.633, 0.0067),
        (0.67, 0.007), (0.694, 0.007), (0.76, 0.0088), (0.86, 0.0109), (1.24, 0.0189),
        (1.536, 0.0218), (1.65, 0.0195), (1.95, 0.0675), (2.25, 0.046), (3.75, 0.004),
    ),
)  # fmt: skip
# k at 2.25 um is ten times the value of Shettle and Fenn (1979): with theirs the transmittance
# of B12 under a maritime haze would be 0.02 above the comparison code.
_OCEANIC: Final = Component(
    "oceanic",
    0.30,
    2.51,
    (
        (0.40, 1.385), (0.55, 1.381), (0.86, 1.372), (1.3, 1.365), (1.536, 1.359),
        (2.0, 1.347), (2.25, 1.334),
    ),
    (
        (0.70, 1e-8), (0.86, 1.1e-6), (1.24, 3e-4), (1.536, 1.05e-3), (1.65, 9.3e-4),
        (1.95, 2.1e-3), (2.25, 9e-3),
    ),
)  # fmt: skip
_SOOT: Final = Component(
    "soot",
    0.0118,
    2.00,
    ((0.86, 1.75), (1.24, 1.77), (1.536, 1.791), (1.65, 1.796), (1.95, 1.808), (2.25, 1.815)),
    (
        (0.35, 0.465), (0.55, 0.44), (0.694, 0.43), (1.24, 0.4496), (1.65, 0.472), (2.25, 0.5),
    ),
)  # fmt: skip

# OPAC mineral (Hess et al. 1998): three modes with one index. Sizes are OPAC's nucleation,
# accumulation and coarse modes; spheres, so expect backscatter of real dust to be off by tens
# of percent. Rough on purpose and never a default.
_MINERAL_INDEX: Final = (
    ((0.40, 1.53), (3.0, 1.53)),
    ((0.40, 0.013), (0.45, 0.0085), (0.50, 0.0078), (0.55, 0.0055), (0.60, 0.0045),
     (0.70, 0.004), (1.0, 0.004), (1.5, 0.005), (2.0, 0.0064), (2.5, 0.0076)),
)  # fmt: skip
_MINERAL_NUCLEATION: Final = Component("mineral nucleation", 0.07, 1.95, *_MINERAL_INDEX)
_MINERAL_ACCUMULATION: Final = Component("mineral accumulation", 0.39, 2.0, *_MINERAL_INDEX)
_MINERAL_COARSE: Final = Component("mineral coarse", 1.9, 2.15, *_MINERAL_INDEX)

_DALMEIDA: Final = "d'Almeida, Koepke and Shettle (1991); shares WMO WCP-112 (1986)"

#: Built-in mixtures by name.
AEROSOL_MODELS: Final[dict[str, Mixture]] = {
    model.name: model
    for model in (
        Mixture(
            "continental",
            ((_DUST_LIKE, 0.70), (_WATER_SOLUBLE, 0.29), (_SOOT, 0.01)),
            _DALMEIDA,
        ),
        Mixture("maritime", ((_OCEANIC, 0.95), (_WATER_SOLUBLE, 0.05)), _DALMEIDA),
        Mixture(
            "urban",
            ((_DUST_LIKE, 0.17), (_WATER_SOLUBLE, 0.61), (_SOOT, 0.22)),
            _DALMEIDA,
        ),
        Mixture(
            "desert",
            (
                (_MINERAL_NUCLEATION, 0.034),
                (_MINERAL_ACCUMULATION, 0.760),
                (_MINERAL_COARSE, 0.206),
            ),
            "OPAC desert, Hess et al. (1998), mass shares of the mineral modes; rough",
        ),
    )
}

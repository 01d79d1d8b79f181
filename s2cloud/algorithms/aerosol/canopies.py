"""What green vegetation reflects in all bands together, and what that tells of the aerosol.

Spectra of one canopy scatter around a mean, and their bands scatter together: more shade darkens
all of them, less chlorophyll brightens the visible and the red edge. Aerosol that was not taken
away shifts a spectrum in a direction of its own, mostly along blue and red and the more the lower
the sun. How much of a deviation from the mean is that shift follows from the covariance of the
spectra: the combination of bands that tells most of the aerosol and least of the plants (optimal
estimation, Rodgers 2000, doi:10.1142/3171; for spectra as in Thompson et al. 2018,
doi:10.1016/j.rse.2018.07.003). What is left of a deviation without the shift shows whether the
pixel is vegetation at all.

That red is half of the reflectance at 2.2 um over dark dense vegetation (Kaufman et al. 1997,
doi:10.1109/36.628795; Sentinel-2 L2A ATBD) is part of these covariances, as is that the ratio
depends on how leafy the ground is (Levy et al. 2007, doi:10.1029/2006JD007811): hence canopies by
the normalised difference of near and short-wave infrared, which aerosol hardly touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.algorithms.aerosol.relations import Relation

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["CANOPIES", "SPECTRUM", "Canopy", "leafiness"]

#: Bands of a spectrum.
SPECTRUM: Final = ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b8a", "b11", "b12")
#: Error that all spectra of a scene share over the scatter of single ones: the medians of libraries
#: and regions lie 0.1 to 0.4 of it apart.
SHARED: Final = 0.25
#: A little less than half of the pixels lie below the truth: thin cloud and stray light of bright
#: surroundings that went unseen only ever add.
QUANTILE: Final = 0.45
#: Squared distance beyond which a spectrum is of no canopy: 2 % of a normal distribution with as
#: many degrees of freedom as there are bands but one. Snow between plants, roofs, thin cloud.
STRANGE: Final = 19.7


@dataclass(frozen=True, slots=True)
class Canopy:
    """Spectra of vegetation of some leafiness.

    Attributes
    ----------
    lowest, highest
        `leafiness` from, and to which it reaches.
    mean
        Mean surface reflectance in `SPECTRUM`.
    covariance
        Of the same, shape (band, band).
    """

    lowest: float
    highest: float
    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]

    def holds(self, index: Any) -> Any:
        """Where a `leafiness` is of this canopy."""
        return (index > self.lowest) & (index <= self.highest)

    def relation(self, slopes: npt.NDArray[np.float64]) -> Relation:
        """Combination of the bands that tells most of the aerosol.

        Parameters
        ----------
        slopes
            Change of the surface reflectance of each band per optical thickness that the
            correction assumes.

        Returns
        -------
        Relation
            Falls with the optical thickness that is assumed. Its scatter is that of single
            spectra, and so depends on sun and air: at noon aerosol changes little.
        """
        weights = -np.linalg.solve(self.covariance, slopes)
        scatter = float(1.0 / np.sqrt(-slopes @ weights))
        weights *= scatter
        return Relation(
            SPECTRUM,
            tuple(weights.tolist()),
            float(-weights @ self.mean),
            QUANTILE,
            scatter,
            SHARED * scatter,
        )

    def plausible(self, boa: Floats, slopes: npt.NDArray[np.float64]) -> Mask:
        """Spectra that some amount of aerosol would make one of this canopy.

        Parameters
        ----------
        boa
            Surface reflectance for a guess of the aerosol, shape (band, pixel).
        slopes
            As in `relation`.
        """
        inverse = np.linalg.inv(self.covariance)
        far = boa - self.mean[:, np.newaxis]
        apart = np.einsum("in,ij,jn->n", far, inverse, far, optimize=True)
        along = slopes @ inverse
        return np.asarray(apart - (along @ far) ** 2 / (along @ slopes) < STRANGE)


def leafiness(b8a: Any, b12: Any) -> Any:
    """Normalised difference of near and short-wave infrared surface reflectance."""
    return (b8a - b12) / (b8a + b12)


def _canopy(lowest: float, highest: float, mean: str, upper: str) -> Canopy:
    """From reflectance in 1e-4, and the upper triangle of its covariance in 1e-7."""
    covariance = np.zeros((len(SPECTRUM), len(SPECTRUM)))
    covariance[np.triu_indices(len(SPECTRUM))] = np.array(upper.split(), float) * 1e-7
    covariance += np.triu(covariance, 1).T
    return Canopy(lowest, highest, np.array(mean.split(), float) * 1e-4, covariance)


# Numbers: ``python benchmarks/dark_vegetation.py DATA``.
#: Sparse, medium and dense green vegetation.
CANOPIES: Final = (
    _canopy(
        0.45,
        0.60,
        "538 623 1016 711 1512 3550 4050 4168 2425 1288",
        "4576 5057 7335 4684 8443 19068 18884 17650 10443 6257 6067 9522 6276 11521 23696 "
        "23329 22043 12248 7442 17267 10717 22132 42693 41701 39856 21040 12604 9757 14799 "
        "22927 22649 22304 10936 7766 31892 56859 55828 54718 27863 16882 139051 141303 "
        "134758 75573 41803 147066 140504 78432 43392 136119 75591 42012 50084 26915 15821",
    ),
    _canopy(
        0.60,
        0.70,
        "462 543 926 536 1447 3676 4262 4411 1939 918",
        "5034 6350 10552 6055 11244 23660 23561 22395 6769 4805 8307 14111 7916 15122 31912 "
        "31638 30108 9431 6562 25673 13620 28478 59959 59204 56501 19094 12684 8211 15297 "
        "30720 30430 29172 9074 6492 36436 70277 69473 67165 24024 15559 170201 173977 168937 "
        "63189 36490 182266 177387 66637 37695 173876 66024 37003 31112 15740 9113",
    ),
    _canopy(
        0.70,
        1.00,
        "281 308 555 290 873 3212 4114 4297 1559 620",
        "955 977 1348 692 1017 1640 260 246 940 212 1194 1834 926 1587 3000 1357 1435 1349 "
        "352 3944 1704 4381 11169 8707 9119 4294 1473 989 1620 3235 2380 2555 1205 377 7985 "
        "19251 17414 18448 7521 3001 95073 103130 107336 38684 15175 127268 130301 41961 "
        "16817 135227 44107 17633 19013 7265 3007",
    ),
)

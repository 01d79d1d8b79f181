"""Thresholds of the scene classification, with the names they have in Sen2Cor's parameter file."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from s2cloud.model.errors import UsageError

__all__ = ["Thresholds"]

_PAIRS = (
    ("blue_low", "blue_high"),
    ("red_low", "red_high"),
    ("nir_low", "nir_high"),
    ("cirrus_low", "cirrus_high"),
    ("cloud_low", "cloud_medium"),
    ("cloud_medium", "cloud_high"),
    ("ndsi_cloud_low", "ndsi_cloud_high"),
    ("ndsi_snow_low", "ndsi_snow_high"),
    ("ndvi_low", "ndvi_high"),
    ("blue_red_low", "blue_red_high"),
    ("soil_ratio_low", "soil_ratio_high"),
    ("water_ratio_low", "water_ratio_high"),
    ("rock_ratio_low", "rock_ratio_high"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Thresholds of the pointwise sequence.

    The defaults are the operational ones of Sen2Cor 2.8 and later, unchanged in products since
    baseline 04.00. Two thresholds with the endings ``_low`` and ``_high`` bound a ramp from 0
    to 1 unless stated otherwise.

    Attributes
    ----------
    blue_low, blue_high
        B02 of snow; ``T1_B02``, ``T2_B02``. [1]
    red_low, red_high
        B04 of cloud; ``T1_B04``, ``T2_B04``. [1]
    nir_low, nir_high
        B8A of snow; the lower one also is the upper bound of dark features; ``T1_B8A``,
        ``T2_B8A``. [1]
    cirrus_low, cirrus_high
        B10 of thin cirrus: a range, no ramp; ``T1_B10``, ``T2_B10``. [1]
    snow_ring_swir
        Pixels beside snow are no cloud below this B12; ``T1_B12``. [1]
    cloud_low, cloud_medium, cloud_high
        Cloud confidence above which a pixel is unclassified, from which it is cloud of medium,
        of high probability; ``T_CLOUD_LP``, ``T_CLOUD_MP``, ``T_CLOUD_HP``. [1]
    ndsi_cloud_low, ndsi_cloud_high
        (B03 - B11)/(B03 + B11) of cloud; ``T1_NDSI_CLD``, ``T2_NDSI_CLD``. [1]
    ndsi_snow_low, ndsi_snow_high
        The same index of snow; ``T1_NDSI_SNW``, ``T2_NDSI_SNW``. [1]
    ndvi_low, ndvi_high
        (B8A - B04)/(B8A + B04) of vegetation; ``T1_NDVI``, ``T2_NDVI``. [1]
    snow_confidence
        Snow confidence above which a pixel is snow; ``T1_SNOW``. [1]
    blue_red_low, blue_red_high
        B02/B04 of snow; ``T1_R_B02_B04``, ``T2_R_B02_B04``. [1]
    nir_green
        B8A/B03 above which dark pixels are vegetation; ``T2_R_B8A_B03``. [1]
    soil_limit_slope, soil_limit_offset
        Upper bound of B02 of soils as a line in B02/B11; ``T11_B02``, ``T12_B02``. [1]
    soil_ratio_low, soil_ratio_high
        B02/B11 of soils (low) and cloud (high); ``T11_R_B02_B11``, ``T12_R_B02_B11``. [1]
    water_ratio_low, water_ratio_high
        B02/B11 of cloud (low) and water (high); ``T21_R_B02_B11``, ``T22_R_B02_B11``. [1]
    water_limit_slope, water_limit_offset
        Upper bound of B12 of water as a line in B02/B11; ``T21_B12``, ``T22_B12``. [1]
    rock_ratio_low, rock_ratio_high
        B8A/B11 of rock and sand (low) and cloud (high); ``T1_R_B8A_B11``, ``T2_R_B8A_B11``. [1]

    Raises
    ------
    UsageError
        If a value is not finite or a ramp does not rise; all problems are reported together.

    Notes
    -----
    Not listed, because no rule of the operational versions reads them: ``T2_B12``,
    ``T2_SNOW``, ``T1_R_B8A_B03``, ``T_SDW``, ``RV_B2`` ... ``RV_B12``. ``T_B02_B12`` belongs to
    the cloud shadow.

    References
    ----------
    Level-2A Algorithm Theoretical Basis Document, S2-PDGS-MPC-ATBD-L2A, issue 2.10 (2022).
    Main-Knorn, M. et al. (2017): Sen2Cor for Sentinel-2, doi:10.1117/12.2278218.
    Louis, J. et al. (2016): Sentinel-2 Sen2Cor: L2A processor for users, ESA SP-740.

    Examples
    --------
    >>> Thresholds(cloud_medium=0.35, cloud_high=0.65).cloud_high
    0.65
    """

    blue_low: float = 0.18
    blue_high: float = 0.22
    red_low: float = 0.06
    red_high: float = 0.25
    nir_low: float = 0.15
    nir_high: float = 0.35
    cirrus_low: float = 0.012
    cirrus_high: float = 0.035
    snow_ring_swir: float = 0.25
    cloud_low: float = 0.0
    cloud_medium: float = 0.20
    cloud_high: float = 0.80
    ndsi_cloud_low: float = -0.24
    ndsi_cloud_high: float = -0.16
    ndsi_snow_low: float = 0.35
    ndsi_snow_high: float = 0.50
    ndvi_low: float = 0.36
    ndvi_high: float = 0.42
    snow_confidence: float = 0.12
    blue_red_low: float = 0.85
    blue_red_high: float = 0.95
    nir_green: float = 2.5
    soil_limit_slope: float = -0.40
    soil_limit_offset: float = 0.46
    soil_ratio_low: float = 0.70
    soil_ratio_high: float = 1.0
    water_ratio_low: float = 2.0
    water_ratio_high: float = 4.0
    water_limit_slope: float = 0.1
    water_limit_offset: float = -0.09
    rock_ratio_low: float = 0.90
    rock_ratio_high: float = 1.10

    def __post_init__(self) -> None:
        problems = [
            f"{field.name} is {getattr(self, field.name)}"
            for field in fields(self)
            if not math.isfinite(getattr(self, field.name))
        ]
        problems += [
            f"{low} {getattr(self, low):g} is not below {high} {getattr(self, high):g}"
            for low, high in _PAIRS
            if not getattr(self, low) < getattr(self, high)
        ]
        if problems:
            raise UsageError(
                "impossible thresholds of the scene classification",
                where="; ".join(problems),
                expected="finite values and rising ramps",
                fix="start from the defaults and change one ramp at a time",
            )

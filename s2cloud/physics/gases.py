"""Gaseous transmittance of the bands: water vapour, ozone, and the well-mixed gases.

The numbers are our own fits to runs of the 6SV2.1 code (US 1962 profiles) with the responses of
each instrument. They are band averages, good for the smooth spectra of land and cloud.

References
----------
Vermote, E. F. et al. (1997): Second simulation of the satellite signal in the solar spectrum, 6S,
doi:10.1109/36.581987.
Rothman, L. S. et al. (2013): The HITRAN2012 database, doi:10.1016/j.jqsrt.2013.07.002; absorption
coefficients of its successor bound the water vapour of every band from below.
Halthore, R. N. et al. (1997): Sun photometric measurements of atmospheric water vapor column
abundance in the 940-nm band, doi:10.1029/96JD03247.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from s2cloud.model.bands import SENSORS, band_name
from s2cloud.model.errors import UsageError
from s2cloud.physics.rayleigh import STANDARD_PRESSURE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from s2cloud.model.bands import Sensor

    Floats = NDArray[np.float32] | NDArray[np.float64]

__all__ = [
    "B09_LAWS",
    "B09Law",
    "GasTransmittance",
    "b09_column_uncertainty",
    "slant_column",
    "transmittance",
    "water_vapour_transmittance",
]

B09Law = Literal["6sv", "modtran", "sen2cor", "lowtran7", "sunphotometer"]


class GasTransmittance(NamedTuple):
    """Two-way transmittance of each group of gases.

    Attributes
    ----------
    water_vapour, ozone, mixed
        Water vapour; ozone; carbon dioxide, methane, nitrous oxide and oxygen together. [1]
    water_vapour_half
        Water vapour of half the column: what light scattered by aerosol amid it has met. [1]
    """

    water_vapour: Floats
    ozone: Floats
    mixed: Floats
    water_vapour_half: Floats

    @property
    def total(self) -> Floats:
        """Product of all."""
        return self.water_vapour * self.ozone * self.mixed

    @property
    def other(self) -> Floats:
        """Product of all but water vapour."""
        return self.ozone * self.mixed


def transmittance(
    sensor: Sensor,
    band: str,
    *,
    airmass: ArrayLike,
    tcwv: ArrayLike,
    tco3: ArrayLike,
    pressure: ArrayLike = STANDARD_PRESSURE,
    b09_law: B09Law = "6sv",
) -> GasTransmittance:
    """Gaseous transmittance from the sun to the ground and on to the sensor.

    Parameters
    ----------
    sensor, band
        Instrument and band.
    airmass
        Sum of the slant paths of both directions, `s2cloud.physics.angles.airmass`. [1]
    tcwv
        Total column water vapour. [kg m-2]
    tco3
        Total column ozone. [DU]
    pressure
        Surface pressure, which scales the well-mixed gases. [hPa]
    b09_law
        Which law of `B09_LAWS` describes water vapour in B09.

    Returns
    -------
    GasTransmittance
        Float32 if all inputs are, else float64. In (0, 1].

    Examples
    --------
    >>> gas = transmittance("S2A", "B03", airmass=2.0, tcwv=20.0, tco3=344.0)
    >>> round(float(gas.ozone), 3)
    0.935
    """
    name = band_name(band)
    m, w, o3, p = _floats(airmass, tcwv, tco3, pressure)
    water = water_vapour_transmittance(sensor, name, m * w, b09_law=b09_law)
    k = _OZONE[name][SENSORS.index(sensor)]
    ozone = np.exp(-k * m * np.maximum(o3, 0.0) / 1000.0)  # 1000 DU = 1 cm-atm
    # Linear in pressure for weak and strong lines alike: the strong ones go with the square root
    # of amount times line width, and both are in proportion to pressure.
    depth = _MIXED.get(name, 0.0) * (m / 2.0) ** _GROWTH_POWER
    mixed = np.exp(-depth * np.maximum(p, 0.0) / STANDARD_PRESSURE)
    half = water_vapour_transmittance(sensor, name, 0.5 * m * w, b09_law=b09_law)
    return GasTransmittance(water, ozone, mixed, half)


def water_vapour_transmittance(
    sensor: Sensor, band: str, slant_kg_m2: ArrayLike, *, b09_law: B09Law = "6sv"
) -> Floats:
    """Water-vapour transmittance of a slant column.

    Parameters
    ----------
    sensor, band
        Instrument and band.
    slant_kg_m2
        Airmass times column; negative values count as zero. [kg m-2]
    b09_law
        Law for B09; ignored for the others.

    Returns
    -------
    ndarray
        ``exp(-exp(c0 + c1 x + c2 x^2))`` with x the logarithm of the column in g cm-2, one at zero.
        [1]

    Notes
    -----
    Fitted over 0.2 - 24 g cm-2. Below 0.1 and above 40 g cm-2 it continues as a power law of the
    slope there, which keeps it monotone: the parabola in x has its summit far outside.
    """
    coefficients = _coefficients(sensor, band_name(band), b09_law)
    (column,) = _floats(slant_kg_m2)
    if coefficients is None:
        return np.ones_like(column) + 0.0 * column  # NaN stays NaN
    c0, c1, c2 = coefficients
    # The smallest number stands for zero: its transmittance is one to all digits.
    x = np.log(np.maximum(column, np.finfo(column.dtype).tiny)) - _LN_10
    inside = np.clip(x, _X_LIMITS[0], _X_LIMITS[1])
    slope = c1 + 2.0 * c2 * inside
    exponent = c0 + inside * (c1 + c2 * inside) + slope * (x - inside)
    return np.asarray(np.exp(-np.exp(exponent)))


def slant_column(
    sensor: Sensor, band: str, transmittance: ArrayLike, *, b09_law: B09Law = "6sv"
) -> Floats:
    """Slant column of water vapour that gives a transmittance; inverse of the above.

    Parameters
    ----------
    sensor, band
        Instrument and band, one that water vapour absorbs in.
    transmittance
        Transmittance; one and more count as no water. [1]
    b09_law
        Law for B09.

    Returns
    -------
    ndarray
        Airmass times column. [kg m-2]

    Raises
    ------
    UsageError
        If water vapour does not absorb in the band.
    """
    name = band_name(band)
    coefficients = _coefficients(sensor, name, b09_law)
    if coefficients is None:
        raise UsageError("water vapour does not absorb in this band", where=name)
    c0, c1, c2 = coefficients
    (given,) = _floats(transmittance)
    t = np.clip(given, 1e-30, 1.0 - 1e-7)
    y = np.log(-np.log(t))
    # The root of the parabola on its rising side; linear beyond the limits, as above.
    if c2 == 0.0:
        x = (y - c0) / c1
    else:
        root = np.maximum(c1 * c1 - 4.0 * c2 * (c0 - y), 0.0)
        x = (-c1 + np.sqrt(root)) / (2.0 * c2)
        for limit, outside in zip(_X_LIMITS, (np.less, np.greater), strict=True):
            edge = c0 + limit * (c1 + c2 * limit)
            slope = c1 + 2.0 * c2 * limit
            x = np.where(outside(y, edge), limit + (y - edge) / slope, x)
    column: Floats = np.where(given >= 1.0, 0.0 * x, 10.0 * np.exp(x))
    return column  # NaN has passed through clip, log and exp


def b09_column_uncertainty(
    sensor: Sensor, slant_kg_m2: ArrayLike, *, b09_law: B09Law = "6sv"
) -> Floats:
    """Relative uncertainty of a column from B09, for want of a law that all agree on.

    Parameters
    ----------
    sensor
        Instrument.
    slant_kg_m2
        Airmass times column that was found. [kg m-2]
    b09_law
        The law it was found by.

    Returns
    -------
    ndarray
        One standard deviation over the column: the root mean square of the logarithms of what the
        other laws of `B09_LAWS` find from the same transmittance, over what this one found. [1]

    Notes
    -----
    About 0.27 at 1, 0.15 at 4 and 0.27 at 10 g cm-2 for the default law. It is systematic: pixels
    of a scene are wrong by the same share. Columns below 0.1 g cm-2 count as that.

    Examples
    --------
    >>> round(float(b09_column_uncertainty("S2A", 40.0)), 2)
    0.15
    """
    (slant,) = _floats(slant_kg_m2)
    slant = np.maximum(slant, 1.0)
    seen = water_vapour_transmittance(sensor, "b09", slant, b09_law=b09_law)
    others = [law for law in B09_LAWS if law != b09_law]
    ratios = np.stack([slant_column(sensor, "b09", seen, b09_law=law) / slant for law in others])
    return np.asarray(np.sqrt((np.log(ratios) ** 2).mean(axis=0)))


def _floats(*values: ArrayLike) -> tuple[Floats, ...]:
    """Arrays of one float type: float32 if all arrays are, Python numbers having no say."""
    arrays = [np.asarray(value) for value in values]
    strong = [
        a.dtype for a, v in zip(arrays, values, strict=True) if not isinstance(v, int | float)
    ]
    single = bool(strong) and all(dtype == np.float32 for dtype in strong)
    if single:
        return tuple(a.astype(np.float32, copy=False) for a in arrays)
    return tuple(a.astype(np.float64, copy=False) for a in arrays)


def _coefficients(sensor: Sensor, band: str, b09_law: B09Law) -> tuple[float, float, float] | None:
    if band != "b09":
        rows = _WATER.get(band)
        return None if rows is None else rows[SENSORS.index(sensor)]
    try:
        return B09_LAWS[b09_law][SENSORS.index(sensor)]
    except KeyError:
        raise UsageError(
            "no such water-vapour law of B09",
            where=repr(b09_law),
            expected="one of " + ", ".join(B09_LAWS),
        ) from None


_Row = tuple[float, float, float]

_LN_10: Final = float(np.log(10.0))
#: Limits of the parabola in x = ln(column / g cm-2); power laws outside.
_X_LIMITS: Final = (float(np.log(0.1)), float(np.log(40.0)))

# c0, c1, c2 for S2A, S2B, S2C. Fit residuals below 5e-4. B01 and B02 hold no water.
_WATER: Final[dict[str, tuple[_Row, _Row, _Row]]] = {
    "b03": ((-7.3932, 1.0427, -0.0312), (-7.4022, 1.0439, -0.0322), (-7.2629, 1.0417, -0.0311)),
    "b04": ((-5.8887, 1.0019, -0.0532), (-5.9848, 1.0014, -0.0528), (-6.0970, 0.9979, -0.0526)),
    "b05": ((-4.4389, 0.9357, -0.0396), (-4.4158, 0.9339, -0.0400), (-4.5188, 0.9380, -0.0358)),
    "b06": ((-4.5691, 0.9816, -0.0488), (-4.2754, 0.9547, -0.0478), (-4.6068, 0.9730, -0.0493)),
    "b07": ((-5.7415, 0.9989, -0.0552), (-6.3160, 1.0079, -0.0546), (-5.5420, 0.9980, -0.0539)),
    "b08": ((-3.6828, 0.7354, -0.0356), (-3.7003, 0.7378, -0.0359), (-3.6374, 0.7327, -0.0357)),
    "b8a": ((-7.9619, 1.0398, -0.0287), (-7.7987, 1.0402, -0.0293), (-8.2275, 1.0361, -0.0270)),
    "b10": ((1.0953, 0.4388, -0.0118), (1.0543, 0.4329, -0.0125), (1.0941, 0.4359, -0.0136)),
    "b11": ((-7.4526, 1.0261, -0.0168), (-7.4336, 1.0257, -0.0165), (-7.4331, 1.0259, -0.0168)),
    "b12": ((-4.2554, 0.8798, -0.0520), (-4.1507, 0.8901, -0.0524), (-4.2226, 0.8890, -0.0523)),
}


def _power_law(a: float, b: float) -> tuple[_Row, _Row, _Row]:
    """``exp(-a w^b)`` for S2A; the other sensors keep the ratio that 6SV finds at 2 g cm-2."""
    row = float(np.log(a)), b, 0.0
    shift = [c0 - _B09_6SV[0][0] for c0, _, _ in _B09_6SV]
    return row, (row[0] + shift[1], b, 0.0), (row[0] + shift[2], b, 0.0)


_B09_6SV: Final = (
    (-0.4229, 0.5390, -0.0210),
    (-0.4064, 0.5384, -0.0211),
    (-0.4895, 0.5448, -0.0214),
)

#: Candidate laws of water vapour in B09, each c0, c1, c2 for S2A, S2B, S2C. They differ by 10 to
#: 40 % in column; `benchmarks/water_vapour_law.py` compares them with independent columns.
B09_LAWS: Final[dict[B09Law, tuple[_Row, _Row, _Row]]] = {
    "6sv": _B09_6SV,  # lines only, AFGL 1980s; fit residual 0.0034
    # Band models of 2013, fitted to four spectra of 5 nm: `benchmarks/water_vapour_law.py`.
    "modtran": (
        (float(np.log(0.5603)), 0.6272, 0.0),
        (float(np.log(0.5772)), 0.6236, 0.0),
        (float(np.log(0.5363)), 0.6278, 0.0),
    ),
    "sen2cor": _power_law(0.654, 0.587),  # tables behind the operational processor
    "lowtran7": _power_law(0.487, 0.62),  # 20 cm-1 band model with continuum
    "sunphotometer": _power_law(0.62, 0.59),  # practice at 940 nm, 10 nm wide
}

# Absorption coefficient for S2A, S2B, S2C. [1 / cm-atm] Chappuis and the wings of Wulf and Huggins;
# nothing tabulated beyond 0.77 um.
_OZONE: Final[dict[str, tuple[float, float, float]]] = {
    "b01": (0.00251, 0.00246, 0.00269),
    "b02": (0.02431, 0.02402, 0.02183),
    "b03": (0.09834, 0.09723, 0.09936),
    "b04": (0.04989, 0.04955, 0.04797),
    "b05": (0.02035, 0.02046, 0.01932),
    "b06": (0.01085, 0.01093, 0.01079),
    "b07": (0.0, 0.00007, 0.0),
    **dict.fromkeys(("b08", "b8a", "b09", "b10", "b11", "b12"), (0.0, 0.0, 0.0)),
}

# Optical depth of each well-mixed gas at two airmasses, 1013 hPa and the mixing ratio of 6SV, as
# (band, depth): -ln of the transmittances CO2 .9734 and .9997, CH4 .9929 and .9646, N2O .9967,
# O2 .9997 and .9999. No band of the instrument holds 760 or 687 nm.
_CO2: Final = {"b11": 0.02696, "b12": 0.00030}
_CH4: Final = {"b11": 0.00713, "b12": 0.03604}
_N2O: Final = {"b12": 0.00331}
_O2: Final = {"b07": 0.00030, "b08": 0.00010}

# Mixing ratios of about 2024 over those of 6SV: CO2 420 / 330 ppm, CH4 1.93 / 1.70 ppm, N2O
# 0.337 / 0.31 ppm (NOAA Global Monitoring Laboratory, https://gml.noaa.gov/ccgg/trends).
_GROWTH: Final = ((_CO2, 420.0 / 330.0), (_CH4, 1.93 / 1.70), (_N2O, 0.337 / 0.31), (_O2, 1.0))

# Strong lines saturate: their absorption grows with the 0.7th power of the amount (0.5 for strong
# lines, 1 for weak; 0.6 to 0.8 in the LOWTRAN band models). With 1 instead, the transmittance of
# B11 would be 0.003 lower now, and 0.005 lower at three airmasses.
_GROWTH_POWER: Final = 0.7


def _mixed_depths() -> dict[str, float]:
    """Optical depth of all well-mixed gases at two airmasses and standard pressure."""
    out: dict[str, float] = {}
    for table, growth in _GROWTH:
        for band, depth in table.items():
            out[band] = out.get(band, 0.0) + depth * growth**_GROWTH_POWER
    return out


_MIXED: Final = _mixed_depths()

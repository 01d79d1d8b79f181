"""The thirteen bands of the MultiSpectral Instrument, in ESA's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from s2cloud.model.errors import UsageError

__all__ = [
    "BANDS",
    "BAND_INDEX",
    "BAND_INFO",
    "L2A_BANDS",
    "SENSORS",
    "BandInfo",
    "Resolution",
    "Sensor",
    "band_name",
]

Sensor = Literal["S2A", "S2B", "S2C"]
Resolution = Literal[10, 20, 60]

SENSORS: Final[tuple[Sensor, ...]] = get_args(Sensor)


@dataclass(frozen=True, slots=True)
class BandInfo:
    """What does not change from product to product.

    Attributes
    ----------
    name
        Lower-case EOPF name, ``b01`` ... ``b8a`` ... ``b12``.
    index
        Position in ESA's band order, the ``bandId`` of the product metadata.
    resolution
        Native pixel size of the L1C grid. [m]
    common_name
        Common name of the STAC electro-optical extension.
    wavelength_nm
        Response-weighted centre for S2A, S2B, S2C (ESA spectral responses v4.0,
        COPE-GSEG-EOPG-TN-15-0007, 2024). [nm]
    fwhm_nm
        Full width at half maximum for S2A, S2B, S2C, same source. [nm]
    irradiance
        Extraterrestrial solar irradiance at 1 au for S2A, S2B, S2C, as in the product
        metadata. [W m-2 um-1]
    """

    name: str
    index: int
    resolution: Resolution
    common_name: str
    wavelength_nm: tuple[float, float, float]
    fwhm_nm: tuple[float, float, float]
    irradiance: tuple[float, float, float]

    @property
    def esa_name(self) -> str:
        """Upper-case name used by SAFE products, ``B01`` ... ``B8A`` ... ``B12``."""
        return self.name.upper()


_TABLE: Final[tuple[BandInfo, ...]] = (
    BandInfo("b01", 0, 60, "coastal", (442.7, 442.2, 444.2), (19, 19, 20), (1884.69, 1874.30, 1914.61)),
    BandInfo("b02", 1, 10, "blue", (492.7, 492.3, 489.0), (64, 64, 64), (1959.66, 1959.75, 1972.03)),
    BandInfo("b03", 2, 10, "green", (559.8, 558.9, 560.6), (34, 34, 35), (1823.24, 1824.93, 1822.48)),
    BandInfo("b04", 3, 10, "red", (664.6, 664.9, 666.5), (29, 29, 29), (1512.06, 1512.79, 1506.74)),
    BandInfo("b05", 4, 20, "rededge071", (704.1, 703.8, 707.1), (13, 14, 14), (1424.64, 1425.78, 1410.66)),
    BandInfo("b06", 5, 20, "rededge075", (740.5, 739.1, 741.1), (13, 12, 14), (1287.61, 1291.13, 1287.62)),
    BandInfo("b07", 6, 20, "rededge078", (782.8, 779.7, 784.7), (18, 18, 19), (1162.08, 1175.57, 1154.97)),
    BandInfo("b08", 7, 10, "nir", (832.8, 832.9, 834.6), (104, 104, 95), (1041.63, 1041.28, 1037.17)),
    BandInfo("b8a", 8, 20, "nir08", (864.7, 864.0, 865.6), (19, 20, 19), (955.32, 953.93, 957.92)),
    BandInfo("b09", 9, 60, "nir09", (945.1, 943.2, 947.2), (18, 19, 19), (812.92, 817.58, 807.65)),
    BandInfo("b10", 10, 60, "cirrus", (1373.5, 1376.9, 1372.2), (29, 28, 32), (367.15, 365.41, 367.88)),
    BandInfo("b11", 11, 20, "swir16", (1613.7, 1610.4, 1612.0), (89, 92, 89), (245.59, 247.08, 246.31)),
    BandInfo("b12", 12, 20, "swir22", (2202.4, 2185.7, 2191.3), (173, 183, 182), (85.25, 87.75, 86.94)),
)  # fmt: skip

BAND_INFO: Final[dict[str, BandInfo]] = {band.name: band for band in _TABLE}
BANDS: Final[tuple[str, ...]] = tuple(BAND_INFO)
BAND_INDEX: Final[dict[str, int]] = {band.name: band.index for band in _TABLE}

#: Bands delivered at each resolution of a Level-2A product of baseline 04.00 and later.
L2A_BANDS: Final[dict[Resolution, tuple[str, ...]]] = {
    10: ("b02", "b03", "b04", "b08"),
    20: ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b8a", "b11", "b12"),
    60: ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b8a", "b09", "b11", "b12"),
}


def band_name(name: str) -> str:
    """Canonical lower-case name of a band spelt in any usual way (``B8A``, ``b4``, ``B04``).

    Parameters
    ----------
    name
        Any usual spelling.

    Returns
    -------
    str
        One of `BANDS`.

    Raises
    ------
    UsageError
        If it is no Sentinel-2 band.
    """
    text = name.strip().lower().removeprefix("band").removeprefix("b").lstrip("0_ ")
    canonical = f"b{text.zfill(2)}"
    if canonical not in BAND_INFO:
        raise UsageError(
            "not a Sentinel-2 band",
            where=repr(name),
            expected="one of " + ", ".join(BANDS),
            fix="use ESA's band names",
        )
    return canonical

"""Names, paths, types and encodings of the L1C and L2A trees (layout of ESA's EOPF products).

L1C trees hold *counts*: ``reflectance = counts * scale_factor + add_offset`` with the CF
attributes on each variable, so that a block travels as 16-bit integers until a kernel needs it.
L2A trees hold decoded float32 with NaN for no-data, and an ``encoding`` for writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    from s2cloud.model.bands import Resolution

__all__ = [
    "CAMS",
    "CLOUD_CLASSES",
    "CLOUD_MASK",
    "DETECTOR_FOOTPRINT",
    "ECMWF",
    "ENCODINGS",
    "FLAGS",
    "GEOMETRY",
    "L1C_CLASSIFICATION",
    "LAND_COVER",
    "NODATA",
    "OVERVIEW",
    "PROBABILITY",
    "QUALITY_MASK",
    "REFLECTANCE",
    "SATURATED",
    "SCL",
    "SCL_PATH",
    "TERRAIN",
    "UNCERTAINTY",
    "Encoding",
    "Flag",
    "atmosphere_path",
    "encoding_of",
    "land_cover_path",
    "probability_path",
    "reflectance_path",
    "terrain_path",
    "uncertainty_path",
]

NODATA: Final = 0
SATURATED: Final = 65535

REFLECTANCE: Final = "measurements/reflectance"
#: The whole tile on its 60 m grid, all bands, for statistics over the scene; ours, not ESA's.
OVERVIEW: Final = "measurements/overview"
GEOMETRY: Final = "conditions/geometry"
ECMWF: Final = "conditions/meteorology/ecmwf"
CAMS: Final = "conditions/meteorology/cams"
#: Elevation and what follows from it, on the grids of the tile; ours, not ESA's.
TERRAIN: Final = "conditions/terrain"
#: Codes of land cover, water and snow occurrence from global maps; ours, not ESA's.
LAND_COVER: Final = "conditions/landcover"
DETECTOR_FOOTPRINT: Final = "conditions/mask/detector_footprint"
L1C_CLASSIFICATION: Final = "conditions/mask/l1c_classification/r60m"
#: Clouds alone, 1 = cloud; ours, not ESA's.
CLOUD_MASK: Final = "conditions/mask/cloud"
QUALITY_MASK: Final = "quality/mask"
PROBABILITY: Final = "quality/probability/r20m"
SCL_PATH: Final = "conditions/mask/l2a_classification"
#: Bits of `Flag`; ours, not ESA's.
FLAGS: Final = "quality/mask/flags"
#: One-sigma uncertainty of the surface reflectance; ours, not ESA's.
UNCERTAINTY: Final = "quality/uncertainty"


def reflectance_path(resolution: Resolution) -> str:
    """Node of the reflectance bands of one resolution, ``measurements/reflectance/r10m``."""
    return f"{REFLECTANCE}/r{resolution}m"


def atmosphere_path(resolution: Resolution) -> str:
    """Node of ``aot`` and ``wvp`` at one resolution, ``quality/atmosphere/r10m``."""
    return f"quality/atmosphere/r{resolution}m"


def terrain_path(resolution: Resolution) -> str:
    """Node of the elevation on one grid, ``conditions/terrain/r20m``.

    At 20 m the pixels of the reflectance, at 60 m those of the whole tile and a margin around it.
    """
    return f"{TERRAIN}/r{resolution}m"


def land_cover_path(resolution: Resolution) -> str:
    """Node of ``land_cover``, ``water_bodies``, ``snow_condition``: ``conditions/landcover/r20m``.

    At 20 m the pixels of the reflectance, at 60 m those of the overview.
    """
    return f"{LAND_COVER}/r{resolution}m"


def probability_path(resolution: Resolution) -> str:
    """Node of ``cld`` and ``snw``, ``quality/probability/r20m``."""
    return f"quality/probability/r{resolution}m"


def uncertainty_path(resolution: Resolution) -> str:
    """Node of the uncertainty of the bands of one resolution, ``quality/uncertainty/r10m``."""
    return f"{UNCERTAINTY}/r{resolution}m"


class Flag(IntFlag):
    """Bits of the ``flags`` of a pixel; 0 is a pixel without data.

    The sun, aerosol and terrain of a pixel, and what was done to all pixels of a product.
    """

    VALID = 1 << 0
    #: A count of any band was beyond the range of the instrument.
    SATURATED = 1 << 1
    #: The sun stands lower than 20 degrees above the horizon.
    SZA_ABOVE_70 = 1 << 2
    AOT_ABOVE_1 = 1 << 3
    #: An angle, the optical thickness or the pressure lies beyond the look-up table.
    OUTSIDE_LUT = 1 << 4
    #: The scene has too little green vegetation to tell the aerosol.
    LOW_DARK_VEGETATION = 1 << 5
    #: Light of thin cirrus was taken away from this pixel.
    CIRRUS_CORRECTED = 1 << 6
    #: The light of the surroundings was not told from that of the pixel.
    ADJACENCY_OFF = 1 << 7
    #: Within 120 m of the border between two detectors, in any band.
    DETECTOR_EDGE = 1 << 8
    #: The sun does not reach more than half of the pixel, for terrain stands in its way.
    TERRAIN_SHADOW = 1 << 9
    #: The correction of the slope was held back.
    STEEP_SLOPE_LIMITED = 1 << 10


class SCL(IntEnum):
    """Classes of the scene classification, baselines 04.00 and later."""

    NO_DATA = 0
    SATURATED_OR_DEFECTIVE = 1
    CAST_SHADOW = 2
    CLOUD_SHADOW = 3
    VEGETATION = 4
    NOT_VEGETATED = 5
    WATER = 6
    UNCLASSIFIED = 7
    CLOUD_MEDIUM_PROBABILITY = 8
    CLOUD_HIGH_PROBABILITY = 9
    THIN_CIRRUS = 10
    SNOW_ICE = 11


#: Classes that count as cloud in the product's cloud cover.
CLOUD_CLASSES: Final = (
    SCL.CLOUD_MEDIUM_PROBABILITY,
    SCL.CLOUD_HIGH_PROBABILITY,
    SCL.THIN_CIRRUS,
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a decoded variable is stored: ``stored = round((value - offset) / scale)``.

    Attributes
    ----------
    dtype
        Type on disk.
    scale, offset
        ``value = stored * scale + offset``.
    fill
        Stored value of no-data.
    minimum, maximum
        Smallest and largest stored value of valid pixels; values beyond are clipped.
    units
        Unit of the decoded value, ``1`` if it has none.
    long_name
        Words for plots and metadata.
    """

    dtype: str
    scale: float
    offset: float
    fill: int
    minimum: int
    maximum: int
    units: str
    long_name: str

    @property
    def cf(self) -> dict[str, Any]:
        """The part xarray understands as an encoding."""
        plain = {"dtype": np.dtype(self.dtype), "_FillValue": np.dtype(self.dtype).type(self.fill)}
        if self.scale == 1.0 and self.offset == 0.0:
            return plain
        return {**plain, "scale_factor": self.scale, "add_offset": self.offset}


#: Encodings by short name; every reflectance band uses ``reflectance``.
ENCODINGS: Final[dict[str, Encoding]] = {
    "reflectance": Encoding("uint16", 1e-4, -0.1, 0, 1, 32767, "1", "surface reflectance"),
    "aot": Encoding("uint16", 1e-3, 0.0, 0, 1, 65534, "1", "aerosol optical thickness at 550 nm"),
    # kg m-2 in the tree; stored in thousandths of g cm-2 (1 g cm-2 = 10 kg m-2) as ESA does.
    "wvp": Encoding("uint16", 1e-2, 0.0, 0, 1, 65534, "kg m-2", "total column water vapour"),
    "uncertainty": Encoding(
        *("uint16", 1e-4, 0.0, 0, 1, 65534),
        *("1", "one-sigma uncertainty of the surface reflectance"),
    ),
    "flags": Encoding("uint16", 1.0, 0.0, 0, 0, 65535, "1", "flags of the pixel"),
    "scl": Encoding("uint8", 1.0, 0.0, 0, 1, 11, "1", "scene classification"),
    "cld": Encoding("uint8", 1.0, 0.0, 101, 0, 100, "%", "cloud probability"),
    "snw": Encoding("uint8", 1.0, 0.0, 101, 0, 100, "%", "snow probability"),
    "cloud": Encoding("uint8", 1.0, 0.0, 255, 0, 1, "1", "cloud mask"),
}


def encoding_of(variable: xr.DataArray) -> Encoding:
    """Encoding of a variable of an L2A tree, by its name."""
    name = str(variable.name)
    return ENCODINGS.get(name, ENCODINGS["reflectance"])

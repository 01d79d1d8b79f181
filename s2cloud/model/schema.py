"""Names, paths, types and encodings of the L1C and L2A trees (layout of ESA's EOPF products).

L1C trees hold *counts*: ``reflectance = counts * scale_factor + add_offset`` with the CF
attributes on each variable, so that a block travels as 16-bit integers until a kernel needs it.
L2A trees hold decoded float32 with NaN for no-data, and an ``encoding`` for writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    from s2cloud.model.bands import Resolution

__all__ = [
    "CAMS",
    "CLOUD_CLASSES",
    "DETECTOR_FOOTPRINT",
    "ECMWF",
    "ENCODINGS",
    "GEOMETRY",
    "L1C_CLASSIFICATION",
    "NODATA",
    "OVERVIEW",
    "PROBABILITY",
    "QUALITY_MASK",
    "REFLECTANCE",
    "SATURATED",
    "SCL",
    "SCL_PATH",
    "TERRAIN",
    "Encoding",
    "atmosphere_path",
    "encoding_of",
    "probability_path",
    "reflectance_path",
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
DETECTOR_FOOTPRINT: Final = "conditions/mask/detector_footprint"
L1C_CLASSIFICATION: Final = "conditions/mask/l1c_classification/r60m"
QUALITY_MASK: Final = "quality/mask"
PROBABILITY: Final = "quality/probability/r20m"
SCL_PATH: Final = "conditions/mask/l2a_classification"


def reflectance_path(resolution: Resolution) -> str:
    """Node of the reflectance bands of one resolution, ``measurements/reflectance/r10m``."""
    return f"{REFLECTANCE}/r{resolution}m"


def atmosphere_path(resolution: Resolution) -> str:
    """Node of ``aot`` and ``wvp`` at one resolution, ``quality/atmosphere/r10m``."""
    return f"quality/atmosphere/r{resolution}m"


def probability_path(resolution: Resolution) -> str:
    """Node of ``cld`` and ``snw``, ``quality/probability/r20m``."""
    return f"quality/probability/r{resolution}m"


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
    "scl": Encoding("uint8", 1.0, 0.0, 0, 1, 11, "1", "scene classification"),
    "cld": Encoding("uint8", 1.0, 0.0, 101, 0, 100, "%", "cloud probability"),
    "snw": Encoding("uint8", 1.0, 0.0, 101, 0, 100, "%", "snow probability"),
}


def encoding_of(variable: xr.DataArray) -> Encoding:
    """Encoding of a variable of an L2A tree, by its name."""
    name = str(variable.name)
    return ENCODINGS.get(name, ENCODINGS["reflectance"])

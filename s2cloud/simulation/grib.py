"""Forecasts that come with a product: AUX_ECMWFT and AUX_CAMSFO, GRIB edition 1, 9 x 9 nodes.

Keys follow real products, oddities included: steps are counted in minutes since midnight, and
relative humidity and dust claim to lie on a pressure level 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyproj  # noqa: F401  # must be loaded before eccodes, see s2cloud.io.grib

# isort: split
import eccodes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt

__all__ = ["NODES", "TCO3_PER_DU", "Field", "encode"]

#: Nodes along one side.
NODES: Final = 9
#: Column mass of one Dobson unit of ozone. [kg m-2]
TCO3_PER_DU: Final = 2.1415e-5
#: Parameter table, number and type of level by short name.
_PARAMETERS: Final[dict[str, tuple[int, int, str]]] = {
    "tcwv": (128, 137, "sfc"),
    "msl": (128, 151, "sfc"),
    "tco3": (128, 206, "sfc"),
    "10u": (128, 165, "sfc"),
    "10v": (128, 166, "sfc"),
    "r": (128, 157, "pl"),
    "z": (128, 129, "sfc"),
    "aod469": (210, 213, "sfc"),
    "aod550": (210, 207, "sfc"),
    "aod670": (210, 214, "sfc"),
    "aod865": (210, 215, "sfc"),
    "aod1240": (210, 216, "sfc"),
    "bcaod550": (210, 211, "sfc"),
    "duaod550": (210, 209, "pl"),
    "omaod550": (210, 210, "sfc"),
    "ssaod550": (210, 208, "sfc"),
    "suaod550": (210, 212, "sfc"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """Place of the nodes.

    Attributes
    ----------
    north, west, south, east
        Outermost nodes; rounded to thousandths. [degree]
    """

    north: float
    west: float
    south: float
    east: float


def encode(values: Mapping[str, npt.NDArray[np.float64]], place: Field, time: datetime) -> bytes:
    """Messages of a file.

    Parameters
    ----------
    values
        Fields by short name in the order of the file, each of shape (9, 9) from the north-west.
    place
        Where the nodes lie.
    time
        Time for which the fields are valid, UTC.

    Returns
    -------
    bytes
        The messages one after another.
    """
    return b"".join(_message(name, field, place, time) for name, field in values.items())


def _message(name: str, field: npt.NDArray[np.float64], place: Field, time: datetime) -> bytes:
    table, number, level = _PARAMETERS[name]
    minutes = 60 * time.hour + time.minute
    keys = {
        "setLocalDefinition": 1,
        "localDefinitionNumber": 1,
        "marsClass": "ei",
        "marsType": "fc",
        "marsStream": "oper",
        "experimentVersionNumber": "0001",
        "centre": 98,
        "generatingProcessIdentifier": 128,
        "table2Version": table,
        "indicatorOfParameter": number,
        "indicatorOfTypeOfLevel": level,
        "level": 0,
        "dataDate": int(time.strftime("%Y%m%d")),
        "dataTime": 0,
        "indicatorOfUnitOfTimeRange": 0,
        "timeRangeIndicator": 10,
        "P1": minutes // 256,
        "P2": minutes % 256,
        "Ni": NODES,
        "Nj": NODES,
        "latitudeOfFirstGridPoint": round(place.north * 1000),
        "longitudeOfFirstGridPoint": round(place.west * 1000),
        "latitudeOfLastGridPoint": round(place.south * 1000),
        "longitudeOfLastGridPoint": round(place.east * 1000),
        "iDirectionIncrement": round((place.east - place.west) * 1000 / (NODES - 1)),
        "jDirectionIncrement": round((place.north - place.south) * 1000 / (NODES - 1)),
        "bitsPerValue": 16,
    }
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
    try:
        for key, value in keys.items():
            eccodes.codes_set(handle, key, value)
        eccodes.codes_set_values(handle, np.asarray(field, dtype=np.float64).ravel())
        return bytes(eccodes.codes_get_message(handle))
    finally:
        eccodes.codes_release(handle)

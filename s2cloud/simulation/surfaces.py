"""Reflectances of the surfaces that landscapes are made of."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.bands import BANDS
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Sensor

__all__ = ["KIND_CLASS", "Surfaces", "surfaces"]

#: Class of the scene classification of each kind of surface.
KIND_CLASS: Final[dict[str, SCL]] = {
    "vegetation": SCL.VEGETATION,
    "bare": SCL.NOT_VEGETATED,
    "water": SCL.WATER,
    "snow": SCL.SNOW_ICE,
}


@dataclass(frozen=True, slots=True)
class Surfaces:
    """Surfaces of one sensor.

    Attributes
    ----------
    names
        Names such as ``conifer_dark``; their order is the code used by landscapes.
    scl
        Class of each surface, shape (surface,).
    reflectance
        Surface reflectance. [1], shape (surface, band)
    """

    names: tuple[str, ...]
    scl: npt.NDArray[np.uint8]
    reflectance: npt.NDArray[np.float32]

    def code(self, name: str) -> int:
        """Code of a surface."""
        return self.names.index(name)


@cache
def surfaces(sensor: Sensor) -> Surfaces:
    """Surfaces as seen by one sensor, from the table of the package.

    Parameters
    ----------
    sensor
        ``S2A``, ``S2B`` or ``S2C``.

    Returns
    -------
    Surfaces
    """
    table = resources.files("s2cloud.simulation") / "data" / "surfaces.csv"
    with table.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["sensor"] == sensor]
    return Surfaces(
        tuple(row["name"] for row in rows),
        np.array([KIND_CLASS[row["kind"]] for row in rows], dtype=np.uint8),
        np.array([[float(row[band]) for band in BANDS] for row in rows], dtype=np.float32),
    )

"""Light from clouds, and what they leave of the light around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.bands import BAND_INDEX
from s2cloud.physics import gases

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.physics.gases import B09Law
    from s2cloud.simulation.clouds import Layer

    Float32s = npt.NDArray[np.float32]

__all__ = ["CIRRUS_LIMIT", "Gas", "above_cirrus", "above_cloud", "beam_taken", "reflecting"]

#: Least reflectance that makes a pixel cirrus. [1]
CIRRUS_LIMIT: Final = 0.010
#: Scale height of water vapour. [m]
_WATER_SCALE: Final = 2_000.0
#: Two-stream reflectance of a cloud is ``g t / (1 + g t)``, ``g`` = sqrt(3) / 2 (1 - asymmetry).
_BACKSCATTER: Final = 0.13
#: Part of the thickness that takes light out of the direct beam; the rest goes nearly forward.
_BEAM_PART: Final = 0.28
#: Reflectance of endless cloud of drops and of ice by band; both absorb beyond 1 um. [1]
_DROPS: Final = np.array(
    [0.93, 0.93, 0.93, 0.94, 0.94, 0.94, 0.94, 0.94, 0.94, 0.93, 0.80, 0.64, 0.47], np.float32
)
_ICE: Final = np.array(
    [0.93, 0.93, 0.93, 0.94, 0.94, 0.94, 0.93, 0.93, 0.92, 0.90, 0.72, 0.38, 0.31], np.float32
)


@dataclass(frozen=True, slots=True)
class Gas:
    """Gases over a scene, as single numbers: enough for light from clouds.

    Attributes
    ----------
    sensor
        Instrument.
    airmass
        Sum of the slant paths. [1]
    tcwv, tco3
        Columns above the ground. [kg m-2], [DU]
    elevation
        Height of that ground. [m]
    b09_law
        Law of water vapour in B09.
    """

    sensor: Sensor
    airmass: float
    tcwv: float
    tco3: float
    elevation: float
    b09_law: B09Law = "6sv"


def above_cloud(
    toa: Float32s, thickness: Float32s, lit: Float32s, layer: Layer, band: str, gas: Gas
) -> Float32s:
    """Cover a scene with a layer of cloud.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance of what is below. [1]
    thickness, lit
        From `s2cloud.simulation.sight.Sight.rows`.
    layer
        The layer.
    band
        Band.
    gas
        Gases of the scene.

    Returns
    -------
    ndarray
        Top-of-atmosphere reflectance. [1]
    """
    index = BAND_INDEX[band]
    most = float(layer.ice * _ICE[index] + (1 - layer.ice) * _DROPS[index])
    seen = _transmittance(band, gas, float(layer.height.mean()))
    scattered = np.float32(_BACKSCATTER) * thickness
    own = scattered / (1 + scattered / np.float32(most))
    own *= (1 + np.float32(0.22) * lit) * np.float32(seen)
    return np.asarray(own + toa / (1 + scattered))


def above_cirrus(toa: Float32s, thickness: Float32s, layer: Layer, band: str, gas: Gas) -> Float32s:
    """Cover a scene with thin cirrus, which light passes on its way down as well.

    Parameters
    ----------
    toa, thickness, layer, band, gas
        See `above_cloud`.

    Returns
    -------
    ndarray
        Top-of-atmosphere reflectance. [1]
    """
    scattered = np.float32(_BACKSCATTER) * thickness
    below = toa / (1 + scattered)
    return above_cloud(below, thickness, np.zeros_like(thickness), layer, band, gas)


def reflecting(thickness: Float32s) -> Float32s:
    """Reflectance of cloud in the visible. [1]."""
    scattered = np.float32(_BACKSCATTER) * thickness
    return np.asarray(scattered / (1 + scattered))


def beam_taken(thickness: Float32s, cos_sza: float) -> Float32s:
    """Share of the direct beam that cloud takes away. [1]."""
    return np.asarray(1 - np.exp(thickness * np.float32(-_BEAM_PART / cos_sza)))


def _transmittance(band: str, gas: Gas, height: float) -> float:
    above = gas.tcwv * np.exp((gas.elevation - height) / _WATER_SCALE)
    parts = gases.transmittance(
        gas.sensor, band, airmass=gas.airmass, tcwv=above, tco3=gas.tco3, pressure=0.0,
        b09_law=gas.b09_law,
    )  # fmt: skip
    return float(parts.water_vapour * parts.ozone)

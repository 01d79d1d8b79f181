"""The 60 m overview of a scene on its way through the steps, and what they share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms.classification.refine import (
    Planes,
    refine_planes,
)
from s2cloud.algorithms.classification.rules import single
from s2cloud.algorithms.classification.shadow import shadow_vector
from s2cloud.algorithms.classification.steps import Facts
from s2cloud.algorithms.classification.window import Ground, Options, State, planes_of
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "BRIGHT",
    "CIRRUS_MOST",
    "CLOUDS",
    "ENOUGH_SCENE",
    "ENOUGH_STEP",
    "GROUND_GREEN",
    "LAND",
    "LAND_BLUE",
    "LAND_WHITE",
    "PARALLAX",
    "RIM_PX",
    "SNOW_GREEN",
    "Overview",
    "Sky",
]

CLOUDS: Final = (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY)
BRIGHT: Final = (SCL.UNCLASSIFIED, *CLOUDS)
LAND: Final = (SCL.VEGETATION, SCL.NOT_VEGETATED)
#: Largest B10 that tells cirrus, and what step 7 takes for it. [1]
CIRRUS_MOST: Final = 0.012
#: Pixels of land that make a step of altitude.
ENOUGH_STEP: Final = 200
#: What was done about the parallax of clouds.
PARALLAX: Final = (
    "off",
    "no_view_angles",
    "nothing_bright",
    "overcast",
    "bands_registered",
    "used",
    "used_by_design",
)
#: Pixels needed to judge the scene.
ENOUGH_SCENE: Final = 30
#: B02 of clear land is below where the scene does not tell. [1]
LAND_BLUE: Final = 0.15
#: `whiteness` of clear land is at least this (Zhu and Woodcock 2012). [1]
LAND_WHITE: Final = 0.08
#: Clear land is away from clouds by so many pixels.
RIM_PX: Final = 3
#: B03 of snow and of ground without, where the scene does not tell. [1]
SNOW_GREEN: Final = 0.80
GROUND_GREEN: Final = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """Directions of sun and sensor over a scene.

    Attributes
    ----------
    sza, saa
        Zenith and azimuth of the sun. [degree], numbers or shape (y, x)
    vza, vaa
        Zenith and azimuth towards the sensor, likewise.
    shift
        From `parallax_vector`: displacement of B8A per metre of height, (dy, dx) of numbers or
        shape (y, x); None where the product does not know the views of single bands. [m/m]
    shift_known
        Where it is known, shape (y, x); None = everywhere.
    shift_assumed
        Whether it is that of the instrument's design, of unknown sign, for want of anything in
        the product.
    """

    sza: Floats | float
    saa: Floats | float
    vza: Floats | float
    vaa: Floats | float
    shift: tuple[Floats | float, Floats | float] | None = None
    shift_known: Mask | None = None
    shift_assumed: bool = False


class Overview:
    """An overview on its way through the steps."""

    def __init__(
        self, toa: Floats, pixel_size: float, sky: Sky, ground: Ground, options: Options
    ) -> None:
        self.toa = np.ascontiguousarray(toa, dtype=np.float32)
        self.pixel_size = pixel_size
        self.sky = sky
        self.ground = ground
        self.options = options
        shape = self.toa.shape[1:]
        self.flags = np.zeros(shape, np.uint16)
        self.geometric = np.zeros(shape, np.uint8)
        self.at = (np.arange(shape[0]), np.arange(shape[1]))
        self.border: Mask | None = None
        self.spectral: Floats | None = None
        self.reference: Floats | None = None
        #: Snow that may be cloud.
        self.doubtful: Mask | bool = True
        self.height_map: Floats | None = None
        self.heights: tuple[float, float] = (float("nan"), float("nan"))
        self.parallax = "off"
        self.facts = self._facts()

    @cached_property
    def shadow_vector(self) -> tuple[Floats, Floats]:
        """From clouds to their shadows, see `shadow.shadow_vector`."""
        sky = self.sky
        return shadow_vector(sky.sza, sky.saa, sky.vza, sky.vaa, self.pixel_size)

    @cached_property
    def whiteness(self) -> Floats:
        """See `surroundings.whiteness`. [1], shape (y, x)."""
        return np.asarray(self.band("b02") - np.float32(0.5) * self.band("b04"))

    def band(self, name: str) -> Floats:
        """TOA reflectance of a band. [1], shape (y, x)."""
        plane: Floats = self.toa[BAND_INDEX[name]]
        return plane

    def planes(self, state: State) -> Planes:
        """What is known around the pixels by now."""
        return planes_of(
            state,
            self.ground,
            self.flags,
            self.geometric,
            *self.at,
            border=self.border,
            spectral=self.spectral,
        )

    def until(self, state: State, until: int) -> State:
        """Copy of the state after the steps before `until`, with what is known by now."""
        copy = State(state.scl.copy(), state.confidence.copy(), state.near_snow)
        planes = self.planes(copy)
        refine_planes(self.toa, planes, self.facts, until, copy.scl, copy.confidence)
        return copy

    def _facts(self) -> Facts:
        ground = self.ground
        sza = float(np.mean(self.sky.sza))
        rare = False
        if (condition := ground.snow_condition) is not None:
            land = condition[condition < 101]
            rare = bool(land.size and land.sum(dtype=np.int64) > 0 and land.mean() < 10)
        return Facts(
            evolution=self.options.evolution,
            cirrus_land=single(CIRRUS_MOST),
            cirrus_water=single(CIRRUS_MOST),
            cos_sza=single(np.cos(np.radians(sza))),
            cos_lit=single(np.cos(np.radians(min(sza + 5.0, 90.0)))),
            low_sun=sza >= 45.0,
            terrain=ground.slope is not None and ground.cos_incidence is not None,
            water_map=ground.water_bodies is not None,
            snow_map=ground.snow_condition is not None,
            snow_rare=rare,
            shadow_floor=single(0.0),
            land_blue=single(LAND_BLUE),
            land_white=single(LAND_WHITE),
            darkest_water=single(0.0),
            brightest_water=single(np.inf),
            dimmest_blue=single(0.0),
            dimmest_green=single(0.0),
            water_level=single(0.0),
            brightest_soil=single(np.inf),
            cloud_b10=single(0.0),
            snow_green=single(SNOW_GREEN),
            half_snow=single((SNOW_GREEN + GROUND_GREEN) / 2),
            veil_b10=single(CIRRUS_MOST),
            ground_b10=single(np.nan),
            ground_ratio=single(np.nan),
        )

    def set(self, bit: int, mask: Mask) -> None:
        """Set a bit of the flags where a mask is true."""
        self.flags[mask] |= np.uint16(bit)

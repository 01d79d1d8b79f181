"""What the classification must know of the whole scene, from its 60 m overview (scene stage).

Statistics per class, heights and shadows of clouds, and everything that spreads farther than a
halo: large clouds, coasts, built-up land beside clouds. The result is small and does not depend
on how the tile is cut into blocks; blocks look it up by position.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification import parallax, shadow, steps
from s2cloud.algorithms.classification.matching import matched_heights
from s2cloud.algorithms.classification.mixtures import tidy_shores
from s2cloud.algorithms.classification.morphology import box_count, box_dilated, majority
from s2cloud.algorithms.classification.refine import (
    UNTIL_BRIGHT,
    UNTIL_CIRRUS,
    UNTIL_END,
    UNTIL_PARALLAX,
    UNTIL_SHADOW,
    Planes,
    levelled_planes,
    mark_shadows,
    refine_planes,
    settle_planes,
)
from s2cloud.algorithms.classification.rules import single
from s2cloud.algorithms.classification.steps import Facts
from s2cloud.algorithms.classification.window import (
    Ground,
    Options,
    State,
    grown,
    planes_of,
    pointwise,
    snow_soil_border,
    tidy_shade,
)
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["PARALLAX", "ClassificationScene", "Sky", "classify_scene"]

logger = logging.getLogger(__name__)

_CLOUDS: Final = (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY)
_SKY: Final = (*_CLOUDS, SCL.THIN_CIRRUS)
_BRIGHT: Final = (SCL.UNCLASSIFIED, *_CLOUDS)
_LAND: Final = (SCL.VEGETATION, SCL.NOT_VEGETATED)

#: Least and largest B10 that tells cirrus over water, over land. [1]
_CIRRUS_WATER: Final = 0.0020
_CIRRUS_LAND: Final = 0.0030
_CIRRUS_MOST: Final = 0.012
#: Altitude up to which a scene without terrain model is taken for low. [m]
_HIGHEST_UNKNOWN: Final = 800.0
#: Pixels of land that make a step of altitude.
_ENOUGH_STEP: Final = 200
#: Opening that leaves large clouds: shrink, then grow. [m]
_SHRINK_M: Final = 60.0
_GROW_M: Final = 180.0
#: Area of clouds that grow at coasts and beside built-up land too: 1000 pixels of 20 m. [m2]
_BLOB_M2: Final = 400_000.0
#: Reach of a coast and of built-up land. [m]
_COAST_M: Final = 120.0
_URBAN_M: Final = 180.0
#: Land cover codes (LCCS), and the share of its ring under cloud at which a bright blob stays.
_URBAN: Final = ((190,), 0.20)
_BARE: Final = ((200, 201, 202), 0.35)
_SEA: Final = 210
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
#: Certain cloud without a gap over such a distance is cloud without parallax. [m]
_OPAQUE_M: Final = 600.0
#: Heights above ground: what is lower is no cloud; snow that is higher is one. [m]
_LOWEST_CLOUD: Final = 350.0
_HIGHEST_SNOW: Final = 700.0
#: Parallax is not asked above this cloud cover. [1]
_OVERCAST: Final = 0.95
#: Half side of the square over which heights are averaged. [m]
_HEIGHT_M: Final = 180.0
#: Heights needed to judge the cloud they belong to, and to judge the scene.
_ENOUGH: Final = 5
_ENOUGH_SCENE: Final = 30
#: Mean plus deviation of cloud heights above which they are not believed. [m]
_UNBELIEVABLE: Final = 5000.0
#: B02 of clear land is below where the scene does not tell, else the percentile; away from clouds
#: by so many pixels. [1]
_LAND_BLUE: Final = 0.15
_LAND_BLUE_PERCENTILE: Final = 95.0
_RIM_PX: Final = 3
#: B10 of a cloud of ice over that of the scene's snow: more than two kilometres of altitude, at
#: 0.49 km-1 (see `steps.levelled_b10`), make up for; terrain models and slopes err by less.
_VEILED_SNOW: Final = 3.0
#: B03 of snow and of ground without, where the scene does not tell. [1]
_SNOW_GREEN: Final = 0.80
_GROUND_GREEN: Final = 0.10
#: Distance within which snow counts as lying around, and the share of the square it must cover.
_SNOWY_M: Final = 1500.0
_SNOWY_SHARE: Final = 0.02
#: B8A of water in this scene is at most this much above the percentile of what is clear.
_WATER_NIR: Final = (95.0, 1.1)
#: B11 below which nothing is sunlit where no clear water was seen. [1]
_DARKEST_UNSEEN: Final = 0.0075
#: Share of the B11 of sunlit water below which nothing is sunlit. [1]
_DARKER_THAN_WATER: Final = 0.75


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationScene:
    """Result of the scene stage.

    Attributes
    ----------
    flags
        Bits of `s2cloud.algorithms.classification.steps`, uint16, shape (y, x).
    geometric
        Possibility that cloud shadow falls here, in 255ths; shape (y, x).
    reference
        Brightness of sunlit land from `shadow.clear_reference`, None if none is clear.
    facts
        Numbers for the compiled steps.
    pixel_size
        Of the overview. [m]
    cloud_height
        Mean and standard deviation over the clouds whose parallax could be measured, NaN if none
        could. [m]
    maps
        Which maps were used.
    parallax
        One of `PARALLAX`: used with the views of the product or of the instrument's design, or
        why it was not.
    """

    flags: npt.NDArray[np.uint16]
    geometric: Codes
    reference: Floats | None
    facts: Facts
    pixel_size: float
    cloud_height: tuple[float, float]
    maps: tuple[str, ...]
    parallax: str


def classify_scene(
    toa: Floats,
    pixel_size: float,
    sky: Sky,
    ground: Ground,
    options: Options,
    *,
    defective: Mask | None = None,
    model: Floats | None = None,
) -> tuple[ClassificationScene, Codes]:
    """Classify the overview and keep what the blocks need.

    Parameters
    ----------
    toa
        TOA reflectance of the overview, bands in ESA's order, NaN = no-data. [1], shape (13, y, x)
    pixel_size
        [m]
    sky, ground, options
        Directions; maps and terrain on the same pixels; choices.
    defective
        Saturated or lost, shape (y, x).
    model
        Cloud probability of a classifier. [1], shape (y, x)

    Returns
    -------
    scene : ClassificationScene
    scl : ndarray
        Classes of the overview itself, shape (y, x).
    """
    return _Overview(toa, pixel_size, sky, ground, options).classify(defective, model)


class _Overview:
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
        self.height_map: Floats | None = None
        self.heights: tuple[float, float] = (float("nan"), float("nan"))
        self.parallax = "off"
        self.facts = self._facts()

    def band(self, name: str) -> Floats:
        plane: Floats = self.toa[BAND_INDEX[name]]
        return plane

    def classify(
        self, defective: Mask | None, model: Floats | None
    ) -> tuple[ClassificationScene, Codes]:
        state = pointwise(self.toa, self.ground, self.options, defective, model)
        evolution = self.options.evolution
        self._mark_ground()
        settle_planes(self.toa, self._planes(state), self.facts, *_parts(state))
        if evolution:
            self._mark_snow(state.scl)
            self.border = snow_soil_border(state.scl, self.pixel_size)
        else:
            cloud = majority(state.confidence[0] > np.float32(0.33), 1)
            self._cast_shadows(box_dilated(cloud, 1), None, state)
        self._find_cirrus(self._until(state, UNTIL_CIRRUS))
        if evolution:
            self._mark_clouds(self._until(state, UNTIL_BRIGHT))
            now = self._until(state, UNTIL_PARALLAX)
            self._measure_heights(now)
            now = self._until(state, UNTIL_SHADOW)
            cloud = majority(np.isin(now.scl, _CLOUDS), 1)
            self._cast_shadows(cloud, self.height_map, now)
        done = self._until(state, UNTIL_END)
        self._mark_coasts(done.scl)
        if evolution:
            if self.facts.terrain:
                tidy_shade(done.scl)
            tidy_shores(self.toa, done.scl, self.flags)
            scl = grown(done, self.flags, self.border, self.options, self.pixel_size)
        else:
            scl = done.scl
        maps = ("elevation", "land_cover", "water_bodies", "snow_condition")
        scene = ClassificationScene(
            flags=self.flags,
            geometric=self.geometric,
            reference=self.reference,
            facts=self.facts,
            pixel_size=self.pixel_size,
            cloud_height=self.heights,
            maps=tuple(name for name in maps if getattr(self.ground, name) is not None),
            parallax=self.parallax,
        )
        return scene, scl

    # -- between the steps ----------------------------------------------------------------------

    def _planes(self, state: State) -> Planes:
        return planes_of(
            state,
            self.ground,
            self.flags,
            self.geometric,
            *self.at,
            border=self.border,
            spectral=self.spectral,
        )

    def _until(self, state: State, until: int) -> State:
        """Copy of the state after the steps before `until`, with what is known by now."""
        copy = State(state.scl.copy(), state.confidence.copy(), state.near_snow)
        planes = self._planes(copy)
        refine_planes(self.toa, planes, self.facts, until, *_parts(copy))
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
            cirrus_land=single(_CIRRUS_MOST),
            cirrus_water=single(_CIRRUS_MOST),
            cos_sza=single(np.cos(np.radians(sza))),
            cos_lit=single(np.cos(np.radians(min(sza + 5.0, 90.0)))),
            low_sun=sza >= 45.0,
            terrain=ground.slope is not None and ground.cos_incidence is not None,
            water_map=ground.water_bodies is not None,
            snow_map=ground.snow_condition is not None,
            snow_rare=rare,
            shadow_floor=single(0.0),
            land_blue=single(_LAND_BLUE),
            darkest_water=single(0.0),
            brightest_water=single(np.inf),
            snow_green=single(_SNOW_GREEN),
            half_snow=single((_SNOW_GREEN + _GROUND_GREEN) / 2),
            ground_b10=single(np.nan),
            ground_ratio=single(np.nan),
        )

    def _set(self, bit: int, mask: Mask) -> None:
        self.flags[mask] |= np.uint16(bit)

    def _mark_ground(self) -> None:
        if self.ground.cast is not None:
            # Sen2Cor widens the shadow by 80 m, more than elevation models are off.
            self._set(steps.CAST, majority(box_dilated(self.ground.cast, 1), 1))
        if self.ground.land_cover is not None:
            self._set(steps.SEA, self.ground.land_cover == _SEA)

    def _mark_snow(self, scl: Codes) -> None:
        """Where snow lies around, and how bright the snow of the scene is."""
        snow = scl == SCL.SNOW_ICE
        if np.count_nonzero(snow) < _ENOUGH_SCENE:
            return
        radius = max(1, round(_SNOWY_M / self.pixel_size))
        share = box_count(snow, radius) / (2 * radius + 1) ** 2
        self._set(steps.SNOWY, share > _SNOWY_SHARE)
        green = float(np.clip(np.percentile(self.band("b03")[snow], 75), 0.5, 1.0))
        self.facts = self.facts._replace(
            snow_green=single(green), half_snow=single((green + _GROUND_GREEN) / 2)
        )

    # -- cirrus ---------------------------------------------------------------------------------

    def _find_cirrus(self, state: State) -> None:
        scl = state.scl
        b10 = self.band("b10")
        if self.options.evolution:
            raw = levelled_planes(self.toa, self._planes(state), self.facts)
            level = self._without_ground(raw, np.isin(scl, _LAND))
            limits, sizes = [], []
            for code in _LAND:
                mask = scl == code
                limits.append(_beyond(level[mask], _CIRRUS_LAND))
                sizes.append(np.count_nonzero(mask))
            land = float(np.average(limits, weights=sizes)) if sum(sizes) else _CIRRUS_MOST
            water = _beyond(b10[scl == SCL.WATER], _CIRRUS_WATER)
            known = self.facts.terrain or self.ground.altitude < _HIGHEST_UNKNOWN
            limit = self._limit_by_height(level, scl, land) if known else _CIRRUS_MOST
            # Single pixels beyond the limit are noise; cirrus is wide.
            seen = ndimage.median_filter(level, 3, mode="nearest") >= limit
            over_water = ndimage.median_filter(b10, 3, mode="nearest") > water
            self._set(steps.CIRRUS, np.where(scl == SCL.WATER, over_water, seen))
            clouds = np.isin(scl, _CLOUDS)
            self._set(steps.RIM, box_dilated(clouds, 1))
            blue = self.band("b02")[np.isin(scl, _LAND) & ~box_dilated(clouds, _RIM_PX)]
            if blue.size >= _ENOUGH_STEP:
                brightest = float(np.percentile(blue, _LAND_BLUE_PERCENTILE))
                self.facts = self.facts._replace(land_blue=single(brightest))
            if known:
                self._mark_veiled_snow(raw, scl)
        else:
            land = max(_spread(b10[scl == SCL.NOT_VEGETATED], 3.0), _CIRRUS_LAND)
            water = max(_spread(b10[scl == SCL.WATER], 3.0), _CIRRUS_WATER)
            self._set(steps.CIRRUS, b10 > min(land, water))
            self._classic_ground(scl)
        self.facts = self.facts._replace(cirrus_land=single(land), cirrus_water=single(water))
        self._mark_built_up(scl)

    def _mark_veiled_snow(self, level: Floats, scl: Codes) -> None:
        """Snow that shows far more in B10 than the snow of the scene is a cloud of ice."""
        snow = scl == SCL.SNOW_ICE
        if np.count_nonzero(snow) < _ENOUGH_SCENE:
            return
        usual = float(np.median(level[snow]))
        over = ndimage.median_filter(level, 3, mode="nearest") > _VEILED_SNOW * usual
        self._set(steps.HIGH, snow & over & (self.band("b10") > _CIRRUS_LAND))

    def _without_ground(self, level: Floats, land: Mask) -> Floats:
        """B10 less what ground brighter than usual adds to it: dry air lets it through."""
        bright = (self.band("b8a") + self.band("b11")) / 2
        if not land.any():
            return level
        usual = float(np.median(bright[land]))
        share = max(float(np.median(level[land])), 0.0) / max(usual, 1e-3)
        over = np.maximum(bright - np.float32(usual), np.float32(0.0))
        return np.asarray(level - np.float32(share) * over, dtype=np.float32)

    def _limit_by_height(self, level: Floats, scl: Codes, land: float) -> Floats | float:
        """Limit of cirrus over land in steps of 200 m: high ground shows more than formulas say."""
        if not self.facts.terrain or self.ground.elevation is None:
            return land
        step = np.nan_to_num(np.floor(self.ground.elevation / 200.0)).astype(np.int64)
        step = np.clip(step, 0, 7)
        of_step = np.full(8, land)
        for k in range(8):
            values = level[(step == k) & np.isin(scl, _LAND)]
            if values.size >= _ENOUGH_STEP:
                of_step[k] = max(land, _beyond(values, _CIRRUS_LAND))
        return np.asarray(of_step[step], dtype=np.float32)

    def _classic_ground(self, scl: Codes) -> None:
        """Limits of step 9 of 2.8: B10 and vapour above land; needs the land cover map."""
        land = np.isin(scl, _LAND)
        area = np.count_nonzero(land) * self.pixel_size**2
        valid = np.count_nonzero(scl > SCL.SATURATED_OR_DEFECTIVE)
        if self.ground.land_cover is None or area < max(121e6, 0.05 * valid * self.pixel_size**2):
            return
        b10 = self.band("b10").astype(np.float64)
        high = scl == SCL.CLOUD_HIGH_PROBABILITY
        share = int(np.count_nonzero(high)) / max(int(valid), 1)
        limit = float(b10[land].mean())
        if share > 0.20:
            limit = min(limit, max(0.0015, b10[high].mean() - 2 * b10[high].std()))
        elif share >= 0.02:
            limit = min(limit, 0.0015)
        vapour = (self.band("b09") / np.maximum(self.band("b8a"), np.float32(1e-6)))[land]
        ratio = float(vapour.mean(dtype=np.float64) + vapour.std(dtype=np.float64))
        self.facts = self.facts._replace(ground_b10=single(limit), ground_ratio=single(ratio))

    # -- bright ground --------------------------------------------------------------------------

    def _mark_built_up(self, scl: Codes) -> None:
        cover = self.ground.land_cover
        if cover is None:
            return
        cloudy = np.isin(scl, (*_BRIGHT, SCL.THIN_CIRRUS, SCL.CLOUD_SHADOW))
        for codes, limit in (_URBAN, _BARE):
            zone = np.isin(cover, codes)
            if codes == _URBAN[0]:
                zone = box_dilated(zone, max(1, round(_URBAN_M / self.pixel_size)))
                self._set(steps.URBAN, zone)
            if not zone.any():
                continue
            doubtful = np.isin(scl, (SCL.UNCLASSIFIED, SCL.CLOUD_MEDIUM_PROBABILITY))
            blobs, count = ndimage.label(zone & doubtful, np.ones((3, 3)))
            kept = _beside_cloud(blobs, count, cloudy, limit)
            self._set(steps.BUILT, zone & ~box_dilated(kept, 1))

    def _mark_clouds(self, state: State) -> None:
        cloud = np.isin(state.scl, _CLOUDS)
        shrink = max(1, round(_SHRINK_M / self.pixel_size))
        core = ~box_dilated(~cloud, shrink)
        self._set(steps.LARGE, box_dilated(core, max(1, round(_GROW_M / self.pixel_size))))

    def _mark_coasts(self, scl: Codes) -> None:
        clouds = np.isin(scl, _CLOUDS)
        labels, count = ndimage.label(clouds, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        self._set(steps.BLOB, (sizes * self.pixel_size**2 > _BLOB_M2)[labels])
        reach = max(1, round(_COAST_M / self.pixel_size))
        water = scl == SCL.WATER
        if self.ground.water_bodies is not None:
            water |= self.ground.water_bodies == 2
        # Not the rim of a cloud over water: only where land is near as well.
        land = np.isin(scl, (*_LAND, SCL.CAST_SHADOW)) & ~water
        self._set(steps.COAST, box_dilated(water, reach) & box_dilated(land, reach))

    # -- clouds above the ground ----------------------------------------------------------------

    def _measure_heights(self, state: State) -> None:
        scl = state.scl
        if not self.options.parallax:
            return
        if self.sky.shift is None:
            self.parallax = "no_view_angles"
            return
        candidate = np.isin(scl, _BRIGHT) & (state.confidence[0] > 0)
        snow = scl == SCL.SNOW_ICE
        valid = np.count_nonzero(scl > SCL.SATURATED_OR_DEFECTIVE)
        if not candidate.any() and not snow.any():
            self.parallax = "nothing_bright"
            return
        if np.count_nonzero(np.isin(scl, _CLOUDS)) >= _OVERCAST * valid:
            self.parallax = "overcast"
            return
        height, reliable = self._heights(self.sky.shift)
        if self.sky.shift_known is not None:
            reliable &= self.sky.shift_known
        cirrus_like = candidate & reliable & (self.band("b10") > _CIRRUS_MOST)
        enough = np.count_nonzero(cirrus_like) >= _ENOUGH_SCENE
        # B10 sees only what is above most of the water vapour.
        if enough and float(np.median(height[cirrus_like])) < _HIGHEST_SNOW:
            self.parallax = "bands_registered"
            logger.warning("parallax not used: high clouds show none, bands lie on one another")
            return
        assumed = self.sky.shift_assumed
        self.parallax = "used_by_design" if assumed else "used"
        above = self._averaged(height, reliable & candidate, candidate)
        low = candidate & (above < _LOWEST_CLOUD)
        if assumed:
            low &= ~_opaque(scl, self.pixel_size)
        # Bright spots too small for the overview: on ground, and not at the rim of a cloud.
        cloudy = box_dilated(candidate & (above >= _LOWEST_CLOUD), 2)
        low |= ~candidate & ~cloudy & reliable & (height < _LOWEST_CLOUD)
        self._set(steps.LOW, low)
        self._set(steps.LARGE, candidate & (above > _HIGHEST_SNOW))
        over_snow = self._averaged(height, reliable & snow, snow)
        high = reliable & (height > _HIGHEST_SNOW) & (over_snow > _HIGHEST_SNOW)
        if not assumed:
            self._set(steps.HIGH, snow & high)
        cloud = candidate & np.isfinite(above) & (above >= _LOWEST_CLOUD)
        if np.count_nonzero(cloud) >= _ENOUGH_SCENE:
            mean, std = float(above[cloud].mean()), float(above[cloud].std())
            self.heights = (mean, std)
            if mean + std < _UNBELIEVABLE:
                self.height_map = np.where(cloud, above, np.float32(mean))

    def _heights(self, shift: tuple[Floats | float, Floats | float]) -> tuple[Floats, Mask]:
        """Heights by parallax, and where they can be relied on."""
        bands = self.band("b08"), self.band("b8a")
        height, reliable = parallax.cloud_height(*bands, self.pixel_size, shift)
        if self.sky.shift_assumed:
            # Odd and even detectors look at clouds from opposite sides, and which of them does
            # here is not known. The ground shows no displacement towards either.
            back, good = parallax.cloud_height(
                *bands, self.pixel_size, (-np.asarray(shift[0]), -np.asarray(shift[1]))
            )
            better = good & (~reliable | (back > height))
            height, reliable = np.where(better, back, height), reliable | good
        return height, reliable

    def _averaged(self, height: Floats, good: Mask, where: Mask) -> Floats:
        """Mean height around each pixel, of its whole group where none is near; NaN if none."""
        out = np.full(height.shape, np.nan, np.float32)
        if not good.any():
            return out
        size = 2 * max(1, round(_HEIGHT_M / self.pixel_size)) + 1
        count = box_count(good, size // 2)
        total = ndimage.uniform_filter(
            np.where(good, height, np.float32(0)).astype(np.float64), size, mode="constant"
        )
        near = where & (count >= _ENOUGH)
        out[near] = (total[near] * size**2 / count[near]).astype(np.float32)
        labels, groups = ndimage.label(where, np.ones((3, 3)))
        left = where & ~near
        seen = np.bincount(labels[good], minlength=groups + 1)
        index = np.flatnonzero(seen >= _ENOUGH)
        if left.any() and index.size:
            middle = np.full(groups + 1, np.nan, np.float32)
            middle[index] = ndimage.median(height, np.where(good, labels, 0), index)
            out[left] = middle[labels[left]]
        return out

    def _cast_shadows(self, cloud: Mask, height: Floats | None, state: State) -> None:
        if not cloud.any():
            return
        self.geometric = self._shadows_of(cloud, height)
        if self.options.evolution:
            self._learn_darkness(cloud, state.scl)
        self.spectral = spectral_shadow(
            self.toa, self.reference, self.facts.shadow_floor, (0, 0), shadow.CELL
        )
        if self.options.evolution:
            height = self._matched(cloud, height, state)
            self.geometric = self._shadows_of(cloud, height)

    def _shadows_of(self, cloud: Mask, height: Floats | None) -> Codes:
        sky = self.sky
        likely = shadow.geometric_shadow(
            cloud, height, self.pixel_size, sky.sza, sky.saa, sky.vza, sky.vaa
        )
        return np.rint(np.clip(likely, 0.0, 1.0) * 255).astype(np.uint8)

    def _matched(self, cloud: Mask, height: Floats | None, state: State) -> Floats | None:
        """Heights by the shadows themselves, by parallax where there is no match."""
        sky = self.sky
        vector = shadow.shadow_vector(sky.sza, sky.saa, sky.vza, sky.vaa, self.pixel_size)
        anywhere = State(state.scl.copy(), state.confidence.copy(), state.near_snow)
        geometric, self.geometric = self.geometric, np.full_like(self.geometric, 255)
        mark_shadows(self.toa, self._planes(anywhere), self.facts, anywhere.scl)
        self.geometric = geometric
        matched = matched_heights(
            cloud,
            anywhere.scl == SCL.CLOUD_SHADOW,
            state.scl > SCL.SATURATED_OR_DEFECTIVE,
            height,
            *vector,
        )
        if height is not None:
            return np.where(np.isfinite(matched), matched, height)
        return matched if np.isfinite(matched).any() else None

    def _learn_darkness(self, cloud: Mask, scl: Codes) -> None:
        """How bright sunlit land is; where there is none, how unlike shadow clear land is."""
        land = np.isin(scl, _LAND)
        far = (self.geometric == 0) & ~box_dilated(np.isin(scl, _SKY), 2)
        water = self.band("b11")[far & (scl == SCL.WATER)]
        if water.size >= _ENOUGH_SCENE:
            percentile, margin = _WATER_NIR
            infrared = np.percentile(self.band("b8a")[far & (scl == SCL.WATER)], percentile)
            self.facts = self.facts._replace(
                darkest_water=single(_DARKER_THAN_WATER * float(np.median(water))),
                brightest_water=single(margin * float(infrared)),
            )
        else:
            self.facts = self.facts._replace(darkest_water=single(_DARKEST_UNSEEN))
        sunlit = far & land
        reference = shadow.clear_reference(
            self.band("b8a"), self.band("b11"), self.band("b12"), sunlit
        )
        if np.isfinite(reference).all():
            self.reference = reference
        else:
            floor = shadow.shadow_threshold(*_dark_bands(self.toa), land, cloud)
            self.facts = self.facts._replace(shadow_floor=single(floor))


def spectral_shadow(
    toa: Floats, reference: Floats | None, floor: float, origin: tuple[int, int], cell: int
) -> Floats:
    """Likeness to shadow of the pixels of a window.

    Parameters
    ----------
    toa
        TOA reflectance. [1], shape (13, y, x)
    reference
        Sunlit land of the scene on its cells; without one Sen2Cor's absolute spectrum is used.
    floor
        Likeness to that spectrum below which there is no shadow, 0 for the one of 2.8. [1]
    origin
        Row and column of the window's first pixel in the tile.
    cell
        Side of a cell of `reference` in pixels of the window.
    """
    if reference is None:
        if floor > 0:
            return shadow.radiometric_shadow(*_dark_bands(toa), threshold=float(floor))
        return shadow.radiometric_shadow(*_dark_bands(toa))
    around = shadow.reference_at(reference, cell, origin, toa.shape[1:])
    b03, b04, b8a, b11, b12 = (toa[BAND_INDEX[n]] for n in ("b03", "b04", "b8a", "b11", "b12"))
    return shadow.relative_shadow(b03, b04, b8a, b11, b12, around)


def _dark_bands(toa: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Bands of Sen2Cor's spectrum of shadow."""
    b02, b03, b04, b8a, b11, b12 = (
        toa[BAND_INDEX[n]] for n in ("b02", "b03", "b04", "b8a", "b11", "b12")
    )
    return b02, b03, b04, b8a, b11, b12


def _parts(state: State) -> tuple[Codes, Floats]:
    return state.scl, state.confidence


def _beyond(values: Floats, least: float) -> float:
    """As far above the mean of B10 as its first percentile is below, within bounds."""
    values = values[np.isfinite(values)]
    if not values.size:
        return _CIRRUS_MOST
    tail = 2 * float(values.mean(dtype=np.float64)) - float(np.percentile(values, 1))
    return min(max(tail, least), _CIRRUS_MOST)


def _spread(values: Floats, deviations: float) -> float:
    """Mean plus so many standard deviations, 0 of nothing."""
    if not values.size:
        return 0.0
    return float(values.mean(dtype=np.float64) + deviations * values.std(dtype=np.float64))


def _beside_cloud(blobs: npt.NDArray[np.int32], count: int, cloudy: Mask, limit: float) -> Mask:
    """Blobs with more than a share of their ring of one pixel under cloud, shadow or cirrus."""
    if not count:
        return blobs > 0
    kept = np.zeros(count + 1, dtype=bool)
    for number, window in enumerate(ndimage.find_objects(blobs), start=1):
        around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in window)
        blob = blobs[around] == number
        ring = box_dilated(blob, 1) & ~blob
        kept[number] = bool(ring.any() and cloudy[around][ring].mean() > limit)
    return np.asarray(kept[blobs])


def _opaque(scl: Codes, pixel_size: float) -> Mask:
    """Surroundings of places that certain cloud covers without a gap.

    A simulated or resampled image may show clouds without parallax; where the product does not
    vouch for its parallax, thick cloud stays cloud.
    """
    certain = scl == SCL.CLOUD_HIGH_PROBABILITY
    reach = max(1, round(_OPAQUE_M / pixel_size / 2))
    core = certain & ~box_dilated(~certain, reach)
    return box_dilated(core, 2 * reach)

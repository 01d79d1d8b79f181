"""Paints landscapes strip by strip: fields, forests, towns, water, deserts, coasts, mountains.

Every decision depends on the position only, so strips join without seams. Boundaries are sharp;
the instrument blurs them. A pixel is a mixture of two surfaces: which two changes from stand to
stand and field to field, and how much of each also within them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft, ndimage

from s2cloud.model.schema import SCL
from s2cloud.simulation.canvas import Canvas
from s2cloud.simulation.noise import fractal, hashed, tiled
from s2cloud.simulation.raster import magnified

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from s2cloud.simulation.recipes import Recipe
    from s2cloud.simulation.relief import Relief
    from s2cloud.simulation.surfaces import Surfaces

    Floats = npt.NDArray[np.floating]
    Float32s = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Painter"]

#: Texture repeats after so many pixels; it has no seam.
_TEXTURE_PX: Final = 4096
#: Sides of the patches of the scene of that name. [pixel] Share of vegetation and water in it.
_PATCH_PX: Final = 24
_PATCHES_GREEN: Final = 0.45
_PATCHES_WATER: Final = 0.07

_CONIFERS: Final = (
    "conifer_dark", "conifer", "conifer_mature", "forest_shaded", "forest_mixed", "conifer_pale",
)  # fmt: skip
_BROADLEAVES: Final = (
    "broadleaf", "broadleaf_bright", "broadleaf_dense", "broadleaf_light", "broadleaf_olive",
    "forest_mixed", "grove", "broadleaf_pale",
)  # fmt: skip
_UNDERGROWTH: Final = ("soil_dark", "soil_wet", "meadow", "grass_dry", "soil_clay", "scrub")
_ROOFS: Final = (
    "roof_red", "roof_orange", "roof_grey", "roof_red", "concrete", "roof_dark", "paving",
)  # fmt: skip
_BRIGHT_ROOFS: Final = ("roof_bright", "roof_white", "roof_metal", "roof_membrane", "roof_white")
_GARDENS: Final = ("meadow", "broadleaf", "paving", "meadow_lush", "scrub")
_LAKES: Final = ("water_clear", "water_lake", "water_green", "water_brown", "water_bloom")
_SANDS: Final = ("sand", "sand_pale", "soil_sandy", "sand_grey", "soil_bright")
_ROCKS: Final = ("rock_brown", "rock_grey", "rock_dark", "gravel", "rock_brown")
_ALPINE_ROCKS: Final = ("rock_grey", "scree", "rock_pale", "gravel", "rock_dark")
_SNOWS: Final = ("snow_fresh", "snow_fine", "snow_firn", "snow_coarse", "snow_fine")


class Painter:
    """Paints strips of the landscape of a scene.

    Parameters
    ----------
    relief
        Its relief.
    recipe
        Shares of the scene.
    surfaces
        Surfaces, for their codes.
    seed
        Seed of all randomness.
    """

    def __init__(self, relief: Relief, recipe: Recipe, surfaces: Surfaces, seed: int) -> None:
        self.recipe, self.surfaces, self.seed = recipe, surfaces, seed
        self.form = relief.form
        cells = relief.form.shape[0]
        self.width = 6 * cells
        rng = np.random.default_rng([seed, 4])
        self.second_form = fractal(cells, 1.9, rng)
        period = fft.next_fast_len(min(self.width, _TEXTURE_PX), real=True)
        self.fine = fractal(period, 1.15, rng)
        self.wide = fractal(fft.next_fast_len(min(self.width, 2000), real=True), 1.6, rng, 90)
        order = np.argsort(relief.inner, axis=None)
        rank = np.empty(order.size, dtype=np.float32)
        rank[order] = np.linspace(0, 1, order.size, dtype=np.float32)
        self.rank = rank.reshape(relief.inner.shape)
        self.steepness = np.hypot(*np.gradient(relief.inner, 60.0)).astype(np.float32)
        self.forest_above = np.quantile(relief.form, 1 - recipe.forest)
        self.water_below = np.quantile(relief.form, max(recipe.lake, recipe.sea))
        # Only about half of a town is built, and forest and lakes come before towns.
        self.town_above = np.quantile(self.second_form, 1 - min(recipe.town * 1.5, 1.0))
        self.playa_below = np.quantile(relief.form, 0.06)
        self.shore = self._shore() if recipe.sea else None
        self.snow_above = np.quantile(relief.form, 1 - recipe.snow) if recipe.snow else np.inf
        shares = np.cumsum(list(recipe.fields.values()))
        self.field_limits = (shares / shares[-1]).astype(np.float32)
        self.field_codes = self._codes(list(recipe.fields))
        self.paint_ground = {
            "mosaic": self._mosaic,
            "desert": self._desert,
            "coast": self._coast,
            "snow": self._snow,
            "mountain": self._mountain,
            "patches": self._patches,
        }[recipe.ground]

    def paint(self, rows: slice) -> Canvas:
        """Paint some rows, whole 60 m cells."""
        at = slice(rows.start // 6, rows.stop // 6)
        low, other = magnified(self.form, 6, at), magnified(self.second_form, 6, at)
        y, x = np.mgrid[rows, 0 : self.width].astype(np.float32)
        canvas = Canvas(
            y, x, low, other,
            tiled(self.wide, rows, self.width), tiled(self.fine, rows, self.width),
            y + 12 * other, x + 18 * low,
            np.zeros(y.shape, np.uint8), np.zeros(y.shape, np.uint8),
            np.ones_like(y), np.zeros_like(y),
        )  # fmt: skip
        self.paint_ground(canvas)
        return canvas

    def _mosaic(self, c: Canvas) -> None:
        self._fields(c)
        forest = c.low > self.forest_above
        self._forest(c, forest)
        self._town(c, (c.other > self.town_above) & ~forest)
        self._roads(c, ~forest, "asphalt")
        river = np.abs(c.other - 0.12) < 0.006
        self._lakes(c, c.low < self.water_below, river)

    def _snow(self, c: Canvas) -> None:
        self._fields(c)
        forest = c.low > self.forest_above
        # Snow lies in all but the lowest parts, patchy towards their edge.
        depth = c.low - self.snow_above + 0.12 * c.wide
        lies = depth > 0
        field = self._hash(c.bent_x // 58, c.bent_y // 43, 37)
        kind = self._pick(_SNOWS, field)
        full = np.minimum(0.55 + 1.2 * depth + 0.3 * field, 0.99)
        thin = self._code("snow_thin")
        c.lay(lies, kind, np.where(field > 0.4, thin, c.first), full, 0.35 * c.fine)
        self._forest(c, forest)
        c.lay(forest & lies, c.first, self._code("snow_wet"), 0.72 + 0.1 * c.wide)
        self._town(c, (c.other > self.town_above) & ~forest, garden="snow_wet")
        self._roads(c, ~forest, "asphalt")
        river = np.abs(c.other - 0.12) < 0.006
        lake = c.low < self.water_below
        self._lakes(c, lake, river)
        frozen = lake & (c.other + 0.2 * c.wide > -0.1)
        c.lay(frozen, self._code("snow_thin"), self._code("ice_dark"), 0.6 + 0.2 * c.wide)

    def _desert(self, c: Canvas) -> None:
        zone = (c.low + 0.15 * c.wide) * 0.6
        first, second = self._zone(_SANDS, zone), self._zone(_SANDS, zone + 0.4)
        dunes = np.sin((0.9 * c.x + 0.35 * c.y + 45 * c.wide + 120 * c.low) / 9)
        sandy = np.clip(1.2 - np.abs(c.other + 0.5), 0, 1)
        c.lay(c.y >= 0, first, second, 0.5 + 0.3 * c.wide, 0.5 * c.fine + 2.0 * sandy * dunes)
        rocky = c.other + 0.25 * c.wide > 0.75
        bed = 1.3 * c.low + 0.5 * c.other + 0.12 * c.wide
        share = 0.6 + 0.3 * c.wide
        c.lay(rocky, self._zone(_ROCKS, bed), self._zone(_ROCKS, bed + 0.37), share, 1.5 * c.fine)
        wadi = np.abs(c.low + 0.1 * c.wide - 0.35) < 0.012
        c.lay(wadi, self._code("gravel"), self._code("sand_pale"), 0.5 + 0.3 * c.wide)
        playa = c.low < self.playa_below
        c.lay(playa, self._code("playa"), self._code("playa_bright"), 0.5 + 0.4 * c.wide, 0.2)
        # Irrigated circles and scrub along the wadi, a few settlements.
        oasis = (np.abs(c.low + 0.1 * c.wide - 0.35) < 0.05) & (c.wide > -0.3)
        c.lay(oasis, self._code("scrub_open"), self._code("sand"), 0.25 + 0.15 * c.wide)
        lot = self._hash(c.x // 80, c.y // 80, 43)
        circle = np.hypot(c.x % 80 - 40, c.y % 80 - 40) < 36
        green = circle & (np.abs(c.low - 0.35) < 0.4) & (lot < 0.12) & ~rocky
        c.lay(green, self._field_kind(lot / 0.12), self._code("soil_loam"), 0.55 + 0.4 * (lot * 9))
        self._town(c, (c.other < -self.town_above) & ~playa, garden="sand_pale")
        self._roads(c, ~rocky, "asphalt")

    def _coast(self, c: Canvas) -> None:
        self._fields(c)
        forest = c.low > self.forest_above
        self._forest(c, forest)
        assert self.shore is not None  # noqa: S101 -- coasts have a sea
        shore = self._magnified(self.shore, c)
        # Towns stand by the sea, and now and then inland.
        near = np.clip(1.2 - shore / 2500, 0, 1)
        self._town(c, (c.other + 0.8 * near > self.town_above + 0.5) & ~forest)
        self._roads(c, ~forest, "asphalt")
        beach = shore < 45 + 35 * c.wide
        c.lay(beach, self._code("sand"), self._code("sand_pale"), 0.6 + 0.3 * c.wide, 0.3 * c.fine)
        sea = shore < 0
        # A river's plume, streaky, over clear water that deepens.
        mouth = np.clip(0.9 * c.other - 0.1 + 0.3 * c.wide, 0, 1)
        silt = np.clip(np.exp(shore / 900) * (0.25 + mouth), 0, 1)
        deep = np.where(shore < -2500 + 500 * c.wide, self._code("water_deep"),
                        self._code("water_clear"))  # fmt: skip
        turbid = np.where(mouth * np.exp(shore / 500) > 0.6, self._code("water_silt"),
                          self._code("water_turbid"))  # fmt: skip
        c.lay(sea, turbid.astype(np.uint8), deep.astype(np.uint8), silt, 0.3 * c.fine)
        surf = sea & (shore > -22 - 14 * c.wide - 10 * c.fine) & (c.wide > -1)
        c.lay(surf, self._code("foam"), self._code("water_clear"), 0.45 + 0.25 * c.fine)

    def _mountain(self, c: Canvas) -> None:
        height, steep = (self._magnified(field, c) for field in (self.rank, self.steepness))
        rough = height + 0.05 * c.wide + 0.015 * c.fine
        # Belts by the rank of the ground's height: valley, forest, grass, rock, snow.
        snow = 1 - self.recipe.snow
        trees = 0.18 + self.recipe.forest
        grass = trees + 0.4 * (snow - trees)
        self._fields(c)
        self._town(c, (c.other > self.town_above) & (height < 0.15) & (steep < 0.2))
        self._roads(c, height < 0.12, "asphalt")
        self._forest(c, ((rough > 0.18) | (steep > 0.45)) & (rough < trees) & (steep < 0.95))
        belt = 0.8 * c.other + 0.25 * c.wide
        meadow = self._zone(("meadow_alpine", "heath", "meadow_dry", "scrub"), belt)
        alpine = (rough >= trees) & (rough < grass)
        c.lay(alpine, meadow, self._code("scree"), 0.75 + 0.25 * c.wide, c.fine)
        rocky = (rough >= grass) | ((steep > 0.8 + 0.12 * c.wide) & (rough > 0.3))
        share = 0.55 + 0.3 * c.wide
        c.lay(rocky, self._zone(_ALPINE_ROCKS, belt), self._zone(_ALPINE_ROCKS, belt + 0.4),
              share, 1.2 * c.fine)  # fmt: skip
        # Steep ground sheds its snow; the edge is patchy.
        depth = rough - snow - 0.3 * np.maximum(steep - 0.7, 0)
        c.lay(depth > 0, self._zone(_SNOWS, belt), self._code("snow_coarse"), 0.5 + 0.4 * c.wide,
              0.5 * c.fine)  # fmt: skip
        bare = (depth > 0) & (steep > 1.0 + 0.1 * c.fine)
        c.lay(bare, self._code("rock_grey"), self._code("snow_firn"), 0.7)
        patchy = (depth > -0.08) & (depth <= 0) & (c.fine > 0.8)
        c.lay(patchy, self._code("snow_firn"), self._code("rock_grey"), 0.7)
        lake = c.low <= self.water_below
        c.lay(lake, self._code("water_glacial"), self._code("water_lake"), 0.4 + 0.3 * c.wide, 0.1)

    def _patches(self, c: Canvas) -> None:
        kinds = self.surfaces.scl
        draw = self._hash(c.x // _PATCH_PX, c.y // _PATCH_PX, 53)
        kind = self._hash(c.x // _PATCH_PX, c.y // _PATCH_PX, 59)
        green, bare, water = (
            np.flatnonzero(kinds == code).astype(np.uint8)
            for code in (SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.WATER)
        )
        dry = kind < 1 - _PATCHES_WATER
        code = np.where(dry, _chosen(bare, draw), _chosen(water, draw))
        code = np.where(kind < _PATCHES_GREEN, _chosen(green, draw), code)
        c.lay(c.y >= 0, code, code)

    def _fields(self, c: Canvas) -> None:
        # Bent parallelograms of three sizes.
        big = self._hash((c.bent_x * 0.8 + c.bent_y * 0.3) // 310,
                     (c.bent_y * 0.9 - c.bent_x * 0.25) // 260, 7)  # fmt: skip
        column = (c.bent_x * 0.95 + c.bent_y * 0.31) // (34 + 40 * (big > 0.5))
        row = (c.bent_y * 0.95 - c.bent_x * 0.31) // (22 + 30 * (big > 0.3))
        kind = self._hash(column, row, 11)
        vigour = self._hash(column, row, 23)
        below = self._pick(_UNDERGROWTH, (7 * vigour) % 1)
        c.first[:], c.second[:] = self._field_kind(kind), below
        c.share[:] = 0.70 + 0.26 * vigour + 0.07 * c.wide + 0.03 * c.fine
        c.texture[:] = 0.8 * c.fine + 0.5 * (vigour - 0.5) + 0.3 * c.wide

    def _forest(self, c: Canvas, where: Mask) -> None:
        stand = self._hash(c.bent_x // 61, c.bent_y // 47, 31)
        leafy = c.other + 0.5 * c.wide > 0.2
        mate = (stand * 13) % 1
        first = np.where(leafy, self._pick(_BROADLEAVES, stand), self._pick(_CONIFERS, stand))
        second = np.where(leafy, self._pick(_BROADLEAVES, mate), self._pick(_CONIFERS, mate))
        c.lay(where, first, second, 0.55 + 0.3 * c.wide + 0.08 * c.fine, 1.3 * c.fine)
        clearing = where & (stand < 0.06)
        c.lay(clearing, c.first, self._code("grass_dry"), 0.55 + 0.1 * c.wide)

    def _town(self, c: Canvas, where: Mask, garden: str | None = None) -> None:
        if not where.any():
            return
        # Blocks of 80 m between streets; houses of 20 m, halls of 60 m in some quarters.
        x, y, fine = c.x[where], c.y[where], c.fine[where]
        block = self._hash(x // 8, y // 8, 61)
        halls = self._hash(x // 48, y // 48, 67) > 0.75
        small = self._hash(x // 2, y // 2, 5)
        house = np.where(halls, block, small)
        draw = (block * 11 + np.where(halls, 0, 0.5 * small)) % 1
        bright = self._hash(x // 8, y // 8, 71) < self.recipe.bright * (1 + 3 * halls)
        roof = np.where(bright, self._pick(_BRIGHT_ROOFS, draw), self._pick(_ROOFS, draw))
        open_ground = self._pick(_GARDENS if garden is None else (garden,), small)
        street = (x % 8 < 1) | (y % 8 < 1)
        built = (house > 0.3) | street
        at = where.copy()
        at[where] = built
        c.first[at] = np.where(street, self._code("asphalt"), roof)[built]
        c.second[at] = open_ground[built]
        c.share[at] = np.where(street, 0.7, 0.55 + 0.45 * house)[built]
        c.texture[at] = np.where(street, 0.2, 0.5)[built] * fine[built]

    def _roads(self, c: Canvas, where: Mask, name: str) -> None:
        across = (c.x + 0.2 * c.y + 9 * c.low) % 233 < 1.6
        along = (c.y - 0.15 * c.x + 7 * c.other) % 307 < 1.6
        road = (across | along) & where
        c.lay(road, c.first, self._code(name), np.minimum(c.share, 0.45))

    def _lakes(self, c: Canvas, lake: Mask, river: Mask) -> None:
        river &= ~lake & (c.low < self.snow_above)
        kind = np.clip(0.5 + 0.35 * c.other, 0, 0.999)
        share = 0.7 + 0.2 * c.wide
        c.lay(lake, self._pick(_LAKES, kind), self._pick(_LAKES[1:], kind), share, 0.15 * c.fine)
        c.lay(river, self._code("water_river"), self._code("water_turbid"), 0.92, 0.15 * c.fine)

    def _shore(self) -> Float32s:
        """Distance from the shore, positive on land. [m]."""
        slope = np.hypot(*np.gradient(self.form, 60.0))
        smooth = ndimage.gaussian_filter(slope, 4, mode="wrap")
        distance = (self.form - self.water_below) / np.maximum(smooth, 1e-5)
        return np.asarray(np.clip(distance, -2e4, 2e4), dtype=np.float32)

    @staticmethod
    def _magnified(field: Float32s, c: Canvas) -> Float32s:
        return magnified(field, 6, slice(int(c.y[0, 0]) // 6, int(c.y[-1, 0]) // 6 + 1))

    def _field_kind(self, draw: Floats) -> Bytes:
        index = np.searchsorted(self.field_limits, draw, side="right")
        return self.field_codes[np.minimum(index, self.field_codes.size - 1)]

    def _zone(self, names: Sequence[str], field: Floats) -> Bytes:
        """Surfaces that follow one another in the bands of a smooth field."""
        return self._pick(names, field - np.floor(field))

    def _hash(self, a: Float32s, b: Float32s, salt: int) -> Float32s:
        return hashed(a, b, salt, self.seed)

    def _pick(self, names: Sequence[str], draw: Floats) -> Bytes:
        """One of some surfaces by a number in [0, 1)."""
        return _chosen(self._codes(names), draw)

    def _code(self, name: str) -> np.uint8:
        return np.uint8(self.surfaces.code(name))

    def _codes(self, names: Sequence[str]) -> Bytes:
        return np.array([self.surfaces.code(name) for name in names], dtype=np.uint8)


def _chosen(codes: Bytes, draw: Floats) -> Bytes:
    index = (np.clip(draw, 0, 0.999999) * codes.size).astype(np.intp)
    return np.asarray(codes[index])

"""A scene: landscape, relief, clouds and atmosphere put together, seen band by band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.bands import BAND_INDEX, BAND_INFO
from s2cloud.model.schema import SCL
from s2cloud.physics.angles import airmass
from s2cloud.simulation.cloud_optics import (
    CIRRUS_LIMIT,
    Gas,
    above_cirrus,
    above_cloud,
    beam_taken,
    reflecting,
)
from s2cloud.simulation.clouds import clouds
from s2cloud.simulation.forward import band_atmosphere, toa_rows
from s2cloud.simulation.landscape import landscape, reflectance_rows
from s2cloud.simulation.raster import STRIP, block_mean, magnified, strips
from s2cloud.simulation.relief import TerrainRows, relief
from s2cloud.simulation.sight import Rays, Sight
from s2cloud.simulation.state import NODE_STEP
from s2cloud.simulation.surfaces import surfaces
from s2cloud.simulation.truth import stored_reflectance

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.model.grid import Grid
    from s2cloud.simulation.clouds import Clouds
    from s2cloud.simulation.forward import OpticsSource
    from s2cloud.simulation.geometry import Viewing
    from s2cloud.simulation.landscape import Landscape
    from s2cloud.simulation.recipes import Recipe
    from s2cloud.simulation.relief import Relief, Terrain
    from s2cloud.simulation.state import State
    from s2cloud.simulation.surfaces import Surfaces

    Float32s = npt.NDArray[np.float32]

__all__ = ["Classes", "Scene", "make_scene"]

#: Strength of the texture, and noise ``a0 + a1 sqrt(count)`` by band. [count]
_TEXTURE: Final[dict[str, tuple[float, float, float]]] = {
    "b01": (0.7, 3, 0.20), "b02": (1.0, 4, 0.30), "b03": (1.0, 4, 0.30), "b04": (1.1, 4, 0.35),
    "b05": (1.2, 4, 0.30), "b06": (1.3, 4, 0.35), "b07": (1.3, 4, 0.35), "b08": (1.5, 5, 0.40),
    "b8a": (1.3, 4, 0.35), "b09": (0.8, 3, 0.25), "b10": (0.2, 2, 0.10), "b11": (1.2, 4, 0.35),
    "b12": (1.2, 4, 0.35),
}  # fmt: skip
#: Reflectance of clouds, share of the beam taken by them and by terrain, from which on a pixel
#: counts as cloud, as shadow, as terrain shadow; and those below which it is clear.
_CLOUD_LIMIT: Final = 0.12
_SHADOW_LIMIT: Final = 0.30
_TERRAIN_LIMIT: Final = 0.50
_CLEAR_CLOUD: Final = 0.002
_CLEAR_SHADOW: Final = 0.01
_CLEAR_CIRRUS: Final = 0.0005
#: Band whose view of clouds is the truth.
_REFERENCE: Final = "b02"


@dataclass(frozen=True, slots=True)
class Classes:
    """True classes on the 20 m grid.

    Attributes
    ----------
    scl
        Class by the codes of the scene classification.
    masks
        ``cloud``, ``shadow``, ``cirrus``, ``terrain_shadow``; ``snow`` and ``water`` in the sun or
        in shadow; ``clear`` where neither clouds nor shadows change a pixel noticeably. Clouds
        lie where B02 sees them.
    valid
        Where there is data.
    """

    scl: npt.NDArray[np.uint8]
    masks: dict[str, npt.NDArray[np.bool_]]
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scene:
    """All that decides the pixels of a product; from `make_scene`.

    Attributes
    ----------
    grid
        The 10 m grid.
    land, relief, terrain, sky
        Landscape; relief, and how the sun lights it, None on a plane; clouds.
    shadow
        Share of the direct beam taken by clouds, in 255ths on the 20 m grid; None without clouds.
    materials, table, at, viewing, gas
        Surfaces, scattering, atmosphere, view, gases above clouds.
    seed
        Seed of the noise.
    """

    grid: Grid
    land: Landscape
    relief: Relief
    terrain: Terrain | None
    sky: Clouds
    shadow: npt.NDArray[np.uint8] | None
    materials: Surfaces
    table: OpticsSource
    at: State
    viewing: Viewing
    gas: Gas
    seed: int

    def band(self, band: str, offset: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
        """True surface reflectance and counts of one band.

        Parameters
        ----------
        band
            Band.
        offset
            Radiometric offset, -1000 or 0. [count]

        Returns
        -------
        surface, counts
            Stored integers of the truth and of the product, 0 where there is no data, on the
            native grid.
        """
        info = BAND_INFO[band]
        factor = info.resolution // 10
        shape = tuple(n // factor for n in self.grid.shape)
        gain, *noise = _TEXTURE[band]
        reflectance = self.materials.reflectance[:, BAND_INDEX[band]]
        surface = np.empty(shape, dtype=np.uint16)
        cells = 60 // info.resolution
        coarse = np.empty(tuple(n // 6 for n in self.grid.shape), dtype=np.float32)
        for rows in strips(shape[0], STRIP // factor):
            part = reflectance_rows(self.land, reflectance, gain, factor, rows)
            surface[rows] = stored_reflectance(part)
            at = slice(rows.start // cells, rows.stop // cells)
            coarse[at] = block_mean(part, cells)
        atmosphere = band_atmosphere(
            band, self.gas.sensor, self.table, self.at, self.viewing, coarse,
            shadow=self._shadow_rows(6, slice(0, coarse.shape[0])), terrain=self._terrain_60m(),
        )  # fmt: skip
        layers, cirrus = self._sights(band)
        counts = np.empty(shape, dtype=np.uint16)
        for number, rows in enumerate(strips(shape[0], STRIP // factor)):
            # From the stored integers, so that the truth is exactly what was seen.
            ground = surface[rows].astype(np.float32) * np.float32(1e-4) - np.float32(0.1)
            detector = self._detector_rows(band, factor, rows)
            odd = detector % 2 == 1
            shadow = self._shadow_rows(factor, rows)
            terrain = None if self.terrain is None else self.terrain.rows(factor, rows)
            toa = toa_rows(ground, atmosphere, odd, shadow, rows, band, terrain)
            toa = self._below_clouds(toa, band, layers, cirrus, odd, rows)
            rng = np.random.default_rng([self.seed, 3, BAND_INDEX[band], number])
            counts[rows] = _digitised(toa, offset, noise, rng)
            missing = detector == 0
            if missing.any():
                counts[rows][missing] = 0
                surface[rows][missing] = 0
        return surface, counts

    def detectors(self, band: str) -> npt.NDArray[np.uint8]:
        """Number of the detector that sees each pixel, 0 for none, on the native grid."""
        factor = BAND_INFO[band].resolution // 10
        height = self.grid.height // factor
        parts = [
            self._detector_rows(band, factor, rows) for rows in strips(height, STRIP // factor)
        ]
        return np.concatenate(parts)

    def classes(self) -> Classes:
        """True classes on the 20 m grid."""
        scl = self._dominant()
        valid = self.detectors("b05") > 0
        names = ("cloud", "shadow", "cirrus", "terrain_shadow", "clear")
        masks = {name: np.zeros(scl.shape, dtype=np.bool_) for name in names}
        layers, veil = self._sights(_REFERENCE)
        for rows in strips(scl.shape[0], STRIP // 2):
            odd = self._detector_rows(_REFERENCE, 2, rows) % 2 == 1
            clear = np.ones(odd.shape, dtype=np.bool_)
            passing = np.ones(odd.shape, dtype=np.float32)
            for layer in layers:
                thickness, _ = layer.rows(2, rows, odd)
                passing *= 1 - reflecting(thickness)
            masks["cloud"][rows] = passing < 1 - _CLOUD_LIMIT
            clear &= passing > 1 - _CLEAR_CLOUD
            shadow = self._shadow_rows(2, rows)
            if shadow is not None:
                masks["shadow"][rows] = shadow > _SHADOW_LIMIT
                clear &= shadow < _CLEAR_SHADOW
            if veil is not None:
                thickness, _ = veil.rows(2, rows, odd)
                masks["cirrus"][rows] = reflecting(thickness) > CIRRUS_LIMIT
                clear &= reflecting(thickness) < _CLEAR_CIRRUS
            if self.terrain is not None:
                terrain = self.terrain.rows(2, rows)
                dark = (terrain.shaded > _TERRAIN_LIMIT) | (terrain.illumination <= 0)
                masks["terrain_shadow"][rows] = dark
                clear &= (terrain.shaded < _CLEAR_SHADOW) & ~dark
            masks["clear"][rows] = clear
        masks["snow"], masks["water"] = scl == SCL.SNOW_ICE, scl == SCL.WATER
        for name in ("shadow", "cirrus", "terrain_shadow", "snow", "water"):
            masks[name] &= ~masks["cloud"]
        masks = {name: mask & valid for name, mask in masks.items()}
        # Clouds hide everything, cirrus shows what lies below but is a class of its own.
        for name, code in (
            ("terrain_shadow", SCL.CAST_SHADOW),
            ("shadow", SCL.CLOUD_SHADOW),
            ("cirrus", SCL.THIN_CIRRUS),
            ("cloud", SCL.CLOUD_HIGH_PROBABILITY),
        ):
            scl[masks[name]] = code
        scl[~valid] = SCL.NO_DATA
        return Classes(scl, masks, valid)

    def _sights(self, band: str) -> tuple[list[Sight], Sight | None]:
        """Layers of cloud and cirrus as a band sees them."""
        rays = Rays.of_view(self.viewing, band, self.at.y, self.at.x, NODE_STEP)
        ground, veil = self.sky.ground, self.sky.cirrus
        layers = [Sight(layer, rays, ground) for layer in self.sky.layers]
        return layers, None if veil is None else Sight(veil, rays, ground)

    def _below_clouds(
        self,
        toa: Float32s,
        band: str,
        layers: list[Sight],
        cirrus: Sight | None,
        odd: npt.NDArray[np.bool_],
        rows: slice,
    ) -> Float32s:
        factor = BAND_INFO[band].resolution // 10
        azimuth = np.radians(self._centre(self.at.saa))
        sunward = (-float(np.cos(azimuth)), float(np.sin(azimuth)))
        for sight in layers:
            seen = sight.rows(factor, rows, odd, sunward)
            if seen[0].any():
                toa = above_cloud(toa, *seen, sight.layer, band, self.gas)
        if cirrus is not None:
            thickness, _ = cirrus.rows(factor, rows, odd)
            if thickness.any():
                toa = above_cirrus(toa, thickness, cirrus.layer, band, self.gas)
        return toa

    def _shadow_rows(self, factor: int, rows: slice) -> Float32s | None:
        """Share of the direct beam that clouds take, on some rows of a band."""
        if self.shadow is None:
            return None
        unit = np.float32(1 / 255)
        if factor == 1:
            return magnified(self.shadow, 2, slice(rows.start // 2, rows.stop // 2)) * unit
        own = slice(rows.start * factor // 2, rows.stop * factor // 2)
        return block_mean(self.shadow[own], factor // 2) * unit

    def _terrain_60m(self) -> TerrainRows | None:
        if self.terrain is None:
            return None
        steps = strips(self.grid.height // 6, STRIP // 6)
        parts = [self.terrain.rows(6, rows) for rows in steps]
        names = ("elevation", "illumination", "sky_view", "shaded")
        return TerrainRows(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))

    @staticmethod
    def _centre(nodes: npt.NDArray[np.float64]) -> float:
        return float(nodes[tuple(n // 2 for n in nodes.shape)])

    def _detector_rows(self, band: str, factor: int, rows: slice) -> npt.NDArray[np.uint8]:
        grid = self.grid.scaled(factor)
        return self.viewing.detector(band, grid.y[rows, np.newaxis], grid.x[np.newaxis, :])

    def _dominant(self) -> npt.NDArray[np.uint8]:
        """Class that covers most of each 20 m pixel, by the shares of its four 10 m pixels."""
        share = self.land.share * np.float32(1 / 255)
        first, second = self.materials.scl[self.land.first], self.materials.scl[self.land.second]
        codes = np.unique(self.materials.scl)
        most = np.zeros(tuple(n // 2 for n in share.shape), dtype=np.float32)
        out = np.zeros(most.shape, dtype=np.uint8)
        for code in codes:
            cover = block_mean(np.where(first == code, share, 0), 2)
            cover += block_mean(np.where(second == code, 1 - share, 0), 2)
            more = cover > most
            out[more], most[more] = code, cover[more]
        return out


def make_scene(
    grid: Grid,
    recipe: Recipe,
    sensor: Sensor,
    table: OpticsSource,
    at: State,
    viewing: Viewing,
    seed: int,
) -> Scene:
    """Put a scene together.

    Parameters
    ----------
    grid
        The 10 m grid.
    recipe
        Shares of the scene.
    sensor
        Instrument.
    table
        Scattering of the atmosphere: a look-up table or runs of a solver.
    at
        Atmosphere and sun.
    viewing
        Directions to the satellite.
    seed
        Seed of all randomness.

    Returns
    -------
    Scene
    """
    materials = surfaces(sensor)
    ground = relief(grid, recipe, seed, elevation=at.elevation)
    land = landscape(ground, recipe, materials, seed)
    sky = clouds(ground, recipe, seed)
    middle = tuple(n // 2 for n in at.sza.shape)
    sza = float(at.sza[middle])
    gas = Gas(
        sensor, float(airmass(sza, 4.0)), float(at.tcwv.mean()), at.tco3, at.elevation, at.b09_law
    )
    terrain = None if ground.flat else ground.lit(at.sza, at.saa, NODE_STEP)
    shadow = _cloud_shadow(sky, at) if sky.layers else None
    return Scene(grid, land, ground, terrain, sky, shadow, materials, table, at, viewing, gas, seed)


def _cloud_shadow(sky: Clouds, at: State) -> npt.NDArray[np.uint8]:
    """Share of the direct beam that clouds take, in 255ths on the 20 m grid."""
    rays = Rays.of_sun(at.sza, at.saa, NODE_STEP)
    size = 3 * sky.ground.shape[0]
    cos_sza = float(np.cos(np.radians(at.sza)).mean())
    out = np.empty((size, size), dtype=np.uint8)
    sights = [Sight(layer, rays, sky.ground) for layer in sky.layers]
    for rows in strips(size, STRIP // 2):
        left = np.ones((rows.stop - rows.start, size), dtype=np.float32)
        for sight in sights:
            thickness, _ = sight.rows(2, rows)
            left *= 1 - beam_taken(thickness, cos_sza)
        out[rows] = np.rint(255 * (1 - left))
    return out


def _digitised(
    toa: Float32s, offset: int, noise: list[float], rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Counts with noise, within 15 bits and never 0, which means no data."""
    counts = toa * np.float32(10000)
    sigma = np.float32(noise[0]) + np.float32(noise[1]) * np.sqrt(np.maximum(counts, 0))
    counts += sigma * rng.standard_normal(counts.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(counts) - offset, 1, 32767), dtype=np.uint16)

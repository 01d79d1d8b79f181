"""A scene: landscape, clouds and atmosphere put together, seen band by band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.bands import BAND_INDEX, BAND_INFO
from s2cloud.model.schema import SCL
from s2cloud.physics.angles import airmass
from s2cloud.simulation.clouds import CIRRUS_LIMIT, Gas, above_cirrus, above_cloud, clouds
from s2cloud.simulation.forward import band_atmosphere, environment, toa_rows
from s2cloud.simulation.landscape import TEXTURE_UNIT, landscape, reflectance_rows
from s2cloud.simulation.raster import STRIP, block_mean, magnified, strips
from s2cloud.simulation.surfaces import surfaces
from s2cloud.simulation.truth import stored_reflectance

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.model.grid import Grid
    from s2cloud.physics.lut import LookUpTable
    from s2cloud.simulation.clouds import Clouds
    from s2cloud.simulation.forward import State
    from s2cloud.simulation.geometry import Viewing
    from s2cloud.simulation.landscape import Landscape
    from s2cloud.simulation.recipes import Recipe
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
#: Cover from which on a pixel counts as cloud, as shadow, and as free of either.
_CLOUD_LIMIT: Final = 0.30
_SHADOW_LIMIT: Final = 0.30
_CLEAR_LIMIT: Final = 0.004


@dataclass(frozen=True, slots=True)
class Classes:
    """True classes on the 20 m grid.

    Attributes
    ----------
    scl
        Class by the codes of the scene classification.
    masks
        ``cloud``, ``shadow``, ``cirrus``, ``snow``; ``clear`` where none of the first three
        changes a pixel noticeably.
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
    land, sky, materials, table, at, viewing, gas
        Landscape, clouds, surfaces, look-up table, atmosphere, view, gases above clouds.
    seed
        Seed of the noise.
    """

    grid: Grid
    land: Landscape
    sky: Clouds
    materials: Surfaces
    table: LookUpTable
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
            band, self.gas.sensor, self.table, self.at, self.viewing, environment(coarse)
        )
        counts = np.empty(shape, dtype=np.uint16)
        for number, rows in enumerate(strips(shape[0], STRIP // factor)):
            # From the stored integers, so that the truth is exactly what was seen.
            ground = surface[rows].astype(np.float32) * np.float32(1e-4) - np.float32(0.1)
            detector = self._detector_rows(band, factor, rows)
            shadow = self._fraction(self.sky.shadow, factor, rows)
            toa = toa_rows(ground, atmosphere, detector % 2 == 1, shadow, rows, band)
            toa = self._below_clouds(toa, band, factor, rows)
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
        scl = self.materials.scl[self._dominant()]
        valid = self.detectors("b05") > 0
        masks = {"snow": (scl == SCL.SNOW_ICE) & valid}
        clear = valid.copy()
        for name, field, limit in (
            ("cloud", self.sky.cover, _CLOUD_LIMIT),
            ("shadow", self.sky.shadow, _SHADOW_LIMIT),
        ):
            fraction = self._fraction(field, 2, slice(0, scl.shape[0]))
            cover = np.zeros(scl.shape, np.float32) if fraction is None else fraction
            masks[name] = (cover > limit) & valid
            clear &= cover < _CLEAR_LIMIT
        thin = np.zeros(scl.shape, dtype=np.float32)
        if self.sky.cirrus is not None:
            thin = magnified(self.sky.cirrus, 3, slice(0, self.sky.cirrus.shape[0]))
        masks["cirrus"] = (thin > CIRRUS_LIMIT) & valid & ~masks["cloud"]
        masks["shadow"] &= ~masks["cloud"]
        masks["clear"] = clear & (thin < _CLEAR_LIMIT / 10)
        masks["snow"] &= ~masks["cloud"]
        # Clouds hide everything, cirrus shows what lies below but is a class of its own.
        for name, code in (
            ("shadow", SCL.CLOUD_SHADOW),
            ("cirrus", SCL.THIN_CIRRUS),
            ("cloud", SCL.CLOUD_HIGH_PROBABILITY),
        ):
            scl[masks[name]] = code
        scl[~valid] = SCL.NO_DATA
        return Classes(scl, masks, valid)

    def _below_clouds(self, toa: Float32s, band: str, factor: int, rows: slice) -> Float32s:
        cover = self._fraction(self.sky.cover, factor, rows)
        if cover is not None and cover.any():
            own = slice(rows.start * factor, rows.stop * factor)
            texture = block_mean(self.land.texture[own], factor) * np.float32(TEXTURE_UNIT)
            toa = above_cloud(toa, cover, texture, band, self.gas)
        if self.sky.cirrus is not None:
            cells = 6 // factor
            thin = magnified(self.sky.cirrus, cells, slice(rows.start // cells, rows.stop // cells))
            toa = above_cirrus(toa, thin, band, self.gas)
        return toa

    def _fraction(
        self, field: npt.NDArray[np.uint8] | None, factor: int, rows: slice
    ) -> Float32s | None:
        if field is None:
            return None
        part = field[rows.start * factor : rows.stop * factor]
        return block_mean(part, factor) * np.float32(1 / 255)

    def _detector_rows(self, band: str, factor: int, rows: slice) -> npt.NDArray[np.uint8]:
        grid = self.grid.scaled(factor)
        return self.viewing.detector(band, grid.y[rows, np.newaxis], grid.x[np.newaxis, :])

    def _dominant(self) -> npt.NDArray[np.uint8]:
        """Surface of most weight in each 20 m pixel, of those of its upper left 10 m pixel."""
        part = np.s_[::2, ::2]
        return np.where(self.land.share[part] > 127, self.land.first[part], self.land.second[part])


def make_scene(
    grid: Grid,
    recipe: Recipe,
    sensor: Sensor,
    table: LookUpTable,
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
        Look-up table of the aerosol.
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
    middle = tuple(n // 2 for n in at.sza.shape)
    sza, saa = float(at.sza[middle]), float(at.saa[middle])
    gas = Gas(sensor, float(airmass(sza, 4.0)), float(at.tcwv.mean()), at.tco3)
    size = grid.height
    land = landscape(size, recipe, materials, seed)
    sky = clouds(size, recipe, sza, saa, seed)
    return Scene(grid, land, sky, materials, table, at, viewing, gas, seed)


def _digitised(
    toa: Float32s, offset: int, noise: list[float], rng: np.random.Generator
) -> npt.NDArray[np.uint16]:
    """Counts with noise, within 15 bits and never 0, which means no data."""
    counts = toa * np.float32(10000)
    sigma = np.float32(noise[0]) + np.float32(noise[1]) * np.sqrt(np.maximum(counts, 0))
    counts += sigma * rng.standard_normal(counts.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(counts) - offset, 1, 32767), dtype=np.uint16)

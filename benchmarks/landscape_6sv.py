"""Landscapes of real spectra below an atmosphere whose optics are given, as Level-1C trees."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from scipy import ndimage

import s2cloud as s2
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.simulation.spectra import WAVELENGTH, band_reflectances

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SENSOR: Final = "S2A"
SAA: Final = 150.0
#: Seconds after B02 (ESA, Sentinel-2 User Handbook, 2015), and tangent of the view per second.
DELAY: Final = {
    "b02": 0.0, "b08": 0.264, "b03": 0.527, "b10": 0.851, "b04": 1.005, "b05": 1.269, "b11": 1.468,
    "b06": 1.525, "b07": 1.790, "b8a": 2.055, "b12": 2.085, "b01": 2.314, "b09": 2.586,
}  # fmt: skip
SPEED: Final = 9.4e-3
AOTS: Final = (0.02, 0.05, 0.08, 0.12, 0.16, 0.20, 0.25, 0.30, 0.36, 0.42)
#: Surface of the second run of each band, from which the light that comes off the ground follows.
BRIGHT: Final = 0.3
#: Side of a field [m], reach of scattered light [m], side of a scene [10 m pixel].
FIELD_M: Final = 240
SCALE_M: Final = 1000.0
SIZE: Final = 720
VEGETATION: Final = 0.45
WATER: Final = 0.05
TEXTURE: Final = 0.025
#: Width of the point spread, as one sigma. [pixel]
BLUR: Final = 0.5
#: Signal-to-noise ratio at a reflectance: order of magnitude of ESA's requirements.
SNR: Final = 120.0
SNR_AT: Final = 0.15


@dataclass(frozen=True)
class Case:
    """Atmosphere and directions of one scene: [degree], [kg m-2], [DU], [km].

    The direction of view is that of the mean of the bands.
    """

    number: int
    aerosol: str
    aot550: float
    sza: float
    vza: float
    raa: float
    tcwv: float
    tco3: float
    altitude_km: float

    def view(self, band: str) -> tuple[float, float]:
        """Zenith and azimuth of the view of one band: bands look one after the other. [degree]."""
        slope, azimuth = np.tan(np.radians(self.vza)), np.radians(SAA - self.raa)
        ahead = SPEED * (DELAY[band] - np.mean(list(DELAY.values())))
        east, north = slope * np.sin(azimuth), slope * np.cos(azimuth) + ahead
        return (
            float(np.degrees(np.arctan(np.hypot(east, north)))),
            float(np.degrees(np.arctan2(east, north)) % 360.0),
        )


@dataclass(frozen=True)
class Library:
    """Spectra in the 13 bands, shape (spectrum, band), with their names and kinds."""

    names: npt.NDArray[np.str_]
    kinds: npt.NDArray[np.str_]
    values: Floats


def cases() -> list[Case]:
    """Each load of aerosol with either model; the rest is drawn."""
    rng = np.random.default_rng(6)
    heights = {5: 0.5, 14: 1.0}
    return [
        Case(
            n, model, aot, float(rng.integers(20, 61)), float(np.round(rng.uniform(0, 10), 1)),
            float(rng.integers(0, 181)), float(np.round(rng.uniform(5, 40), 1)),
            float(rng.integers(260, 420)), heights.get(n, 0.0),
        )
        for n, (model, aot) in enumerate((m, a) for m in ("continental", "maritime") for a in AOTS)
    ]  # fmt: skip


def library(data: Path) -> Library:
    """Spectra of land and water, without snow."""
    cube = np.load(data / "spectra" / "spechomo_refcube_S2A_a.npz")
    fine = np.load(data / "spectra" / "ecostress_library_with_mixtures_even.npz")
    at = fine["wavelength_nm"].astype(float)
    rows = np.stack([np.interp(WAVELENGTH, at, r) for r in fine["reflectance"].astype(float)])
    measured = np.clip(band_reflectances(rows, SENSOR), 0.002, 1.0)
    bands = [BANDS.index(str(b).lower()) for b in cube["bands"]]
    published = np.clip(cube["reflectance_x10000"].reshape(len(bands), -1).T / 1e4, 0.002, 1.0)
    # The cube has no B09 and B10: they follow the library spectrum most alike in shape.
    shape = np.log(measured[:, bands])
    near = np.array([np.argmin(np.var(shape - row, axis=1)) for row in np.log(published)])
    filled = np.zeros((len(published), len(BANDS)))
    filled[:, bands] = published
    ratio = published / measured[near][:, bands]
    b8a, b09, b10, b11 = (BANDS.index(b) for b in ("b8a", "b09", "b10", "b11"))
    first, last = (ratio[:, bands.index(b)] for b in (b8a, b11))
    filled[:, b09] = measured[near, b09] * first
    filled[:, b10] = measured[near, b10] * np.sqrt(first * last)
    water = {
        r["name"]: [float(r[b]) for b in BANDS]
        for r in csv.DictReader((Path(s2.__file__).parent / "simulation/data/surfaces.csv").open())
        if r["kind"] == "water" and r["sensor"] == SENSOR and r["name"] != "foam"
    }
    names = np.array(
        [f"spechomo {n}" for n in range(len(filled))]
        + [f"ecostress {n}" for n in range(len(measured))]
        + list(water)
    )
    values = np.clip(np.concatenate([filled, measured, list(water.values())]), 0.001, 1.0)
    green, red, nir, swir = (values[:, BANDS.index(b)] for b in ("b03", "b04", "b8a", "b11"))
    kinds = np.full(len(values), "bare", dtype="<U10")
    kinds[(nir - red) / (nir + red) > 0.4] = "vegetation"
    kinds[((green - swir) / (green + swir) > 0.4) & (green > 0.15)] = "snow"
    # Wet and deeply shaded spectra of the libraries are left out: is it water or land?
    kinds[nir < 0.05] = "dark"
    kinds[-len(water) :] = "water"
    return Library(names, kinds, values)


def ground(found: Library, seed: int) -> npt.NDArray[np.intp]:
    """Number of the spectrum of each field, shape (row, column)."""
    rng = np.random.default_rng(seed)
    side = SIZE * 10 // FIELD_M
    count = side * side
    spechomo = np.char.startswith(found.names, "spechomo")

    def drawn(kind: str, number: int) -> list[int]:
        sources = [np.flatnonzero((found.kinds == kind) & s) for s in (spechomo, ~spechomo)]
        sources = [s for s in sources if s.size]
        return [int(rng.choice(sources[n % len(sources)])) for n in range(number)]

    water, green = round(WATER * count), round(VEGETATION * count)
    chosen = drawn("water", water) + drawn("vegetation", green)
    return rng.permutation(chosen + drawn("bare", count - len(chosen))).reshape(side, side)


def surfaces(found: Library, fields: npt.NDArray[np.intp], seed: int) -> dict[str, Floats]:
    """True reflectance of all bands on their own grids."""
    rng = np.random.default_rng(seed + 1000)
    grain = ndimage.gaussian_filter(rng.standard_normal((SIZE, SIZE)), 1.0, mode="wrap")
    grain *= TEXTURE / grain.std()
    out = {}
    for n, band in enumerate(BANDS):
        size = BAND_INFO[band].resolution
        step, wide = size // 10, FIELD_M // size
        texture = grain.reshape(SIZE // step, step, SIZE // step, step).mean(axis=(1, 3))
        plane = np.kron(found.values[fields, n], np.ones((wide, wide))) * (1.0 + texture)
        out[band] = ndimage.gaussian_filter(plane, BLUR, mode="wrap")
    return out


def around(plane: Floats, pixel_m: float) -> Floats:
    """Mean of the surroundings, each pixel by exp(-r / 1 km); the landscape repeats itself."""
    at = np.fft.fftfreq(len(plane), 1.0 / len(plane)) * pixel_m
    weight = np.exp(-np.hypot(at[:, None], at[None, :]) / SCALE_M)
    spectrum = np.fft.rfft2(plane) * np.fft.rfft2(weight / weight.sum())
    return np.asarray(np.fft.irfft2(spectrum, s=plane.shape))


def sky(plane: Floats, pixel_m: float, air: dict[str, float], vza: float) -> Floats:
    """Top-of-atmosphere reflectance of a band, without noise."""
    s, up = air["spherical_albedo"], air["transmittance_up"]
    gain = (air["bright"] - air["dark"]) * (1.0 - s * BRIGHT) / BRIGHT
    direct = np.exp(-air["optical_depth"] / np.cos(np.radians(vza))) / up
    env = around(plane, pixel_m)
    return air["dark"] + gain * (direct * plane + (1.0 - direct) * env) / (1.0 - s * env)


def level_1c(
    case: Case,
    truth: dict[str, Floats],
    runs: dict[tuple[int, str], dict[str, float]],
    forecast: float | None,
    *,
    one_view: bool = False,
) -> xr.DataTree:
    """What the satellite sees, with what a product would tell about the atmosphere.

    With `one_view` it tells only the mean direction of the bands.
    """
    rng = np.random.default_rng(case.number + 2000)
    seen: dict[int, dict[str, Any]] = {10: {}, 20: {}, 60: {}}
    for band, plane in truth.items():
        size = BAND_INFO[band].resolution
        toa = sky(plane, size, runs[case.number, band], case.view(band)[0])
        noise = SNR_AT / SNR * np.sqrt(np.maximum(toa, 0.0) / SNR_AT + 0.05)
        toa = toa + noise * rng.standard_normal(toa.shape)
        seen[size][band] = (("y", "x"), toa.astype(np.float32))
    grids = {
        r: xr.Dataset(
            bands,
            coords={
                "y": 4_900_000.0 - r * (np.arange(SIZE * 10 // r) + 0.5),
                "x": 600_000.0 + r * (np.arange(SIZE * 10 // r) + 0.5),
            },
            attrs={"crs": "EPSG:32632"},
        )
        for r, bands in seen.items()
    }
    mean = (case.vza, (SAA - case.raa) % 360.0)
    views = {band: mean if one_view else case.view(band) for band in BANDS}
    vza, vaa = ({band: view[n] for band, view in views.items()} for n in (0, 1))
    return s2.l1c_from_bands(
        grids, sensor=SENSOR, time="2021-06-21T10:20:00", sza=case.sza, saa=SAA, vza=vza,
        vaa=vaa, tcwv=case.tcwv * (1.0 + rng.uniform(-0.1, 0.1)),
        tco3=case.tco3, pressure=1013.25, aot550=forecast, elevation=1000.0 * case.altitude_km,
    )  # fmt: skip

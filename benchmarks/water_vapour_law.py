"""Which law of water vapour fits B09 of real scenes with a column from elsewhere.

    python benchmarks/water_vapour_law.py DATA [--figure docs/images/physics_b09.png]

DATA is a folder of real Sentinel-2 data: `l1c_timeseries_berre_T31TFJ/` (crops with NCEP columns,
HYPERNETS), `l1c_safe_reduced/` and `safe_metadata_l1c/` (products with ECMWF columns),
`l1c_icor_smac_T31_20190411_north/` (a crop with the columns that iCOR found, a peer). Prints the
tables of docs/physics.md: the column that each law of `s2cloud.physics.gases.B09_LAWS` finds, its
deviation from the column from elsewhere, and what the assumptions are worth.
"""

from __future__ import annotations

import argparse
import json
import logging
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio

import s2cloud as s2
from s2cloud.io.grib import read_grib
from s2cloud.model.bands import BAND_INDEX
from s2cloud.physics import angles, atmosphere, gases, lut
from s2cloud.physics.spectral import band_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LAWS: Final = tuple(gases.B09_LAWS)

# MODTRAN 6, 2013 band models: two-way direct transmittance of channels 5.8 nm wide, from sun to
# ground and on to an aircraft at 2.3 km. Columns "CENTER" and "A, DIRECT COEFFICIENT" of
# examples/topoflux/lut/AOT550-0.0100_H2OSTR-*.chn and examples/20171108_Pasadena/lut/
# AOT550-0.0100_H2OSTR-2.0000.chn of github.com/isofit/isofit (Apache-2.0). Not absorbed by water:
# the windows at 880 and 1038 nm, interpolated. Airmass: 1.173 and 1.584 down; up, the share of the
# column below the aircraft, 0.67, by the ratio of both paths where absorption is weak.
MODTRAN_NM: Final = np.array(
    [912.79, 917.80, 922.81, 927.81, 932.82, 937.83, 942.84, 947.85, 952.86, 957.87, 962.87,
     967.88, 972.89]
)  # fmt: skip
MODTRAN: Final = (
    (0.75 * 1.843, 0.9890, (.7953, .8218, .8712, .7464, .4458, .4413, .5020, .4991, .5456, .5915,
                            .6703, .8005, .8381)),
    (1.25 * 1.843, 0.9890, (.7287, .7590, .8187, .6668, .3402, .3294, .3904, .3862, .4377, .4905,
                            .5794, .7352, .7825)),
    (2.25 * 1.843, 0.9890, (.6344, .6690, .7404, .5585, .2234, .2045, .2587, .2548, .3048, .3641,
                            .4595, .6419, .7020)),
    (2.00 * 2.254, 0.9795, (.5981, .6381, .7220, .5361, .1963, .1770, .2303, .2297, .2686, .3291,
                            .4222, .6098, .6806)),
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """Pixels of one scene; reflectances and directions are arrays of one length."""

    name: str
    sensor: Any
    b8a: Floats
    b09: Floats
    sza: Floats
    vza: Floats
    raa: Floats
    column: Floats  # from elsewhere [kg m-2]
    source: str
    pressure: float
    tco3: float  # DU

    def chosen(self, where: npt.NDArray[np.bool_]) -> Scene:
        """Some of the pixels."""
        names = ("b8a", "b09", "sza", "vza", "raa", "column")
        return replace(self, **{n: getattr(self, n)[where] for n in names})


def modtran_points(sensor: Any) -> list[tuple[float, float]]:
    """Slant column [g cm-2] and transmittance of B09 in the MODTRAN runs."""
    nm, weight = band_weights(sensor, "b09")
    return [
        (slant, float(weight @ np.interp(nm, MODTRAN_NM, channels)) / dry)
        for slant, dry, channels in MODTRAN
    ]


def berre(data: Path, bright: float) -> Iterator[Scene]:
    """The shore of the Etang de Berre on clear days, NCEP columns; too dark, as it turns out."""
    folder = data / "l1c_timeseries_berre_T31TFJ"
    overcast = ("20210218", "20210223", "20210325", "20210409")
    standard = ("20210424",)  # NCEP was missing: pressure 1013, column 1.5
    brightest = []
    for name, given in json.loads((folder / "geometry_and_ancillary.json").read_text()).items():
        if any(day in name for day in overcast + standard):
            continue
        with rasterio.open(folder / name) as file:
            toa = file.read().astype(float) / 1e4
        keep = usable(toa)
        brightest.append(toa[BAND_INDEX["b8a"]][keep].max())
        keep &= toa[BAND_INDEX["b8a"]] > bright
        if keep.sum() < 5:
            continue
        yield of_constants(
            f"Berre {name[4:12]}", name[:3], toa, keep,
            (float(given["THS"]), float(given["THV"]), float(given["AZI"])),
            10.0 * float(given["uwv"]), "NCEP", float(given["pressure"]),
            1000.0 * float(given["uoz"]),
        )  # fmt: skip
    print(f"Berre: brightest B8A on {len(brightest)} clear days {max(brightest):.3f}")


def uniform(values: Floats, size: int) -> npt.NDArray[np.bool_]:
    """Where a window of some pixels varies by less than a tenth of its mean."""
    half = size // 2
    padded = np.pad(values, half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return np.asarray(windows.std(axis=(2, 3)) < 0.1 * windows.mean(axis=(2, 3)))


def usable(toa: Floats) -> npt.NDArray[np.bool_]:
    """No cloud, cirrus or snow."""
    blue, green, swir, cirrus = (toa[BAND_INDEX[b]] for b in ("b02", "b03", "b11", "b10"))
    return np.asarray(
        (blue > 0.0)
        & (blue < 0.20)
        & (cirrus < 0.004)
        & ((green < 0.15) | (green - swir < 0.4 * (green + swir)))
    )


def of_constants(  # noqa: PLR0913, PLR0917 - what a crop is known by
    name: str, sensor: str, toa: Floats, keep: npt.NDArray[np.bool_],
    direction: tuple[float, float, float], column: float, source: str, pressure: float,
    tco3: float,
) -> Scene:  # fmt: skip
    """A crop with one direction and one column."""
    number = int(keep.sum())
    sza, vza, raa, constant = (np.full(number, x) for x in (*direction, column))
    return Scene(
        name, sensor, toa[BAND_INDEX["b8a"]][keep], toa[BAND_INDEX["b09"]][keep],
        sza, vza, raa, constant, source, pressure, tco3,
    )  # fmt: skip


def products(data: Path, bright: float) -> Iterator[Scene]:
    """Complete products: pixels of the overview, columns of ECMWF."""
    files = [
        *sorted((data / "l1c_safe_reduced").glob("*.zip")),
        *sorted((data / "safe_metadata_l1c").glob("*T31TCJ*.zip")),
    ]
    for file in files:
        tree = s2.open_l1c(str(file))
        overview = tree["measurements/overview/r60m"].ds
        toa = np.stack([reflectance(overview[b]) for b in BAND_INDEX])
        keep = usable(toa) & (toa[BAND_INDEX["b8a"]] > bright) & np.isfinite(toa).all(axis=0)
        geometry = tree["conditions/geometry"].ds
        ecmwf = tree["conditions/meteorology/ecmwf"].ds
        sun = geometry["mean_sun_angles"].to_numpy()
        view = geometry["mean_viewing_incidence_angles"].to_numpy()[BAND_INDEX["b09"]]
        raa = float(angles.relative_azimuth(sun[1], view[1]))
        scene = of_constants(
            file.name[39:44] + " " + file.name[11:19], file.name[:3], toa, keep,
            (float(sun[0]), float(view[0]), raa), float(ecmwf["tcwv"].mean()), "ECMWF",
            float(ecmwf["msl"].mean()) / 100.0, float(ecmwf["tco3"].mean()) / 2.1415e-5,
        )  # fmt: skip
        yield replace(scene, column=columns_of(overview, ecmwf, tree, keep))


def reflectance(counts: Any) -> Floats:
    """Reflectance of the counts of a band, NaN for no-data."""
    values = counts.to_numpy().astype(float)
    scale = counts.attrs.get("scale_factor", counts.encoding.get("scale_factor", 1e-4))
    offset = counts.attrs.get("add_offset", counts.encoding.get("add_offset", 0.0))
    return np.where(values > 0, values * scale + offset, np.nan)


def columns_of(overview: Any, ecmwf: Any, tree: Any, keep: npt.NDArray[np.bool_]) -> Floats:
    """ECMWF's column at the kept pixels, bilinear."""
    from rasterio.warp import transform  # noqa: PLC0415
    from scipy.interpolate import RegularGridInterpolator  # noqa: PLC0415

    x, y = np.meshgrid(overview["x"].to_numpy(), overview["y"].to_numpy())
    crs = tree["conditions/geometry"].ds.attrs["crs"]
    lon, lat = (np.array(v) for v in transform(crs, "EPSG:4326", x[keep], y[keep]))
    field = ecmwf.sortby("latitude").sortby("longitude")["tcwv"]
    axes = (field["latitude"].to_numpy(), field["longitude"].to_numpy())
    points = np.stack([np.clip(lat, *axes[0][[0, -1]]), np.clip(lon, *axes[1][[0, -1]])], axis=-1)
    return np.asarray(RegularGridInterpolator(axes, field.to_numpy())(points))


def icor(data: Path, bright: float) -> Iterator[Scene]:
    """The crop that iCOR (MODTRAN 5) worked on; its columns are a peer's."""
    folder = data / "l1c_icor_smac_T31_20190411_north"

    def read(name: str) -> Floats:
        with rasterio.open(folder / f"ref_{name}.tif") as file:
            return np.asarray(file.read(1).astype(float))

    b02, b8a, b09, b11 = (read(f"input_S2_{b}") / 1e4 for b in ("B02", "B8A", "B09", "B11"))
    column = read("check_icor_S2_CWV") / 10.0
    known = (b09 > 0) & (column > 0) & (column < 60.0)
    keep = known & (b02 < 0.15) & (b8a > bright) & (b11 > 0.02) & uniform(b8a, 9)
    direction = [
        read(f"input_S2_{n}")[keep]
        for n in ("sunZenithAngles", "viewZenithMean", "sunAzimuthAngles", "viewAzimuthMean")
    ]
    yield Scene(
        "iCOR 20190411", "S2B", b8a[keep], b09[keep], direction[0], direction[1],
        np.asarray(angles.relative_azimuth(direction[2], direction[3])), column[keep],
        "iCOR", 1013.0, 350.0,
    )  # fmt: skip


def indirect(data: Path) -> tuple[float, float, float]:
    """Airmass, ESA's and ECMWF's column [kg m-2] over clear land of T29UNU, 2022-10-05.

    Only the Level-2A is at hand; ESA's column under the law of its tables tells the transmittance
    that was measured.
    """
    tile = data / "l2a_tile_T29UNU_20221005_N0400_north"

    def read(name: str) -> Floats:
        with rasterio.open(tile / f"T29UNU_20221005T115411_{name}_60m_north.tif") as file:
            return np.asarray(file.read(1).astype(float))

    land = np.isin(read("SCL"), (4, 5)) & (read("WVP") > 0)
    (archive,) = (data / "safe_metadata_l2a").glob("*T29UNU*.zip")
    with zipfile.ZipFile(archive) as members:
        (name,) = (n for n in members.namelist() if n.endswith("AUX_ECMWFT"))
        ecmwf = read_grib(members.read(name), name)
    mass = float(angles.airmass(58.0, 6.0))
    return mass, 0.01 * float(np.median(read("WVP")[land])), float(ecmwf["tcwv"].mean())


def retrieve(scene: Scene, law: Any, *, aot550: float, ratio: float) -> Floats:
    """Column [kg m-2] that explains B09, with B8A times `ratio` for its surface, by bisection."""
    table = lut.load(scene.sensor, "continental")
    at = {"sza": scene.sza, "vza": scene.vza, "raa": scene.raa}
    mass = np.asarray(angles.airmass(scene.sza, scene.vza), dtype=np.float64)
    optics = {
        b: table.evaluate(b, **at, aot550=aot550, pressure=scene.pressure) for b in ("b8a", "b09")
    }

    def gas(band: str, column: Floats) -> gases.GasTransmittance:
        return gases.transmittance(
            scene.sensor, band, airmass=mass, tcwv=column, tco3=scene.tco3,
            pressure=scene.pressure, b09_law=law,
        )  # fmt: skip

    low, high = np.zeros_like(mass), np.full_like(mass, 150.0)
    for _ in range(30):
        middle = 0.5 * (low + high)
        nir = atmosphere.coefficients(optics["b8a"], gas("b8a", middle))
        surface = ratio * atmosphere.surface_reflectance(scene.b8a, nir)
        wet = atmosphere.coefficients(optics["b09"], gas("b09", middle))
        too_dark = atmosphere.toa_reflectance(surface, wet) < scene.b09
        low, high = np.where(too_dark, low, middle), np.where(too_dark, middle, high)
    return 0.5 * (low + high)


def scenes(data: Path, bright: float) -> list[Scene]:
    """All of them."""
    return [*berre(data, bright), *products(data, bright), *icor(data, bright)]


def columns(found: list[Scene], **assumed: float) -> dict[str, Floats]:
    """Median column of each scene by each law, beside the one from elsewhere. [kg m-2]."""
    out = {law: np.array([np.median(retrieve(s, law, **assumed)) for s in found]) for law in LAWS}
    return out | {"elsewhere": np.array([np.median(s.column) for s in found])}


def statistics(found: dict[str, Floats], mass: Floats) -> None:
    """Table of bias, rms, slope and how likely the errors are."""
    column = found["elsewhere"]
    # One sigma of ln W: a forecast is good to 1 kg m-2 or 8 %, the surface ratio to 0.03.
    depth = 0.6 * (0.1 * mass * column) ** 0.6
    sigma = np.sqrt((1.0 / column) ** 2 + 0.08**2 + (0.03 / (0.6 * depth)) ** 2)
    print("\nOne sigma of ln W, by scene:", " ".join(f"{x:.2f}" for x in sigma))
    print("\n| law | bias of ln W | rms | slope against ln(m W) | chi2 of "
          f"{column.size} scenes |\n|---|---|---|---|---|")  # fmt: skip
    for law in LAWS:
        error = np.log(found[law] / column)
        slope = np.polyfit(np.log(mass * column), error, 1, w=1.0 / sigma)[0]
        weight = sigma**-2 / (sigma**-2).sum()
        print(f"| `{law}` | {weight @ error:+.2f} ± {(sigma**-2).sum() ** -0.5:.2f} "
              f"| {np.sqrt((error**2).mean()):.2f} | {slope:+.2f} "
              f"| {((error / sigma) ** 2).sum():.1f} |")  # fmt: skip


def surface_ratio(data: Path) -> None:
    """Ratio of B09 to B8A reflectance in spectra of the ECOSTRESS library."""
    cube = np.load(data / "spectra" / "ecostress_library_with_mixtures_even.npz")
    nm, spectra = cube["wavelength_nm"], cube["reflectance"]

    def band(name: str) -> Floats:
        grid, weight = band_weights("S2A", name)
        return np.asarray([weight @ np.interp(grid, nm, s) for s in spectra])

    red, nir, wet, swir = (band(b) for b in ("b04", "b8a", "b09", "b11"))
    good = (nir > 0.1) & (nir < 0.8) & np.isfinite(wet) & (swir > 0.05)
    green = (nir - red) > 0.5 * (nir + red)
    print("\nB09 over B8A of the surface, ECOSTRESS library (median, 16 - 84 %):")
    for name, kind in (("vegetation", good & green), ("others", good & ~green)):
        ratio = (wet / nir)[kind]
        low, middle, high = np.quantile(ratio, (0.16, 0.5, 0.84))
        print(f"  {name}: {kind.sum()} spectra, {middle:.3f}, {low:.3f} - {high:.3f}")


def figure(target: Path, by_law: dict[str, Floats], mass: Floats) -> None:
    """Columns by law against those from elsewhere, and the laws themselves."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.0), layout="constrained")
    slant = np.geomspace(0.5, 15.0, 80)
    for law in LAWS:
        t = gases.water_vapour_transmittance("S2A", "b09", 10.0 * slant, b09_law=law)
        left.plot(slant, t, label=law)
    points = np.array(modtran_points("S2A"))
    left.plot(points[:, 0], points[:, 1], "ks", ms=5, label="MODTRAN runs")
    left.set(xscale="log", xlabel="airmass times column (g cm$^{-2}$)",
             ylabel="transmittance of B09, S2A")  # fmt: skip
    left.legend(frameon=False, fontsize=8)
    left.grid(alpha=0.3)
    for i, law in enumerate(LAWS):
        right.plot(mass * by_law["elsewhere"] / 10.0, by_law[law] / by_law["elsewhere"],
                   "o", ms=4, color=f"C{i}", label=law)  # fmt: skip
    right.axhline(1.0, color="k", lw=0.8)
    right.set(xlabel="airmass times column (g cm$^{-2}$)", ylim=(0.5, 1.4),
              ylabel="column from B09 over column from elsewhere")  # fmt: skip
    right.grid(alpha=0.3)
    fig.savefig(target, dpi=90)


def main() -> None:
    """Print the tables."""
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    print("MODTRAN, S2A: slant column [g cm-2], transmittance, and that of each law")
    for slant, t in modtran_points("S2A"):
        told = []
        for law in LAWS:
            water = gases.water_vapour_transmittance("S2A", "b09", 10.0 * slant, b09_law=law)
            told.append(f"{law} {float(water):.3f}")
        print(f"  {slant:.2f}: {t:.3f}; " + ", ".join(told))
    found = scenes(given.data, 0.15)
    mass = np.array([np.median(angles.airmass(s.sza, s.vza)) for s in found])
    usual = columns(found, aot550=0.1, ratio=1.0)
    print("\n| scene | pixels | airmass | from elsewhere | " + " | ".join(LAWS) + " |")
    print("|---|---|---|---|" + "---|" * len(LAWS))
    for i, scene in enumerate(found):
        by_law = " | ".join(f"{usual[law][i]:.1f}" for law in LAWS)
        print(f"| {scene.name} | {scene.b09.size} | {mass[i]:.2f} "
              f"| {usual['elsewhere'][i]:.1f} {scene.source} | {by_law} |")  # fmt: skip
    airmass, esa, ecmwf = indirect(given.data)
    columns_told = []
    for law in LAWS:
        seen = gases.water_vapour_transmittance("S2A", "b09", airmass * esa, b09_law="sen2cor")
        columns_told.append(float(gases.slant_column("S2A", "b09", seen, b09_law=law)) / airmass)
    print(f"| 29UNU 20221005, from ESA's L2A | - | {airmass:.2f} | {ecmwf:.1f} ECMWF | "
          + " | ".join(f"{w:.1f}" for w in columns_told) + " |")  # fmt: skip
    known = np.array([s.source != "iCOR" for s in found])
    judged = {k: usual[k][known] for k in usual}
    for name, w in zip((*LAWS, "elsewhere"), (*columns_told, ecmwf), strict=True):
        judged[name] = np.append(judged[name], [w])
    judged_mass = np.append(mass[known], airmass)
    statistics(judged, judged_mass)
    surface_ratio(given.data)
    print("\nMean change of ln W, law 6sv:")
    for name, bright, assumed in (
        ("aerosol 0.3 instead of 0.1", 0.15, {"aot550": 0.3, "ratio": 1.0}),
        ("aerosol 0.0", 0.15, {"aot550": 0.0, "ratio": 1.0}),
        ("surface 3 % brighter in B09", 0.15, {"aot550": 0.1, "ratio": 1.03}),
        ("B8A above 0.10", 0.10, {"aot550": 0.1, "ratio": 1.0}),
        ("B8A above 0.20", 0.20, {"aot550": 0.1, "ratio": 1.0}),
    ):
        other = scenes(given.data, bright)
        shared = {s.name for s in other} & {s.name for s in found}
        changed = columns([s for s in other if s.name in shared], **assumed)["6sv"]
        first = usual["6sv"][[s.name in shared for s in found]]
        print(f"  {name}: {np.log(changed / first).mean():+.3f} ({len(shared)} scenes)")
    if given.figure:
        figure(given.figure, judged, judged_mass)


if __name__ == "__main__":
    main()

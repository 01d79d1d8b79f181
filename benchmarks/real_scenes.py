"""Real crops of Sentinel-2 as Level-1C trees, with what other processors made of them.

The folders are those of docs/validation.md. Nothing here is fitted: angles, offsets and ancillary
values are the publishers'; what they left out is named where it is made up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
import xarray as xr

import s2cloud as s2
from s2cloud.model.bands import BANDS

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

L2A_ORDER: Final = tuple(name for name in BANDS if name != "b10")
BERRE_CONTENT: Final = {
    "2021-02-18": "overcast",
    "2021-04-09": "overcast",
    "2021-03-25": "thin cirrus",
    "2021-02-23": "haze",
    "2021-02-28": "haze or glint",
    "2021-03-05": "haze or glint",
}
#: Azimuth of the sun at 10:35 UTC in spring; only the difference to the view was published.
BERRE_SAA: Final = 157.0
ICOR_BANDS: Final = ("b02", "b03", "b04", "b08", "b8a", "b09", "b11")
ICOR_REFERENCES: Final = ("b02", "b03", "b04", "b08")


@dataclass(frozen=True)
class Pair:
    """A crop of L1C with ESA's L2A; the offsets differ by file, whatever the date says."""

    name: str
    title: str
    time: datetime
    sza: float
    saa: float
    l1c_offset: int
    l2a_offset: int


PAIRS: Final = (
    Pair(
        "38D_378R_2_3",
        "dry savanna and fields, northern Tanzania",
        datetime(2023, 6, 10, 7, 46, 21, tzinfo=UTC),
        38.8,
        45.7,
        0,
        0,
    ),
    Pair(
        "433D_629L_3_1",
        "farmland, forest, river and town, southern Chile",
        datetime(2020, 4, 8, 14, 37, 29, tzinfo=UTC),
        55.8,
        41.4,
        1000,
        1000,
    ),
    Pair(
        "609U_541L_3_0_west",
        "snow-covered boreal land, sun 12 degrees high",
        datetime(2020, 1, 11, 16, 46, 49, tzinfo=UTC),
        77.6,
        166.5,
        1000,
        0,
    ),
)


def read(path: Path, offset: int = 0) -> tuple[Floats, Any]:
    """Reflectance of all bands of a file, NaN for no-data, and its profile."""
    with rasterio.open(path) as source:
        counts = source.read().astype(np.float32)
        profile = source.profile
    return np.where(counts == 0, np.nan, (counts - offset) / 1e4).astype(np.float32), profile


def placed(planes: dict[str, Floats], profile: Any) -> xr.Dataset:
    """Bands on the grid of a file."""
    transform = profile["transform"]
    height, width = next(iter(planes.values())).shape
    return xr.Dataset(
        {name: (("y", "x"), plane) for name, plane in planes.items()},
        coords={
            "y": transform.f + (np.arange(height) + 0.5) * transform.e,
            "x": transform.c + (np.arange(width) + 0.5) * transform.a,
        },
    )


def pair_toa(data: Path, pair: Pair) -> dict[str, Floats]:
    """Top-of-atmosphere reflectance of a crop."""
    toa, _ = read(data / "l1c_l2a_pairs" / pair.name / "S2L1C.tif", pair.l1c_offset)
    return dict(zip(BANDS, toa, strict=True))


def pair_l1c(data: Path, pair: Pair) -> xr.DataTree:
    """The crop as an L1C tree; view angles were not published, nadir is assumed."""
    folder = data / "l1c_l2a_pairs" / pair.name
    toa, profile = read(folder / "S2L1C.tif", pair.l1c_offset)
    with rasterio.open(folder / "DEM.tif") as source:
        elevation = float(np.median(source.read(1)))
    return s2.l1c_from_bands(
        placed(dict(zip(BANDS, toa, strict=True)), profile),
        sensor="S2A",
        time=pair.time,
        sza=pair.sza,
        saa=pair.saa,
        vza=0.0,
        vaa=0.0,
        name=pair.name,
        crs=profile["crs"].to_string(),
        elevation=elevation,
    )


def pair_esa(data: Path, pair: Pair) -> dict[str, Floats]:
    """ESA's surface reflectance of a crop."""
    esa, _ = read(data / "l1c_l2a_pairs" / pair.name / "S2L2A.tif", pair.l2a_offset)
    return dict(zip(L2A_ORDER, esa, strict=True))


@dataclass(frozen=True)
class Date:
    """One image of the Etang de Berre; water vapour in kg m-2."""

    day: str
    content: str
    toa: Floats
    tcwv: float
    l1c: xr.DataTree


def berre_days(data: Path) -> dict[str, Path]:
    """Files of the series by day."""
    files = (data / "l1c_timeseries_berre_T31TFJ").glob("*.tif")
    days = {f"{p.name[4:8]}-{p.name[8:10]}-{p.name[10:12]}": p for p in files}
    return dict(sorted(days.items()))


def berre(path: Path, day: str, *, vapour: bool = True) -> Date:
    """One date with its published pressure, ozone and, if wanted, water vapour."""
    facts = json.loads(path.with_name("geometry_and_ancillary.json").read_text(encoding="utf-8"))
    fact = facts[path.name]
    toa, profile = read(path)
    tcwv = 10.0 * float(fact["uwv"])
    l1c = s2.l1c_from_bands(
        placed(dict(zip(BANDS, toa, strict=True)), profile),
        sensor=path.name[:3],  # type: ignore[arg-type]
        time=fact["isodate"].removesuffix("Z"),
        sza=float(fact["THS"]),
        saa=BERRE_SAA,
        vza=float(fact["THV"]),
        vaa=BERRE_SAA + float(fact["AZI"]),
        name=path.stem,
        crs=profile["crs"].to_string(),
        tcwv=tcwv if vapour else None,
        tco3=1000.0 * float(fact["uoz"]),
        pressure=float(fact["pressure"]),
        elevation=0.0,
    )
    return Date(day, BERRE_CONTENT.get(day, "clear"), toa, tcwv, l1c)


def icor(data: Path, aot550: float | None = None) -> tuple[xr.DataTree, dict[str, Floats]]:
    """Crop of Belgium as an L1C tree, and layers of iCOR and SMAC by file name.

    Bands that were not published are put together: B05 to B07 lie on a line between B04 and B8A
    by wavelength, B12 is 0.6 times B11, B01 equals B02, B10 is 0.0013 (no cirrus). They steer
    the classification and the aerosol only; nothing is compared in them.
    """
    folder = data / "l1c_icor_smac_T31_20190411_north"
    planes: dict[str, Floats] = {}
    for name in ICOR_BANDS:
        (planes[name],), profile = read(folder / f"ref_input_S2_{name.upper()}.tif")
    for name, share in (("b05", 0.20), ("b06", 0.38), ("b07", 0.59)):
        planes[name] = planes["b04"] * np.float32(1.0 - share) + planes["b8a"] * np.float32(share)
    planes["b12"] = planes["b11"] * np.float32(0.6)
    planes["b01"] = planes["b02"]
    planes["b10"] = np.full_like(planes["b02"], 0.0013)
    angles = {}
    for name in ("sunZenithAngles", "sunAzimuthAngles", "viewZenithMean", "viewAzimuthMean"):
        with rasterio.open(folder / f"ref_input_S2_{name}.tif") as source:
            angles[name] = float(source.read(1).mean())
    l1c = s2.l1c_from_bands(
        placed(planes, profile),
        sensor="S2A",  # the unit was not published
        time=datetime(2019, 4, 11, 10, 50, 29, tzinfo=UTC),
        sza=angles["sunZenithAngles"],
        saa=angles["sunAzimuthAngles"],
        vza=angles["viewZenithMean"],
        vaa=angles["viewAzimuthMean"],
        name="icor",
        crs=profile["crs"].to_string(),
        aot550=aot550,
        elevation=40.0,
    )
    layers: dict[str, Floats] = {"toa_" + name: planes[name] for name in ICOR_REFERENCES}
    for kind in ("icor", "smac"):
        for name in ICOR_REFERENCES:
            path = folder / f"ref_check_{kind}_S2_{name.upper()}.tif"
            with rasterio.open(path) as source:
                counts = source.read(1)
            gone = (counts == 0) | (counts > 30_000)  # negative values were wrapped
            layers[f"{kind}_{name}"] = np.where(gone, np.nan, counts / 1e4).astype(np.float32)
    for name, scale in (("AOT", 0.01), ("CWV", 0.1)):
        with rasterio.open(folder / f"ref_check_icor_S2_{name}.tif") as source:
            layers["icor_" + name.lower()] = (source.read(1) * scale).astype(np.float32)
    return l1c, layers

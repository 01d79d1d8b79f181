"""Metadata of a SAFE product: MTD_MSIL1C.xml and MTD_TL.xml as plain data."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import ParseError

import numpy as np
import xarray as xr
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from s2cloud.model.bands import BAND_INFO, BANDS, Resolution
from s2cloud.model.errors import InputError
from s2cloud.model.granule import PRODUCT_NAME
from s2cloud.model.grid import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

__all__ = [
    "NEWEST_BASELINE",
    "ProductMetadata",
    "TileMetadata",
    "checked_baseline",
    "earth_sun_correction",
    "parse_product",
    "parse_tile",
    "product_of_tile",
]

logger = logging.getLogger(__name__)

#: Newest processing baseline this reader was checked with.
NEWEST_BASELINE: Final = "05.11"
#: First baseline in the compact naming that is read.
OLDEST_BASELINE: Final = "02.00"
#: Baselines from here on subtract a radiometric offset, so that counts stay positive.
OFFSET_BASELINE: Final = "04.00"
DEFAULT_OFFSET: Final = -1000.0
DEFAULT_QUANTIFICATION: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class ProductMetadata:
    """What MTD_MSIL1C.xml says.

    Attributes
    ----------
    name
        Product name without suffix.
    sensor, baseline, datatake
        Identity.
    relative_orbit
        Orbit of the repeat cycle, -1 if unknown.
    quantification
        Counts per unit of reflectance.
    offsets
        Radiometric offset of each band in ESA's order. [count]
    earth_sun_correction
        Squared inverse distance to the sun in astronomical units, ``U``.
    solar_irradiance
        Of each band at 1 au. [W m-2 um-1]
    images
        Path of each band's image in the product without suffix.
    """

    name: str
    sensor: str
    baseline: str
    datatake: str
    relative_orbit: int
    quantification: float
    offsets: tuple[float, ...]
    earth_sun_correction: float
    solar_irradiance: tuple[float, ...]
    images: dict[str, str]


@dataclass(frozen=True, slots=True)
class TileMetadata:
    """What MTD_TL.xml says.

    Attributes
    ----------
    tile_id, datastrip, tile
        ESA identifiers and the MGRS tile.
    sensing_time
        Sensing time of the tile, UTC.
    absolute_orbit
        -1 if unknown.
    grids
        Pixel grid of each resolution.
    geometry
        Angles at the tie points.
    masks
        Type (``DETFOO`` ...) and band (``b00`` for the scene) -> path in the product.
    """

    tile_id: str
    datastrip: str
    tile: str
    sensing_time: datetime
    absolute_orbit: int
    grids: dict[Resolution, Grid]
    geometry: xr.Dataset
    masks: dict[tuple[str, str], str]


def parse_product(data: bytes, name: str) -> ProductMetadata:
    """Content of MTD_MSIL1C.xml.

    Parameters
    ----------
    data
        The file.
    name
        Its address for messages.
    """
    root = _root(data, name)
    level = _text(root, "PROCESSING_LEVEL", name)
    if not level.startswith("Level-1C"):
        raise InputError(
            "not a Level-1C product",
            where=name,
            expected="Level-1C",
            found=level,
            fix="give the L1C product of this acquisition; Level-2A is corrected already",
        )
    baseline = checked_baseline(_text(root, "PROCESSING_BASELINE", name), name)
    spacecraft = _text(root, "SPACECRAFT_NAME", name)
    datatake = next((e.get("datatakeIdentifier", "") for e in _all(root, "Datatake")), "")
    images: dict[str, str] = {}
    for element in (*_all(root, "IMAGE_FILE"), *_all(root, "IMAGE_ID")):
        path = (element.text or "").strip()
        band = path[-3:].lower()
        if band in BAND_INFO:
            if band in images:
                raise InputError(
                    "product of several tiles",
                    where=name,
                    expected="one granule, as in products since December 2016",
                    fix="split the product by granule",
                )
            images[band] = path
    uri = _text(root, "PRODUCT_URI", name).removesuffix(".SAFE")
    return ProductMetadata(
        name=uri,
        sensor="S" + spacecraft.removeprefix("Sentinel-").removeprefix("SENTINEL-"),
        baseline=baseline,
        datatake=datatake,
        relative_orbit=int(_text(root, "SENSING_ORBIT_NUMBER", name)),
        quantification=_number(root, "QUANTIFICATION_VALUE", name),
        offsets=_offsets(root, baseline, name),
        earth_sun_correction=_number(root, "U", name),
        solar_irradiance=_by_band(root, "SOLAR_IRRADIANCE", "bandId", name),
        images=images,
    )


def parse_tile(data: bytes, name: str) -> TileMetadata:
    """Content of MTD_TL.xml.

    Parameters
    ----------
    data
        The file.
    name
        Its address for messages.
    """
    root = _root(data, name)
    if "Level-1C" not in root.tag:
        raise InputError(
            "not the metadata of a Level-1C tile",
            where=name,
            found=root.tag.rpartition("}")[2],
            fix="give the L1C product of this acquisition",
        )
    tile_id = _text(root, "TILE_ID", name)
    orbit = re.search(r"_A(\d{6})_", tile_id)
    tile = re.search(r"_T(\d{2}[A-Z]{3})(?:_|$)", tile_id)
    grids = _grids(root, name)
    masks: dict[tuple[str, str], str] = {}
    for element in _all(root, "MASK_FILENAME"):
        path = (element.text or "").strip()
        found = re.search(r"MSK_([A-Z]+)_(?:.*_)?(B\d[0-9A])", path.rsplit("/", 1)[-1])
        if found:
            masks[found[1], found[2].lower()] = path
    return TileMetadata(
        tile_id=tile_id,
        datastrip=_text(root, "DATASTRIP_ID", name),
        tile=tile[1] if tile else "",
        sensing_time=_time(_text(root, "SENSING_TIME", name), name),
        absolute_orbit=int(orbit[1]) if orbit else -1,
        grids=grids,
        geometry=_geometry(root, grids, name),
        masks=masks,
    )


def product_of_tile(tile: TileMetadata, info: dict[str, Any], name: str) -> ProductMetadata:
    """Product metadata of a bare granule folder, from its identifiers.

    Parameters
    ----------
    tile
        Tile metadata.
    info
        Content of ``tileInfo.json`` of the public archive, empty if there is none.
    name
        Address of the folder for messages.
    """
    found = re.search(r"_N(\d{2}\.\d{2})", tile.tile_id)
    baseline = checked_baseline(found[1] if found else "", name)
    sensor = tile.tile_id[:3]
    product = str(info.get("productName", ""))
    match = PRODUCT_NAME.match(product)
    stamp = tile.sensing_time.strftime("%Y%m%dT%H%M%S")
    fallback = f"{sensor}_MSIL1C_{stamp}_N{baseline.replace('.', '')}_R000_T{tile.tile}_{stamp}"
    offset = DEFAULT_OFFSET if baseline >= OFFSET_BASELINE else 0.0
    column = {"S2A": 0, "S2B": 1, "S2C": 2}.get(sensor, 0)
    return ProductMetadata(
        name=product or fallback,
        sensor=sensor,
        baseline=baseline,
        datatake="",
        relative_orbit=int(match["orbit"]) if match else -1,
        quantification=DEFAULT_QUANTIFICATION,
        offsets=(offset,) * len(BANDS),
        earth_sun_correction=earth_sun_correction(tile.sensing_time),
        solar_irradiance=tuple(BAND_INFO[band].irradiance[column] for band in BANDS),
        images={band: BAND_INFO[band].esa_name for band in BANDS},
    )


def checked_baseline(baseline: str, name: str) -> str:
    """Processing baseline, if this reader knows how to read it.

    Newer baselines than `NEWEST_BASELINE` of the same collection are read with a warning: ESA
    changes formats rarely, and refusing would stop every service on the day of a new baseline. A
    new first number has changed radiometry each time so far, so one we do not know is refused.
    """
    known = OLDEST_BASELINE <= baseline <= NEWEST_BASELINE[:2] + ".99"
    if not re.fullmatch(r"\d\d\.\d\d", baseline) or not known:
        raise InputError(
            "unknown processing baseline",
            where=name,
            expected=f"{OLDEST_BASELINE} to {NEWEST_BASELINE[:2]}.99",
            found=repr(baseline),
            fix="update s2cloud, or take the product of the reprocessing called Collection-1",
        )
    if baseline > NEWEST_BASELINE:
        logger.warning(
            "%s: processing baseline %s is newer than %s, which this version was checked with",
            *(name, baseline, NEWEST_BASELINE),
        )
    return baseline


def earth_sun_correction(time: datetime) -> float:
    """Squared inverse distance to the sun in astronomical units, ESA's formula for ``U``.

    Parameters
    ----------
    time
        UTC.

    Notes
    -----
    ``U = 1 / (1 - e cos(0.0172 (t - 2)))**2`` with e = 0.01673 and t in days since 1950,
    Sentinel-2 Level-1C product definition; within 4e-4 of the values in products.
    """
    days = (time - datetime(1950, 1, 1, tzinfo=UTC)).total_seconds() / 86_400
    return float(1.0 / (1.0 - 0.01673 * math.cos(0.0172 * (days - 2.0))) ** 2)


def _root(data: bytes, name: str) -> Element:
    try:
        return fromstring(data)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise InputError(
            "damaged metadata",
            where=name,
            found=str(error),
            fix="download the file again",
        ) from error


def _all(root: Element, tag: str) -> Iterator[Element]:
    # Namespaces differ between versions of the format; local names do not.
    return (e for e in root.iter() if e.tag == tag or str(e.tag).endswith(f"}}{tag}"))


def _text(root: Element, tag: str, name: str) -> str:
    for element in _all(root, tag):
        if element.text and element.text.strip():
            return element.text.strip()
    raise _missing(tag, name)


def _number(root: Element, tag: str, name: str) -> float:
    text = _text(root, tag, name)
    try:
        value = float(text)
    except ValueError:
        raise _unreadable(tag, text, name) from None
    if not math.isfinite(value):
        raise _unreadable(tag, text, name)
    return value


def _offsets(root: Element, baseline: str, name: str) -> tuple[float, ...]:
    if any(True for _ in _all(root, "RADIO_ADD_OFFSET")):
        return _by_band(root, "RADIO_ADD_OFFSET", "band_id", name)
    if baseline >= OFFSET_BASELINE:
        # Guessing here would shift every reflectance by 0.1.
        raise _missing("Radiometric_Offset_List", name)
    return (0.0,) * len(BANDS)


def _by_band(root: Element, tag: str, key: str, name: str) -> tuple[float, ...]:
    values = [math.nan] * len(BANDS)
    for element in _all(root, tag):
        text = (element.text or "").strip()
        try:
            values[int(element.get(key, ""))] = float(text)
        except (ValueError, IndexError):
            raise _unreadable(tag, text, name) from None
    if any(math.isnan(value) for value in values):
        raise _missing(f"{tag} of {BANDS[[math.isnan(v) for v in values].index(True)]}", name)
    return tuple(values)


def _time(text: str, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise _unreadable("SENSING_TIME", text, name) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _grids(root: Element, name: str) -> dict[Resolution, Grid]:
    crs = _text(root, "HORIZONTAL_CS_CODE", name)
    sizes = {e.get("resolution"): e for e in _all(root, "Size")}
    corners = {e.get("resolution"): e for e in _all(root, "Geoposition")}
    grids: dict[Resolution, Grid] = {}
    for resolution in (10, 20, 60):
        size, corner = sizes.get(str(resolution)), corners.get(str(resolution))
        if size is None or corner is None:
            raise _missing(f"Size and Geoposition of {resolution} m", name)
        grids[resolution] = Grid(
            crs,
            _number(corner, "ULX", name),
            _number(corner, "ULY", name),
            _number(corner, "XDIM", name),
            int(_number(size, "NROWS", name)),
            int(_number(size, "NCOLS", name)),
        )
    return grids


def _geometry(root: Element, grids: dict[Resolution, Grid], name: str) -> xr.Dataset:
    sun_grid = next(_all(root, "Sun_Angles_Grid"), None)
    if sun_grid is None:
        raise _missing("Sun_Angles_Grid", name)
    sun, step = _angle_grid(sun_grid, name)
    views: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    for element in _all(root, "Viewing_Incidence_Angles_Grids"):
        try:
            key = (int(element.get("bandId", "")), int(element.get("detectorId", "")))
        except ValueError:
            raise _unreadable("Viewing_Incidence_Angles_Grids", "", name) from None
        grid, _ = _angle_grid(element, name)
        if grid.shape != sun.shape or not 0 <= key[0] < len(BANDS):
            raise _unreadable("Viewing_Incidence_Angles_Grids", f"shape {grid.shape}", name)
        # A detector comes twice where two datastrips meet in a tile.
        views[key] = np.where(np.isnan(views[key]), grid, views[key]) if key in views else grid
    detectors = sorted({detector for _, detector in views}) or [1]
    viewing = np.full((len(BANDS), len(detectors), *sun.shape), np.nan)
    for (band, detector), grid in views.items():
        viewing[band, detectors.index(detector)] = grid
    mean_view = np.full((len(BANDS), 2), np.nan)
    for element in _all(root, "Mean_Viewing_Incidence_Angle"):
        mean_view[int(element.get("bandId", "0"))] = _angle_pair(element, name)
    mean_sun = next(_all(root, "Mean_Sun_Angle"), None)
    if mean_sun is None:
        raise _missing("Mean_Sun_Angle", name)
    corner = grids[10]
    dims = ("angle", "y", "x")
    units = {"units": "degree"}
    return xr.Dataset(
        {
            "sun_angles": (dims, sun, units),
            "viewing_incidence_angles": (("band", "detector", *dims), viewing, units),
            "mean_sun_angles": (("angle",), np.array(_angle_pair(mean_sun, name)), units),
            "mean_viewing_incidence_angles": (("band", "angle"), mean_view, units),
        },
        coords={
            "angle": ["zenith", "azimuth"],
            "band": list(BANDS),
            "detector": detectors,
            # Tie points lie on the corner of the tile and every 5 km from it.
            "y": corner.uly - np.arange(sun.shape[1]) * step,
            "x": corner.ulx + np.arange(sun.shape[2]) * step,
        },
        attrs={"crs": corner.crs},
    )


def _angle_grid(element: Element, name: str) -> tuple[npt.NDArray[np.float64], float]:
    layers = []
    for kind in ("Zenith", "Azimuth"):
        part = next(_all(element, kind), None)
        rows = [] if part is None else [e.text or "" for e in _all(part, "VALUES")]
        try:
            layers.append(np.array([row.split() for row in rows], dtype=np.float64))
        except ValueError:
            raise _unreadable(kind, "rows of different length", name) from None
    if layers[0].ndim != 2 or layers[0].shape != layers[1].shape or layers[0].size == 0:
        raise _unreadable("angle grid", "incomplete", name)
    return np.stack(layers), _number(element, "COL_STEP", name)


def _angle_pair(element: Element, name: str) -> tuple[float, float]:
    return (_number(element, "ZENITH_ANGLE", name), _number(element, "AZIMUTH_ANGLE", name))


def _missing(what: str, name: str) -> InputError:
    return InputError(
        "metadata incomplete",
        where=name,
        expected=what,
        found="nothing",
        fix="download the product again",
    )


def _unreadable(what: str, text: str, name: str) -> InputError:
    return InputError(
        "metadata unreadable",
        where=f"{name} {what}",
        found=repr(text[:80]),
        fix="download the product again",
    )

"""Metadata of a SAFE product: MTD_MSIL1C.xml and MTD_TL.xml as plain data."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.safe_geometry import angle_dataset, pixel_grids
from s2cloud.io.xml_read import elements, missing, number_of, parsed, text_of, unreadable
from s2cloud.model.bands import BAND_INFO, BANDS, Resolution
from s2cloud.model.errors import InputError
from s2cloud.model.granule import PRODUCT_NAME

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import xarray as xr

    from s2cloud.model.grid import Grid

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
    root = parsed(data, name)
    level = text_of(root, "PROCESSING_LEVEL", name)
    if not level.startswith("Level-1C"):
        raise InputError(
            "not a Level-1C product",
            where=name,
            expected="Level-1C",
            found=level,
            fix="give the L1C product of this acquisition; Level-2A is corrected already",
        )
    baseline = checked_baseline(text_of(root, "PROCESSING_BASELINE", name), name)
    spacecraft = text_of(root, "SPACECRAFT_NAME", name)
    datatake = next((e.get("datatakeIdentifier", "") for e in elements(root, "Datatake")), "")
    images: dict[str, str] = {}
    for element in (*elements(root, "IMAGE_FILE"), *elements(root, "IMAGE_ID")):
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
    uri = text_of(root, "PRODUCT_URI", name).removesuffix(".SAFE")
    return ProductMetadata(
        name=uri,
        sensor="S" + spacecraft.removeprefix("Sentinel-").removeprefix("SENTINEL-"),
        baseline=baseline,
        datatake=datatake,
        relative_orbit=int(text_of(root, "SENSING_ORBIT_NUMBER", name)),
        quantification=number_of(root, "QUANTIFICATION_VALUE", name),
        offsets=_offsets(root, baseline, name),
        earth_sun_correction=number_of(root, "U", name),
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
    root = parsed(data, name)
    if "Level-1C" not in root.tag:
        raise InputError(
            "not the metadata of a Level-1C tile",
            where=name,
            found=root.tag.rpartition("}")[2],
            fix="give the L1C product of this acquisition",
        )
    tile_id = text_of(root, "TILE_ID", name)
    orbit = re.search(r"_A(\d{6})_", tile_id)
    tile = re.search(r"_T(\d{2}[A-Z]{3})(?:_|$)", tile_id)
    grids = pixel_grids(root, name)
    masks: dict[tuple[str, str], str] = {}
    for element in elements(root, "MASK_FILENAME"):
        path = (element.text or "").strip()
        found = re.search(r"MSK_([A-Z]+)_(?:.*_)?(B\d[0-9A])", path.rsplit("/", 1)[-1])
        if found:
            masks[found[1], found[2].lower()] = path
    return TileMetadata(
        tile_id=tile_id,
        datastrip=text_of(root, "DATASTRIP_ID", name),
        tile=tile[1] if tile else "",
        sensing_time=_time(text_of(root, "SENSING_TIME", name), name),
        absolute_orbit=int(orbit[1]) if orbit else -1,
        grids=grids,
        geometry=angle_dataset(root, grids, name),
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


def _offsets(root: Element, baseline: str, name: str) -> tuple[float, ...]:
    if any(True for _ in elements(root, "RADIO_ADD_OFFSET")):
        return _by_band(root, "RADIO_ADD_OFFSET", "band_id", name)
    if baseline >= OFFSET_BASELINE:
        # Guessing here would shift every reflectance by 0.1.
        raise missing("Radiometric_Offset_List", name)
    return (0.0,) * len(BANDS)


def _by_band(root: Element, tag: str, key: str, name: str) -> tuple[float, ...]:
    values = [math.nan] * len(BANDS)
    for element in elements(root, tag):
        text = (element.text or "").strip()
        try:
            values[int(element.get(key, ""))] = float(text)
        except (ValueError, IndexError):
            raise unreadable(tag, text, name) from None
    if any(math.isnan(value) for value in values):
        raise missing(f"{tag} of {BANDS[[math.isnan(v) for v in values].index(True)]}", name)
    return tuple(values)


def _time(text: str, name: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise unreadable("SENSING_TIME", text, name) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)

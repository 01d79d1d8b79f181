"""Which products are made and which are refused: by name, and by their metadata."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from s2cloud.io.stores import Store
    from s2cloud.service.products import Candidate
    from s2cloud.service.settings import FilterSettings

__all__ = ["needs_metadata", "refusal_by_metadata", "refusal_by_name"]

logger = logging.getLogger(__name__)

#: Metadata longer than this are none. [byte]
_LONGEST: Final = 50_000_000
_CLOUDS: Final = re.compile(rb"<Cloud_Coverage_Assessment>\s*([\d.eE+-]+)")
_CLOUDS_OF_TILE: Final = re.compile(rb"<CLOUDY_PIXEL_PERCENTAGE>\s*([\d.eE+-]+)")
_SUN: Final = re.compile(rb"<Mean_Sun_Angle>\s*<ZENITH_ANGLE[^>]*>\s*([\d.eE+-]+)")
_FOOTPRINT: Final = re.compile(rb"<EXT_POS_LIST>([^<]+)<")


def refusal_by_name(candidate: Candidate, filters: FilterSettings) -> str:
    """Why a product is not wanted, by its tile and day; empty if it may be."""
    if filters.tiles and not candidate.tile.startswith(filters.tiles):
        return f"tile {candidate.tile} is not asked for"
    if filters.since is not None and candidate.day < filters.since:
        return f"sensed on {candidate.day}, before {filters.since}"
    if filters.until is not None and candidate.day > filters.until:
        return f"sensed on {candidate.day}, after {filters.until}"
    return ""


def needs_metadata(filters: FilterSettings) -> bool:
    """Whether anything but tile and day is asked for."""
    return any(
        limit is not None for limit in (filters.max_cloud_cover, filters.max_sza, filters.geometry)
    )


def refusal_by_metadata(
    candidate: Candidate, filters: FilterSettings, options: Mapping[str, Any]
) -> str:
    """Why a product is not wanted, by clouds, sun and place; empty if it is.

    Parameters
    ----------
    candidate
        A product that is complete.
    filters
        Of the settings.
    options
        Options of the file system.

    Notes
    -----
    What the metadata do not tell refuses nothing: if they are damaged, making the product says so.
    """
    try:
        return _refusal(_facts(candidate, options), filters)
    except (InputError, KeyError, ValueError, TypeError, AttributeError) as error:
        logger.warning("metadata not read, so not filtered by: %s", error)
        return ""


def _refusal(facts: Mapping[str, Any], filters: FilterSettings) -> str:
    clouds, sza = facts.get("cloud_cover"), facts.get("sza")
    cloudiest, lowest = filters.max_cloud_cover, filters.max_sza
    if cloudiest is not None and clouds is not None and clouds > cloudiest:
        return f"cloud cover {clouds:.1f} % above {cloudiest:g} %"
    if lowest is not None and sza is not None and sza > lowest:
        return f"sun too low: zenith angle {sza:.1f} degree above {lowest:g}"
    if filters.geometry is not None and facts.get("footprint") is not None:
        from shapely.geometry import shape  # noqa: PLC0415  # an extra, for this filter only

        if not shape(filters.geometry).intersects(shape(facts["footprint"])):
            return "footprint does not meet the geometry that is asked for"
    return ""


def _facts(candidate: Candidate, options: Mapping[str, Any]) -> dict[str, Any]:
    store = open_store(candidate.url, options)
    facts: dict[str, Any] = {}
    if candidate.kind == "zarr":
        return _zarr_facts(store)
    for path in store.find():
        name = path.rsplit("/", 1)[-1]
        if name in {"MTD_MSIL1C.xml", "MTD_TL.xml", "metadata.xml"}:
            facts |= dict(_xml_facts(store.read(path, 0, _LONGEST)))
    return facts


def _xml_facts(text: bytes) -> Iterator[tuple[str, Any]]:
    clouds = _CLOUDS.search(text) or _CLOUDS_OF_TILE.search(text)
    if clouds is not None:
        yield "cloud_cover", float(clouds[1])
    sun = _SUN.search(text)
    if sun is not None:
        yield "sza", float(sun[1])
    found = _FOOTPRINT.search(text)
    if found is not None:
        numbers = [float(word) for word in found[1].split()]
        ring = [[lon, lat] for lat, lon in zip(numbers[::2], numbers[1::2], strict=False)]
        yield "footprint", {"type": "Polygon", "coordinates": [ring]}


def _zarr_facts(store: Store) -> dict[str, Any]:
    """EOPF products carry the attributes of their STAC item."""
    if store.exists("zarr.json"):
        attributes = json.loads(store.read("zarr.json")).get("attributes") or {}
    else:
        attributes = json.loads(store.read(".zmetadata"))["metadata"].get(".zattrs") or {}
    item = attributes.get("stac_discovery") or {}
    properties = item.get("properties") or {}
    facts = {}
    if "eo:cloud_cover" in properties:
        facts["cloud_cover"] = float(properties["eo:cloud_cover"])
    if "view:sun_elevation" in properties:
        facts["sza"] = 90.0 - float(properties["view:sun_elevation"])
    if item.get("geometry"):
        facts["footprint"] = item["geometry"]
    return facts

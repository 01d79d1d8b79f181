"""Metadata of the product, of the datastrip, and the manifest."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from s2cloud.io.safe_elements import (
    PSD,
    add_acquisition,
    add_display,
    add_footprint,
    add_product_info,
    add_spectra,
    add_sun,
    ring,
)
from s2cloud.io.safe_manifest import Listed, add_wrapped, manifest_of
from s2cloud.io.xml_text import add, iso, root, text
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.simulation.tiling import sun_distance_factor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.model.grid import Grid
    from s2cloud.simulation.identity import Identity
    from s2cloud.simulation.tile_metadata import Shares

__all__ = ["checksum", "datastrip_metadata", "manifest", "product_metadata"]

_NOTE: Final = "Synthetic product made by s2cloud; no observation of the Earth"
_CHECKS: Final = (
    "FORMAT_CORRECTNESS",
    "GENERAL_QUALITY",
    "GEOMETRIC_QUALITY",
    "RADIOMETRIC_QUALITY",
    "SENSOR_QUALITY",
)


def product_metadata(product: Identity, grid: Grid, shares: Shares) -> bytes:
    """Content of ``MTD_MSIL1C.xml``.

    Parameters
    ----------
    product
        Names.
    grid
        The 10 m grid.
    shares
        Percentages of cloud and snow.

    Returns
    -------
    bytes
    """
    user = root("Level-1C_User_Product", f"{PSD}/User_Product_Level-1C.xsd")
    user.append(ET.Comment(f" {_NOTE} "))
    general = add(user, "n1:General_Info")
    info = add_product_info(
        general,
        level="1C",
        start=iso(product.time),
        folder=f"{product.name}.SAFE",
        baseline=product.baseline,
        created=iso(product.created, 6),
    )
    datatake = add(info, "Datatake", datatakeIdentifier=product.datatake_id)
    _datatake(datatake, product)
    query = add(info, "Query_Options", completeSingleTile="true")
    add(query, "PRODUCT_FORMAT", "SAFE_COMPACT")
    granule = add(
        info,
        "Product_Organisation/Granule_List/Granule",
        datastripIdentifier=product.datastrip_id,
        granuleIdentifier=product.granule_id,
        imageFormat="JPEG2000",
    )
    for image in (*(BAND_INFO[band].esa_name for band in BANDS), "TCI"):
        add(granule, "IMAGE_FILE", product.image(image))
    _characteristics(general, product)
    add_footprint(user, grid)
    auxiliary = add(user, "n1:Auxiliary_Data_Info")
    add(auxiliary, "GIPP_List")
    add(auxiliary, "PRODUCTION_DEM_TYPE", "NONE")
    quality = add(user, "n1:Quality_Indicators_Info")
    add(quality, "Cloud_Coverage_Assessment", repr(shares.cloud))
    if product.masks_are_rasters:
        add(quality, "Snow_Coverage_Assessment", repr(shares.snow))
    add(quality, "Technical_Quality_Assessment/DEGRADED_ANC_DATA_PERCENTAGE", "0.0")
    add(quality, "Technical_Quality_Assessment/DEGRADED_MSI_DATA_PERCENTAGE", 0)
    for check in _CHECKS:
        path = "Quality_Control_Checks/Quality_Inspections/quality_check"
        add(quality, path, "PASSED", checkType=check)
    add(quality, "Quality_Control_Checks/Failed_Inspections")
    return text(user)


def datastrip_metadata(product: Identity) -> bytes:
    """Content of ``MTD_DS.xml``: identity and times; the orbit and attitude data are left out.

    Parameters
    ----------
    product
        Names.

    Returns
    -------
    bytes
    """
    strip = root("Level-1C_DataStrip_ID", f"{PSD}/S2_PDI_Level-1C_Datastrip_Metadata.xsd")
    general = add(strip, "n1:General_Info")
    datatake = add(
        general, "Datatake_Info", datatakeIdentifier=product.datatake_id, metadataLevel="Brief"
    )
    _datatake(datatake, product)
    times = add(general, "Datastrip_Time_Info", metadataLevel="Brief")
    add(times, "DATASTRIP_SENSING_START", iso(product.time))
    add(times, "DATASTRIP_SENSING_STOP", iso(product.time))
    processing = add(general, "Processing_Info", metadataLevel="Expertise")
    add(processing, "PROCESSING_BASELINE", product.baseline)
    add(processing, "PROCESSING_CENTER", "2APS")
    add(processing, "UTC_DATE_TIME", iso(product.created))
    image = add(strip, "n1:Image_Data_Info")
    tiles = add(image, "Tiles_Information", metadataLevel="Standard")
    add(tiles, "Tile_List/Tile", tileId=product.granule_id)
    radiometry = add(image, "Radiometric_Info", metadataLevel="Expertise")
    _radiometry(radiometry, product)
    return text(strip)


def manifest(product: Identity, grid: Grid, files: Mapping[str, tuple[int, str]]) -> bytes:
    """Content of ``manifest.safe``.

    Parameters
    ----------
    product
        Names.
    grid
        The 10 m grid.
    files
        Size [byte] and checksum of every other file by its path in the product.

    Returns
    -------
    bytes
    """
    kind = "MD5" if product.version < (3, 1) else "SHA3-256"
    package, section = manifest_of(
        "1C",
        (
            Listed(path, re.sub("[/.]", "_", path), "Measurement Data Unit", size, total, kind)
            for path, (size, total) in files.items()
        ),
    )
    add_wrapped(
        section, "acquisitionPeriod", "safe:acquisitionPeriod/safe:startTime", iso(product.time)
    )
    orbit = add_wrapped(
        section, "measurementOrbitReference", "safe:orbitReference/safe:orbitNumber",
        f"{product.absolute_orbit:06d}", groundTrackDirection="descending", type="start",
    )  # fmt: skip
    path = "safe:orbitReference/safe:relativeOrbitNumber"
    add(orbit, path, product.relative_orbit, type="start")
    platform = add_wrapped(section, "platform", "safe:platform/safe:familyName", "SENTINEL")
    add(platform, "safe:platform/safe:number", product.sensor[1:])
    frame = "safe:frameSet/safe:footPrint/gml:coordinates"
    add_wrapped(section, "measurementFrameSet", frame, ring(grid))
    return text(package)


def checksum(product: Identity, data: bytes) -> str:
    """Checksum as the manifest of a baseline states it: MD5 before 03.01, SHA3-256 from then on."""
    if product.version < (3, 1):
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    return hashlib.sha3_256(data).hexdigest().upper()


def _datatake(parent: ET.Element, product: Identity) -> None:
    add_acquisition(parent, product.sensor, iso(product.time), product.relative_orbit)


def _characteristics(general: ET.Element, product: Identity) -> None:
    image = add(general, "Product_Image_Characteristics")
    add_display(image)
    add(image, "QUANTIFICATION_VALUE", 10000, unit="none")
    _radiometry(image, product)
    add_spectra(image, product.sensor)


def _radiometry(parent: ET.Element, product: Identity) -> None:
    if product.offset:
        offsets = add(parent, "Radiometric_Offset_List")
        for info in BAND_INFO.values():
            add(offsets, "RADIO_ADD_OFFSET", product.offset, band_id=info.index)
    add_sun(parent, product.sensor, sun_distance_factor(product.time))

"""Metadata of the product, of the datastrip, and the manifest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from pyproj import Transformer

from s2cloud.io.xml_text import add, iso, root, text
from s2cloud.model.bands import BAND_INFO, BANDS, SENSORS
from s2cloud.model.schema import NODATA, SATURATED
from s2cloud.physics.spectral import response
from s2cloud.simulation.tiling import sun_distance_factor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.model.grid import Grid
    from s2cloud.simulation.identity import Identity
    from s2cloud.simulation.tile_metadata import Shares

__all__ = ["checksum", "datastrip_metadata", "footprint", "manifest", "product_metadata"]

_PSD: Final = "https://psd-14.sentinel2.eo.esa.int/PSD"
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
    user = root("Level-1C_User_Product", f"{_PSD}/User_Product_Level-1C.xsd")
    user.append(ET.Comment(f" {_NOTE} "))
    general = add(user, "n1:General_Info")
    info = add(general, "Product_Info")
    for tag, value in (
        ("PRODUCT_START_TIME", iso(product.time)),
        ("PRODUCT_STOP_TIME", iso(product.time)),
        ("PRODUCT_URI", f"{product.name}.SAFE"),
        ("PROCESSING_LEVEL", "Level-1C"),
        ("PRODUCT_TYPE", "S2MSI1C"),
        ("PROCESSING_BASELINE", product.baseline),
        ("GENERATION_TIME", iso(product.created, 6)),
        ("PREVIEW_IMAGE_URL", "Not applicable"),
        ("PREVIEW_GEO_INFO", "Not applicable"),
    ):
        add(info, tag, value)
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
    geometry = add(user, "n1:Geometric_Info")
    path = "Product_Footprint/Product_Footprint/Global_Footprint/EXT_POS_LIST"
    add(geometry, path, footprint(grid))
    add(geometry, "Product_Footprint/RASTER_CS_TYPE", "POINT")
    add(geometry, "Product_Footprint/PIXEL_ORIGIN", 1)
    add(geometry, "Coordinate_Reference_System/GEO_TABLES", "EPSG", version=1)
    add(geometry, "Coordinate_Reference_System/HORIZONTAL_CS_TYPE", "GEOGRAPHIC")
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
    strip = root("Level-1C_DataStrip_ID", f"{_PSD}/S2_PDI_Level-1C_Datastrip_Metadata.xsd")
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
    package = ET.Element("xfdu:XFDU")
    package.set("xmlns:xfdu", "urn:ccsds:schema:xfdu:1")
    package.set("xmlns:safe", "http://www.esa.int/safe/sentinel/1.1")
    package.set("xmlns:gml", "http://www.opengis.net/gml")
    package.set("version", "esa/safe/sentinel/1.1/sentinel-2/msi/archive_l1c_user_product")
    unit = add(
        package,
        "informationPackageMap/xfdu:contentUnit",
        dmdID="acquisitionPeriod platform",
        pdiID="processing",
        textInfo="SENTINEL-2 MSI Level-1C User Product",
        unitType="Product_Level-1C",
    )
    objects = ET.Element("dataObjectSection")
    digest = "MD5" if product.version < (3, 1) else "SHA3-256"
    for path, (size, total) in files.items():
        name = path.replace("/", "_").replace(".", "_")
        inner = add(unit, "xfdu:contentUnit", ID=f"{name}_Unit", unitType="Measurement Data Unit")
        add(inner, "dataObjectPointer", dataObjectID=name)
        stream = add(
            add(objects, "dataObject", ID=name), "byteStream", mimeType=_mime(path), size=size
        )
        add(stream, "fileLocation", href=f"./{path}", locatorType="URL")
        add(stream, "checksum", total, checksumName=digest)
    section = add(package, "metadataSection")
    _wrap(section, "acquisitionPeriod", "safe:acquisitionPeriod/safe:startTime", iso(product.time))
    orbit = _wrap(
        section, "measurementOrbitReference", "safe:orbitReference/safe:orbitNumber",
        f"{product.absolute_orbit:06d}", groundTrackDirection="descending", type="start",
    )  # fmt: skip
    path = "safe:orbitReference/safe:relativeOrbitNumber"
    add(orbit, path, product.relative_orbit, type="start")
    platform = _wrap(section, "platform", "safe:platform/safe:familyName", "SENTINEL")
    add(platform, "safe:platform/safe:number", product.sensor[1:])
    frame = "safe:frameSet/safe:footPrint/gml:coordinates"
    _wrap(section, "measurementFrameSet", frame, footprint(grid))
    package.append(objects)
    return text(package)


def checksum(product: Identity, data: bytes) -> str:
    """Checksum as the manifest of a baseline states it: MD5 before 03.01, SHA3-256 from then on."""
    if product.version < (3, 1):
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    return hashlib.sha3_256(data).hexdigest().upper()


def footprint(grid: Grid) -> str:
    """Closed ring of corners, latitude before longitude. [degree]."""
    west, south, east, north = grid.bounds
    project = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform
    ring = ((west, north), (east, north), (east, south), (west, south), (west, north))
    corners = (project(x, y) for x, y in ring)
    return " ".join(f"{latitude:.12f} {longitude:.12f}" for longitude, latitude in corners)


def _datatake(parent: ET.Element, product: Identity) -> None:
    add(parent, "SPACECRAFT_NAME", f"Sentinel-{product.sensor[1:]}")
    add(parent, "DATATAKE_TYPE", "INS-NOBS")
    add(parent, "DATATAKE_SENSING_START", iso(product.time))
    add(parent, "SENSING_ORBIT_NUMBER", product.relative_orbit)
    add(parent, "SENSING_ORBIT_DIRECTION", "DESCENDING")


def _characteristics(general: ET.Element, product: Identity) -> None:
    image = add(general, "Product_Image_Characteristics")
    for name, value in (("NODATA", NODATA), ("SATURATED", SATURATED)):
        special = add(image, "Special_Values")
        add(special, "SPECIAL_VALUE_TEXT", name)
        add(special, "SPECIAL_VALUE_INDEX", value)
    for channel, index in (("RED", 3), ("GREEN", 2), ("BLUE", 1)):
        add(image, f"Image_Display_Order/{channel}_CHANNEL", index)
    add(image, "QUANTIFICATION_VALUE", 10000, unit="none")
    _radiometry(image, product)
    spectra = add(image, "Spectral_Information_List")
    for band in BANDS:
        _spectrum(spectra, band, product)


def _radiometry(parent: ET.Element, product: Identity) -> None:
    if product.offset:
        offsets = add(parent, "Radiometric_Offset_List")
        for info in BAND_INFO.values():
            add(offsets, "RADIO_ADD_OFFSET", product.offset, band_id=info.index)
    sun = add(parent, "Reflectance_Conversion")
    add(sun, "U", repr(sun_distance_factor(product.time)))
    irradiances = add(sun, "Solar_Irradiance_List")
    index = SENSORS.index(product.sensor)
    for info in BAND_INFO.values():
        add(
            irradiances,
            "SOLAR_IRRADIANCE",
            f"{info.irradiance[index]:.2f}",
            bandId=info.index,
            unit="W/m²/µm",
        )


def _spectrum(parent: ET.Element, band: str, product: Identity) -> None:
    info = BAND_INFO[band]
    wavelengths, weights = response(product.sensor, band)
    physical = info.esa_name.replace("B0", "B")
    entry = add(parent, "Spectral_Information", bandId=info.index, physicalBand=physical)
    add(entry, "RESOLUTION", info.resolution)
    centre = f"{info.wavelength_nm[SENSORS.index(product.sensor)]:.1f}"
    for tag, value in (
        ("MIN", f"{wavelengths[0]:.0f}"),
        ("MAX", f"{wavelengths[-1]:.0f}"),
        ("CENTRAL", centre),
    ):
        add(entry, f"Wavelength/{tag}", value, unit="nm")
    add(entry, "Spectral_Response/STEP", 1, unit="nm")
    add(entry, "Spectral_Response/VALUES", " ".join(f"{w:.8g}" for w in weights))


def _wrap(
    section: ET.Element, name: str, path: str, value: object, **attributes: object
) -> ET.Element:
    entry = add(section, "metadataObject", ID=name, category="DMD", classification="DESCRIPTION")
    wrap = add(entry, "metadataWrap", mimeType="text/xml", vocabularyName="Sentinel-SAFE")
    data = add(wrap, "xmlData")
    add(data, path, value, **attributes)
    return data


def _mime(path: str) -> str:
    return "text/xml" if path.endswith(".xml") else "application/octet-stream"

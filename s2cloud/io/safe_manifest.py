"""``manifest.safe``: the list of the files of a SAFE product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from s2cloud.io.safe_elements import ring
from s2cloud.io.xml_text import add, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s2cloud.io.safe_product_metadata import Facts

__all__ = ["Listed", "add_wrapped", "manifest", "manifest_of"]

#: International designators of the launches.
_LAUNCHES = {"S2A": "2015-028A", "S2B": "2017-013A", "S2C": "2024-157A"}
_MASKS = {
    "MSK_CLDPRB": "CloudPrbMask",
    "MSK_SNWPRB": "SnowPrbMask",
    "MSK_DETFOO": "DetectorFootprintMask_Band",
    "MSK_QUALIT": "QualitPixelsMask_Band",
    "MSK_CLASSI": "ClassiPixelsMask_Band",
}


def manifest(facts: Facts, files: Mapping[str, tuple[int, str]]) -> bytes:
    """Content of ``manifest.safe``.

    Parameters
    ----------
    facts
        The product.
    files
        Size [byte] and SHA-256 of every other file by its path in the product.

    Returns
    -------
    bytes
    """
    listed = [
        Listed(path, _object(path), _unit(path), *files[path], "SHA-256") for path in sorted(files)
    ]
    package, section = manifest_of("2A", listed)
    _metadata(section, facts)
    return text(package)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the manifest lists it: path, identifier, unit, size [byte], checksum, its kind."""

    path: str
    name: str
    unit: str
    size: int
    checksum: str
    kind: str


def manifest_of(level: str, files: Iterable[Listed]) -> tuple[ET.Element, ET.Element]:
    """Manifest of a level (``1C``, ``2A``) with its files, and its empty section of metadata."""
    package = ET.Element("xfdu:XFDU")
    package.set("xmlns:xfdu", "urn:ccsds:schema:xfdu:1")
    package.set("xmlns:safe", "http://www.esa.int/safe/sentinel/1.1")
    package.set("xmlns:gml", "http://www.opengis.net/gml")
    version = f"esa/safe/sentinel/1.1/sentinel-2/msi/archive_l{level.lower()}_user_product"
    package.set("version", version)
    unit = add(
        package,
        "informationPackageMap/xfdu:contentUnit",
        dmdID="acquisitionPeriod platform",
        pdiID="processing",
        textInfo=f"SENTINEL-2 MSI Level-{level} User Product",
        unitType=f"Product_Level-{level}",
    )
    section = add(package, "metadataSection")
    objects = add(package, "dataObjectSection")
    for file in files:
        inner = add(unit, "xfdu:contentUnit", ID=f"{file.name}_Unit", unitType=file.unit)
        add(inner, "dataObjectPointer", dataObjectID=file.name)
        kind = "text/xml" if file.path.endswith(".xml") else "application/octet-stream"
        entry = add(objects, "dataObject", ID=file.name)
        stream = add(entry, "byteStream", mimeType=kind, size=file.size)
        add(stream, "fileLocation", href=f"./{file.path}", locatorType="URL")
        add(stream, "checksum", file.checksum, checksumName=file.kind)
    return package, section


def _metadata(section: ET.Element, facts: Facts) -> None:
    granule = facts.product.granule
    add_wrapped(section, "acquisitionPeriod", "safe:acquisitionPeriod/safe:startTime", facts.start)
    orbit = add_wrapped(
        section, "measurementOrbitReference", "safe:orbitReference/safe:orbitNumber",
        f"{facts.names.absolute_orbit:06d}", groundTrackDirection="descending", type="start",
    )  # fmt: skip
    path = "safe:orbitReference/safe:relativeOrbitNumber"
    add(orbit, path, f"{max(granule.relative_orbit, 0):03d}", type="start")
    platform = add_wrapped(
        section, "platform", "safe:platform/safe:nssdcIdentifier", _LAUNCHES[granule.sensor]
    )
    add(platform, "safe:platform/safe:familyName", "SENTINEL")
    add(platform, "safe:platform/safe:number", granule.sensor[1:])
    instrument = "safe:platform/safe:instrument/safe:familyName"
    add(platform, instrument, "Multi-Spectral Instrument", abbreviation="MSI")
    entry = add(
        section, "metadataObject", ID="processing", category="PDI", classification="PROVENANCE"
    )
    wrap = add(entry, "metadataWrap", mimeType="text/xml", vocabularyName="Sentinel-SAFE")
    done = add(
        wrap, "xmlData/safe:processing", name="Generation of Level-2A User Product",
        start=facts.created,
    )  # fmt: skip
    software, _, version = facts.receipt.software.rpartition(" ")
    add(done, "safe:facility", name="s2cloud")
    add(done, "safe:software", name=software, version=version)
    add(done, "safe:resource", name=granule.name, role="Level-1C Product")
    frame = add_wrapped(
        section, "measurementFrameSet", "safe:frameSet/safe:footPrint/gml:coordinates",
        ring(facts.grid),
    )  # fmt: skip
    footprint = frame.find(".//{*}footPrint") or frame[0][0]
    footprint.set("srsName", "http://www.opengis.net/gml/srs/epsg.xml#4326")


def add_wrapped(
    section: ET.Element, name: str, path: str, value: object, **attributes: object
) -> ET.Element:
    """Append an entry that holds one element, by its path."""
    entry = add(section, "metadataObject", ID=name, category="DMD", classification="DESCRIPTION")
    wrap = add(entry, "metadataWrap", mimeType="text/xml", vocabularyName="Sentinel-SAFE")
    data = add(wrap, "xmlData")
    add(data, path, value, **attributes)
    return data


def _object(path: str) -> str:
    """Identifier of a file, by the names that readers of ESA's manifests look for."""
    if path == "MTD_MSIL2A.xml":
        return "S2_Level-2A_Product_Metadata"
    stem = path.rpartition("/")[2].rpartition(".")[0]
    if path.startswith("DATASTRIP/"):
        return "S2_Level-2A_Datastrip1_Metadata"
    if stem == "MTD_TL":
        return "S2_Level-2A_Tile1_Metadata"
    if "/IMG_DATA/" in path:
        band, resolution = stem.split("_")[-2:]
        return f"IMG_DATA_Band_{band}_{resolution}_Tile1_Data"
    kind, _, last = stem.rpartition("_")
    return f"{_MASKS.get(kind, kind)}_{last}_Tile1_Data"


def _unit(path: str) -> str:
    return "Metadata Unit" if path.endswith(".xml") else "Measurement Data Unit"

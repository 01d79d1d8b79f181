"""``MTD_MSIL2A.xml`` of a SAFE product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from s2cloud.io.safe_elements import (
    PSD,
    add_acquisition,
    add_display,
    add_footprint,
    add_product_info,
    add_spectra,
    add_sun,
)
from s2cloud.io.safe_names import BASELINE
from s2cloud.io.xml_text import add, root, text
from s2cloud.model.bands import BAND_INFO
from s2cloud.model.granule import PRODUCT_NAME
from s2cloud.model.schema import ENCODINGS, SCL
from s2cloud.physics.angles import earth_sun_distance
from s2cloud.processor.scene import AOT_METHODS

if TYPE_CHECKING:
    from s2cloud.io.receipt import Receipt
    from s2cloud.io.safe_names import SafeNames
    from s2cloud.io.target import Product
    from s2cloud.model.grid import Grid

__all__ = ["Facts", "add_content_quality", "add_datatake", "product_metadata"]

#: Names of classes in the metadata where they are not ours in upper case with ``SC_`` before.
_CLASSES: Final = {
    SCL.NO_DATA: "NODATA",
    SCL.SATURATED_OR_DEFECTIVE: "SATURATED_DEFECTIVE",
    SCL.CAST_SHADOW: "DARK_FEATURE_SHADOW",
    SCL.CLOUD_MEDIUM_PROBABILITY: "CLOUD_MEDIUM_PROBA",
    SCL.CLOUD_HIGH_PROBABILITY: "CLOUD_HIGH_PROBA",
}
#: Shares in the order of ESA's metadata; the processor does not tell land from water below clouds.
_SHARES: Final = (
    "NODATA_PIXEL_PERCENTAGE",
    "SATURATED_DEFECTIVE_PIXEL_PERCENTAGE",
    "CAST_SHADOW_PERCENTAGE",
    "CLOUD_SHADOW_PERCENTAGE",
    "VEGETATION_PERCENTAGE",
    "NOT_VEGETATED_PERCENTAGE",
    "WATER_PERCENTAGE",
    "UNCLASSIFIED_PERCENTAGE",
    "MEDIUM_PROBA_CLOUDS_PERCENTAGE",
    "HIGH_PROBA_CLOUDS_PERCENTAGE",
    "THIN_CIRRUS_PERCENTAGE",
    "SNOW_ICE_PERCENTAGE",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the metadata of one product are written from.

    Attributes
    ----------
    names
        Names of the product and its files.
    product
        The tree and its identity.
    receipt
        Draft of the receipt: statistics, provenance, software.
    grid
        The finest grid.
    images
        Paths of the images in the product.
    """

    names: SafeNames
    product: Product
    receipt: Receipt
    grid: Grid
    images: tuple[str, ...]

    @property
    def start(self) -> str:
        """Start of sensing of the datatake as in the name, ``2025-06-01T10:16:01.000Z``."""
        return _from_name(self.names.start)

    @property
    def created(self) -> str:
        """Time in the product's name; not the time of writing: equal pixels, equal files."""
        return _from_name(self.names.created)


def product_metadata(facts: Facts) -> bytes:
    """Content of ``MTD_MSIL2A.xml``.

    Parameters
    ----------
    facts
        The product.

    Returns
    -------
    bytes
    """
    names, receipt = facts.names, facts.receipt
    user = root("Level-2A_User_Product", f"{PSD}/User_Product_Level-2A.xsd")
    user.append(ET.Comment(f" Made by {receipt.software} from {facts.product.granule.name} "))
    general = add(user, "n1:General_Info")
    info = add_product_info(
        general,
        level="2A",
        start=facts.start,
        folder=names.folder,
        baseline=BASELINE,
        created=facts.created,
    )
    add_datatake(info, facts)
    query = add(info, "Query_Options", completeSingleTile="true")
    add(query, "PRODUCT_FORMAT", "SAFE_COMPACT")
    granule = add(
        info,
        "Product_Organisation/Granule_List/Granule",
        datastripIdentifier=names.datastrip_id,
        granuleIdentifier=names.granule_id,
        imageFormat="JPEG2000",
    )
    for path in facts.images:
        if "/IMG_DATA/" in path:
            add(granule, "IMAGE_FILE", path.removesuffix(".jp2"))
    _characteristics(general, facts)
    add_footprint(user, facts.grid)
    _auxiliary(add(user, "n1:Auxiliary_Data_Info"), facts)
    quality = add(user, "n1:Quality_Indicators_Info")
    shares = receipt.statistics.get("percentages", {})
    add(quality, "Cloud_Coverage_Assessment", shares.get("CLOUDY_PIXEL_PERCENTAGE", 0.0))
    add(quality, "Technical_Quality_Assessment/DEGRADED_ANC_DATA_PERCENTAGE", "0.0")
    add(quality, "Technical_Quality_Assessment/DEGRADED_MSI_DATA_PERCENTAGE", 0)
    add_content_quality(quality, facts)
    return text(user)


def add_datatake(parent: ET.Element, facts: Facts, tag: str = "Datatake") -> None:
    """Append identity and time of the datatake."""
    granule = facts.product.granule
    datatake = add(parent, tag, datatakeIdentifier=facts.names.datatake_id)
    orbit = granule.relative_orbit
    if orbit <= 0 and (match := PRODUCT_NAME.search(granule.name)):
        orbit = int(match["orbit"])
    add_acquisition(datatake, granule.sensor, facts.start, orbit)


def add_content_quality(parent: ET.Element, facts: Facts) -> None:
    """Append ``Image_Content_QI``: shares of classes and what the retrievals found."""
    content = add(parent, "Image_Content_QI")
    shares = facts.receipt.statistics.get("percentages", {})
    for name in _SHARES:
        if name in shares:
            add(content, name, f"{shares[name]:.6f}")
    numbers = facts.receipt.statistics.get("numbers", {})
    method = numbers.get("quality/retrieval/aot_method")
    if method is not None:
        add(content, "AOT_RETRIEVAL_METHOD", f"S2CLOUD_{AOT_METHODS[int(method)].upper()}")
    for tag, name, factor in (
        ("GRANULE_MEAN_AOT", "mean_aot", 1.0),
        ("GRANULE_MEAN_WV", "mean_wvp", 0.1),  # kg m-2 to g cm-2
    ):
        if name in facts.receipt.statistics:
            add(content, tag, f"{facts.receipt.statistics[name] * factor:.6f}")
    meteorology: dict[str, Any] = facts.receipt.provenance.get("meteorology", {})
    if "tco3" in meteorology:
        source = str(meteorology.get("sources", {}).get("tco3", "unknown"))
        add(content, "OZONE_SOURCE", {"ecmwf": "AUX_ECMWFT"}.get(source, source.upper()))
        add(content, "OZONE_VALUE", f"{meteorology['tco3']:.6f}")


def _characteristics(general: ET.Element, facts: Facts) -> None:
    image = add(general, "Product_Image_Characteristics")
    add_display(image)
    values = add(image, "QUANTIFICATION_VALUES_LIST")
    boa = ENCODINGS["reflectance"]
    add(values, "BOA_QUANTIFICATION_VALUE", round(1 / boa.scale), unit="none")
    add(values, "AOT_QUANTIFICATION_VALUE", 1 / ENCODINGS["aot"].scale, unit="none")
    # Stored in thousandths of g cm-2, which is cm of water; `ENCODINGS` counts in kg m-2.
    add(values, "WVP_QUANTIFICATION_VALUE", 10 / ENCODINGS["wvp"].scale, unit="cm")
    offsets = add(image, "BOA_ADD_OFFSET_VALUES_LIST")
    for info in BAND_INFO.values():
        add(offsets, "BOA_ADD_OFFSET", round(boa.offset / boa.scale), band_id=info.index)
    granule = facts.product.granule
    add_sun(image, granule.sensor, earth_sun_distance(granule.sensing_time) ** -2)
    add_spectra(image, granule.sensor)
    add(image, "REFERENCE_BAND", 3)
    classes = add(image, "Scene_Classification_List")
    for code in SCL:
        entry = add(classes, "Scene_Classification_ID")
        name = f"SC_{_CLASSES.get(code, code.name)}"
        add(entry, "SCENE_CLASSIFICATION_TEXT", name)
        add(entry, "SCENE_CLASSIFICATION_INDEX", int(code))


def _auxiliary(parent: ET.Element, facts: Facts) -> None:
    add(parent, "GIPP_List")
    provenance = facts.receipt.provenance
    maps = (provenance.get("configuration") or {}).get("auxiliary") or {}
    add(parent, "PRODUCTION_DEM_TYPE", _last(maps.get("dem")))
    table = provenance.get("look_up_table") or {}
    name = f"s2cloud {table.get('aerosol', '')} {table.get('sha256', '')[:12]}".strip()
    add(parent, "LUT_List/LUT_FILENAME", name)
    add(parent, "SNOW_CLIMATOLOGY_MAP", _last(maps.get("snow_climatology")))
    add(parent, "ESACCI_WaterBodies_Map", _last(maps.get("water_bodies")))
    add(parent, "ESACCI_LandCover_Map", _last(maps.get("land_cover")))
    add(parent, "ESACCI_SnowCondition_Map_Dir", _last(maps.get("snow_condition")))


def _last(address: object) -> str:
    """Name of a map without the place it lies at."""
    return str(address).rstrip("/").rpartition("/")[2] if address else "None"


def _from_name(stamp: str) -> str:
    """``20250601T101601`` in the style of the metadata."""
    d, t = stamp[:8], stamp[9:]
    return f"{d[:4]}-{d[4:6]}-{d[6:]}T{t[:2]}:{t[2:4]}:{t[4:]}.000000Z"

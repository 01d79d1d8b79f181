"""Elements that the metadata of Level-1C and Level-2A products have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import CRS, Transformer

from s2cloud.io.xml_text import add
from s2cloud.model.bands import BAND_INFO, BANDS, SENSORS
from s2cloud.model.schema import NODATA, SATURATED
from s2cloud.physics.spectral import response

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.model.grid import Grid

__all__ = [
    "ANGLE_STEP",
    "PSD",
    "add_acquisition",
    "add_angle_grids",
    "add_display",
    "add_footprint",
    "add_geocoding",
    "add_mean_angles",
    "add_product_info",
    "add_spectra",
    "add_sun",
    "ring",
]

#: Name space of the product specification.
PSD: Final = "https://psd-14.sentinel2.eo.esa.int/PSD"
#: Spacing of the angle grids, counted from the corner of the image. [m]
ANGLE_STEP: Final = 5000.0


def add_product_info(
    general: Element,
    *,
    level: str,
    start: str,
    folder: str,
    baseline: str,
    created: str,
) -> Element:
    """Append ``Product_Info`` with what names a product; `level` is ``1C`` or ``2A``."""
    info = add(general, "Product_Info")
    for tag, value in (
        ("PRODUCT_START_TIME", start),
        ("PRODUCT_STOP_TIME", start),
        ("PRODUCT_URI", folder),
        ("PROCESSING_LEVEL", f"Level-{level}"),
        ("PRODUCT_TYPE", f"S2MSI{level}"),
        ("PROCESSING_BASELINE", baseline),
        ("GENERATION_TIME", created),
        ("PREVIEW_IMAGE_URL", "Not applicable"),
        ("PREVIEW_GEO_INFO", "Not applicable"),
    ):
        add(info, tag, value)
    return info


def add_acquisition(datatake: Element, sensor: Sensor, start: str, orbit: int) -> None:
    """Append who saw it, when, and on which orbit of the repeat cycle."""
    add(datatake, "SPACECRAFT_NAME", f"Sentinel-{sensor[1:]}")
    add(datatake, "DATATAKE_TYPE", "INS-NOBS")
    add(datatake, "DATATAKE_SENSING_START", start)
    add(datatake, "SENSING_ORBIT_NUMBER", orbit)
    add(datatake, "SENSING_ORBIT_DIRECTION", "DESCENDING")


def add_display(image: Element) -> None:
    """Append counts with a meaning of their own, and the bands of the colours."""
    for name, value in (("NODATA", NODATA), ("SATURATED", SATURATED)):
        special = add(image, "Special_Values")
        add(special, "SPECIAL_VALUE_TEXT", name)
        add(special, "SPECIAL_VALUE_INDEX", value)
    for channel, index in (("RED", 3), ("GREEN", 2), ("BLUE", 1)):
        add(image, f"Image_Display_Order/{channel}_CHANNEL", index)


def add_sun(image: Element, sensor: Sensor, factor: float) -> None:
    """Append ``U``, the squared inverse distance to the sun, and the irradiances."""
    sun = add(image, "Reflectance_Conversion")
    add(sun, "U", repr(factor))
    irradiances = add(sun, "Solar_Irradiance_List")
    for info in BAND_INFO.values():
        irradiance = f"{info.irradiance[SENSORS.index(sensor)]:.2f}"
        add(irradiances, "SOLAR_IRRADIANCE", irradiance, bandId=info.index, unit="W/m²/µm")


def add_spectra(image: Element, sensor: Sensor) -> None:
    """Append the spectral response of each band."""
    spectra = add(image, "Spectral_Information_List")
    for band in BANDS:
        info = BAND_INFO[band]
        wavelengths, weights = response(sensor, band)
        physical = info.esa_name.replace("B0", "B")
        entry = add(spectra, "Spectral_Information", bandId=info.index, physicalBand=physical)
        add(entry, "RESOLUTION", info.resolution)
        for tag, value in (
            ("MIN", f"{wavelengths[0]:.0f}"),
            ("MAX", f"{wavelengths[-1]:.0f}"),
            ("CENTRAL", f"{info.wavelength_nm[SENSORS.index(sensor)]:.1f}"),
        ):
            add(entry, f"Wavelength/{tag}", value, unit="nm")
        add(entry, "Spectral_Response/STEP", 1, unit="nm")
        add(entry, "Spectral_Response/VALUES", " ".join(f"{w:.8g}" for w in weights))


def add_footprint(user: Element, grid: Grid) -> None:
    """Append ``Geometric_Info`` of a product."""
    geometry = add(user, "n1:Geometric_Info")
    path = "Product_Footprint/Product_Footprint/Global_Footprint/EXT_POS_LIST"
    add(geometry, path, ring(grid))
    add(geometry, "Product_Footprint/RASTER_CS_TYPE", "POINT")
    add(geometry, "Product_Footprint/PIXEL_ORIGIN", 1)
    add(geometry, "Coordinate_Reference_System/GEO_TABLES", "EPSG", version=1)
    add(geometry, "Coordinate_Reference_System/HORIZONTAL_CS_TYPE", "GEOGRAPHIC")


def ring(grid: Grid) -> str:
    """Closed ring of corners, latitude before longitude. [degree]."""
    west, south, east, north = grid.bounds
    project = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform
    corners = ((west, north), (east, north), (east, south), (west, south), (west, north))
    degrees = (project(x, y) for x, y in corners)
    return " ".join(f"{latitude:.12f} {longitude:.12f}" for longitude, latitude in degrees)


def add_geocoding(parent: Element, grids: Mapping[int, Grid]) -> None:
    """Append ``Tile_Geocoding``: reference system, and the grid of each resolution."""
    geocoding = add(parent, "Tile_Geocoding", metadataLevel="Brief")
    crs = CRS.from_user_input(next(iter(grids.values())).crs)
    add(geocoding, "HORIZONTAL_CS_NAME", crs.name.replace("WGS 84", "WGS84"))
    add(geocoding, "HORIZONTAL_CS_CODE", f"EPSG:{crs.to_epsg()}")
    for resolution, grid in sorted(grids.items()):
        size = add(geocoding, "Size", resolution=resolution)
        add(size, "NROWS", grid.height)
        add(size, "NCOLS", grid.width)
    for resolution, grid in sorted(grids.items()):
        position = add(geocoding, "Geoposition", resolution=resolution)
        add(position, "ULX", round(grid.ulx))
        add(position, "ULY", round(grid.uly))
        add(position, "XDIM", round(grid.pixel_size))
        add(position, "YDIM", -round(grid.pixel_size))


def add_angle_grids(
    parent: Element, zenith: npt.NDArray[np.float64], azimuth: npt.NDArray[np.float64]
) -> None:
    """Append angles at the nodes, shape (y, x), NaN where there are none. [degree]."""
    for name, plane in (("Zenith", zenith), ("Azimuth", azimuth)):
        group = add(parent, name)
        add(group, "COL_STEP", round(ANGLE_STEP), unit="m")
        add(group, "ROW_STEP", round(ANGLE_STEP), unit="m")
        rows = add(group, "Values_List")
        for row in plane:
            words = ("NaN" if np.isnan(value) else f"{value:.6g}" for value in row)
            add(rows, "VALUES", " ".join(words))


def add_mean_angles(parent: Element, zenith: float, azimuth: float) -> None:
    """Append one direction. [degree]."""
    add(parent, "ZENITH_ANGLE", repr(zenith), unit="deg")
    add(parent, "AZIMUTH_ANGLE", repr(azimuth), unit="deg")

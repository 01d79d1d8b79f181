"""Metadata of the granule, ``MTD_TL.xml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s2cloud.io.safe_elements import (
    PSD,
    add_angle_grids,
    add_geocoding,
    add_mean_angles,
)
from s2cloud.io.xml_text import add, iso, root, text
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.simulation.geometry import TIE_STEP, sun_at
from s2cloud.simulation.gml import POLYGON_KINDS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

    from s2cloud.model.grid import Grid
    from s2cloud.simulation.geometry import Viewing
    from s2cloud.simulation.identity import Identity

    Floats = npt.NDArray[np.float64]

__all__ = ["Shares", "tile_metadata"]

_NAMESPACE = f"{PSD}/S2_PDI_Level-1C_Tile_Metadata.xsd"


@dataclass(frozen=True, slots=True)
class Shares:
    """Percentages that the metadata report. [%].

    Attributes
    ----------
    cloud, snow, nodata
        Share of the image.
    """

    cloud: float
    snow: float
    nodata: float


def tile_metadata(
    product: Identity, grid: Grid, viewing: Viewing, sza: float | None, shares: Shares
) -> bytes:
    """Content of ``MTD_TL.xml``.

    Parameters
    ----------
    product
        Names.
    grid
        The 10 m grid.
    viewing
        Directions to the satellite.
    sza
        Zenith of the sun at the centre if it was given. [degree]
    shares
        Percentages.

    Returns
    -------
    bytes
    """
    tile = root("Level-1C_Tile_ID", _NAMESPACE)
    general = add(tile, "n1:General_Info")
    add(general, "TILE_ID", product.granule_id, metadataLevel="Brief")
    add(general, "DATASTRIP_ID", product.datastrip_id, metadataLevel="Standard")
    add(general, "DOWNLINK_PRIORITY", "NOMINAL", metadataLevel="Standard")
    add(general, "SENSING_TIME", iso(product.time, 6), metadataLevel="Standard")
    archive = add(general, "Archiving_Info", metadataLevel="Expertise")
    add(archive, "ARCHIVING_CENTRE", "2APS")
    add(archive, "ARCHIVING_TIME", iso(product.created, 6))
    geometry = add(tile, "n1:Geometric_Info")
    add_geocoding(geometry, {10 * n: grid.scaled(n) for n in (1, 2, 6)})
    angles = add(geometry, "Tile_Angles", metadataLevel="Standard")
    _sun(angles, product, grid, sza)
    _views(angles, grid, viewing)
    _quality(tile, product, shares)
    return text(tile)


def _sun(parent: Element, product: Identity, grid: Grid, sza: float | None) -> None:
    y, x = _tie_points(grid)
    zenith, azimuth = sun_at(grid, product.time, y, x, sza)
    add_angle_grids(add(parent, "Sun_Angles_Grid"), zenith, azimuth)
    y, x = _inside(grid)
    zenith, azimuth = sun_at(grid, product.time, y, x, sza)
    mean = float(zenith.mean()), float(azimuth.mean())
    add_mean_angles(add(parent, "Mean_Sun_Angle"), *mean)


def _views(parent: Element, grid: Grid, viewing: Viewing) -> None:
    y, x = _tie_points(grid)
    inside = _inside(grid)
    for band in BANDS:
        seen = set(np.unique(viewing.detector(band, *inside)).tolist())
        for detector in range(1, 13):
            covered = viewing.covers(band, detector, y, x)
            if not covered.any():
                if detector not in seen:
                    continue
                # Small images fit between the tie points; the nearest ones speak for them.
                outside = viewing.beside(band, detector, y, x)
                covered = outside <= outside.min() + 1.0
            view = viewing.view(band, detector % 2 == 1, y, x)
            grids = add(
                parent,
                "Viewing_Incidence_Angles_Grids",
                bandId=BAND_INFO[band].index,
                detectorId=detector,
            )
            masked = (np.where(covered, a, np.nan) for a in (view.zenith, view.azimuth))
            add_angle_grids(grids, *masked)
    means = add(parent, "Mean_Viewing_Incidence_Angle_List")
    for band in BANDS:
        zenith, azimuth = viewing.mean(band, *inside)
        mean = add(means, "Mean_Viewing_Incidence_Angle", bandId=BAND_INFO[band].index)
        add_mean_angles(mean, zenith, azimuth)


def _quality(tile: Element, product: Identity, shares: Shares) -> None:
    quality = add(tile, "n1:Quality_Indicators_Info", metadataLevel="Standard")
    add(quality, "Image_Content_QI/CLOUDY_PIXEL_PERCENTAGE", repr(shares.cloud))
    add(quality, "Image_Content_QI/DEGRADED_MSI_DATA_PERCENTAGE", 0)
    if product.masks_are_rasters:
        add(quality, "Image_Content_QI/NODATA_PIXEL_PERCENTAGE", repr(shares.nodata))
        add(quality, "Image_Content_QI/SNOW_PIXEL_PERCENTAGE", repr(shares.snow))
    masks = add(quality, "Pixel_Level_QI", geometry="FULL_RESOLUTION")
    if product.masks_are_rasters:
        for band in BANDS:
            info = BAND_INFO[band]
            for kind in ("MSK_DETFOO", "MSK_QUALIT"):
                path = product.quality(f"{kind}_{info.esa_name}.jp2")
                add(masks, "MASK_FILENAME", path, bandId=info.index, type=kind)
        path = product.quality("MSK_CLASSI_B00.jp2")
        add(masks, "MASK_FILENAME", path, type="MSK_CLASSI")
    else:
        for band in BANDS:
            info = BAND_INFO[band]
            for kind in POLYGON_KINDS:
                path = product.quality(f"MSK_{kind}_{info.esa_name}.gml")
                add(masks, "MASK_FILENAME", path, bandId=info.index, type=f"MSK_{kind}")
        add(masks, "MASK_FILENAME", product.quality("MSK_CLOUDS_B00.gml"), type="MSK_CLOUDS")
    add(quality, "PVI_FILENAME", product.quality(f"T{product.tile}_{product.start}_PVI.jp2"))


def _tie_points(grid: Grid) -> tuple[Floats, Floats]:
    west, _, east, north = grid.bounds
    offsets = TIE_STEP * np.arange(int(np.ceil((east - west) / TIE_STEP)) + 1)
    x, y = np.meshgrid(west + offsets, north - offsets)
    return y, x


def _inside(grid: Grid) -> tuple[Floats, Floats]:
    """Points spread evenly over the image."""
    coarse = grid.scaled(max(grid.width // 60, 1))
    x, y = np.meshgrid(coarse.x, coarse.y)
    return y, x

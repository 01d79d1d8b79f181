"""``MTD_TL.xml`` of the granule and ``MTD_DS.xml`` of the datastrip of a SAFE product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.io.safe_elements import (
    ANGLE_STEP,
    PSD,
    add_angle_grids,
    add_geocoding,
    add_mean_angles,
)
from s2cloud.io.safe_names import BASELINE
from s2cloud.io.safe_product_metadata import add_content_quality, add_datatake
from s2cloud.io.xml_text import add, iso, root, text
from s2cloud.model.bands import BAND_INFO
from s2cloud.model.schema import GEOMETRY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.io.safe_product_metadata import Facts
    from s2cloud.model.grid import Grid

    Floats = npt.NDArray[np.float64]

__all__ = ["datastrip_metadata", "tile_metadata"]

_INDICES: Final = {info.esa_name: info.index for info in BAND_INFO.values()}


def tile_metadata(
    facts: Facts, grids: Mapping[int, Grid], small: Mapping[str, npt.NDArray[Any]]
) -> bytes:
    """Content of ``MTD_TL.xml``.

    Parameters
    ----------
    facts
        The product.
    grids
        Grids of the images by resolution.
    small
        Computed variables that were lazy, by ``path/name``.

    Returns
    -------
    bytes
    """
    names, granule = facts.names, facts.product.granule
    tile = root("Level-2A_Tile_ID", f"{PSD}/S2_PDI_Level-2A_Tile_Metadata.xsd")
    general = add(tile, "n1:General_Info")
    add(general, "TILE_ID", names.granule_id, metadataLevel="Brief")
    add(general, "DATASTRIP_ID", names.datastrip_id, metadataLevel="Standard")
    add(general, "DOWNLINK_PRIORITY", "NOMINAL", metadataLevel="Standard")
    add(general, "SENSING_TIME", iso(granule.sensing_time, 6), metadataLevel="Standard")
    archive = add(general, "Archiving_Info", metadataLevel="Expertise")
    add(archive, "ARCHIVING_CENTRE", names.centre)
    add(archive, "ARCHIVING_TIME", facts.created)
    geometry = add(tile, "n1:Geometric_Info")
    add_geocoding(geometry, grids)
    angles = _geometry_of(facts, small)
    if angles is not None:
        _angles(add(geometry, "Tile_Angles", metadataLevel="Standard"), angles, facts.grid)
    quality = add(tile, "n1:Quality_Indicators_Info", metadataLevel="Standard")
    add_content_quality(quality, facts)
    shares = facts.receipt.statistics.get("percentages", {})
    cloudy = f"{shares.get('CLOUDY_PIXEL_PERCENTAGE', 0.0):.6f}"
    add(quality, "Image_Content_QI/CLOUDY_PIXEL_PERCENTAGE", cloudy)
    masks = add(quality, "Pixel_Level_QI", geometry="FULL_RESOLUTION")
    for path in facts.images:
        if "/QI_DATA/" in path:
            kind, _, last = path.rpartition("/")[2].removesuffix(".jp2").rpartition("_")
            band = _INDICES.get(last)
            add(
                masks,
                "MASK_FILENAME",
                path,
                **({} if band is None else {"bandId": band}),
                type=kind,
            )
    return text(tile)


def datastrip_metadata(facts: Facts) -> bytes:
    """Content of ``MTD_DS.xml``: identity and times; orbit and attitude are in the Level-1C.

    Parameters
    ----------
    facts
        The product.

    Returns
    -------
    bytes
    """
    strip = root("Level-2A_DataStrip_ID", f"{PSD}/S2_PDI_Level-2A_Datastrip_Metadata.xsd")
    general = add(strip, "n1:General_Info")
    add_datatake(general, facts, tag="Datatake_Info")
    start = f"{iso(facts.product.granule.sensing_time, 3)}"
    times = add(general, "Datastrip_Time_Info", metadataLevel="Brief")
    add(times, "DATASTRIP_SENSING_START", start)
    add(times, "DATASTRIP_SENSING_STOP", start)
    processing = add(general, "Processing_Info", metadataLevel="Expertise")
    add(processing, "PROCESSING_BASELINE", BASELINE)
    add(processing, "PROCESSING_CENTER", facts.names.centre)
    add(processing, "UTC_DATE_TIME", facts.created)
    image = add(strip, "n1:Image_Data_Info")
    tiles = add(image, "Tiles_Information", metadataLevel="Standard")
    add(tiles, "Tile_List/Tile", tileId=facts.names.granule_id)
    return text(strip)


def _geometry_of(facts: Facts, small: Mapping[str, npt.NDArray[Any]]) -> xr.Dataset | None:
    tree = facts.product.l2a
    node = next((node for node in tree.subtree if node.path.strip("/") == GEOMETRY), None)
    if node is None:
        return None
    dataset = node.to_dataset()
    for name, variable in dataset.data_vars.items():
        computed = small.get(f"{GEOMETRY}/{name}")
        if computed is not None:
            dataset[name] = (variable.dims, computed)
    return dataset.load()


def _angles(parent: Element, angles: xr.Dataset, grid: Grid) -> None:
    if "sun_angles" in angles:
        _grid(add(parent, "Sun_Angles_Grid"), _at_nodes(angles["sun_angles"], grid))
    if "mean_sun_angles" in angles:
        _mean(add(parent, "Mean_Sun_Angle"), angles["mean_sun_angles"])
    if "viewing_incidence_angles" in angles:
        views = _at_nodes(angles["viewing_incidence_angles"], grid)
        for band in map(str, angles["band"].values):
            for number in angles["detector"].values:
                view = views.sel(band=band, detector=number)
                if not bool(np.isfinite(view).any()):
                    continue
                detector = int("".join(c for c in str(number) if c.isdigit()))
                one = add(
                    parent,
                    "Viewing_Incidence_Angles_Grids",
                    bandId=BAND_INFO[band].index,
                    detectorId=detector,
                )
                _grid(one, view)
    if "mean_viewing_incidence_angles" in angles:
        means = add(parent, "Mean_Viewing_Incidence_Angle_List")
        for band in map(str, angles["band"].values):
            mean = angles["mean_viewing_incidence_angles"].sel(band=band)
            index = BAND_INFO[band].index
            _mean(add(means, "Mean_Viewing_Incidence_Angle", bandId=index), mean)


def _at_nodes(values: xr.DataArray, grid: Grid) -> xr.DataArray:
    """Angles at the nodes of a grid that begins at the corner of the image.

    Those of a whole tile are there already. A part of a tile lies between the nodes: zenith and
    azimuth are smooth along one detector, so the nearest node is less than 0.05 degree off and
    keeps the outlines of the detectors, which interpolation would eat.
    """
    west, south, east, north = grid.bounds
    steps = (int(np.ceil((east - west) / ANGLE_STEP)), int(np.ceil((north - south) / ANGLE_STEP)))
    x = west + ANGLE_STEP * np.arange(steps[0] + 1)
    y = north - ANGLE_STEP * np.arange(steps[1] + 1)
    if "x" not in values.coords or "y" not in values.coords:
        return values
    return values.sel(x=x, y=y, method="nearest")


def _grid(parent: Element, values: xr.DataArray) -> None:
    planes = values.transpose("angle", "y", "x").to_numpy().astype(np.float64)
    add_angle_grids(parent, *planes)


def _mean(parent: Element, values: xr.DataArray) -> None:
    add_mean_angles(parent, *(float(value) for value in values.values))

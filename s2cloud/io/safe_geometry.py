"""Where the pixels of a tile lie, and from where sun and satellite see them: MTD_TL.xml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from s2cloud.io.xml_read import elements, missing, number_of, text_of, unreadable
from s2cloud.model.bands import BANDS, Resolution
from s2cloud.model.grid import Grid

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import numpy.typing as npt

__all__ = ["angle_dataset", "pixel_grids"]


def pixel_grids(root: Element, name: str) -> dict[Resolution, Grid]:
    """Grid of each resolution."""
    crs = text_of(root, "HORIZONTAL_CS_CODE", name)
    sizes = {e.get("resolution"): e for e in elements(root, "Size")}
    corners = {e.get("resolution"): e for e in elements(root, "Geoposition")}
    grids: dict[Resolution, Grid] = {}
    for resolution in (10, 20, 60):
        size, corner = sizes.get(str(resolution)), corners.get(str(resolution))
        if size is None or corner is None:
            raise missing(f"Size and Geoposition of {resolution} m", name)
        grids[resolution] = Grid(
            crs,
            number_of(corner, "ULX", name),
            number_of(corner, "ULY", name),
            number_of(corner, "XDIM", name),
            int(number_of(size, "NROWS", name)),
            int(number_of(size, "NCOLS", name)),
        )
    return grids


def angle_dataset(root: Element, grids: dict[Resolution, Grid], name: str) -> xr.Dataset:
    """Angles of sun and sight at the tie points. [degree]."""
    sun_grid = next(elements(root, "Sun_Angles_Grid"), None)
    if sun_grid is None:
        raise missing("Sun_Angles_Grid", name)
    sun, step = _angle_grid(sun_grid, name)
    views: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    for element in elements(root, "Viewing_Incidence_Angles_Grids"):
        try:
            key = (int(element.get("bandId", "")), int(element.get("detectorId", "")))
        except ValueError:
            raise unreadable("Viewing_Incidence_Angles_Grids", "", name) from None
        grid, _ = _angle_grid(element, name)
        if grid.shape != sun.shape or not 0 <= key[0] < len(BANDS):
            raise unreadable("Viewing_Incidence_Angles_Grids", f"shape {grid.shape}", name)
        # A detector comes twice where two datastrips meet in a tile.
        views[key] = np.where(np.isnan(views[key]), grid, views[key]) if key in views else grid
    detectors = sorted({detector for _, detector in views}) or [1]
    viewing = np.full((len(BANDS), len(detectors), *sun.shape), np.nan)
    for (band, detector), grid in views.items():
        viewing[band, detectors.index(detector)] = grid
    mean_view = np.full((len(BANDS), 2), np.nan)
    for element in elements(root, "Mean_Viewing_Incidence_Angle"):
        mean_view[int(element.get("bandId", "0"))] = _angle_pair(element, name)
    mean_sun = next(elements(root, "Mean_Sun_Angle"), None)
    if mean_sun is None:
        raise missing("Mean_Sun_Angle", name)
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
        part = next(elements(element, kind), None)
        rows = [] if part is None else [e.text or "" for e in elements(part, "VALUES")]
        try:
            layers.append(np.array([row.split() for row in rows], dtype=np.float64))
        except ValueError:
            raise unreadable(kind, "rows of different length", name) from None
    if layers[0].ndim != 2 or layers[0].shape != layers[1].shape or layers[0].size == 0:
        raise unreadable("angle grid", "incomplete", name)
    return np.stack(layers), number_of(element, "COL_STEP", name)


def _angle_pair(element: Element, name: str) -> tuple[float, float]:
    return (number_of(element, "ZENITH_ANGLE", name), number_of(element, "AZIMUTH_ANGLE", name))

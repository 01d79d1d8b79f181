"""Outline of a grid on the globe, as GeoJSON wants it: also across the antimeridian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyproj import Transformer

if TYPE_CHECKING:
    from s2cloud.model.grid import Grid

__all__ = ["footprint"]

#: Points per side: a side of a UTM tile bends by up to 100 m against a straight line in degrees.
_POINTS: Final = 8
#: About 0.1 m.
_DECIMALS: Final = 6

Ring = list[tuple[float, float]]


def footprint(grid: Grid) -> tuple[dict[str, Any] | None, list[float] | None]:
    """Geometry and bounding box of the outer edges of a grid in WGS 84.

    Parameters
    ----------
    grid
        A grid with a reference system.

    Returns
    -------
    geometry
        GeoJSON polygon, counter-clockwise; a multi-polygon cut at the antimeridian where the
        grid crosses it. None if the grid has no reference system.
    bbox
        West, south, east, north. [degree] West is greater than east across the antimeridian
        (RFC 7946, 5.2). None without a reference system.
    """
    if not grid.crs:
        return None, None
    ring = _ring(grid)
    longitudes = [lon for lon, _ in ring]
    latitudes = [lat for _, lat in ring]
    south, north = min(latitudes), max(latitudes)
    west, east = min(longitudes), max(longitudes)
    if west >= -180.0 and east <= 180.0:
        return {"type": "Polygon", "coordinates": [_closed(ring)]}, [west, south, east, north]
    if west < -180.0:
        ring = [(lon + 360.0, lat) for lon, lat in ring]
        west, east = west + 360.0, east + 360.0
    left = _clipped(ring, keep_west=True)
    right = [(lon - 360.0, lat) for lon, lat in _clipped(ring, keep_west=False)]
    geometry = {"type": "MultiPolygon", "coordinates": [[_closed(left)], [_closed(right)]]}
    return geometry, [west, south, round(east - 360.0, _DECIMALS), north]


def _ring(grid: Grid) -> Ring:
    west, south, east, north = grid.bounds
    steps = np.linspace(0.0, 1.0, _POINTS, endpoint=False)
    corners = [(west, north), (west, south), (east, south), (east, north)]
    points = [
        (x0 + t * (x1 - x0), y0 + t * (y1 - y0))
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True)
        for t in steps
    ]
    to_wgs84 = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True)
    longitude, latitude = to_wgs84.transform(*np.array(points).T)
    # Continuous longitudes, so that a grid across the antimeridian is one ring.
    longitude = longitude[0] + (longitude - longitude[0] + 180.0) % 360.0 - 180.0
    return [
        (round(float(lon), _DECIMALS), round(float(lat), _DECIMALS))
        for lon, lat in zip(longitude, latitude, strict=True)
    ]


def _clipped(ring: Ring, *, keep_west: bool) -> Ring:
    """Part of a ring on one side of 180 degrees (Sutherland and Hodgman, one edge)."""
    result: Ring = []
    for (lon0, lat0), (lon1, lat1) in zip(ring, ring[1:] + ring[:1], strict=True):
        inside0, inside1 = ((lon <= 180.0) == keep_west for lon in (lon0, lon1))
        if inside0:
            result.append((lon0, lat0))
        if inside0 != inside1:
            share = (180.0 - lon0) / (lon1 - lon0)
            result.append((180.0, round(lat0 + share * (lat1 - lat0), _DECIMALS)))
    return result


def _closed(ring: Ring) -> list[list[float]]:
    return [list(point) for point in [*ring, ring[0]]]

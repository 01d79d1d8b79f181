"""Sun and viewing angles from the 5 km tie-point grids to the coarse cells of a scene.

Neighbouring detectors look ahead of and behind nadir in turn, so the direction jumps where one
ends. `TiePoints.parity` keeps the two sets apart, each continued smoothly over the strips of the
other, so that a pixel whose detector is known gets that detector's direction. `TiePoints.view` is
their mean where they overlap, for those who do not know the detector. Gaps outside the swath are
filled from the nearest tie point. Angles are interpolated as vectors, so that azimuths near north
and views near nadir need no special case.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)

__all__ = ["TiePoints", "angles_at", "sun_vector", "tie_points"]


@dataclass(frozen=True, slots=True)
class TiePoints:
    """Direction vectors at the tie points of a tile.

    Attributes
    ----------
    x, y
        Easting and northing of the tie points. [m], shapes (x,) and (y,)
    sun
        ``tan(zenith) * (sin, cos)(azimuth)`` of the sun, shape (2, y, x).
    view
        The same towards the sensor for each band, shape (band, 2, y, x).
    parity
        The same for detectors of even and of odd number, shape (2, band, 2, y, x); None where the
        angles tell of one detector only.
    """

    x: Floats
    y: Floats
    sun: Floats
    view: Floats
    parity: Floats | None = None


def tie_points(
    x: Floats,
    y: Floats,
    sun_angles: Floats,
    view_angles: Floats,
    detectors: npt.NDArray[np.integer] | None = None,
) -> TiePoints:
    """Direction vectors from the angle grids of the product.

    Parameters
    ----------
    x, y
        Easting and northing of the tie points. [m], shapes (x,) and (y,)
    sun_angles
        Zenith and azimuth of the sun. [degree], shape (2, y, x)
    view_angles
        Zenith and azimuth towards the sensor per band and detector, NaN outside a detector's
        footprint. [degree], shape (band, detector, 2, y, x)
    detectors
        Numbers of the detectors; without them their order counts.

    Returns
    -------
    TiePoints
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    sun = _vector(sun_angles)
    vectors = _vector(np.moveaxis(view_angles, 2, 0))
    seen = np.isfinite(vectors).all(axis=0)
    count = seen.sum(axis=1)
    total = np.where(seen, np.nan_to_num(vectors), 0.0).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        view = _filled(_borrow_bands(np.moveaxis(total / count, 0, 1)))
    parity = None
    if vectors.shape[2] > 1:
        numbers = np.arange(1, vectors.shape[2] + 1) if detectors is None else np.asarray(detectors)
        parity = _by_parity(np.moveaxis(vectors, 0, 2), numbers % 2, x, y)
        parity = np.where(np.isfinite(parity), parity, view)
    return TiePoints(x, y, _filled(sun[np.newaxis])[0], view, parity)


def angles_at(
    points: TiePoints, band: int, x: Floats, y: Floats, parity: int | None = None
) -> tuple[Floats, Floats, Floats]:
    """Angles of one band on the nodes of a grid.

    Parameters
    ----------
    points
        Tie points of the tile.
    band
        Index of the band in ESA's order.
    x, y
        Easting and northing of the nodes. [m], shapes (x,) and (y,)
    parity
        Direction to the detectors of even (0) or odd (1) number; None for the mean.

    Returns
    -------
    tuple
        Sun zenith, view zenith, relative azimuth (0 = sun and sensor on the same side).
        [degree], each shape (y, x)
    """
    sun = _interpolated(points, points.sun, x, y)
    towards = points.view if parity is None or points.parity is None else points.parity[parity]
    view = _interpolated(points, towards[band], x, y)
    tan_sza = np.hypot(sun[0], sun[1])
    tan_vza = np.hypot(view[0], view[1])
    cosine = (sun * view).sum(axis=0) / np.maximum(tan_sza * tan_vza, 1e-12)
    raa = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return np.degrees(np.arctan(tan_sza)), np.degrees(np.arctan(tan_vza)), raa


def sun_vector(points: TiePoints, x: Floats, y: Floats) -> Floats:
    """``tan(zenith) * (sin, cos)(azimuth)`` of the sun on the nodes of a grid.

    Parameters
    ----------
    points
        Tie points of the tile.
    x, y
        Easting and northing of the nodes. [m], shapes (x,) and (y,)

    Returns
    -------
    numpy.ndarray
        East and north component, shape (2, y, x).
    """
    return _interpolated(points, points.sun, x, y)


def _by_parity(vectors: Floats, odd: npt.NDArray[np.integer], x: Floats, y: Floats) -> Floats:
    """Directions of even and odd detectors over the whole tile.

    Within a detector the direction is nearly linear in position, with the same gradient for all
    detectors of a band (they look from one place), so each is continued beyond its footprint with
    the gradient common to them. Of two detectors of a set the nearer one counts.

    Parameters
    ----------
    vectors
        NaN outside a detector's footprint, shape (band, detector, 2, y, x).
    odd
        Whether a detector's number is odd, shape (detector,).
    x, y
        Easting and northing of the tie points. [m]

    Returns
    -------
    numpy.ndarray
        Shape (2, band, 2, y, x); NaN for a band of which a set sees nothing.
    """
    bands, _, _, height, width = vectors.shape
    out = np.full((2, bands, 2, height, width), np.nan)
    places = np.stack(np.meshgrid(x, y))
    for band, views in enumerate(vectors):
        seen = np.isfinite(views).all(axis=1)
        found = [d for d in range(views.shape[0]) if seen[d].any()]
        offsets, values, centres = [], [], []
        for d in found:
            where, what = places[:, seen[d]], views[d][:, seen[d]]
            centres.append((where.mean(axis=1), what.mean(axis=1)))
            offsets.append(where - where.mean(axis=1, keepdims=True))
            values.append(what - what.mean(axis=1, keepdims=True))
        if not found:
            continue
        gradient = np.linalg.lstsq(
            np.concatenate(offsets, axis=1).T, np.concatenate(values, axis=1).T, rcond=None
        )[0]
        least = np.full((2, height, width), np.inf)
        for d, (where, what) in zip(found, centres, strict=True):
            line = what[:, None, None] + np.einsum(
                "pv,pyx->vyx", gradient, places - where[:, None, None]
            )
            whole = np.where(seen[d], views[d], line)
            distance = ndimage.distance_transform_edt(~seen[d])
            side = int(odd[d])
            nearer = distance < least[side]
            out[side, band][:, nearer] = whole[:, nearer]
            least[side][nearer] = distance[nearer]
    return out


def _vector(angles: Floats) -> Floats:
    zenith, azimuth = np.radians(np.asarray(angles, dtype=np.float64))
    tangent = np.tan(zenith)
    return np.stack([tangent * np.sin(azimuth), tangent * np.cos(azimuth)])


def _borrow_bands(view: Floats) -> Floats:
    """Bands without any angle take the mean of the others: chips often carry one angle for all."""
    missing = ~np.isfinite(view).any(axis=(1, 2, 3))
    if missing.any() and not missing.all():
        view = view.copy()
        view[missing] = np.nanmean(view[~missing], axis=0)
    return view


def _filled(fields: Floats) -> Floats:
    """Gaps of fields (..., 2, y, x) from the nearest tie point that has a value."""
    out = fields.copy()
    for field in out:
        gap = ~np.isfinite(field).all(axis=0)
        if gap.all():
            logger.warning("no view angle in any band of the product: taken as nadir")
            field[:] = 0.0
        elif gap.any():
            nearest = ndimage.distance_transform_edt(
                gap, return_distances=False, return_indices=True
            )
            field[:] = field[:, nearest[0], nearest[1]]
    return out


def _interpolated(points: TiePoints, field: Floats, x: Floats, y: Floats) -> Floats:
    """Bilinear, held constant beyond the outermost tie points."""
    column = _fraction(points.x, x)
    row = _fraction(points.y, y)
    coordinates = np.meshgrid(row, column, indexing="ij")
    return np.stack(
        [ndimage.map_coordinates(part, coordinates, order=1, mode="nearest") for part in field]
    )


def _fraction(nodes: Floats, values: Floats) -> Floats:
    order = 1.0 if nodes[-1] >= nodes[0] else -1.0
    index = np.arange(nodes.size, dtype=np.float64)
    return np.interp(order * values, order * nodes, index)

"""Boxes and geometries in any reference system, brought to the grid of a tile."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url, public_url
from s2cloud.model.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from s2cloud.model.grid import Grid

    Floats = npt.NDArray[np.float64]

__all__ = [
    "Bbox",
    "Shape",
    "bounds_of",
    "box",
    "digest_of",
    "geometry",
    "known_crs",
    "on_grid",
    "rasterised",
    "to_text",
]

Bbox = tuple[float, float, float, float]
#: Edges are divided so that the curve they are in another projection is followed. [1]
_STEPS: Final = 32
_KINDS: Final = frozenset({"Polygon", "MultiPolygon", "LineString", "MultiLineString", "Point"})


@dataclass(frozen=True, slots=True)
class Shape:
    """Rings, lines and points of an area in its own reference system.

    Attributes
    ----------
    parts
        GeoJSON geometries without collections.
    crs
        Reference system.
    words
        What it is, for messages.
    literal
        Whether longitudes are meant as they stand; else an edge of more than half a turn is
        taken to cross the date line.
    """

    parts: tuple[dict[str, Any], ...]
    crs: str
    words: str
    literal: bool = False


def box(bbox: Bbox, crs: str) -> Shape:
    """Shape of a bounding box.

    Parameters
    ----------
    bbox
        West, south, east, north. In degrees east may be less than west: the box then crosses
        the date line.
    crs
        Anything that PROJ understands, such as ``EPSG:32632``.

    Raises
    ------
    InputError
        If these are no bounds.
    UsageError
        If the reference system is not known.
    """
    found = known_crs(crs)
    try:
        west, south, east, north = (float(value) for value in bbox)
    except (TypeError, ValueError):
        west = south = east = north = float("nan")
    turns = 360.0 if found.is_geographic and east < west else 0.0
    in_range = not found.is_geographic or (
        south >= -90 and north <= 90 and max(abs(west), abs(east)) <= 360
    )
    if not (west < east + turns and south < north and in_range):
        raise InputError(
            "not a bounding box",
            where=str(bbox),
            expected=f"west, south, east, north in {crs}",
            fix="check the order of the numbers, and the reference system",
        )
    ring = [(west, south), (east + turns, south), (east + turns, north), (west, north)]
    polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    words = "bounding box " + ", ".join(f"{v:g}" for v in bbox)
    return Shape((polygon,), crs, words, literal=True)


def geometry(given: Any, crs: str, storage_options: Mapping[str, Any] | None = None) -> Shape:
    """Shape of a geometry in any usual form.

    Parameters
    ----------
    given
        Path or URL of a GeoJSON file, GeoJSON as text or dict (geometry, feature or collection),
        anything with ``__geo_interface__`` (shapely, geopandas). Other files are read with
        geopandas where that is installed.
    crs
        Reference system of a geometry that names none.
    storage_options
        Options of the file system of a URL.

    Raises
    ------
    InputError
        If there is no geometry, or it is empty.
    UsageError
        If the reference system is not known, or the file needs geopandas.
    """
    words = "geometry"
    own: Any = getattr(given, "crs", None)
    if isinstance(given, str | os.PathLike):
        text = os.fspath(given)
        words = "geometry" if text.lstrip().startswith("{") else public_url(text)
        given, own = _read(text, storage_options or {})
    if hasattr(given, "__geo_interface__"):
        given = given.__geo_interface__
    if isinstance(given, dict) and own is None:
        own = _named_crs(given)
    parts = tuple(_parts(given, words))
    if not parts:
        raise InputError(
            "empty geometry",
            where=words,
            expected="a polygon, line or point",
            fix="check the file, or the filter that made it",
        )
    if own is not None:
        crs = own if isinstance(own, str) else CRS.from_user_input(own).to_wkt()
    known_crs(crs)
    return Shape(parts, crs, words)


def known_crs(crs: str) -> CRS:
    """Reference system by any name that PROJ understands."""
    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise UsageError(
            "unknown reference system",
            where=repr(crs)[:80],
            expected="a name such as EPSG:4326 or EPSG:32632, or WKT",
            found=str(error).partition(":")[0],
            fix="check bbox_crs (--bbox-crs), or the CRS that the file names",
        ) from error


def on_grid(shape: Shape, grid: Grid) -> list[dict[str, Any]]:
    """Parts of a shape near a grid, in its reference system.

    What is far from the tile is cut off before it is projected: transverse Mercator gives
    nonsense a quarter around the Earth, and longitudes have several names there.

    Returns
    -------
    list
        GeoJSON geometries; empty if nothing is near.
    """
    source = known_crs(shape.crs)
    to_shape = Transformer.from_crs(grid.crs, source, always_xy=True)
    to_grid = Transformer.from_crs(source, grid.crs, always_xy=True)
    west, south, east, north = grid.bounds
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    edge = _divided(np.array(corners))
    xs, ys = (np.asarray(v, np.float64) for v in to_shape.transform(edge[:, 0], edge[:, 1]))
    if source.is_geographic:
        xs = np.unwrap(xs, period=360.0)
    rim_x, rim_y = (0.02 * float(np.ptp(v)) for v in (xs, ys))
    envelope = (xs.min() - rim_x, ys.min() - rim_y, xs.max() + rim_x, ys.max() + rim_y)
    if not np.all(np.isfinite(envelope)):
        return []
    found = []
    turns = (-360.0, 0.0, 360.0) if source.is_geographic else (0.0,)
    for part in shape.parts:
        for turn in turns:
            unwrap = source.is_geographic and not shape.literal
            kept = _clipped(part, envelope, turn, unwrap=unwrap)
            if kept:
                found.append(_mapped(part["type"], kept, to_grid))
    return found


def bounds_of(parts: list[dict[str, Any]]) -> Bbox | None:
    """Bounds of projected parts, None if there are none."""
    points = [ring for part in parts for ring in _rings(part)]
    if not points:
        return None
    every = np.concatenate([np.asarray(ring, np.float64) for ring in points])
    west, south = every.min(axis=0)
    east, north = every.max(axis=0)
    return float(west), float(south), float(east), float(north)


def rasterised(parts: list[dict[str, Any]], grid: Grid, *, touched: bool) -> npt.NDArray[np.bool_]:
    """Pixels of a grid inside of projected parts.

    Parameters
    ----------
    parts
        From `on_grid`.
    grid
        Pixels.
    touched
        Whether every pixel that is touched counts, or those whose centre lies inside.
    """
    # Slow to import, and most products are opened without a geometry.
    from rasterio.features import rasterize  # noqa: PLC0415
    from rasterio.transform import Affine  # noqa: PLC0415

    if not parts:
        return np.zeros(grid.shape, np.bool_)
    burnt = rasterize(
        parts,
        out_shape=grid.shape,
        transform=Affine(*grid.transform),
        all_touched=touched,
        dtype=np.uint8,
    )
    return np.asarray(burnt, np.bool_)


def to_text(shape: Shape) -> str:
    """GeoJSON text of a shape that names its reference system, for `geometry` to read."""
    named = {"type": "name", "properties": {"name": shape.crs}}
    collection = {"type": "GeometryCollection", "geometries": list(shape.parts), "crs": named}
    return json.dumps(collection, sort_keys=True, default=list)


def digest_of(shape: Shape) -> str:
    """Fingerprint of a shape, 16 hexadecimal digits."""
    text = json.dumps([shape.crs, shape.parts], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# -- reading --------------------------------------------------------------------------------------


def _read(text: str, storage_options: Mapping[str, Any]) -> tuple[Any, Any]:
    """Geometry and reference system from a file or from text."""
    if not text.lstrip().startswith("{"):
        name = text.partition("?")[0].lower()
        if not name.endswith((".json", ".geojson")):
            return _by_geopandas(text)
        folder, file = parent_url(text)
        data = open_store(folder, storage_options).read(file)
    else:
        data = text.encode()
    try:
        return json.loads(data), None
    except (ValueError, RecursionError) as error:
        raise InputError(
            "not GeoJSON",
            where=public_url(text)[:200],
            found=str(error),
            fix="export the area as GeoJSON",
        ) from error


def _by_geopandas(path: str) -> tuple[Any, Any]:
    try:
        import geopandas  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "no driver for this kind of geometry file",
            where=public_url(path),
            expected=".geojson or .json",
            fix="export the area as GeoJSON, or pip install geopandas",
        ) from error
    try:
        frame = geopandas.read_file(path)
    except Exception as error:
        raise InputError(
            "geometry file unreadable",
            where=public_url(path),
            found=f"{type(error).__name__} {error}",
            fix="check the path, or export the area as GeoJSON",
        ) from error
    return frame.__geo_interface__, frame.crs


def _named_crs(given: dict[str, Any]) -> Any:
    """Reference system that older GeoJSON may name."""
    named = given.get("crs")
    if isinstance(named, dict):
        return (named.get("properties") or {}).get("name")
    return named


def _parts(given: Any, words: str) -> Iterator[dict[str, Any]]:
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "FeatureCollection":
        for feature in given.get("features") or ():
            yield from _parts(feature, words)
    elif kind == "Feature":
        if given.get("geometry"):
            yield from _parts(given["geometry"], words)
    elif kind == "GeometryCollection":
        for part in given.get("geometries") or ():
            yield from _parts(part, words)
    elif kind in {"MultiPolygon", "MultiPoint", "MultiLineString"}:
        for part in given.get("coordinates") or ():
            yield from _parts({"type": kind.removeprefix("Multi"), "coordinates": part}, words)
    elif kind in _KINDS:
        if len(given.get("coordinates") or ()):
            yield {"type": kind, "coordinates": given["coordinates"]}
    else:
        raise InputError(
            "not a geometry",
            where=words,
            expected="GeoJSON, or an object with __geo_interface__",
            found=str(kind or type(given).__name__),
            fix="give a polygon, a feature or a file of them",
        )


# -- projecting -----------------------------------------------------------------------------------


def _rings(part: dict[str, Any]) -> list[Any]:
    coordinates = part["coordinates"]
    if part["type"] == "Polygon":
        return list(coordinates)
    return [coordinates if part["type"] == "LineString" else [coordinates]]


def _clipped(part: dict[str, Any], envelope: Bbox, turn: float, *, unwrap: bool) -> list[Floats]:
    """Rings of a part inside an envelope, the outer one first; empty if it has none there."""
    west, south, east, north = envelope
    borders: list[tuple[int, float, float]] = [
        (0, west, 1.0),
        (0, east, -1.0),
        (1, south, 1.0),
        (1, north, -1.0),
    ]
    kept = []
    for ring in _rings(part):
        points = np.asarray([point[:2] for point in ring], np.float64).reshape(-1, 2)
        points[:, 0] = (_unwrapped(points[:, 0]) if unwrap else points[:, 0]) + turn
        closed = part["type"] == "Polygon"
        for axis, border, sign in borders:
            points = _half(points, axis, border, sign, closed=closed)
        if len(points):
            kept.append(_divided(np.concatenate([points, points[:1]]) if closed else points))
        elif not kept:
            break
    return kept


def _unwrapped(longitudes: Floats) -> Floats:
    """Longitudes of a ring without jumps across the date line, whole turns left as they are."""
    steps = np.diff(longitudes)
    jumps = (np.abs(steps) > 180.0) & (np.abs(steps) < 360.0)
    turns = np.where(jumps, -360.0 * np.sign(steps), 0.0)
    return np.asarray(longitudes + np.concatenate([[0.0], np.cumsum(turns)]), np.float64)


def _half(points: Floats, axis: int, border: float, sign: float, *, closed: bool) -> Floats:
    """Part of a ring or line on one side of a border (Sutherland and Hodgman 1974)."""
    depth = sign * (points[:, axis] - border)
    out: list[Any] = []
    for i in range(len(points)):
        j = i - 1
        if (closed or i) and (depth[i] < 0) != (depth[j] < 0):
            share = depth[j] / (depth[j] - depth[i])
            out.append(points[j] + share * (points[i] - points[j]))
        if depth[i] >= 0:
            out.append(points[i])
    return np.asarray(out, np.float64).reshape(-1, 2)


def _divided(points: Floats) -> Floats:
    """Points with more of them between."""
    if len(points) < 2:
        return points
    share = np.arange(_STEPS) / _STEPS
    between = points[:-1, None] + share[None, :, None] * np.diff(points, axis=0)[:, None]
    return np.concatenate([between.reshape(-1, 2), points[-1:]])


def _mapped(kind: str, rings: list[Floats], to_grid: Transformer) -> dict[str, Any]:
    transform: Callable[..., Any] = to_grid.transform
    moved = []
    for ring in rings:
        x, y = transform(ring[:, 0], ring[:, 1])
        moved.append(list(zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True)))
    if kind == "Polygon":
        return {"type": kind, "coordinates": moved}
    if kind == "LineString" and len(moved[0]) > 1:
        return {"type": kind, "coordinates": moved[0]}
    return {"type": "Point", "coordinates": moved[0][0]}

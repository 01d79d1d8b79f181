"""Quality masks as polygons, the form they had before baseline 04.00."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import numpy as np
from rasterio.features import shapes
from rasterio.transform import Affine

from s2cloud.io.xml_text import add, text
from s2cloud.model.bands import BAND_INFO, BANDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt

    from s2cloud.model.grid import Grid
    from s2cloud.simulation.geometry import Viewing
    from s2cloud.simulation.identity import Identity

    #: Closed rings, the outer one first. [m]
    Rings = list[list[tuple[float, float]]]
    #: Identifier, type and rings of a polygon.
    Feature = tuple[str, str, Rings]

__all__ = ["POLYGON_KINDS", "polygon_masks"]

#: Masks that each band has, in the order of the metadata; clouds are one for all bands.
POLYGON_KINDS: Final = ("DEFECT", "DETFOO", "NODATA", "SATURA", "TECQUA")
_CLOUDS: Final = ("OPAQUE", "CIRRUS")
_NAMESPACES: Final = {
    "eop": "http://www.opengis.net/eop/2.0",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "gml": "http://www.opengis.net/gml/3.2",
}


def polygon_masks(
    product: Identity,
    grid: Grid,
    viewing: Viewing,
    clouds: Mapping[str, npt.NDArray[np.bool_]],
) -> Iterator[tuple[str, bytes]]:
    """Masks of a product.

    Parameters
    ----------
    product
        Names.
    grid
        The 10 m grid.
    viewing
        Which detector sees what.
    clouds
        Masks ``OPAQUE`` and ``CIRRUS`` on the 60 m grid.

    Yields
    ------
    name, content
        Name of a file of the quality folder such as ``MSK_CLOUDS_B00.gml``.

    Notes
    -----
    As in real products: footprints of detectors have three coordinates and clouds two, and masks
    that hold nothing, here all but these two kinds, have an empty list of members.
    """
    features = list(_cloud_features(grid, clouds))
    yield "MSK_CLOUDS_B00.gml", _mask(product, "CLOUDS", "B00", grid, features, 2)
    for band in BANDS:
        name = BAND_INFO[band].esa_name
        for kind in POLYGON_KINDS:
            seen = list(_footprints(band, grid, viewing)) if kind == "DETFOO" else []
            yield f"MSK_{kind}_{name}.gml", _mask(product, kind, name, grid, seen, 3)


def _cloud_features(grid: Grid, clouds: Mapping[str, npt.NDArray[np.bool_]]) -> Iterator[Feature]:
    transform = Affine(60.0, 0.0, grid.ulx, 0.0, -60.0, grid.uly)
    for kind in _CLOUDS:
        mask = clouds[kind]
        found = shapes(mask.astype(np.uint8), mask=mask, transform=transform)
        for number, (polygon, _) in enumerate(found):
            yield f"{kind}.{number}", kind, polygon["coordinates"]


def _footprints(band: str, grid: Grid, viewing: Viewing) -> Iterator[Feature]:
    """Strips of the image that single detectors see."""
    west, south, east, north = grid.bounds
    image = [(west, north), (east, north), (east, south), (west, south)]
    name = BAND_INFO[band].esa_name
    count = 0
    for detector in range(1, 13):
        low, high = viewing.strip(band, detector)
        ring = image
        for limit, side in ((low, 1.0), (high, -1.0)):
            if np.isfinite(limit):
                x, y = np.array(ring, dtype=np.float64).reshape(-1, 2).T
                ring = _cut(ring, (side * (viewing.distance(y, x) - limit)).tolist())
        if len(ring) >= 3:
            identifier = f"detector_footprint-{name}-{detector:02d}-{count}"
            yield identifier, "DETECTOR_FOOTPRINT", [[*ring, ring[0]]]
            count += 1


def _cut(ring: list[tuple[float, float]], inside: list[float]) -> list[tuple[float, float]]:
    """Part of a convex polygon on the positive side of a line (Sutherland and Hodgman 1974)."""
    out: list[tuple[float, float]] = []
    for i, (x, y) in enumerate(ring):
        before = inside[i - 1]
        if (before >= 0) != (inside[i] >= 0):
            share = before / (before - inside[i])
            x0, y0 = ring[i - 1]
            out.append((x0 + share * (x - x0), y0 + share * (y - y0)))
        if inside[i] >= 0:
            out.append((x, y))
    return out


def _mask(
    product: Identity,
    kind: str,
    band: str,
    grid: Grid,
    features: list[Feature],
    dimension: int,
) -> bytes:
    identifier = product.mask_id(kind, band)
    mask = ET.Element("eop:Mask")
    for prefix, uri in _NAMESPACES.items():
        mask.set(f"xmlns:{prefix}", uri)
    mask.set("gml:id", identifier)
    add(mask, "gml:name", f"MSK_{kind} pixels mask from data-strip {identifier}")
    if features:
        envelope = add(add(mask, "gml:boundedBy"), "gml:Envelope")
        epsg = grid.crs.removeprefix("EPSG:")
        envelope.set("srsName", f"urn:ogc:def:crs:EPSG:8.7:{epsg}")
        corners = np.array([point for _, _, rings in features for point in rings[0]])
        for tag, corner in (("lower", corners.min(axis=0)), ("upper", corners.max(axis=0))):
            add(envelope, f"gml:{tag}Corner", _words([tuple(corner)], dimension))
    members = add(mask, "eop:maskMembers")
    for number, (name, word, rings) in enumerate(features):
        feature = add(members, "eop:MaskFeature")
        feature.set("gml:id", name)
        add(feature, "eop:maskType", word, codeSpace="urn:gs2:S2PDGS:maskType")
        polygon = add(add(feature, "eop:extentOf"), "gml:Polygon")
        polygon.set("gml:id", f"{word}.{number}_Polygon")
        for ring, side in _sides(rings):
            positions = add(polygon, f"gml:{side}")
            line = add(positions, "gml:LinearRing")
            add(line, "gml:posList", _words(ring, dimension), srsDimension=dimension)
    return text(mask)


def _sides(rings: Rings) -> Iterator[tuple[list[tuple[float, float]], str]]:
    yield rings[0], "exterior"
    for ring in rings[1:]:
        yield ring, "interior"


def _words(points: Iterable[tuple[Any, ...]], dimension: int) -> str:
    tail = " 0" * (dimension - 2)
    return " ".join(f"{x:.10g} {y:.10g}{tail}" for x, y in points)

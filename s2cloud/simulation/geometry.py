"""Where the sun and the satellite stand, and which detector sees a pixel.

The satellite flies south along a straight track. Twelve detectors lie side by side across it,
each looking at 24 km; odd ones look ahead of nadir, even ones behind, by an angle that grows in
the order in which the bands lie on the focal plane: what lies above the ground is seen by each
band against another spot of it. In each of the two sets the direction to the satellite is a
linear function of position (as a vector ``tan(zenith) * (sin, cos)(azimuth)``).

References
----------
ESA, Sentinel-2 User Handbook (2015), the inter-band delays; Frantz, D. et al. (2018): Improvement
of the Fmask algorithm for Sentinel-2 images, doi:10.1016/j.rse.2018.04.046, which uses the
parallax of B07, B08 and B8A.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from pyproj import Transformer

from s2cloud.model.bands import BAND_INDEX
from s2cloud.physics.angles import solar_position

if TYPE_CHECKING:
    from datetime import datetime

    import numpy.typing as npt

    from s2cloud.model.grid import Grid

    Floats = npt.NDArray[np.float64]

__all__ = ["TIE_STEP", "View", "Viewing", "sun_at", "swath_edge"]

#: Distance of the tie points of the angle grids in the metadata. [m]
TIE_STEP: Final = 5000.0
#: Flight direction from north over east, as the grids of two real products at 44 degrees north and
#: 28 degrees south have it. [degree]
HEADING: Final = 194.4
#: Height of the satellite, shrunk so that a flat Earth gives the true incidence angle. [m]
_HEIGHT: Final = 786_000.0 / (1 + 786.0 / 6371.0)
#: Ground width seen by a detector, and how far neighbours overlap. [m] From real angle grids.
_DETECTOR: Final = 24_170.0
_OVERLAP: Final = 1_100.0
#: Distance of the image's centre from the ground track: the edge of detectors 8 and 9. [m]
_OFFSET: Final = 2 * _DETECTOR
#: Tangent of the angle between B02 and nadir, ahead or behind: half of what separates odd from even
#: detectors in real angle grids, 19.1e-3 there.
_STAGGER: Final = 9.53e-3
#: Tangent of the angle of each band beyond B02. Means of odd and even detectors of a real product
#: of baseline 05.10; the handbook's delays after B02 (0.264 s for B08 to 2.586 s for B09) times
#: 9.4e-3 per second agree within 2 %.
_PARALLAX: Final[dict[str, float]] = {
    "b02": 0.0, "b08": 2.46e-3, "b03": 4.93e-3, "b10": 8.14e-3, "b04": 9.46e-3, "b05": 11.94e-3,
    "b11": 14.03e-3, "b06": 14.41e-3, "b07": 16.88e-3, "b8a": 19.36e-3, "b12": 19.94e-3,
    "b01": 21.87e-3, "b09": 24.40e-3,
}  # fmt: skip
#: Shift of detector edges from band to band. [m]
_EDGE_SHIFT: Final = 40.0


@dataclass(frozen=True, slots=True)
class View:
    """Directions to the satellite at some points.

    Attributes
    ----------
    zenith, azimuth
        [degree]
    """

    zenith: Floats
    azimuth: Floats


@dataclass(frozen=True, slots=True)
class Viewing:
    """Viewing geometry of a product.

    Attributes
    ----------
    x, y
        Centre of the image. [m]
    edge
        Distance from the ground track beyond which nothing is seen, infinite for a full image. [m]
    """

    x: float
    y: float
    edge: float = np.inf

    @classmethod
    def of(cls, grid: Grid, edge: float = np.inf) -> Viewing:
        """Geometry for an image."""
        west, south, east, north = grid.bounds
        return cls((west + east) / 2, (south + north) / 2, edge)

    def distance(self, y: Floats, x: Floats) -> Floats:
        """Signed distance east of the ground track. [m]."""
        across = np.radians(HEADING - 90.0)
        return np.asarray((x - self.x) * np.sin(across) + (y - self.y) * np.cos(across) + _OFFSET)

    def detector(self, band: str, y: Floats, x: Floats) -> npt.NDArray[np.uint8]:
        """Number of the detector that sees a point, 1 to 12; 0 beyond the edge of the swath."""
        distance = self.distance(y, x)
        number = np.floor((distance - self._shift(band)) / _DETECTOR).astype(np.int16) + 7
        return np.where(distance > self.edge, 0, np.clip(number, 1, 12)).astype(np.uint8)

    def covers(self, band: str, detector: int, y: Floats, x: Floats) -> npt.NDArray[np.bool_]:
        """Whether a detector sees a point, alone or together with its neighbour."""
        distance = self.distance(y, x)
        start = (detector - 7) * _DETECTOR + self._shift(band)
        inside = (distance >= start - _OVERLAP / 2) & (distance < start + _DETECTOR + _OVERLAP / 2)
        return np.asarray(inside & (distance <= self.edge))

    def strip(self, band: str, detector: int) -> tuple[float, float]:
        """Distances from the ground track between which `detector` names a detector. [m].

        The outermost detectors reach as far as anybody asks.
        """
        low = (detector - 7) * _DETECTOR + self._shift(band) if detector > 1 else -np.inf
        high = (detector - 6) * _DETECTOR + self._shift(band) if detector < 12 else np.inf
        return low, min(high, self.edge)

    def beside(self, band: str, detector: int, y: Floats, x: Floats) -> Floats:
        """Distance of points from the middle of what a detector sees. [m]."""
        middle = (detector - 6.5) * _DETECTOR + self._shift(band)
        return np.abs(self.distance(y, x) - middle)

    def view(self, band: str, odd: bool, y: Floats, x: Floats) -> View:  # noqa: FBT001
        """Direction to the satellite from points, for detectors of odd or even number."""
        east, north = self._vector(band, y, x, odd=odd)
        azimuth = np.degrees(np.arctan2(east, north)) % 360.0
        return View(np.degrees(np.arctan(np.hypot(east, north))), azimuth)

    def mean(self, band: str, y: Floats, x: Floats) -> tuple[float, float]:
        """Mean zenith and azimuth over points. [degree]."""
        seen = self.detector(band, y, x)
        odd, even = (self._vector(band, y, x, odd=o) for o in (True, False))
        east, north = (
            np.where(seen % 2 == 1, a, b)[seen > 0] for a, b in zip(odd, even, strict=True)
        )
        zenith = np.degrees(np.arctan(np.hypot(east, north))).mean()
        return float(zenith), float(np.degrees(np.arctan2(east.mean(), north.mean())) % 360.0)

    @staticmethod
    def _shift(band: str) -> float:
        return _EDGE_SHIFT * BAND_INDEX[band]

    def _vector(self, band: str, y: Floats, x: Floats, *, odd: bool) -> tuple[Floats, Floats]:
        across, along = np.radians(HEADING - 90.0), np.radians(HEADING)
        side = -self.distance(y, x) / _HEIGHT
        ahead = (_STAGGER + _PARALLAX[band]) * (1.0 if odd else -1.0)
        east = side * np.sin(across) + ahead * np.sin(along)
        north = side * np.cos(across) + ahead * np.cos(along)
        return np.asarray(east), np.asarray(north)


def swath_edge(grid: Grid, fraction: float) -> float:
    """Edge of a swath that leaves a share of an image without data.

    Parameters
    ----------
    grid
        Grid of the image; a coarse one is enough.
    fraction
        Share without data. [1]

    Returns
    -------
    float
        Distance from the ground track, infinite if ``fraction`` is zero. [m]
    """
    if fraction <= 0:
        return float("inf")
    x, y = np.meshgrid(grid.x, grid.y)
    return float(np.quantile(Viewing.of(grid).distance(y, x), 1 - fraction))


def sun_at(
    grid: Grid, time: datetime, y: Floats, x: Floats, mean_zenith: float | None
) -> tuple[Floats, Floats]:
    """Zenith and azimuth of the sun at points.

    Parameters
    ----------
    grid
        Grid of the image.
    time
        Time, UTC.
    y, x
        Northing and easting of the points. [m]
    mean_zenith
        If given, zeniths are shifted so that the centre of the image has this one. [degree]

    Returns
    -------
    zenith, azimuth
        [degree]
    """
    project = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform
    sun = solar_position(time, *project(x, y))
    zenith, azimuth = (np.asarray(a, dtype=np.float64) for a in (sun.sza, sun.saa))
    if mean_zenith is not None:
        west, south, east, north = grid.bounds
        centre = solar_position(time, *project((west + east) / 2, (south + north) / 2))
        zenith = zenith + (mean_zenith - float(centre.sza))
    return zenith, azimuth

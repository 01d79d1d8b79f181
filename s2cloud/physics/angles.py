"""Directions of sun and sensor.

References
----------
Meeus, J. (1998): Astronomical Algorithms, 2nd ed., chapters 25 and 28, in the form of the NOAA
solar calculator, https://gml.noaa.gov/grad/solcalc/calcdetails.html.
Michalsky, J. J. (1988): The Astronomical Almanac's algorithm for approximate solar position,
doi:10.1016/0038-092X(88)90045-X.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float32] | NDArray[np.float64]

__all__ = [
    "airmass",
    "earth_sun_distance",
    "relative_azimuth",
    "scattering_angle",
    "solar_position",
]

_J2000: Final = np.datetime64("2000-01-01T12:00:00", "us")


def relative_azimuth(saa: ArrayLike, vaa: ArrayLike) -> Floats:
    """Azimuth between sun and sensor as seen from the ground.

    Parameters
    ----------
    saa, vaa
        Azimuth of the sun and of the sensor, any turn. [degree]

    Returns
    -------
    ndarray
        0 (same side, backscatter) to 180 (opposite sides, forward scatter). [degree]

    Examples
    --------
    >>> float(relative_azimuth(350.0, 20.0))
    30.0
    """
    turn = np.asarray(saa) - np.asarray(vaa)
    return np.asarray(np.abs((turn + 180.0) % 360.0 - 180.0))


def airmass(sza: ArrayLike, vza: ArrayLike) -> Floats:
    """Airmass of the way down and up, ``1 / cos(sza) + 1 / cos(vza)``.

    Parameters
    ----------
    sza, vza
        Zenith angles; up to 80 the flat Earth is right within 3 %. [degree]

    Returns
    -------
    ndarray
        Two for sun and sensor in the zenith. [1]
    """
    down = 1.0 / np.cos(np.deg2rad(sza))
    return np.asarray(down + 1.0 / np.cos(np.deg2rad(vza)))


def scattering_angle(sza: ArrayLike, vza: ArrayLike, raa: ArrayLike) -> Floats:
    """Angle between the direct sunbeam and the direction to the sensor.

    Parameters
    ----------
    sza, vza
        Zenith angles. [degree]
    raa
        Relative azimuth, 0 = same side. [degree]

    Returns
    -------
    ndarray
        180 in exact backscattering. [degree]
    """
    s, v, r = (np.deg2rad(a) for a in (sza, vza, raa))
    cosine = -np.cos(s) * np.cos(v) - np.sin(s) * np.sin(v) * np.cos(r)
    return np.asarray(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))


class SolarPosition(NamedTuple):
    """Direction of the sun.

    Attributes
    ----------
    sza
        Zenith angle, without refraction. [degree]
    saa
        Azimuth, clockwise from north, 0 to 360. [degree]
    """

    sza: Floats
    saa: Floats


def solar_position(
    time: datetime | np.datetime64, longitude: ArrayLike, latitude: ArrayLike
) -> SolarPosition:
    """Direction of the sun from a place, for data that come without angles.

    Parameters
    ----------
    time
        Instant; UTC unless it carries a zone.
    longitude, latitude
        East and north positive. [degree]

    Returns
    -------
    SolarPosition
        Good to 0.01 degree between 1950 and 2050.
    """
    days = _days_since_j2000(time)
    longitude_sun, _, obliquity = _sun(days)
    right_ascension = np.arctan2(np.cos(obliquity) * np.sin(longitude_sun), np.cos(longitude_sun))
    declination = np.arcsin(np.sin(obliquity) * np.sin(longitude_sun))
    sidereal = np.deg2rad(280.46061837 + 360.98564736629 * days)  # Meeus 12.4
    hour_angle = sidereal + np.deg2rad(np.asarray(longitude, dtype=np.float64)) - right_ascension
    phi = np.deg2rad(np.asarray(latitude, dtype=np.float64))
    east = -np.cos(declination) * np.sin(hour_angle)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(
        hour_angle
    )
    up = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(hour_angle)
    # The arc tangent stays exact where the arc cosine loses digits, with the sun in the zenith.
    zenith = np.arctan2(np.hypot(east, north), up)
    return SolarPosition(
        np.asarray(np.rad2deg(zenith)), np.asarray(np.rad2deg(np.arctan2(east, north)) % 360.0)
    )


def earth_sun_distance(time: datetime | np.datetime64) -> float:
    """Distance of the Earth from the sun.

    Parameters
    ----------
    time
        Instant; UTC unless it carries a zone.

    Returns
    -------
    float
        [au], good to 1e-4

    Examples
    --------
    >>> round(earth_sun_distance(np.datetime64("2024-01-03")), 4)
    0.9833
    """
    return _sun(_days_since_j2000(time))[1]


def _sun(days: float) -> tuple[float, float, float]:
    """Apparent ecliptic longitude [rad], distance [au], obliquity [rad]; Meeus chapter 25."""
    t = days / 36525.0
    mean_longitude = 280.46646 + t * (36000.76983 + 0.0003032 * t)
    anomaly = np.deg2rad(357.52911 + t * (35999.05029 - 0.0001537 * t))
    eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t)
    centre = (
        (1.914602 - t * (0.004817 + 0.000014 * t)) * np.sin(anomaly)
        + (0.019993 - 0.000101 * t) * np.sin(2.0 * anomaly)
        + 0.000289 * np.sin(3.0 * anomaly)
    )
    true_anomaly = anomaly + np.deg2rad(centre)
    distance = 1.000001018 * (1.0 - eccentricity**2) / (1.0 + eccentricity * np.cos(true_anomaly))
    node = np.deg2rad(125.04 - 1934.136 * t)
    longitude = mean_longitude + centre - 0.00569 - 0.00478 * np.sin(node)
    obliquity = 23.439291 - 0.0130042 * t + 0.00256 * np.cos(node)
    return float(np.deg2rad(longitude)), float(distance), float(np.deg2rad(obliquity))


def _days_since_j2000(time: datetime | np.datetime64) -> float:
    if isinstance(time, datetime):
        moment = time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
        time = np.datetime64(moment, "us")
    return float((time - _J2000) / np.timedelta64(1, "D"))

"""The grid of a tile and the distance of the sun: what depends on place or date alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pyproj import Transformer

from s2cloud.model.errors import UsageError
from s2cloud.model.grid import Grid

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["sun_distance_factor", "tile_grid"]

_LATITUDE_BANDS: Final = "CDEFGHJKLMNPQRSTUVWX"
_ROWS: Final = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS: Final = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")


def sun_distance_factor(time: datetime) -> float:
    """Inverse square of the distance to the sun, the ``U`` of the metadata. [au-2].

    Notes
    -----
    ``1 / (1 - 0.01673 cos(0.0172 (t - 2)))**2`` with t in days since 1950, as the definition of
    the product has it; its rounded frequency has drifted three degrees off the true orbit.
    """
    days = time.timestamp() / 86400.0 + 7305.0
    return (1 - 0.01673 * math.cos(0.0172 * (days - 2))) ** -2


def tile_grid(tile: str, size: int) -> Grid:
    """The 10 m grid of the upper left part of a tile.

    Parameters
    ----------
    tile
        MGRS tile such as ``32TQM``.
    size
        Rows and columns; 10980 for the whole tile.

    Returns
    -------
    Grid

    Raises
    ------
    UsageError
        If there is no such tile.

    Notes
    -----
    Corners lie on multiples of 60 m from the equator: the west edge of the 100 km square rounded
    down, its north edge rounded up.
    """
    zone, band, square = tile[:2], tile[2:3], tile[3:]
    try:
        number = int(zone)
        column = _COLUMNS[(number - 1) % 3].index(square[0])
        row = (_ROWS.index(square[1]) - 5 * (number % 2 == 0)) % 20
        lowest = -80.0 + 8.0 * _LATITUDE_BANDS.index(band)
    except (ValueError, IndexError):
        number = 0
    if not (1 <= number <= 60 and len(square) == 2):
        raise UsageError("no such tile", where=repr(tile), expected="an MGRS tile such as 32TQM")
    epsg = (32600 if lowest >= 0 else 32700) + number
    project = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True).transform
    bottom = project(6.0 * number - 183.0, lowest)[1]
    # Row letters repeat every 2000 km; the square lies in or just below its latitude band.
    north = row * 100_000.0
    north += 2_000_000.0 * math.ceil((bottom - 100_000.0 - north) / 2_000_000.0)
    west = 60.0 * math.floor((column + 1) * 100_000.0 / 60.0)
    equator = 0.0 if lowest >= 0 else 10_000_000.0
    top = equator + 60.0 * math.ceil((north + 100_000.0 - equator) / 60.0)
    return Grid(f"EPSG:{epsg}", west, top, 10.0, size, size)

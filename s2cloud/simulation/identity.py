"""Names and identifiers of a synthetic product."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from s2cloud.model.bands import SENSORS
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from s2cloud.model.bands import Sensor

__all__ = ["Identity", "identity"]

_LAUNCH: Final[dict[str, datetime]] = {
    "S2A": datetime(2015, 6, 23, tzinfo=UTC),
    "S2B": datetime(2017, 3, 7, tzinfo=UTC),
    "S2C": datetime(2024, 9, 5, tzinfo=UTC),
}
#: Satellites repeat their ground tracks after 143 orbits in 10 days.
_CYCLE: Final = 143
_RELATIVE_ORBIT: Final = 22


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a product claims to be.

    Attributes
    ----------
    sensor, tile, baseline
        ``S2A``, ``32TQM``, ``05.11``.
    time
        Start of sensing, UTC.
    """

    sensor: Sensor
    tile: str
    baseline: str
    time: datetime

    @property
    def version(self) -> tuple[int, int]:
        """Processing baseline as numbers."""
        return (int(self.baseline[:2]), int(self.baseline[3:]))

    @property
    def offset(self) -> int:
        """Radiometric offset, -1000 from baseline 04.00 on. [count]."""
        return -1000 if self.version >= (4, 0) else 0

    @property
    def masks_are_rasters(self) -> bool:
        """Whether quality masks are JP2 files and a CAMS forecast is included."""
        return self.version >= (4, 0)

    @property
    def tlm(self) -> bool:
        """Whether images carry a table of tile-part lengths."""
        return self.version >= (5, 12)

    @property
    def created(self) -> datetime:
        """Time of production."""
        return self.time + timedelta(hours=2)

    @property
    def relative_orbit(self) -> int:
        """Number of the orbit in the cycle."""
        return _RELATIVE_ORBIT

    @property
    def absolute_orbit(self) -> int:
        """Number of the orbit since launch, near the true one."""
        flown = max((self.time - _LAUNCH[self.sensor]).total_seconds() / 86400.0, 0.0) * _CYCLE / 10
        return round((flown - 140 - _RELATIVE_ORBIT) / _CYCLE) * _CYCLE + 140 + _RELATIVE_ORBIT

    @property
    def start(self) -> str:
        """Start of sensing in the style of file names."""
        return f"{self.time:%Y%m%dT%H%M%S}"

    @property
    def name(self) -> str:
        """Name of the product without suffix."""
        return (
            f"{self.sensor}_MSIL1C_{self.start}_N{self.baseline.replace('.', '')}"
            f"_R{self.relative_orbit:03d}_T{self.tile}_{self.created:%Y%m%dT%H%M%S}"
        )

    @property
    def granule(self) -> str:
        """Name of the granule's folder."""
        return f"L1C_T{self.tile}_A{self.absolute_orbit:06d}_{self.start}"

    @property
    def granule_id(self) -> str:
        """Full identifier of the granule."""
        return (
            f"{self.sensor}_OPER_MSI_L1C_TL_2APS_{self.created:%Y%m%dT%H%M%S}"
            f"_A{self.absolute_orbit:06d}_T{self.tile}_N{self.baseline}"
        )

    @property
    def datastrip(self) -> str:
        """Name of the datastrip's folder."""
        return f"DS_2APS_{self.created:%Y%m%dT%H%M%S}_S{self.start}"

    @property
    def datastrip_id(self) -> str:
        """Full identifier of the datastrip."""
        return f"{self.sensor}_OPER_MSI_L1C_{self.datastrip}_N{self.baseline}"

    @property
    def datatake_id(self) -> str:
        """Identifier of the datatake."""
        return f"G{self.sensor}_{self.start}_{self.absolute_orbit:06d}_N{self.baseline}"

    def mask_id(self, kind: str, band: str) -> str:
        """Full identifier of a polygon mask; ``kind`` such as ``CLOUDS``, ``band`` ESA's."""
        return (
            f"{self.sensor}_OPER_MSK_{kind}_2APS_{self.created:%Y%m%dT%H%M%S}"
            f"_A{self.absolute_orbit:06d}_T{self.tile}_{band}_MSIL1C"
        )

    def image(self, band: str) -> str:
        """Path of an image inside the product, without suffix; ``band`` in ESA's spelling."""
        return f"GRANULE/{self.granule}/IMG_DATA/T{self.tile}_{self.start}_{band}"

    def quality(self, mask: str) -> str:
        """Path of a file of the quality folder."""
        return f"GRANULE/{self.granule}/QI_DATA/{mask}"


def identity(sensor: str, tile: str, baseline: str, date: str | datetime) -> Identity:
    """Check and gather what identifies a product.

    Parameters
    ----------
    sensor, tile, baseline
        See `Identity`; the tile with or without a leading ``T``.
    date
        Start of sensing, ISO 8601; UTC unless it says otherwise.

    Raises
    ------
    UsageError
        If one of them is not understood.
    """
    known = {str(s): s for s in SENSORS}
    if sensor not in known:
        raise UsageError("no such sensor", where=repr(sensor), expected=" or ".join(SENSORS))
    if not re.fullmatch(r"\d{2}\.\d{2}", baseline):
        raise UsageError("no such baseline", where=repr(baseline), expected="a form like 05.11")
    try:
        time = datetime.fromisoformat(date) if isinstance(date, str) else date
    except ValueError:
        raise UsageError(
            "date not understood", where=repr(date), expected="ISO 8601 like 2025-06-15T10:15:59"
        ) from None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return Identity(known[sensor], tile.removeprefix("T"), baseline, time)

"""Identity of a granule: one MGRS tile of one datatake, parsed once and carried everywhere."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from s2cloud.model.bands import SENSORS, Sensor
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRODUCT_NAME", "Granule", "granule"]

#: Compact product name of products made since December 2016 (PSD 14 and later).
PRODUCT_NAME: Final = re.compile(
    r"(?P<sensor>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<start>\d{8}T\d{6})_N(?P<baseline>\d{4})"
    r"_R(?P<orbit>\d{3})_T(?P<tile>\d{2}[A-Z]{3})_(?P<created>\d{8}T\d{6})"
)


@dataclass(frozen=True, slots=True)
class Granule:
    """The product unit that is processed: one tile of one datatake.

    Attributes
    ----------
    name
        Product name without suffix, ``S2A_MSIL1C_..._T32TQM_...``; a free name for pixels
        that did not come as a product.
    sensor
        ``S2A``, ``S2B`` or ``S2C``.
    sensing_time
        Sensing time of the tile, UTC.
    tile
        MGRS tile such as ``32TQM``, empty if unknown.
    baseline
        Processing baseline of the input such as ``05.11``, empty if unknown.
    relative_orbit, absolute_orbit
        Orbit numbers, -1 if unknown.
    datatake, datastrip
        ESA identifiers, empty if unknown.
    bbox
        West, south, east, north of the tile. [degree], empty if unknown.
    uri
        Where the product was read from, empty if it was not read.
    """

    name: str
    sensor: Sensor
    sensing_time: datetime
    tile: str = ""
    baseline: str = ""
    relative_orbit: int = -1
    absolute_orbit: int = -1
    datatake: str = ""
    datastrip: str = ""
    bbox: tuple[float, ...] = ()
    uri: str = ""

    def __post_init__(self) -> None:
        if self.sensor not in SENSORS:
            raise InputError(
                "unknown sensor",
                where=self.name,
                expected=" or ".join(SENSORS),
                found=self.sensor,
                fix="s2cloud has no spectral responses for this unit; update s2cloud",
            )
        if self.sensing_time.tzinfo is None:
            object.__setattr__(self, "sensing_time", self.sensing_time.replace(tzinfo=UTC))

    @property
    def l2a_name(self) -> str:
        """Name of the Level-2A product made from this granule."""
        return self.name.replace("MSIL1C", "MSIL2A")

    def to_attrs(self) -> dict[str, Any]:
        """JSON-serialisable form for the attributes of a tree or a file."""
        attrs = asdict(self)
        attrs["sensing_time"] = self.sensing_time.isoformat()
        attrs["bbox"] = list(self.bbox)
        return attrs

    @classmethod
    def from_attrs(cls, attrs: dict[str, Any] | str) -> Granule:
        """Inverse of `to_attrs`; accepts its JSON text too."""
        values = dict(json.loads(attrs) if isinstance(attrs, str) else attrs)
        values["sensing_time"] = datetime.fromisoformat(values["sensing_time"])
        values["bbox"] = tuple(values.get("bbox", ()))
        return cls(**values)


def granule(tree: xr.DataTree) -> Granule:
    """Identity of the granule that an L1C or L2A tree was made from.

    Parameters
    ----------
    tree
        A tree returned by ``open_l1c``, ``l1c_from_bands`` or ``process``.

    Returns
    -------
    Granule

    Raises
    ------
    InputError
        If the tree carries no identity.
    """
    attrs = tree.root.attrs.get("granule")
    if attrs is None:
        raise InputError(
            "tree without granule identity",
            where=str(tree.name or "tree"),
            expected="attribute 'granule' on the root",
            fix="open it with open_l1c or build it with l1c_from_bands",
        )
    return Granule.from_attrs(cast("dict[str, Any] | str", attrs))

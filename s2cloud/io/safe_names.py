"""Names of a Level-2A SAFE product and of the files in it, as ESA forms them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from s2cloud.model.granule import PRODUCT_NAME

if TYPE_CHECKING:
    from s2cloud.model.granule import Granule

__all__ = ["BASELINE", "SafeNames"]

#: Baseline of products that were not made by ESA's ground segment (Sen2Cor's users' convention).
BASELINE: Final = "99.99"
_STRIP: Final = re.compile(
    r"_DS_(?P<centre>[^_]+)_(?P<created>\d{8}T\d{6})_S(?P<start>\d{8}T\d{6})"
)


@dataclass(frozen=True, slots=True)
class SafeNames:
    """Names of one product.

    Attributes
    ----------
    product
        ``S2A_MSIL2A_..._N9999_..._T32TQM_...`` without suffix.
    tile
        MGRS tile, ``32TQM``.
    start
        Start of the datatake, ``20250601T101601``.
    created
        Time in the name of the product, that of the Level-1C product.
    centre
        Four letters of the processing centre of the Level-1C product.
    strip_start
        Start of the datastrip.
    absolute_orbit
        Orbit number.
    sensor
        ``S2A``.
    """

    product: str
    tile: str
    start: str
    created: str
    centre: str
    strip_start: str
    absolute_orbit: int
    sensor: str

    @classmethod
    def of(cls, granule: Granule) -> SafeNames | None:
        """Names of the product made from a granule; None if it carries no name of ESA's form."""
        match = PRODUCT_NAME.search(granule.l2a_name)
        if match is None:
            return None
        number = BASELINE.replace(".", "")
        strip = _STRIP.search(granule.datastrip)
        return cls(
            product=match[0].replace(f"_N{match['baseline']}_", f"_N{number}_"),
            tile=match["tile"],
            start=match["start"],
            created=match["created"],
            centre=strip["centre"] if strip else "XXXX",
            strip_start=strip["start"] if strip else match["start"],
            absolute_orbit=max(granule.absolute_orbit, 0),
            sensor=match["sensor"],
        )

    @property
    def folder(self) -> str:
        """Name of the product folder."""
        return f"{self.product}.SAFE"

    @property
    def granule(self) -> str:
        """Folder of the granule in the product."""
        return f"GRANULE/L2A_T{self.tile}_A{self.absolute_orbit:06d}_{self.strip_start}"

    @property
    def datastrip(self) -> str:
        """Folder of the datastrip in the product."""
        return f"DATASTRIP/DS_{self.centre}_{self.created}_S{self.strip_start}"

    @property
    def granule_id(self) -> str:
        """Identifier of the granule."""
        orbit = f"A{self.absolute_orbit:06d}"
        return (
            f"{self.sensor}_OPER_MSI_L2A_TL_{self.centre}_{self.created}_{orbit}_T{self.tile}"
            f"_N{BASELINE}"
        )

    @property
    def datastrip_id(self) -> str:
        """Identifier of the datastrip."""
        return (
            f"{self.sensor}_OPER_MSI_L2A_DS_{self.centre}_{self.created}_S{self.strip_start}"
            f"_N{BASELINE}"
        )

    @property
    def datatake_id(self) -> str:
        """Identifier of the datatake."""
        return f"G{self.sensor}_{self.start}_{self.absolute_orbit:06d}_N{BASELINE}"

    def image(self, name: str, resolution: int) -> str:
        """File of a band or map in the product, ``B02``, ``SCL``, ``TCI``."""
        stem = f"T{self.tile}_{self.start}_{name.upper()}_{resolution}m"
        return f"{self.granule}/IMG_DATA/R{resolution}m/{stem}.jp2"

    def probability(self, kind: str, resolution: int) -> str:
        """File of the cloud or snow probability, ``CLD``, ``SNW``."""
        return f"{self.granule}/QI_DATA/MSK_{kind.upper()}PRB_{resolution}m.jp2"

    def quality(self, stem: str) -> str:
        """File of a quality mask, ``MSK_DETFOO_B02``."""
        return f"{self.granule}/QI_DATA/{stem}.jp2"

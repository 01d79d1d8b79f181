"""Maps that a product does not bring: elevation, land cover, water, snow, aerosol."""

from __future__ import annotations

from s2cloud.io.auxiliary.protocol import ENTRY_POINTS, KINDS, AuxProvider, Kind, Request
from s2cloud.io.auxiliary.tree import open_aux

__all__ = ["ENTRY_POINTS", "KINDS", "AuxProvider", "Kind", "Request", "open_aux"]

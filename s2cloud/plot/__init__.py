"""Pictures of Level-1C and Level-2A trees: matplotlib axes with titles, units and legends.

Every function takes a tree, lazy or not, and an optional ``ax``, and returns the axes. It takes
the coarsest grid that still fills the picture, so that a lazy tile of 110 km is computed at 60 m.
For a first look at a whole tile, draw ``process(preview(l1c))``. Needs ``s2cloud[plot]``.
"""

from __future__ import annotations

from s2cloud.plot.maps import (
    aot,
    classes,
    cloud_probability,
    false_colour,
    true_colour,
    uncertainty,
    water_vapour,
)
from s2cloud.plot.quality import flags, quality
from s2cloud.plot.spectra import class_spectra, spectra

__all__ = [
    "aot",
    "class_spectra",
    "classes",
    "cloud_probability",
    "false_colour",
    "flags",
    "quality",
    "spectra",
    "true_colour",
    "uncertainty",
    "water_vapour",
]

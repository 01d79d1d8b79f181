"""Scene classification: one of twelve classes, cloud and snow confidence for every pixel.

`classify_scene` looks at the 60 m overview of a tile once; `classify_window` classifies a window
with what the scene tells. `classify_pixels` and `classify_block` are the pointwise sequence alone.
Names are imported on first use, so that thresholds can be read without compiled code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2cloud.algorithms.classification.block import Frame, classify_window
    from s2cloud.algorithms.classification.parallax import parallax_vector
    from s2cloud.algorithms.classification.pointwise import (
        HALO,
        Stage,
        classify_block,
        classify_pixels,
    )
    from s2cloud.algorithms.classification.rules import UNDECIDED, Variant
    from s2cloud.algorithms.classification.scene import (
        PARALLAX,
        ClassificationScene,
        Sky,
        classify_scene,
    )
    from s2cloud.algorithms.classification.statistics import (
        class_counts,
        cloud_cover_statistics,
        cloud_mask,
        percentages,
    )
    from s2cloud.algorithms.classification.thresholds import Thresholds
    from s2cloud.algorithms.classification.window import Dilation, Ground, Options, reach_of

_HOMES = {
    "block": ("Frame", "classify_window"),
    "parallax": ("parallax_vector",),
    "pointwise": ("HALO", "Stage", "classify_block", "classify_pixels"),
    "rules": ("UNDECIDED", "Variant"),
    "scene": ("PARALLAX", "ClassificationScene", "Sky", "classify_scene"),
    "statistics": ("class_counts", "cloud_cover_statistics", "cloud_mask", "percentages"),
    "thresholds": ("Thresholds",),
    "window": ("Dilation", "Ground", "Options", "reach_of"),
}

__all__ = [
    "HALO",
    "PARALLAX",
    "UNDECIDED",
    "ClassificationScene",
    "Dilation",
    "Frame",
    "Ground",
    "Options",
    "Sky",
    "Stage",
    "Thresholds",
    "Variant",
    "class_counts",
    "classify_block",
    "classify_pixels",
    "classify_scene",
    "classify_window",
    "cloud_cover_statistics",
    "cloud_mask",
    "parallax_vector",
    "percentages",
    "reach_of",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

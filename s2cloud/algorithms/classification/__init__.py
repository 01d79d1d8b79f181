"""Scene classification: one of twelve classes, cloud and snow confidence for every pixel."""

from s2cloud.algorithms.classification.pointwise import (
    HALO,
    UNDECIDED,
    Stage,
    Variant,
    classify_block,
    classify_pixels,
)
from s2cloud.algorithms.classification.statistics import (
    class_counts,
    cloud_cover_statistics,
    percentages,
)
from s2cloud.algorithms.classification.thresholds import Thresholds

__all__ = [
    "HALO",
    "UNDECIDED",
    "Stage",
    "Thresholds",
    "Variant",
    "class_counts",
    "classify_block",
    "classify_pixels",
    "cloud_cover_statistics",
    "percentages",
]

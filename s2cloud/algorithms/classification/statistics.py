"""Class shares of a tile, from counts that blocks can add up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.errors import UsageError
from s2cloud.model.schema import CLOUD_CLASSES, SCL

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["class_counts", "cloud_cover_statistics", "cloud_mask", "percentages"]

#: Elements of ``Image_Content_QI`` in the product metadata of baselines 04.00 and later.
_NAMES: Final[dict[SCL, str]] = {
    SCL.SATURATED_OR_DEFECTIVE: "SATURATED_DEFECTIVE_PIXEL_PERCENTAGE",
    SCL.CAST_SHADOW: "CAST_SHADOW_PERCENTAGE",
    SCL.CLOUD_SHADOW: "CLOUD_SHADOW_PERCENTAGE",
    SCL.VEGETATION: "VEGETATION_PERCENTAGE",
    SCL.NOT_VEGETATED: "NOT_VEGETATED_PERCENTAGE",
    SCL.WATER: "WATER_PERCENTAGE",
    SCL.UNCLASSIFIED: "UNCLASSIFIED_PERCENTAGE",
    SCL.CLOUD_MEDIUM_PROBABILITY: "MEDIUM_PROBA_CLOUDS_PERCENTAGE",
    SCL.CLOUD_HIGH_PROBABILITY: "HIGH_PROBA_CLOUDS_PERCENTAGE",
    SCL.THIN_CIRRUS: "THIN_CIRRUS_PERCENTAGE",
    SCL.SNOW_ICE: "SNOW_ICE_PERCENTAGE",
}

#: Value of the cloud mask without data.
_NO_MASK: Final = 255


def class_counts(scl: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Number of pixels of each class; the counts of blocks add up to those of the tile.

    Parameters
    ----------
    scl
        Scene classification, any shape.

    Returns
    -------
    ndarray
        Pixels per class code. Shape (12,)

    Raises
    ------
    UsageError
        If there is a code beyond the twelve classes.

    Examples
    --------
    >>> class_counts(np.array([[4, 4], [9, 0]], np.uint8))[[0, 4, 9]].tolist()
    [1, 2, 1]
    """
    counts = np.array([np.count_nonzero(scl == code) for code in SCL], dtype=np.int64)
    if counts.sum() != scl.size:
        raise UsageError(
            "not a finished scene classification",
            expected=f"codes 0 to {max(SCL):d}",
            found=f"{scl.size - counts.sum()} pixels with other codes",
            fix="classify until the end before counting",
        )
    return counts


def percentages(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """Class shares under the names of the product metadata.

    Parameters
    ----------
    counts
        From `class_counts`, or a sum of such. Shape (12,)

    Returns
    -------
    dict
        ``CLOUDY_PIXEL_PERCENTAGE`` (classes 8, 9 and 10), ``NODATA_PIXEL_PERCENTAGE`` and one
        share per class. [%] The share of no-data is of all pixels, every other one of the pixels
        with data, 0 if there are none.

    Examples
    --------
    >>> percentages(class_counts(np.array([4, 4, 9, 0], np.uint8)))["NODATA_PIXEL_PERCENTAGE"]
    25.0
    """
    total = int(counts.sum())
    empty = int(counts[SCL.NO_DATA])
    cloudy = sum(int(counts[code]) for code in CLOUD_CLASSES)
    shares = {
        "CLOUDY_PIXEL_PERCENTAGE": _share(cloudy, total - empty),
        "NODATA_PIXEL_PERCENTAGE": _share(empty, total),
    }
    return shares | {
        name: _share(int(counts[code]), total - empty) for code, name in _NAMES.items()
    }


def cloud_cover_statistics(scl: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Class shares of a whole classification; see `percentages`. [%].

    Examples
    --------
    >>> cloud_cover_statistics(np.array([4, 8, 9, 10], np.uint8))["CLOUDY_PIXEL_PERCENTAGE"]
    75.0
    """
    return percentages(class_counts(scl))


def cloud_mask(scl: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Clouds alone: 1 in classes 8, 9 and 10, 0 in the others, 255 without data.

    The classes are those of the product's cloud cover; shadows are not cloud. Shape as `scl`.

    Examples
    --------
    >>> cloud_mask(np.array([0, 3, 4, 8, 9, 10], np.uint8)).tolist()
    [255, 0, 0, 1, 1, 1]
    """
    table = np.zeros(256, np.uint8)
    table[list(CLOUD_CLASSES)] = 1
    table[SCL.NO_DATA] = _NO_MASK
    return table[scl]


def _share(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0

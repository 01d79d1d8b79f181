"""How well classes were told apart: user's and producer's accuracy of groups of classes.

References
----------
Congalton, R. G. (1991): A review of assessing the accuracy of classifications of remotely sensed
data, doi:10.1016/0034-4257(91)90048-B.
Gu, J. and Congalton, R. G. (2021): Analysis of the impact of positional accuracy when using a block
of pixels for thematic accuracy assessment, doi:10.3390/geographies1020009.
Zekoll, V. et al. (2021): Comparison of masking algorithms for Sentinel-2 imagery,
doi:10.3390/rs13010137.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

from s2cloud.model.schema import CLOUD_CLASSES, SCL, SCL_PATH, reflectance_path
from s2cloud.simulation.raster import block_mean, overlap
from s2cloud.simulation.truth import MASK_PATH

if TYPE_CHECKING:
    import numpy.typing as npt
    import xarray as xr

__all__ = ["GROUPS", "Confusion", "GroupAccuracy", "confusion", "format_confusion"]

#: Groups of classes; what is in none of them is ``other``.
GROUPS: Final[dict[str, tuple[SCL, ...]]] = {
    "cloud": CLOUD_CLASSES,
    "cloud shadow": (SCL.CLOUD_SHADOW,),
    "snow": (SCL.SNOW_ICE,),
    "water": (SCL.WATER,),
    "vegetation": (SCL.VEGETATION,),
    "bare": (SCL.NOT_VEGETATED,),
}
#: True reflectance in the red from which on bare ground is a bright target. [1]
_BRIGHT: Final = 0.25


@dataclass(frozen=True, slots=True)
class GroupAccuracy:
    """Accuracy of a group of classes.

    Attributes
    ----------
    name
        Group, a key of `GROUPS`.
    true, seen
        Pixels that are of the group in truth, and in the result.
    producers, users
        Share of the true pixels that were found, and of the found pixels that are true. NaN where
        there are none. [1]
    f1
        Harmonic mean of the two. [1]
    """

    name: str
    true: int
    seen: int
    producers: float
    users: float
    f1: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Classes of a result against the truth.

    Attributes
    ----------
    names
        Groups and ``other``; the order of `counts`.
    counts
        Pixels by true group and by group in the result, shape (true, seen).
    groups
        Accuracy of each group.
    overall
        Share of pixels in the right group. [1]
    bright
        Pixels of bright, cloudless, snowless ground.
    bright_as_cloud
        Share of them that was taken for cloud, NaN where there are none. [1]
    """

    names: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    groups: tuple[GroupAccuracy, ...]
    overall: float
    bright: int
    bright_as_cloud: float


def confusion(l2a: xr.DataTree, truth: xr.DataTree, *, inside: bool = False) -> Confusion:
    """Compare the classes of a Level-2A tree with the truth of a simulated product.

    Parameters
    ----------
    l2a
        Result; it may cover a part of the tile.
    truth
        The store written by `s2cloud.simulation.simulate_l1c`, opened with xarray.
    inside
        Count only pixels whose eight neighbours are of the same true group, and accept water in
        the shadow of a cloud under either name.

    Returns
    -------
    Confusion
        On 20 m pixels with data in both. Pixels that clouds or shadows change, but too little to
        count as either, belong to no class and are left out. Cirrus counts as cloud.

    Raises
    ------
    InputError
        If the two do not overlap.

    Notes
    -----
    `inside` is how masks are scored where the truth is drawn by people: in polygons inside of
    classes (Zekoll et al. 2021) or blocks of pixels of one class (Gu and Congalton 2021), because
    on the line between two classes a shift of half a pixel decides. Water in shadow is both; the
    references of the Cloud Mask Intercomparison Exercise hold shadow and surface as two attributes
    of a pixel (PixBox, https://zenodo.org/record/5040271).
    """
    found = l2a[f"{SCL_PATH}/r20m"].to_dataset()["scl"]
    reference = truth[f"{SCL_PATH}/r20m"].to_dataset()["scl"]
    window = overlap(reference, found, 1)
    true = np.asarray(reference.values)[window].astype(np.uint8)
    seen = np.nan_to_num(np.asarray(found.values)).astype(np.uint8)
    masks = truth[MASK_PATH].to_dataset()
    clear = np.asarray(masks["clear"].values)[window] > 0
    ground = np.isin(true, (SCL.SNOW_ICE, SCL.WATER, SCL.VEGETATION, SCL.NOT_VEGETATED))
    used = (true != SCL.NO_DATA) & (seen != SCL.NO_DATA) & (clear | ~ground)

    lookup = np.full(256, len(GROUPS), dtype=np.int64)
    for index, classes in enumerate(GROUPS.values()):
        lookup[list(classes)] = index
    if inside:
        groups = lookup[true]
        used &= ndimage.maximum_filter(groups, 3) == ndimage.minimum_filter(groups, 3)
        if "water" in masks:
            both = (true == SCL.CLOUD_SHADOW) & (np.asarray(masks["water"].values)[window] > 0)
            seen = np.where(both & (seen == SCL.WATER), np.uint8(SCL.CLOUD_SHADOW), seen)
    count = len(GROUPS) + 1
    pairs = lookup[true[used]] * count + lookup[seen[used]]
    counts = np.bincount(pairs, minlength=count**2).reshape(count, count)

    fine = truth[reflectance_path(10)].to_dataset()["b04"]
    red = block_mean(np.asarray(fine.values, np.float32), 2)[window]
    bright = used & clear & (true == SCL.NOT_VEGETATED) & (red > _BRIGHT)
    taken = np.isin(seen[bright], CLOUD_CLASSES)
    return Confusion(
        (*GROUPS, "other"),
        counts,
        tuple(_accuracy(name, counts, index) for index, name in enumerate(GROUPS)),
        _share(int(np.trace(counts)), int(counts.sum())),
        int(bright.sum()),
        _share(int(taken.sum()), int(bright.sum())),
    )


def format_confusion(table: Confusion) -> str:
    """Accuracies as a Markdown table, also legible as plain text.

    Parameters
    ----------
    table
        From `confusion`.

    Returns
    -------
    str
    """
    lines = [
        "| group        |     true |     seen | producer's |  user's |     F1 |",
        "| ------------ | -------: | -------: | ---------: | ------: | -----: |",
    ]
    lines += [
        f"| {g.name:<12} | {g.true:>8} | {g.seen:>8} | {_percent(g.producers):>10} "
        f"| {_percent(g.users):>7} | {_percent(g.f1):>6} |"
        for g in table.groups
    ]
    bright = f"{_percent(table.bright_as_cloud)} of {table.bright} pixels"
    lines += ["", f"overall {_percent(table.overall)}, bright ground taken for cloud {bright}"]
    return "\n".join(lines)


def _accuracy(name: str, counts: npt.NDArray[np.int64], index: int) -> GroupAccuracy:
    right = int(counts[index, index])
    true, seen = int(counts[index].sum()), int(counts[:, index].sum())
    return GroupAccuracy(
        name, true, seen, _share(right, true), _share(right, seen), _share(2 * right, true + seen)
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"

"""Level-2A results against the truth of a simulated product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.schema import CLOUD_CLASSES, SCL, SCL_PATH, atmosphere_path, reflectance_path
from s2cloud.simulation.accuracy import Confusion, GroupAccuracy, confusion, format_confusion
from s2cloud.simulation.raster import overlap
from s2cloud.simulation.truth import MASK_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.model.bands import Resolution

    Floats = npt.NDArray[np.floating]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "Confusion",
    "GroupAccuracy",
    "Row",
    "compare",
    "confusion",
    "format_confusion",
    "format_table",
]

_RESOLUTIONS: Final[tuple[Resolution, ...]] = (10, 20, 60)
#: What counts as good: share of the true value, plus a constant. Reflectance and aerosol as in
#: the validation exercise ACIX (Doxani et al. 2018, doi:10.3390/rs10020352, there 0.15 aot + 0.05
#: for aerosol); water vapour in kg m-2.
_GOOD: Final = {"reflectance": (0.05, 0.005), "aot": (0.10, 0.03), "wvp": (0.10, 2.0)}
_LAND: Final = (SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.SNOW_ICE)
#: Groups of classes for the confusion; what is in none of them is ``other``.
_GROUPS: Final[dict[str, tuple[SCL, ...]]] = {
    "cloud": CLOUD_CLASSES,
    "land": (*_LAND, SCL.UNCLASSIFIED),
    "water": (SCL.WATER,),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a comparison.

    Attributes
    ----------
    quantity
        Band, ``aot``, ``wvp``, or such as ``cloud seen as land``.
    resolution
        Pixel size. [m]
    count
        Pixels compared; for classes those that truly are of the first.
    truth
        Mean of the truth. In the unit of the quantity, NaN for classes
    bias, median, rms
        Mean, median and root mean square of result minus truth. NaN for classes
    within
        Share of pixels within the tolerance; for classes the share seen as the second. [1]
    """

    quantity: str
    resolution: int
    count: int
    truth: float
    bias: float
    median: float
    rms: float
    within: float


def compare(l2a: xr.DataTree, truth: xr.DataTree) -> list[Row]:
    """Compare a Level-2A tree with the truth of the product it was made from.

    Parameters
    ----------
    l2a
        Result, in the layout of the product; it may cover a part of the tile. A lazy tree is
        computed, node by node; one read from a written product is cheaper.
    truth
        The store written by `s2cloud.simulation.simulate_l1c`, opened with xarray.

    Returns
    -------
    list of Row
        Reflectance of each band at each resolution not finer than its own, optical thickness,
        water vapour, and the confusion of cloud, land and water. Pixel values are compared on
        land without cloud, shadow and cirrus, as the truth has it. Absent nodes are left out.

    Raises
    ------
    InputError
        If the two do not overlap.

    Notes
    -----
    Tolerances are ``0.05 rho + 0.005``, ``0.1 aot + 0.03`` and ``0.1 wvp + 2 kg m-2`` of the truth.
    Pixels that the result leaves out are not counted.
    """
    rows: list[Row] = []
    clear = _clear_land(truth)
    for resolution in _RESOLUTIONS:
        path = reflectance_path(resolution)
        if _has(l2a, path):
            rows.extend(_reflectance(_dataset(l2a, path), truth, clear, resolution))
    path = atmosphere_path(20)
    if _has(l2a, path):
        rows.extend(_atmosphere(_dataset(l2a, path), truth, clear))
    path = f"{SCL_PATH}/r20m"
    if _has(l2a, path):
        rows.extend(_confusion(_dataset(l2a, path), truth))
    return rows


def format_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, also legible as plain text.

    Parameters
    ----------
    rows
        From `compare`.

    Returns
    -------
    str
    """
    head = ("quantity", "m", "pixels", "truth", "bias", "median", "rms", "within")
    body = [
        (
            row.quantity,
            str(row.resolution),
            str(row.count),
            *(_number(v) for v in (row.truth, row.bias, row.median, row.rms)),
            "-" if np.isnan(row.within) else f"{100 * row.within:.1f} %",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    lines = [
        [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(pairs)]
        for pairs in (zip(line, widths, strict=True) for line in (head, *body))
    ]
    lines.insert(1, rule)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _reflectance(
    found: xr.Dataset, truth: xr.DataTree, clear: Mask, resolution: Resolution
) -> Iterator[Row]:
    bands = [
        band for band in BANDS
        if band in found and BAND_INFO[band].resolution <= resolution and band != "b10"
    ]  # fmt: skip
    if not bands:
        return
    loaded = found[bands].compute()
    for band in bands:
        native = BAND_INFO[band].resolution
        reference = truth[reflectance_path(native)].to_dataset()[band]
        true = _coarse(np.asarray(reference.values, np.float32), resolution // native)
        window = overlap(reference, loaded[band], resolution // native)
        good = _resized(clear, 20, resolution)
        values = np.asarray(loaded[band].values, np.float32)
        yield _row(band, resolution, values, true[window], good[window], "reflectance")


def _atmosphere(found: xr.Dataset, truth: xr.DataTree, clear: Mask) -> Iterator[Row]:
    reference = truth[atmosphere_path(60)].to_dataset()
    good = _resized(clear, 20, 60)
    names = [name for name in ("aot", "wvp") if name in found]
    loaded = found[names].compute()
    for name in names:
        values = _coarse(np.asarray(loaded[name].values, np.float32), 3)
        height, width = (3 * n for n in values.shape)
        corners = loaded[name].isel(y=slice(0, height, 3), x=slice(0, width, 3))
        window = overlap(reference[name], corners, 1, slack=0.5)
        true = np.asarray(reference[name].values, np.float32)
        yield _row(name, 60, values, true[window], good[window], name)


def _confusion(found: xr.Dataset, truth: xr.DataTree) -> Iterator[Row]:
    reference = truth[f"{SCL_PATH}/r20m"].to_dataset()["scl"]
    window = overlap(reference, found["scl"], 1)
    true = np.asarray(reference.values)[window]
    seen = np.nan_to_num(np.asarray(found["scl"].values)).astype(np.uint8)
    seen_as = {name: np.isin(seen, classes) for name, classes in _GROUPS.items()}
    seen_as["other"] = ~np.logical_or.reduce(list(seen_as.values()))
    nan = float("nan")
    for name, classes in _GROUPS.items():
        mine = np.isin(true, classes)
        count = int(mine.sum())
        for other, mask in seen_as.items():
            share = float(mask[mine].mean()) if count else nan
            yield Row(f"{name} seen as {other}", 20, count, nan, nan, nan, nan, share)


def _row(
    name: str, resolution: int, values: Floats, true: Floats, good: Mask, tolerance: str
) -> Row:
    used = good & np.isfinite(values) & np.isfinite(true)
    reference = true[used].astype(np.float64)
    error = values[used] - reference
    if not error.size:
        return Row(name, resolution, 0, *[float("nan")] * 5)
    relative, absolute = _GOOD[tolerance]
    within = np.abs(error) <= relative * np.abs(reference) + absolute
    return Row(
        name,
        resolution,
        int(error.size),
        float(reference.mean()),
        float(error.mean()),
        float(np.median(error)),
        float(np.sqrt((error**2).mean())),
        float(within.mean()),
    )


def _clear_land(truth: xr.DataTree) -> Mask:
    scl = np.asarray(truth[f"{SCL_PATH}/r20m"].to_dataset()["scl"].values)
    clear = np.asarray(truth[MASK_PATH].to_dataset()["clear"].values) > 0
    return np.isin(scl, _LAND) & clear


def _resized(mask: Mask, given: int, wanted: int) -> Mask:
    """Mask on another grid; a coarse pixel is good only if all of it is."""
    if wanted < given:
        factor = given // wanted
        return mask.repeat(factor, axis=0).repeat(factor, axis=1)
    factor = wanted // given
    height, width = (n // factor for n in mask.shape)
    blocks = mask[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return np.asarray(blocks.all(axis=(1, 3)))


def _coarse(field: Floats, factor: int) -> Floats:
    """Means over blocks; NaN where any part is missing."""
    if factor == 1:
        return field
    height, width = (n // factor for n in field.shape)
    blocks = field[: height * factor, : width * factor].reshape(height, factor, width, factor)
    return cast("Floats", blocks.mean(axis=(1, 3)))


def _has(tree: xr.DataTree, path: str) -> bool:
    try:
        node = tree[path]
    except KeyError:
        return False
    return bool(node.data_vars)


def _dataset(tree: xr.DataTree, path: str) -> xr.Dataset:
    return cast("xr.DataTree", tree[path]).to_dataset()


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"

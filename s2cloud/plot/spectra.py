"""Spectra before and after the correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import xarray as xr

from s2cloud.model.bands import BAND_INFO, SENSORS
from s2cloud.model.errors import UsageError
from s2cloud.model.granule import granule
from s2cloud.model.palette import class_words
from s2cloud.model.schema import SCL, uncertainty_path
from s2cloud.plot.figures import axes_or_new
from s2cloud.plot.rasters import grid_with
from s2cloud.processor.inputs import node_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

__all__ = ["class_spectra", "spectra"]

#: Bands of an atmospheric window; B09 and B10 see the air.
_BANDS: Final = ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b8a", "b11", "b12")
_STYLES: Final = {"top of atmosphere": (":", "o"), "surface": ("-", "o"), "truth": ("", "x")}
#: Classes whose spectra are shown, with colours that can be read on white.
_CLASSES: Final = {
    SCL.VEGETATION: "#00802b",
    SCL.NOT_VEGETATED: "#b8860b",
    SCL.WATER: "#1f4fd8",
    SCL.SNOW_ICE: "#b030b0",
}
#: Pixels of a class below which its median says little.
_FEWEST: Final = 20


def spectra(
    l1c: xr.DataTree,
    l2a: xr.DataTree,
    x: float,
    y: float,
    *,
    truth: xr.DataTree | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the spectrum of one place at the top of the atmosphere and at the surface.

    Parameters
    ----------
    l1c, l2a
        Trees before and after. Of a lazy tree the blocks below the place are computed.
    x, y
        Position in the reference system of the tile. [m]
    truth
        Surface reflectance to compare with, in the layout of a Level-2A tree.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    Axes
        One-sigma uncertainties are drawn as bars where the product has them.

    Raises
    ------
    UsageError
        If the place lies outside of the image, or matplotlib is not installed.
    """
    trees = {"top of atmosphere": l1c, "surface": l2a, "truth": truth}
    ax = axes_or_new(ax)
    for words, tree in trees.items():
        if tree is None:
            continue
        values = _at(tree, x, y)
        known = node_of(tree, uncertainty_path(20)) is not None
        sigma = _at(tree, x, y, sigma=True) if known else None
        line, marker = _STYLES[words]
        ax.errorbar(
            _wavelengths(l1c), values, sigma, linestyle=line, marker=marker, capsize=3, label=words
        )
    ax.legend(frameon=False)
    return _finished(ax, f"Spectrum at {x:.0f} m E, {y:.0f} m N")


def class_spectra(
    l1c: xr.DataTree,
    l2a: xr.DataTree,
    *,
    truth: xr.DataTree | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the median spectra of vegetation, soil, water and snow before and after, at 60 m.

    Parameters
    ----------
    l1c, l2a, truth, ax
        As in `spectra`.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If bands or classes are missing at 60 m.
    """
    scl = _at_60m(l2a, ["scl"])["scl"].compute()
    masks = {code: scl == code for code in _CLASSES}
    masks = {code: mask for code, mask in masks.items() if int(mask.sum()) >= _FEWEST}
    trees = {"top of atmosphere": l1c, "surface": l2a, "truth": truth}
    ax = axes_or_new(ax)
    for words, tree in trees.items():
        if tree is None:
            continue
        line, marker = _STYLES[words]
        ax.plot([], [], linestyle=line, marker=marker, color="black", label=words)
        found = _at_60m(tree, _BANDS).compute()
        for code, mask in masks.items():
            medians = found.where(mask, drop=True).median()
            values = [float(medians[name]) for name in _BANDS]
            ax.plot(
                _wavelengths(l1c), values, linestyle=line, marker=marker, markersize=4,
                color=_CLASSES[code],
            )  # fmt: skip
    for code in masks:
        ax.plot([], [], color=_CLASSES[code], linewidth=4, label=class_words(code))
    ax.set_ylim(top=1.25 * ax.get_ylim()[1])  # room for the legend
    ax.legend(fontsize="small", ncols=2, loc="upper right", frameon=False)
    return _finished(ax, "Median spectra by class")


def _at(tree: xr.DataTree, x: float, y: float, *, sigma: bool = False) -> list[float]:
    """Values of the bands at a place, each from its finest grid, computed at once."""
    places = {}
    for name in _BANDS:
        (raster,) = grid_with(tree, [name], sigma=sigma).data_vars.values()
        half = abs(float(raster["x"][1] - raster["x"][0])) / 2
        try:
            place = raster.sel(x=x, y=y, method="nearest", tolerance=half * 1.001)
        except KeyError:
            raise UsageError(
                "the position lies outside the image",
                where=f"x {x:g}, y {y:g}",
                expected=f"x from {float(raster['x'].min()) - half:g} "
                f"to {float(raster['x'].max()) + half:g}, "
                f"y from {float(raster['y'].min()) - half:g} "
                f"to {float(raster['y'].max()) + half:g}",
                fix="give metres in the reference system of the tile",
            ) from None
        places[name] = place.reset_coords(drop=True).drop_vars(("x", "y"), errors="ignore")
    found: Mapping[str, xr.DataArray] = xr.Dataset(places).compute().data_vars  # type: ignore[assignment]
    return [float(found[name]) for name in _BANDS]


def _at_60m(tree: xr.DataTree, names: Sequence[str]) -> xr.Dataset:
    """Each raster from its coarsest grid, averaged to 60 m where that is finer."""
    found = {}
    for name in names:
        (raster,) = grid_with(tree, [name], pixels=1).data_vars.values()
        step = round(60.0 / abs(float(raster["x"][1] - raster["x"][0])))
        if step > 1:
            raster = raster.coarsen(y=step, x=step, boundary="trim").mean()
        found[name] = raster.reset_coords(drop=True)
    return xr.Dataset(found)


def _wavelengths(l1c: xr.DataTree) -> list[float]:
    sensor = SENSORS.index(granule(l1c).sensor)
    return [BAND_INFO[name].wavelength_nm[sensor] for name in _BANDS]


def _finished(ax: Axes, title: str) -> Axes:
    ax.set(title=title, xlabel="wavelength [nm]", ylabel="reflectance [1]")
    ax.axhline(0.0, color="black", linewidth=0.6)
    ax.grid(alpha=0.3)
    return ax

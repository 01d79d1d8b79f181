"""Maps: colours, classes and fields of the atmosphere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import xarray as xr

from s2cloud.model.bands import BAND_INFO, band_name
from s2cloud.model.palette import CLASS_COLOURS, RAMPS, class_words, limits_of
from s2cloud.model.schema import SCL
from s2cloud.plot.figures import axes_or_new, in_km
from s2cloud.plot.rasters import GAMMA, PIXELS, WHITE, colours, is_toa, rasters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = [
    "aot",
    "classes",
    "cloud_probability",
    "false_colour",
    "true_colour",
    "uncertainty",
    "water_vapour",
]

#: Title, label of the colour bar, and least range of it, in the unit of the field.
_FIELDS: Final = {
    "aot": ("Aerosol, 550 nm", "optical thickness [1]", 0.05),
    "wvp": ("Water vapour", "total column [kg m$^{-2}$]", 2.0),
    "cld": ("Cloud probability", "[%]", 100.0),
    "sigma": ("Uncertainty", "one sigma of reflectance [1]", 0.005),
}

#: Share of a picture below which a class is not in the legend.
_RARE: Final = 0.001

Side = Literal["right", "below"]


def true_colour(
    tree: xr.DataTree,
    *,
    ax: Axes | None = None,
    white: float = WHITE,
    gamma: float = GAMMA,
    pixels: int = PIXELS,
) -> Axes:
    """Draw a product as the eye sees it: B04, B03, B02.

    Parameters
    ----------
    tree
        Level-1C or Level-2A tree. With the same `white` the two can be compared.
    ax
        Where to draw; a new figure by default.
    white
        Reflectance shown as white. [1]
    gamma
        Exponent that lightens the dark; 1 = as it is.
    pixels
        Rows or columns that are enough. [pixel]

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If a band is missing.
    UsageError
        If matplotlib is not installed.

    Examples
    --------
    >>> true_colour(process(preview(l1c)))  # doctest: +SKIP
    """
    return false_colour(
        tree, bands=("b04", "b03", "b02"), ax=ax, white=white, gamma=gamma, pixels=pixels
    )


def false_colour(
    tree: xr.DataTree,
    *,
    bands: Sequence[str] = ("b08", "b04", "b03"),
    ax: Axes | None = None,
    white: float | Sequence[float] = (0.5, 0.3, 0.3),
    gamma: float = GAMMA,
    pixels: int = PIXELS,
) -> Axes:
    """Draw three bands as red, green and blue; by default plants are red.

    Parameters
    ----------
    tree
        Level-1C or Level-2A tree.
    bands
        Three bands of one grid. Where B08 is not delivered B8A stands in.
    ax, gamma, pixels
        As in `true_colour`.
    white
        Reflectance shown as white, one or one per band. [1]

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If no grid has all three.
    """
    found = rasters(tree, [band_name(band) for band in bands], pixels=pixels)
    shown = list(found.data_vars.values())
    whites = np.broadcast_to(np.asarray(white, np.float32), 3)
    rgb = colours([b / w for b, w in zip(shown, whites, strict=True)], white=1.0, gamma=gamma)
    opaque = rgb.notnull().all("colour").expand_dims(colour=["opacity"], axis=-1)
    rgba = xr.concat([rgb.fillna(0.0), opaque.astype(rgb.dtype)], "colour")
    ax = axes_or_new(ax)
    in_km(rgba).plot.imshow(ax=ax, rgb="colour", interpolation="antialiased")
    names = ", ".join(BAND_INFO[str(name)].esa_name for name in found.data_vars)
    where = "top of atmosphere" if is_toa(shown[0]) else "surface"
    return _finished(ax, f"{names}, {where}")


def classes(
    tree: xr.DataTree,
    *,
    ax: Axes | None = None,
    legend: Side | None = "right",
    pixels: int = PIXELS,
) -> Axes:
    """Draw the scene classification in the colours of ESA's products.

    Parameters
    ----------
    tree
        Level-2A tree.
    ax, pixels
        As in `true_colour`.
    legend
        Where the classes stand with their shares of the picture; None = nowhere.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is no classification.
    """
    from matplotlib.colors import ListedColormap  # noqa: PLC0415  # an extra
    from matplotlib.patches import Patch  # noqa: PLC0415

    scl = rasters(tree, ["scl"], pixels=pixels)["scl"].fillna(0).astype(np.uint8)
    ax = axes_or_new(ax)
    in_km(scl).plot.imshow(
        ax=ax, cmap=ListedColormap([CLASS_COLOURS[code] for code in SCL]), vmin=-0.5,
        vmax=len(SCL) - 0.5, interpolation="nearest", add_colorbar=False,
    )  # fmt: skip
    share = np.bincount(scl.values.ravel(), minlength=len(SCL)) / scl.size
    patches = [
        Patch(
            facecolor=CLASS_COLOURS[code],
            edgecolor="#606060",
            label=f"{int(code)} {class_words(code)} {100 * share[code]:.0f} %",
        )
        for code in SCL
        if share[code] > _RARE
    ]
    if legend:
        place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        if legend == "below":
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": 2}
        ax.legend(handles=patches, fontsize="small", frameon=False, handlelength=1.2, **place)
    return _finished(ax, "Scene classes")


def aot(
    tree: xr.DataTree,
    *,
    ax: Axes | None = None,
    limits: tuple[float, float] | None = None,
    bar: Side = "right",
    pixels: int = PIXELS,
) -> Axes:
    """Draw the aerosol optical thickness at 550 nm.

    Parameters
    ----------
    tree
        Level-2A tree.
    ax, pixels
        As in `true_colour`.
    limits
        Ends of the colour bar; by default 98 % of the values lie between them. [1]
    bar
        Where the colour bar stands.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is none.
    """
    return _field(rasters(tree, ["aot"], pixels=pixels)["aot"], "aot", ax, limits, bar)


def water_vapour(
    tree: xr.DataTree,
    *,
    ax: Axes | None = None,
    limits: tuple[float, float] | None = None,
    bar: Side = "right",
    pixels: int = PIXELS,
) -> Axes:
    """Draw the total column of water vapour.

    Parameters
    ----------
    tree
        Level-2A tree.
    ax, pixels
        As in `true_colour`.
    limits
        Ends of the colour bar; by default 98 % of the values lie between them. [kg m-2]
    bar
        Where the colour bar stands.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is none.
    """
    return _field(rasters(tree, ["wvp"], pixels=pixels)["wvp"], "wvp", ax, limits, bar)


def cloud_probability(
    tree: xr.DataTree, *, ax: Axes | None = None, bar: Side = "right", pixels: int = PIXELS
) -> Axes:
    """Draw the probability of cloud in percent.

    Parameters
    ----------
    tree
        Level-2A tree.
    ax, pixels
        As in `true_colour`.
    bar
        Where the colour bar stands.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is none.
    """
    found = rasters(tree, ["cld"], pixels=pixels)["cld"]
    return _field(found.where(found <= 100), "cld", ax, (0.0, 100.0), bar)


def uncertainty(
    tree: xr.DataTree,
    band: str,
    *,
    ax: Axes | None = None,
    limits: tuple[float, float] | None = None,
    bar: Side = "right",
    pixels: int = PIXELS,
) -> Axes:
    """Draw the one-sigma uncertainty of the surface reflectance of a band.

    Parameters
    ----------
    tree
        Level-2A tree made with ``uncertainty: enabled``.
    band
        In any usual spelling.
    ax, pixels
        As in `true_colour`.
    limits
        Ends of the colour bar; by default 98 % of the values lie between them. [1]
    bar
        Where the colour bar stands.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        If there is none.
    """
    (found,) = rasters(tree, [band_name(band)], pixels=pixels, sigma=True).data_vars.values()
    ax = _field(found, "sigma", ax, limits, bar)
    ax.set_title(f"Uncertainty of {BAND_INFO[str(found.name)].esa_name}")
    return ax


def _field(
    field: xr.DataArray, kind: str, ax: Axes | None, limits: tuple[float, float] | None, bar: Side
) -> Axes:
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415  # an extra

    title, label, least = _FIELDS[kind]
    low, high = limits or limits_of(field.values, least)
    ramp = LinearSegmentedColormap.from_list(kind, RAMPS.get(kind, RAMPS["aot"]))
    below = {"location": "bottom", "aspect": 40, "pad": 0.02} if bar == "below" else {}
    ax = axes_or_new(ax)
    in_km(field).plot.imshow(
        ax=ax, cmap=ramp, vmin=low, vmax=high, interpolation="antialiased",
        cbar_kwargs={"shrink": 0.8, "label": label, **below},
    )  # fmt: skip
    return _finished(ax, title)


def _finished(ax: Axes, title: str) -> Axes:
    ax.set_title(title)
    ax.set_aspect("equal")
    return ax

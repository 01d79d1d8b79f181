"""One picture of a product: before and after, classes, aerosol, water vapour, spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from s2cloud.model.bands import BAND_INFO
from s2cloud.model.errors import UsageError
from s2cloud.model.granule import granule
from s2cloud.model.schema import SCL, SCL_PATH, atmosphere_path, reflectance_path

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import xarray as xr

    Floats = npt.NDArray[np.float32]

__all__ = ["write_quicklook"]

_Number = TypeVar("_Number", bound=np.generic)

#: Reflectance shown as white. Between dark water and bright soil, the same before and after.
WHITE: Final = 0.28
GAMMA: Final = 1.5
#: Longest side of a picture. [pixel]
MAX_PX: Final = 900

#: Colours of the classes, as in ESA's products.
COLOURS: Final = {
    SCL.NO_DATA: "#000000",
    SCL.SATURATED_OR_DEFECTIVE: "#ff0000",
    SCL.CAST_SHADOW: "#2f2f2f",
    SCL.CLOUD_SHADOW: "#643200",
    SCL.VEGETATION: "#00a000",
    SCL.NOT_VEGETATED: "#ffe65a",
    SCL.WATER: "#0000ff",
    SCL.UNCLASSIFIED: "#808080",
    SCL.CLOUD_MEDIUM_PROBABILITY: "#c0c0c0",
    SCL.CLOUD_HIGH_PROBABILITY: "#ffffff",
    SCL.THIN_CIRRUS: "#64c8ff",
    SCL.SNOW_ICE: "#ff96ff",
}

#: Fields of the atmosphere and their titles.
MAPS: Final = {
    "aot": "Aerosol optical thickness at 550 nm",
    "wvp": "Water vapour column [kg m$^{-2}$]",
}

#: Classes in the panel of spectra, with their colours there.
SPECTRA: Final = {
    SCL.VEGETATION: "#00802b",
    SCL.NOT_VEGETATED: "#b8860b",
    SCL.WATER: "#1f4fd8",
}
SPECTRAL_BANDS: Final = ("b02", "b03", "b04", "b05", "b06", "b07", "b8a", "b11", "b12")


def write_quicklook(
    l1c: xr.DataTree, l2a: xr.DataTree, path: Path, *, truth: xr.DataTree | None = None
) -> Path:
    """Draw a product.

    Parameters
    ----------
    l1c, l2a
        The trees before and after processing, of the same area.
    path
        PNG file to write.
    truth
        The truth of a simulated product, for the panel of spectra.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UsageError("pictures need matplotlib", fix="pip install 's2cloud[demo]'") from error
    # A Figure made without pyplot uses the Agg canvas and leaves no global state behind.
    figure = Figure(figsize=(11.6, 8.4), dpi=96, layout="constrained")
    axes = figure.subplots(2, 3)
    scl = _values(l2a, f"{SCL_PATH}/r20m/scl")
    _picture(axes[0, 0], true_colour(l1c), "Level-1C: top of atmosphere")
    _picture(axes[0, 1], true_colour(l2a), "Level-2A: surface reflectance")
    _classes(axes[0, 2], scl)
    for column, (name, title) in enumerate(MAPS.items()):
        _map(figure, axes[1, column], _values(l2a, f"{atmosphere_path(20)}/{name}"), title)
    _spectra(axes[1, 2], l1c, l2a, truth, scl)
    figure.suptitle(granule(l1c).l2a_name, fontsize=10, family="monospace")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, pil_kwargs={"optimize": True})
    return path


def true_colour(tree: xr.DataTree) -> Floats:
    """Red, green and blue for the eye, 0 to 1, shape (y, x, 3)."""
    bands = [reflectance(tree, name) for name in ("b04", "b03", "b02")]
    rgb = np.stack(bands, axis=-1)
    return np.asarray(np.clip(np.nan_to_num(rgb) / WHITE, 0, 1) ** (1 / GAMMA), np.float32)


def reflectance(tree: xr.DataTree, band: str) -> Floats:
    """Reflectance of a band at its native resolution, NaN without data, at most 900 wide."""
    return _thinned(_decoded(tree, band))


def _decoded(tree: xr.DataTree, band: str) -> Floats:
    variable = tree[reflectance_path(BAND_INFO[band].resolution)][band]
    values = np.asarray(variable.values)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    scale = float(variable.attrs.get("scale_factor", 1e-4))
    offset = float(variable.attrs.get("add_offset", 0.0))
    decoded = values.astype(np.float32) * np.float32(scale) + np.float32(offset)
    return np.asarray(np.where(values == 0, np.float32(np.nan), decoded), np.float32)


def _values(tree: xr.DataTree, path: str) -> Floats:
    return np.asarray(tree[path].values, np.float32)


def _thinned(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    step = max(1, -(-max(values.shape) // MAX_PX))
    return values[::step, ::step]


def _picture(axes: Any, rgb: Floats, title: str) -> None:
    axes.imshow(rgb, interpolation="antialiased")
    axes.set_title(title, fontsize=11)
    axes.set_axis_off()


def _classes(axes: Any, scl: Floats) -> None:
    from matplotlib.colors import ListedColormap  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    classes = np.nan_to_num(scl).astype(np.uint8)
    colours = ListedColormap([COLOURS[name] for name in SCL])
    axes.imshow(
        _thinned(classes), cmap=colours, vmin=-0.5, vmax=len(SCL) - 0.5, interpolation="nearest"
    )
    axes.set_title("Scene classes", fontsize=11)
    axes.set_axis_off()
    share = np.bincount(classes.ravel(), minlength=len(SCL)) / classes.size
    patches = [
        Patch(
            facecolor=COLOURS[name],
            edgecolor="#606060",
            label=f"{_words(name)} {100 * share[name]:.0f} %",
        )
        for name in SCL
        if share[name] > 0.002
    ]
    axes.legend(
        handles=patches, fontsize=7.5, ncols=3, frameon=False, loc="upper center",
        bbox_to_anchor=(0.5, 0.0), handlelength=1.2, columnspacing=1.0,
    )  # fmt: skip


def _words(name: SCL) -> str:
    return name.name.removesuffix("_PROBABILITY").lower().replace("_", " ")


def _map(figure: Any, axes: Any, values: Floats, title: str) -> None:
    finite = values[np.isfinite(values)]
    high = float(np.percentile(finite, 99.5)) if finite.size else 1.0
    image = axes.imshow(
        _thinned(values), cmap="viridis", vmin=0.0, vmax=high, interpolation="antialiased"
    )
    axes.set_title(title, fontsize=11)
    axes.set_axis_off()
    figure.colorbar(image, ax=axes, location="bottom", shrink=0.8, pad=0.02, aspect=40)


def _spectra(
    axes: Any, l1c: xr.DataTree, l2a: xr.DataTree, truth: xr.DataTree | None, scl: Floats
) -> None:
    sensor = ("S2A", "S2B", "S2C").index(granule(l1c).sensor)
    wavelengths = [BAND_INFO[band].wavelength_nm[sensor] for band in SPECTRAL_BANDS]
    styles = [(l1c, ":", "", "top of atmosphere"), (l2a, "-", "", "surface")]
    if truth is not None:
        styles.append((truth, "", "x", "truth"))
    for tree, line, marker, words in styles:
        axes.plot([], [], linestyle=line, marker=marker, color="black", label=words)
        bands = {band: _at_20m(_decoded(tree, band), band) for band in SPECTRAL_BANDS}
        for name, colour in SPECTRA.items():
            chosen = scl == name
            if chosen.sum() < 50:
                continue
            medians = [float(np.nanmedian(bands[band][chosen])) for band in SPECTRAL_BANDS]
            axes.plot(wavelengths, medians, linestyle=line, marker=marker, color=colour)
    for name, colour in SPECTRA.items():
        axes.plot([], [], color=colour, linewidth=4, label=_words(name))
    axes.set_title("Median spectra by class", fontsize=11)
    axes.set_xlabel("wavelength [nm]", fontsize=9)
    axes.set_ylabel("reflectance", fontsize=9)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.margins(y=0.12)
    axes.set_ylim(top=1.2 * axes.get_ylim()[1])  # room for the legend
    axes.legend(fontsize=7.5, ncols=2, loc="upper right")


def _at_20m(values: Floats, band: str) -> Floats:
    if BAND_INFO[band].resolution == 20:
        return values
    rows, cols = values.shape[0] // 2, values.shape[1] // 2
    cells = values[: rows * 2, : cols * 2].reshape(rows, 2, cols, 2)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)

"""One picture of a product: before and after, classes, aerosol, water vapour, spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2cloud.model.errors import UsageError
from s2cloud.model.granule import granule
from s2cloud.plot import aot, class_spectra, classes, true_colour, water_vapour

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

__all__ = ["write_quicklook"]


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
    true_colour(l1c, ax=axes[0, 0]).set_title("Level-1C: top of atmosphere")
    true_colour(l2a, ax=axes[0, 1]).set_title("Level-2A: surface reflectance")
    classes(l2a, ax=axes[0, 2], legend="below")
    aot(l2a, ax=axes[1, 0], bar="below")
    water_vapour(l2a, ax=axes[1, 1], bar="below")
    for ax in axes.flat[:5]:
        ax.set_axis_off()
    class_spectra(l1c, l2a, truth=truth, ax=axes[1, 2])
    figure.suptitle(granule(l1c).l2a_name, fontsize=10, family="monospace")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, pil_kwargs={"optimize": True})
    return path

"""What surrounds each cell of a scene, as the air above it gathers the light."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms import cirrus, surface
from s2cloud.model.bands import BAND_INDEX

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.processor.optics import SceneInput

    Floats = npt.NDArray[np.float32]

__all__ = ["surroundings"]


def surroundings(
    given: SceneInput,
    toa: Floats,
    seen: npt.NDArray[np.bool_],
    molecular: Floats | float,
    terms: tuple[Floats, Floats, Floats] | None = None,
    *,
    band: str,
    thin: tuple[float, float] | None = None,
) -> Floats:
    """Mean reflectance of the surroundings of each cell.

    Parameters
    ----------
    given
        Grids and options.
    toa
        Top-of-atmosphere reflectance of the cells, shape (cell_y, cell_x).
    seen
        Cells that show the surface.
    molecular
        See ``surface.environment``.
    terms
        Path reflectance, gain and spherical albedo that turn it into surface reflectance; without
        them the mean is that of `toa`. Beyond the tile they are those of its border.
    band
        The band, to be found beyond the tile.
    thin
        What ``cirrus.take_away`` needs to take cirrus from there too; it is gone from `toa`.
    """
    inner = (slice(None), slice(None))
    if given.beyond is not None and given.beyond.margin > 0:
        margin = given.beyond.margin
        inner = (slice(margin, -margin), slice(margin, -margin))
        wide = given.beyond.toa[BAND_INDEX[band]].copy()
        if thin is not None:
            wide = cirrus.take_away(wide, given.beyond.toa[BAND_INDEX["b10"]], *thin)
        wide[inner] = np.where(seen, toa, np.float32(np.nan))
        toa, seen = wide, np.isfinite(wide)
        molecular = _widened(molecular, margin)
        terms = None if terms is None else tuple(_widened(t, margin) for t in terms)
    values = toa if terms is None else surface.uniform_surface(toa, *terms)
    side = given.cell_px * given.grid.pixel_size
    around, _ = surface.environment(
        values, seen, side, molecular, stretch=given.config.surface.adjacency_km or 1.0
    )
    return around[inner]


def _widened(values: Any, margin: int) -> Any:
    """Field of the cells with its border values beyond it; a number stays one."""
    return np.pad(values, margin, mode="edge") if np.ndim(values) else values

"""What surrounds each cell of a scene, as the air above it gathers the light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2cloud.algorithms import surface

if TYPE_CHECKING:
    import numpy as np
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
        them the mean is that of `toa`.
    """
    values = toa if terms is None else surface.uniform_surface(toa, *terms)
    side = given.cell_px * given.grid.pixel_size
    around, _ = surface.environment(
        values, seen, side, molecular, stretch=given.config.surface.adjacency_km or 1.0
    )
    return around

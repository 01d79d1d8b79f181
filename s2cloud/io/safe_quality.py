"""Quality masks of the Level-1C product on their way into the Level-2A SAFE product.

ESA's Level-2A repeats the detector footprints, the technical quality and the classes of the
Level-1C product, and programs such as ``eopf`` insist on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.io.safe_masks import CLASSIFICATION_BITS, QUALITY_BITS
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.grid import Grid, grid_of
from s2cloud.model.schema import DETECTOR_FOOTPRINT, L1C_CLASSIFICATION, QUALITY_MASK

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.io.jp2_encode import Component
    from s2cloud.io.jp2_index import JP2Source

__all__ = ["SOURCE", "QualityMask", "components", "quality_masks"]

#: Where `Variable.encoding` keeps the file that holds just this mask.
SOURCE: Final = "jp2_source"
#: Kind of mask, its node, number of layers in a file.
_KINDS: Final = (
    ("DETFOO", f"{DETECTOR_FOOTPRINT}/r{{}}m", 1),
    ("QUALIT", f"{QUALITY_MASK}/r{{}}m", len(QUALITY_BITS)),
    ("CLASSI", L1C_CLASSIFICATION, len(CLASSIFICATION_BITS)),
)


@dataclass(frozen=True, slots=True)
class QualityMask:
    """One mask.

    Attributes
    ----------
    stem
        Name of its file without suffix, ``MSK_DETFOO_B02``.
    resolution
        [m]
    grid
        Its pixels.
    layers
        Number of layers of the file.
    array
        Its values, lazy; of a file of several layers their bits.
    source
        File that holds just this, to be copied; None if it has to be coded.
    """

    stem: str
    resolution: int
    grid: Grid
    layers: int
    array: Any
    source: JP2Source | None


def quality_masks(
    l1c: xr.DataTree, finest: Grid, resolutions: Collection[int]
) -> list[QualityMask]:
    """Masks of a Level-1C tree on the pixels of a product.

    Parameters
    ----------
    l1c
        Tree from ``open_l1c``.
    finest
        A grid of the product, whose bounds are those of all.
    resolutions
        Pixel sizes of the product; masks of other sizes are left out. [m]

    Returns
    -------
    list of QualityMask
        In the order of ESA's metadata; those that the tree has.
    """
    west, south, east, north = finest.bounds
    found = []
    for band in (*BANDS, "b00"):
        resolution = 60 if band == "b00" else BAND_INFO[band].resolution
        name = "B00" if band == "b00" else BAND_INFO[band].esa_name
        for kind, path, layers in _KINDS:
            variable = _variable(l1c, path.format(resolution), band)
            if variable is None or resolution not in resolutions:
                continue
            part = variable.sel(x=slice(west, east), y=slice(north, south))
            grid = grid_of(part, crs=finest.crs) if part.size else None
            if grid is None or grid.bounds != finest.bounds:
                continue
            source = variable.encoding.get(SOURCE) if part.shape == variable.shape else None
            stem = f"MSK_{kind}_{name}"
            found.append(QualityMask(stem, resolution, grid, layers, part.data, source))
    return found


def components(blocks: list[list[npt.NDArray[np.uint8]]], layers: int) -> list[Component]:
    """Layers of a file from blocks of values, for `s2cloud.io.jp2_encode.encode_jp2`."""
    return [(blocks, partial(_bit, n) if layers > 1 else None) for n in range(layers)]


def _bit(number: int, block: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return (block >> np.uint8(number)) & np.uint8(1)


def _variable(tree: xr.DataTree, path: str, name: str) -> xr.DataArray | None:
    node = next((node for node in tree.subtree if node.path.strip("/") == path), None)
    if node is None or name not in node.data_vars:
        return None
    variable = node.to_dataset()[name]
    return variable if variable.chunks is not None else None

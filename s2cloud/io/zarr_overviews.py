"""Coarser copies of the 60 m rasters for maps of whole countries: 120, 240 and 480 m."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from s2cloud.io.layers import Layer

__all__ = ["OVERVIEWS", "multiscales", "overview_layers"]

#: Pixel sizes of the overviews. [m] Below them the rasters of 10, 20 and 60 m are levels already.
OVERVIEWS: Final = (120, 240, 480)
_COARSEST: Final = 60


def overview_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Lazy overviews of the 60 m rasters of a product, each one chunk.

    Parameters
    ----------
    layers
        Rasters of the product.

    Returns
    -------
    list of Layer
        Bands, atmosphere and classes in nodes ``r120m``, ``r240m``, ``r480m`` beside ``r60m``,
        down to 32 pixels.

    Notes
    -----
    A pixel is the mean of the up to four pixels with data below it, rounded to even; of classes
    the one that comes first most often. An odd last row or column is left out.
    """
    made = []
    for layer in layers:
        if layer.resolution != _COARSEST or not layer.is_product or layer.is_flags:
            continue
        finer = layer
        for size in OVERVIEWS:
            grid = finer.grid.scaled(2)
            if min(grid.shape) < 32:
                break
            whole = finer.counts.rechunk(finer.grid.shape)
            counts = whole.map_blocks(
                halved,
                fill=layer.encoding.fill,
                classes=layer.is_classes,
                dtype=whole.dtype,
                chunks=(grid.shape[:1], grid.shape[1:]),
                meta=np.empty((0, 0), whole.dtype),
            )
            path = layer.path.replace(f"r{_COARSEST}m", f"r{size}m")
            finer = replace(
                layer, path=path, resolution=size, grid=grid, counts=counts, block=grid.shape
            )
            made.append(finer)
    return made


def halved(pixels: npt.NDArray[Any], *, fill: int, classes: bool) -> npt.NDArray[Any]:
    """Raster of half the size.

    Examples
    --------
    >>> halved(np.array([[1, 2, 9], [3, 0, 9]], np.uint16), fill=0, classes=False)
    array([[2]], dtype=uint16)
    >>> halved(np.array([[4, 6], [6, 5]], np.uint8), fill=0, classes=True)
    array([[6]], dtype=uint8)
    """
    rows, cols = pixels.shape[0] // 2, pixels.shape[1] // 2
    cells = pixels[: rows * 2, : cols * 2].reshape(rows, 2, cols, 2)
    four = np.moveaxis(cells, 2, 1).reshape(rows, cols, 4)
    if classes:
        # How often each of the four occurs among the four; argmax takes the first of equals.
        often = (four[..., :, None] == four[..., None, :]).sum(axis=-1)
        first = often.argmax(axis=-1)[..., None]
        common: npt.NDArray[Any] = np.take_along_axis(four, first, axis=-1)[..., 0]
        return common
    known = four != fill
    number = known.sum(axis=-1)
    total = np.where(known, four, 0).sum(axis=-1, dtype=np.int64)
    mean = np.rint(total / np.maximum(number, 1))
    return np.where(number > 0, mean, fill).astype(pixels.dtype)


def multiscales(layers: Sequence[Layer], path: str) -> dict[str, Any]:
    """Attribute that lists the levels of a group, from fine to coarse.

    Parameters
    ----------
    layers
        All rasters.
    path
        Group above ``r10m``, ``r20m`` ...

    Notes
    -----
    In the words of the ``multiscales`` convention for Zarr that GeoZarr drafts use.
    """
    sizes = {la.resolution: la.grid for la in layers if la.path.rpartition("/")[0] == path}
    levels: list[dict[str, Any]] = []
    finer = 0
    for size in sorted(sizes):
        level: dict[str, Any] = {
            "asset": f"r{size}m",
            "spatial:shape": list(sizes[size].shape),
            "spatial:transform": list(sizes[size].transform),
        }
        if finer:
            scale = size / finer
            level |= {"derived_from": f"r{finer}m", "transform": {"scale": [scale, scale]}}
        levels.append(level)
        finer = size
    return {"layout": levels, "resampling_method": "average"}

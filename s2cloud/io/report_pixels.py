"""The pixels that a report shows, from whichever format of a product is there, at about 60 m."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
import zarr
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

from s2cloud.io.safe_names import SafeNames
from s2cloud.io.true_colour import true_colour
from s2cloud.io.zarr_source import zarr_group
from s2cloud.model.bands import BANDS
from s2cloud.model.errors import InputError
from s2cloud.model.granule import Granule
from s2cloud.model.schema import (
    ENCODINGS,
    FLAGS,
    REFLECTANCE,
    SCL_PATH,
    Encoding,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from s2cloud.io.receipt import Receipt
    from s2cloud.io.stores import Store

    Pixels = npt.NDArray[Any]

__all__ = ["Pictures", "pictures_of"]

#: Longest side of a picture. [pixel]
SIDE: Final = 610
_COLOURS: Final = ("b04", "b03", "b02")
_ATMOSPHERE: Final = "quality/atmosphere"
_PROBABILITY: Final = "quality/probability"


@dataclass(frozen=True, slots=True)
class Pictures:
    """Reduced rasters of a product by the names of their variables.

    Attributes
    ----------
    stored
        Stored integers, shape (y, x): bands, ``scl``, ``aot``, ``wvp``, ``cld``, ``snw``,
        ``flags``, whatever the product has.
    pixel
        Distance between two pixels of them. [m]
    source
        Format they were read from.
    """

    stored: dict[str, Pixels]
    pixel: float
    source: str

    def decoded(self, name: str) -> npt.NDArray[np.float64] | None:
        """Values of a raster with NaN for no-data; None if the product has none of that name."""
        counts = self.stored.get(name)
        if counts is None:
            return None
        encoding = encoding_of(name)
        values = counts * encoding.scale + encoding.offset
        return np.where(counts == encoding.fill, np.nan, values)

    @property
    def colours(self) -> npt.NDArray[np.uint8] | None:
        """True-colour image, shape (y, x, 3), 0 for no-data."""
        if not set(_COLOURS) <= self.stored.keys():
            return None
        return np.stack([true_colour(self.stored[name]) for name in _COLOURS], axis=-1)


def encoding_of(name: str) -> Encoding:
    """How a raster of that name is stored."""
    return ENCODINGS.get(name, ENCODINGS["reflectance"])


def pictures_of(store: Store, receipt: Receipt) -> Pictures:
    """Read the reduced rasters of a product.

    Parameters
    ----------
    store
        Product folder.
    receipt
        Its receipt.

    Raises
    ------
    InputError
        If no format of the product can be read.

    Notes
    -----
    GeoTIFFs are read from their overviews, Zarr and SAFE from their coarsest rasters. All are
    brought to one size by taking the nearest pixel: classes have no mean.
    """
    readers: dict[str, Callable[[Store, Receipt], dict[str, tuple[Pixels, float]]]] = {
        "cog": _from_geotiffs,
        "zarr": _from_zarr,
        "safe": _from_safe,
    }
    for name, read in readers.items():
        if name in receipt.formats:
            found = read(store, receipt)
            if found:
                stored, pixel = _same_size(found)
                return Pictures(stored, pixel, name)
    raise InputError(
        "no raster for a report",
        where=store.url(),
        expected="a product in one of the formats cog, zarr, safe",
        found=", ".join(receipt.formats) or "none",
    )


def _from_geotiffs(store: Store, receipt: Receipt) -> dict[str, tuple[Pixels, float]]:
    found = {}
    for asset in receipt.assets:
        name = asset.key.rpartition("_")[0]
        if asset.dtype and name and not name.startswith("tci") and not name.endswith("_sigma"):
            found[name] = _reduced(store, asset.href)
    return found


def _from_safe(store: Store, receipt: Receipt) -> dict[str, tuple[Pixels, float]]:
    names = SafeNames.of(Granule.from_attrs(receipt.source))
    if names is None:
        return {}
    found = {}
    there = store.find(names.folder)
    for name in (*BANDS, "aot", "wvp", "scl"):
        path = f"{names.folder}/{names.image(name, 60)}"
        if path in there:
            found[name] = _reduced(store, path)
    for name in ("cld", "snw"):
        path = f"{names.folder}/{names.probability(name, 60)}"
        if path in there:
            found[name] = _reduced(store, path)
    return found


def _reduced(store: Store, path: str) -> tuple[Pixels, float]:
    with (
        rasterio.Env(GDAL_NUM_THREADS="1"),
        MemoryFile(store.read(path)) as file,
        file.open() as opened,
    ):
        step = max(1, -(-max(opened.shape) // SIDE))
        shape = tuple(-(-side // step) for side in opened.shape)
        pixels = opened.read(1, out_shape=shape, resampling=Resampling.nearest)
        return pixels, float(opened.transform.a) * opened.width / shape[1]


def _from_zarr(store: Store, receipt: Receipt) -> dict[str, tuple[Pixels, float]]:
    href = receipt.asset("zarr").href
    root = zarr_group(store, href)
    found: dict[str, tuple[Pixels, float]] = {}
    for resolution in (60, 20, 10):
        for path, names in (
            (REFLECTANCE, BANDS),
            (_ATMOSPHERE, ("aot", "wvp")),
            (SCL_PATH, ("scl",)),
            (_PROBABILITY, ("cld", "snw")),
            (FLAGS, ("flags",)),
        ):
            for name in names:
                array = root.get(f"{path}/r{resolution}m/{name}")
                if name in found or not isinstance(array, zarr.Array):
                    continue
                step = max(1, -(-max(array.shape) // SIDE))
                pixels = np.asarray(array[...])[::step, ::step]
                found[name] = (pixels, float(resolution * step))
    return found


def _same_size(found: dict[str, tuple[Pixels, float]]) -> tuple[dict[str, Pixels], float]:
    rows, cols = min((pixels.shape for pixels, _ in found.values()), key=lambda shape: shape[0])
    pixel = max(size for _, size in found.values())
    stored = {}
    for name, (pixels, _) in found.items():
        y = (np.arange(rows) * pixels.shape[0]) // rows
        x = (np.arange(cols) * pixels.shape[1]) // cols
        stored[name] = pixels[np.ix_(y, x)]
    return stored, pixel

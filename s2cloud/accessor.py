"""``.s2`` on trees and datasets of xarray: masks, colours and spectral indices, lazily.

Importing this module registers the accessor. Indices need ``s2cloud[indices]`` (spyndex and its
catalogue, Montero et al. 2023, doi:10.1038/s41597-023-02096-0).

Examples
--------
>>> import s2cloud.accessor
>>> l2a.s2.ndvi().where(l2a.s2.mask(clear=True, resolution=10))  # doctest: +SKIP
>>> l2a.s2.index("EVI")  # doctest: +SKIP
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from s2cloud.model.bands import band_name
from s2cloud.model.errors import UsageError
from s2cloud.model.schema import SCL, Flag
from s2cloud.plot.rasters import GAMMA, WHITE, colours, grid_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.model.bands import Resolution

__all__ = ["CLEAR", "S2Accessor"]

#: Classes in which the ground is seen in the sun.
CLEAR: Final = (SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.WATER, SCL.SNOW_ICE)


@xr.register_datatree_accessor("s2")  # type: ignore[no-untyped-call]
@xr.register_dataset_accessor("s2")  # type: ignore[no-untyped-call]
class S2Accessor:
    """What ``tree.s2`` and ``dataset.s2`` offer.

    Parameters
    ----------
    rasters
        Level-1C or Level-2A tree, or the dataset of one node, in the layout of `process`.
    """

    def __init__(self, rasters: xr.DataTree | xr.Dataset) -> None:
        self._rasters = rasters

    def mask(
        self,
        *,
        clear: bool = False,
        classes: Sequence[int | str] = (),
        flags: Sequence[int | str] = (),
        resolution: Resolution = 20,
    ) -> xr.DataArray:
        """Pixels to keep.

        Parameters
        ----------
        clear
            Keep vegetation, soil, water and snow: no cloud, shadow, cirrus or unclassified pixel.
        classes
            Classes to keep as well, by number or name (``"water"``, ``SCL.WATER``).
        flags
            Flags whose pixels to leave out, by bit or name (``"detector_edge"``).
        resolution
            Pixel size of the result; the mask of 20 m is repeated or thinned to it. [m]

        Returns
        -------
        DataArray
            bool, dimensions (y, x), for ``where``. Without `clear` and `classes` all valid pixels.

        Raises
        ------
        UsageError
            If a class or flag is not known.
        InputError
            If there is no classification, or no flags where flags are given.
        """
        kept = [int(_member(SCL, name)) for name in classes] + [int(c) for c in CLEAR if clear]
        scl = grid_with(self._rasters, ["scl"])["scl"]
        found = scl.isin(kept or [int(code) for code in SCL if code != SCL.NO_DATA])
        if flags:
            bits = int(np.bitwise_or.reduce([int(_member(Flag, name)) for name in flags]))
            raised = grid_with(self._rasters, ["flags"])["flags"]
            found &= (raised.fillna(0).astype(np.uint16) & bits) == 0
        found = found.rename("mask")
        found.attrs = {"long_name": "pixels to keep"}
        return _resampled(found, resolution)

    def rgb(
        self,
        bands: Sequence[str] = ("b04", "b03", "b02"),
        *,
        white: float = WHITE,
        gamma: float = GAMMA,
    ) -> xr.DataArray:
        """Three bands as colours, for ``.plot.imshow()``.

        Parameters
        ----------
        bands
            Shown as red, green and blue, on the finest grid that has them.
        white
            Reflectance shown as white. [1]
        gamma
            Exponent that lightens the dark; 1 = as it is.

        Returns
        -------
        DataArray
            0 to 1, NaN without data, dimensions (y, x, colour).

        Raises
        ------
        InputError
            If no grid has all three.
        """
        found = grid_with(self._rasters, [band_name(band) for band in bands])
        return colours(list(found.data_vars.values()), white=white, gamma=gamma)

    def ndvi(self) -> xr.DataArray:
        """Normalised difference vegetation index of B08 and B04 at 10 m, see `index`."""
        return self.index("NDVI")

    def index(self, name: str, **constants: Any) -> xr.DataArray:
        """Spectral index by its name in the catalogue of spyndex.

        Parameters
        ----------
        name
            Such as ``EVI``, ``NDWI``, ``NBR``; ``spyndex.indices`` lists 280 of them.
        **constants
            Values for constants of the formula in place of the catalogue's.

        Returns
        -------
        DataArray
            On the finest grid that has all bands, with the formula, its bands and its source in
            the attributes. At 20 m and 60 m B8A is the near infrared.

        Raises
        ------
        UsageError
            If spyndex is not installed, or the index is not known or not one of Sentinel-2.
        InputError
            If no grid has all bands.
        """
        try:
            import spyndex  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise UsageError(
                "spectral indices need spyndex", fix="pip install 's2cloud[indices]'"
            ) from error
        if name not in spyndex.indices:
            near = difflib.get_close_matches(name, list(spyndex.indices), cutoff=0.4)
            raise UsageError(
                "no such spectral index",
                where=repr(name),
                expected="one of spyndex.indices"
                + (f", such as {', '.join(near)}" if near else ""),
            )
        entry = spyndex.indices[name]
        known = {key: spyndex.constants[key].default for key in spyndex.constants} | constants
        values = {key: known[key] for key in entry.bands if known.get(key) is not None}
        letters = [key for key in entry.bands if key not in values]
        bands = [_band(spyndex, name, letter) for letter in letters]
        found = grid_with(self._rasters, bands)
        values |= dict(zip(letters, found.data_vars.values(), strict=True))
        made: xr.DataArray = spyndex.computeIndex(name, params=values)
        made = made.rename(name)
        made.attrs = {
            "long_name": entry.long_name,
            "units": "1",
            "formula": entry.formula,
            "bands": ", ".join(f"{k} = {v}" for k, v in zip(letters, found, strict=True)),
            "source": entry.reference,
        }
        return made


def _band(spyndex: Any, index: str, letter: str) -> str:
    """Band of Sentinel-2 that a letter of a formula stands for."""
    band = spyndex.bands.get(letter)
    try:
        return band_name(band.sentinel2a.band)
    except AttributeError:
        raise UsageError(
            "the index needs what Sentinel-2 does not measure",
            where=index,
            found=letter,
            fix=f"give it: index({index!r}, {letter}=...)",
        ) from None


def _member(words: Any, name: int | str) -> Any:
    """Member of an enumeration by value or name."""
    try:
        return words[name.upper().replace(" ", "_")] if isinstance(name, str) else words(name)
    except (KeyError, ValueError):
        raise UsageError(
            f"no such {'class' if words is SCL else 'flag'}",
            where=repr(name),
            expected="one of " + ", ".join(member.name.lower() for member in words),
        ) from None


def _resampled(mask: xr.DataArray, resolution: int) -> xr.DataArray:
    """The mask on pixels of another size, each as the one below its centre, lazily."""
    pixel = abs(float(mask["x"][1] - mask["x"][0]))
    if resolution < pixel:
        up = round(pixel / resolution)
        fine = {
            axis: np.repeat(mask[axis].values, up)
            + sign * (np.tile(np.arange(up), mask.sizes[axis]) - (up - 1) / 2) * resolution
            for axis, sign in (("y", -1), ("x", 1))
        }
        fine_mask = mask.isel({axis: np.repeat(np.arange(mask.sizes[axis]), up) for axis in fine})
        return fine_mask.assign_coords(fine)
    down = round(resolution / pixel)
    if down == 1:
        return mask
    # A coarse pixel is kept where all of it is.
    return mask.coarsen(y=down, x=down, boundary="trim").min()

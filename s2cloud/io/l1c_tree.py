"""What the trees of all Level-1C layouts have in common: counts with their meaning, identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import xarray as xr

from s2cloud.io.overview import block_mean
from s2cloud.model.bands import BAND_INFO, SENSORS
from s2cloud.model.schema import NODATA, SATURATED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.io.part import Placed
    from s2cloud.model.bands import Resolution
    from s2cloud.model.granule import Granule
    from s2cloud.model.grid import Grid

__all__ = ["block_means", "counts", "root_attrs"]


def counts(
    arrays: Mapping[str, da.Array],
    decoding: Mapping[str, tuple[float, float]],
    grid: Grid,
    resolution: Resolution,
    sensor: str,
) -> xr.Dataset:
    """Dataset of counts on one grid.

    Parameters
    ----------
    arrays
        uint16 counts of some bands, shape (y, x).
    decoding
        Scale and offset of each band: ``reflectance = counts * scale + offset``.
    grid
        Their pixels.
    resolution
        Nominal pixel size. [m]
    sensor
        Unit of the satellite, for wavelengths.
    """
    column = next((i for i, name in enumerate(SENSORS) if name == sensor), 0)
    variables = {}
    for band, array in arrays.items():
        info = BAND_INFO[band]
        scale, offset = decoding[band]
        attrs = {
            "long_name": f"top-of-atmosphere reflectance, band {info.esa_name}",
            "units": "1",
            "scale_factor": scale,
            "add_offset": offset,
            "_FillValue": NODATA,
            "saturated": SATURATED,
            "wavelength_nm": info.wavelength_nm[column],
        }
        variables[band] = xr.Variable(("y", "x"), array, attrs)
    return xr.Dataset(
        variables,
        coords={"y": ("y", grid.y), "x": ("x", grid.x)},
        attrs={"crs": grid.crs, "resolution": resolution},
    )


def block_means(array: da.Array, factor: int) -> da.Array:
    """Means of blocks of ``factor`` pixels as one lazy chunk, partial at the far edges."""
    # The method is named so that dask does not load all of distributed to choose one.
    if factor == 1:
        return array.rechunk(-1, method="tasks")
    if any(start % factor for sizes in array.chunks for start in np.cumsum(sizes)[:-1]):
        array = array.rechunk(-1, method="tasks")
    chunks = tuple(tuple(-(-size // factor) for size in sizes) for sizes in array.chunks)
    return da.map_blocks(block_mean, array, factor, dtype=np.uint16, chunks=chunks).rechunk(
        -1, method="tasks"
    )


def root_attrs(
    granule: Granule,
    *,
    quantification: float,
    earth_sun_correction: float,
    solar_irradiance: list[float],
    missing: list[str],
    placed: Placed,
    notes: list[str],
) -> dict[str, Any]:
    """Attributes of the root of a tree.

    Parameters
    ----------
    granule
        Identity.
    quantification
        Counts per unit of reflectance.
    earth_sun_correction
        Squared inverse distance to the sun in astronomical units.
    solar_irradiance
        Of each band at 1 au. [W m-2 um-1]
    missing
        Addresses of the bands that are not there.
    placed
        Part of the tile.
    notes
        What differs from an ordinary product; they end up in the provenance.
    """
    attrs: dict[str, Any] = {
        "granule": granule.to_attrs(),
        "sensor": granule.sensor,
        "quantification": quantification,
        "earth_sun_correction": earth_sun_correction,
        "solar_irradiance": solar_irradiance,
        "missing_bands": missing,
    }
    if placed.region is not None:
        attrs["region"] = placed.region.to_attrs()
        if placed.is_own_scene:
            notes = [*notes, "statistics over the scene come from a region of the tile"]
    if any(notes):
        attrs["image_size_note"] = "; ".join(filter(None, notes))
    return attrs

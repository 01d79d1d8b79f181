"""The truth beside a product: a Zarr store laid out like a Level-2A product."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
import zarr

from s2cloud.model.grid import BLOCK_PX
from s2cloud.model.schema import ENCODINGS, SCL_PATH, atmosphere_path, reflectance_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from s2cloud.model.bands import Resolution
    from s2cloud.model.grid import Grid
    from s2cloud.simulation.relief import Relief

__all__ = ["MASK_PATH", "TERRAIN_PATH", "Truth", "stored_reflectance"]

#: Node of the masks that a product does not have: ``cloud``, ``shadow``, ``cirrus``, ``snow``,
#: ``water``, ``clear`` and ``terrain_shadow``.
MASK_PATH: Final = "conditions/mask/truth/r20m"
#: Parent of the nodes ``r20m`` and ``r60m`` of the terrain, as in auxiliary data.
TERRAIN_PATH: Final = "conditions/terrain"
_TERRAIN_UNITS: Final = {"elevation": "m", "slope": "degree", "aspect": "degree"}


@dataclass(frozen=True, slots=True)
class Truth:
    """A truth store being written.

    Attributes
    ----------
    uri
        Address of the store.
    grid
        The 10 m grid.
    storage_options
        Options of its file system.
    """

    uri: str
    grid: Grid
    storage_options: Mapping[str, Any]

    def begin(self, attributes: Mapping[str, Any]) -> None:
        """Create the store, in place of an older one, with attributes that are JSON."""
        self._write(xr.Dataset(attrs=dict(attributes)), None, "w")

    def reflectance(
        self, band: str, resolution: Resolution, stored: npt.NDArray[np.uint16]
    ) -> None:
        """Add the surface reflectance of a band, from `stored_reflectance`."""
        self._add(reflectance_path(resolution), resolution, {band: stored}, "reflectance")

    def atmosphere(self, aot550: npt.NDArray[Any], tcwv: npt.NDArray[Any]) -> None:
        """Add optical thickness [1] and water vapour [kg m-2] on the 60 m grid."""
        for name, field in (("aot", aot550), ("wvp", tcwv)):
            encoding = ENCODINGS[name]
            stored = np.rint((field - encoding.offset) / encoding.scale).astype(encoding.dtype)
            self._add(atmosphere_path(60), 60, {name: stored}, name)

    def classes(
        self, scl: npt.NDArray[np.uint8], masks: Mapping[str, npt.NDArray[np.bool_]]
    ) -> None:
        """Add classes and masks on the 20 m grid."""
        self._add(f"{SCL_PATH}/r20m", 20, {"scl": scl}, "scl")
        plain = {name: mask.astype(np.uint8) for name, mask in masks.items()}
        self._add(MASK_PATH, 20, plain, None)

    def terrain(self, relief: Relief) -> None:
        """Add elevation, slope and aspect at 20 m, and elevation at 60 m with its margin."""
        size = self.grid.height // 6
        steps = [slice(a, min(a + 40, size)) for a in range(0, size, 40)]
        parts = [
            (relief.surface(rows)[0][3:-3, 3:-3], *relief.slope_aspect(rows)) for rows in steps
        ]
        planes = [np.concatenate(plane) for plane in zip(*parts, strict=True)]
        fine = dict(zip(("elevation", "slope", "aspect"), planes, strict=True))
        self._terrain("r20m", self.grid.scaled(2), fine, BLOCK_PX[20])
        self._terrain("r60m", relief.grid, {"elevation": relief.elevation}, BLOCK_PX[60])

    def finish(self) -> None:
        """Gather the metadata of all groups, so that the store opens in one read."""
        group = zarr.open_group(
            self.uri, mode="r+", storage_options=dict(self.storage_options) or None
        )
        with warnings.catch_warnings():
            # Format 3 has no agreed consolidated metadata yet, and zarr-python says so.
            warnings.simplefilter("ignore", UserWarning)
            zarr.consolidate_metadata(group.store, path=group.path)

    def _add(
        self,
        path: str,
        resolution: Resolution,
        fields: Mapping[str, npt.NDArray[Any]],
        encoding: str | None,
    ) -> None:
        grid = self.grid.scaled(resolution // 10)
        attributes: dict[str, Any] = {}
        if encoding is not None:
            kind = ENCODINGS[encoding]
            attributes = {"units": kind.units, "long_name": kind.long_name}
            if encoding != "scl":
                attributes |= {"scale_factor": kind.scale, "add_offset": kind.offset}
                attributes["_FillValue"] = np.dtype(kind.dtype).type(kind.fill)
        chunks = tuple(min(BLOCK_PX[resolution], n) for n in grid.shape)
        dataset = xr.Dataset(
            {name: (("y", "x"), field, attributes) for name, field in fields.items()},
            {"y": ("y", grid.y, {"units": "m"}), "x": ("x", grid.x, {"units": "m"})},
            {"crs": grid.crs},
        )
        for name in fields:
            dataset[name].encoding["chunks"] = chunks
        self._write(dataset, path, "a")

    def _terrain(
        self, node: str, grid: Grid, fields: Mapping[str, npt.NDArray[Any]], chunk: int
    ) -> None:
        origin = {"source": "simulated relief", "attribution": ""}
        dataset = xr.Dataset(
            {
                name: (("y", "x"), field, {"units": _TERRAIN_UNITS[name], **origin})
                for name, field in fields.items()
            },
            {"y": ("y", grid.y, {"units": "m"}), "x": ("x", grid.x, {"units": "m"})},
            {"crs": grid.crs},
        )
        for name in fields:
            dataset[name].encoding["chunks"] = tuple(min(chunk, n) for n in grid.shape)
        self._write(dataset, f"{TERRAIN_PATH}/{node}", "a")

    def _write(self, dataset: xr.Dataset, group: str | None, mode: Any) -> None:
        dataset.to_zarr(
            self.uri,
            group=group,
            mode=mode,
            consolidated=False,
            zarr_format=3,
            storage_options=dict(self.storage_options) or None,
        )


def stored_reflectance(reflectance: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint16]:
    """Reflectance in the integers of a Level-2A product, never 0, which means no data."""
    kind = ENCODINGS["reflectance"]
    stored = np.rint((reflectance - kind.offset) / kind.scale)
    return np.asarray(np.clip(stored, kind.minimum, kind.maximum), dtype=np.uint16)

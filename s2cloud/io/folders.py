"""Formats that are folders of many files: Zarr, SAFE. What is left over, checksums, assets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2cloud.io.checksums import SUFFIX, checksum_lines, folder_digest
from s2cloud.io.receipt import Asset
from s2cloud.model.schema import ENCODINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.io.stores import Store
    from s2cloud.io.target import Sink, Written
    from s2cloud.model.grid import Grid

__all__ = ["folder_assets", "remove_leftovers"]


def remove_leftovers(store: Store, folder: str, written: Sequence[Written]) -> None:
    """Remove files of a killed or replaced attempt that this one did not write."""
    current = {part.path for part in written}
    for path in store.find(folder):
        if path not in current:
            store.delete(path)


def folder_assets(
    sink: Sink,
    folder: str,
    written: Sequence[Written],
    grid: Grid,
    *,
    resolution: int,
    key: str,
    media_type: str,
    titles: tuple[str, str],
) -> list[Asset]:
    """Write the checksums of a folder beside it, and describe both.

    Parameters
    ----------
    sink
        Of the run.
    folder
        Name of the folder in the product folder.
    written
        Its files.
    grid, resolution
        Of its finest raster.
    key, media_type
        Of the folder.
    titles
        Of the folder and of its checksums.
    """
    sums = {part.path.removeprefix(folder)[1:]: part.sha256 for part in written}
    listed = sink.write(folder + SUFFIX, checksum_lines(sums))
    reflectance = ENCODINGS["reflectance"]
    return [
        Asset(
            key=key,
            href=folder,
            media_type=media_type,
            roles=("data", "reflectance"),
            size=sum(part.size for part in written),
            sha256=folder_digest(sums),
            title=titles[0],
            resolution=resolution,
            crs=grid.crs,
            transform=grid.transform,
            scale=reflectance.scale,
            offset=reflectance.offset,
            nodata=reflectance.fill,
        ),
        Asset(
            key=f"{key}_checksums",
            href=listed.path,
            media_type="text/plain",
            roles=("metadata",),
            size=listed.size,
            sha256=listed.sha256,
            title=titles[1],
        ),
    ]

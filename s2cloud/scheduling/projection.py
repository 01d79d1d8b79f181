"""What a product will take, told from its metadata before a pixel is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2cloud.io.open import open_l1c
from s2cloud.io.urls import public_url
from s2cloud.model.granule import PRODUCT_NAME, granule
from s2cloud.model.grid import BLOCK_PX
from s2cloud.model.schema import OVERVIEW
from s2cloud.scheduling.costs import FULL_TILE_MPX, CostModel
from s2cloud.scheduling.failures import as_s2cloud_error

if TYPE_CHECKING:
    from s2cloud.scheduling.jobs import Job
    from s2cloud.scheduling.strategies.model import Cost

__all__ = ["Projection", "project", "project_by_name"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A product before it is made.

    Attributes
    ----------
    product
        Name of the Level-2A product.
    tile, date
        MGRS tile and day of sensing, ISO 8601.
    megapixels
        Area, pixels of the 10 m grid. [1e6]
    cost
        What it is expected to take.
    """

    product: str
    tile: str
    date: str
    megapixels: float
    cost: Cost


def project(job: Job, model: CostModel | None = None) -> Projection:
    """Open the source of a job and tell what its product will take.

    Parameters
    ----------
    job
        What to do.
    model
        Cost model; the one that comes along by default.

    Raises
    ------
    InputError, UnavailableError
        If the source cannot be opened.
    """
    try:
        l1c = open_l1c(
            job.source,
            bbox=job.bbox,
            bbox_crs=job.bbox_crs,
            geometry=job.geometry,
            storage_options=dict(job.source_options),
        )
    except Exception as error:
        known = as_s2cloud_error(error, where=public_url(job.source))
        if known is None or known is error:
            raise
        raise known from error
    identity = granule(l1c)
    measurements = l1c["measurements/reflectance"]
    sizes = {name: node.to_dataset() for name, node in measurements.children.items()}
    finest = next(sizes[name] for name in ("r10m", "r20m", "r60m") if name in sizes)
    factor = next(int(name[1:-1]) for name in ("r10m", "r20m", "r60m") if name in sizes) / 10
    height, width = (finest.sizes[axis] * factor for axis in ("y", "x"))
    blocks = math.prod(math.ceil(size / BLOCK_PX[10]) for size in (height, width))
    megapixels = height * width / 1e6
    if job.bbox is not None and job.statistics == "tile":
        # The overview of the whole tile is read all the same; it is 1/36 of its 10 m pixels.
        overview = l1c[f"{OVERVIEW}/r60m"].to_dataset()
        megapixels += overview.sizes["y"] * overview.sizes["x"] / 1e6
    return Projection(
        product=identity.l2a_name,
        tile=identity.tile,
        date=identity.sensing_time.date().isoformat(),
        megapixels=megapixels,
        cost=(model or CostModel()).cost(megapixels, blocks),
    )


def project_by_name(job: Job, model: CostModel | None = None) -> Projection:
    """Tell from the name of the source alone, as if it were a whole tile; nothing is opened."""
    name = public_url(job.source).rstrip("/").rsplit("/", 1)[-1]
    found = PRODUCT_NAME.search(name)
    start = found["start"] if found else ""
    return Projection(
        product=found[0].replace("MSIL1C", "MSIL2A") if found else "",
        tile=found["tile"] if found else "",
        date=f"{start[:4]}-{start[4:6]}-{start[6:8]}" if found else "",
        megapixels=FULL_TILE_MPX,
        cost=(model or CostModel()).cost(),
    )

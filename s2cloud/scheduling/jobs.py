"""One unit of work: an L1C product in, an L2A product and its receipt out."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from s2cloud.config import ProcessorConfig
from s2cloud.io.auxiliary import open_aux
from s2cloud.io.open import open_l1c
from s2cloud.io.part import MARGIN
from s2cloud.io.product import write_product
from s2cloud.io.select import select
from s2cloud.io.urls import join_url, public_url
from s2cloud.io.zarr_writer import ZarrOptions
from s2cloud.model.granule import granule
from s2cloud.model.region import cut_to_region
from s2cloud.model.version import VERSION
from s2cloud.processor import process
from s2cloud.processor.classification import halo_of
from s2cloud.scheduling.cluster import settled
from s2cloud.scheduling.failures import as_s2cloud_error
from s2cloud.scheduling.progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distributed import Client

    from s2cloud.io.part import Statistics
    from s2cloud.io.product import Format
    from s2cloud.io.receipt import Receipt
    from s2cloud.scheduling.progress import OnProgress

__all__ = ["Job", "run_job"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What to do; says nothing about where and when.

    Attributes
    ----------
    source
        Path or URL of the L1C product.
    destination
        Folder or URL prefix; the product goes to a folder of its own below it.
    formats
        Any of ``cog``, ``zarr`` and ``safe``.
    bbox, bbox_crs
        West, south, east, north of the part to process and their reference system; all of it if
        None.
    geometry
        Area to process, a GeoJSON file or its text; as text it is part of the job's identity by
        its content.
    mask
        Whether pixels outside of the geometry become no-data.
    bands, resolution
        Rasters and pixel sizes to write, as in `s2cloud.select`; None for all.
    statistics
        ``tile`` or ``region``: what the statistics over the scene come from.
    quick
        Whether bands finer than `resolution` may come from the low resolutions of their files, as
        with ``finest`` of `open_l1c`.
    config
        Processing options; their block ``auxiliary`` names the maps to open.
    source_options, destination_options, auxiliary_options
        Options of the file systems, such as ``{"endpoint_url": ...}``; they may hold secrets,
        are not shown and are not part of the job's identity.
    overwrite
        Whether to replace a product that is already there.
    neighbours
        Paths or URLs of the L1C products of neighbouring tiles of the same overpass, reached with
        `source_options`; see `s2cloud.process`.
    """

    source: str
    destination: str
    formats: tuple[Format, ...] = ("cog", "zarr")
    bbox: tuple[float, float, float, float] | None = None
    bbox_crs: str = "EPSG:4326"
    geometry: str | None = None
    mask: bool = False
    bands: tuple[str, ...] | None = None
    resolution: tuple[int, ...] | None = None
    statistics: Statistics = "tile"
    quick: bool = False
    config: ProcessorConfig = field(default_factory=ProcessorConfig)
    source_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    destination_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    auxiliary_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    overwrite: bool = False
    neighbours: tuple[str, ...] = ()

    @property
    def finest(self) -> Any:
        """Finest pixels to be read. [m]."""
        return min(self.resolution) if self.quick and self.resolution else 10

    @property
    def key(self) -> str:
        """Fingerprint of the pixels this job will make, 64 hexadecimal digits.

        The same for equal source, part, formats, configuration and version of s2cloud, in any
        process and on any machine; the destination is where, not what.
        """
        what = {
            "source": public_url(self.source),
            "part": [self.bbox, self.bbox_crs, self.geometry, self.mask, self.statistics],
            "rasters": [self.bands, self.resolution],
            "formats": sorted(self.formats),
            **({"finest": self.finest} if self.quick else {}),
            "config": self.config.digest,
            "version": VERSION,
        }
        if self.neighbours:
            what["neighbours"] = sorted(map(public_url, self.neighbours))
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def run_job(
    job: Job,
    *,
    on_progress: OnProgress | None = None,
    client: Client | None = None,
    settle: Callable[[], None] | None = None,
) -> Receipt:
    """Make the product of a job, or find it made.

    The receipt is written last and commits the product: a job that died is run again as if it
    had never been, a job that is done returns its receipt at once.

    Parameters
    ----------
    job
        What to do.
    on_progress
        Called with the numbers of finished and of all tasks.
    client
        Client of the cluster to compute on; None for dask's current scheduler in this process.
    settle
        Waits for the tasks of this product after a failure; by default for all tasks of the
        cluster of `client`.

    Returns
    -------
    Receipt

    Raises
    ------
    InputError, UnavailableError, CapacityError, UsageError
        Whatever went wrong, sorted by what to do about it.
    """
    try:
        return _run(job, on_progress, client, settle)
    except Exception as error:
        known = as_s2cloud_error(error, where=public_url(job.source))
        if known is None or known is error:
            raise
        raise known from error


def _run(
    job: Job,
    on_progress: OnProgress | None,
    client: Client | None,
    settle: Callable[[], None] | None,
) -> Receipt:
    logger.info("job %s: opening %s", job.key[:12], public_url(job.source))
    l1c = open_l1c(
        job.source,
        bbox=job.bbox,
        bbox_crs=job.bbox_crs,
        geometry=job.geometry,
        margin=_margin(job.config),
        statistics=job.statistics,
        finest=job.finest,
        storage_options=dict(job.source_options),
    )
    aux = open_aux(l1c, job.config, storage_options=job.auxiliary_options)
    near = [open_l1c(uri, storage_options=dict(job.source_options)) for uri in job.neighbours]
    l2a = cut_to_region(process(l1c, aux, neighbours=near, config=job.config), l1c)
    if job.bands is not None or job.resolution is not None or job.mask:
        l2a = select(
            l2a,
            bands=job.bands,
            resolution=job.resolution,
            bbox_crs=job.bbox_crs,
            geometry=job.geometry if job.mask else None,
            mask=job.mask,
        )
    product = join_url(job.destination, granule(l1c).l2a_name)
    with progress(on_progress, client):
        # Returns the receipt it finds where the same product is committed already.
        receipt = write_product(
            l2a,
            product,
            formats=job.formats,
            storage_options=dict(job.destination_options),
            overwrite=job.overwrite,
            settle=settle or (None if client is None else partial(settled, client)),
            zarr=zarr_options(job.config),
            l1c=l1c,
        )
    logger.info("job %s: done, %s", job.key[:12], public_url(product))
    return receipt


def zarr_options(config: ProcessorConfig) -> ZarrOptions:
    """Layout of the Zarr store that a configuration asks for."""
    output = config.output
    return ZarrOptions(output.zarr_version, output.zarr_sharding, output.zarr_overviews)


def _margin(config: ProcessorConfig) -> float:
    """Surroundings that the neighbourhood steps of a configuration look at, and 60 m bands. [m]."""
    return max(MARGIN, 20.0 * halo_of(config.classification, 20) + 240.0)

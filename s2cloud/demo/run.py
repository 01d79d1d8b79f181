"""The steps of the demonstration."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import fsspec
import xarray as xr

from s2cloud.demo.bucket import bucket_on_this_machine
from s2cloud.demo.quicklook import write_quicklook
from s2cloud.io.open import open_l1c
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.jobs import Job, run_job
from s2cloud.simulation import simulate_l1c
from s2cloud.simulation.compare import compare, format_table

if TYPE_CHECKING:
    from s2cloud.scheduling.progress import OnProgress

__all__ = ["DemoResult", "OnStep", "run_demo"]

BUCKET: Final = "s2cloud-demo"


class OnStep(Protocol):
    """What is called when a step begins or ends."""

    def __call__(self, text: str) -> None:
        """Take note of one line of text."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration made.

    Attributes
    ----------
    product
        Folder of the L2A product.
    quicklook
        The picture.
    table
        Comparison with the truth, ready to print.
    seconds
        Wall time of the processing alone.
    """

    product: Path
    quicklook: Path
    table: str
    seconds: float

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything worth opening."""
        return (self.quicklook, self.product)


def run_demo(
    directory: str | Path,
    *,
    size: int = 2196,
    workers: int | None = None,
    on_step: OnStep | None = None,
    on_progress: OnProgress | None = None,
) -> DemoResult:
    """Simulate a product, process it from bucket to bucket, and compare with the truth.

    Needs nothing from outside this machine: the object store runs in this process.

    Parameters
    ----------
    directory
        Where results are downloaded to; made if missing, replaced if there.
    size
        Rows and columns of the simulated 10 m grid.
    workers
        Worker processes; one per CPU by default.
    on_step
        Called with one line as each step begins or ends.
    on_progress
        Called with finished and all tasks of the processing.

    Returns
    -------
    DemoResult
    """
    say = on_step or _silent
    folder = Path(directory)
    with bucket_on_this_machine(BUCKET) as options:
        say(f"1/5 object store at {options['endpoint_url']}, bucket {BUCKET}")
        say(f"2/5 simulating an L1C product of {size} x {size} pixels into s3://{BUCKET}/l1c/")
        simulated = simulate_l1c(f"s3://{BUCKET}/l1c", size=size, storage_options=options)
        say(f"3/5 processing {simulated.uri} to s3://{BUCKET}/l2a/ on a local dask cluster")
        began = time.monotonic()
        job = Job(
            source=simulated.uri,
            destination=f"s3://{BUCKET}/l2a",
            source_options=options,
            destination_options=options,
        )
        with cluster("local", workers=workers) as client:
            receipt = run_job(job, on_progress=on_progress, client=client)
        seconds = time.monotonic() - began
        say(f"    done in {seconds:.0f} s, start of the cluster included")
        say(f"4/5 downloading to {folder}")
        product = _download(receipt.destination, folder, options)
        truth_folder = _download(simulated.truth_uri, folder, options)
        say("5/5 comparing with the truth, drawing")
        l2a, truth = open_l2a(product), _open_zarr(truth_folder)
        rows = compare(l2a, truth)
        l1c = open_l1c(simulated.uri, storage_options=options)
        quicklook = write_quicklook(l1c, l2a, folder / "quicklook.png", truth=truth)
    return DemoResult(product, quicklook, format_table(rows), seconds)


def open_l2a(product: Path) -> xr.DataTree:
    """Open the Zarr part of a downloaded product."""
    (store,) = product.glob("*.zarr")
    return _open_zarr(store)


def _open_zarr(store: Path) -> xr.DataTree:
    # The truth of a simulation carries no consolidated metadata, and xarray warns when it looks.
    return xr.open_datatree(store, engine="zarr", chunks={}, consolidated=False)


def _download(url: str, folder: Path, options: dict[str, Any]) -> Path:
    """Copy everything below a URL to a folder of the same name; what was there is replaced."""
    target = folder / url.rstrip("/").rsplit("/", 1)[-1]
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    fs = fsspec.filesystem("s3", **options)
    fs.get(f"{url.rstrip('/')}/", f"{target}/", recursive=True)
    return target


def _silent(text: str) -> None:
    """Say nothing."""

"""Small products and a maker that only commits, for tests of what is around the processing."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from s2cloud.io.receipt import Receipt
from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url
from s2cloud.scheduling.ledger import ClusterFacts
from s2cloud.scheduling.products import Made
from s2cloud.service.settings import HttpSettings, JobSettings, Settings, StoreSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from s2cloud.scheduling.jobs import Job

TILES = [f"{zone:02d}T{a}{b}" for zone in range(31, 34) for a in "KLMNPQRSTU" for b in "JKLMNPQ"]


def product_name(number: int) -> str:
    """Name of the so-many-th product."""
    day = 1 + number // len(TILES)
    tile = TILES[number % len(TILES)]
    return f"S2A_MSIL1C_202506{day:02d}T101559_N0511_R022_T{tile}_202506{day:02d}T121559"


def product_files(files: int = 12) -> dict[str, bytes]:
    """Files of a product that has a manifest and nothing in it worth reading."""
    content = {
        f"GRANULE/L1C/IMG_DATA/B{n:02d}.jp2": bytes(10 + n) for n in range(1, max(2, files - 1))
    }
    streams = "".join(
        f'<dataObject><byteStream size="{len(data)}"><fileLocation href="./{path}"/></byteStream>'
        "</dataObject>"
        for path, data in content.items()
    )
    return content | {"manifest.safe": f"<m>{streams}</m>".encode()}


def upload(root: str, name: str, files: Mapping[str, bytes], options: Any = None) -> list[str]:
    """Write a product; the addresses of its files."""
    store = open_store(join_url(root, f"{name}.SAFE"), options)
    for path, data in files.items():
        store.write(path, data)
    return [join_url(root, f"{name}.SAFE/{path}") for path in files]


def ready_event(url: str) -> dict[str, Any]:
    """CloudEvent that names an object."""
    return {
        "specversion": "1.0",
        "id": url,
        "source": "/test",
        "type": "io.s2cloud.l1c.ready",
        "data": {"url": url},
    }


def settings_of(folder: Path, **more: Any) -> Settings:
    """Settings of a service on folders of this machine, quick to look again."""
    (folder / "l1c").mkdir(exist_ok=True)
    jobs = {"scan_seconds": 0.2, "retry_seconds": 0.05, "settle_seconds": 0.3, "drain_seconds": 5}
    return Settings(
        **{
            "sources": (StoreSettings(url=str(folder / "l1c")),),
            "destination": StoreSettings(url=str(folder / "l2a")),
            "http": HttpSettings(host="127.0.0.1", port=0, authentication="none"),
            **more,
            "jobs": JobSettings(**jobs | more.get("jobs", {})),
        }
    )


@dataclass(slots=True)
class CommittingMaker:
    """Commits a receipt like the real one: found if it is there, exclusive if it is not.

    Two that commit the same product at the same time leave a file in ``double``.
    """

    work_s: float = 0.0
    fail: Callable[[str, int], BaseException | None] = lambda _name, _count: None
    made: dict[str, int] = field(default_factory=dict)

    def ready(self) -> bool:
        return True

    def __call__(self, job: Job) -> Made:
        name = job.source.rstrip("/").rsplit("/", 1)[-1].removesuffix(".SAFE")
        self.made[name] = self.made.get(name, 0) + 1
        error = self.fail(name, self.made[name])
        if error is not None:
            raise error
        store = open_store(job.destination, job.destination_options)
        product = name.replace("MSIL1C", "MSIL2A")
        found = store.exists(f"{product}/receipt.json")
        if not found:
            time.sleep(self.work_s)
            facts = json.dumps({"by": time.time()}).encode()
            won = store.write_if_absent(f"{product}/committed.json", facts)
            # Lost to one that was killed before its receipt; or somebody else is at work.
            if not won and store.exists(f"{product}/receipt.json"):
                store.write(f"double/{product}", b"")
            receipt = Receipt(
                product=product,
                formats=(),
                destination=f"{job.destination}/{product}",
                assets=(),
                created="2025-06-15T12:00:00Z",
                software="a test",
                digest=job.key,
            )
            store.write(f"{product}/receipt.json", receipt.to_json().encode())
        return Made(
            key=job.key, destination=f"{job.destination}/{product}", bytes_written=2, found=found
        )

    def cancel(self, job: Job) -> None:
        """What is being made is made."""

    def facts(self) -> tuple[ClusterFacts, int]:
        return ClusterFacts((), {}), 0

    def close(self) -> None:
        """Nothing to give up."""

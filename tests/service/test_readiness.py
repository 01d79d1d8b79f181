"""Inputs of every layout are begun when all of them is there, and not before."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from s2cloud.io.stores import open_store
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.service.products import candidate_of
from s2cloud.service.readiness import Completeness, completeness
from tests.service.parts import product_files, product_name, settings_of
from tests.service.test_dispatcher import running

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = product_name(0)
TILE = "tiles/32/T/QM/2025/6/15/0"


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for path, data in product_files().items():
            file.writestr(f"{NAME}.SAFE/{path}", data)
    return packed.getvalue()


def pieces(layout: str) -> dict[str, bytes]:
    """Files of a product, in an order in which only the last one completes it."""
    if layout == "tile on AWS":
        bands = {f"{TILE}/{BAND_INFO[band].esa_name}.jp2": b"image" for band in BANDS}
        facts = json.dumps({"path": TILE}).encode()
        return {f"{TILE}/tileInfo.json": facts, f"{TILE}/metadata.xml": b"<m/>", **bands}
    if layout == "Zarr 2":
        return {f"{NAME}.zarr/measurements/b02/0.0": b"chunk", f"{NAME}.zarr/.zmetadata": b"{}"}
    if layout == "Zarr 3":
        return {f"{NAME}.zarr/measurements/b02/c/0/0": b"chunk", f"{NAME}.zarr/zarr.json": b"{}"}
    whole = archive()
    return {f"{NAME}.SAFE.zip part": whole[: len(whole) // 2], f"{NAME}.SAFE.zip": whole}


LAYOUTS = ("tile on AWS", "Zarr 2", "Zarr 3", "zip")


def put(folder: Path, files: Mapping[str, bytes]) -> str:
    """Write files; the address of the last one."""
    store = open_store(str(folder / "l1c"))
    for path, data in files.items():
        store.write(path.removesuffix(" part"), data)
    return store.url(list(files)[-1].removesuffix(" part"))


def seen(folder: Path, url: str) -> Completeness:
    candidate = candidate_of(url, settings_of(folder))
    assert candidate is not None
    return completeness(candidate, {})


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_piece_counts(tmp_path: Path, layout: str):
    files = pieces(layout)
    states = set()
    for path in list(files)[:-1]:
        found = seen(tmp_path, put(tmp_path, {path: files[path]}))
        assert found.missing
        states.add(found.state)
    assert len(states) == len(files) - 1, "every piece is noticed"
    last = list(files)[-1]
    if layout == "tile on AWS":
        assert last.rsplit("/", 1)[-1] in found.missing
    found = seen(tmp_path, put(tmp_path, {last: files[last]}))
    assert found.missing == ""
    assert found.certain is (layout == "zip"), "only an archive has an end that can be seen"


def test_many_missing_pieces_are_told_in_few_words(tmp_path: Path):
    files = pieces("tile on AWS")
    found = seen(tmp_path, put(tmp_path, {f"{TILE}/B01.jp2": files[f"{TILE}/B01.jp2"]}))
    assert found.missing == "tileInfo.json, metadata.xml, B02.jp2 and 11 more"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_begun_when_its_last_piece_is_there(tmp_path: Path, layout: str):
    files = pieces(layout)
    last = list(files)[-1]
    with running(tmp_path, jobs={"settle_seconds": 0.5}) as it:
        job = it.event(put(tmp_path, {path: files[path] for path in list(files)[:-1]}))
        time.sleep(1.3)
        assert it.maker.made == {}
        began = time.monotonic()
        it.event(put(tmp_path, {last: files[last]}))
        assert it.ended(job).state == "done"
        assert sum(it.maker.made.values()) == 1
        assert layout == "zip" or time.monotonic() - began > it.settings.jobs.settle_seconds


def item(elevation: float) -> dict[str, object]:
    """Attributes of an EOPF product: its STAC item."""
    return {"stac_discovery": {"properties": {"view:sun_elevation": elevation}}}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("elevation", "state"), [(2.0, "refused"), (30.0, "done")])
def test_zarr_is_filtered_by_the_attributes_of_its_item(
    tmp_path: Path, version: int, elevation: float, state: str
):
    attributes = item(elevation)
    metadata: tuple[str, object] = (".zmetadata", {"metadata": {".zattrs": attributes}})
    if version == 3:
        metadata = ("zarr.json", {"attributes": attributes})
    name, values = metadata
    with running(tmp_path, jobs={"settle_seconds": 0.0}) as it:
        url = put(tmp_path, {f"{NAME}.zarr/{name}": json.dumps(values).encode()})
        assert it.ended(it.event(url)).state == state


def test_damaged_metadata_are_left_to_the_processing_to_complain_of(tmp_path: Path):
    """A job is never looked at for ever."""
    with running(tmp_path, jobs={"settle_seconds": 0.0}) as it:
        url = put(tmp_path, {f"{NAME}.zarr/zarr.json": b"{"})
        assert it.ended(it.event(url)).state == "done"

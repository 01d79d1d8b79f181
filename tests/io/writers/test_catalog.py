"""Items and catalogs against the schemas of STAC and of its extensions, offline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pystac
import pytest

from s2cloud.io.catalog import write_catalog
from s2cloud.io.product import write_product
from s2cloud.model.errors import UsageError

TWIN = "S2B_MSIL1C_20250603T101559_N0511_R065_T32TQM_20250603T141234"


@pytest.fixture
def folder(make_chip, granule, tmp_path):
    twin = replace(granule, name=TWIN, sensor="S2B")
    for one in (granule, twin):
        write_product(make_chip(granule=one), tmp_path / one.l2a_name, formats=("cog",))
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "notes.txt").write_text("not a product")
    return tmp_path


def test_catalog_leads_to_every_complete_product(folder, granule):
    write_catalog(folder, title="tests")
    catalog = pystac.Catalog.from_file(str(folder / "catalog.json"))
    items = list(catalog.get_items())
    names = sorted([granule.l2a_name, TWIN.replace("L1C", "L2A")])
    assert [item.id for item in items] == names
    assert catalog.title == "tests"
    for item in items:
        for asset in item.get_assets().values():
            assert Path(str(asset.get_absolute_href())).exists()


def test_catalog_can_be_moved(folder):
    write_catalog(folder)
    moved = folder.rename(folder.parent / "moved")
    assert len(list(pystac.Catalog.from_file(str(moved / "catalog.json")).get_items())) == 2


def test_named_products_and_what_is_missing(folder, granule):
    assert len(write_catalog(folder, [granule.l2a_name]).get_links("item")) == 1
    with pytest.raises(UsageError, match="unfinished"):
        write_catalog(folder, ["unfinished"])
    with pytest.raises(UsageError, match="no complete product"):
        write_catalog(folder / "unfinished")


def test_catalog_in_an_object_store(make_chip, granule, memory_url):
    write_product(make_chip(), f"{memory_url}/{granule.l2a_name}", formats=("zarr",))
    catalog = write_catalog(memory_url)
    (link,) = catalog.get_links("item")
    assert link.get_href(transform_href=False) == f"./{granule.l2a_name}/{granule.l2a_name}.json"


def test_file_is_plain_json_with_relative_links(folder):
    write_catalog(folder)
    plain = json.loads((folder / "catalog.json").read_text())
    assert plain["type"] == "Catalog"
    assert {link["href"][:2] for link in plain["links"]} == {"./"}

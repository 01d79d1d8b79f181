"""Products named by STAC items, searches and lists."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pystac
import pytest
from typing_extensions import override

from s2cloud.io.inputs import find_l1c, iter_l1c, search_l1c
from s2cloud.io.open import open_l1c
from s2cloud.io.stac_input import item_address
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.granule import granule

R10 = "measurements/reflectance/r10m"


def item(name: str, assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": None,
        "bbox": [10, 45, 11, 46],
        "properties": {"datetime": "2024-07-15T10:15:31Z", **properties},
        "links": [],
        "assets": {key: {"href": href} for key, href in assets.items()},
    }


SAFE = "s3://eodata/Sentinel-2/MSI/L1C/2024/07/15/S2A_MSIL1C_X.SAFE"
TILE = "s3://sentinel-s2-l1c/tiles/32/T/QM/2024/7/15/0"
ZARR = "https://objects.eodc.eu/e05/202407-s02msil1c/15/products/cpm_v262/S2A_MSIL1C_X.zarr"


@pytest.mark.parametrize(
    ("assets", "expected"),
    [
        (
            {
                "product": "https://download.dataspace.copernicus.eu/odata/Products(1)/$value",
                "B01": f"{SAFE}/GRANULE/L1C_X/IMG_DATA/T32TQM_B01.jp2",
            },
            SAFE,
        ),
        (
            {
                "thumbnail": "https://roda.sentinel-hub.com/sentinel-s2-l1c/tiles/32/T/QM/2024/7"
                "/15/0/preview.jpg",
                "blue": f"{TILE}/B02.jp2",
                "granule_metadata": f"{TILE}/metadata.xml",
            },
            TILE,
        ),
        ({"B02": f"{ZARR}/{R10}/b02", "product": ZARR}, ZARR),
        ({"data": "s3://bucket/S2A_MSIL1C_X.zip"}, "s3://bucket/S2A_MSIL1C_X.zip"),
        ({"data": "https://host/a.zip?sig=abc"}, "https://host/a.zip?sig=abc"),
        ({"meta": "s3://bucket/odd/MTD_MSIL1C.xml"}, "s3://bucket/odd"),
    ],
    ids=["copernicus", "earth search", "eopf", "archive", "signed", "metadata"],
)
def test_items_of_known_catalogues(assets, expected):
    assert item_address(item("S2A_MSIL1C_X", assets)) == expected


def test_an_object_store_named_as_alternative():
    found = item("S2A_MSIL1C_X", {"PRODUCT": "https://host/odata"})
    found["assets"]["PRODUCT"]["alternate"] = {"s3": {"href": SAFE.removeprefix("s3:/")}}
    assert item_address(found) == SAFE


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (item("S2A_MSIL2A_X", {"a": f"{SAFE}/x"}), "Level-2A product"),
        (item("x", {"a": f"{SAFE}/x"}, **{"processing:level": "L2A"}), "Level-2A product"),
        (item("x", {}), "no product behind the item.*no assets"),
        (item("x", {"a": "https://host/a.tif"}), r"no product behind the item.*a\.tif"),
        ({"type": "Collection"}, "not a STAC item"),
        ({"type": "FeatureCollection", "features": [{"id": "a"}, {"id": "b"}]}, "several items"),
    ],
)
def test_items_without_a_product(given, match):
    with pytest.raises(InputError, match=match) as caught:
        open_l1c(given)
    assert "Fix: " in str(caught.value)


@pytest.fixture
def described(product, tmp_path) -> Any:
    """File of an item beside the product that it describes by relative links."""
    shutil.copytree(product.root, tmp_path / product.root.name)
    found = item(product.root.stem, {"product": f"./{product.root.name}/MTD_MSIL1C.xml"})
    path = tmp_path / "item.json"
    path.write_text(json.dumps(found))
    return path


@pytest.mark.parametrize("form", ["path", "url", "dict", "pystac"])
def test_an_item_opens_as_its_product(form, described, product):
    source: Any = {
        "path": described,
        "url": described.as_uri(),
        "dict": {
            **json.loads(described.read_text()),
            "links": [{"rel": "self", "href": described.as_uri()}],
        },
        "pystac": pystac.Item.from_file(str(described)) if form == "pystac" else None,
    }[form]
    tree = open_l1c(source)
    assert granule(tree).name == product.root.stem
    assert granule(tree).uri.endswith(product.root.name)
    np.testing.assert_array_equal(tree[f"{R10}/b02"], product.bands["B02"])


def test_lists_of_products(product, described, tmp_path, caplog):
    listed = tmp_path / "tiles.txt"
    listed.write_text(f"# two of one\n{product.root}\n\n{described}  # an item\n")
    assert list(find_l1c(listed)) == [str(product.root), str(tmp_path / product.root.name)]
    trees = iter_l1c(listed, bbox=(10.32, 46.02, 10.33, 46.03), margin=0)
    assert [tree[R10].sizes["x"] < 100 for tree in trees] == [True, True]
    both = [product.root, tmp_path / "missing.SAFE", described]
    with pytest.raises(InputError, match="no such file"):
        list(iter_l1c(both))
    assert len(list(iter_l1c(both, on_error="skip"))) == 2
    assert "skipped: no such file" in caplog.text
    collection = {"type": "FeatureCollection", "features": [item("a", {"x": f"{SAFE}/x"})] * 2}
    assert list(find_l1c(collection)) == [SAFE, SAFE]
    listed.write_text("# nothing\n")
    with pytest.raises(InputError, match="empty list"):
        list(find_l1c(listed))
    for wrong in (7, [7]):
        with pytest.raises(UsageError, match="not an input"):
            list(find_l1c(wrong))
    with pytest.raises(UsageError, match=r"lists and searches go to iter_l1c"):
        open_l1c([product.root])


class Catalogue(BaseHTTPRequestHandler):
    """A STAC API with one page of items."""

    features: tuple[dict[str, Any], ...] = ()
    asked: list[Any] = []  # noqa: RUF012  # emptied by the fixture

    def do_GET(self):
        host = f"http://{self.headers['Host']}"
        self.answer(
            {
                "type": "Catalog",
                "id": "here",
                "stac_version": "1.0.0",
                "description": "test",
                "conformsTo": [
                    "https://api.stacspec.org/v1.0.0/core",
                    "https://api.stacspec.org/v1.0.0/item-search",
                ],
                "links": [
                    {"rel": "self", "href": f"{host}/"},
                    {"rel": "root", "href": f"{host}/"},
                    {
                        "rel": "search",
                        "href": f"{host}/search",
                        "method": "POST",
                        "type": "application/geo+json",
                    },
                ],
            }
        )

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        self.asked.append(json.loads(self.rfile.read(size)))
        self.answer({"type": "FeatureCollection", "features": self.features, "links": []})

    def answer(self, document):
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @override
    def log_message(self, *args):
        pass


def test_a_search(product, monkeypatch):
    found = item(product.root.stem, {"product": f"{product.root}/manifest.safe"})
    monkeypatch.setattr(Catalogue, "features", (found,))
    monkeypatch.setattr(Catalogue, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Catalogue)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        search = search_l1c(
            f"http://127.0.0.1:{server.server_port}/", bbox=(10, 45, 11, 46), datetime="2024-07"
        )
        assert Catalogue.asked == []
        (tree,) = iter_l1c(search)
    finally:
        server.shutdown()
        server.server_close()
    assert Catalogue.asked[0]["collections"] == ["sentinel-2-l1c"]
    assert Catalogue.asked[0]["bbox"] == [10, 45, 11, 46]
    assert granule(tree).name == product.root.stem


def test_searching_needs_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "pystac_client", None)
    with pytest.raises(UsageError, match=r"pip install 's2cloud\[stac\]'"):
        search_l1c("http://127.0.0.1:1")

"""The same product in every layout: the same counts, masks and angles, the same Level-2A."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dask
import fsspec
import numpy as np
import pytest
import xarray as xr
from typing_extensions import override

from s2cloud.io.open import open_l1c
from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError
from s2cloud.model.granule import granule
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

R10 = "measurements/reflectance/r10m"
GEOMETRY = "conditions/geometry"


class Quiet(SimpleHTTPRequestHandler):
    @override
    def log_message(self, *args):
        pass

    @override
    def list_directory(self, path):
        self.send_error(404)


@contextmanager
def served(folder):
    """Address of a web server that lists no folders."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def safe(tmp_path_factory) -> Path:
    made = simulate_l1c(tmp_path_factory.mktemp("simulated"), size=600, seed=3)
    return Path(made.uri)


@pytest.fixture(scope="module")
def reference(safe) -> xr.DataTree:
    return open_l1c(safe).load()


@pytest.fixture(scope="module")
def level_2a(safe) -> dict[str, Any]:
    return computed(process(open_l1c(safe)))


@pytest.fixture(scope="module")
def open_data(layouts, safe, tmp_path_factory) -> Any:
    root = tmp_path_factory.mktemp("bucket")
    return root, *layouts.aws(safe, root)


@pytest.fixture(scope="module")
def zarr2(layouts, safe, tmp_path_factory) -> Any:
    return layouts.eopf(safe, tmp_path_factory.mktemp("zarr2"))


@pytest.fixture(scope="module")
def zarr3(layouts, safe, tmp_path_factory) -> Any:
    return layouts.eopf(safe, tmp_path_factory.mktemp("zarr3"), version=3)


def computed(tree: xr.DataTree) -> dict[str, Any]:
    lazy = {
        f"{node.path}/{name}": variable.data
        for node in tree.subtree
        for name, variable in node.data_vars.items()
    }
    return dict(zip(lazy, dask.compute(*lazy.values()), strict=True))


def assert_same(tree: xr.DataTree, reference: xr.DataTree) -> None:
    """Equal nodes, pixels, coordinates, decoding and identity."""
    assert {node.path for node in tree.subtree} == {node.path for node in reference.subtree}
    for node in reference.subtree:
        mine, expected = tree[node.path].to_dataset(), node.to_dataset()
        if "meteorology" in node.path:
            assert set(expected.data_vars) <= set(mine.data_vars)
            mine = mine[list(expected.data_vars)]
        xr.testing.assert_equal(mine, expected)
        for name, variable in expected.data_vars.items():
            keys = {"scale_factor", "add_offset", "_FillValue", "units"} & set(variable.attrs)
            assert {k: mine[name].attrs[k] for k in keys} == {k: variable.attrs[k] for k in keys}
    for name in ("quantification", "earth_sun_correction", "solar_irradiance", "missing_bands"):
        assert tree.attrs[name] == reference.attrs[name], name
    identity, wanted = granule(tree).to_attrs(), granule(reference).to_attrs()
    assert identity.pop("bbox") == pytest.approx(wanted.pop("bbox"), abs=1e-6)
    assert {k: v for k, v in identity.items() if k != "uri"} == {
        k: v for k, v in wanted.items() if k != "uri"
    }


def assert_opens(tree: xr.DataTree, reference: xr.DataTree) -> None:
    """The same nodes and variables, and the pixels of some: where every request takes time."""
    assert names(tree) == names(reference)
    for name in (f"{R10}/b08", "conditions/mask/detector_footprint/r20m/b05"):
        xr.testing.assert_equal(tree[name].compute(), reference[name])
    xr.testing.assert_equal(tree[GEOMETRY].to_dataset(), reference[GEOMETRY].to_dataset())


def names(tree: xr.DataTree) -> set[str]:
    return {
        f"{node.path}/{name}"
        for node in tree.subtree
        for name in node.data_vars
        if "meteorology" not in node.path
    }


def assert_level_2a(tree: xr.DataTree, expected: dict[str, Any]) -> None:
    found = computed(process(tree))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


# -- the open data on AWS -------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tile", "product", "tileInfo.json", "metadata.xml"])
def test_a_tile_on_aws(address, open_data, reference):
    _, tile, product = open_data
    path = {"tile": tile, "product": product}.get(address, tile / address)
    assert_same(open_l1c(path), reference)


def test_level_2a_from_aws(open_data, level_2a):
    assert_level_2a(open_l1c(open_data[1]), level_2a)


def test_a_tile_in_memory(open_data, reference):
    store = open_store("memory://aws-open-data")
    for path in open_data[0].rglob("*"):
        if path.is_file():
            store.put_file(path, path.relative_to(open_data[0]).as_posix())
    tile = open_data[1].relative_to(open_data[0]).as_posix()
    try:
        assert_same(open_l1c(f"memory://aws-open-data/{tile}/"), reference)
    finally:
        fsspec.filesystem("memory").rm("/aws-open-data", recursive=True)


def test_a_tile_without_listings(open_data, reference):
    root, tile, product = open_data
    with served(root) as address:
        assert_opens(open_l1c(f"{address}/{tile.relative_to(root)}"), reference)
        assert_opens(open_l1c(f"{address}/{product.relative_to(root)}/productInfo.json"), reference)


def test_masks_of_old_baselines_on_aws(layouts, factory, tmp_path):
    old = factory.make_safe(tmp_path, cells=16, baseline="03.01", offset=None, masks="gml")
    tile, _ = layouts.aws(old.root, tmp_path / "bucket")
    assert (tile / "qi" / "MSK_DETFOO_B02.gml").exists()
    assert_same(open_l1c(tile), open_l1c(old.root).load())


def test_a_tile_alone_says_what_it_assumes(open_data, reference, tmp_path, caplog):
    tile = shutil.copytree(open_data[1], tmp_path / "tile")
    tree = open_l1c(tile)
    assert "no metadata of the product" in caplog.text
    assert "no metadata of the product" in tree.attrs["image_size_note"]
    assert granule(tree).name == granule(reference).name
    np.testing.assert_array_equal(tree[f"{R10}/b02"], reference[f"{R10}/b02"])
    assert tree[f"{R10}/b02"].attrs["add_offset"] == -0.1
    assert "metadata of the product" in process(tree).attrs["provenance"]["input_note"]


def test_an_incomplete_tile_is_refused(open_data, tmp_path):
    tile = shutil.copytree(open_data[1], tmp_path / "tile")
    (tile / "B03.jp2").unlink()
    tree = open_l1c(tile)
    assert tree.attrs["missing_bands"] == [str(tile / "B03.jp2")]
    with pytest.raises(InputError, match=r"band is missing: .*B03\.jp2"):
        process(tree)
    (tile / "metadata.xml").unlink()
    with pytest.raises(InputError, match=r"tile metadata missing.*metadata\.xml.*Fix:"):
        open_l1c(tile)


def test_a_product_that_points_elsewhere_is_refused(open_data, tmp_path):
    product = shutil.copytree(open_data[2], tmp_path / "product")
    with pytest.raises(InputError, match="without the tiles beside it"):
        open_l1c(product)
    facts = json.loads((product / "productInfo.json").read_text())
    (product / "productInfo.json").write_text(json.dumps({**facts, "tiles": []}))
    with pytest.raises(InputError, match="not a product of one tile"):
        open_l1c(product)
    (product / "productInfo.json").write_text("{")
    with pytest.raises(InputError, match="damaged metadata"):
        open_l1c(product)


def test_metadata_of_another_tile_are_refused(layouts, safe, tmp_path):
    tile, product = layouts.aws(safe, tmp_path)
    path = product / "metadata.xml"
    path.write_text(path.read_text().replace("T32TQM", "T33TQM"))
    with pytest.raises(InputError, match="product of another tile"):
        open_l1c(tile)


@pytest.mark.parametrize("detour", ["../secrets", "products/../../x", "s3://other/x", "a//b"])
def test_metadata_that_point_out_of_the_bucket_are_refused(layouts, safe, tmp_path, detour):
    tile, product = layouts.aws(safe, tmp_path / "bucket")
    facts = json.loads((tile / "tileInfo.json").read_text())
    (tile / "tileInfo.json").write_text(json.dumps(facts | {"productPath": detour}))
    with pytest.raises(InputError, match=r"leaves the folder of the products.*tileInfo\.json"):
        open_l1c(tile)
    facts = json.loads((product / "productInfo.json").read_text())
    (product / "productInfo.json").write_text(json.dumps(facts | {"tiles": [{"path": detour}]}))
    with pytest.raises(InputError, match=r"leaves the folder of the products|without the tiles"):
        open_l1c(product)


# -- SAFE in other places -------------------------------------------------------------------------


def test_an_archive(layouts, safe, reference, level_2a, tmp_path):
    tree = open_l1c(layouts.archive(safe, tmp_path / "p.zip"))
    assert_same(tree, reference)
    assert_level_2a(tree, level_2a)


@pytest.mark.parametrize(
    "folder", ["Sentinel-2/MSI/L1C/2025/06/15", "gcp-public-data-sentinel-2/tiles/32/T/QM"]
)
def test_copernicus_and_google_with_and_without_listings(folder, safe, reference, tmp_path):
    place = tmp_path / folder
    root = Path(shutil.copytree(safe, place / safe.name))
    if "google" in folder or "gcp" in folder:
        # Google's bucket has an empty object beside each folder.
        for path in [root, *(p for p in root.rglob("*") if p.is_dir())]:
            path.with_name(f"{path.name}_$folder$").write_bytes(b"")
    assert_same(open_l1c(root), reference)
    with served(tmp_path) as address:
        assert_opens(open_l1c(f"{address}/{folder}/{safe.name}"), reference)
        assert_opens(open_l1c(f"{address}/{folder}/{safe.name}/MTD_MSIL1C.xml"), reference)


# -- EOPF Zarr ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_eopf_zarr(version, zarr2, zarr3, reference, level_2a):
    tree = open_l1c({2: zarr2, 3: zarr3}[version])
    assert tree[f"{R10}/b02"].chunks is not None
    assert_same(tree, reference)
    assert_level_2a(tree, level_2a)


@pytest.mark.parametrize("version", [2, 3])
def test_eopf_zarr_without_consolidated_metadata(version, layouts, safe, reference, tmp_path):
    path = layouts.eopf(safe, tmp_path, version=version, consolidated=False)
    assert_same(open_l1c(path), reference)


def test_eopf_zarr_elsewhere(layouts, zarr2, zarr3, reference, tmp_path, bucket_of_zarr):
    assert_same(open_l1c(layouts.archive(Path(zarr2), tmp_path / "z.zip")), reference)
    for path in (Path(zarr2), Path(zarr3)):
        with served(path.parent) as address:
            assert_opens(open_l1c(f"{address}/{path.name}"), reference)
    address, options = bucket_of_zarr
    assert_opens(open_l1c(address, storage_options=options), reference)


@pytest.fixture
def bucket_of_zarr(zarr2, s3_options, bucket) -> Any:
    store = open_store(f"s3://{bucket}", s3_options)
    root = Path(zarr2)
    for path in root.rglob("*"):
        if path.is_file():
            store.put_file(path, f"{root.name}/{path.relative_to(root).as_posix()}")
    return f"s3://{bucket}/{root.name}", s3_options


def test_a_region_of_zarr_reads_its_chunks_only(zarr2, reference, monkeypatch):
    stores: list[Any] = []

    def watched(*args):
        stores.append(open_store(*args))
        return stores[-1]

    monkeypatch.setattr("s2cloud.io.open.open_store", watched)
    part = reference[R10].to_dataset().isel(y=slice(60, 120), x=slice(60, 120))
    west, east = float(part.x[0]) - 5, float(part.x[-1]) + 5
    south, north = float(part.y[-1]) - 5, float(part.y[0]) + 5
    bbox = (west, south, east, north)
    tree = open_l1c(zarr2, bbox=bbox, bbox_crs="EPSG:32632", margin=0)
    before = stores[0].requests
    xr.testing.assert_equal(tree[R10].to_dataset()[["b02"]].compute(), part[["b02"]])
    assert stores[0].requests - before == 1


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("add_offset", {}, "counts without their scale"),
        ("scale_factor", [0, 0], "counts without their scale"),
        ("scale_factor", "NaN", "counts without their scale"),
        ("proj:transform", [10.0, 0.0, 1.0], "place of the pixels unreadable"),
        ("proj:transform", {"a": 1}, "place of the pixels unreadable"),
        ("proj:transform", [10, 0, None, 0, -10, 0], "place of the pixels unreadable"),
    ],
)
def test_attributes_of_zarr_that_are_no_numbers(zarr2, tmp_path, key, value, match):
    path = Path(shutil.copytree(zarr2, tmp_path / "p.zarr"))
    listed = path / ".zmetadata"
    data = json.loads(listed.read_text())
    data["metadata"][f"{R10}/b02/.zattrs"][key] = value
    listed.write_text(json.dumps(data))
    with pytest.raises(InputError, match=rf"{match}: .*b02.*found .*Fix:"):
        open_l1c(path)


def test_damaged_and_incomplete_zarr(zarr2, tmp_path):
    def broken(name):
        return Path(shutil.copytree(zarr2, tmp_path / f"{name}.zarr"))

    def without(path, *words):
        # Consolidated metadata would still tell of what is gone.
        listed = path / ".zmetadata"
        data = json.loads(listed.read_text())
        for key in list(data["metadata"]):
            if any(word in key for word in words):
                del data["metadata"][key]
        listed.write_text(json.dumps(data))
        for word in words:
            shutil.rmtree(path / word)
        return path

    path = without(broken("geometry"), "conditions/geometry")
    with pytest.raises(InputError, match=r"group of an EOPF product incomplete.*sun_angles"):
        open_l1c(path)
    path = without(broken("band"), f"{R10}/b04")
    assert open_l1c(path).attrs["missing_bands"] == [str(path / R10 / "b04")]
    with pytest.raises(InputError, match=r"band is missing: .*b04"):
        process(open_l1c(path))
    path = broken("chunk")
    chunk = path / R10 / "b03" / "0.0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(InputError, match=r"array cannot be decoded: .*b03"):
        open_l1c(path)[f"{R10}/b03"].compute()
    path = broken("scale")
    listed = path / ".zmetadata"
    data = json.loads(listed.read_text())
    del data["metadata"][f"{R10}/b02/.zattrs"]["add_offset"]
    listed.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"counts without their scale: .*b02"):
        open_l1c(path)
    path = broken("root")
    data = json.loads((path / ".zattrs").read_text())
    del data["stac_discovery"]
    (path / ".zattrs").write_text(json.dumps(data))
    with pytest.raises(InputError, match="attributes of an EOPF product unreadable"):
        open_l1c(path)


@pytest.mark.realdata
def test_the_layout_is_that_of_a_real_product(zarr2, realdata, tmp_path):
    archive = next((realdata / "safe_metadata_l1c").glob("*.zarr.attrs.zip"))
    shutil.unpack_archive(archive, tmp_path)
    real, made = next(tmp_path.glob("*.zarr")), Path(zarr2)
    families = ("measurements", "quality/mask", "conditions/mask", "conditions/geometry")
    checked = 0
    for path in real.rglob(".zattrs"):
        inside = path.relative_to(real)
        if not inside.as_posix().startswith(families):
            continue
        expected, mine = (json.loads((root / inside).read_text()) for root in (real, made))
        assert mine["_ARRAY_DIMENSIONS"] == expected["_ARRAY_DIMENSIONS"]
        for key in ("scale_factor", "add_offset", "dtype", "flag_masks", "flag_meanings"):
            if key in expected and not (key == "flag_meanings" and "quality" in str(inside)):
                assert mine[key] == expected[key], f"{inside} {key}"
        assert {k for k in expected if k.startswith("proj:")} <= set(mine)
        checked += 1
    assert checked >= 20
    kinds = [json.loads((root / ".zattrs").read_text())["stac_discovery"] for root in (real, made)]
    assert kinds[0].keys() & kinds[1].keys() == kinds[1].keys()
    assert kinds[1]["properties"].keys() - kinds[0]["properties"].keys() <= {"eopf:datastrip_id"}

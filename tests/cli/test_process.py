"""The whole way, from every kind of source to every kind of destination, on every cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
import rasterio
import xarray as xr

REALDATA = Path(
    os.environ.get("S2CLOUD_REALDATA", Path(__file__).parents[2].parent / "shared" / "data")
)


@pytest.fixture(scope="module")
def reference(simulated, tmp_path_factory):
    """Receipt of the plainest run: local folder, threads of one process."""
    out = tmp_path_factory.mktemp("reference")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "s2cloud", "process", simulated.uri, str(out), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr, "folder": out}


def checksums(receipt):
    """Checksums of everything that carries pixels."""
    return {a["href"]: a["sha256"] for a in receipt["assets"] if "data" in a["roles"]}


def images(receipt):
    """Checksums of the GeoTIFFs; the metadata of a Zarr store name the source."""
    return {href: sha for href, sha in checksums(receipt).items() if href.endswith(".tif")}


def chunks(receipt):
    """Every chunk of the Zarr store of a product on this machine."""
    (store,) = Path(receipt["destination"]).glob("*.zarr")
    files = [path for path in store.rglob("*") if path.is_file() and path.name != "zarr.json"]
    return {path.relative_to(store): path.read_bytes() for path in files}


def s3(bucket):
    """The words that reach the bucket."""
    return ["--storage-options", json.dumps(bucket)]


def test_product_lies_under_its_name_and_opens(reference, simulated):
    product = reference["folder"] / simulated.name.replace("MSIL1C", "MSIL2A")
    assert [path.name for path in reference["folder"].iterdir()] == [product.name]
    assert reference["product"] == product.name
    assert {"cog", "zarr"} == set(reference["formats"])
    assert len(reference["job"]) == 64
    with xr.open_datatree(next(product.glob("*.zarr")), engine="zarr") as tree:
        assert float(tree["measurements/reflectance/r10m/b04"].mean()) > 0
    for asset in reference["assets"]:
        if asset["href"].endswith(".tif"):
            with rasterio.open(product / asset["href"]) as image:
                assert image.shape == tuple(asset["shape"])


def test_piped_output_has_no_control_codes(reference):
    assert "processing: 100 %" in reference["stderr"]
    assert "\x1b" not in reference["stderr"]
    assert "\r" not in reference["stderr"]


def test_second_run_does_nothing(reference, simulated, run):
    product = reference["folder"] / reference["product"]
    before = {path: path.stat().st_mtime_ns for path in product.rglob("*")}
    code, out, _ = run("process", simulated.uri, reference["folder"])
    assert code == 0
    assert out.strip() == str(product)
    assert {path: path.stat().st_mtime_ns for path in product.rglob("*")} == before


def test_other_options_do_not_replace_a_product_unasked(reference, simulated, tmp_path, run):
    shutil.copytree(reference["folder"], tmp_path / "out")
    options = tmp_path / "options.yaml"
    options.write_text("surface: {adjacency_km: 0}\n")
    words = ["process", simulated.uri, tmp_path / "out", "--config", options]
    code, _, err = run(*words)
    assert code == 2
    assert "--overwrite" in err
    code, out, _ = run(*words, "--overwrite", "--json")
    assert code == 0
    assert json.loads(out)["digest"] != reference["digest"]
    assert checksums(json.loads(out)) != checksums(reference)


def test_a_neighbour_must_be_one(simulated, tmp_path, run):
    words = ["process", simulated.uri, tmp_path, "--neighbour", simulated.uri]
    code, _, err = run(*words)
    assert code == 3
    assert "neighbour does not lie near the tile" in err


@pytest.mark.cluster
def test_cluster_makes_the_same_product(reference, simulated, tmp_path, receipt_of):
    words = ["process", simulated.uri, tmp_path, "--cluster", "local", "--workers", 2]
    assert checksums(receipt_of(*words)) == checksums(reference)


def test_zip_makes_the_same_product(reference, simulated, tmp_path, receipt_of):
    source = Path(simulated.uri)
    archive = shutil.make_archive(
        str(tmp_path / source.stem), "zip", root_dir=source.parent, base_dir=source.name
    )
    receipt = receipt_of("process", archive, tmp_path / "out")
    assert len(images(receipt)) > 12
    assert images(receipt) == images(reference)
    assert chunks(receipt) == chunks(reference)


@pytest.mark.cluster
def test_bucket_to_bucket_makes_the_same_product(reference, simulated, bucket, receipt_of):
    fs = fsspec.filesystem("s3", **bucket)
    name = Path(simulated.uri).name
    fs.put(f"{simulated.uri}/", f"test/l1c/{name}/", recursive=True)
    words = ["process", f"s3://test/l1c/{name}", "s3://test/l2a", *s3(bucket)]
    receipt = receipt_of(*words, "--cluster", "local", "--workers", 2)
    assert images(receipt) == images(reference)
    assert receipt["destination"] == f"s3://test/l2a/{reference['product']}"
    assert fs.exists(f"test/l2a/{reference['product']}/receipt.json")
    again = receipt_of(*words)
    assert again["created"] == receipt["created"]


@pytest.mark.parametrize(("wanted", "suffixes"), [("cog", {".tif"}), ("zarr", {".zarr"})])
def test_one_format_alone(simulated, reference, tmp_path, receipt_of, wanted, suffixes):
    receipt = receipt_of("process", simulated.uri, tmp_path, "--format", wanted)
    assert receipt["formats"] == [wanted]
    data = checksums(receipt)
    assert {Path(href).suffix for href in data} == suffixes
    assert data.items() <= checksums(reference).items()


def test_bbox_is_a_part_of_the_product(reference, simulated, tmp_path, run, receipt_of):
    code, out, _ = run("info", simulated.uri, "--json")
    assert code == 0
    west, south, east, north = json.loads(out)["bbox"]
    # The upper left corner: the simulated image is that part of its tile.
    part = f"{west},{north - 0.015},{west + 0.02},{north}"
    receipt = receipt_of("process", simulated.uri, tmp_path / "out", "--bbox", part)
    whole = {a["key"]: a["shape"] for a in reference["assets"] if a["shape"]}
    for asset in receipt["assets"]:
        if asset["shape"]:
            assert 0 < asset["shape"][0] <= whole[asset["key"]][0]
    assert (south, east) != (north, west)


def test_info(simulated, run):
    code, out, _ = run("info", simulated.uri, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["name"] == simulated.name
    assert facts["sensor"] == "S2A"
    assert facts["baseline"] == "05.11"
    assert facts["size_10m"] == [360, 360]
    assert facts["missing_bands"] == []
    assert 0 < facts["sza"] < 90
    assert 0 <= facts["vza"] < 15
    assert facts["ecmwf"]
    code, out, _ = run("info", simulated.uri)
    assert code == 0
    assert simulated.name in out
    assert "\x1b" not in out


def test_info_names_missing_bands(safe, run):
    next(safe.glob("GRANULE/*/IMG_DATA/*_B10.jp2")).unlink()
    code, out, _ = run("info", safe, "--json")
    assert code == 0
    assert json.loads(out)["missing_bands"] == ["b10"]


def test_terminated_run_commits_nothing_and_is_resumed(simulated, tmp_path, receipt_of, reference):
    words = [sys.executable, "-m", "s2cloud", "process", simulated.uri, str(tmp_path / "out")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("processing"):
                break
        process.send_signal(signal.SIGTERM)
        err = process.stderr.read()
        assert process.wait(timeout=60) == 143
    assert err.splitlines()[-1] == "error: terminated; nothing was committed"
    assert list((tmp_path / "out").rglob("receipt.json")) == []
    again = receipt_of("process", simulated.uri, tmp_path / "out")
    assert [asset["sha256"] for asset in again["assets"] if asset["key"] != "item"] == [
        asset["sha256"] for asset in reference["assets"] if asset["key"] != "item"
    ]


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM", "S2B_MSIL1C_20170719T000219_N0205"]
)
def test_real_products(name, tmp_path, receipt_of):
    found = sorted((REALDATA / "l1c_safe_reduced").glob(f"{name}*.zip"))
    if not found:
        pytest.skip(f"no real product {name} below {REALDATA}; set S2CLOUD_REALDATA")
    receipt = receipt_of("process", found[0], tmp_path)
    shares = receipt["statistics"]["percentages"]
    assert shares["NODATA_PIXEL_PERCENTAGE"] > 20
    assert receipt["warnings"] is not None

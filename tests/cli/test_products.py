"""Commands about written products: validate, report, catalog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("l2a")


@pytest.fixture
def product(folder, simulated, run):
    """A small product in SAFE format with its page, made once by the command line."""
    config = folder / "options.yaml"
    config.write_text("output: {zarr_version: 2}\n")
    code, out, err = run(
        *("process", simulated.uri, folder / "out", "--format", "cog,zarr,safe", "--report"),
        *("--config", config),
    )
    assert code == 0, err
    return Path(out.strip())


def test_a_product_is_made_reported_catalogued_and_valid(product, run):
    assert (product / "report.html").stat().st_size > 30_000
    (safe,) = product.glob("*_N9999_*.SAFE")
    with rasterio.open(f"SENTINEL2_L2A:{safe}/MTD_MSIL2A.xml:20m:EPSG_32632") as opened:
        assert opened.count == 11
    (store,) = product.glob("*.zarr")
    assert (store / ".zmetadata").exists()
    assert run("validate", product)[0] == 0
    code, out, err = run("catalog", product.parent)
    assert (code, err) == (0, "1 products\n")
    assert Path(out.strip()) == product.parent / "catalog.json"
    code, out, _ = run("validate", product.parent, "--strict")
    assert code == 0
    assert "valid; 1 product(s)" in out
    page = product.parent / "page.html"
    assert run("report", product, "--output", page)[1].strip() == str(page)
    assert page.read_bytes() == (product / "report.html").read_bytes()


def test_damage_is_named_and_told_by_the_exit_code(product, run):
    victim = next(product.glob("*_B05_20m.tif"))
    data = victim.read_bytes()
    try:
        victim.write_bytes(data[:-1])
        code, out, _ = run("validate", product)
        assert code == 3
        assert f"error: damaged: {victim.name}: expected {len(data)} bytes" in out
        code, out, _ = run("validate", product, "--json")
        assert code == 3
        assert json.loads(out)["findings"][0]["where"] == victim.name
    finally:
        victim.write_bytes(data)
    (product / "extra.txt").write_text("x")
    assert run("validate", product, "--quick")[0] == 0
    assert run("validate", product, "--quick", "--strict")[0] == 3
    (product / "extra.txt").unlink()


def test_nothing_there(tmp_path, run):
    assert run("validate", tmp_path)[0] == 3
    assert run("report", tmp_path)[0] == 3
    assert run("catalog", tmp_path)[0] == 2

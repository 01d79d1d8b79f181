"""Sen2Cor's command line: options, exit codes and the tree of the product."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio
import yaml

GIPP = """<?xml version="1.0" encoding="UTF-8"?>
<Level-2A_Ground_Image_Processing_Parameter>
  <Common_Section>
    <Log_Level>WARNING</Log_Level><Nr_Threads>2</Nr_Threads>
    <Downsample_20_to_60>FALSE</Downsample_20_to_60>
    <Region_Of_Interest>
      <row0>180</row0><col0>120</col0><nrow_win>120</nrow_win><ncol_win>180</ncol_win>
    </Region_Of_Interest>
  </Common_Section>
  <Atmospheric_Correction><Flags><WV_Correction>0</WV_Correction></Flags>
    <Calibration><Adj_Km>2.0</Adj_Km></Calibration></Atmospheric_Correction>
</Level-2A_Ground_Image_Processing_Parameter>
"""


@pytest.fixture
def gipp(tmp_path):
    path = tmp_path / "L2A_GIPP.xml"
    path.write_text(GIPP)
    return path


def test_the_product_lies_beside_its_input_with_what_was_asked_for(safe, gipp, run):
    code, out, err = run("l2a-process", safe, "--GIP_L2A", gipp, "--resolution", "20")
    assert code == 0, err
    product = Path(out.strip())
    assert product.parent == safe.parent
    assert product.name == safe.name.replace("MSIL1C", "MSIL2A").replace("N0511", "N9999")
    assert (product / "MTD_MSIL2A.xml").exists()
    images = {path.stem.split("_", 2)[2] for path in product.glob("GRANULE/*/IMG_DATA/*/*.jp2")}
    assert {"B8A_20m", "SCL_20m", "AOT_20m", "WVP_20m", "TCI_20m"} <= images
    assert all(name.endswith("_20m") for name in images)
    assert "warning: L2A_GIPP.xml: WV_Correction 0 is left out" in err
    assert err.splitlines()[-1] == "Progress[%]: 100.00 : Application terminated successfully."
    with rasterio.open(next(product.glob("GRANULE/*/IMG_DATA/R20m/*_SCL_20m.jp2"))) as scl:
        assert scl.shape == (60, 90)
        corner = scl.transform @ (0, 0)
    with rasterio.open(next(safe.glob("GRANULE/*/IMG_DATA/*_B02.jp2"))) as blue:
        assert corner == blue.transform @ (120 - 90, 180 - 60)
    assert not list(safe.parent.glob(".s2cloud-*"))
    # What is there already is found, as Sen2Cor does.
    code, out, err = run("l2a-process", safe, "--GIP_L2A", gipp)
    assert (code, Path(out.strip())) == (0, product)
    assert "is there already" in err


def test_classes_alone_as_geotiff(safe, tmp_path, run):
    code, out, err = run(
        *("l2a-process", safe, "--sc_only", "--tif", "--output_dir", tmp_path / "new" / "l2a"),
        *("--work_dir", tmp_path / "work", "--json"),
    )
    assert code == 0, err
    product = Path(json.loads(out)["product"])
    assert product.parent == tmp_path / "new" / "l2a"
    assert {path.stem.split("_")[2] for path in product.glob("*.tif")} == {"SCL", "CLD", "SNW"}
    assert run("validate", product)[0] == 0
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["--mode", "process_tile"],
        ["--datastrip", "DS"],
        ["--tile", "TL"],
        ["x.SAFE", "--raw"],
        ["x.SAFE", "--cr_only"],
        ["x.SAFE", "--Hyper_MS"],
        ["no-such.SAFE"],
        [],
        ["x.SAFE", "--GIP_L2A", "no-such.xml"],
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_with_exit_code_1(words, run):
    code, out, err = run("l2a-process", *words)
    assert (code, out) == (1, "")
    error, last = err.splitlines()
    assert error.startswith("error: ")
    assert "Fix: " in error or "expected" in error
    assert last == "Application terminated with at least one error."


def test_options_without_effect_are_named(run):
    code, _, err = run(
        *("l2a-process", "--processing_centre", "ABCD", "--img_database_dir", "x", "--sc_cog"),
        *("--GIP_L2A_PB", "pb.xml", "--print_config"),
    )
    assert code == 0
    named = [line.split()[1] for line in err.splitlines()]
    assert named == ["--img_database_dir", "--processing_centre", "--GIP_L2A_PB", "--sc_cog"]


def test_a_parameter_file_becomes_our_own(gipp, run, tmp_path):
    code, out, _ = run("l2a-process", "--GIP_L2A", gipp, "--sc_classic", "--print_config")
    assert code == 0
    values = yaml.safe_load(out)
    assert values == {
        "classification": {"variant": "classic"},
        "surface": {"adjacency_km": 2.0},
    }
    (tmp_path / "options.yaml").write_text(out)
    assert run("config", "show", "--config", tmp_path / "options.yaml")[0] == 0


def test_wrong_usage_and_version_as_argparse_has_them(run):
    assert run("l2a-process", "x.SAFE", "--resolution", "15")[0] == 2
    assert run("l2a-process", "--help")[0] == 0
    code, out, _ = run("l2a-process", "--version")
    assert (code, out.startswith("s2cloud l2a-process, version ")) == (0, True)

"""The demonstration, small."""

from __future__ import annotations

import json

import pytest
from PIL import Image


@pytest.mark.cluster
def test_demo_goes_the_whole_way(tmp_path, run):
    code, out, err = run("demo", tmp_path, "--size", 360, "--workers", 2)
    assert code == 0, err
    table = out.splitlines()
    assert table[0].startswith("| quantity")
    assert any(line.startswith("| aot") for line in table)
    assert "5/5" in err
    (product,) = tmp_path.glob("S2A_MSIL2A_*")
    receipt = json.loads((product / "receipt.json").read_text())
    for asset in receipt["assets"]:
        assert (product / asset["href"]).exists()
    with Image.open(tmp_path / "quicklook.png") as picture:
        assert picture.size[0] > 1000
    again, _, err = run("demo", tmp_path, "--size", 360, "--workers", 1)
    assert again == 0, err

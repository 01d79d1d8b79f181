"""The words of ``s2cloud explain``."""

from __future__ import annotations

import json

import pytest
from pyproj import Transformer

from s2cloud.io.open import open_l1c
from s2cloud.model.schema import OVERVIEW


@pytest.fixture(scope="module")
def place(simulated):
    """A position inside the product, and its reference system."""
    node = open_l1c(simulated.uri)[f"{OVERVIEW}/r60m"].to_dataset()
    x, y = (float(node[axis].values[node[axis].size // 2]) for axis in ("x", "y"))
    return x, y, str(node.attrs["crs"])


def test_every_step_ends_in_the_class_of_the_product(simulated, place, run):
    x, y, _ = place
    code, out, _ = run("explain", simulated.uri, "--x", x, "--y", y, "--json")
    assert code == 0
    found = json.loads(out)
    assert abs(found["x"] - x) <= 20
    assert abs(found["y"] - y) <= 20
    names = [step["name"] for step in found["steps"]]
    assert names[0].startswith("1 ")
    assert "10 snow and plants" in names
    assert names.index("10 borders") < names.index("14 parallax") < names.index("15 cloud shadow")
    assert found["steps"][-1]["scl"] == found["scl"]


def test_the_table_names_the_pixel_and_its_class(simulated, place, run):
    x, y, _ = place
    code, out, _ = run("explain", simulated.uri, "--x", x, "--y", y)
    assert code == 0
    first, head, *lines = out.splitlines()
    assert first.startswith("pixel at x ")
    assert head.split()[:2] == ["step", "rule"]
    assert len(lines) > 10


def test_longitude_and_latitude_lead_to_the_same_pixel(simulated, place, run):
    x, y, crs = place
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    here = run("explain", simulated.uri, "--x", x, "--y", y, "--json")[1]
    there = run("explain", simulated.uri, "--x", lon, "--y", lat, "--lonlat", "--json")[1]
    assert json.loads(here) == json.loads(there)


def test_a_position_outside_the_image_is_a_usage_error(simulated, run):
    code, out, err = run("explain", simulated.uri, "--x", 1, "--y", 1)
    assert code == 2
    assert not out
    assert "outside the image" in err

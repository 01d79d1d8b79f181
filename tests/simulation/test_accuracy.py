"""Accuracies are those of a confusion made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from s2cloud.model.errors import InputError
from s2cloud.model.schema import SCL_PATH, reflectance_path
from s2cloud.simulation.compare import confusion, format_confusion
from s2cloud.simulation.truth import MASK_PATH

TRUE = np.array(
    [
        [9, 9, 9, 9, 3, 3],
        [4, 4, 4, 4, 4, 4],
        [5, 5, 5, 5, 5, 5],
        [6, 6, 6, 11, 11, 0],
    ]
)
SEEN = np.array(
    [
        [8, 10, 9, 4, 3, 6],
        [4, 4, 4, 4, 4, 5],
        [8, 5, 5, 5, 5, 7],
        [6, 6, 3, 11, 8, 4],
    ]
)


def trees(seen=SEEN):
    height, width = TRUE.shape
    y, x = 1000.0 - 20 * np.arange(height), 20.0 * np.arange(width)
    clear = np.isin(TRUE, (4, 5, 6, 11))
    clear[1, 0] = False  # under the edge of a cloud
    red = np.full((2 * height, 2 * width), 0.05, np.float32)
    red[4:6, 0:6] = 0.4  # three bright pixels of bare ground
    fine = {"y": 1005.0 - 10 * np.arange(2 * height), "x": 10.0 * np.arange(2 * width) - 5}
    truth = {
        f"{SCL_PATH}/r20m": xr.Dataset({"scl": (("y", "x"), TRUE)}, {"y": y, "x": x}),
        MASK_PATH: xr.Dataset({"clear": (("y", "x"), clear)}, {"y": y, "x": x}),
        reflectance_path(10): xr.Dataset({"b04": (("y", "x"), red)}, fine),
    }
    result = xr.Dataset({"scl": (("y", "x"), seen)}, {"y": y, "x": x})
    return (
        xr.DataTree.from_dict({f"{SCL_PATH}/r20m": result}),
        xr.DataTree.from_dict(truth),
    )


def test_accuracies_by_hand():
    found = confusion(*trees())
    groups = {g.name: g for g in found.groups}
    cloud = groups["cloud"]
    assert (cloud.true, cloud.seen) == (4, 5)
    assert cloud.producers == pytest.approx(3 / 4)
    assert cloud.users == pytest.approx(3 / 5)
    assert cloud.f1 == pytest.approx(2 * 3 / 9)
    # One vegetated pixel lies under the edge of a cloud and does not count.
    assert (groups["vegetation"].true, groups["vegetation"].seen) == (5, 5)
    assert groups["vegetation"].producers == pytest.approx(4 / 5)
    assert groups["cloud shadow"].users == pytest.approx(1 / 2)
    assert groups["water"].f1 == pytest.approx(2 * 2 / 6)
    assert groups["snow"].producers == pytest.approx(1 / 2)
    assert groups["bare"].users == pytest.approx(4 / 5)
    # No data in the truth counts nowhere; class 7 is seen as other.
    assert found.counts.sum() == 22
    assert found.counts[list(found.names).index("bare"), -1] == 1
    assert found.overall == pytest.approx(15 / 22)
    assert found.bright == 3
    assert found.bright_as_cloud == pytest.approx(1 / 3)
    text = format_confusion(found)
    assert "| cloud shadow" in text
    assert "75.0 %" in text
    assert "33.3 % of 3 pixels" in text


def test_inside_leaves_out_the_lines_between_classes_and_takes_water_in_shadow_for_both():
    true = np.full((8, 8), 4)
    true[:, 4:] = 3
    seen = true.copy()
    seen[:, 3] = 3  # the line
    seen[4, 6] = 6
    seen[5, 6] = 6
    water = np.zeros_like(true)
    water[4, 6] = 1
    y, x = 1000.0 - 20 * np.arange(8), 20.0 * np.arange(8)
    fine = {"y": 1005.0 - 10 * np.arange(16), "x": 10.0 * np.arange(16) - 5}

    def on(**fields):
        return xr.Dataset({k: (("y", "x"), v) for k, v in fields.items()}, {"y": y, "x": x})

    truth = xr.DataTree.from_dict(
        {
            f"{SCL_PATH}/r20m": on(scl=true),
            MASK_PATH: on(clear=true == 4, water=water),
            reflectance_path(10): xr.Dataset({"b04": (("y", "x"), np.zeros((16, 16)))}, fine),
        }
    )
    l2a = xr.DataTree.from_dict({f"{SCL_PATH}/r20m": on(scl=seen)})
    everywhere = {g.name: g for g in confusion(l2a, truth).groups}
    inside = {g.name: g for g in confusion(l2a, truth, inside=True).groups}
    assert everywhere["vegetation"].producers == pytest.approx(24 / 32)
    assert everywhere["cloud shadow"].producers == pytest.approx(30 / 32)
    assert (inside["vegetation"].true, inside["vegetation"].producers) == (24, 1.0)
    assert (inside["cloud shadow"].true, inside["cloud shadow"].seen) == (24, 23)


def test_the_truth_is_perfect_and_absent_groups_have_no_accuracy():
    found = confusion(*trees(TRUE))
    assert found.overall == 1
    assert all(g.f1 == 1 for g in found.groups)
    assert found.bright_as_cloud == 0
    result, truth = trees(np.where(TRUE == 11, 0, TRUE))
    snow = next(g for g in confusion(result, truth).groups if g.name == "snow")
    assert snow.true == 0
    assert np.isnan(snow.f1)
    assert "-" in format_confusion(confusion(result, truth))


def test_a_part_of_the_tile():
    result, truth = trees()
    node = result[f"{SCL_PATH}/r20m"].to_dataset()
    part = node.isel(y=slice(0, 2), x=slice(0, 4))
    found = confusion(xr.DataTree.from_dict({f"{SCL_PATH}/r20m": part}), truth)
    assert found.counts.sum() == 7
    moved = node.assign_coords(x=node["x"] + 5000)
    with pytest.raises(InputError, match="different grids"):
        confusion(xr.DataTree.from_dict({f"{SCL_PATH}/r20m": moved}), truth)

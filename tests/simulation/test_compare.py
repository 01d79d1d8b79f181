"""The comparison measures what it says."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from s2cloud.model.errors import InputError
from s2cloud.model.schema import SCL_PATH, atmosphere_path, reflectance_path
from s2cloud.simulation import compare
from s2cloud.simulation.compare import Row, format_table


def perfect(truth: xr.DataTree) -> xr.DataTree:
    """A result that is the truth."""
    maps = truth[atmosphere_path(60)].to_dataset()
    fine = truth[reflectance_path(20)].to_dataset()
    size = fine.sizes["y"]
    atmosphere = xr.Dataset(
        {n: (("y", "x"), np.kron(maps[n].values, np.ones((3, 3)))) for n in ("aot", "wvp")},
        {"y": fine["y"], "x": fine["x"]},
    )
    blue = truth[reflectance_path(10)].to_dataset()["b02"].values
    blue = blue.reshape(size, 2, size, 2).mean(axis=(1, 3))
    return xr.DataTree.from_dict(
        {
            reflectance_path(10): truth[reflectance_path(10)].to_dataset(),
            reflectance_path(20): fine.assign(b02=(("y", "x"), blue)),
            reflectance_path(60): truth[reflectance_path(60)].to_dataset(),
            atmosphere_path(20): atmosphere,
            f"{SCL_PATH}/r20m": truth[f"{SCL_PATH}/r20m"].to_dataset(),
        }
    )


def by_name(rows: list[Row]) -> dict[tuple[str, int], Row]:
    return {(row.quantity, row.resolution): row for row in rows}


def test_truth_agrees_with_itself(clear_truth):
    rows = by_name(compare(perfect(clear_truth), clear_truth))
    assert ("b02", 20) in rows
    assert ("b10", 60) not in rows
    for (name, _), row in rows.items():
        if "seen as" not in name:
            assert row.count > 0
            assert abs(row.bias) < 1e-6
            assert row.rms < 1e-6
            assert row.within == 1
    assert rows["land seen as land", 20].within == 1
    assert rows["water seen as land", 20].within == 0
    assert rows["cloud seen as cloud", 20].count == 0
    assert np.isnan(rows["cloud seen as cloud", 20].within)


def test_known_errors_are_found(clear_truth):
    result = perfect(clear_truth)
    r10m, air = reflectance_path(10), atmosphere_path(20)
    bands = result[r10m].to_dataset()
    result[r10m] = xr.DataTree(bands.assign(b04=bands["b04"] + 0.03))
    maps = result[air].to_dataset()
    result[air] = xr.DataTree(maps.assign(aot=maps["aot"] * 0.5, wvp=maps["wvp"] + 1.0))
    rows = by_name(compare(result, clear_truth))
    red = rows["b04", 10]
    assert red.bias == pytest.approx(0.03, abs=1e-5)
    assert red.median == pytest.approx(0.03, abs=1e-5)
    assert red.rms == pytest.approx(0.03, abs=1e-5)
    assert red.within < 0.05
    assert rows["aot", 60].within < 0.01
    assert rows["wvp", 60].bias == pytest.approx(1.0, abs=1e-3)
    assert rows["wvp", 60].within == 1


def test_a_part_of_the_tile_is_compared_with_its_part(clear_truth):
    whole = perfect(clear_truth)[reflectance_path(20)].to_dataset()
    part = whole.isel(y=slice(60, 120), x=slice(30, 150))
    rows = by_name(compare(xr.DataTree.from_dict({reflectance_path(20): part}), clear_truth))
    assert rows["b8a", 20].rms < 1e-6
    assert 0 < rows["b8a", 20].count <= 60 * 120


def test_missing_pixels_are_not_counted(clear_truth):
    whole = perfect(clear_truth)[reflectance_path(60)].to_dataset()
    holed = whole.assign(b09=whole["b09"].where(whole["x"] > whole["x"].mean()))
    rows = by_name(compare(xr.DataTree.from_dict({reflectance_path(60): holed}), clear_truth))
    assert 0 < rows["b09", 60].count < rows["b01", 60].count
    assert rows["b09", 60].rms < 1e-6


def test_another_grid_is_refused(clear_truth):
    whole = perfect(clear_truth)[reflectance_path(20)].to_dataset()
    moved = whole.assign_coords(x=whole["x"] + 10_000.0)
    with pytest.raises(InputError, match="different grids"):
        compare(xr.DataTree.from_dict({reflectance_path(20): moved}), clear_truth)


def test_table_is_markdown():
    row = Row("b04", 10, 1234, 0.08, 0.001, 0.0005, 0.002, 0.987)
    nan = float("nan")
    lines = format_table([row, Row("cloud seen as land", 20, 0, nan, nan, nan, nan, nan)]).split(
        "\n"
    )
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert "98.7 %" in lines[2]
    assert "0.0010" in lines[2]
    assert lines[1].startswith("| ---")

"""The auxiliary tree: its nodes, what it records, providers of others, what nobody reads early."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

import s2cloud
from s2cloud.config import AuxiliaryConfig, ProcessorConfig
from s2cloud.io.auxiliary import KINDS, AuxProvider, Kind, Request
from s2cloud.io.auxiliary.elevation import Elevation
from s2cloud.io.auxiliary.rasters import RasterFile
from s2cloud.model.errors import UsageError
from s2cloud.processor.inputs import merged

if TYPE_CHECKING:
    from s2cloud.model.grid import Grid


@pytest.fixture
def folder(maps, tmp_path):
    """One small map of each kind."""
    for lat in (45, 46):
        for lon in (10, 11):
            maps.copernicus(tmp_path / "dem", lat, lon, rows=120, cols=120)
    step = 1 / 100
    for name, value in (("lccs", 130), ("wb", 2), ("snow", 40), ("GlobalSnowMap", 1)):
        values = np.full((400, 400), value, np.uint8)
        maps.write(tmp_path / f"{name}.tif", values, 9, 48, step, step)
    maps.write(tmp_path / "cams.tif", np.full((91, 180), 0.3, np.float32), -181, 91, 2, 2)
    return tmp_path


def variable(tree, node, name):
    return tree[node].to_dataset()[name]


def config_of(folder):
    return AuxiliaryConfig(
        dem=str(folder / "dem"),
        land_cover=str(folder / "lccs.tif"),
        water_bodies=str(folder / "wb.tif"),
        snow_condition=str(folder / "snow.tif"),
        snow_climatology=str(folder / "GlobalSnowMap.tif"),
        cams=str(folder / "cams.tif"),
        terrain_margin_km=3.0,
    )


def test_nodes_lie_on_the_grids_of_the_tile(maps, folder):
    l1c = maps.tree()
    aux = s2cloud.open_aux(l1c, ProcessorConfig(auxiliary=config_of(folder)))
    terrain = variable(aux, "conditions/terrain/r20m", "elevation")
    fine = l1c["measurements/reflectance/r20m"]
    assert terrain.dtype == np.float32
    np.testing.assert_array_equal(terrain.x, fine.x)
    np.testing.assert_array_equal(terrain.y, fine.y)
    wide = variable(aux, "conditions/terrain/r60m", "elevation")
    overview = l1c["measurements/overview/r60m"]
    assert wide.shape == (140, 140)
    np.testing.assert_array_equal(wide.x[50:-50], overview.x)
    np.testing.assert_array_equal(wide.y[50:-50], overview.y)
    for resolution, grid in ((20, fine), (60, overview)):
        node = aux[f"conditions/landcover/r{resolution}m"].to_dataset()
        assert set(node.data_vars) == {"land_cover", "water_bodies", "snow_condition"}
        for name, code in (("land_cover", 130), ("water_bodies", 2), ("snow_condition", 40)):
            assert node[name].dtype == np.uint8
            assert (node[name].values == code).all()
            assert node[name].attrs["source"]
        np.testing.assert_array_equal(node.x, grid.x)
    assert bool(variable(aux, "conditions/landcover", "snow_possible").values)
    assert float(variable(aux, "conditions/meteorology/cams", "aod550").mean()) == pytest.approx(
        0.3
    )
    assert (terrain.values > 0).all()
    # One elevation, whichever node tells it: the means of 20 m pixels are those of 60 m.
    mean = terrain.coarsen(x=3, y=3).mean().values
    np.testing.assert_allclose(wide.values[50:-50, 50:-50], mean, atol=0.5)


def test_what_was_opened_is_recorded(maps, folder):
    aux = s2cloud.open_aux(maps.tree(), config_of(folder))
    listed = aux.attrs["auxiliary"]
    assert {entry["kind"] for entry in listed} == set(KINDS)
    assert all(set(e) == {"kind", "source", "resolution_m", "attribution"} for e in listed)
    assert json.loads(json.dumps(listed)) == listed
    dem = next(entry for entry in listed if entry["kind"] == "elevation")
    assert dem["resolution_m"] == 30
    assert "Copernicus" in dem["attribution"]
    assert (
        variable(aux, "conditions/terrain/r20m", "elevation").attrs["attribution"]
        == dem["attribution"]
    )
    tree = merged(maps.tree(), aux)
    assert tree.attrs["auxiliary"] == listed
    assert tree["conditions/terrain/r20m"]["elevation"].sizes == {"y": 120, "x": 120}


def test_each_map_is_optional(maps, folder):
    aux = s2cloud.open_aux(maps.tree())
    assert aux.attrs["auxiliary"] == []
    assert not [node for node in aux.subtree if node.data_vars]
    aux = s2cloud.open_aux(maps.tree(), water_bodies=folder / "wb.tif")
    assert set(aux["conditions/landcover/r20m"].data_vars) == {"water_bodies"}
    with pytest.raises(KeyError):
        aux["conditions/terrain"]


def test_arguments_come_before_the_configuration(maps, folder):
    aux = s2cloud.open_aux(maps.tree(), config_of(folder), dem=folder / "lccs.tif")
    assert (variable(aux, "conditions/terrain/r20m", "elevation").values == 130).all()


def test_pixels_are_read_when_they_are_computed(maps, folder, monkeypatch):
    reads = []
    read = RasterFile.read

    def noted(file, *window):
        reads.append(file.path)
        return read(file, *window)

    monkeypatch.setattr(RasterFile, "read", noted)
    aux = s2cloud.open_aux(maps.tree(), config_of(folder))
    assert reads == []
    variable(aux, "conditions/landcover/r20m", "water_bodies").compute()
    assert set(reads) == {"wb.tif"}


def test_single_resolution_and_parts(maps, folder):
    l1c = maps.tree(single=10)
    aux = s2cloud.open_aux(l1c, dem=folder / "dem")
    np.testing.assert_array_equal(
        aux["conditions/terrain/r10m"].x, l1c["measurements/reflectance/r10m"].x
    )
    whole = maps.tree()
    part = whole.copy()
    window = {"x": slice(30, 90), "y": slice(15, 60)}
    part["measurements/reflectance/r20m"] = xr.DataTree(
        whole["measurements/reflectance/r20m"].to_dataset().isel(window)
    )
    path = "conditions/terrain/r20m"
    expected = variable(s2cloud.open_aux(whole, dem=folder / "dem"), path, "elevation").isel(window)
    found = variable(s2cloud.open_aux(part, dem=folder / "dem"), path, "elevation")
    np.testing.assert_array_equal(found.values, expected.values)


def test_the_forecast_of_the_product_keeps_its_other_fields(maps, folder):
    l1c = maps.tree()
    flat = ("latitude", "longitude")
    l1c["conditions/meteorology/cams"] = xr.DataTree(
        xr.Dataset(
            {"aod550": (flat, np.full((2, 3), 0.1)), "z": (flat, np.full((2, 3), 980.0))},
            coords={"latitude": [46.5, 45.5], "longitude": [9.0, 10.0, 11.0]},
        )
    )
    node = s2cloud.open_aux(l1c, cams=folder / "cams.tif")[
        "conditions/meteorology/cams"
    ].to_dataset()
    assert float(node["z"].mean()) == 980.0
    np.testing.assert_allclose(node["aod550"].values, np.full((2, 3), 0.3), rtol=1e-6)


def test_names_and_times_in_addresses(maps, folder):
    (folder / "cams.tif").rename(folder / "cams_20250601.tif")
    aux = s2cloud.open_aux(
        maps.tree(),
        dem=f"raster:{folder / 'lccs.tif'}",
        cams=str(folder / "cams_{time:%Y%m%d}.tif"),
    )
    assert [entry["kind"] for entry in aux.attrs["auxiliary"]] == ["elevation", "aerosol"]
    with pytest.raises(UsageError, match=r"unknown provider.*copernicus-30.*found planet"):
        s2cloud.open_aux(maps.tree(), dem="planet:somewhere")
    with pytest.raises(UsageError, match="wrong place for the time"):
        s2cloud.open_aux(maps.tree(), cams="cams_{time}.tif")


class Flat:
    """A provider as others may write one."""

    name = "flat"
    kind: Kind = "elevation"
    source = "a flat Earth"
    attribution = "none"
    resolution_m = 1.0

    def __init__(self, request):
        self.height = float(request.address)

    def open(self, grid: Grid, margin_m: float, resolution: float) -> xr.DataArray:
        margin = round(margin_m / resolution)
        wide = grid.window(-margin, -margin, *(n + 2 * margin for n in grid.shape))
        values = np.full(wide.shape, self.height, np.float32)
        return xr.DataArray(values, dims=("y", "x"), coords={"y": wide.y, "x": wide.x})


def test_providers_of_others(maps, monkeypatch):
    class Point:
        name = "elevation.flat"

        def load(self):
            return Flat

    monkeypatch.setattr("s2cloud.io.auxiliary.protocol.entry_points", lambda group: [Point()])
    aux = s2cloud.open_aux(maps.tree(), dem="flat:321")
    assert (variable(aux, "conditions/terrain/r60m", "elevation").values == 321).all()
    assert aux.attrs["auxiliary"][0]["source"] == "a flat Earth"
    monkeypatch.undo()
    assert isinstance(importlib.metadata.entry_points(group="s2cloud.auxiliary"), tuple | list)
    request = Request("5", datetime(2025, 6, 1, tzinfo=UTC), {})
    direct = s2cloud.open_aux(maps.tree(), dem=Flat(request))
    assert (variable(direct, "conditions/terrain/r20m", "elevation").values == 5).all()
    assert isinstance(Flat(request), AuxProvider)
    assert isinstance(Elevation("copernicus-30", "dem"), AuxProvider)


def test_secrets_are_not_recorded(maps, folder, caplog):
    config = ProcessorConfig(
        auxiliary=AuxiliaryConfig(dem="https://me:word@host/dem.tif?signature=abc")
    )
    text = json.dumps(config.model_dump(mode="json"))
    assert "https://host/dem.tif" in text
    assert "word" not in text
    assert "signature" not in text
    assert config.auxiliary.dem == "https://me:word@host/dem.tif?signature=abc"
    other = AuxiliaryConfig(dem="https://me:word@host/dem.tif?signature=def")
    assert config.digest == ProcessorConfig(auxiliary=other).digest
    local = AuxiliaryConfig(dem="copernicus-30:s3://bucket/dem", cams="/a/b?c")
    assert local.model_dump(mode="json")["dem"] == "copernicus-30:s3://bucket/dem"
    assert local.model_dump(mode="json")["cams"] == "/a/b?c"
    with caplog.at_level(logging.DEBUG):
        secret = {"s3": {"secret": "hunter2"}}
        s2cloud.open_aux(maps.tree(), dem=folder / "dem", storage_options=secret)
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(Elevation("raster", "s3://b/a.tif", secret))

"""Land cover, water and snow: codes, seasons, names, a real crop."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from s2cloud.io.auxiliary.land_cover import WORLD_COVER_TO_LCCS, ClassMap, guess
from s2cloud.io.auxiliary.snow import SnowClimatology, SnowCondition, of_season
from s2cloud.model.errors import InputError
from s2cloud.model.grid import Grid

GRID = Grid("EPSG:32632", 572000.0, 5099000.0, 20.0, 90, 120)


def day(month, day=15):
    return datetime(2025, month, day, 10, tzinfo=UTC)


def worldcover(maps, folder, values, south, west, *, degrees=3, edition="2021_v200"):
    values = np.asarray(values, np.uint8)
    corner = f"N{south:02d}E{west:03d}"
    step = degrees / values.shape[0]
    path = folder / f"ESA_WorldCover_10m_{edition}_{corner}_Map.tif"
    return maps.write(path, values, west, south + degrees, step, step, nodata=0)


def test_addresses_tell_the_provider():
    assert guess("s3://esa-worldcover/v200/2021/map") == "worldcover"
    assert guess("maps/ESA_WorldCover_10m_2021_v200_N45E006_Map.tif") == "worldcover"
    assert guess("s3://b/ESACCI-LC-L4-LCCS-Map-300m-P1Y-2015-v2.0.7.tif") == "cci"


@pytest.mark.parametrize(("code", "lccs"), sorted(WORLD_COVER_TO_LCCS.items()))
def test_classes_of_worldcover(maps, tmp_path, code, lccs):
    for west in (6, 9):
        worldcover(maps, tmp_path, np.full((300, 300), code), 45, west)
    land = ClassMap("land_cover", "worldcover", str(tmp_path)).open(GRID, 0.0, 20.0)
    water = ClassMap("water_bodies", "worldcover", str(tmp_path)).open(GRID, 0.0, 20.0)
    assert land.dtype == water.dtype == np.uint8
    assert (land.values == lccs).all()
    assert (water.values == (2 if code == 80 else 1)).all()


def test_codes_are_those_that_the_classification_knows():
    assert WORLD_COVER_TO_LCCS[50] == 190
    assert WORLD_COVER_TO_LCCS[60] == 200
    assert WORLD_COVER_TO_LCCS[80] == 210
    assert WORLD_COVER_TO_LCCS[70] == 220


def test_the_commonest_class_of_a_pixel_wins(maps, tmp_path):
    # 10 m pixels in the reference system of the tile: nine of each four by three.
    values = np.full((180, 240), 40, np.uint8)
    values[:, ::2] = 80
    values[0, :2] = [80, 50]
    values[1, :2] = [50, 10]
    path = maps.write(
        tmp_path / "WorldCover.tif", values, 572000.0, 5099000.0, 10, 10, crs="EPSG:32632"
    )
    found = ClassMap("land_cover", "worldcover", str(path)).open(GRID, 0.0, 20.0).values
    assert found[0, 0] == 190
    # Equal shares of cropland (10) and water (210): the smaller code.
    assert (found[1:, 1:] == 10).all()


def test_what_no_tile_covers_is_unknown(maps, tmp_path):
    worldcover(maps, tmp_path, np.full((300, 300), 10), 45, 9, degrees=1)
    found = ClassMap("land_cover", "worldcover", str(tmp_path))
    grid = Grid("EPSG:32632", 572000.0, 5099000.0, 60.0, 100, 100)
    codes = found.open(grid, 0.0, 60.0)
    lon, lat = maps.degrees(grid, codes)
    inside = (lon < 9.99) & (lat < 45.99)
    assert (codes.values[inside] == 90).all()
    assert (codes.values[(lon > 10.01) | (lat > 46.01)] == 0).all()


def test_an_older_edition_is_taken_where_there_is_no_newer(maps, tmp_path):
    worldcover(maps, tmp_path, np.full((300, 300), 50), 45, 9, edition="2020_v100")
    found = ClassMap("land_cover", "worldcover", str(tmp_path)).open(GRID, 0.0, 20.0)
    assert (found.values == 190).all()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no tiles of ESA WorldCover.*N45E006"):
        ClassMap("land_cover", "worldcover", str(empty)).open(GRID, 0.0, 20.0)


def test_land_cover_of_cci(maps, tmp_path):
    step = 1 / 360
    values = np.zeros((720, 720), np.uint8)
    values[:, :360], values[:, 360:] = 190, 210
    values[:360, :] = 255
    path = maps.write(tmp_path / "ESACCI-LC.tif", values, 9, 47, step, step)
    grid = Grid("EPSG:32632", 572000.0, 5099000.0, 60.0, 100, 100)
    codes = ClassMap("land_cover", "cci", str(path)).open(grid, 0.0, 60.0)
    lon, lat = maps.degrees(grid, codes)
    expected = np.where(lat > 46, 0, np.where(lon < 10, 190, 210))
    clear = (np.abs(lat - 46) > 1e-5) & (np.abs(lon - 10) > 1e-5)
    np.testing.assert_array_equal(codes.values[clear], expected[clear])


def test_shores_of_cci_water_bodies_are_cut_in_the_middle(maps, tmp_path):
    values = np.ones((40, 40), np.uint8)
    values[:, 10:] = 2
    values[20:] = 0
    path = maps.write(tmp_path / "wb.tif", values, 572000.0, 5099000.0, 150, 150, crs="EPSG:32632")
    grid = Grid("EPSG:32632", 572000.0, 5099000.0, 20.0, 300, 300)
    codes = ClassMap("water_bodies", "cci", str(path)).open(grid, 0.0, 20.0).values
    assert set(np.unique(codes[:150])) == {1, 2}
    assert (codes[150:] == 0).all()
    # The shore lies 1500 m east of the corner, at pixel 75.
    assert (codes[20:130, :75] == 1).all()
    assert (codes[20:130, 75:] == 2).all()


def test_snow_condition(maps, tmp_path):
    for month in range(1, 13):
        values = np.full((200, 200), month, np.uint8)
        values[:, 100:150], values[:, 150:] = 254, 255
        name = f"ESACCI-LC-L4-Snow-Cond-500m-MONTHLY-2000-2012-{month:02d}-v2.4.tif"
        maps.write(tmp_path / name, values, 9, 47, 0.01, 0.01)
    grid = Grid("EPSG:32632", 572000.0, 5099000.0, 60.0, 100, 1200)
    provider = SnowCondition(str(tmp_path), day(7))
    codes = provider.open(grid, 0.0, 60.0)
    lon, _ = maps.degrees(grid, codes)
    assert set(np.unique(codes.values)) == {7, 254, 255}
    assert (codes.values[lon < 9.999] == 7).all()
    assert "July" in provider.source


@pytest.mark.parametrize(
    ("names", "when", "expected"),
    [
        ([f"Snow-P13Y7D-2000{m:02d}{d:02d}-v2.0.tif" for m in range(1, 13) for d in (3, 17)],
         day(7, 10), "Snow-P13Y7D-20000703-v2.0.tif"),
        ([f"Snow-P13Y7D-2000{m:02d}{d:02d}-v2.0.tif" for m in range(1, 13) for d in (3, 17)],
         day(1, 2), "Snow-P13Y7D-20001217-v2.0.tif"),
        ([f"snow_{m:02d}_p50.tif" for m in range(1, 13)], day(11), "snow_11_p50.tif"),
        ([f"month{m}.tif" for m in range(1, 13)], day(2), "month2.tif"),
        ([f"month{m}.tif" for m in range(1, 13)], day(12), "month12.tif"),
    ],
)  # fmt: skip
def test_seasons_are_read_from_names(names, when, expected):
    assert of_season(names, when, "folder") == expected


def test_names_without_season_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"without a season: folder.*one file"):
        of_season(["a.tif", "b.tif"], day(1), "folder")
    with pytest.raises(InputError, match="no files of snow condition"):
        SnowCondition(str(tmp_path), day(1)).open(GRID, 0.0, 20.0)


@pytest.mark.parametrize("placed", [True, False])
def test_snow_climatology(maps, tmp_path, placed):
    # 20 pixels per degree, as ESA's; without any georeference in some copies.
    values = np.zeros((3600, 7200), np.uint8)
    values[(90 - 46) * 20, (180 + 10) * 20] = 1
    how = {} if placed else {"crs": None, "transform": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        path = maps.write(tmp_path / "GlobalSnowMap.tiff", values, -180, 90, 0.05, 0.05, **how)
    provider = SnowClimatology(str(path))
    near = Grid("EPSG:32632", 572000.0, 5099000.0, 60.0, 200, 200)
    far = Grid("EPSG:32632", 500000.0, 5050000.0, 60.0, 200, 200)
    for grid, possible in ((near, True), (far, False)):
        found = provider.open(grid, 0.0, 60.0)
        assert found.dims == ()
        assert found.dtype == bool
        assert bool(found.values) is possible


@pytest.mark.realdata
def test_real_worldcover(realdata, maps):
    path = realdata / "landcover" / "ESA_WorldCover_10m_2021_v200_SaoTome_crop.tif"
    grid = Grid("EPSG:32632", 248000.0, 44000.0, 10.0, 600, 600)
    codes = ClassMap("land_cover", "worldcover", str(path)).open(grid, 0.0, 10.0)
    with rasterio.open(path) as image:
        band = image.read(1)
        lon, lat = maps.degrees(grid, codes)
        col = np.floor((lon - image.bounds.left) / image.res[0]).astype(int)
        row = np.floor((image.bounds.top - lat) / image.res[1]).astype(int)
    table = np.zeros(256, np.uint8)
    table[list(WORLD_COVER_TO_LCCS)] = list(WORLD_COVER_TO_LCCS.values())
    expected = table[band[row, col]]
    assert len(np.unique(expected)) >= 4
    # Coordinates between exact ones: a few pixels on edges fall to the neighbour.
    assert np.mean(codes.values == expected) > 0.999

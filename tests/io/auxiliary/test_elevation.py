"""Elevation from tiles and rasters: names, seams, the date line, voids, stores and real data."""

from __future__ import annotations

import logging
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.warp import Resampling, reproject
from typing_extensions import override

from s2cloud.io.auxiliary import ranged
from s2cloud.io.auxiliary.elevation import Elevation, guess
from s2cloud.io.auxiliary.mosaic import Mosaic
from s2cloud.io.auxiliary.rasters import RasterFile
from s2cloud.io.auxiliary.sampling import Area
from s2cloud.io.auxiliary.tiles import corner_name, degree_corners
from s2cloud.io.stores import Store, open_store
from s2cloud.model.errors import InputError, UnavailableError, UsageError
from s2cloud.model.grid import Grid

#: Over the corner of four tiles, 46 north and 10 east.
CORNER = Grid("EPSG:32632", 572000.0, 5099000.0, 60.0, 100, 100)


def four(maps, folder, **how):
    for lat in (45, 46):
        for lon in (9, 10):
            maps.copernicus(folder, lat, lon, **how)
    return Elevation("copernicus-30", str(folder))


def error_of(maps, grid, found):
    return np.abs(found.values - maps.height(*maps.degrees(grid, found)))


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://copernicus-dem-30m", "copernicus-30"),
        ("https://copernicus-dem-90m.s3.amazonaws.com/", "copernicus-90"),
        ("maps/GLO-90", "copernicus-90"),
        ("s3://bucket/srtm", "srtm"),
        ("s3://bucket/N46E007.hgt.zip", "raster"),
        ("alps.vrt", "raster"),
        ("https://host/alps.TIF?signature=a/b", "raster"),
        ("/vsis3/bucket/alps", "raster"),
    ],
)
def test_addresses_tell_the_provider(address, name):
    assert guess(address) == name


def test_tiles_of_this_machine_tell_the_provider(maps, tmp_path):
    maps.copernicus(tmp_path / "dem", 46, 10, step=30, rows=10, cols=10)
    assert guess(str(tmp_path / "dem")) == "copernicus-90"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "N46E010.SRTMGL1.hgt.zip").touch()
    assert guess(str(tmp_path / "other")) == "srtm"


def test_seams_do_not_show(maps, tmp_path):
    found = four(maps, tmp_path).open(CORNER, 0.0, 60.0)
    lon, lat = maps.degrees(CORNER, found)
    assert lon.min() < 10 < lon.max()
    assert lat.min() < 46 < lat.max()
    assert error_of(maps, CORNER, found).max() < 4.0
    found = four(maps, tmp_path).open(CORNER, 0.0, 20.0)
    # The same pixels in one file give the same bits.
    files = list(tmp_path.rglob("*.tif"))
    pixels = {}
    for path in files:
        with rasterio.open(path) as image:
            pixels[image.bounds.left > 9.9, image.bounds.bottom > 45.9] = image.read(1)
    joined = np.block([[pixels[e, n] for e in (False, True)] for n in (True, False)])
    step = 1 / 360
    one = maps.write(tmp_path / "one.tif", joined, 9 - step / 2, 47 + step / 2, step, step)
    alone = Elevation("raster", str(one)).open(CORNER, 0.0, 20.0)
    np.testing.assert_allclose(alone.values, found.values, rtol=0, atol=2e-4)


def test_seams_between_pixels_of_different_width_do_not_show(maps, tmp_path):
    # Copernicus DEM is sampled more coarsely in longitude from 50, 60, 70, 75, 80, 85 degrees.
    for lon in (9, 10):
        maps.copernicus(tmp_path, 49, lon, rows=1200, cols=1200)
        maps.copernicus(tmp_path, 50, lon, rows=1200, cols=800)
    grid = Grid("EPSG:32632", 572000.0, 5541000.0, 20.0, 300, 300)
    found = Elevation("copernicus-30", str(tmp_path)).open(grid, 0.0, 20.0)
    assert maps.degrees(grid, found)[1].min() < 50 < maps.degrees(grid, found)[1].max()
    # Half a pixel of the wider ones on slopes of 2 %.
    assert error_of(maps, grid, found).max() < 1.0


@pytest.mark.parametrize(
    ("crs", "ulx", "uly"),
    [
        ("EPSG:32601", 199980.0, 5900040.0),  # 01UBS
        ("EPSG:32660", 699960.0, 5900040.0),  # 60UXF
        ("EPSG:32701", 99960.0, 8000020.0),  # 01KAB
        ("EPSG:32660", 600000.0, 7700040.0),  # 60WWV
    ],
)
def test_date_line(maps, tmp_path, crs, ulx, uly):
    # A part of the tile with the date line in its middle.
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(ulx, uly)
    x, _ = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(180.0, lat - 0.3)
    col = round((x - ulx) / 60) - 100
    grid = Grid(crs, ulx, uly, 60.0, 1830, 1830).window(400, col, 200, 200)
    assert -110 < col < 1700
    corners = degree_corners(grid, 3000.0, 1)
    assert {lon for _, lon in corners} == {-180, 179}
    for lat, lon in corners:
        maps.copernicus(tmp_path, lat, lon)
    found = Elevation("copernicus-30", str(tmp_path)).open(grid, 3000.0, 60.0)
    assert found.shape == (300, 300)
    # A pixel of these tiles measures 310 m.
    assert error_of(maps, grid, found).max() < 4.0
    globe = maps.write(
        tmp_path / "globe.tif",
        np.fromfunction(lambda i, j: j // 10 + 1, (180, 3600), dtype=np.float32),
        *(-180.0, 90.0, 0.1, 1.0),
    )
    mosaic = Mosaic((RasterFile(open_store(tmp_path), globe.name),))
    degree = mosaic.sampled(Area(grid, 0, 0, 200, 200), smooth=False)
    lon, _ = maps.degrees(grid, found.isel(x=slice(50, 250), y=slice(50, 250)))
    clear = np.abs(lon - np.rint(lon)) > 1e-5
    np.testing.assert_array_equal(degree[clear], (np.floor(lon) + 181)[clear])
    assert set(np.unique(degree)) == {1.0, 360.0}


def test_far_north(maps, tmp_path):
    grid = Grid("EPSG:32633", 499980.0, 9300000.0, 60.0, 300, 300)
    corners = degree_corners(grid, 0.0, 1)
    assert {lat for lat, _ in corners} == {83}
    for lat, lon in corners:
        maps.copernicus(tmp_path, lat, lon, rows=600, cols=600)
    found = Elevation("copernicus-30", str(tmp_path)).open(grid, 0.0, 60.0)
    assert error_of(maps, grid, found).max() < 1.0


def test_corners_have_names():
    name = "{ns}{lat}{ew}{lon}"
    assert corner_name(-3, -180, name) == "S03W180"
    assert corner_name(46, 7, name) == "N46E007"
    assert corner_name(0, 0, name) == "N00E000"
    assert degree_corners(CORNER, 0.0, 1) == [(45, 9), (45, 10), (46, 9), (46, 10)]
    assert degree_corners(CORNER, 0.0, 3) == [(45, 9)]


def test_missing_tiles_are_sea(maps, tmp_path, caplog):
    maps.copernicus(tmp_path, 45, 9)
    provider = Elevation("copernicus-30", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        found = provider.open(CORNER, 0.0, 60.0)
    assert "3 of 4 tiles are not there" in caplog.text
    lon, lat = maps.degrees(CORNER, found)
    inside = (lon < 9.99) & (lat < 45.99)
    outside = (lon > 10.01) | (lat > 46.01)
    assert (found.values[outside] == 0).all()
    assert error_of(maps, CORNER, found)[inside].max() < 3.0


def test_a_folder_without_tiles_is_refused(tmp_path):
    (tmp_path / "readme.txt").touch()
    for name in ("copernicus-30", "srtm"):
        with pytest.raises(InputError, match=r"no tiles of .*readme\.txt.*give the folder"):
            Elevation(name, str(tmp_path)).open(CORNER, 0.0, 60.0)


def test_voids_and_depths(maps, tmp_path):
    values = np.full((200, 200), 100.0, np.float32)
    values[:, 60:100] = -9999.0
    values[:, 100:140] = -412.0
    values[:, 140:] = -600.0
    path = maps.write(tmp_path / "a.tif", values, 572000.0, 5099000.0, 30, 30, crs="EPSG:32632")
    with rasterio.open(path, "r+") as image:
        image.nodata = -9999.0
    found = Elevation("raster", str(path)).open(CORNER, 0.0, 60.0).values
    assert set(np.unique(found)) == {100.0, 0.0, -412.0}
    np.testing.assert_array_equal(
        found[0, [0, 29, 30, 49, 50, 69, 70]], found[5, ::1][[0, 29, 30, 49, 50, 69, 70]]
    )
    np.testing.assert_array_equal(found[0, [29, 30, 49, 50, 69, 70]], [100, 0, 0, -412, -412, 0])


def test_raster_of_any_system(maps, tmp_path):
    # Europe's equal-area grid lies at an angle to that of the tile.
    to_degrees = pyproj.Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True)
    x, y = np.meshgrid(4270025.0 + 50 * np.arange(400), 2509975.0 - 50 * np.arange(400))
    values = maps.height(*to_degrees.transform(x, y)).astype(np.float32)
    warped = maps.write(tmp_path / "laea.tif", values, 4270000, 2510000, 50, 50, crs="EPSG:3035")
    grid = Grid("EPSG:32632", 540000.0, 5060000.0, 20.0, 200, 200)
    found = Elevation("raster", str(warped)).open(grid, 0.0, 20.0)
    assert error_of(maps, grid, found).max() < 0.5


def test_srtm_tiles(maps, tmp_path):
    def tile(lat, lon):
        x = lon + np.arange(1201) / 1200
        y = lat + 1 - np.arange(1201) / 1200
        return np.rint(maps.height(x[None, :], y[:, None])).astype(">i2").tobytes()

    for lat, lon, suffix in ((45, 9, ".hgt"), (45, 10, ".SRTMGL3.hgt.zip"), (46, 9, ".hgt.zip")):
        name = corner_name(lat, lon, "{ns}{lat}{ew}{lon}")
        if suffix == ".hgt":
            (tmp_path / f"{name}.hgt").write_bytes(tile(lat, lon))
        else:
            with zipfile.ZipFile(tmp_path / (name + suffix), "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{name}.hgt", tile(lat, lon))
    (tmp_path / "N46E010.hgt").write_bytes(tile(46, 10))
    found = Elevation("srtm", str(tmp_path)).open(CORNER, 0.0, 20.0)
    assert error_of(maps, CORNER, found).max() < 1.0
    one = Elevation("raster", str(tmp_path / "N46E009.hgt.zip")).open(CORNER, 0.0, 20.0)
    lon, lat = maps.degrees(CORNER, one)
    inside = (lon < 9.999) & (lat > 46.001)
    np.testing.assert_array_equal(one.values[inside], found.values[inside])
    (tmp_path / "N46E010.hgt").write_bytes(b"short")
    with pytest.raises(InputError, match=r"not an SRTM tile.*N46E010"):
        Elevation("srtm", str(tmp_path)).open(CORNER, 0.0, 60.0).compute()


@pytest.mark.parametrize("place", ["memory", "s3"])
def test_stores_give_the_same_pixels(maps, tmp_path, request, place):
    expected = four(maps, tmp_path / "dem").open(CORNER, 600.0, 60.0).values
    if place == "memory":
        uri, options = request.getfixturevalue("memory"), {}
    else:
        uri = f"s3://{request.getfixturevalue('bucket')}/dem"
        options = request.getfixturevalue("s3_options")
    store = open_store(uri, options)
    for path in (tmp_path / "dem").rglob("*.tif"):
        store.put_file(path, str(path.relative_to(tmp_path / "dem")))
    found = Elevation("copernicus-30", uri, options).open(CORNER, 600.0, 60.0)
    np.testing.assert_array_equal(found.values, expected)


def test_only_the_window_is_fetched(maps, tmp_path, memory, monkeypatch):
    path = maps.degree_tile(
        tmp_path / "big.tif", 45, 9, rows=3000, cols=3000, compress=None, blockxsize=512,
        blockysize=512,
    )  # fmt: skip
    open_store(memory).put_file(path, "big.tif")
    fetched = []
    read = Store.read

    def counted(*args):
        data = read(*args)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(Store, "read", counted)
    grid = Grid("EPSG:32632", 540000.0, 5060000.0, 20.0, 100, 100)
    found = Elevation("raster", f"{memory}/big.tif").open(grid, 0.0, 20.0)
    assert sum(fetched) <= 2 * ranged.PAGE
    found.compute()
    assert sum(fetched) < 0.3 * path.stat().st_size


def test_a_vrt_in_a_store_finds_its_parts(maps, tmp_path, memory):
    path = maps.degree_tile(tmp_path / "part.tif", 45, 9)
    step = 1 / 360
    vrt = f"""<VRTDataset rasterXSize="360" rasterYSize="360"><SRS>EPSG:4326</SRS>
    <GeoTransform>{9 - step / 2}, {step}, 0, {46 + step / 2}, 0, {-step}</GeoTransform>
    <VRTRasterBand dataType="Float32" band="1"><SimpleSource>
    <SourceFilename relativeToVRT="1">part.tif</SourceFilename><SourceBand>1</SourceBand>
    </SimpleSource></VRTRasterBand></VRTDataset>"""
    (tmp_path / "all.vrt").write_text(vrt)
    grid = Grid("EPSG:32632", 540000.0, 5060000.0, 60.0, 60, 60)
    expected = Elevation("raster", str(path)).open(grid, 0.0, 60.0).values
    for name in ("all.vrt", "part.tif"):
        open_store(memory).put_file(tmp_path / name, name)
    for root in (str(tmp_path), memory):
        found = Elevation("raster", f"{root}/all.vrt").open(grid, 0.0, 60.0)
        np.testing.assert_array_equal(found.values, expected)


class _Server(BaseHTTPRequestHandler):
    """Files below a folder; refuses ranges or stumbles when told to."""

    folder = Path()
    ranges = True
    stumbles = 0

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, *, body):
        server = type(self)
        path = server.folder / self.path.lstrip("/").partition("?")[0]
        if not path.is_file():
            self.send_error(404)
            return
        if body and server.stumbles:
            server.stumbles -= 1
            self.send_error(503)
            return
        data = path.read_bytes()
        wanted = self.headers.get("Range")
        if wanted and server.ranges:
            low, high = wanted.removeprefix("bytes=").split("-")
            part = data[int(low) : int(high or len(data)) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {low}-{high}/{len(data)}")
        else:
            part = data
            self.send_response(200)
        if server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if body:
            self.wfile.write(part)

    @override
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    handler = type("Handler", (_Server,), {"folder": tmp_path})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield handler, f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("ranges", [True, False])
def test_web_servers(maps, tmp_path, server, monkeypatch, ranges):
    handler, url = server
    expected = four(maps, tmp_path / "dem").open(CORNER, 0.0, 60.0).values
    handler.ranges, handler.stumbles = ranges, 2
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    found = Elevation("copernicus-30", f"{url}/dem").open(CORNER, 0.0, 60.0)
    np.testing.assert_array_equal(found.values, expected)
    assert handler.stumbles == 0


def test_a_store_that_stays_away_is_named(maps, tmp_path, server, monkeypatch):
    handler, url = server
    maps.degree_tile(tmp_path / "a.tif", 45, 9)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    handler.stumbles = 1000
    with pytest.raises(UnavailableError, match=r"does not answer: http.*/a\.tif"):
        Elevation("raster", f"{url}/a.tif?secret=1").open(CORNER, 0.0, 60.0)


def test_what_is_no_raster_is_refused(maps, tmp_path, memory):
    with pytest.raises(InputError, match=r"no such file: .*nothing\.tif"):
        Elevation("raster", str(tmp_path / "nothing.tif")).open(CORNER, 0.0, 60.0)
    with pytest.raises(InputError, match="no such file"):
        Elevation("raster", f"{memory}/nothing.tif").open(CORNER, 0.0, 60.0)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"raster cannot be read: .*text\.tif"):
        Elevation("raster", str(tmp_path / "text.tif")).open(CORNER, 0.0, 60.0)
    with pytest.raises(UsageError, match="not a folder"):
        Elevation("raster", f"{tmp_path}/").open(CORNER, 0.0, 60.0)
    whole = maps.degree_tile(tmp_path / "whole.tif", 45, 9, rows=2000, cols=2000)
    data = whole.read_bytes()
    south = Grid("EPSG:32632", 540000.0, 5000000.0, 60.0, 100, 100)
    for root in (tmp_path, memory):
        open_store(root).write("cut.tif", data[: len(data) // 2])
        found = Elevation("raster", f"{root}/cut.tif").open(south, 0.0, 60.0)
        with pytest.raises(InputError, match=r"raster cannot be read: .*cut\.tif"):
            found.compute()


def test_rasters_without_place_are_refused(maps, tmp_path):
    values = np.ones((30, 40), np.float32)
    path = maps.write(tmp_path / "a.tif", values, 10, 50, 2, 2, crs=None)
    with pytest.raises(InputError, match="without a reference system"):
        Elevation("raster", str(path)).open(CORNER, 0.0, 60.0)
    path = maps.write(
        tmp_path / "b.tif", values, 0, 0, 1, 1, transform=rasterio.Affine(1, 0.2, 9, 0, -1, 50)
    )
    with pytest.raises(InputError, match="not north-up"):
        Elevation("raster", str(path)).open(CORNER, 0.0, 60.0)


@pytest.mark.realdata
def test_real_tile_against_another_processor(realdata):
    folder = realdata / "l1c_icor_smac_T31_20190411_north"
    with rasterio.open(folder / "ref_check_icor_S2_DEM.tif") as image:
        # Whole hundredths of a kilometre, cut off.
        theirs = image.read(1) * 10.0
        t = image.transform
        grid = Grid(str(image.crs), t.c, t.f, t.a, image.height, image.width)
    ours = Elevation("srtm", str(realdata / "dem")).open(grid, 0.0, 10.0).values
    assert ours.shape == theirs.shape
    # Two elevation models of wooded plains; SRTM includes some of the trees.
    assert abs(float(np.mean(ours)) - float(np.mean(theirs)) - 5.0) < 3.0
    assert 20.0 < ours.min() < ours.max() < 80.0


@pytest.mark.realdata
def test_real_tile_is_where_gdal_puts_it(realdata, tmp_path):
    with zipfile.ZipFile(realdata / "dem" / "N51E005.SRTMGL1.hgt.zip") as archive:
        path = archive.extract("N51E005.hgt", tmp_path)
    grid = Grid("EPSG:32631", 655360.0, 5686280.0, 10.0, 512, 512)
    ours = Elevation("srtm", str(realdata / "dem")).open(grid, 0.0, 10.0).values
    theirs = np.zeros(grid.shape, np.float32)
    with rasterio.open(path) as source:
        reproject(
            rasterio.band(source, 1),
            theirs,
            dst_transform=rasterio.Affine(*grid.transform),
            dst_crs=grid.crs,
            resampling=Resampling.cubic_spline,
            tolerance=0.0,
        )
    assert np.abs(ours - theirs).max() < 0.2

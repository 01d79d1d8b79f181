"""Slopes and elevations: what is put in comes back, flat tiles stay as they were."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from s2cloud.algorithms import terrain
from s2cloud.config import AerosolConfig, ProcessorConfig, SurfaceConfig, TerrainConfig
from s2cloud.model.bands import BANDS, Resolution
from s2cloud.model.errors import InputError
from s2cloud.model.grid import BLOCK_PX, Grid
from s2cloud.model.schema import GEOMETRY, OVERVIEW, TERRAIN, reflectance_path, terrain_path
from s2cloud.physics import gases, lut
from s2cloud.physics.angles import airmass
from s2cloud.physics.atmosphere import coefficients, surface_pressure
from s2cloud.processor import process

pytestmark = pytest.mark.usefixtures("small_blocks")

ULX, ULY = 600000.0, 5100000.0
N60, MARGIN = 60, 20
SZA, SAA, VZA, VAA = 60.0, 110.0, 5.0, 105.0
AOT = 0.2
SOIL = (0.06, 0.07, 0.10, 0.14, 0.18, 0.22, 0.24, 0.26, 0.27, 0.28, 0.0, 0.33, 0.28)
RHO = dict(zip(BANDS, SOIL, strict=True))
HEIGHT = 1000.0
EXACT = TerrainConfig(smoothing_m=0.0, limit=False)


def hills(x, y, height):
    """Elevation of places. [m]."""
    u, v = (x - ULX) / 900.0, (ULY - y) / 1100.0
    return 600.0 + height * np.sin(u) * np.cos(v)


def terrain_tree(height):
    fine = Grid("EPSG:32632", ULX, ULY, 20.0, N60 * 3, N60 * 3)
    wide = Grid("EPSG:32632", ULX - 60 * MARGIN, ULY + 60 * MARGIN, 60.0, *[N60 + 2 * MARGIN] * 2)
    nodes = {}
    resolutions: tuple[Resolution, ...] = (20, 60)
    for resolution, grid in zip(resolutions, (fine, wide), strict=True):
        z = hills(grid.x[None, :], grid.y[:, None], height).astype(np.float32)
        nodes[terrain_path(resolution)] = xr.Dataset(
            {"elevation": (("y", "x"), da.from_array(z, chunks=50))},
            coords={"y": grid.y, "x": grid.x},
        )
    return xr.DataTree.from_dict(nodes)


def simulated(make_l1c, height):
    """Uniform ground on hills, all bands at 20 m; written forwards with the equations at hand."""
    tree = make_l1c(n60=N60, single=20)
    geometry = tree[GEOMETRY].to_dataset()
    geometry["sun_angles"][0], geometry["sun_angles"][1] = SZA, SAA
    tree[GEOMETRY] = geometry
    grid = Grid("", ULX, ULY, 20.0, N60 * 3, N60 * 3)
    rim = 60 * 3
    wide = Grid("", ULX - 20 * rim, ULY + 20 * rim, 20.0, *[N60 * 3 + 2 * rim] * 2)
    whole = hills(wide.x[None, :], wide.y[:, None], height).astype(np.float32)
    inner = (slice(rim, -rim), slice(rim, -rim))
    z = whole[inner]
    slope, aspect = terrain.slope_aspect(whole, 20.0)
    cosine = terrain.cos_incidence(slope, aspect, SZA, SAA)[inner]
    sky = terrain.sky_view(whole, 20.0)[inner]
    lit = ~terrain.cast_shadow(whole, 20.0, SZA, SAA)[inner] & (cosine > 0)
    c = np.maximum(cosine, 0.0) / np.cos(np.radians(SZA))
    table = lut.load("S2A")
    pressure = surface_pressure(z, 1015.0)
    for name in BANDS:
        optics = table.evaluate(
            name, sza=SZA, vza=VZA, raa=SAA - VAA, aot550=AOT, pressure=pressure
        )
        gas = gases.transmittance(
            "S2A", name, airmass=airmass(SZA, VZA), tcwv=18.0, tco3=320.0, pressure=pressure
        )
        air = coefficients(optics, gas)
        clean = table.evaluate(name, sza=SZA, vza=VZA, raa=SAA - VAA, aot550=0.0, pressure=pressure)
        power = np.cos(np.radians(VZA)) / np.cos(np.radians(SZA))
        beam, beam_clean = (o.transmittance_up_direct**power for o in (optics, clean))
        molecules = (clean.transmittance_down - beam_clean) / (optics.transmittance_down - beam)
        ring = np.sqrt(beam) * (1 - molecules) + 0.14 * molecules
        direct = beam / optics.transmittance_down
        # What hides the sun leaves 0.6 of the light around it.
        even = 1 - ring * np.where(lit, 1.0, 0.4)
        light = lit * direct * c + (1 - direct) * (lit * ring * c + even * sky)
        light = light + (1 - sky) * ndimage.uniform_filter(RHO[name] * light, 61)
        level = RHO[name] * light
        toa = air.path + level / (1 - air.spherical_albedo * level) / air.gain
        if name == "b10":
            toa = np.full(z.shape, 0.002)
        counts = np.rint((toa + 0.1) * 1e4).astype(np.uint16)
        node = tree[reflectance_path(20)].to_dataset()
        node[name] = (("y", "x"), da.from_array(counts, chunks=70), node[name].attrs)
        tree[reflectance_path(20)] = node
        means = np.rint(counts.reshape(N60, 3, N60, 3).mean(axis=(1, 3))).astype(np.uint16)
        over = tree[f"{OVERVIEW}/r60m"].to_dataset()
        over[name] = (("y", "x"), da.from_array(means), over[name].attrs)
        tree[f"{OVERVIEW}/r60m"] = over
    assert grid.shape == z.shape
    return tree, lit, c


def config(**options):
    return ProcessorConfig(
        aerosol=AerosolConfig(method="constant", fallback_aot550=AOT),
        surface=SurfaceConfig(adjacency_km=0.0),
        terrain=options.get("terrain", EXACT),
    )


def band(tree, name, resolution=20):
    with dask.config.set(scheduler="sync"):
        return tree[f"measurements/reflectance/r{resolution}m/{name}"].values


@pytest.fixture(scope="module")
def hilly(make_l1c):
    return simulated(make_l1c, HEIGHT)


def test_uniform_ground_on_hills_comes_back_uniform(hilly):
    tree, lit, c = hilly
    found = process(tree, terrain_tree(HEIGHT), config=config())
    plain = process(tree, config=config())
    # Shadows are cast on 60 m pixels: their edges are not compared.
    bright = ndimage.binary_erosion(lit, iterations=5) & (c > 0.4)
    shadow = ndimage.binary_erosion(~lit, iterations=5)
    assert shadow.mean() > 0.05
    for name in ("b02", "b04", "b8a"):
        corrected, level = band(found, name), band(plain, name)
        assert np.std(level[bright]) > 0.2 * RHO[name]
        assert np.std(corrected[bright]) < 0.02 * RHO[name], name
        np.testing.assert_allclose(corrected[bright].mean(), RHO[name], rtol=0.01)
        # The shadow has the light of the sky only, a fifth to a twentieth of that in the sun.
        np.testing.assert_allclose(np.median(corrected[shadow]), RHO[name], rtol=0.1)


def test_flat_terrain_changes_nothing_but_the_elevation(make_l1c):
    tree = make_l1c(n60=N60)
    old = xr.DataTree.from_dict({TERRAIN: xr.Dataset({"elevation": ((), 600.0)})})
    flat, plain = process(tree, terrain_tree(0.0)), process(tree, old)
    for resolution, name in ((10, "b02"), (20, "b11"), (60, "b01")):
        np.testing.assert_array_equal(band(flat, name, resolution), band(plain, name, resolution))


def test_any_chunking_gives_the_same_bits_on_hills(make_l1c, monkeypatch):
    reference = process(make_l1c(n60=N60, chunk=-1), terrain_tree(HEIGHT))
    names = ((10, "b02"), (20, "b11"), (60, "b01"))
    wanted = [band(reference, name, resolution) for resolution, name in names]
    for sizes in ((60, 30, 10), (1830, 915, 305)):
        for resolution, size in zip((10, 20, 60), sizes, strict=True):
            monkeypatch.setitem(BLOCK_PX, resolution, size)
        found = process(make_l1c(n60=N60, chunk=64), terrain_tree(HEIGHT))
        for (resolution, name), values in zip(names, wanted, strict=True):
            np.testing.assert_array_equal(band(found, name, resolution), values)


def test_switched_off_terrain_is_not_used(hilly):
    tree, _, _ = hilly
    off = process(tree, terrain_tree(HEIGHT), config=config(terrain=TerrainConfig(enabled=False)))
    np.testing.assert_array_equal(band(off, "b04"), band(process(tree, config=config()), "b04"))


def test_limit_darkens_what_the_sun_hardly_reaches(hilly):
    tree, lit, c = hilly
    aux = terrain_tree(HEIGHT)
    options = TerrainConfig(smoothing_m=0.0, limit_incidence=None)
    free = band(process(tree, aux, config=config()), "b04")
    held = band(process(tree, aux, config=config(terrain=options)), "b04")
    # The rim of the tile has no terrain beyond it: its slopes are those of half a pixel.
    inner = np.zeros(lit.shape, dtype=bool)
    inner[2:-2, 2:-2] = True
    steep = inner & lit & (c > 0.05) & (c < 0.5)
    sunny = inner & (c > 0.7)
    np.testing.assert_array_equal(held[sunny], free[sunny])
    assert (held[steep] < free[steep]).all()
    assert (held[steep] > 0.2 * free[steep]).all()


def test_terrain_that_lies_elsewhere_is_refused(make_l1c):
    aux = terrain_tree(100.0)
    moved = aux[terrain_path(60)].to_dataset()
    aux[terrain_path(60)] = moved.assign_coords(x=moved["x"] + 7000.0)
    with pytest.raises(InputError, match=r"terrain model does not fit.*r60m"):
        process(make_l1c(n60=N60), aux)


def test_without_fine_elevations_only_the_cells_know_the_height(make_l1c, caplog):
    aux = terrain_tree(HEIGHT)
    only = xr.DataTree.from_dict({terrain_path(60): aux[terrain_path(60)].to_dataset()})
    tree = make_l1c(n60=N60)
    found = band(process(tree, only), "b02", 60)
    assert "slopes are not corrected" in caplog.text
    difference = found - band(process(tree), "b02", 60)
    assert np.nanstd(difference) > 0.001

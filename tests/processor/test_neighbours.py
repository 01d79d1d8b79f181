"""Ground beyond the tile: two halves beside each other give what one tile gives."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from pyproj import Transformer

from s2cloud.config import AerosolConfig, ProcessorConfig, SurfaceConfig
from s2cloud.io.open import open_l1c
from s2cloud.model.errors import InputError
from s2cloud.model.granule import granule
from s2cloud.model.schema import OVERVIEW, reflectance_path
from s2cloud.processor import process
from s2cloud.processor.plan import Plan
from s2cloud.simulation import simulate_l1c

#: Side of the scene and column of the cut. [60 m pixel]
SIZE, CUT = 120, 60
CONSTANT = ProcessorConfig(aerosol=AerosolConfig(method="constant", fallback_aot550=0.2))


def moved(tree, east, north=0.0, crs="EPSG:32632"):
    """The same product somewhere else."""
    nodes = {}
    for node in tree.subtree:
        data = node.to_dataset(inherit=False)
        if "x" in data.coords and "y" in data.coords:
            data = data.assign_coords(x=data["x"] + east, y=data["y"] + north)
        if "crs" in data.attrs:
            data.attrs = {**data.attrs, "crs": crs}
        nodes[node.path] = data
    other = xr.DataTree.from_dict(nodes, name=tree.name)
    other.attrs = dict(tree.attrs)
    return other


def refused(variable):
    def fail(block):
        raise AssertionError("pixels of a neighbour were read")

    return da.map_blocks(fail, variable.data, dtype=variable.dtype, meta=np.empty((0, 0), "u2"))


def part(tree, columns):
    """Part of an L1C tree, as if it were a product of its own."""
    nodes = {}
    for node in tree.subtree:
        data = node.to_dataset(inherit=False)
        for path, factor in ((reflectance_path(10), 6), (reflectance_path(20), 3)):
            if node.path == f"/{path}":
                data = data.isel(x=slice(columns.start * factor, columns.stop * factor))
        overview = (reflectance_path(60), f"{OVERVIEW}/r60m", "conditions/mask/detector_footprint")
        if any(node.path.startswith(f"/{name}") for name in overview) and "x" in data.sizes:
            data = data.isel(x=columns)
        nodes[node.path] = data
    cut = xr.DataTree.from_dict(nodes, name=tree.name)
    cut.attrs = dict(tree.attrs)
    return cut


def bands_of(tree, names=("b02", "b04", "b8a")):
    found = {}
    with dask.config.set(scheduler="threads"):
        for name in names:
            resolution = 20 if name == "b8a" else 10
            found[name] = tree[f"measurements/reflectance/r{resolution}m/{name}"].values
    return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neighbours")
    made = simulate_l1c(folder, size=SIZE * 6, scene="clear", sza=40.0, seed=5, aot550=0.2)
    return open_l1c(made.uri)


def test_two_halves_give_what_the_whole_gives(scene):
    left, right = part(scene, slice(0, CUT)), part(scene, slice(CUT, SIZE))
    whole = bands_of(process(scene, config=CONSTANT))
    beside = process(left, neighbours=[right], config=CONSTANT)
    assert beside.attrs["provenance"]["neighbours"] == [granule(right).name]
    with_it, alone = bands_of(beside), bands_of(process(left, config=CONSTANT))
    for name, wanted in whole.items():
        width, size = alone[name].shape[1], 20 if name == "b8a" else 10
        # Within half a cell of the border nothing is left to interpolate with.
        rim = slice(width - 600 // size, width - 150 // size)
        new, old = (np.abs(f[name] - wanted[:, :width])[:, rim] for f in (with_it, alone))
        assert np.nanmedian(new) < 2e-4, name
        assert np.nanquantile(new, 0.99) < 1e-3, name
        assert np.nanmedian(new) < 0.25 * np.nanmedian(old), name
        edge = slice(width - 150 // size, width)
        assert np.nanmedian(np.abs(with_it[name] - wanted[:, :width])[:, edge]) < 5e-4, name


def test_only_the_overview_of_a_neighbour_is_read(make_l1c):
    other = moved(make_l1c(), 90 * 60.0)
    for resolution in (10, 20):
        node = other[reflectance_path(resolution)].to_dataset()
        for name in node.data_vars:
            node[name] = (("y", "x"), refused(node[name]), node[name].attrs)
        other[reflectance_path(resolution)] = node
    found = process(make_l1c(), neighbours=[other], config=CONSTANT)
    assert np.isfinite(bands_of(found, ("b02",))["b02"]).any()


def test_another_day_or_place_is_refused(make_l1c):
    late = moved(make_l1c(), 90 * 60.0)
    late.attrs["granule"] = late.attrs["granule"] | {"sensing_time": "2025-06-04T10:16:01+00:00"}
    with pytest.raises(InputError, match="not of the same overpass"):
        process(make_l1c(), neighbours=[late])
    with pytest.raises(InputError, match="does not lie near"):
        process(make_l1c(), neighbours=[moved(make_l1c(), 200_000.0)])
    # Without adjacency nobody is asked.
    off = ProcessorConfig(surface=SurfaceConfig(adjacency_km=0.0))
    assert (
        process(make_l1c(), neighbours=[late], config=off).attrs["provenance"]["neighbours"] == []
    )


def test_neighbour_of_another_zone_is_brought_here(make_l1c):
    # Ten kilometres to the east, on the grid of zone 33, where it stands aslant.
    own = make_l1c()
    to = Transformer.from_crs("EPSG:32632", "EPSG:32633", always_xy=True)
    x, y = to.transform(600000.0 + 90 * 60.0 - 500.0, 5100000.0 + 200.0)
    other = moved(make_l1c(), x - 600000.0, y - 5100000.0, "EPSG:32633")
    given = dask.compute(Plan(own, CONSTANT, [other]).scene_input, scheduler="sync")[0]
    beyond = given.beyond
    known = np.isfinite(beyond.toa[1])
    rows, cols = np.nonzero(known)
    margin, cells = beyond.margin, given.cells[1]
    assert cols.min() >= margin + cells
    assert cols.max() <= margin + 2 * cells
    assert abs(np.median(rows) - margin - given.cells[0] / 2) < 2
    assert known.sum() > 0.7 * cells**2


def test_clouds_of_neighbours_are_not_taken_for_ground(make_l1c):
    given = dask.compute(
        Plan(make_l1c(), CONSTANT, [moved(make_l1c(), 90 * 60.0)]).scene_input, scheduler="sync"
    )[0]
    toa = given.beyond.toa[1]
    assert np.isfinite(toa).sum() > 150
    assert np.nanmax(toa) < 0.2  # the cloud has 0.6

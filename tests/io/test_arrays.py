"""Trees from arrays: counts, grids, angles and conditions as a product would have them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from s2cloud.io.arrays import l1c_from_bands
from s2cloud.model.bands import BANDS
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.granule import granule
from s2cloud.model.grid import grid_of

GIVEN: dict[str, Any] = {
    "sensor": "S2B",
    "time": "2024-07-01T10:30",
    "sza": 30.0,
    "saa": 150.0,
    "vza": 5.0,
    "vaa": 100.0,
}
R10, R20, R60 = (f"measurements/reflectance/r{r}m" for r in (10, 20, 60))
OVERVIEW = "measurements/overview/r60m"


def chip(height=60, width=90, names=BANDS, value=0.2, **coords) -> xr.Dataset:
    pixels = np.full((height, width), value)
    return xr.Dataset(dict.fromkeys(names, (("y", "x"), pixels)), coords=coords)


def native(cells: int = 4, dtype="float64") -> dict[int, xr.Dataset]:
    names = {10: ("B02", "B04"), 20: ("B05", "B8A"), 60: ("B09",)}
    return {r: chip(cells * 60 // r, cells * 60 // r, names[r]) for r in names}


def test_reflectances_become_counts():
    ds = chip(2, 3, ["B04"])
    ds["B04"].values[:] = [[np.nan, -0.2, -0.1], [0.0, 0.12345, 9.0]]
    band = l1c_from_bands(ds, **GIVEN)[R10]["b04"]
    assert band.to_numpy().tolist() == [[0, 1, 1], [1000, 2235, 65534]]
    assert band.dtype == np.uint16
    assert band.attrs["scale_factor"] == 1e-4
    assert band.attrs["add_offset"] == -0.1
    assert band.attrs["_FillValue"] == 0


def test_quantisation_is_as_fine_as_half_a_count():
    values = np.random.default_rng(0).uniform(0, 1.2, (50, 50))
    ds = xr.Dataset({"B04": (("y", "x"), values.astype(np.float32))})
    band = l1c_from_bands(ds, **GIVEN)[R10]["b04"]
    assert np.abs(band.to_numpy() * 1e-4 - 0.1 - values).max() < 0.50001e-4 + 1e-7


@pytest.mark.parametrize("place", ["attrs", "encoding"])
def test_counts_stay_as_they_are(place):
    ds = xr.Dataset({"B04": (("y", "x"), np.array([[0, 1], [1500, 9999]], np.int16))})
    getattr(ds["B04"], place).update({"scale_factor": 2e-4, "add_offset": 0.0})
    band = l1c_from_bands(ds, **GIVEN)[R10]["b04"]
    assert band.to_numpy().tolist() == [[0, 1], [1500, 9999]]
    assert (band.attrs["scale_factor"], band.attrs["add_offset"]) == (2e-4, 0.0)


def test_another_fill_value_becomes_zero():
    attrs = {"scale_factor": 1e-4, "add_offset": 0.0, "_FillValue": -9999}
    ds = xr.Dataset({"B04": (("y", "x"), np.array([[-9999, 7]], np.int16), attrs)})
    ds = xr.concat([ds, ds], "y")
    assert l1c_from_bands(ds, **GIVEN)[R10]["b04"].to_numpy().tolist() == [[0, 7], [0, 7]]


def test_counts_without_a_scale_are_refused():
    ds = xr.Dataset({"B04": (("y", "x"), np.ones((4, 4), np.uint16))})
    with pytest.raises(InputError, match=r"counts without scale: b04.*Fix:"):
        l1c_from_bands(ds, **GIVEN)


def test_names_in_any_usual_spelling():
    tree = l1c_from_bands(chip(names=["B8A", "b4", "B02", "band11", "9"]), **GIVEN)
    assert sorted(tree[R10].data_vars) == ["b02", "b04", "b09", "b11", "b8a"]
    assert tree.attrs["missing_bands"] == [b for b in BANDS if b not in tree[R10].data_vars]
    with pytest.raises(UsageError, match="not a Sentinel-2 band"):
        l1c_from_bands(chip(names=["red"]), **GIVEN)
    with pytest.raises(UsageError, match="no bands"):
        l1c_from_bands(xr.Dataset({"B04": (("lat", "lon"), np.ones((3, 3)))}), **GIVEN)


@pytest.mark.parametrize(
    ("pixel_size", "node", "factor"),
    [(10.0, 10, 6), (20.0, 20, 3), (60.0, 60, 1), (8.0, 10, 8), (300.0, 60, 1)],
)
def test_one_grid_goes_to_the_nearest_node(pixel_size, node, factor):
    tree = l1c_from_bands(chip(61, 90), pixel_size=pixel_size, **GIVEN)
    path = f"measurements/reflectance/r{node}m"
    assert len(tree[path].data_vars) == 13
    grid, small = (grid_of(tree[p].to_dataset()) for p in (path, OVERVIEW))
    assert grid.pixel_size == pixel_size
    assert small.shape == (-(-61 // factor), -(-90 // factor))
    assert (small.ulx, small.uly) == (grid.ulx, grid.uly)
    assert (tree[OVERVIEW]["b02"].to_numpy() == 3000).all()


def test_partial_blocks_of_the_overview_are_means_of_what_is_there():
    ds = chip(8, 7, ["B04"])
    ds["B04"].values[6:, 6:] = 0.4
    ds["B04"].values[0, 0] = np.nan
    small = l1c_from_bands(ds, **GIVEN)[OVERVIEW]["b04"].to_numpy()
    assert small.tolist() == [[0, 3000], [3000, 5000]]


def test_coordinates_are_kept():
    x, y = 399960 + 5 + 10.0 * np.arange(90), 4200000 - 5 - 10.0 * np.arange(60)
    ds = chip(x=x, y=y).assign_attrs(crs="EPSG:32610")
    tree = l1c_from_bands(ds, **GIVEN)
    assert grid_of(tree[R10].to_dataset()).ulx == 399960
    assert tree[R10].attrs["crs"] == "EPSG:32610"
    assert granule(tree).bbox == pytest.approx((-124.13, 37.94, -124.12, 37.95), abs=0.02)
    assert l1c_from_bands(ds, crs="EPSG:32611", **GIVEN)[R10].attrs["crs"] == "EPSG:32611"
    with pytest.raises(InputError, match="north-up"):
        l1c_from_bands(ds.isel(y=slice(None, None, -1)), **GIVEN)


@pytest.mark.parametrize("form", ["numbers", "nodes", "tree"])
def test_native_grids(form):
    given: Any = native()
    if form == "nodes":
        given = {f"r{r}m": ds for r, ds in given.items()}
    elif form == "tree":
        given = xr.DataTree.from_dict(
            {f"measurements/reflectance/r{r}m": d for r, d in given.items()}
        )
    tree = l1c_from_bands(given, **GIVEN)
    assert [sorted(tree[node].data_vars) for node in (R10, R20, R60)] == [
        ["b02", "b04"],
        ["b05", "b8a"],
        ["b09"],
    ]
    assert len({grid_of(tree[node].to_dataset()).bounds for node in (R10, R20, R60, OVERVIEW)}) == 1
    assert dict(tree[OVERVIEW].sizes) == {"y": 4, "x": 4}
    assert sorted(tree[OVERVIEW].data_vars) == ["b02", "b04", "b05", "b09", "b8a"]


def test_a_tree_of_its_own_can_be_given_back():
    tree = l1c_from_bands(native(), **GIVEN)
    again = l1c_from_bands(tree, **GIVEN)
    for node in (R10, R20, R60, OVERVIEW):
        xr.testing.assert_identical(tree[node].to_dataset(), again[node].to_dataset())


def test_native_grids_must_nest():
    given = native()
    given[20] = given[20].isel(x=slice(0, 11))
    with pytest.raises(InputError, match=r"grids do not nest.*expected 12 x 12"):
        l1c_from_bands(given, **GIVEN)
    with pytest.raises(UsageError, match="no native grids"):
        l1c_from_bands({"fine": given[10]}, **GIVEN)


def test_dask_arrays_stay_lazy_in_blocks():
    def never(block):
        raise AssertionError("computed")

    lazy = da.zeros((4000, 2000), chunks=1000).map_blocks(never, dtype=float, meta=np.empty((0, 0)))
    tree = l1c_from_bands(xr.Dataset({"B04": (("y", "x"), lazy)}), **GIVEN)
    assert tree[R10]["b04"].chunks == ((1830, 1830, 340), (1830, 170))
    assert tree[OVERVIEW]["b04"].chunks == ((667,), (334,))


def test_the_overview_of_many_chunks():
    values = np.random.default_rng(1).uniform(0.1, 0.5, (370, 250))
    ds = xr.Dataset({"B04": (("y", "x"), da.from_array(values, chunks=100))})
    tree = l1c_from_bands(ds, **GIVEN)
    counts = tree[R10]["b04"].to_numpy()[:366, :246].reshape(61, 6, 41, 6).mean((1, 3))
    small = tree[OVERVIEW]["b04"].to_numpy()
    assert np.abs(small[:61, :41] - counts).max() <= 0.5


# -- angles ---------------------------------------------------------------------------------------


def geometry(**angles) -> xr.Dataset:
    tree = l1c_from_bands(chip(), **{**GIVEN, **angles})
    return tree["conditions/geometry"].to_dataset()


def test_numbers_cover_the_data():
    found = geometry()
    assert found["x"].values.tolist() == [0.0, 900.0]
    assert found["y"].values.tolist() == [600.0, 0.0]
    assert (found["sun_angles"].sel(angle="azimuth") == 150).all()
    assert (found["viewing_incidence_angles"].sel(angle="zenith") == 5).all()
    assert found["mean_sun_angles"].values == pytest.approx([30, 150])
    assert found["mean_viewing_incidence_angles"].sel(band="b12").values == pytest.approx([5, 100])


@pytest.mark.parametrize("form", ["mapping", "sequence", "array"])
def test_one_angle_per_band(form):
    values = np.arange(13) + 1.0
    vza = {
        "mapping": {b.upper(): v for b, v in zip(BANDS, values, strict=True)},
        "sequence": values.tolist(),
        "array": xr.DataArray(values, dims="band", coords={"band": list(BANDS)}),
    }[form]
    found = geometry(vza=vza)["mean_viewing_incidence_angles"].sel(angle="zenith")
    assert found.values == pytest.approx(values)


def test_bands_without_angle_are_nan():
    found = geometry(vza={"b02": 3.0})["mean_viewing_incidence_angles"].sel(angle="zenith")
    assert np.isfinite(found.values).sum() == 1


def test_tie_points():
    coords = {"y": [700.0, 300.0, -100.0], "x": [-100.0, 1000.0]}
    sza = xr.DataArray(np.arange(6.0).reshape(3, 2) + 30, dims=("y", "x"), coords=coords)
    found = geometry(sza=sza)
    assert found["sun_angles"].sel(angle="zenith").values[2].tolist() == [34.0, 35.0]
    assert found["viewing_incidence_angles"].shape == (13, 1, 2, 3, 2)
    with pytest.raises(UsageError, match="different tie points"):
        geometry(sza=sza, saa=sza.assign_coords(x=[0.0, 5.0]))
    with pytest.raises(UsageError, match="tie points without place"):
        geometry(sza=sza.drop_vars("x"))


def test_azimuths_are_averaged_across_north():
    coords = {"y": [600.0, 0.0], "x": [0.0, 900.0]}
    saa = xr.DataArray([[350.0, 10.0], [350.0, 10.0]], dims=("y", "x"), coords=coords)
    mean = float(geometry(saa=saa)["mean_sun_angles"].sel(angle="azimuth"))
    assert min(mean, 360 - mean) < 1e-9


def test_a_wrong_number_of_angles():
    with pytest.raises(UsageError, match="wrong number of angles: vza"):
        geometry(vza=[1.0, 2.0])


# -- conditions and identity ----------------------------------------------------------------------


def test_the_atmosphere_is_as_in_a_product():
    tree = l1c_from_bands(chip(), tcwv=20.0, tco3=300.0, pressure=1013.25, aot550=0.1, **GIVEN)
    ecmwf = tree["conditions/meteorology/ecmwf"].to_dataset()
    assert float(ecmwf["tcwv"].mean()) == 20
    assert float(ecmwf["tco3"].mean()) == pytest.approx(300 * 2.1415e-5)
    assert float(ecmwf["msl"].mean()) == 101325
    assert ecmwf["msl"].dims == ("latitude", "longitude")
    assert float(tree["conditions/meteorology/cams/aod550"].mean()) == pytest.approx(0.1)
    assert "/conditions/meteorology" not in l1c_from_bands(chip(), **GIVEN).groups


def test_elevation():
    path = "conditions/terrain/elevation"
    assert float(l1c_from_bands(chip(), elevation=512.0, **GIVEN)[path]) == 512
    heights = np.arange(5400.0).reshape(60, 90)
    found = l1c_from_bands(chip(), elevation=heights, **GIVEN)[path]
    np.testing.assert_array_equal(found, heights)
    assert isinstance(found, xr.DataArray)
    assert found["x"].values[0] == 5.0
    again = l1c_from_bands(chip(), elevation=found, **GIVEN)[path]
    assert again.attrs["units"] == "m"
    with pytest.raises(UsageError, match="elevation does not fit"):
        l1c_from_bands(chip(), elevation=heights[:5], **GIVEN)


@pytest.mark.parametrize(
    "time",
    [
        "2024-07-01T10:30:00Z",
        "2024-07-01T10:30",
        datetime(2024, 7, 1, 10, 30),  # noqa: DTZ001  # naive is taken as UTC
        datetime(2024, 7, 1, 10, 30, tzinfo=UTC),
        np.datetime64("2024-07-01T10:30:00.000000000"),
    ],
)
def test_identity(time):
    tree = l1c_from_bands(
        chip(), **{**GIVEN, "time": time}, tile="32TPS", baseline="05.11", name="chip 7"
    )
    found = granule(tree)
    assert found.sensing_time == datetime(2024, 7, 1, 10, 30, tzinfo=UTC)
    assert (found.name, found.tile, found.baseline, found.sensor) == (
        "chip 7",
        "32TPS",
        "05.11",
        "S2B",
    )
    assert tree.attrs["earth_sun_correction"] == pytest.approx(0.9675, abs=5e-4)
    assert tree.attrs["solar_irradiance"][1] == 1959.75


def test_unknown_sensors_are_refused():
    with pytest.raises(InputError, match="unknown sensor"):
        l1c_from_bands(chip(), **{**GIVEN, "sensor": "L8"})


def test_more_than_two_dimensions():
    pixels = np.full((2, 4, 4), 0.1)
    ds = xr.Dataset({"B04": (("time", "y", "x"), pixels)})
    assert l1c_from_bands(ds.isel(time=[0]), **GIVEN)[R10]["b04"].shape == (4, 4)
    with pytest.raises(InputError, match="more than two dimensions"):
        l1c_from_bands(ds, **GIVEN)

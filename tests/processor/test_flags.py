"""Flags of pixels, and the numbers of a scene."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from s2cloud.config import AerosolConfig, ProcessorConfig, SurfaceConfig
from s2cloud.model.schema import (
    DETECTOR_FOOTPRINT,
    FLAGS,
    GEOMETRY,
    OVERVIEW,
    Flag,
    reflectance_path,
)
from s2cloud.processor import process

pytestmark = pytest.mark.usefixtures("small_blocks")


def flags_of(tree):
    with dask.config.set(scheduler="sync"):
        return tree[f"{FLAGS}/r20m/flags"].values


def numbers_of(tree):
    node = tree["quality/retrieval"].to_dataset()
    with dask.config.set(scheduler="sync"):
        return {name: float(value) for name, value in node.compute().data_vars.items()}


def state_of(tree):
    variable = tree["quality/retrieval/cirrus_correction"]
    return variable.attrs["flag_meanings"].split()[int(numbers_of(tree)["cirrus_correction"])]


def replaced(tree, path, name, change):
    node = tree[path].to_dataset()
    values = change(np.array(node[name].values))
    node[name] = (node[name].dims, da.from_array(values, chunks=60), node[name].attrs)
    tree[path] = node


def test_meanings_belong_to_the_bits(make_l1c):
    variable = process(make_l1c())[f"{FLAGS}/r20m/flags"]
    assert variable.dtype == np.uint16
    meanings = variable.attrs["flag_meanings"].split()
    masks = dict(zip(meanings, variable.attrs["flag_masks"], strict=True))
    assert masks["valid"] == 1
    assert masks["terrain_shadow"] == int(Flag.TERRAIN_SHADOW)
    assert len(set(masks.values())) == len(Flag)


def test_a_usual_pixel_is_valid_and_nothing_else(make_l1c):
    found = flags_of(process(make_l1c()))
    assert (found[:12, :21] == 0).all()
    assert (found[20:, 30:] == Flag.VALID).all()


def test_saturated_in_any_band(make_l1c):
    tree = make_l1c()

    def burn(values):
        values[300:304, 400:402] = 65535
        return values

    replaced(tree, reflectance_path(10), "b03", burn)
    found = flags_of(process(tree))
    saturated = (found & Flag.SATURATED) != 0
    assert saturated[150:152, 200].all()
    assert saturated.sum() == 2


def test_low_sun_thick_aerosol_and_what_the_table_does_not_hold(make_l1c):
    tree = make_l1c()
    geometry = tree[GEOMETRY].to_dataset()
    geometry["sun_angles"][0] = 82.0
    tree[GEOMETRY] = geometry
    haze = AerosolConfig(method="constant", fallback_aot550=1.5)
    found = flags_of(process(tree, config=ProcessorConfig(aerosol=haze)))[30, 40]
    for flag in (Flag.SZA_ABOVE_70, Flag.AOT_ABOVE_1, Flag.OUTSIDE_LUT):
        assert found & flag, flag


def test_adjacency_that_is_off_says_so(make_l1c):
    off = ProcessorConfig(surface=SurfaceConfig(adjacency_km=0.0))
    tree = process(make_l1c(), config=off)
    assert (flags_of(tree)[20:, 30:] & Flag.ADJACENCY_OFF != 0).all()
    assert numbers_of(tree)["adjacency"] == 0
    assert numbers_of(process(make_l1c()))["adjacency"] == 1


def with_detectors(tree, odd, even):
    """Two detectors side by side whose directions differ."""
    geometry = tree[GEOMETRY].to_dataset()
    view = np.stack([np.full((3, 3), 5.0), np.full((3, 3), 105.0)])
    both = np.stack([view, view])[None].repeat(13, 0)
    both[:, 0, 0], both[:, 1, 0] = odd, even
    geometry = geometry.drop_vars("viewing_incidence_angles")
    geometry["viewing_incidence_angles"] = (("band", "detector", "angle", "y", "x"), both)
    tree[GEOMETRY] = geometry.assign_coords(detector=[3, 4])
    over = tree[f"{OVERVIEW}/r60m"].to_dataset()
    number = np.full((90, 90), 3, np.uint8)
    number[:, 50:] = 4
    tree[f"{DETECTOR_FOOTPRINT}/r60m"] = xr.Dataset(
        {n: (("y", "x"), da.from_array(number, chunks=70)) for n in ("b01", "b02", "b11")},
        coords={"y": over["y"], "x": over["x"]},
    )
    return tree


def band(tree, name, resolution):
    with dask.config.set(scheduler="sync"):
        return tree[f"measurements/reflectance/r{resolution}m/{name}"].values


@pytest.mark.parametrize("adjacency_km", [1.0, 0.0])
def test_each_pixel_has_the_direction_of_its_detector(make_l1c, adjacency_km):
    config = ProcessorConfig(
        aerosol=AerosolConfig(method="constant"),
        surface=SurfaceConfig(adjacency_km=adjacency_km),
    )
    plain = {zenith: make_l1c() for zenith in (4.0, 7.0)}
    for zenith, tree in plain.items():
        tree[GEOMETRY] = tree[GEOMETRY].to_dataset()
        tree[GEOMETRY]["viewing_incidence_angles"][:, :, 0] = zenith
    split = process(with_detectors(make_l1c(), 4.0, 7.0), config=config)
    for name, resolution in (("b02", 10), ("b11", 20), ("b01", 60)):
        border = 50 * 60 // resolution
        found = band(split, name, resolution)
        left, right = (band(process(t, config=config), name, resolution) for t in plain.values())
        jump = np.nanmedian(np.abs(left - right))
        # The surroundings are seen in the mean direction: a part of the jump.
        rtol = 1e-3 if adjacency_km else 1e-5
        atol = 2e-6 + (0.2 * jump if adjacency_km else 0.0)
        np.testing.assert_allclose(found[:, :border], left[:, :border], rtol, atol)
        np.testing.assert_allclose(found[:, border:], right[:, border:], rtol, atol)
        assert jump > (1e-3 if name != "b11" else 1e-5)


def test_border_between_detectors_is_flagged(make_l1c):
    edge = (flags_of(process(with_detectors(make_l1c(), 5.0, 6.0))) & Flag.DETECTOR_EDGE) != 0
    np.testing.assert_array_equal(np.flatnonzero(edge[100]), np.arange(49 * 3, 51 * 3))


def test_cirrus_is_taken_away_on_request_only(make_l1c):
    def veiled():
        tree = make_l1c()
        rng = np.random.default_rng(3)
        veil = np.kron(rng.random((18, 18)), np.ones((5, 5))) * 0.03
        for name, slope, path, factor in (
            ("b02", 1.25, reflectance_path(10), 6),
            ("b04", 1.25, reflectance_path(10), 6),
            ("b10", 1.0, reflectance_path(60), 1),
        ):
            added = np.rint(veil * slope * 1e4).astype(np.uint16)
            added[:20, :20] = 0
            fine = np.kron(added, np.ones((factor, factor), np.uint16))
            replaced(tree, path, name, lambda v, fine=fine: np.where(v > 0, v + fine, v))
            replaced(
                tree,
                f"{OVERVIEW}/r60m",
                name,
                lambda v, added=added: np.where(v > 0, v + added, v),
            )
        return tree

    off = ProcessorConfig(aerosol=AerosolConfig(method="constant"))
    on = off.model_copy(update={"surface": SurfaceConfig(cirrus_correction=True)})
    clear = band(process(make_l1c(), config=off), "b02", 60)
    left = band(process(veiled(), config=off), "b02", 60)
    tree = process(veiled(), config=on)
    found = band(tree, "b02", 60)
    inner = (slice(25, 60), slice(5, 50))
    assert np.mean(np.abs(found - clear)[inner]) < 0.35 * np.mean(np.abs(left - clear)[inner])
    assert 1.0 <= numbers_of(tree)["cirrus_slope"] <= 1.67
    assert (flags_of(tree) & Flag.CIRRUS_CORRECTED).any()
    assert state_of(tree) == "corrected"
    assert state_of(process(veiled(), config=off)) == "not_requested"
    high = veiled()
    high["conditions/terrain"] = xr.DataTree(xr.Dataset({"elevation": ((), 1600.0)}))
    assert state_of(process(high, config=on)) == "high_ground"
    dry = SurfaceConfig(cirrus_correction=True, cirrus_minimum_tcwv=20.0)
    skipped = process(veiled(), config=off.model_copy(update={"surface": dry}))
    assert numbers_of(skipped)["cirrus_slope"] == 0.0
    assert state_of(skipped) == "dry_air"
    assert not (flags_of(skipped) & Flag.CIRRUS_CORRECTED).any()
    np.testing.assert_array_equal(band(skipped, "b02", 60), left)

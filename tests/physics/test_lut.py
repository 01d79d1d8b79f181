"""Look-up tables: building, reading, interpolating."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from s2cloud.model.bands import BANDS, SENSORS
from s2cloud.model.errors import InputError, UsageError
from s2cloud.physics import lut, lut_build, lut_file, lut_lattice, lut_solver, rayleigh
from s2cloud.physics.aerosols import aerosol_model
from s2cloud.physics.lut_build import REDUCED
from s2cloud.physics.spectral import interpolation_weights

SHIPPED = Path(lut.__file__).parent / "data" / "lut_continental.npz"
POINT = {"sza": 40.0, "vza": 7.0, "raa": 100.0, "aot550": 0.2, "pressure": 1000.0}


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    """A folder with a table of few nodes, and what was reported while it was built."""
    folder = tmp_path_factory.mktemp("lut")
    calls = []
    file = lut_build.build(
        "continental", folder, reduced=True, progress=lambda *state: calls.append(state)
    )
    return file, calls


@pytest.fixture(scope="module")
def table():
    return lut.load("S2A")


def random_points(size, seed=1):
    rng = np.random.default_rng(seed)
    low = {"sza": 10.0, "vza": 0.0, "raa": 0.0, "aot550": 0.0, "pressure": 600.0}
    high = {"sza": 70.0, "vza": 12.0, "raa": 180.0, "aot550": 0.8, "pressure": 1030.0}
    return {name: rng.uniform(low[name], high[name], size) for name in low}


def test_two_builds_have_one_checksum(reduced, tmp_path):
    file, calls = reduced
    parts = len(REDUCED.aot550) * len(REDUCED.pressure)
    assert calls == [(i + 1, parts) for i in range(parts)]
    again = lut_build.build("continental", tmp_path, reduced=True)
    assert again.read_bytes() == file.read_bytes()


def test_an_interrupted_build_goes_on(reduced, tmp_path):
    file, _ = reduced
    shutil.copytree(file.parent / "parts", tmp_path / "parts")
    next((tmp_path / "parts").glob("rayleigh-*")).unlink()
    calls = []
    again = lut_build.build(
        "continental", tmp_path, reduced=True, progress=lambda *state: calls.append(state)
    )
    assert calls == [(len(REDUCED.aot550) * len(REDUCED.pressure),) * 2]
    assert again.read_bytes() == file.read_bytes()


def test_unknown_sensors_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no such sensor: S9Z"):
        lut_build.build("continental", tmp_path, sensors=["S9Z"], reduced=True)  # type: ignore[list-item]


def test_a_table_for_one_sensor(reduced, tmp_path):
    file, _ = reduced
    shutil.copytree(file.parent / "parts", tmp_path / "parts")
    lut_build.build("continental", tmp_path, sensors=["S2B"], reduced=True)
    one = lut.load("S2B", folder=tmp_path).evaluate("b02", **POINT)
    both = lut.load("S2B", folder=file.parent).evaluate("b02", **POINT)
    np.testing.assert_allclose(np.stack(one), np.stack(both), atol=1e-5)
    with pytest.raises(UsageError, match="does not hold this sensor"):
        lut.load("S2A", folder=tmp_path)


def test_file_keeps_values_within_its_promise(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"path": (2, 3, 4, 2, 5, 4, 6), "total": (2, 3, 4, 2, 5), "direct": (2, 3, 4, 2, 5)}
    arrays = {name: rng.random(shape) for name, shape in shapes.items()}
    arrays["albedo"] = rng.random((2, 3, 4, 2))
    found, metadata = lut_file.read(lut_file.write(tmp_path / "t.npz", arrays, {"a": [1]}))
    assert metadata["a"] == [1]
    for name, array in arrays.items():
        np.testing.assert_allclose(found[name], array, atol=8.5e-6)


def test_a_damaged_table_is_refused(reduced, tmp_path):
    with np.load(reduced[0]) as data:
        content = {name: data[name] for name in data.files}
    content["albedo_low"] = content["albedo_low"] ^ np.uint8(1)
    np.savez_compressed(tmp_path / "lut_continental.npz", **content)
    with pytest.raises(InputError, match="checksum of a look-up table"):
        lut.load("S2A", folder=tmp_path)


def test_a_truncated_table_is_refused(reduced, tmp_path):
    (tmp_path / "lut_cut.npz").write_bytes(reduced[0].read_bytes()[:5000])
    with pytest.raises(InputError, match="not a readable look-up table"):
        lut.load("S2A", "cut", folder=tmp_path)


def test_a_missing_table_is_named():
    with pytest.raises(UsageError, match=r"no look-up table.*s2cloud lut build"):
        lut.load("S2A", "moondust")


def test_shipped_table_is_complete(table):
    assert "continental" in lut.available()
    assert table.bounds == {
        "sza": (0.0, 80.0), "vza": (0.0, 15.0), "raa": (0.0, 180.0), "aot550": (0.0, 2.0),
        "pressure": (550.0, 1050.0),
    }  # fmt: skip
    assert SHIPPED.stat().st_size < 3_000_000


@pytest.mark.parametrize("sensor", SENSORS)
def test_every_band_is_plausible(sensor):
    table = lut.load(sensor)
    for band in BANDS:
        o = table.evaluate(band.upper(), **POINT)
        assert 0.0 < o.path_reflectance_rayleigh < o.path_reflectance < 0.2
        assert 0.5 < o.transmittance_up_direct < o.transmittance_up < 1.0
        assert o.transmittance_down < o.transmittance_up
        assert 0.0 < o.spherical_albedo < 0.25


def test_without_aerosol_there_are_only_molecules(table):
    points = random_points(500) | {"aot550": np.zeros(500)}
    for given in (points, POINT | {"aot550": 0.0}, POINT | {"aot550": -0.1}):
        o = table.evaluate("b02", **given)
        np.testing.assert_array_equal(o.path_reflectance, o.path_reflectance_rayleigh)


@pytest.mark.parametrize("band", ["b01", "b04", "b8a", "b12"])
def test_transmittance_falls_with_aerosol_and_airmass(table, band):
    aot = np.linspace(0.0, 2.0, 201)
    o = table.evaluate(band, **POINT | {"aot550": aot})
    for term in (o.transmittance_down, o.transmittance_up, o.transmittance_up_direct):
        assert np.all(np.diff(term) < 0)
    assert np.all(np.diff(o.path_reflectance) > 0)
    sza = np.linspace(0.0, 80.0, 161)
    down = table.evaluate(band, **POINT | {"sza": sza}).transmittance_down
    assert np.all(np.diff(down) < 1e-5)


def test_scalars_arrays_and_broadcasting_agree(table):
    points = random_points(40)
    arrays = np.stack(table.evaluate("b03", **points))
    assert arrays.dtype == np.float32
    singles = [
        np.stack(table.evaluate("b03", **{name: v[i] for name, v in points.items()}))
        for i in range(40)
    ]
    np.testing.assert_allclose(np.stack(singles, axis=1), arrays, atol=2e-6)
    grid = table.evaluate(
        "b03", **POINT | {"sza": np.full((3, 1), 40.0), "aot550": np.full(4, 0.2)}
    )
    assert grid.path_reflectance.shape == (3, 4)
    np.testing.assert_allclose(
        grid.path_reflectance, table.evaluate("b03", **POINT).path_reflectance, atol=2e-7
    )
    assert table.evaluate("b03", **POINT | {"aot550": np.empty(0)}).path_reflectance.size == 0


def test_a_point_does_not_depend_on_its_neighbours(table, monkeypatch):
    points = random_points(6000, seed=3)
    whole = np.stack(table.evaluate("b02", **points))
    for size in (1, 7, 1000):
        for start in (0, 2990):
            cut = {name: v[start : start + size] for name, v in points.items()}
            part = np.stack(table.evaluate("b02", **cut))
            np.testing.assert_array_equal(part, whole[:, start : start + size])
    # Neither on being worked off in parts, as happens where directions are all over the sky.
    monkeypatch.setattr(lut, "_MOST_CORNERS", 100)
    np.testing.assert_array_equal(np.stack(table.evaluate("b02", **points)), whole)


def test_lattice_of_directions_adds_little(table, monkeypatch):
    points = random_points(3000, seed=4)
    usual = np.stack(table.evaluate("b01", **points))
    monkeypatch.setattr(lut_lattice, "LATTICE_DEG", (0.05, 0.1, 0.5))
    arrays, metadata = lut_file.read(SHIPPED)
    fine = np.stack(lut.LookUpTable("S2A", arrays, metadata).evaluate("b01", **points))
    assert 0.0 < np.abs(usual - fine).max() < 2.5e-5


def test_azimuth_is_folded_and_values_are_clamped(table):
    plain = table.evaluate("b02", **POINT).path_reflectance
    for raa in (-100.0, 260.0, 460.0):
        assert table.evaluate("b02", **POINT | {"raa": raa}).path_reflectance == plain
    beyond = table.evaluate("b02", **POINT | {"sza": 85.0, "pressure": 400.0})
    edge = table.evaluate("b02", **POINT | {"sza": 80.0, "pressure": 550.0})
    np.testing.assert_array_equal(np.stack(beyond), np.stack(edge))


@pytest.mark.parametrize("name", sorted(POINT))
def test_nan_is_no_data(table, name):
    for other in (POINT, POINT | {"vza": np.array([5.0, 6.0])}):
        o = table.evaluate("b02", **other | {name: np.array([np.nan, POINT[name]])})
        for term in o:
            assert np.isnan(term[0])
            assert np.isfinite(term[1])


def test_forward_scattering_is_brighter_with_a_low_sun(table):
    o = table.evaluate("b8a", **POINT | {"sza": 70.0, "vza": 12.0, "raa": np.array([0.0, 180.0])})
    assert o.path_reflectance[1] > 1.05 * o.path_reflectance[0]


def test_interpolation_agrees_with_the_solver(table):
    """Between the nodes of every axis at once, for B04, with the wavelengths that it weighs."""
    weights = interpolation_weights("S2A", "b04", lut_build.WAVELENGTH_SEGMENTS)
    nm = np.concatenate([np.asarray(s, dtype=float) for s in lut_build.WAVELENGTH_SEGMENTS])
    nm, weights = nm[weights != 0.0], weights[weights != 0.0]
    optics = lut_solver.aerosol_optics(aerosol_model("continental"), nm)
    for sza, vza, raa, aot, pressure in (
        (32.5, 7.5, 52.5, 0.15, 1000.0),
        (62.5, 2.5, 172.5, 0.30, 900.0),
        (72.5, 12.5, 7.5, 0.70, 620.0),
    ):
        depth = rayleigh.optical_depth(nm, pressure), aot * optics.extinction
        solver = lut_solver.Solver(*depth, optics)
        found = table.evaluate("b04", sza=sza, vza=vza, raa=raa, aot550=aot, pressure=pressure)
        path = weights @ solver.path_reflectance(sza, [vza], [raa])[0, 0]
        direct = weights @ np.exp(-solver.optical_depth() / np.cos(np.deg2rad(vza)))
        assert float(found.path_reflectance) == pytest.approx(path, abs=1.5e-4)
        assert float(found.transmittance_down) == pytest.approx(
            weights @ solver.fluxes(sza)[0], abs=3e-4
        )
        assert float(found.transmittance_up) == pytest.approx(
            weights @ solver.fluxes(vza)[0], abs=3e-4
        )
        assert float(found.transmittance_up_direct) == pytest.approx(direct, abs=3e-4)
        assert float(found.spherical_albedo) == pytest.approx(
            weights @ solver.spherical_albedo(), abs=3e-4
        )

"""The simulator's own atmosphere: mixtures, solver runs, their cache."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from s2cloud.model.errors import UsageError
from s2cloud.physics import lut, lut_solver, rayleigh
from s2cloud.physics.aerosols import AEROSOL_MODELS
from s2cloud.physics.angles import relative_azimuth
from s2cloud.physics.lut_build import WAVELENGTH_SEGMENTS
from s2cloud.physics.spectral import interpolation_weights
from s2cloud.simulation import simulate_l1c, solver_runs
from s2cloud.simulation.geometry import Viewing
from s2cloud.simulation.optics import aerosol_of, scene_optics
from s2cloud.simulation.solver_runs import Numerics
from s2cloud.simulation.state import state
from s2cloud.simulation.tiling import tile_grid

TIME = datetime(2025, 6, 15, 10, 15, 59, tzinfo=UTC)


@pytest.fixture
def coarse(tmp_path, monkeypatch):
    """Seconds instead of a minute; physics roughly right."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    numerics = Numerics(streams=4, flux_streams=4, moments=64, layers=2, coarse=True)
    monkeypatch.setattr(solver_runs, "NUMERICS", numerics)
    return numerics


@pytest.fixture
def grid():
    return tile_grid("32TQM", 96)


def scene(grid, **changed):
    means = {"aot550": 0.2, "tcwv": 18.0, "tco3": 320.0, "elevation": 100.0, "sza": 40.0}
    return state(grid, TIME, **{**means, **changed}), Viewing.of(grid)


def directions(at, viewing, band):
    view = viewing.view(band, True, at.y, at.x)
    return {"sza": at.sza, "vza": view.zenith, "raa": relative_azimuth(at.saa, view.azimuth)}


def test_names_and_mixtures():
    assert aerosol_of("maritime") is AEROSOL_MODELS["maritime"]
    mixed = aerosol_of("continental:0.6+maritime:0.4")
    shares = {part.name: share for part, share in mixed.parts}
    assert sum(shares.values()) == pytest.approx(1)
    # Water-soluble particles are in both.
    assert shares["water-soluble"] == pytest.approx(0.6 * 0.29 + 0.4 * 0.05)
    assert shares["oceanic"] == pytest.approx(0.4 * 0.95)
    again = {part.name: share for part, share in aerosol_of("continental:3+maritime:2").parts}
    assert again == pytest.approx(shares)
    by_hand = aerosol_of("dust-like:0.5+soot:0.5")
    assert [part.name for part, _ in by_hand.parts] == ["dust-like", "soot"]


@pytest.mark.parametrize("text", ["", "glitter", "soot", "soot:0", "soot:-1", "continental:a"])
def test_unknown_mixtures_are_refused(text):
    with pytest.raises(UsageError, match="continental"):
        aerosol_of(text)


def test_polynomials_give_back_the_solver(coarse, grid):
    at, viewing = scene(grid)
    optics = scene_optics("S2A", AEROSOL_MODELS["continental"], at, viewing)
    where = directions(at, viewing, "b09")
    found = optics.evaluate("b02", **where, aot550=at.aot550, pressure=at.pressure)
    i = (at.sza.shape[0] - 1, 0)
    particles = solver_runs._mie(AEROSOL_MODELS["continental"])
    wavelength = np.concatenate(WAVELENGTH_SEGMENTS)
    solver = lut_solver.Solver(
        rayleigh.optical_depth(wavelength, at.pressure),
        at.aot550[i] * particles.extinction,
        particles,
        streams=coarse.streams,
        moments=coarse.moments,
        layers=coarse.layers,
    )
    weights = interpolation_weights("S2A", "b02", WAVELENGTH_SEGMENTS)
    sza, vza, raa = (float(where[name][i]) for name in ("sza", "vza", "raa"))
    path = weights @ solver.path_reflectance_along(sza, [(vza, raa)])[0]
    down = weights @ solver.fluxes(sza, streams=coarse.flux_streams)[0]
    direct = weights @ np.exp(-solver.optical_depth() / np.cos(np.radians(vza)))
    sphere = weights @ solver.spherical_albedo(streams=coarse.flux_streams)
    assert found.path_reflectance[i] == pytest.approx(path, abs=2e-5)
    assert found.transmittance_down[i] == pytest.approx(down, abs=2e-5)
    assert found.transmittance_up_direct[i] == pytest.approx(direct, abs=2e-5)
    assert found.spherical_albedo[i] == pytest.approx(sphere, abs=2e-5)


def test_no_aerosol_leaves_molecules(coarse, grid):
    at, viewing = scene(grid, aot550=0.0)
    optics = scene_optics("S2A", AEROSOL_MODELS["continental"], at, viewing)
    where = directions(at, viewing, "b01")
    found = optics.evaluate("b01", **where, aot550=0.0, pressure=at.pressure)
    np.testing.assert_array_equal(found.path_reflectance, found.path_reflectance_rayleigh)
    assert np.all((found.path_reflectance > 0.05) & (found.path_reflectance < 0.15))


def test_second_scene_of_the_same_atmosphere_runs_nothing(coarse, grid, monkeypatch):
    at, viewing = scene(grid)
    where = {**directions(at, viewing, "b04"), "aot550": at.aot550, "pressure": at.pressure}
    mixture = aerosol_of("continental:0.6+maritime:0.4")
    first = scene_optics("S2A", mixture, at, viewing).evaluate("b04", **where)
    assert list(solver_runs.cache_folder().glob("run-*.npz"))

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("the solver ran")

    monkeypatch.setattr(lut_solver.Solver, "path_reflectance_along", refuse)
    second = scene_optics("S2A", mixture, at, viewing).evaluate("b04", **where)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(AssertionError, match="solver ran"):
        scene_optics("S2A", aerosol_of("soot:1"), at, viewing).evaluate("b04", **where)


def test_damaged_cache_is_computed_again(coarse, grid):
    at, viewing = scene(grid)
    where = {**directions(at, viewing, "b04"), "aot550": 0.0, "pressure": at.pressure}
    optics = AEROSOL_MODELS["continental"]
    first = scene_optics("S2A", optics, at, viewing).evaluate("b04", **where)
    for file in solver_runs.cache_folder().glob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    second = scene_optics("S2A", optics, at, viewing).evaluate("b04", **where)
    np.testing.assert_array_equal(first.path_reflectance, second.path_reflectance)


def test_mixture_makes_a_product_of_its_own(coarse, tmp_path):
    product = simulate_l1c(tmp_path, size=96, scene="patches", aerosol="soot:0.3+oceanic:0.7")
    other = simulate_l1c(tmp_path / "b", size=96, scene="patches")
    means = [_mean(p) for p in (product, other)]
    # Soot absorbs: darker over the same ground.
    assert means[0] < means[1]


def _mean(product):
    with rasterio.open(next(Path(product.uri).glob("GRANULE/*/IMG_DATA/*_B03.jp2"))) as file:
        return float(file.read(1).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("sza", "aot550"), [(30.0, 0.1), (60.0, 0.4)])
def test_direct_agrees_with_the_shipped_tables(tmp_path, monkeypatch, grid, sza, aot550):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    at, viewing = scene(grid, sza=sza, aot550=aot550)
    direct = scene_optics("S2A", AEROSOL_MODELS["continental"], at, viewing)
    for band in ("b01", "b04", "b8a", "b12"):
        where = directions(at, viewing, band)
        one, other = (
            source.evaluate(band, **where, aot550=at.aot550, pressure=at.pressure)
            for source in (direct, lut.load("S2A"))
        )
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, atol=5e-4)

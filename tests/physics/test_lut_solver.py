"""The radiative-transfer solver against tables of the literature and a second solver."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from s2cloud.model.errors import UsageError
from s2cloud.physics import lut_solver
from s2cloud.physics.aerosols import aerosol_model
from s2cloud.physics.lut_solver import AerosolOptics, Solver, aerosol_optics

NONE = np.array([0.0])
WAVELENGTHS = np.array([443.0, 550.0])


def degrees(cosine):
    return float(np.rad2deg(np.arccos(cosine)))


def henyey_greenstein(asymmetry, albedo, moments=200):
    order = np.arange(moments)
    a1 = (2 * order + 1) * asymmetry**order
    stack = np.zeros((4, moments, 1))
    stack[0, :, 0] = a1
    return AerosolOptics(np.ones(1), np.array([albedo]), stack)


@pytest.fixture(scope="module")
def continental():
    return aerosol_optics(aerosol_model("continental"), WAVELENGTHS)


def test_polarised_rayleigh_scattering_of_the_tables():
    # Natraj, V., Li, K.-F., Yung, Y. L. (2009), doi:10.1088/0004-637X/691/2/1909: intensity for
    # incident flux pi, optical depth 0.5, mu_s = 0.2, mu_v = 0.4 and 1, azimuths 0 (the sun
    # ahead, our 180) and 60 degrees.
    expected = np.array([[0.16889020, 0.12752450], [0.05300496, 0.05300496]])
    solver = Solver(np.array([0.5]), NONE, streams=24, depolarisation=0.0)
    found = solver.path_reflectance(degrees(0.2), [degrees(0.4), 0.0], [180.0, 120.0])
    np.testing.assert_allclose(found[..., 0] * 0.2, expected, rtol=3e-5)


def test_neglecting_polarisation_is_wrong_by_percents():
    solver = Solver(np.array([0.236]), NONE)
    vector = solver.path_reflectance(30.0, [10.0], [0.0, 180.0])
    scalar = solver.path_reflectance(30.0, [10.0], [0.0, 180.0], stokes=1)
    assert 0.02 < float(np.abs(scalar / vector - 1.0).max()) < 0.08


@pytest.mark.parametrize("sza", [0.0, 40.0, 75.0])
def test_without_absorption_all_light_goes_up_or_down(sza):
    molecules, haze = Solver(np.array([0.13033]), NONE), henyey_greenstein(0.7, 1.0)
    mixed = Solver(np.array([0.1]), np.array([0.4]), haze)
    for solver in (molecules, mixed):
        down, up = solver.fluxes(sza)
        np.testing.assert_allclose(down + up, 1.0, atol=3e-6)


def test_a_solver_that_loses_light_builds_no_table(monkeypatch):
    lut_solver.assert_conservation()
    fluxes = Solver.fluxes
    monkeypatch.setattr(
        Solver, "fluxes", lambda *a, **k: tuple(0.9999 * f for f in fluxes(*a, **k))
    )
    with pytest.raises(UsageError, match="does not conserve energy"):
        lut_solver.assert_conservation()


def test_reflectance_is_reciprocal(continental):
    solver = Solver(np.array([0.2, 0.1]), 0.3 * continental.extinction, continental)
    there = solver.path_reflectance(50.0, [15.0], [60.0])
    back = solver.path_reflectance(15.0, [50.0], [60.0])
    np.testing.assert_allclose(there, back, rtol=3e-4)


def test_transmittance_up_is_transmittance_down(continental):
    # Energy: what an isotropic source at the ground loses is the angular mean of the losses.
    solver = Solver(np.array([0.2, 0.1]), 0.3 * continental.extinction, continental)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    mu = (nodes + 1) / 2
    down = np.stack([solver.fluxes(degrees(m))[0] for m in mu])
    diffuse = (weights[:, np.newaxis] * mu[:, np.newaxis] * down).sum(axis=0)
    assert np.all(diffuse + solver.spherical_albedo() < 1.0)
    lossless = Solver(np.array([0.2]), NONE)
    down = np.stack([lossless.fluxes(degrees(m))[0] for m in mu])
    diffuse = (weights[:, np.newaxis] * mu[:, np.newaxis] * down).sum(axis=0)
    np.testing.assert_allclose(diffuse + lossless.spherical_albedo(), 1.0, atol=2e-4)


@pytest.mark.parametrize("asymmetry", [None, 0.7])
def test_agrees_with_an_independent_solver(asymmetry):
    # PythonicDISORT, scalar, Stamnes' discrete ordinates with the Nakajima-Tanaka correction.
    pydisort = pytest.importorskip("PythonicDISORT").pydisort
    tau, sza, streams, phi = 0.5, 40.0, 32, 1.0
    if asymmetry is None:
        solver = Solver(np.array([tau]), NONE, streams=streams)
        legendre = lut_solver.rayleigh_moments(streams + 1)[0] / (2 * np.arange(streams + 1) + 1)
        albedo = 1 - 2e-6  # it warns of conservative scattering
    else:
        albedo = 0.9
        haze = henyey_greenstein(asymmetry, albedo)
        solver = Solver(np.array([1e-9]), np.array([tau]), haze, streams=streams, moments=200)
        legendre = asymmetry ** np.arange(200.0)
    mu_s = np.cos(np.deg2rad(sza))
    mu, flux_up, flux_down, _, intensity = pydisort(
        tau, albedo, streams, legendre[np.newaxis], mu_s, 1.0, np.pi,
        NLeg=streams, f_arr=legendre[streams], NT_cor=asymmetry is not None,
    )  # fmt: skip
    down, up = solver.fluxes(sza, streams=streams)
    np.testing.assert_allclose(down[0], sum(flux_down(tau)) / mu_s, atol=5e-6)
    np.testing.assert_allclose(up[0], flux_up(0.0) / mu_s, atol=5e-6)
    expected = np.pi * intensity(0.0, phi)[: streams // 2] / mu_s
    views = [degrees(m) for m in mu[: streams // 2]]
    # Its azimuth runs from the forward direction.
    raa = 180.0 - abs(np.rad2deg(phi - np.pi))
    found = solver.path_reflectance(sza, views, [raa], stokes=1)[:, 0, 0]
    high = mu[: streams // 2] > 0.3
    np.testing.assert_allclose(found[high], expected.ravel()[high], rtol=2e-3)


@pytest.mark.parametrize("raa", [0.0, 180.0])
def test_agrees_with_an_independent_solver_where_aerosol_and_air_mix(raa):
    # B8A, a thick maritime haze under a low sun: the case where 6SV is brightest beside us. Forty
    # layers of PythonicDISORT, in which the aerosol goes with the fourth power of pressure.
    pydisort = pytest.importorskip("PythonicDISORT").pydisort
    optics = aerosol_optics(aerosol_model("maritime"), np.array([860.0]))
    molecules, particles, sza, streams, layers = 0.0158, 0.711, 70.0, 32, 40
    order = 2 * np.arange(lut_solver.MOMENTS) + 1
    pressure = np.linspace(0.0, 1.0, layers + 1)
    air, haze = molecules * np.diff(pressure), particles * np.diff(pressure**4)
    scattered = haze * optics.single_scattering_albedo[0]
    share = (scattered / (air + scattered))[:, np.newaxis]
    legendre = share * (optics.moments[0, :, 0] / order)
    legendre += (1.0 - share) * (lut_solver.rayleigh_moments()[0] / order)
    legendre /= legendre[:, :1]
    mu_s = np.cos(np.deg2rad(sza))
    mu, _, flux_down, _, intensity = pydisort(
        np.cumsum(air + haze), np.minimum((air + scattered) / (air + haze), 1 - 2e-6), streams,
        legendre, mu_s, 1.0, np.pi, NLeg=streams, f_arr=legendre[:, streams], NT_cor=True,
    )  # fmt: skip
    high = int(np.argmin(np.abs(mu[: streams // 2] - np.cos(np.deg2rad(12.0)))))
    solver = Solver(np.array([molecules]), np.array([particles]), optics, streams=streams)
    expected = np.pi * float(np.squeeze(intensity(0.0, np.deg2rad(raa)))[high]) / mu_s
    found = solver.path_reflectance(sza, [degrees(mu[high])], [raa], stokes=1)
    assert float(found.squeeze()) == pytest.approx(expected, abs=1e-4)
    down = sum(flux_down(float((air + haze).sum()))) / mu_s
    assert float(solver.fluxes(sza)[0][0]) == pytest.approx(float(down), abs=2e-5)
    usual = Solver(np.array([molecules]), np.array([particles]), optics)
    vector = usual.path_reflectance(sza, [degrees(mu[high])], [raa])
    assert float(vector.squeeze()) == pytest.approx(expected, abs=6e-4)


def test_continental_aerosol_has_the_optics_of_the_comparison_code(continental):
    # 6SV2.1, continental at 443 nm: extinction over that at 550 nm and single scattering albedo.
    assert continental.extinction[0] == pytest.approx(1.2334, abs=1e-3)
    assert continental.single_scattering_albedo[0] == pytest.approx(0.9004, abs=5e-4)
    assert continental.moments[0, 0] == pytest.approx(1.0, abs=1e-5)


def test_moments_are_enough_for_the_phase_function(continental):
    # A quarter of the moments ripples by 10 %; these leave the tail below 1e-4 of the first.
    cosine = np.cos(np.deg2rad(np.arange(90.0, 176.0)))

    def phase(moments):
        return np.polynomial.legendre.legval(cosine, continental.moments[0, :moments, 0])

    full = phase(lut_solver.MOMENTS)
    assert np.abs(phase(lut_solver.MOMENTS - 128) / full - 1.0).max() < 2e-3
    assert np.abs(phase(256) / full - 1.0).max() > 0.02


def test_layers_and_streams_have_converged(continental):
    depths = np.array([0.236, 0.097]), 0.5 * continental.extinction
    usual = Solver(*depths, continental).path_reflectance(60.0, [10.0], [0.0, 90.0])
    layers = Solver(*depths, continental, layers=20).path_reflectance(60.0, [10.0], [0.0, 90.0])
    streams = Solver(*depths, continental, streams=16).path_reflectance(60.0, [10.0], [0.0, 90.0])
    np.testing.assert_allclose(usual, layers, atol=3e-5)
    np.testing.assert_allclose(usual, streams, atol=2e-4)


def test_azimuth_zero_is_backscatter(continental):
    # A haze scatters forward: with a low sun the sensor opposite to it sees more.
    haze = Solver(np.array([0.02, 0.01]), 0.5 * continental.extinction, continental)
    same_side, opposite = haze.path_reflectance(70.0, [15.0], [0.0, 180.0])[0]
    assert np.all(opposite > 1.05 * same_side)


def test_missing_solver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sasktran2", None)
    with pytest.raises(UsageError, match=r"s2cloud\[lut\]"):
        lut_solver.import_solver()

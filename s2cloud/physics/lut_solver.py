"""Exact radiative transfer for the table generator: Mie theory and discrete ordinates.

Everything that touches sasktran2 lives here, behind function-level imports, because only those
who build tables need it.

References
----------
sasktran2, https://sasktran2.readthedocs.io, MIT licence; Zawada, D., Dueck, S., Rieger, L. et al.
(2015), doi:10.5194/amt-8-2609-2015.
Wiscombe, W. J. (1977): The delta-M method, doi:10.1175/1520-0469(1977)034<1408:TDMRYA>2.0.CO;2.
Siewert, C. E. (2000): A discrete-ordinates solution for radiative-transfer models that include
polarization effects, doi:10.1016/S0022-4073(99)00006-X.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from math import log, pi, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.errors import UsageError
from s2cloud.physics import rayleigh
from s2cloud.physics.aerosols import RADIUS_LIMITS_UM, number_fractions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from s2cloud.physics.aerosols import AerosolModel, Component

    Floats = NDArray[np.float64]

__all__ = [
    "LAYERS",
    "AerosolOptics",
    "Solver",
    "aerosol_optics",
    "assert_conservation",
    "import_solver",
    "rayleigh_moments",
]

RAYLEIGH_SCALE_HEIGHT_M: Final = 8000.0  # isothermal molecular atmosphere
AEROSOL_SCALE_HEIGHT_M: Final = 2000.0  # as in the comparison code's standard profile
MOMENTS: Final = 1024  # 256 leave Gibbs ripples of 10 to 20 % in the phase function
STREAMS: Final = 8  # within 1e-4 of 24 streams at an optical depth of 0.5
RADII: Final = 1500  # quadrature points in ln(r)

_TOP_M: Final = 1e4  # any height: the coordinate is pressure
LAYERS: Final = 6  # and twice as many; extrapolated, see `Solver`


def import_solver() -> ModuleType:
    """sasktran2, or a clear refusal.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        import sasktran2  # noqa: PLC0415 - optional dependency of the generator only
    except ImportError:
        raise UsageError(
            "building look-up tables needs sasktran2", fix="pip install 's2cloud[lut]'"
        ) from None
    module: ModuleType = sasktran2
    return module


@dataclass(frozen=True)
class AerosolOptics:
    """Optical properties of an aerosol on a list of wavelengths.

    Attributes
    ----------
    extinction
        Extinction relative to 550 nm. [1], shape (wavelength,)
    single_scattering_albedo
        [1], shape (wavelength,)
    moments
        Expansion coefficients a1, a2, a3, b1 of the phase matrix in generalised spherical
        functions. [1], shape (4, moment, wavelength)
    """

    extinction: Floats
    single_scattering_albedo: Floats
    moments: Floats


def aerosol_optics(
    model: AerosolModel, wavelength_nm: Floats, *, moments: int = MOMENTS, coarse: bool = False
) -> AerosolOptics:
    """Mie theory of an aerosol model.

    Parameters
    ----------
    model
        The mixture.
    wavelength_nm
        Wavelengths. [nm], shape (wavelength,)
    moments
        Number of expansion coefficients.
    coarse
        A tenth of the radii and angles: seconds, for tests.
    """
    angles = _mie_angles(4 if coarse else 1)
    radii = RADII // 8 if coarse else RADII
    numbers = number_fractions(model)
    reference = _mixture(model, numbers, 550.0, angles, radii)[0]
    rows = [_mixture(model, numbers, float(wl), angles, radii) for wl in wavelength_nm]
    extinction = np.array([row[0] for row in rows])
    scattering = np.array([row[1] for row in rows])
    p11, p12, p33, p34 = (np.stack([row[2][i] for row in rows]) for i in range(4))
    sk = import_solver()
    a1, a2, a3, _, b1, _ = sk.legendre.compute_greek_coefficients(
        p11, p12, p11, p33, p34, p33, angles, moments
    )
    stack = np.stack([a1, a2, a3, b1])  # each (wavelength, moment)
    return AerosolOptics(
        extinction / reference, scattering / extinction, np.ascontiguousarray(stack.swapaxes(1, 2))
    )


def rayleigh_moments(
    moments: int = MOMENTS, depolarisation: float = rayleigh.DEPOLARISATION
) -> Floats:
    """Expansion coefficients a1, a2, a3, b1 of molecular scattering. [1], shape (4, moment).

    Parameters
    ----------
    moments
        Length of the expansion.
    depolarisation
        Depolarisation factor. [1]
    """
    weight = (1.0 - depolarisation) / (2.0 + depolarisation)
    out = np.zeros((4, moments))
    out[0, 0], out[0, 2] = 1.0, weight
    out[1, 2] = 6.0 * weight
    out[3, 2] = -sqrt(6.0) * weight
    return out


@dataclass
class Solver:
    """Plane-parallel atmosphere of molecules and one aerosol over a black surface, no gases.

    The vertical coordinate is pressure, in which molecules are uniform and the aerosol, of a
    quarter of their scale height, goes with the third power. Every answer is computed with
    `layers` equal layers and with twice as many, and extrapolated: the error of the layers falls
    with their number squared, so that 6 and 12 are as good as 100.

    Attributes
    ----------
    rayleigh_depth
        Molecular optical depth. [1], shape (wavelength,)
    aerosol_depth
        Aerosol optical depth. [1], shape (wavelength,)
    optics
        Properties of the aerosol; None for a pure molecular atmosphere.
    streams, moments, layers, depolarisation
        Numerical resolution and depolarisation of air; the defaults made the shipped tables.
    """

    rayleigh_depth: Floats
    aerosol_depth: Floats
    optics: AerosolOptics | None = None
    streams: int = STREAMS
    moments: int = MOMENTS
    layers: int = LAYERS
    depolarisation: float = rayleigh.DEPOLARISATION

    def path_reflectance(
        self, sza: float, vza: Sequence[float], raa: Sequence[float], *, stokes: int = 3
    ) -> Floats:
        """Reflectance of the atmosphere alone seen from space.

        Parameters
        ----------
        sza
            Solar zenith angle. [degree]
        vza
            Viewing zenith angles. [degree]
        raa
            Relative azimuths, 0 = backscatter. [degree]
        stokes
            3 with polarisation, 1 without.

        Returns
        -------
        ndarray
            pi L / (mu_s E). [1], shape (vza, raa, wavelength)
        """
        # Nadir knows no azimuth; one ray serves all.
        rays = [(v, r) for v in vza for r in (raa[:1] if v == 0.0 else raa)]
        found = dict(zip(rays, self.path_reflectance_along(sza, rays, stokes=stokes), strict=True))
        return np.array([[found[v, raa[0] if v == 0.0 else r] for r in raa] for v in vza])

    def path_reflectance_along(
        self, sza: float, rays: Sequence[tuple[float, float]], *, stokes: int = 3
    ) -> Floats:
        """Reflectance of the atmosphere alone in any directions.

        Parameters
        ----------
        sza
            Solar zenith angle. [degree]
        rays
            Pairs of viewing zenith angle and relative azimuth, 0 = backscatter. [degree]
        stokes
            3 with polarisation, 1 without.

        Returns
        -------
        ndarray
            pi L / (mu_s E). [1], shape (ray, wavelength)
        """
        sk = import_solver()
        mu_s = float(np.cos(np.deg2rad(sza)))
        view = sk.ViewingGeometry()
        for v, r in rays:
            # sasktran2 counts azimuth from forward scattering, we from backscattering.
            azimuth = pi - float(np.deg2rad(r))
            view.add_ray(sk.GroundViewingSolar(mu_s, azimuth, float(np.cos(np.deg2rad(v))), 2e5))
        config = self._config(sk, stokes)
        config.single_scatter_source = sk.SingleScatterSource.Exact

        def run(layers: int) -> Floats:
            result = self._run(sk, mu_s, config, view, layers)
            return np.asarray(result["radiance"].isel(stokes=0).to_numpy()).T  # (ray, wavelength)

        return pi * self._extrapolate(run) / mu_s

    def fluxes(
        self, sza: float, *, albedo: float = 0.0, streams: int = 16
    ) -> tuple[Floats, Floats]:
        """Downward flux at the ground and upward flux at the top, per incident flux.

        Parameters
        ----------
        sza
            Solar zenith angle. [degree]
        albedo
            Lambertian surface albedo. [1]
        streams
            Number of streams; scalar, so more of them are cheap.

        Returns
        -------
        down, up
            Total transmitted and reflected flux over mu_s E. [1], shape (wavelength,)
        """
        sk = import_solver()
        mu_s = float(np.cos(np.deg2rad(sza)))
        config = self._config(sk, 1)
        config.num_streams = streams
        config.num_singlescatter_moments = streams + 2
        config.single_scatter_source = sk.SingleScatterSource.DiscreteOrdinates
        view = sk.ViewingGeometry()
        view.add_flux_observer(sk.FluxObserverSolar(mu_s, 0.0))
        view.add_flux_observer(sk.FluxObserverSolar(mu_s, _TOP_M))

        def run(layers: int) -> Floats:
            result = self._run(sk, mu_s, config, view, layers, albedo)
            down = result["downwelling_flux"].to_numpy()[:, 0]
            up = result["upwelling_flux"].to_numpy()[:, 1]
            return np.stack([down, up]) / mu_s

        down, up = self._extrapolate(run)
        return down, up

    def spherical_albedo(
        self, *, albedo: float = 0.5, sza: float = 30.0, streams: int = 16
    ) -> Floats:
        """Reflectance of the atmosphere for isotropic light from below. [1], shape (wavelength,).

        Parameters
        ----------
        albedo, sza
            Surface and sun of the experiment; the answer does not depend on them.
        streams
            Number of streams.
        """
        black, _ = self.fluxes(sza, streams=streams)
        bright, _ = self.fluxes(sza, albedo=albedo, streams=streams)
        return np.asarray((1.0 - black / bright) / albedo)

    def optical_depth(self) -> Floats:
        """Total optical depth. [1], shape (wavelength,)."""
        return np.asarray(self.rayleigh_depth + self.aerosol_depth)

    def _config(self, sk: ModuleType, stokes: int) -> Any:
        config = sk.Config()
        config.multiple_scatter_source = sk.MultipleScatterSource.DiscreteOrdinates
        config.num_stokes = stokes
        config.num_streams = self.streams
        config.num_singlescatter_moments = self.moments
        config.delta_m_scaling = True
        config.num_threads = 1
        return config

    def _extrapolate(self, run: Callable[[int], Floats]) -> Floats:
        """Remove the error in layers^-2 (Richardson)."""
        return np.asarray((4.0 * run(2 * self.layers) - run(self.layers)) / 3.0)

    def _run(
        self, sk: ModuleType, mu_s: float, config: Any, view: Any, layers: int, albedo: float = 0.0
    ) -> Any:
        heights = np.linspace(0.0, _TOP_M, layers + 1)
        # A first layer of a millimetre: the downwelling flux at the ground takes the direct beam
        # of the top of the lowest layer (sasktran2 2026.10.1).
        heights = np.insert(heights, 1, 1e-3)
        geometry = sk.Geometry1D(
            mu_s, 0.0, 6.371e6, heights,
            sk.InterpolationMethod.LinearInterpolation, sk.GeometryType.PlaneParallel,
        )  # fmt: skip
        atmosphere = self._atmosphere(sk, geometry, config, heights)
        atmosphere.surface.albedo[:] = albedo
        return sk.Engine(config, geometry, view).calculate_radiance(atmosphere)

    def _atmosphere(self, sk: ModuleType, geometry: Any, config: Any, heights: Floats) -> Any:
        extinction, albedo, share = self._profiles(heights)
        atmosphere = sk.Atmosphere(
            geometry, config, numwavel=self.rayleigh_depth.size, calculate_derivatives=False
        )
        storage = atmosphere.storage
        storage.total_extinction[:] = extinction
        storage.ssa[:] = albedo
        moments = config.num_singlescatter_moments
        molecules = rayleigh_moments(moments, self.depolarisation)
        coefficients = atmosphere.leg_coeff
        targets = (coefficients.a1,) if config.num_stokes == 1 else (
            coefficients.a1, coefficients.a2, coefficients.a3, coefficients.b1,
        )  # fmt: skip
        for i, target in enumerate(targets):
            if self.optics is None:
                target[:] = molecules[i, :, np.newaxis, np.newaxis]
            else:
                particles = self.optics.moments[i, :moments, np.newaxis, :]
                target[:] = share * particles
                target[:3] += (1.0 - share) * molecules[i, :3, np.newaxis, np.newaxis]
        return atmosphere

    def _profiles(self, heights: Floats) -> tuple[Floats, Floats, Floats]:
        """Extinction per unit of height, single scattering albedo, aerosol share of scattering."""
        pressure = 1.0 - heights / _TOP_M
        particles = pressure ** (RAYLEIGH_SCALE_HEIGHT_M / AEROSOL_SCALE_HEIGHT_M - 1.0)
        particles /= np.trapezoid(particles, heights)
        aerosol = particles[:, np.newaxis] * self.aerosol_depth
        molecules = np.full((heights.size, 1), 1.0 / _TOP_M) * self.rayleigh_depth
        omega = 1.0 if self.optics is None else self.optics.single_scattering_albedo
        scattering = molecules + aerosol * omega
        extinction = molecules + aerosol
        # A single scattering albedo of exactly one makes the eigenproblem singular.
        albedo = np.minimum(scattering / extinction, 1.0 - 1e-9)
        return extinction, albedo, aerosol * omega / scattering


def assert_conservation(streams: int = 16, tolerance: float = 1e-5) -> None:
    """Refuse a solver that loses or makes light where nothing absorbs.

    Parameters
    ----------
    streams
        Number of streams of the fluxes.
    tolerance
        Largest departure of transmittance plus reflectance from one. [1]

    Raises
    ------
    UsageError
        If the installed solver fails: its release differs from those this module was made for.
    """
    air, none = np.array([0.236, 0.016]), np.zeros(2)
    for sza in (0.0, 60.0, 80.0):
        down, up = Solver(air, none).fluxes(sza, streams=streams)
        error = float(np.abs(down + up - 1.0).max())
        if not error < tolerance:
            raise UsageError(
                "the solver does not conserve energy: transmittance plus reflectance of air is "
                f"{1.0 + error:.6f} or {1.0 - error:.6f}",
                where=f"sasktran2 {version('sasktran2')}, sza {sza:g}",
                expected=f"1 within {tolerance:g}",
                fix="install the release that s2cloud[lut] names",
            )


def _mie_angles(stride: int) -> Floats:
    """Scattering angles dense enough for the diffraction peak of 20 um particles. [degree]."""
    forward = np.arange(0.0, 2.0, 0.025 * stride)
    shoulder = np.arange(2.0, 10.0, 0.1 * stride)
    rest = np.arange(10.0, 180.01, 0.25 * stride)
    return np.concatenate([forward, shoulder, rest])


def _mixture(
    model: AerosolModel, numbers: Floats, wavelength_nm: float, angles: Floats, radii: int
) -> tuple[float, float, Floats]:
    """Extinction and scattering cross sections [um2] and P11, P12, P33, P34."""
    extinction = scattering = 0.0
    matrix = np.zeros((4, angles.size))
    for number, (component, _) in zip(numbers, model.parts, strict=True):
        ext, sca, elements = _component(component, wavelength_nm, angles, radii)
        extinction += number * ext
        scattering += number * sca
        matrix += number * elements
    # P11 averages to one over the sphere: 4 pi / (k^2 C_sca) times the mean of the |S|^2.
    wavenumber = 2.0 * pi / (wavelength_nm / 1000.0)
    return extinction, scattering, matrix * 4.0 * pi / (2.0 * wavenumber**2 * scattering)


def _component(
    component: Component, wavelength_nm: float, angles: Floats, radii: int
) -> tuple[float, float, Floats]:
    sk = import_solver()
    ln_r = np.linspace(log(RADIUS_LIMITS_UM[0]), log(RADIUS_LIMITS_UM[1]), radii)
    radius = np.exp(ln_r)
    width = log(component.sigma)
    density = np.exp(-0.5 * ((ln_r - log(component.mode_radius_um)) / width) ** 2)
    weight = density / (width * sqrt(2.0 * pi)) * (ln_r[1] - ln_r[0])
    weight[[0, -1]] *= 0.5
    # Particles that contribute nothing cost as much as the others.
    kept = weight * radius**2 > 1e-12 * np.max(weight * radius**2)
    radius, weight = radius[kept], weight[kept]
    mie = sk.mie.LinearizedMie().calculate(
        2.0 * pi * radius / (wavelength_nm / 1000.0),
        component.refractive_index(wavelength_nm),
        np.cos(np.deg2rad(angles)),
    )
    area = weight * pi * radius**2
    s1, s2 = np.asarray(mie.S1), np.asarray(mie.S2)
    cross = s1 * np.conj(s2)
    elements = np.stack(
        [
            weight @ (np.abs(s1) ** 2 + np.abs(s2) ** 2),
            weight @ (np.abs(s1) ** 2 - np.abs(s2) ** 2),
            weight @ (2.0 * np.real(cross)),
            weight @ (2.0 * np.imag(cross)),
        ]
    )
    return float(area @ mie.Qext), float(area @ mie.Qsca), elements

"""Runs of the radiative-transfer solver for a scene, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import asdict, astuple, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.physics import lut_solver, rayleigh
from s2cloud.physics.lut_build import WAVELENGTH_SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from s2cloud.physics.aerosols import AerosolModel

    Floats = npt.NDArray[np.float64]

__all__ = ["Numerics", "Run", "RunNodes", "cache_folder", "solver_run"]

#: Increase when the runs change in meaning.
_RECIPE: Final = 1


@dataclass(frozen=True, slots=True)
class Numerics:
    """Resolution of the solver.

    Attributes
    ----------
    streams, flux_streams, moments, layers
        See `s2cloud.physics.lut_solver.Solver`.
    coarse
        A tenth of the radii and angles of Mie theory.
    """

    streams: int = lut_solver.STREAMS
    flux_streams: int = 16
    moments: int = lut_solver.MOMENTS
    layers: int = lut_solver.LAYERS
    coarse: bool = False


#: In use; tests set a coarse one.
NUMERICS = Numerics()


@dataclass(frozen=True, slots=True)
class RunNodes:
    """Where a run is exact.

    Attributes
    ----------
    pressure
        Surface pressure. [hPa]
    aot550
        Aerosol optical thickness at 550 nm; (0,) for molecules alone. [1]
    sza, vza
        Solar and view zenith. [degree]
    toward, aside
        Tangent of the view zenith towards the sun and at right angles to it. [1]
    """

    pressure: float
    aot550: tuple[float, ...]
    sza: tuple[float, ...]
    vza: tuple[float, ...]
    toward: tuple[float, ...]
    aside: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """What an atmosphere does to light, wavelength by wavelength (`WAVELENGTH_SEGMENTS`).

    Attributes
    ----------
    aot550
        Nodes of the first axis. [1]
    path
        Path reflectance. [1], shape (aot, sza, toward, aside, wavelength)
    down
        Total transmittance from the sun. [1], shape (aot, sza, wavelength)
    up, direct
        Total and direct transmittance to the sensor. [1], shape (aot, vza, wavelength)
    albedo
        Spherical albedo. [1], shape (aot, wavelength)
    """

    aot550: tuple[float, ...]
    path: Floats
    down: Floats
    up: Floats
    direct: Floats
    albedo: Floats


def cache_folder() -> Path:
    """Folder of the runs: ``s2cloud/optics`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Everything in it may be deleted at any time; it is then computed again.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    # As the XDG base directory specification wants: relative paths are ignored.
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache"
    return base / "s2cloud" / "optics"


def solver_run(aerosol: AerosolModel, nodes: RunNodes) -> Run:
    """Run the solver, or read the same run from the cache.

    Parameters
    ----------
    aerosol
        The aerosol.
    nodes
        Where to compute.

    Returns
    -------
    Run

    Raises
    ------
    UsageError
        If the solver is not installed.
    """
    dirty = any(aot > 0 for aot in nodes.aot550)
    key = ("run", repr(aerosol.parts) if dirty else "", astuple(nodes))
    arrays = _cached(key, lambda: _solve(aerosol if dirty else None, nodes))
    return Run(nodes.aot550, **arrays)


def _solve(aerosol: AerosolModel | None, nodes: RunNodes) -> dict[str, Floats]:
    wavelength = _wavelengths()
    optics = None if aerosol is None else _mie(aerosol)
    slant = [(u, v) for u in nodes.toward for v in nodes.aside]
    rays = [
        (float(np.degrees(np.arctan(np.hypot(u, v)))), float(np.degrees(np.arctan2(v, u))))
        for u, v in slant
    ]
    parts: dict[str, list[Any]] = {"path": [], "down": [], "up": [], "direct": [], "albedo": []}
    for aot in nodes.aot550:
        clean = optics is None or aot == 0.0
        solver = lut_solver.Solver(
            rayleigh.optical_depth(wavelength, nodes.pressure),
            np.zeros_like(wavelength) if optics is None else aot * optics.extinction,
            None if clean else optics,
            streams=NUMERICS.streams,
            moments=NUMERICS.moments,
            layers=NUMERICS.layers,
        )
        fluxes = NUMERICS.flux_streams
        mu = np.cos(np.radians(nodes.vza))[:, np.newaxis]
        parts["path"].append([solver.path_reflectance_along(s, rays) for s in nodes.sza])
        parts["down"].append([solver.fluxes(s, streams=fluxes)[0] for s in nodes.sza])
        # By reciprocity the way up is the way down of a sun in the direction of the sensor.
        parts["up"].append([solver.fluxes(v, streams=fluxes)[0] for v in nodes.vza])
        parts["direct"].append(np.exp(-solver.optical_depth() / mu))
        parts["albedo"].append(solver.spherical_albedo(streams=fluxes))
    return {name: np.asarray(values, dtype=np.float64) for name, values in parts.items()}


def _mie(aerosol: AerosolModel) -> lut_solver.AerosolOptics:
    """Single scattering of an aerosol; the costly part of a run, and the same for all scenes."""

    def compute() -> dict[str, Floats]:
        optics = lut_solver.aerosol_optics(
            aerosol, _wavelengths(), moments=NUMERICS.moments, coarse=NUMERICS.coarse
        )
        return asdict(optics)

    return lut_solver.AerosolOptics(**_cached(("mie", repr(aerosol.parts)), compute))


def _cached(key: tuple[Any, ...], compute: Callable[[], dict[str, Floats]]) -> dict[str, Floats]:
    """Arrays of a file named by all that they depend on."""
    whole = (_RECIPE, WAVELENGTH_SEGMENTS, astuple(NUMERICS), _release(), key)
    digest = hashlib.sha256(repr(whole).encode()).hexdigest()[:24]
    file = cache_folder() / f"{key[0]}-{digest}.npz"
    if file.exists():
        try:
            with file.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
                return {name: data[name] for name in data.files}
        except (OSError, EOFError, ValueError, zipfile.BadZipFile):
            # A damaged file of a cache is as good as none.
            file.unlink(missing_ok=True)
    arrays = compute()
    _write(file, arrays)
    return arrays


def _write(file: Path, arrays: Mapping[str, Floats]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Two steps, so that a killed run leaves no half-written file behind.
    partial = file.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    partial.replace(file)


def _release() -> str:
    lut_solver.import_solver()
    return version("sasktran2")


def _wavelengths() -> Floats:
    return np.array([wl for segment in WAVELENGTH_SEGMENTS for wl in segment], dtype=np.float64)

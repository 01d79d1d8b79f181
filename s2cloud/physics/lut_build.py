"""Generator of the atmospheric look-up tables.

A table holds, for one aerosol model and every sensor and band, what an atmosphere without gaseous
absorption does to sunlight: path reflectance, total and direct transmittance, spherical albedo. It
is computed once, on one wavelength grid for all bands, and averaged over the spectral responses.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.bands import BANDS, SENSORS
from s2cloud.model.errors import UsageError
from s2cloud.physics import lut_solver, rayleigh
from s2cloud.physics.aerosols import AerosolModel, aerosol_model
from s2cloud.physics.lut_file import write
from s2cloud.physics.spectral import interpolation_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from s2cloud.model.bands import Sensor

    Floats = NDArray[np.float64]

__all__ = ["FULL", "REDUCED", "WAVELENGTH_SEGMENTS", "Nodes", "build"]

#: Wavelengths of the solver. [nm] Cubic interpolation between them to 1 nm is exact to 1e-5 of the
#: path reflectance; the segments avoid interpolating across the wide gaps between bands.
WAVELENGTH_SEGMENTS: Final[tuple[tuple[float, ...], ...]] = (
    (405, 417, 429, 441, 453, 465, 477, 490, 503, 516, 530, 545, 560, 575, 590, 605),
    (630, 645, 660, 675, 690, 705, 720, 735, 750, 765, 780, 800, 820, 840, 860, 880, 900, 920,
     940, 960, 985),
    (1330, 1360, 1390, 1420),
    (1535, 1570, 1610, 1650, 1690),
    (2060, 2120, 2180, 2240, 2325),
)  # fmt: skip

#: Increase when the solver changes, so that parts of an older run are not mixed in.
_RECIPE: Final = 2


@dataclass(frozen=True, slots=True)
class Nodes:
    """Where the table is exact.

    Attributes
    ----------
    sza, vza, raa
        Solar zenith, viewing zenith, relative azimuth (0 = backscatter). [degree]
    aot550
        Aerosol optical thickness at 550 nm of the column above the surface. [1]
    pressure
        Surface pressure, falling. [hPa]
    """

    sza: tuple[float, ...]
    vza: tuple[float, ...]
    raa: tuple[float, ...]
    aot550: tuple[float, ...]
    pressure: tuple[float, ...]


FULL: Final = Nodes(
    sza=tuple(float(x) for x in range(0, 81, 5)),
    vza=(0.0, 5.0, 10.0, 15.0),
    raa=tuple(float(x) for x in range(0, 181, 15)),
    aot550=(0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0),
    pressure=(1050.0, 950.0, 850.0, 700.0, 550.0),
)
#: For tests: the same code on few nodes; errors between nodes of up to 0.01.
REDUCED: Final = Nodes(
    sza=(20.0, 35.0, 50.0, 65.0),
    vza=(0.0, 5.0, 10.0, 15.0),
    raa=(0.0, 60.0, 120.0, 180.0),
    aot550=(0.0, 0.2, 0.4, 0.8),
    pressure=(1050.0, 700.0),
)


def build(
    aerosol: str | AerosolModel,
    out_dir: str | os.PathLike[str],
    *,
    sensors: Sequence[Sensor] = SENSORS,
    reduced: bool = False,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Compute the look-up table of an aerosol and write it to a file.

    Parameters
    ----------
    aerosol
        Name of a built-in aerosol, or any `AerosolModel`.
    out_dir
        Folder of the result ``lut_<aerosol>.npz``. Finished parts are kept in ``parts`` below it,
        so that an interrupted build goes on where it stopped.
    sensors
        Instruments to average for; all come from the same computation.
    reduced
        Few nodes and coarse numerics, for tests: seconds instead of an hour.
    jobs
        Number of processes; more than one is spawned anew, so scripts need their main guard.
    progress
        Called with (parts done, parts in all) after each part.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UsageError
        If the aerosol or a sensor is unknown, or the solver is not installed or does not conserve
        energy.

    Notes
    -----
    Deterministic: one thread per process, numbers rounded to 1e-6, no date in the file; the same
    package versions give the same bytes.
    """
    lut_solver.import_solver()
    unknown = set(sensors) - set(SENSORS)
    if unknown or not sensors:
        raise UsageError(
            "no such sensor",
            where=", ".join(sorted(unknown)),
            expected="some of " + ", ".join(SENSORS),
        )
    model = aerosol_model(aerosol) if isinstance(aerosol, str) else aerosol
    task = _task(model, reduced=reduced)
    folder = Path(out_dir)
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    files = {key: parts / f"{task.part_name(*key)}.npz" for key in task.cells()}
    missing = [key for key, file in files.items() if not file.exists()]
    done, total = len(files) - len(missing), len(files)
    for _ in _compute(task, missing, files, jobs):
        done += 1
        if progress is not None:
            progress(done, total)
    return _assemble(task, files, folder / f"lut_{model.name}.npz", sensors)


@dataclass(frozen=True)
class _Task:
    """One table: what a worker process needs to compute any part of it."""

    model: AerosolModel
    nodes: Nodes
    streams: int
    flux_streams: int
    moments: int
    layers: int
    coarse: bool

    def cells(self) -> list[tuple[float, float]]:
        """(aot550, pressure) of every part."""
        return [(aot, p) for aot in self.nodes.aot550 for p in self.nodes.pressure]

    def part_name(self, aot550: float, pressure: float) -> str:
        """File name that changes with everything the numbers depend on but the solver's release."""
        # Without aerosol all models share the part.
        name = self.model.name if aot550 > 0.0 else "rayleigh"
        physics = repr(self.model.parts) if aot550 > 0.0 else ""
        nodes = replace(self.nodes, aot550=(), pressure=())
        recipe = (_RECIPE, WAVELENGTH_SEGMENTS, nodes, self.streams, self.flux_streams,
                  self.moments, self.layers, physics)  # fmt: skip
        digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:8]
        return f"{name}-{aot550:.2f}-{pressure:.0f}-{digest}"


def _task(model: AerosolModel, *, reduced: bool) -> _Task:
    if reduced:
        return _Task(model, REDUCED, 4, flux_streams=4, moments=64, layers=2, coarse=True)
    return _Task(
        model, FULL, lut_solver.STREAMS, 16, lut_solver.MOMENTS, lut_solver.LAYERS, coarse=False
    )


def _compute(
    task: _Task,
    missing: list[tuple[float, float]],
    files: dict[tuple[float, float], Path],
    jobs: int,
) -> Iterator[None]:
    if not missing:
        return
    lut_solver.assert_conservation(task.flux_streams)
    optics = lut_solver.aerosol_optics(
        task.model, _wavelengths(), moments=task.moments, coarse=task.coarse
    )
    work = partial(_write_part, task, optics)
    if jobs <= 1:
        for key in missing:
            work(key, files[key])
            yield
        return
    # Not forked: the solver and numba may hold threads, which do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(work, key, files[key]) for key in missing]
        for future in as_completed(futures):
            future.result()
            yield


def _write_part(
    task: _Task, optics: lut_solver.AerosolOptics, key: tuple[float, float], file: Path
) -> None:
    aot, pressure = key
    wavelength = _wavelengths()
    nodes = task.nodes
    solver = lut_solver.Solver(
        rayleigh.optical_depth(wavelength, pressure),
        aot * optics.extinction,
        optics if aot > 0.0 else None,
        streams=task.streams,
        moments=task.moments,
        layers=task.layers,
    )
    mu = np.cos(np.deg2rad(nodes.sza))
    arrays = {
        "path": np.stack([solver.path_reflectance(s, nodes.vza, nodes.raa) for s in nodes.sza]),
        "total": np.stack([solver.fluxes(s, streams=task.flux_streams)[0] for s in nodes.sza]),
        "direct": np.exp(-solver.optical_depth() / mu[:, np.newaxis]),
        "albedo": solver.spherical_albedo(streams=task.flux_streams),
    }
    # Two steps, so that a killed build leaves no half-written part behind.
    partial_file = file.with_suffix(f".{os.getpid()}.tmp")
    with partial_file.open("wb") as stream:
        np.savez(stream, **{name: array.astype(np.float32) for name, array in arrays.items()})  # type: ignore[arg-type]
    partial_file.replace(file)


def _assemble(
    task: _Task,
    files: dict[tuple[float, float], Path],
    target: Path,
    sensors: Sequence[Sensor],
) -> Path:
    """Average the parts over the bands and write the table."""
    nodes = task.nodes
    shape = (len(nodes.aot550), len(nodes.pressure))
    spectra: dict[str, list[Floats]] = {"path": [], "total": [], "direct": [], "albedo": []}
    for key in task.cells():
        with np.load(files[key], allow_pickle=False) as part:
            for name, items in spectra.items():
                items.append(part[name].astype(np.float64))
    stacked = {name: np.stack(v).reshape(*shape, *v[0].shape) for name, v in spectra.items()}
    weights = np.array(
        [[interpolation_weights(s, b, WAVELENGTH_SEGMENTS) for b in BANDS] for s in sensors]
    )
    # Axes out: sensor, band, aot550, pressure, (sza, vza, raa).
    bands = {
        name: np.tensordot(weights, array, axes=([-1], [-1])) for name, array in stacked.items()
    }
    metadata: dict[str, Any] = {
        "aerosol": task.model.name,
        "aerosol_parts": [[part.name, share] for part, share in task.model.parts],
        "aerosol_source": getattr(task.model, "source", ""),
        "sensors": list(sensors),
        "bands": list(BANDS),
        "nodes": asdict(nodes),
        "wavelength_nm": [list(segment) for segment in WAVELENGTH_SEGMENTS],
        "spectral_responses": "ESA COPE-GSEG-EOPG-TN-15-0007 v4.0",
        "solar_spectrum": "Thuillier et al. (2003), doi:10.1023/A:1024048429145",
        "solver": {
            "sasktran2": version("sasktran2"),
            "stokes": 3,
            "streams": task.streams,
            "flux_streams": task.flux_streams,
            "moments": task.moments,
            "layers": [task.layers, 2 * task.layers],
            "rayleigh_scale_height_m": lut_solver.RAYLEIGH_SCALE_HEIGHT_M,
            "aerosol_scale_height_m": lut_solver.AEROSOL_SCALE_HEIGHT_M,
            "depolarisation": rayleigh.DEPOLARISATION,
            "recipe": _RECIPE,
        },
        "gases": "none",
    }
    return write(target, bands, metadata)


def _wavelengths() -> Floats:
    return np.array([wl for segment in WAVELENGTH_SEGMENTS for wl in segment], dtype=np.float64)

"""The scattering of a scene's own atmosphere: any aerosol, straight from the solver.

The tables of the package serve the retrieval; a product simulated with them shares their aerosol
and their interpolation. Here the solver runs for the sun, the views and the columns of one scene,
and polynomials through a few nodes, close together, fill the rest.
"""

from __future__ import annotations

import re
import threading
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.model.bands import BANDS, band_name
from s2cloud.model.errors import UsageError
from s2cloud.physics.aerosols import AEROSOL_MODELS, Mixture
from s2cloud.physics.lut import Optics
from s2cloud.physics.lut_build import WAVELENGTH_SEGMENTS
from s2cloud.physics.lut_solver import import_solver
from s2cloud.physics.spectral import interpolation_weights
from s2cloud.simulation.solver_runs import RunNodes, solver_run

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Sensor
    from s2cloud.physics.aerosols import AerosolModel, Component
    from s2cloud.simulation.geometry import Viewing
    from s2cloud.simulation.solver_runs import Run
    from s2cloud.simulation.state import State

    Floats = npt.NDArray[np.float64]

__all__ = ["SceneOptics", "aerosol_of", "scene_optics"]

#: Lattices on which the ends of node ranges lie, so that like scenes share runs: solar zenith and
#: view zenith [degree], tangent of the view, optical thickness.
_SZA_STEP: Final = 1.0
_VZA_STEP: Final = 2.0
_VIEW_STEP: Final = 0.02
_AOT_STEP: Final = 0.02


def aerosol_of(text: str) -> Mixture:
    """Aerosol by its name or recipe.

    Parameters
    ----------
    text
        A name of `s2cloud.physics.aerosols.AEROSOL_MODELS`, or a mixture such as
        ``continental:0.6+maritime:0.4`` of models or of their components (``dust-like``,
        ``water-soluble``, ``oceanic``, ``soot``, ``mineral coarse`` ...), with their shares of the
        particle volume; shares need not sum to one.

    Raises
    ------
    UsageError
        If it is not understood.

    Examples
    --------
    >>> [(part.name, round(share, 3)) for part, share in aerosol_of("maritime:1+soot:0.25").parts]
    [('oceanic', 0.76), ('water-soluble', 0.04), ('soot', 0.2)]
    """
    if text in AEROSOL_MODELS:
        return AEROSOL_MODELS[text]
    components = _components()
    shares: dict[str, float] = {}
    for word in text.split("+"):
        found = re.fullmatch(r"\s*([a-z][a-z -]*[a-z])\s*:\s*(\d*\.?\d+)\s*", word)
        name, share = (found[1], float(found[2])) if found else (word, 0.0)
        if share <= 0 or not (name in AEROSOL_MODELS or name in components):
            raise UsageError(
                "aerosol not understood",
                where=repr(text),
                expected=f"one of {', '.join(AEROSOL_MODELS)}, or shares of the particle volume "
                f"like continental:0.6+maritime:0.4, also of {', '.join(components)}",
                found=repr(word),
            )
        if name in AEROSOL_MODELS:
            parts = [(part.name, own * share) for part, own in AEROSOL_MODELS[name].parts]
        else:
            parts = [(name, share)]
        for part, volume in parts:
            shares[part] = shares.get(part, 0.0) + volume
    total = sum(shares.values())
    return Mixture(
        text,
        tuple((components[name], volume / total) for name, volume in shares.items()),
        "components of the built-in models, by volume",
    )


@cache
def _components() -> dict[str, Component]:
    return {part.name: part for model in AEROSOL_MODELS.values() for part, _ in model.parts}


def scene_optics(sensor: Sensor, aerosol: AerosolModel, at: State, viewing: Viewing) -> SceneOptics:
    """Optics for one scene.

    Parameters
    ----------
    sensor
        Instrument.
    aerosol
        The aerosol.
    at
        Atmosphere and sun.
    viewing
        Directions to the satellite.

    Returns
    -------
    SceneOptics
        Nothing is computed yet: the runs of a height follow when the first band asks for it.

    Raises
    ------
    UsageError
        If the solver is not installed.
    """
    import_solver()
    toward, aside, zeniths = [], [], []
    for band in BANDS:
        for odd in (False, True):
            view = viewing.view(band, odd, at.y, at.x)
            u, v = _sunward(view.zenith, at.saa - view.azimuth)
            toward += [u.min(), u.max()]
            aside += [v.min(), v.max()]
            zeniths += [view.zenith.min(), view.zenith.max()]
    return SceneOptics(
        sensor,
        aerosol,
        sza=_nodes([at.sza.min(), at.sza.max()], _SZA_STEP, 3),
        vza=_nodes(zeniths, _VZA_STEP, 4),
        toward=_nodes(toward, _VIEW_STEP, 5),
        aside=_nodes(aside, _VIEW_STEP, 5),
    )


class SceneOptics:
    """Scattering in the atmosphere of a scene; from `scene_optics`.

    Attributes
    ----------
    sensor, aerosol
        Instrument and aerosol.
    sza, vza
        Nodes of the solar zenith and, for transmittances, of the view zenith. [degree]
    toward, aside
        Nodes of the tangent of the view zenith towards the sun and at right angles to it. [1]
    """

    def __init__(
        self,
        sensor: Sensor,
        aerosol: AerosolModel,
        *,
        sza: tuple[float, ...],
        vza: tuple[float, ...],
        toward: tuple[float, ...],
        aside: tuple[float, ...],
    ) -> None:
        self.sensor: Sensor = sensor
        self.aerosol = aerosol
        self.sza, self.vza, self.toward, self.aside = sza, vza, toward, aside
        self._runs: dict[RunNodes, Run] = {}
        # Several bands may ask at the same time; one of them runs the solver.
        self._lock = threading.Lock()

    def evaluate(
        self,
        band: str,
        *,
        sza: npt.ArrayLike,
        vza: npt.ArrayLike,
        raa: npt.ArrayLike,
        aot550: npt.ArrayLike,
        pressure: npt.ArrayLike,
    ) -> Optics:
        """Scattering in one band at one height.

        Parameters
        ----------
        band
            Band.
        sza, vza, raa
            Directions within the scene. [degree]
        aot550
            Aerosol optical thickness at 550 nm above the ground: zero everywhere, or positive
            everywhere. [1]
        pressure
            Surface pressure, one number. [hPa]

        Returns
        -------
        Optics
            Of the broadcast shape.

        Notes
        -----
        The runs for a pressure and a range of optical thickness are made at the first call, which
        takes some 20 s, and kept on disk. Polynomials through Chebyshev nodes: quadratic in the
        sun, quartic in the view as a vector, cubic in its zenith, and of the second to fourth
        degree in optical thickness, as its range wants.
        """
        level = float(np.asarray(pressure))
        s, v, r, aot = (
            np.asarray(a, np.float64) for a in np.broadcast_arrays(sza, vza, raa, aot550)
        )
        shape = s.shape
        s, v, r, aot = (a.ravel() for a in (s, v, r, aot))
        clean = self._run(level, (0.0,))
        run = clean if not aot.any() else self._run(level, _aot_nodes(aot))
        weights = interpolation_weights(self.sensor, band_name(band), WAVELENGTH_SEGMENTS)
        sun, zenith = _basis(self.sza, s), _basis(self.vza, v)
        u, w = _sunward(v, r)
        view = _outer(sun, _outer(_basis(self.toward, u), _basis(self.aside, w)))
        thickness = _basis(run.aot550, aot)
        alone = np.ones((aot.size, 1))

        def field(table: Floats, basis: Floats, columns: Floats = thickness) -> Floats:
            """Sum over the nodes; the table's first axis is optical thickness."""
            flat = (table @ weights).reshape(columns.shape[1], -1)
            return np.asarray(((basis @ flat.T) * columns).sum(axis=1).reshape(shape))

        return Optics(
            *(
                a.astype(np.float32)
                for a in (
                    field(run.path, view),
                    field(clean.path, view, alone),
                    field(run.down, sun),
                    field(run.up, zenith),
                    field(run.direct, zenith),
                    field(run.albedo, alone),
                )
            )
        )

    def _run(self, pressure: float, aot550: tuple[float, ...]) -> Run:
        nodes = RunNodes(round(pressure, 3), aot550, self.sza, self.vza, self.toward, self.aside)
        with self._lock:
            if nodes not in self._runs:
                self._runs[nodes] = solver_run(self.aerosol, nodes)
            return self._runs[nodes]


def _sunward(vza: Floats, raa: Floats) -> tuple[Floats, Floats]:
    """View as a vector towards the sun and, whatever the side, at right angles to it."""
    slant, turn = np.tan(np.radians(vza)), np.radians(raa)
    return slant * np.cos(turn), np.abs(slant * np.sin(turn))


def _nodes(values: list[float], step: float, count: int) -> tuple[float, ...]:
    """Chebyshev nodes with ends over a range widened to a lattice."""
    low = step * np.floor(min(values) / step + 1e-9)
    high = max(step * np.ceil(max(values) / step - 1e-9), low + step)
    unit = 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / (count - 1))
    return tuple(float(x) for x in np.round(low + (high - low) * unit, 9))


def _aot_nodes(aot550: Floats) -> tuple[float, ...]:
    low, high = float(aot550.min()), float(aot550.max())
    ratio = high / max(low, _AOT_STEP)
    return _nodes([low, high], _AOT_STEP, 3 if ratio < 2 else 4 if ratio < 4 else 5)


def _basis(nodes: tuple[float, ...], x: Floats) -> Floats:
    """Lagrange polynomials of the nodes, shape (point, node)."""
    at = np.asarray(nodes)
    out = np.ones((x.size, at.size))
    for i, j in np.ndindex(at.size, at.size):
        if i != j:
            out[:, i] *= (x - at[j]) / (at[i] - at[j])
    return out


def _outer(a: Floats, b: Floats) -> Floats:
    """Products of two bases, shape (point, node a * node b)."""
    return np.asarray((a[:, :, np.newaxis] * b[:, np.newaxis, :]).reshape(a.shape[0], -1))

"""Interpolation in the atmospheric look-up tables."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from s2cloud.model.bands import BANDS, band_name
from s2cloud.model.errors import UsageError
from s2cloud.physics import lut_file
from s2cloud.physics.lut_kernels import interpolate
from s2cloud.physics.lut_lattice import denominators, lattice, mark, on_lattice, path_on_corners

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

    from s2cloud.model.bands import Sensor

    Float32s = NDArray[np.float32]

__all__ = ["LookUpTable", "Optics", "available", "load"]

_DATA: Final = Path(__file__).parent / "data"
_AXES: Final = ("sza", "vza", "raa", "aot550", "pressure")
#: Directions all over the sky, as no scene has them, are worked off in parts to save memory.
_MOST_CORNERS: Final = 50_000  # 45 MB
_FEWEST_POINTS: Final = 4096


class Optics(NamedTuple):
    """What an atmosphere without gaseous absorption does to light in one band.

    Attributes
    ----------
    path_reflectance
        Reflectance of the atmosphere over a black surface, seen from space. [1]
    path_reflectance_rayleigh
        The same without aerosol. [1]
    transmittance_down, transmittance_up
        Total (direct and diffuse) transmittance from sun to ground, from ground to sensor. [1]
    transmittance_up_direct
        Unscattered part of `transmittance_up`. [1]
    spherical_albedo
        Reflectance of the atmosphere for isotropic light from below. [1]
    """

    path_reflectance: Float32s
    path_reflectance_rayleigh: Float32s
    transmittance_down: Float32s
    transmittance_up: Float32s
    transmittance_up_direct: Float32s
    spherical_albedo: Float32s


class _Band(NamedTuple):
    """Tables of one band; arguments of the same names of `lut_kernels.interpolate`."""

    path: Float32s
    total: Float32s
    direct: Float32s
    albedo: Float32s


class _Corners(NamedTuple):
    """Path reflectance on the lattice for the directions last asked for, with any aerosol."""

    directions: tuple[NDArray[np.float64], ...]
    size: int
    origin: NDArray[np.int64]
    corners: NDArray[np.int64]
    path: Float32s

    def serves(self, points: tuple[NDArray[np.float64], ...], size: int) -> bool:
        """Whether these are the same directions; NaN never are."""
        return size == self.size and all(map(np.array_equal, self.directions, points))


class LookUpTable:
    """Atmospheric optics of one sensor and aerosol, from `load`.

    Attributes
    ----------
    sensor, aerosol
        What it is for.
    metadata
        Provenance as stored in the file.
    """

    def __init__(
        self, sensor: Sensor, arrays: dict[str, Float32s], metadata: dict[str, Any]
    ) -> None:
        index = metadata["sensors"].index(sensor)
        self.sensor: Sensor = sensor
        self.aerosol: str = metadata["aerosol"]
        self.metadata = metadata
        nodes = metadata["nodes"]
        self._nodes = tuple(np.sort(np.asarray(nodes[n], dtype=np.float64)) for n in _AXES)
        self._inverses = tuple(denominators(n) for n in self._nodes[:4])
        sza, vza, raa, _, _ = self._nodes
        self._lattices = lattice(sza, vza, raa)
        self._arrays = {name: array[index] for name, array in arrays.items()}
        self._bands: dict[int, _Band] = {}
        self._corners: dict[int, _Corners] = {}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest node of sza, vza, raa, aot550 and pressure.

        `evaluate` clamps to them; whoever needs to know flags what lies outside.
        """
        return {n: (float(v[0]), float(v[-1])) for n, v in zip(_AXES, self._nodes, strict=True)}

    def evaluate(
        self,
        band: str,
        *,
        sza: ArrayLike,
        vza: ArrayLike,
        raa: ArrayLike,
        aot550: ArrayLike,
        pressure: ArrayLike,
    ) -> Optics:
        """Interpolate the optics of a band.

        Parameters
        ----------
        band
            Band in any usual spelling.
        sza, vza
            Solar and viewing zenith angle. [degree]
        raa
            Relative azimuth, 0 = sun and sensor on the same side; folded to 0 - 180. [degree]
        aot550
            Aerosol optical thickness at 550 nm above the surface. [1]
        pressure
            Surface pressure. [hPa]

        Returns
        -------
        Optics
            Float32 arrays of the broadcast shape; NaN wherever an input is NaN.

        Notes
        -----
        Cubic (four-point Lagrange) in all angles and in aot550, linear in pressure; between the
        corners of a fine lattice of directions (`lut_lattice.LATTICE_DEG`) linear in the angles.
        Values outside the nodes are clamped to the nearest node, see `bounds`; negative aot550 to
        zero. At ``aot550 = 0`` the path reflectance is exactly that of the molecules. A point's
        result does not depend on the points around it.

        Examples
        --------
        >>> table = load("S2A")
        >>> optics = table.evaluate("B02", sza=40, vza=5, raa=90, aot550=0.1, pressure=1013)
        >>> bool(0.05 < optics.path_reflectance < 0.09)
        True
        """
        index = BANDS.index(band_name(band))
        inputs = [np.asarray(a, dtype=np.float64) for a in (sza, vza, raa, aot550, pressure)]
        shape = np.broadcast_shapes(*(a.shape for a in inputs))
        size = int(np.prod(shape))
        out = np.empty((6, size), dtype=np.float32)
        points = tuple(_flat(a, shape) for a in inputs)
        if size:
            self._evaluate(index, points, out)
        return Optics(*(row.reshape(shape) for row in out))

    def _evaluate(self, index: int, points: tuple[NDArray[np.float64], ...], out: Float32s) -> None:
        size, band = out.shape[1], self._band(index)
        known = self._corners.get(index)
        if known is None or not known.serves(points, size):
            origin, corners, count = mark(self._lattices, points, size)
            if count > _MOST_CORNERS and size > _FEWEST_POINTS:
                half = size // 2
                for part in (slice(0, half), slice(half, size)):
                    cut = tuple(p if p.size == 1 else p[part] for p in points)
                    self._evaluate(index, cut, out[:, part])
                return
            path = path_on_corners(
                self._lattices, self._nodes, self._inverses, band.path, origin, corners, count,
                self._nodes[-1].size,
            )  # fmt: skip
            known = _Corners(tuple(p.copy() for p in points[:3]), size, origin, corners, path)
            # Retrievals ask for one aerosol after another in the same directions.
            self._corners[index] = known
        interpolate(
            self._lattices, self._nodes, self._inverses[3], known.origin, known.corners,
            known.path, band.total, band.direct, band.albedo, points, out,
        )  # fmt: skip

    def _band(self, index: int) -> _Band:
        """Tables of a band as the kernels read them, made when first asked for."""
        if index not in self._bands:
            # Axes here: aot550, pressure, (sza, vza, raa); pressure ascends inside.
            path, total, direct, albedo = (
                self._arrays[name][index][:, ::-1] for name in ("path", "total", "direct", "albedo")
            )
            pressures = albedo.shape[1]
            # Aerosol and pressure last, in one run.
            width = albedo.size
            path = path.transpose(2, 4, 3, 0, 1)
            path = np.ascontiguousarray(path.reshape(*path.shape[:3], width))
            axis, nodes, inverse = self._lattices[0], self._nodes[0], self._inverses[0]
            curves = [
                np.ascontiguousarray(t.transpose(2, 0, 1).reshape(-1, width))
                for t in (total, direct)
            ]
            rows = [on_lattice(axis, nodes, inverse, c, pressures) for c in curves]
            # A table without angle is one row of them.
            point = np.array([0.0, 0.0, 1.0, 1.0])
            flat = np.ascontiguousarray(np.broadcast_to(albedo.reshape(1, width), (4, width)))
            four = np.arange(4.0)
            sphere = on_lattice(point, four, denominators(four), flat, pressures)
            self._bands[index] = _Band(path, rows[0], rows[1], sphere)
        return self._bands[index]


def available() -> tuple[str, ...]:
    """Names of the aerosols whose tables are shipped."""
    return tuple(sorted(f.stem.removeprefix("lut_") for f in _DATA.glob("lut_*.npz")))


def load(
    sensor: Sensor,
    aerosol: str = "continental",
    *,
    folder: str | os.PathLike[str] | None = None,
) -> LookUpTable:
    """Look-up table of a sensor and an aerosol; read once per process.

    Parameters
    ----------
    sensor
        ``S2A``, ``S2B`` or ``S2C``.
    aerosol
        Name of the aerosol model.
    folder
        Where to look for ``lut_<aerosol>.npz``; by default the tables of the package.

    Returns
    -------
    LookUpTable

    Raises
    ------
    UsageError
        If there is no table of this aerosol, or the table does not hold the sensor.
    InputError
        If the file is damaged: its checksum is verified.
    """
    place = _DATA if folder is None else Path(folder)
    return _load(sensor, place / f"lut_{aerosol}.npz")


@lru_cache(maxsize=8)
def _load(sensor: Sensor, file: Path) -> LookUpTable:
    arrays, metadata = _read(file)
    if sensor not in metadata["sensors"]:
        raise UsageError(
            "the look-up table does not hold this sensor",
            where=f"{file}: {sensor}",
            expected="one of " + ", ".join(metadata["sensors"]),
        )
    return LookUpTable(sensor, arrays, metadata)


def _read(file: Path) -> tuple[dict[str, Float32s], dict[str, Any]]:
    if not file.exists():
        raise UsageError(
            "no look-up table of this aerosol",
            where=str(file),
            expected="one of " + ", ".join(available()),
            fix="s2cloud lut build",
        )
    return lut_file.read(file)


def _flat(array: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Contiguous values; a single one stays single, the kernels repeat it.

    All are made read-only views: the kernels are compiled anew for every mixture of read-only and
    writable arguments.
    """
    single = array.size == 1
    whole = array if single else np.ascontiguousarray(np.broadcast_to(array, shape))
    flat = whole.reshape(-1)
    flat.flags.writeable = False
    return flat

"""Interpolation in the atmospheric look-up tables."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from s2cloud.model.bands import BANDS, band_name
from s2cloud.model.errors import UsageError
from s2cloud.physics import lut_file
from s2cloud.physics.lut_kernels import contract, denominators, interpolate, interpolate_contracted

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

    from s2cloud.model.bands import Sensor

    Float32s = NDArray[np.float32]

__all__ = ["LookUpTable", "Optics", "available", "load"]

_DATA: Final = Path(__file__).parent / "data"
_AXES: Final = ("sza", "vza", "raa", "aot550", "pressure")


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
        # Pressure ascends inside; azimuth and view are swapped so that a kernel reads the sixteen
        # values around a direction in one run.
        nodes = metadata["nodes"]
        self._nodes = tuple(np.sort(np.asarray(nodes[n], dtype=np.float64)) for n in _AXES)
        self._inverses = tuple(denominators(n) for n in self._nodes)
        path = arrays["path"][index][:, :, ::-1]
        self._path = np.ascontiguousarray(path.swapaxes(-1, -2))
        self._total = np.ascontiguousarray(arrays["total"][index][:, :, ::-1])
        self._direct = np.ascontiguousarray(arrays["direct"][index][:, :, ::-1])
        self._albedo = np.ascontiguousarray(arrays["albedo"][index][:, :, ::-1])

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
        Cubic (four-point Lagrange) in all angles and in aot550, linear in pressure. Values outside
        the nodes are clamped to the nearest node, see `bounds`; negative aot550 to zero. At
        ``aot550 = 0`` the path reflectance is exactly that of the molecules. Scalar angles are
        eight times as fast as arrays.

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
        path, total, direct = self._path[index], self._total[index], self._direct[index]
        axes = (self._nodes, self._inverses)
        if size == 0:
            pass
        elif all(a.size == 1 for a in inputs[:3]):
            direction = [float(a[0]) for a in points[:3]]
            tables = contract(*axes, path, total, direct, *direction)
            interpolate_contracted(*axes, tables, self._albedo[index], points, out)
        else:
            interpolate(*axes, path, total, direct, self._albedo[index], points, out)
        return Optics(*(row.reshape(shape) for row in out))


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

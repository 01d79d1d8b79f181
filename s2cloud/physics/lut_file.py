"""The table file: quantised arrays, a description, and a checksum over both.

The arrays are stored as 16-bit integers and, before compression, as their differences along sun
and azimuth: neighbouring nodes differ little, so that most high bytes are zero.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["read", "write"]

_FORMAT: Final = 1
_FULL_SCALE: Final = 65535
#: Axes along which `path` is differenced: SZA and RAA.
_SMOOTH_AXES: Final = (-3, -1)


def write(
    target: Path, arrays: Mapping[str, NDArray[np.float64]], metadata: Mapping[str, Any]
) -> Path:
    """Quantise and write a table.

    Parameters
    ----------
    target
        File to write; replaced in one step.
    arrays
        ``path``, shape (sensor, band, aot550, pressure, sza, vza, raa); ``total`` and ``direct``
        without the last two axes; ``albedo`` without the last three. [1]
    metadata
        Whatever JSON can say; kept in the file beside the checksum.

    Returns
    -------
    Path
        `target`.

    Notes
    -----
    The quantisation error of the path reflectance is half of the largest value of its band over
    65535, below 8e-6; of the others 8e-6.
    """
    # Rounding first: the last bits of a solver may differ between processors, a checksum may not.
    path = np.round(arrays["path"], 6)
    axes = (0, *range(2, path.ndim))
    scale = np.round(path.max(axis=axes) / _FULL_SCALE, 12)  # per band, shared by the sensors
    expanded = scale.reshape(-1, *(1,) * (path.ndim - 2))
    stored = {"path": np.round(path / expanded).astype(np.uint16)}
    for name in ("total", "direct", "albedo"):
        stored[name] = np.round(np.round(arrays[name], 6) * _FULL_SCALE).astype(np.uint16)
    record = {**metadata, "format": _FORMAT, "path_scale": scale.tolist()}
    record["sha256"] = _checksum(stored, record)
    stored["path"] = _difference(stored["path"])
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, metadata=np.array(json.dumps(record)), **_planes(stored))
    partial.replace(target)
    return target


def read(source: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """Read a table and verify its checksum.

    Parameters
    ----------
    source
        The file.

    Returns
    -------
    arrays, metadata
        As given to `write`, the arrays as float32.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another format.
    """
    try:
        # Opened here, because numpy leaves the file of a broken archive open.
        with source.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            record = json.loads(str(data["metadata"]))
            if record["format"] != _FORMAT:
                raise InputError(
                    "a look-up table of another format",
                    where=str(source),
                    expected=_FORMAT,
                    found=record["format"],
                    fix="build it again with s2cloud lut build",
                )
            stored = {
                name: (data[f"{name}_high"].astype(np.uint16) << 8) | data[f"{name}_low"]
                for name in ("path", "total", "direct", "albedo")
            }
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            "not a readable look-up table",
            where=str(source),
            found=f"{type(error).__name__}: {error}",
            fix="install s2cloud again, or build the table with s2cloud lut build",
        ) from error
    stored["path"] = _accumulate(stored["path"])
    expected = record.pop("sha256")
    found = _checksum(stored, record)
    if found != expected:
        raise InputError(
            "the checksum of a look-up table does not match its content",
            where=str(source),
            expected=expected,
            found=found,
            fix="install s2cloud again, or build the table with s2cloud lut build",
        )
    record["sha256"] = expected
    scale = np.asarray(record["path_scale"]).reshape(-1, *(1,) * (stored["path"].ndim - 2))
    arrays = {name: _dequantise(array, 1.0 / _FULL_SCALE) for name, array in stored.items()}
    arrays["path"] = _dequantise(stored["path"], scale)
    return arrays, record


def _dequantise(
    array: NDArray[np.uint16], scale: float | NDArray[np.float64]
) -> NDArray[np.float32]:
    return np.asarray(array * np.asarray(scale, dtype=np.float32), dtype=np.float32)


def _checksum(stored: Mapping[str, NDArray[np.uint16]], record: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(stored):
        digest.update(f"{name}{stored[name].shape}".encode())
        digest.update(np.ascontiguousarray(stored[name], dtype="<u2").tobytes())
    return digest.hexdigest()


def _planes(stored: Mapping[str, NDArray[np.uint16]]) -> dict[str, Any]:
    """High and low bytes apart: the former are nearly constant and compress to nothing."""
    out: dict[str, Any] = {}
    for name, array in stored.items():
        out[f"{name}_high"] = (array >> 8).astype(np.uint8)
        out[f"{name}_low"] = (array & 0xFF).astype(np.uint8)
    return out


def _difference(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Differences modulo 2**16, shifted so that small ones of either sign share a high byte."""
    for axis in _SMOOTH_AXES:
        values = np.diff(values, axis=axis, prepend=np.uint16(0))
    return values + np.uint16(128)


def _accumulate(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    values = values - np.uint16(128)
    for axis in _SMOOTH_AXES:
        values = np.cumsum(values, axis=axis, dtype=np.uint16)
    return values

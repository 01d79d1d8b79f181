"""Statistics over scenes, kept in any store for later processes."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import numpy as np

from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError
from s2cloud.processor.statistics import KINDS, Statistics

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from s2cloud.io.stores import Store

__all__ = ["SceneCache"]

_MAGIC: Final = b"S2SCENE1"
_LEVEL: Final = 1
_KINDS: Final = {kind.__name__: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class SceneCache:
    """A folder or URL prefix that keeps the statistics over scenes, to be given to ``process``.

    The aerosol, the water vapour and the clouds of a tile are found on its overview before the
    first pixel is corrected. With a cache the first process writes what it found, some 20 MB, and
    later ones read it: a window of a tile then costs what its own pixels cost.

    Statistics are found by a fingerprint of the input files (address, length, tag), of the
    configuration, of the look-up table and of the version: nothing stale is ever used. Nobody
    deletes them; give the prefix a rule of expiry.

    Attributes
    ----------
    address
        Path or URL.
    storage_options
        Options of its file system.

    Examples
    --------
    >>> cache = SceneCache("s3://bucket/scenes")
    >>> l2a = process(open_l1c("S2B_MSIL1C_....SAFE"), cache=cache)  # doctest: +SKIP
    """

    address: str
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def has(self, key: str) -> bool:
        """Whether there are statistics of this key."""
        return self._store().exists(_name(key))

    def load(self, key: str) -> Statistics:
        """Statistics of this key.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        store = self._store()
        data = store.read(_name(key))
        found = _unpacked(data, store.url(_name(key)))
        if not isinstance(found, Statistics):
            raise _damaged(store.url(_name(key)), type(found).__name__)
        return found

    def save(self, key: str, found: Statistics) -> None:
        """Keep statistics under this key; whole or not at all."""
        self._store().write(_name(key), _packed(found))

    def _store(self) -> Store:
        return open_store(self.address, dict(self.storage_options))


def _name(key: str) -> str:
    return f"scene-{key}.bin"


def _packed(found: Any) -> bytes:
    arrays: list[npt.NDArray[Any]] = []
    value = _plain(found, arrays)
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    payload = bytes(imagecodecs.zstd_encode(body, level=_LEVEL))
    header = json.dumps(
        {
            "arrays": [[array.dtype.str, list(array.shape)] for array in arrays],
            "size": len(body),
            "sha256": hashlib.sha256(payload).hexdigest(),
            "value": value,
        }
    ).encode()
    return _MAGIC + struct.pack("<I", len(header)) + header + payload


def _unpacked(data: bytes, where: str) -> Any:
    start = len(_MAGIC) + 4
    if len(data) < start or not data.startswith(_MAGIC):
        raise _damaged(where, "no statistics of this version")
    (length,) = struct.unpack_from("<I", data, len(_MAGIC))
    try:
        header = json.loads(data[start : start + length])
    except ValueError as error:
        raise _damaged(where, str(error)) from error
    payload = data[start + length :]
    if hashlib.sha256(payload).hexdigest() != header["sha256"]:
        raise _damaged(where, "a wrong checksum")
    body = bytes(imagecodecs.zstd_decode(payload, out=header["size"])) if header["size"] else b""
    arrays, at = [], 0
    for kind, shape in header["arrays"]:
        count = int(np.prod(shape))
        array = np.frombuffer(body, np.dtype(kind), count, at).reshape(shape)
        # Compiled steps are compiled for writable arrays.
        arrays.append(array.copy())
        at += array.nbytes
    return _made(header["value"], arrays)


def _plain(value: Any, arrays: list[npt.NDArray[Any]]) -> Any:
    """Value in terms of JSON; arrays and NumPy's numbers go to a list of their own."""
    if isinstance(value, np.ndarray | np.generic):
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1, "number": isinstance(value, np.generic)}
    if is_dataclass(value):
        parts = {f.name: _plain(getattr(value, f.name), arrays) for f in fields(value)}
        return {"kind": type(value).__name__, "parts": parts}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        parts = {n: _plain(v, arrays) for n, v in zip(value._fields, value, strict=True)}
        return {"kind": type(value).__name__, "parts": parts}
    if isinstance(value, tuple | list):
        return {"list": [_plain(v, arrays) for v in value], "tuple": isinstance(value, tuple)}
    if isinstance(value, dict):
        return {"pairs": [[_plain(k, arrays), _plain(v, arrays)] for k, v in value.items()]}
    return value


def _made(value: Any, arrays: list[npt.NDArray[Any]]) -> Any:
    """The reverse of `_plain`; no other classes than `KINDS` are made."""
    if not isinstance(value, dict):
        return value
    if "array" in value:
        array = arrays[value["array"]]
        return array[()] if value["number"] else array
    if "kind" in value:
        return _KINDS[value["kind"]](**{n: _made(v, arrays) for n, v in value["parts"].items()})
    if "list" in value:
        items = [_made(item, arrays) for item in value["list"]]
        return tuple(items) if value["tuple"] else items
    return {_made(k, arrays): _made(v, arrays) for k, v in value["pairs"]}


def _damaged(where: str, found: str) -> InputError:
    return InputError(
        "scene statistics are damaged", where=where, found=found, fix="delete the file"
    )

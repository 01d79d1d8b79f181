"""What an output format is: rasters in, objects out, described one by one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from s2cloud.io.layers import Layer, Summary
from s2cloud.model.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import xarray as xr

    from s2cloud.io.receipt import Asset, Layout, Receipt
    from s2cloud.io.stores import Store
    from s2cloud.model.granule import Granule

__all__ = [
    "Product",
    "Results",
    "Sink",
    "Target",
    "Written",
    "file_name",
    "layer_id",
    "summaries_of",
]

#: How long a failing run waits for its own uploads in flight before it cleans up. [s]
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Written:
    """One object that a task wrote.

    Attributes
    ----------
    path
        Relative to the product folder.
    size
        [byte]
    sha256
        Of the content.
    layer
        ``path/name`` of the raster it holds, empty if none.
    summary
        Of its pixels.
    """

    path: str
    size: int
    sha256: str
    layer: str = ""
    summary: Summary | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """What a computation left.

    Attributes
    ----------
    written
        Objects written by the tasks of one format.
    small
        Computed variables that are no rasters, by ``path/name``.
    """

    written: list[Written]
    small: dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Product:
    """An L2A tree on its way out."""

    l2a: xr.DataTree
    granule: Granule
    layers: tuple[Layer, ...]
    layout: Layout
    digest: str

    @property
    def name(self) -> str:
        """Name of the product, safe as a file name."""
        return file_name(self.granule.l2a_name)


class Target(Protocol):
    """One output format."""

    @property
    def format(self) -> str:
        """Name in the receipt."""
        ...

    def layers(self, product: Product) -> list[Layer]:
        """Rasters this format needs."""
        ...

    def names(self, product: Product) -> list[str]:
        """Files and folders this format writes, relative to the product folder."""
        ...

    def check(self, product: Product, store: Store) -> None:
        """Refuse to write over what is not ours."""
        ...

    def tasks(self, product: Product, blocks: Mapping[str, Any], sink: Sink) -> list[Any]:
        """Delayed calls that return lists of `Written`; `blocks` by layer ``path/name``."""
        ...

    def finish(
        self, product: Product, results: Results, draft: Receipt, sink: Sink, /
    ) -> list[Asset]:
        """Write what needs the results, and describe everything."""
        ...


class _Gate:
    """Lets a failing run wait for its uploads in flight and refuse new ones."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._active = 0
        self._closed = False

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        with self._condition:
            if self._closed:
                raise _abandoned()
            self._active += 1
        try:
            yield
        finally:
            with self._condition:
                self._active -= 1
                self._condition.notify_all()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.wait_for(lambda: self._active == 0, timeout=_PATIENCE_S)


_GATES: Final[dict[str, _Gate]] = {}
_INSTANCE: Final = uuid.uuid4().hex


def _here() -> str:
    """Name of this process; another one after a fork, or on another machine with this pid."""
    return f"{_INSTANCE}-{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Sink:
    """Where the tasks of one run put their bytes; travels with them.

    Attributes
    ----------
    store
        The product folder.
    token
        Identity of the run.
    home
        The process that coordinates the run.

    Notes
    -----
    Tasks in the threads of the coordinating process stop at its word. Those in other processes
    do not hear it: what they finish writing after a failure stays, without a receipt, until the
    next attempt replaces it.
    """

    store: Store
    token: str
    home: str

    @classmethod
    def opened(cls, store: Store) -> Sink:
        """Sink of a new run, with a gate for the threads of this process."""
        sink = cls(store, uuid.uuid4().hex, _here())
        _GATES[sink.token] = _Gate()
        return sink

    def close(self) -> None:
        """Refuse uploads from now on and wait for those in flight."""
        if (gate := _GATES.pop(self.token, None)) is not None:
            gate.close()

    def write(self, path: str, data: bytes, layer: str = "", summary: Summary | None = None) -> Any:
        """Write bytes and say so."""
        with self._passing():
            self.store.write(path, data)
        return Written(path, len(data), hashlib.sha256(data).hexdigest(), layer, summary)

    def put(self, local: Path, path: str) -> None:
        """Upload a local file."""
        with self._passing():
            self.store.put_file(local, path)

    def _passing(self) -> contextlib.AbstractContextManager[None]:
        if self.home != _here():
            return contextlib.nullcontext()
        gate = _GATES.get(self.token)
        if gate is None:
            raise _abandoned()
        return gate.passing()


def _abandoned() -> UnavailableError:
    return UnavailableError("this run was abandoned", fix="start it again")


def summaries_of(written: Sequence[Written]) -> dict[str, Summary]:
    """Summary of each raster from those of its parts."""
    sums: defaultdict[str, Summary] = defaultdict(Summary)
    for part in written:
        if part.summary is not None:
            sums[part.layer] += part.summary
    return dict(sums)


def layer_id(layer: Layer) -> str:
    """Path of the variable in the tree."""
    return f"{layer.path}/{layer.name}"


def file_name(text: str) -> str:
    """A name without characters that file systems or URLs treat in their own way."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text) or "product"

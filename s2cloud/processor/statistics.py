"""What the scene stage found out about a product, and how it is remembered between processes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from s2cloud.algorithms.cirrus import Cirrus
from s2cloud.algorithms.classification import ClassificationScene
from s2cloud.algorithms.classification.steps import Facts
from s2cloud.model.version import VERSION
from s2cloud.physics import mixtures
from s2cloud.processor.aerosol import AerosolResult, Alternative
from s2cloud.processor.mixture import Mixture
from s2cloud.processor.retrieval import VapourResult
from s2cloud.processor.scene import Planes, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.processor.optics import SceneInput

__all__ = ["KINDS", "Memory", "Statistics", "memory_key", "recalled", "remembered"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Results of the scene stage.

    Attributes
    ----------
    scene
        Aerosol, water vapour, clear pixels; without what it was computed from.
    classified
        What blocks need to classify their pixels.
    planes
        Correction of each band on the cells.
    """

    scene: Scene
    classified: ClassificationScene
    planes: dict[str, Planes]


#: All classes that `Statistics` is made of.
KINDS: Final[tuple[type, ...]] = (
    Statistics,
    Scene,
    AerosolResult,
    Alternative,
    Mixture,
    VapourResult,
    Cirrus,
    ClassificationScene,
    Facts,
    Planes,
)


class Memory(Protocol):
    """A place for statistics, such as `s2cloud.SceneCache`."""

    def has(self, key: str) -> bool:
        """Whether there are statistics of this key."""

    def load(self, key: str) -> Statistics:
        """Statistics of this key."""

    def save(self, key: str, found: Statistics) -> None:
        """Keep statistics under this key."""


def memory_key(given: SceneInput, names: Sequence[str]) -> str:
    """Name that changes with whatever statistics depend on, 64 hexadecimal digits.

    Parameters
    ----------
    given
        Sensor and meteorology, which tell the look-up table.
    names
        Names of the tasks that compute them: dask makes these from the functions, the
        configuration, angles, meteorology and the addresses, lengths and tags of the files.
    """
    table = mixtures.load(given.sensor, given.meteorology.aerosol_model).metadata["sha256"]
    return hashlib.sha256("\n".join([VERSION, table, *names]).encode()).hexdigest()


def remembered(
    memory: Memory,
    key: str,
    scene: Scene,
    classified: ClassificationScene,
    planes: dict[str, Planes],
) -> Statistics:
    """Statistics as computed, kept for the next process."""
    found = Statistics(scene, classified, planes)
    # What it was computed from is known to whoever asks again.
    memory.save(key, replace(found, scene=replace(scene, given=cast("Any", None))))
    return found


def recalled(memory: Memory, key: str, given: SceneInput) -> Statistics:
    """Statistics as an earlier process kept them."""
    found = memory.load(key)
    air = replace(given.meteorology, aerosol_model=found.scene.aerosol.mixture.model)
    scene = replace(found.scene, given=replace(given, meteorology=air))
    return replace(found, scene=scene)


def part_of(found: Statistics, part: str, band: str = "") -> Any:
    """Scene, classification, or the correction of a band."""
    return found.planes[band] if band else getattr(found, part)

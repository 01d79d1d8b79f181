"""Complete scene classification of a block of a tile (local stage)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s2cloud.algorithms.classification.mixtures import tidy_shores
from s2cloud.algorithms.classification.overview_shadows import slope_light, spectral_shadow
from s2cloud.algorithms.classification.penumbra import tidy_shadows
from s2cloud.algorithms.classification.refine import (
    UNTIL_END,
    Planes,
    refine_planes,
    settle_planes,
)
from s2cloud.algorithms.classification.shadow import CELL
from s2cloud.algorithms.classification.window import (
    Ground,
    Options,
    State,
    grown,
    median_classes,
    planes_of,
    pointwise,
    snow_soil_border,
    tidy_shade,
)
from s2cloud.model.bands import BANDS
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.scene import ClassificationScene

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Frame", "Refined", "classify_window", "places_of", "refined"]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a window lies in a scene.

    Attributes
    ----------
    row, col
        First pixel of the window from the corner of the tile; outside the tile the scene's
        outermost pixels are meant. [pixel of the window]
    factor
        Window pixels per pixel of the scene.
    pixel_size
        [m]
    """

    row: int
    col: int
    factor: int
    pixel_size: float


@dataclass(frozen=True, slots=True)
class Refined:
    """A window before classes are grown, and what led there.

    Attributes
    ----------
    state
        Classes and confidences.
    planes
        What lay around the pixels.
    border
        Near snow and near soil, None if nothing is.
    """

    state: State
    planes: Planes
    border: Mask | None


def classify_window(
    toa: Floats,
    scene: ClassificationScene,
    frame: Frame,
    options: Options,
    *,
    ground: Ground | None = None,
    defective: Mask | None = None,
    model: Floats | None = None,
) -> tuple[Codes, Codes, Codes]:
    """Class, cloud and snow probability of a window of a scene, all steps.

    Parameters
    ----------
    toa
        TOA reflectance, bands in ESA's order, NaN in any band = no-data. [1], shape (13, y, x)
    scene
        From `classify_scene`.
    frame
        Where the window lies.
    options
        Those of the scene.
    ground
        Maps and terrain of the window.
    defective
        True where a band is saturated or lost; such pixels get class 1. Shape (y, x)
    model
        Cloud probability of a classifier. [1], shape (y, x)

    Returns
    -------
    scl : ndarray
        Class codes, uint8. Shape (y, x)
    cloud_probability, snow_probability : ndarray
        Rounded confidences, 0 in classes 0 and 1, uint8. [%], shape (y, x)

    Raises
    ------
    UsageError
        If `toa` is not (13, y, x).

    Notes
    -----
    Pixels nearer than `reach_of` to the edge of the window lack neighbours: trim them. The result
    depends neither on the window nor on how the scene is cut.
    """
    found = refined(toa, scene, frame, options, ground=ground, defective=defective, model=model)
    state = found.state
    scl = state.scl
    if options.evolution:
        if scene.facts.terrain:
            tidy_shade(scl)
        at = np.ix_(found.planes.rows, found.planes.columns)
        flags = scene.flags[at]
        tidy_shadows(
            np.ascontiguousarray(toa, dtype=np.float32),
            scl,
            scene.geometric[at] > 0,
            flags,
            found.planes.water,
            frame.pixel_size,
            slope_light(ground or Ground(), scene.facts.cos_sza),
        )
        tidy_shores(np.ascontiguousarray(toa, dtype=np.float32), scl, flags)
        scl = grown(state, flags, found.border, options, frame.pixel_size)
    if options.median > 1:
        scl = median_classes(scl, options.median)
    return scl, percent(state.confidence[0]), percent(state.confidence[1])


def refined(
    toa: Floats,
    scene: ClassificationScene,
    frame: Frame,
    options: Options,
    *,
    ground: Ground | None = None,
    defective: Mask | None = None,
    model: Floats | None = None,
) -> Refined:
    """All steps of `classify_window` but the growing and smoothing of classes."""
    bands = np.ascontiguousarray(toa, dtype=np.float32)
    if bands.ndim != 3 or bands.shape[0] != len(BANDS):
        raise UsageError(
            "the scene classification needs all thirteen bands",
            where="toa",
            expected="shape (13, y, x)",
            found=f"shape {bands.shape}",
            fix="stack the bands " + ", ".join(BANDS),
        )
    maps = ground or Ground()
    shape = scene.flags.shape
    rows = places_of(frame.row, bands.shape[1], frame.factor, shape[0])
    columns = places_of(frame.col, bands.shape[2], frame.factor, shape[1])
    state = pointwise(bands, maps, options, defective, model)

    def surroundings(border: Mask | None = None, spectral: Floats | None = None) -> Planes:
        return planes_of(
            state,
            maps,
            scene.flags,
            scene.geometric,
            rows,
            columns,
            border=border,
            spectral=spectral,
        )

    settle_planes(bands, surroundings(), scene.facts, state.scl, state.confidence)
    border = snow_soil_border(state.scl, frame.pixel_size) if options.evolution else None
    spectral = None
    if scene.geometric[np.ix_(rows, columns)].any():
        origin, cell = (frame.row, frame.col), CELL * frame.factor
        floor = float(scene.facts.shadow_floor)
        light = slope_light(maps, scene.facts.cos_sza)
        spectral = spectral_shadow(bands, scene.reference, floor, origin, cell, light=light)
    planes = surroundings(border, spectral)
    refine_planes(bands, planes, scene.facts, UNTIL_END, state.scl, state.confidence)
    return Refined(state, planes, border)


def places_of(start: int, size: int, factor: int, scene_size: int) -> npt.NDArray[np.int64]:
    """Row or column of the scene below each row or column of a window.

    Parameters
    ----------
    start
        First pixel of the window, from the corner of the scene; may lie outside it.
    size
        Pixels of the window.
    factor
        Window pixels per scene pixel.
    scene_size
        Pixels of the scene; beyond it the outermost one is meant.

    Examples
    --------
    >>> places_of(-2, 6, 3, 10).tolist()
    [0, 0, 0, 0, 0, 1]
    """
    return np.clip((start + np.arange(size)) // factor, 0, scene_size - 1)


def percent(confidence: Floats) -> Codes:
    """Confidence in whole percent."""
    return (confidence * np.float32(100.0) + np.float32(0.5)).astype(np.uint8)

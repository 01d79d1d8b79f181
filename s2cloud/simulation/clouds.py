"""Clouds: layers of optical thickness at heights that vary from cloud to cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import fft, ndimage

from s2cloud.simulation.cloud_kernels import DETAIL_LIMIT
from s2cloud.simulation.noise import fractal

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.simulation.recipes import CloudLayer, Recipe
    from s2cloud.simulation.relief import Relief

    Float32s = npt.NDArray[np.float32]

__all__ = ["Clouds", "Layer", "clouds"]

_CELL: Final = 60.0
#: Heights of cirrus above the ground [m], and its greatest optical thickness.
_CIRRUS_HEIGHTS: Final = (8_000.0, 11_000.0)
_CIRRUS_THICKNESS: Final = 0.40
#: Pixels after which the detail of edges repeats, and its wavelengths. [pixel of 10 m]
_DETAIL_PX: Final = 2_000
_DETAIL_LONGEST: Final = 60.0
#: Distance over which heights of clouds vary. [m]
_HEIGHT_RANGE: Final = 9_000.0


@dataclass(frozen=True, slots=True)
class Layer:
    """Clouds of one layer; fields are periodic.

    Attributes
    ----------
    amount
        Positive where there is cloud, on 60 m cells. [1], shape (y, x)
    height
        Height above mean sea level, likewise. [m]
    detail, roughness
        Detail on 10 m pixels, and how much of it adds to `amount`.
    there
        Cells with cloud, or next but one to it, likewise.
    softness
        Amount at which clouds are as thick as they get.
    thickness, ice
        As in `s2cloud.simulation.recipes.CloudLayer`.
    """

    amount: Float32s
    height: Float32s
    detail: Float32s
    roughness: float
    there: npt.NDArray[np.bool_]
    softness: float
    thickness: float
    ice: float


@dataclass(frozen=True, slots=True)
class Clouds:
    """Clouds of a scene.

    Attributes
    ----------
    layers
        Layers of thick cloud, the lowest first.
    cirrus
        Thin cirrus, None without.
    ground
        Height of the ground on the 60 m grid. [m], shape (y, x)
    """

    layers: tuple[Layer, ...]
    cirrus: Layer | None
    ground: Float32s


def clouds(relief: Relief, recipe: Recipe, seed: int) -> Clouds:
    """Clouds of a scene.

    Parameters
    ----------
    relief
        Its relief; heights of clouds count from its mean.
    recipe
        Shares of the scene.
    seed
        Seed of all randomness.

    Returns
    -------
    Clouds
    """
    ground = np.ascontiguousarray(relief.inner)
    cells = ground.shape[0]
    rng = np.random.default_rng([seed, 2])
    period = fft.next_fast_len(min(6 * cells, _DETAIL_PX), real=True)
    detail = fractal(period, 1.25, rng, longest=_DETAIL_LONGEST)
    np.clip(detail, -DETAIL_LIMIT, DETAIL_LIMIT, out=detail)
    mean = float(ground.mean())
    layers = tuple(_layer(plan, cells, detail, mean, rng) for plan in recipe.layers if plan.share)
    cirrus = None
    if recipe.cirrus:
        veil = fractal(cells, 2.0, rng, longest=500.0)
        # Winds aloft draw it out.
        veil = ndimage.gaussian_filter1d(np.roll(veil, 1, 0) + veil, 12, axis=1, mode="wrap")
        veil /= veil.std()
        amount = veil - np.quantile(veil, 1 - recipe.cirrus)
        height = _heights(_CIRRUS_HEIGHTS, cells, mean, rng)
        top = max(float(amount.max()), 1e-6)
        cirrus = Layer(
            amount, height, detail, 0.02, _there(amount, 0.02), 0.6 * top, _CIRRUS_THICKNESS, 1.0
        )
    return Clouds(layers, cirrus, ground)


def _layer(
    plan: CloudLayer, cells: int, detail: Float32s, ground: float, rng: np.random.Generator
) -> Layer:
    # Single clouds gather where a broad field is high.
    broad = fractal(cells, 1.9, rng, longest=25 * plan.size / _CELL)
    single = fractal(cells, 1.7, rng, longest=plan.size / _CELL)
    field = 0.55 * ndimage.gaussian_filter(broad, 2, mode="wrap") + single
    field /= field.std()
    roughness = 0.13
    amount = field - np.quantile(field, 1 - plan.share) + np.float32(0.06)
    height = _heights(plan.heights, cells, ground, rng)
    there = _there(amount, roughness)
    return Layer(amount, height, detail, roughness, there, 1.1, plan.thickness, plan.ice)


def _there(amount: Float32s, roughness: float) -> npt.NDArray[np.bool_]:
    some = amount > -DETAIL_LIMIT * roughness
    return np.asarray(ndimage.maximum_filter(some, 5, mode="wrap"), dtype=np.bool_)


def _heights(
    between: tuple[float, float], cells: int, ground: float, rng: np.random.Generator
) -> Float32s:
    smooth = fractal(cells, 3.0, rng, longest=_HEIGHT_RANGE / _CELL)
    low, high = between
    part = np.clip(0.5 + 0.25 * smooth, 0, 1)
    return np.asarray(ground + low + (high - low) * part, dtype=np.float32)

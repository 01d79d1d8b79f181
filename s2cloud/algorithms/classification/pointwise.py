"""The pointwise sequence of the scene classification, for spectra and for windows of a tile.

Dark features, cloud, snow, vegetation, soil, water, rock and cirrus, decided pixel by pixel from
TOA reflectance; the only neighbourhood here is the ring around snow. Cloud shadows, parallax,
terrain, land cover maps and dilation build on the result: stop with ``until="water"`` and the
pixels that no rule has decided carry `UNDECIDED`.

References
----------
Level-2A Algorithm Theoretical Basis Document, S2-PDGS-MPC-ATBD-L2A, issue 2.10 (2022).
Main-Knorn, M. et al. (2017): Sen2Cor for Sentinel-2, doi:10.1117/12.2278218.
Louis, J. et al. (2016): Sentinel-2 Sen2Cor: L2A processor for users, ESA SP-740.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from s2cloud.algorithms.classification.kernels import classify_planes, find_snow
from s2cloud.algorithms.classification.morphology import cross_dilated
from s2cloud.algorithms.classification.rules import (
    UNDECIDED,
    UNTIL_DECISION,
    UNTIL_END,
    UNTIL_WATER,
    Rules,
    Variant,
    limits_of,
    single,
)
from s2cloud.algorithms.classification.thresholds import Thresholds
from s2cloud.model.bands import BANDS
from s2cloud.model.errors import UsageError
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["HALO", "UNDECIDED", "Stage", "Variant", "classify_block", "classify_pixels"]

Stage = Literal["decision", "water", "end"]

#: Pixels around a window that `classify_block` must see for results that do not depend on the
#: window: the reach of the ring around snow.
HALO: Final = 3

_STAGES: Final[dict[Stage, int]] = {
    "decision": UNTIL_DECISION,
    "water": UNTIL_WATER,
    "end": UNTIL_END,
}

_NO_MODEL: Final = np.full((1, 1), np.nan, np.float32)
_NO_MODEL.flags.writeable = False


def classify_pixels(
    toa: npt.ArrayLike,
    *,
    altitude: npt.ArrayLike = 100.0,
    snow_possible: bool = True,
    variant: Variant = "evolution",
    thresholds: Thresholds | None = None,
    until: Stage = "end",
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Class, cloud and snow confidence of spectra, each judged on its own.

    Parameters
    ----------
    toa
        TOA reflectance of the thirteen bands in ESA's order. [1], shape (..., 13). A spectrum
        with a band that is 0 or not finite is no-data; negative reflectances are kept.
    altitude
        Elevation of the ground, NaN = unknown, taken as low. [m], broadcasts to (...) Leave the
        default where there is no elevation model, as Sen2Cor does.
    snow_possible
        False where the climatology excludes snow.
    variant
        ``evolution``: Sen2Cor 2.10 and later; ``classic``: 2.8 and 2.9.
    thresholds
        Defaults to `Thresholds`.
    until
        Where to stop: after the ``decision`` (step 7), after the ``water`` recovery, or at the
        ``end``. Before the end, pixels without a class carry `UNDECIDED`.

    Returns
    -------
    scl : ndarray
        Class codes, see `s2cloud.model.schema.SCL`. Shape (...)
    cloud_confidence, snow_confidence : ndarray
        From 0 to 1, float32; 0 for no-data. [1], shape (...)

    Raises
    ------
    UsageError
        If the last axis does not hold thirteen bands, or an option is unknown.

    Notes
    -----
    Rules assign to undecided pixels unless they *override*. Denominators are at least 1e-6.

    ======================= ============ ==========================================================
    step                    kind         here
    ======================= ============ ==========================================================
    1.1 red, dark features  pointwise    yes
    1.2 NDSI of cloud       pointwise    yes; reset overrides dark features
    2.1-2.4 snow filters    pointwise    yes, if ``snow_possible``
    2.5 snow                pointwise    yes; overrides, cloud confidence 0
    2.5 ring around snow    window       only `classify_block`
    2.x snow condition      map          no
    3 NDVI                  pointwise    yes; vegetation keeps its cloud confidence
    4 senescing vegetation  pointwise    no, inactive since Sen2Cor 2.8; see dark vegetation
    5.1, 5.2, 6, 6bis       pointwise    yes
    7 cloud                 pointwise    yes
    7 thin cirrus           pointwise    yes, below 1500 m; overrides every class
    7 thick cirrus          pointwise    yes; overrides. ``evolution``: only below 1500 m, and sets
                                         the confidences to 0.65 and 0
    cloud shadow, parallax  scene        no
    dark vegetation         pointwise    yes, on classes 2 and undecided; ``evolution`` sets both
                                         confidences to 0 on the pixels it changes, and no others
    water recovery          pointwise    yes, the confidences stay
    water by map            map          no
    terrain steps           terrain      no; class 2 stays 2
    shadow over snow        terrain      no, undefined without a hillshade
    snow recovery, borders  window       no
    soil recovery           pointwise    yes for class 2; its other half (confidence below 0.10)
                                         never acts, step 7 has decided those pixels
    cirrus by statistics    scene, map   no
    urban and bare          map          no
    bright targets          window       no: its line filter and opened clouds need neighbours
    dilation, median        window       no
    left undecided          pointwise    ``evolution``: 5, ``classic``: 7
    ======================= ============ ==========================================================

    Spectra have neither neighbours, maps nor terrain. What then stays undecided is class 5 in
    ``evolution`` (the classifier of 03.03.01 does so with and without maps) and 7 in ``classic``;
    and bright targets stay as they are, because the step is one with the opened clouds it spares.
    `classify_window` does the steps marked "no".

    So the two variants differ in the class of what is left undecided, and in the rules of thick
    cirrus; besides that, in the snow confidence of recovered dark vegetation.

    Examples
    --------
    >>> cloud = np.full(13, 0.5)
    >>> scl, confidence, _ = classify_pixels(cloud, snow_possible=False, altitude=3000.0)
    >>> int(scl), float(confidence)
    (9, 1.0)
    """
    spectra = np.asarray(toa, dtype=np.float32)
    if spectra.ndim == 0 or spectra.shape[-1] != len(BANDS):
        raise _wrong_shape("(..., 13)", spectra.shape)
    shape = spectra.shape[:-1]
    planes = np.array(spectra.reshape(-1, len(BANDS)).T, order="C")[:, np.newaxis]
    planes[:, np.any(planes == 0.0, axis=0)] = np.nan
    heights = np.broadcast_to(np.asarray(altitude, dtype=np.float32), shape).reshape(1, -1)
    scl = np.full(planes.shape[1:], UNDECIDED, dtype=np.uint8)
    confidence = np.empty((2, *scl.shape), dtype=np.float32)
    classify_planes(
        _read_only(planes),
        _read_only(heights),
        np.zeros((1, 1), dtype=np.bool_),
        _NO_MODEL,
        limits_of(thresholds or Thresholds()),
        _rules(variant, until, snow_possible=snow_possible),
        scl,
        confidence,
    )
    return scl.reshape(shape), confidence[0].reshape(shape), confidence[1].reshape(shape)


def classify_block(
    toa: npt.NDArray[np.float32],
    *,
    altitude: npt.ArrayLike = 100.0,
    snow_possible: bool = True,
    variant: Variant = "evolution",
    thresholds: Thresholds | None = None,
    defective: npt.NDArray[np.bool_] | None = None,
    until: Stage = "end",
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Class, cloud and snow probability of a window, with the ring around snow.

    Parameters
    ----------
    toa
        TOA reflectance, bands in ESA's order, NaN in any band = no-data. [1], shape (13, y, x)
        A reflectance of 0 is dark, not missing: with the radiometric offset of baseline 04.00
        it is a count of 1000.
    altitude, snow_possible, variant, thresholds, until
        As in `classify_pixels`; the altitude broadcasts to (y, x).
    defective
        True where a band is saturated or lost; such pixels get class 1. Shape (y, x)

    Returns
    -------
    scl : ndarray
        Class codes, uint8. Shape (y, x)
    cloud_probability, snow_probability : ndarray
        Rounded confidences, 0 in classes 0 and 1, uint8. [%], shape (y, x)

    Raises
    ------
    UsageError
        If `toa` is not (13, y, x), or an option is unknown.

    Notes
    -----
    The snow mask is dilated three times with a 4-connected cross; on the ring so gained, pixels
    with B12 below 0.25 lose their cloud confidence before step 3. Pixels nearer than `HALO` to
    the edge of the window, unless it is an edge of the tile, lack neighbours: trim them.
    """
    planes = np.ascontiguousarray(toa, dtype=np.float32)
    if planes.ndim != 3 or planes.shape[0] != len(BANDS):
        raise _wrong_shape("(13, y, x)", planes.shape)
    planes = _read_only(planes)
    limits = limits_of(thresholds or Thresholds())
    scl = np.full(planes.shape[1:], UNDECIDED, dtype=np.uint8)
    if defective is not None:
        scl[defective] = SCL.SATURATED_OR_DEFECTIVE
    near_snow = np.zeros((1, 1), dtype=np.bool_)
    if snow_possible:
        snow = np.empty(scl.shape, dtype=np.bool_)
        if find_snow(planes, scl, limits, snow):
            near_snow = cross_dilated(snow, HALO)
    confidence = np.empty((2, *scl.shape), dtype=np.float32)
    classify_planes(
        planes,
        _read_only(_altitude_plane(altitude, scl.shape)),
        near_snow,
        _NO_MODEL,
        limits,
        _rules(variant, until, snow_possible=snow_possible),
        scl,
        confidence,
    )
    return scl, _percent(confidence[0]), _percent(confidence[1])


def _rules(variant: Variant, until: Stage, *, snow_possible: bool) -> Rules:
    if variant not in get_args(Variant):
        raise UsageError(
            "unknown variant of the scene classification",
            where=repr(variant),
            expected=" or ".join(get_args(Variant)),
        )
    if until not in _STAGES:
        raise UsageError(
            "unknown stage of the scene classification",
            where=repr(until),
            expected=" or ".join(_STAGES),
        )
    return Rules(variant == "evolution", bool(snow_possible), _STAGES[until], single(0.0))


def _wrong_shape(expected: str, found: tuple[int, ...]) -> UsageError:
    return UsageError(
        "the scene classification needs all thirteen bands",
        where="toa",
        expected=f"shape {expected}",
        found=f"shape {found}",
        fix="stack the bands " + ", ".join(BANDS),
    )


def _altitude_plane(altitude: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    # Axes of one stay as they are; the kernel does not check its indices.
    plane = np.atleast_2d(np.asarray(altitude, dtype=np.float32))
    if plane.ndim != 2 or any(n not in (1, m) for n, m in zip(plane.shape, shape, strict=True)):
        raise UsageError(
            "the altitude does not fit the window",
            where="altitude",
            expected=f"a number or shape {shape}",
            found=f"shape {plane.shape}",
        )
    return plane


def _read_only(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    # numba compiles once more for arrays that cannot be written, and what dask or zarr hands
    # over may be either: make all of them the same type.
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _percent(confidence: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return (confidence * np.float32(100.0) + np.float32(0.5)).astype(np.uint8)

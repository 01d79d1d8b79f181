"""Cloud classifiers of other packages, found by name when one is wanted."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from s2cloud.model.errors import S2CloudError, UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["GROUP", "ClassifierModel", "classifier", "cloud_probability"]

#: Entry point group of packages that bring a classifier.
GROUP = "s2cloud.classifiers"


@runtime_checkable
class ClassifierModel(Protocol):
    """A cloud classifier; the entry point names an object or a class without arguments.

    Attributes
    ----------
    name
        Recorded in the product.
    halo
        Pixels around a window that the probability of its pixels depends on.
    """

    name: str
    halo: int

    def probability(self, toa: Floats) -> Floats:
        """Cloud probability of a window.

        Parameters
        ----------
        toa
            TOA reflectance of the thirteen bands in ESA's order, NaN = no-data; 20 m pixels, or
            60 m pixels where the overview of the scene is classified. [1], float32, (13, y, x)

        Returns
        -------
        ndarray
            0 to 1, NaN where the model cannot tell. float32, (y, x)
        """
        ...


@lru_cache(maxsize=8)
def classifier(name: str) -> ClassifierModel:
    """The installed classifier of that name, loaded once per process.

    Raises
    ------
    UsageError
        If there is none, it cannot be imported, or it is no `ClassifierModel`.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise UsageError(
            "no such cloud classifier",
            where=f"classification.model = {name!r}",
            expected="one of " + ", ".join(sorted(found))
            if found
            else f"an entry point in {GROUP}",
            fix="install the package that brings it",
        )
    try:
        loaded: Any = found[name].load()
        model = loaded() if isinstance(loaded, type) else loaded
    except S2CloudError:
        raise
    except Exception as error:
        raise UsageError(
            "the cloud classifier cannot be loaded",
            where=f"{name} = {found[name].value}",
            found=f"{type(error).__name__}: {error}",
            fix="mend or reinstall the package that brings it",
        ) from error
    if not isinstance(model, ClassifierModel) or int(model.halo) < 0:
        raise UsageError(
            "not a cloud classifier",
            where=f"{name} = {found[name].value}",
            expected="name, halo >= 0 and probability(toa)",
            found=type(model).__name__,
        )
    return model


def cloud_probability(name: str, toa: Floats) -> Floats:
    """Cloud probability of a window by an installed classifier, checked.

    Raises
    ------
    UsageError
        If the classifier fails, or returns another shape or values outside 0 to 1.
    """
    model = classifier(name)
    try:
        found = np.asarray(model.probability(toa), dtype=np.float32)
    except S2CloudError:
        raise
    except Exception as error:
        raise UsageError(
            "the cloud classifier failed",
            where=name,
            found=f"{type(error).__name__}: {error}",
        ) from error
    with np.errstate(invalid="ignore"):
        outside = (found < 0) | (found > 1)
    if found.shape != toa.shape[1:] or outside.any():
        raise UsageError(
            "the cloud classifier does not return probabilities of the window",
            where=name,
            expected=f"shape {toa.shape[1:]}, values 0 to 1",
            found=f"shape {found.shape}, {int(outside.sum())} values outside",
        )
    return found

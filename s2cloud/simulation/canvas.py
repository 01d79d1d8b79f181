"""A strip of a landscape while it is painted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]
    Float32s = npt.NDArray[np.float32]
    Bytes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Canvas"]


@dataclass(slots=True)
class Canvas:
    """A strip being painted; all arrays are of its shape (y, x).

    Attributes
    ----------
    y, x
        Row and column in the image.
    low, other
        Two smooth fields: the form of the ground, and one without relation to it.
    wide, fine
        Noise of some hundred metres, and of some ten; unit standard deviation.
    bent_y, bent_x
        Row and column on a map bent by the smooth fields.
    first, second, share, texture
        As in `s2cloud.simulation.landscape.Landscape`, before rounding.
    """

    y: Float32s
    x: Float32s
    low: Float32s
    other: Float32s
    wide: Float32s
    fine: Float32s
    bent_y: Float32s
    bent_x: Float32s
    first: Bytes
    second: Bytes
    share: Float32s
    texture: Float32s

    def lay(
        self,
        where: Mask,
        first: Bytes | np.uint8,
        second: Bytes | np.uint8 | None = None,
        share: Floats | float | None = None,
        texture: Floats | float | None = None,
    ) -> None:
        """Paint over a part; what is None stays."""
        for old, new in (
            (self.first, first),
            (self.second, second),
            (self.share, share),
            (self.texture, texture),
        ):
            if new is not None:
                np.copyto(old, new, where=where, casting="same_kind")

"""Why a pixel got its class: every test in order, by the functions that classify blocks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import dask
import numpy as np
from typing_extensions import override

from s2cloud.algorithms.classification.trace import Step, trace
from s2cloud.config import ProcessorConfig
from s2cloud.model.errors import UsageError
from s2cloud.processor.inputs import merged
from s2cloud.processor.process import plan_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Explanation", "explain"]

_HEAD: Final = ("step", "rule", "values", "outcome", "class", "cloud", "snow")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the classification did with one pixel.

    Attributes
    ----------
    x, y
        Centre of the pixel. [m]
    row, col
        Its place in the tile. [pixel]
    steps
        Tests in the order they were made.
    scl
        Class in the product.
    cloud_probability, snow_probability
        As in the product. [%]
    parallax
        Whether cloud heights were used.
    """

    x: float
    y: float
    row: int
    col: int
    steps: tuple[Step, ...]
    scl: int
    cloud_probability: int
    snow_probability: int
    parallax: str

    @override
    def __str__(self) -> str:
        lines = [_HEAD]
        lines += [
            (s.name, s.rule, s.values, s.outcome, str(s.scl), f"{s.cloud:.3f}", f"{s.snow:.3f}")
            for s in self.steps
        ]
        widths = [max(len(line[k]) for line in lines) for k in range(len(_HEAD))]
        table = [
            "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        head = (
            f"pixel at x {self.x:.0f} m, y {self.y:.0f} m (row {self.row}, column {self.col}): "
            f"class {self.scl}, cloud {self.cloud_probability} %, snow {self.snow_probability} %; "
            f"parallax {self.parallax}"
        )
        return "\n".join([head, *table])

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return asdict(self)


def explain(
    l1c: xr.DataTree,
    x: float,
    y: float,
    *,
    aux: xr.DataTree | None = None,
    config: ProcessorConfig | None = None,
) -> Explanation:
    """Tell why a pixel has its class.

    Parameters
    ----------
    l1c
        Tree from ``open_l1c`` or ``l1c_from_bands``.
    x, y
        Position in the reference system of the tile. [m]
    aux, config
        As in ``process``.

    Returns
    -------
    Explanation
        ``str()`` of it is a table.

    Raises
    ------
    UsageError
        If the position lies outside the image.

    Examples
    --------
    >>> print(explain(open_l1c("S2A_MSIL1C_....SAFE"), 600010.0, 5099990.0))  # doctest: +SKIP
    """
    tree = l1c if aux is None else merged(l1c, aux)
    plan = plan_of(tree, config or ProcessorConfig())
    grid = plan.work.grid
    row = int(np.floor((grid.uly - y) / grid.pixel_size))
    col = int(np.floor((x - grid.ulx) / grid.pixel_size))
    if not (0 <= row < grid.height and 0 <= col < grid.width):
        west, south, east, north = grid.bounds
        raise UsageError(
            "the position lies outside the image",
            where=f"x {x:g}, y {y:g}",
            expected=f"x from {west:g} to {east:g}, y from {south:g} to {north:g}",
            fix="give metres in the reference system of the tile",
        )
    (traced,) = dask.compute(plan.traced(row, col))
    pixel = traced[0, 0]
    return Explanation(
        x=float(grid.x[col]),
        y=float(grid.y[row]),
        row=row + plan.work.offset[0],
        col=col + plan.work.offset[1],
        steps=trace(pixel),
        scl=int(pixel.finished[0]),
        cloud_probability=int(pixel.finished[1]),
        snow_probability=int(pixel.finished[2]),
        parallax=pixel.scene.parallax,
    )

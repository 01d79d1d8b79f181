"""What a product takes before it is made: a law with few numbers, fitted from products made.

All quantities are linear in the area: ``a + b * megapixels`` of the 10 m grid. A product has a
fixed part, metadata and the graph, and one that grows with the pixels.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import nnls

from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url
from s2cloud.model.errors import InputError
from s2cloud.model.grid import BLOCK_PX
from s2cloud.scheduling.strategies.model import Cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["FULL_TILE_MPX", "CostModel", "Measured", "PredictionError"]

#: Pixels of a whole tile at 10 m. [1e6]
FULL_TILE_MPX: Final = 10980 * 10980 / 1e6
#: Pixels of a block at 10 m. [1e6]
_BLOCK_MPX: Final = BLOCK_PX[10] ** 2 / 1e6
_QUANTITIES: Final = ("cpu_s", "serial_s", "memory_bytes", "bytes_read", "bytes_written")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a product took.

    Attributes
    ----------
    megapixels
        Its area, pixels of the 10 m grid. [1e6]
    cpu_s, serial_s, memory_bytes, bytes_read, bytes_written
        As in `Cost`; zero where it was not measured.
    """

    megapixels: float
    cpu_s: float = 0.0
    serial_s: float = 0.0
    memory_bytes: float = 0.0
    bytes_read: float = 0.0
    bytes_written: float = 0.0

    @classmethod
    def from_receipt(cls, values: Mapping[str, Any]) -> Measured | None:
        """From the content of a receipt; None if it has no raster.

        Notes
        -----
        A receipt knows the wall time only. It is the CPU time where the product was made by one
        thread, and less otherwise; run files have the seconds of the tasks.
        """
        rasters = [asset for asset in values.get("assets", ()) if len(asset.get("shape", ())) >= 2]
        if not rasters:
            return None
        finest = min(rasters, key=lambda asset: asset.get("resolution") or 60)
        height, width = finest["shape"][-2:]
        scale = (finest.get("resolution") or 10) / 10
        timings = values.get("timings", {})
        compute = float(timings.get("compute_s", 0.0))
        return cls(
            megapixels=height * width * scale**2 / 1e6,
            cpu_s=float(timings.get("cpu_s", compute)),
            serial_s=float(timings.get("total_s", compute)) - compute,
            bytes_written=float(sum(asset.get("size", 0) for asset in values["assets"])),
        )


@dataclass(frozen=True, slots=True)
class PredictionError:
    """How far predictions for products not used in the fit are off.

    Attributes
    ----------
    count
        Products.
    mean, worst
        Absolute difference over the measured value. [%]
    """

    count: int
    mean: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Fixed part and part per megapixel of each quantity.

    Attributes
    ----------
    cpu_s, serial_s, memory_bytes, bytes_read, bytes_written
        ``(fixed, per megapixel)``, as in `Cost`.
    products
        Number of products it was fitted from; 0 for the numbers that come along.

    Notes
    -----
    The numbers that come along are those of a simulated full tile and of one of 3.6 km, measured
    on two cores of an AMD EPYC (``docs/performance.md``). Fit your own on your machines.
    """

    cpu_s: tuple[float, float] = (1.5, 1.3)
    serial_s: tuple[float, float] = (1.5, 0.02)
    memory_bytes: tuple[float, float] = (3.5e8, 2.3e7)
    bytes_read: tuple[float, float] = (5e5, 6.2e6)
    bytes_written: tuple[float, float] = (2e5, 6.5e6)
    products: int = 0

    def cost(self, megapixels: float = FULL_TILE_MPX, blocks: int | None = None) -> Cost:
        """Cost of a product.

        Parameters
        ----------
        megapixels
            Area, pixels of the 10 m grid. [1e6]
        blocks
            18.3 km blocks, by the area if None.
        """

        def of(law: tuple[float, float]) -> float:
            return law[0] + law[1] * megapixels

        return Cost(
            blocks=blocks or max(1, round(megapixels / _BLOCK_MPX)),
            cpu_s=of(self.cpu_s),
            serial_s=of(self.serial_s),
            memory_bytes=int(of(self.memory_bytes)),
            bytes_read=int(of(self.bytes_read)),
            bytes_written=int(of(self.bytes_written)),
        )

    def fitted(self, measured: Iterable[Measured]) -> CostModel:
        """Model fitted from products made.

        Parameters
        ----------
        measured
            Products; a quantity that was measured for none of them keeps its law, and one
            measured at a single size has it scaled.
        """
        products = list(measured)
        laws: dict[str, tuple[float, float]] = {}
        for name in _QUANTITIES:
            rows = [(m.megapixels, float(getattr(m, name))) for m in products if getattr(m, name)]
            laws[name] = _law(rows, getattr(self, name))
        return CostModel(**laws, products=len(products))

    def error(self, measured: Sequence[Measured], quantity: str = "cpu_s") -> PredictionError:
        """Prediction error by leaving each product out of the fit in turn.

        Parameters
        ----------
        measured
            Products, two or more.
        quantity
            Name of a quantity.
        """
        known = [m for m in measured if getattr(m, quantity)]
        errors = []
        for index, left_out in enumerate(known):
            others = known[:index] + known[index + 1 :]
            fixed, per_mpx = getattr(self.fitted(others), quantity)
            predicted = fixed + per_mpx * left_out.megapixels
            errors.append(100.0 * abs(predicted / getattr(left_out, quantity) - 1.0))
        if not errors:
            return PredictionError(0, float("nan"), float("nan"))
        return PredictionError(len(errors), float(np.mean(errors)), float(max(errors)))

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def read(cls, address: str, storage_options: Mapping[str, Any] | None = None) -> CostModel:
        """Model from a file of `to_json`.

        Raises
        ------
        InputError
            If it is none.
        """
        folder, name = parent_url(address)
        text = open_store(folder, storage_options).read(name)
        try:
            values = json.loads(text)
            known = {f.name for f in fields(cls)}
            laws: dict[str, Any] = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
            kept = {k: v for k, v in laws.items() if k in known}
            return cls(**kept, products=int(values.get("products", 0)))
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                "not a cost model",
                where=address,
                expected="a file written by s2cloud plan --fit",
                found=f"{type(error).__name__} {error}",
            ) from error


def _law(rows: list[tuple[float, float]], prior: tuple[float, float]) -> tuple[float, float]:
    """Least squares of relative deviations with nothing negative."""
    if not rows:
        return prior
    sizes = np.array([row[0] for row in rows])
    values = np.array([row[1] for row in rows])
    if np.ptp(sizes) < 0.05 * sizes.max():
        expected = prior[0] + prior[1] * sizes
        scale = float(np.exp(np.mean(np.log(values / expected))))
        return (prior[0] * scale, prior[1] * scale)
    matrix = np.stack([1.0 / values, sizes / values], axis=1)
    found, _ = nnls(matrix, np.ones(len(rows)))
    return (float(found[0]), float(found[1]))

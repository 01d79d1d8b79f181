"""Synthetic Level-1C products with known truth, and the comparison of results against it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Imported at once: the function must win over the module of the same name.
from s2cloud.simulation.compare import compare

if TYPE_CHECKING:
    from s2cloud.simulation.product import SimulatedProduct, simulate_l1c

__all__ = ["SimulatedProduct", "compare", "simulate_l1c"]


def __getattr__(name: str) -> Any:
    """Import the simulator on first use."""
    if name not in __all__:
        raise AttributeError(f"module 's2cloud.simulation' has no attribute {name!r}")
    return getattr(importlib.import_module("s2cloud.simulation.product"), name)

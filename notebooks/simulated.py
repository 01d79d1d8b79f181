"""The simulated products of these notebooks: made once, kept in ``data`` beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import s2cloud as s2

DATA = Path(__file__).parent / "data"


def product(name: str = "mixed", **options: Any) -> tuple[str, str]:
    """Addresses of a product and of its truth; `options` are those of `simulate_l1c`."""
    folder = DATA / name
    if not (folder / "whole").exists():
        s2.simulate_l1c(folder, **{"scene": "mixed", "size": 600, "seed": 7} | options)
        (folder / "whole").touch()
    (safe,) = folder.glob("*.SAFE")
    (truth,) = folder.glob("*.truth.zarr")
    return str(safe), str(truth)

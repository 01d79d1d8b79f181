"""Sentinel-2 Level-1C to Level-2A, lazily, from object storage to object storage.

The public names below are imported on first use (PEP 562), so that ``import s2cloud`` and
``import s2cloud.physics`` stay light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from s2cloud.model.version import VERSION

if TYPE_CHECKING:
    from s2cloud import plot
    from s2cloud.config import ProcessorConfig
    from s2cloud.io.arrays import l1c_from_bands
    from s2cloud.io.auxiliary import open_aux
    from s2cloud.io.catalog import write_catalog
    from s2cloud.io.cog_writer import to_cog
    from s2cloud.io.inputs import find_l1c, iter_l1c, search_l1c
    from s2cloud.io.open import open_l1c
    from s2cloud.io.product import write_product
    from s2cloud.io.report import write_report
    from s2cloud.io.scene_cache import SceneCache
    from s2cloud.io.select import select
    from s2cloud.io.stac import to_stac
    from s2cloud.io.validate import validate
    from s2cloud.io.zarr_writer import to_zarr
    from s2cloud.model.granule import Granule, granule
    from s2cloud.model.preview import preview
    from s2cloud.model.region import cut_to_region
    from s2cloud.processor import process
    from s2cloud.processor.explain import explain
    from s2cloud.scheduling.cluster import cluster
    from s2cloud.scheduling.submit import submit
    from s2cloud.simulation import simulate_l1c

__version__ = VERSION

_PUBLIC = {
    "Granule": "s2cloud.model.granule",
    "ProcessorConfig": "s2cloud.config",
    "SceneCache": "s2cloud.io.scene_cache",
    "cluster": "s2cloud.scheduling.cluster",
    "cut_to_region": "s2cloud.model.region",
    "explain": "s2cloud.processor.explain",
    "find_l1c": "s2cloud.io.inputs",
    "granule": "s2cloud.model.granule",
    "iter_l1c": "s2cloud.io.inputs",
    "l1c_from_bands": "s2cloud.io.arrays",
    "open_aux": "s2cloud.io.auxiliary",
    "open_l1c": "s2cloud.io.open",
    "preview": "s2cloud.model.preview",
    "process": "s2cloud.processor",
    "search_l1c": "s2cloud.io.inputs",
    "select": "s2cloud.io.select",
    "simulate_l1c": "s2cloud.simulation",
    "submit": "s2cloud.scheduling.submit",
    "to_cog": "s2cloud.io.cog_writer",
    "to_stac": "s2cloud.io.stac",
    "to_zarr": "s2cloud.io.zarr_writer",
    "validate": "s2cloud.io.validate",
    "write_catalog": "s2cloud.io.catalog",
    "write_product": "s2cloud.io.product",
    "write_report": "s2cloud.io.report",
}

__all__ = [
    "Granule",
    "ProcessorConfig",
    "SceneCache",
    "__version__",
    "cluster",
    "cut_to_region",
    "explain",
    "find_l1c",
    "granule",
    "iter_l1c",
    "l1c_from_bands",
    "open_aux",
    "open_l1c",
    "plot",
    "preview",
    "process",
    "search_l1c",
    "select",
    "simulate_l1c",
    "submit",
    "to_cog",
    "to_stac",
    "to_zarr",
    "validate",
    "write_catalog",
    "write_product",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name == "plot":
        return importlib.import_module("s2cloud.plot")
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 's2cloud' has no attribute {name!r}") from None
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The corridor between the stages: builds the lazy L2A tree of one product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from s2cloud.algorithms.cirrus import STATES as CIRRUS_STATES
from s2cloud.algorithms.classification import PARALLAX
from s2cloud.config import ProcessorConfig
from s2cloud.model.region import cut_to_region
from s2cloud.model.schema import (
    CAMS,
    CLOUD_MASK,
    ECMWF,
    FLAGS,
    GEOMETRY,
    SCL_PATH,
    atmosphere_path,
    probability_path,
    reflectance_path,
    uncertainty_path,
)
from s2cloud.model.version import VERSION
from s2cloud.physics import mixtures
from s2cloud.processor import classification, variables
from s2cloud.processor.aerosol import AOT_METHODS
from s2cloud.processor.inputs import merged, node_of, snow_possible_of
from s2cloud.processor.mixture import MIXTURE_METHODS
from s2cloud.processor.plan import Plan
from s2cloud.processor.scene import TERRAIN_METHODS, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from s2cloud.processor.statistics import Memory

__all__ = ["process"]


def process(
    l1c: xr.DataTree,
    aux: xr.DataTree | None = None,
    *,
    neighbours: Sequence[xr.DataTree] = (),
    config: ProcessorConfig | None = None,
    cache: Memory | None = None,
) -> xr.DataTree:
    """Surface reflectance, scene classification, aerosol and water vapour of an L1C product.

    Parameters
    ----------
    l1c
        Tree from ``open_l1c`` or ``l1c_from_bands``.
    aux
        Tree whose nodes replace those of the product, for instance ``conditions/terrain`` with
        ``elevation`` [m] or ``conditions/meteorology/cams`` with ``aod550``.
    neighbours
        Trees of neighbouring tiles of the same overpass. Their 60 m overviews, and nothing else of
        them, tell what scatters light into the pixels near the border of the tile.
    config
        Options; the defaults are the scientific defaults.
    cache
        Where the statistics over the scene are kept for other processes, a `s2cloud.SceneCache`;
        by default nowhere.

    Returns
    -------
    xarray.DataTree
        Level-2A in the layout of ESA's EOPF products. Nothing but metadata has been read; each
        variable computes on its own. Reflectance is float32 with NaN for no-data, ``wvp`` is in
        kg m-2, and every variable carries the encoding it is stored with.

    Raises
    ------
    InputError
        If bands or angles that the algorithms need are missing, or a neighbour is none.

    Examples
    --------
    >>> l2a = process(open_l1c("S2A_MSIL1C_....SAFE"))  # doctest: +SKIP
    >>> l2a["measurements/reflectance/r10m/b04"].isel(x=slice(512), y=slice(512)).plot()
    ... # doctest: +SKIP
    """
    options = config or ProcessorConfig()
    tree = l1c if aux is None else merged(l1c, aux)
    return cut_to_region(_tree(Plan(tree, options, neighbours, cache)), l1c)


def plan_of(l1c: xr.DataTree, config: ProcessorConfig) -> Plan:
    """Graph of a product, for those who want a part of it."""
    return Plan(l1c, config)


def _tree(plan: Plan) -> xr.DataTree:
    """The Level-2A tree."""
    nodes: dict[str, xr.Dataset] = {}
    for resolution, layer in plan.layers.items():
        nodes[reflectance_path(resolution)] = variables.reflectance(plan, layer)
        nodes[atmosphere_path(resolution)] = variables.atmosphere(plan, layer)
        if resolution >= plan.work.resolution:
            nodes[f"{SCL_PATH}/r{resolution}m"] = variables.classification(plan, layer)
    nodes[probability_path(plan.work.resolution)] = variables.probabilities(plan)
    if plan.config.classification.cloud_mask:
        nodes[f"{CLOUD_MASK}/r{plan.work.resolution}m"] = variables.clouds(plan)
    nodes[f"{FLAGS}/r{plan.work.resolution}m"] = variables.flags(plan)
    if plan.config.uncertainty.enabled:
        for resolution, layer in plan.layers.items():
            nodes[uncertainty_path(resolution)] = variables.uncertainty(plan, layer)
    nodes["quality/retrieval"] = _retrieval(plan)
    for path in (GEOMETRY, ECMWF, CAMS):
        if (carried := node_of(plan.l1c, path)) is not None:
            nodes[path] = carried
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), **nodes}, name=plan.granule.l2a_name)
    tree.attrs = {"granule": plan.l1c.attrs["granule"], "provenance": _provenance(plan)}
    return tree


def _retrieval(plan: Plan) -> xr.Dataset:
    """What the scene stage found out, one number each."""
    summary = dask.delayed(Scene.summary, pure=True)(plan.scene)
    kinds: dict[str, npt.DTypeLike] = {
        "aot_method": np.int8,
        "aot_mean": np.float32,
        "aot_uncertainty_mean": np.float32,
        "aot_prior_weight": np.float32,
        "aot_lowered": np.float32,
        "aerosol_method": np.int8,
        "aerosol_continental": np.float32,
        "aerosol_maritime": np.float32,
        "aerosol_urban": np.float32,
        "aerosol_desert": np.float32,
        "aerosol_coarse_uncertainty": np.float32,
        "dark_water_pixels": np.int32,
        "dark_vegetation_fraction": np.float32,
        "tcwv_mean": np.float32,
        "tcwv_uncertainty_mean": np.float32,
        "tcwv_fraction": np.float32,
        "adjacency": np.int8,
        "cirrus_correction": np.int8,
        "cirrus_slope": np.float32,
        "terrain_correction": np.int8,
        "elevation_mean": np.float32,
        "elevation_range": np.float32,
    }
    dataset = xr.Dataset(
        {
            name: ((), da.from_delayed(_number(summary, name, kind), shape=(), dtype=kind))
            for name, kind in kinds.items()
        }
    )
    state = dask.delayed(classification.parallax_state, pure=True)(plan.class_scene)
    dataset["cloud_parallax"] = ((), da.from_delayed(state, shape=(), dtype=np.int8))
    dataset["cloud_parallax"].attrs |= {
        "flag_values": list(range(len(PARALLAX))),
        "flag_meanings": " ".join(PARALLAX),
    }
    dataset["aot_method"].attrs |= {
        "flag_values": list(range(len(AOT_METHODS))),
        "flag_meanings": " ".join(AOT_METHODS),
    }
    dataset["aerosol_method"].attrs |= {
        "flag_values": list(range(len(MIXTURE_METHODS))),
        "flag_meanings": " ".join(MIXTURE_METHODS),
    }
    dataset["cirrus_correction"].attrs |= {
        "flag_values": list(range(len(CIRRUS_STATES))),
        "flag_meanings": " ".join(CIRRUS_STATES),
    }
    dataset["terrain_correction"].attrs |= {
        "flag_values": list(range(len(TERRAIN_METHODS))),
        "flag_meanings": " ".join(TERRAIN_METHODS),
    }
    return dataset


def _provenance(plan: Plan) -> dict[str, Any]:
    table = mixtures.load(plan.given.sensor, plan.meteorology.aerosol_model)
    return {
        "software": "s2cloud",
        "version": VERSION,
        "configuration": plan.config.model_dump(mode="json"),
        "configuration_digest": plan.config.digest,
        "look_up_table": {
            "aerosol": plan.meteorology.aerosol_model,
            "sha256": table.metadata["sha256"],
        },
        "meteorology": plan.meteorology.to_attrs(),
        "classification_maps": _classification_maps(plan),
        "auxiliary": list(plan.l1c.attrs.get("auxiliary", [])),
        "input": plan.granule.name,
        "input_identity": {
            "name": plan.granule.name,
            "baseline": plan.granule.baseline,
            **plan.l1c.attrs.get("input_identity", {}),
        },
        "neighbours": [neighbour.name for neighbour in plan.neighbours],
        "input_files": dict(plan.l1c.attrs.get("input_files", {})),
        "input_note": plan.l1c.attrs.get("image_size_note", ""),
    }


def _classification_maps(plan: Plan) -> list[str]:
    """Maps that the classification reads, on the overview and on the pixels."""
    grids = {60: plan.given.grid, plan.work.resolution: plan.work.grid}
    names = {
        f"{name}_r{resolution}m"
        for resolution, grid in grids.items()
        for name in classification.maps_of(plan.l1c, resolution, grid)
    }
    if plan.terrain is not None:
        names.add("elevation_r60m")
        if plan.terrain.fine is not None:
            names.add("elevation_r20m")
    if snow_possible_of(plan.l1c) is not None:
        names.add("snow_climatology")
    return sorted(names)


def _number(summary: Any, name: str, kind: npt.DTypeLike) -> Any:
    return dask.delayed(_pick, pure=True)(summary, name, kind)


def _pick(summary: dict[str, Any], name: str, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.asarray(summary[name], dtype=kind)

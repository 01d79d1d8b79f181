"""The variables of a Level-2A tree: each an array of its own, with its meaning and encoding.

Asking for one band of one place computes that and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr

from s2cloud.model.bands import BAND_INFO, BANDS, L2A_BANDS, SENSORS
from s2cloud.model.schema import ENCODINGS, SCL, Encoding, Flag
from s2cloud.processor import classification as classes
from s2cloud.processor import quality, tasks
from s2cloud.processor.band_input import UPSAMPLE_HALO
from s2cloud.processor.relief import limits
from s2cloud.processor.windows import Source

if TYPE_CHECKING:
    from s2cloud.processor.plan import Layer, Plan

__all__ = [
    "atmosphere",
    "classification",
    "clouds",
    "flags",
    "probabilities",
    "reflectance",
    "uncertainty",
]


def reflectance(plan: Plan, layer: Layer) -> xr.Dataset:
    """Surface reflectance of all bands delivered at a resolution."""
    names = [n for n in BANDS if n != "b10"] if plan.single else L2A_BANDS[layer.resolution]
    arrays = {}
    for name in names:
        band, source = plan.input(name, layer)
        places, parameters = _places(plan, name, layer)
        arrays[name] = plan.map(
            f"boa-{name}-{layer.resolution}m",
            tasks.correct,
            layer,
            [source, *places],
            dtype=np.float32,
            shared=[plan.planes[name]],
            parameters={"band": band, "ratio": plan.ratio(layer), **parameters},
        )
    dataset = _dataset(layer, arrays)
    for name in names:
        info = BAND_INFO[name]
        dataset[name].attrs |= {
            "long_name": f"surface reflectance {info.esa_name}",
            "standard_name": "surface_bidirectional_reflectance",
            "units": "1",
            "wavelength_nm": info.wavelength_nm[SENSORS.index(plan.given.sensor)],
        }
    return dataset


def _places(plan: Plan, name: str, layer: Layer) -> tuple[list[Source], dict[str, Any]]:
    """Detectors and slopes below the pixels of a band, as far as they are known."""
    sources: list[Source] = []
    parameters: dict[str, Any] = {}
    if plan.cirrus is not None:
        up = max(1, plan.home["b10"].resolution // layer.resolution)
        sources.append(Source(plan.cirrus, 1, up, int(up > 1)))
        parameters["cirrus_px"] = up
    if (numbers := plan.detectors(name, layer)) is not None:
        sources.append(Source(numbers, 1, layer.overview_px))
        parameters["detector_px"] = layer.overview_px
    if plan.fields is not None:
        source, parameters["field_px"] = plan.fields_below(layer)
        sources.append(source)
        wavelength = BAND_INFO[name].wavelength_nm[SENSORS.index(plan.given.sensor)]
        parameters["limits"] = limits(plan.given, wavelength)
    return sources, parameters


def uncertainty(plan: Plan, layer: Layer) -> xr.Dataset:
    """One-sigma uncertainty of the bands delivered at a resolution."""
    names = [n for n in BANDS if n != "b10"] if plan.single else L2A_BANDS[layer.resolution]
    arrays = {}
    for name in names:
        band, source = plan.input(name, layer)
        sources, parameters = [source], {"band": band, "ratio": plan.ratio(layer)}
        if plan.fields is not None:
            below, parameters["field_px"] = plan.fields_below(layer)
            sources.append(below)
        arrays[name] = plan.map(
            f"sigma-{name}-{layer.resolution}m",
            quality.uncertainty_of_block,
            layer,
            sources,
            dtype=np.float32,
            shared=[plan.planes[name], plan.spreads[name], plan.scene],
            parameters=parameters,
        )
    dataset = _dataset(layer, arrays, ENCODINGS["uncertainty"])
    for name in names:
        esa_name = BAND_INFO[name].esa_name
        dataset[name].attrs["long_name"] = f"uncertainty of surface reflectance {esa_name}"
    return dataset


def flags(plan: Plan) -> xr.Dataset:
    """Bits of `Flag` on the working grid."""
    layer = plan.work
    inputs = [plan.input(name, layer) for name in BANDS]
    numbers = [
        Source(found, 1, layer.overview_px, 1)
        for name in BANDS
        if (found := plan.detectors(name, layer)) is not None
    ]
    sources = [source for _, source in inputs] + numbers
    if plan.cirrus is not None:
        up = max(1, plan.home["b10"].resolution // layer.resolution)
        sources.append(Source(plan.cirrus, 1, up, 1))
    if plan.fields is not None:
        sources.append(Source(plan.fields))
    array = plan.map(
        "flags",
        quality.flags_of_block,
        layer,
        sources,
        dtype=np.uint16,
        shared=[plan.scene, dask.delayed(quality.flags_of_cells, pure=True)(plan.scene)],
        parameters={
            "bands": tuple(band for band, _ in inputs),
            "detectors": len(numbers),
            "cirrus": plan.cirrus is not None,
            "fields": plan.fields is not None,
            "overview_px": layer.overview_px,
        },
    )
    dataset = _dataset(layer, {"flags": array})
    dataset["flags"].attrs |= {
        "flag_masks": [int(flag) for flag in Flag],
        "flag_meanings": " ".join(str(flag.name).lower() for flag in Flag),
    }
    return dataset


def atmosphere(plan: Plan, layer: Layer) -> xr.Dataset:
    """Aerosol and water vapour at a resolution."""
    home, column = plan.vapour
    factor = home.resolution // layer.resolution
    if factor > 1:
        column = plan.map(
            f"tcwv-{layer.resolution}m",
            tasks.refine,
            layer,
            [Source(column, 1, factor, UPSAMPLE_HALO)],
            dtype=np.float32,
            parameters={"factor": factor},
        )
    # A band of the same grid tells where there is data.
    name = next(n for n, where in plan.home.items() if where is layer)
    aot = plan.map(
        f"aot-{layer.resolution}m",
        tasks.interpolate,
        layer,
        [Source(layer.dataset[name].data)],
        dtype=np.float32,
        shared=[plan.scene],
        parameters={"ratio": plan.ratio(layer), "down": 1},
    )
    return _dataset(layer, {"aot": aot, "wvp": column})


def classification(plan: Plan, layer: Layer) -> xr.Dataset:
    """Scene classification at a resolution."""
    scl = plan.classes[0]
    if layer is not plan.work:
        factor = layer.resolution // plan.work.resolution
        scl = plan.map(
            f"scl-{layer.resolution}m",
            classes.decimate_classes,
            layer,
            [Source(scl, factor)],
            dtype=np.uint8,
            parameters={"factor": factor},
        )
    dataset = _dataset(layer, {"scl": scl})
    dataset["scl"].attrs |= {
        "flag_values": [int(c) for c in SCL],
        "flag_meanings": " ".join(c.name.lower() for c in SCL),
    }
    return dataset


def clouds(plan: Plan) -> xr.Dataset:
    """Mask of clouds alone."""
    mask = plan.map(
        "cloud-mask",
        classes.mask_of,
        plan.work,
        [Source(plan.classes[0])],
        dtype=np.uint8,
    )
    dataset = _dataset(plan.work, {"cloud": mask})
    dataset["cloud"].attrs |= {"flag_values": [0, 1], "flag_meanings": "no_cloud cloud"}
    return dataset


def probabilities(plan: Plan) -> xr.Dataset:
    """Cloud and snow probability."""
    return _dataset(plan.work, {"cld": plan.classes[1], "snw": plan.classes[2]})


def _dataset(
    layer: Layer, arrays: dict[str, Any], encoding_of_all: Encoding | None = None
) -> xr.Dataset:
    dataset = xr.Dataset(
        {name: (("y", "x"), array) for name, array in arrays.items()},
        coords={"y": layer.dataset["y"], "x": layer.dataset["x"]},
        attrs={"crs": layer.grid.crs, "resolution": layer.resolution},
    )
    for name in arrays:
        encoding = encoding_of_all or ENCODINGS.get(name, ENCODINGS["reflectance"])
        dataset[name].attrs |= {"long_name": encoding.long_name, "units": encoding.units}
        chunks = tuple(max(sizes) for sizes in layer.chunks)
        dataset[name].encoding = {**encoding.cf, "chunks": chunks}
    return dataset

"""The corridor between the stages: builds the lazy L2A tree of one product.

Two kinds of stage meet here. The *scene* stage reads the 60 m overview and returns small fields;
*local* stages map a function over the 18.3 km blocks, each block with the halo it needs. Every
variable of the result is an array of its own, so asking for one band of one place computes that
and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr

from s2cloud.algorithms import illumination
from s2cloud.algorithms.classification import PARALLAX
from s2cloud.algorithms.geometry import tie_points
from s2cloud.config import ProcessorConfig
from s2cloud.model.bands import BAND_INFO, BANDS, L2A_BANDS, SENSORS
from s2cloud.model.granule import granule
from s2cloud.model.grid import BLOCK_PX, Grid, grid_of
from s2cloud.model.region import cut_to_region
from s2cloud.model.schema import (
    CAMS,
    CLOUD_MASK,
    ECMWF,
    ENCODINGS,
    FLAGS,
    GEOMETRY,
    OVERVIEW,
    SCL,
    SCL_PATH,
    Encoding,
    Flag,
    atmosphere_path,
    probability_path,
    reflectance_path,
    uncertainty_path,
)
from s2cloud.model.version import VERSION
from s2cloud.physics import lut
from s2cloud.processor import classification, quality, tasks
from s2cloud.processor.band_input import UPSAMPLE_HALO, BandInput
from s2cloud.processor.inputs import (
    cell_elevation,
    decoding_of,
    merged,
    node_of,
    require_bands,
    snow_possible_of,
)
from s2cloud.processor.maps import detector_numbers, terrain_model
from s2cloud.processor.meteorology import Meteorology, meteorology
from s2cloud.processor.optics import SceneInput
from s2cloud.processor.relief import (
    Relief,
    light_of,
    limits,
    pixel_fields,
    smoothing_px,
    with_relief,
)
from s2cloud.processor.retrieval import AOT_METHODS
from s2cloud.processor.scene import TERRAIN_METHODS, Scene
from s2cloud.processor.windows import Source, block_edges, map_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.model.bands import Resolution

__all__ = ["process"]

RESOLUTIONS: tuple[Resolution, ...] = (10, 20, 60)


def process(
    l1c: xr.DataTree, aux: xr.DataTree | None = None, *, config: ProcessorConfig | None = None
) -> xr.DataTree:
    """Surface reflectance, scene classification, aerosol and water vapour of an L1C product.

    Parameters
    ----------
    l1c
        Tree from ``open_l1c`` or ``l1c_from_bands``.
    aux
        Tree whose nodes replace those of the product, for instance ``conditions/terrain`` with
        ``elevation`` [m] or ``conditions/meteorology/cams`` with ``aod550``.
    config
        Options; the defaults are the scientific defaults.

    Returns
    -------
    xarray.DataTree
        Level-2A in the layout of ESA's EOPF products. Nothing but metadata has been read; each
        variable computes on its own. Reflectance is float32 with NaN for no-data, ``wvp`` is in
        kg m-2, and every variable carries the encoding it is stored with.

    Raises
    ------
    InputError
        If bands or angles that the algorithms need are missing.

    Examples
    --------
    >>> l2a = process(open_l1c("S2A_MSIL1C_....SAFE"))  # doctest: +SKIP
    >>> l2a["measurements/reflectance/r10m/b04"].isel(x=slice(512), y=slice(512)).plot()
    ... # doctest: +SKIP
    """
    options = config or ProcessorConfig()
    tree = l1c if aux is None else merged(l1c, aux)
    return cut_to_region(_Plan(tree, options).tree(), l1c)


def plan_of(l1c: xr.DataTree, config: ProcessorConfig) -> _Plan:
    """Graph of a product, for those who want a part of it."""
    return _Plan(l1c, config)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Bands that share one grid."""

    resolution: Resolution
    dataset: xr.Dataset
    grid: Grid
    offset: tuple[int, int]
    chunks: tuple[tuple[int, ...], tuple[int, ...]]
    overview_px: int


class _Plan:
    """Graph of one product; each method adds a stage."""

    def __init__(self, l1c: xr.DataTree, config: ProcessorConfig) -> None:
        self.l1c = l1c
        self.config = config
        self.granule = granule(l1c)
        require_bands(l1c)
        self.overview: xr.Dataset = l1c[f"{OVERVIEW}/r60m"].to_dataset()
        self.layers = {r: layer for r in RESOLUTIONS if (layer := self._layer(r)) is not None}
        self.home = {
            name: layer for layer in self.layers.values() for name in layer.dataset.data_vars
        }
        #: The grid of the classification: 20 m, or the only grid there is.
        self.work = self.layers.get(20) or next(iter(self.layers.values()))
        self.single = len(self.layers) == 1
        self.meteorology: Meteorology = meteorology(l1c, config)
        self.given = self._scene_input()
        self.terrain = (
            terrain_model(l1c, self.given.grid, self.work.grid) if config.terrain.enabled else None
        )

    # -- inputs ---------------------------------------------------------------------------------

    def _layer(self, resolution: Resolution) -> _Layer | None:
        dataset = node_of(self.l1c, reflectance_path(resolution))
        if dataset is None or not dataset.data_vars:
            return None
        crs = str(dataset.attrs.get("crs", ""))
        grid = grid_of(dataset, crs=crs)
        overview = grid_of(self.overview, crs=crs)
        offset = (
            round((overview.uly - grid.uly) / grid.pixel_size),
            round((grid.ulx - overview.ulx) / grid.pixel_size),
        )
        block = BLOCK_PX[resolution]
        chunks = (
            block_edges(grid.height, offset[0], block),
            block_edges(grid.width, offset[1], block),
        )
        factor = max(1, round(overview.pixel_size / grid.pixel_size))
        return _Layer(resolution, dataset, grid, offset, chunks, factor)

    def _scene_input(self) -> SceneInput:
        overview = grid_of(self.overview, crs=self.work.grid.crs)
        angles = self.l1c[GEOMETRY].to_dataset()
        points = tie_points(
            angles["x"].values,
            angles["y"].values,
            angles["sun_angles"].values,
            angles["viewing_incidence_angles"].values,
            angles["detector"].values if "detector" in angles.coords else None,
        )
        decoding = {name: decoding_of(self.overview[name]) for name in BANDS}
        given = SceneInput(
            self.granule.sensor,
            overview,
            points,
            decoding,
            self.meteorology,
            None,
            self.config,
        )
        return replace(given, elevation=cell_elevation(self.l1c, given))

    def _input(self, name: str, target: _Layer, halo: int = 0) -> tuple[BandInput, Source]:
        """Band on the grid of a layer: how to read it and how to bring it there."""
        home = self.home[name]
        scale, offset = decoding_of(home.dataset[name])
        down = max(1, target.resolution // home.resolution)
        up = max(1, home.resolution // target.resolution)
        band = BandInput(scale, offset, down, up, halo)
        source = Source(home.dataset[name].data, down, up, band.source_halo)
        return band, source

    def _ratio(self, layer: _Layer) -> float:
        """Cell side over pixel side."""
        return float(self.given.cell_px * layer.overview_px)

    # -- scene stage ----------------------------------------------------------------------------

    @cached_property
    def relief(self) -> Any:
        """Relief of the tile, None without a terrain model."""
        if self.terrain is None:
            return None
        return dask.delayed(Relief.of, pure=True)(
            self.given,
            self.terrain.wide,
            self.terrain.corner,
            by_pixel=self.terrain.fine is not None,
        )

    @cached_property
    def scene_input(self) -> Any:
        """What the scene stage needs besides pixels, the relief included."""
        if self.relief is None:
            return self.given
        return dask.delayed(with_relief, pure=True)(self.given, self.relief)

    @cached_property
    def scene(self) -> Any:
        """The one barrier of the graph."""
        overviews = [self.overview[name].data for name in BANDS]
        return dask.delayed(Scene.retrieve, pure=True)(
            self.scene_input, *overviews, classified=self.classified
        )

    @cached_property
    def planes(self) -> dict[str, Any]:
        """Correction of each band on the cells."""
        make = dask.delayed(Scene.planes, pure=True)
        return {
            name: make(
                self.scene,
                name,
                self.overview[name].data,
                by_detector=self._detectors(name, self.home[name]) is not None,
            )
            for name in BANDS
            if name != "b10"
        }

    def _detectors(self, name: str, layer: _Layer) -> Any:
        """Number of the detector on the overview pixels below a layer, or None."""
        return detector_numbers(self.l1c, name, layer.grid, layer.overview_px)

    @cached_property
    def fields(self) -> Any:
        """What slopes and horizon do to each 20 m pixel, None without a terrain model."""
        if self.terrain is None or self.terrain.fine is None:
            return None
        layer = self.work
        (height, width), px = layer.grid.shape, layer.overview_px
        grid = self.given.grid
        whole = da.from_delayed(
            dask.delayed(light_of, pure=True)(
                self.scene_input, self.terrain.wide, self.terrain.corner
            ),
            shape=(2, *grid.shape),
            dtype=np.uint8,
        )
        row, col = (at // px for at in layer.offset)
        seen = whole[:, row : row - (-height // px), col : col - (-width // px)]
        halo = 1 + smoothing_px(self.config.terrain, layer.grid.pixel_size)
        return self._map(
            "slopes",
            pixel_fields,
            layer,
            [Source(self.terrain.fine, halo=halo), Source(seen, 1, px, 1)],
            dtype=np.float32,
            leading=(len(illumination.FIELDS),),
            shared=[self.scene],
            parameters={"halo": halo, "overview_px": px},
        )

    # -- local stages ---------------------------------------------------------------------------

    def _map(
        self, name: str, function: Any, layer: _Layer, sources: list[Source], **kw: Any
    ) -> Any:
        return map_blocks(
            function, sources, chunks=layer.chunks, offset=layer.offset, name=name, **kw
        )

    def reflectance(self, layer: _Layer) -> xr.Dataset:
        """Surface reflectance of all bands delivered at a resolution."""
        names = [n for n in BANDS if n != "b10"] if self.single else L2A_BANDS[layer.resolution]
        arrays = {}
        for name in names:
            band, source = self._input(name, layer)
            places, parameters = self._places(name, layer)
            arrays[name] = self._map(
                f"boa-{name}-{layer.resolution}m",
                tasks.correct,
                layer,
                [source, *places],
                dtype=np.float32,
                shared=[self.planes[name]],
                parameters={"band": band, "ratio": self._ratio(layer), **parameters},
            )
        dataset = self._dataset(layer, arrays)
        for name in names:
            info = BAND_INFO[name]
            dataset[name].attrs |= {
                "long_name": f"surface reflectance {info.esa_name}",
                "standard_name": "surface_bidirectional_reflectance",
                "units": "1",
                "wavelength_nm": info.wavelength_nm[SENSORS.index(self.given.sensor)],
            }
        return dataset

    @cached_property
    def cirrus(self) -> Any:
        """B10 on its own grid, None unless cirrus is to be taken away."""
        if not self.config.surface.cirrus_correction:
            return None
        layer = self.home["b10"]
        band, source = self._input("b10", layer, halo=1)
        return self._map(
            "cirrus",
            tasks.cirrus_light,
            layer,
            [source],
            dtype=np.float32,
            parameters={"band": band},
        )

    def _fields_below(self, layer: _Layer) -> tuple[Source, int]:
        """Fields of the slopes below a layer, and how they nest with its pixels."""
        fine = max(1, self.work.resolution // layer.resolution)
        coarse = max(1, layer.resolution // self.work.resolution)
        source = Source(self.fields, coarse, fine, int(fine > 1))
        return source, fine if coarse == 1 else -coarse

    def uncertainty(self, layer: _Layer) -> xr.Dataset:
        """One-sigma uncertainty of the bands delivered at a resolution."""
        names = [n for n in BANDS if n != "b10"] if self.single else L2A_BANDS[layer.resolution]
        arrays = {}
        for name in names:
            band, source = self._input(name, layer)
            sources, parameters = [source], {"band": band, "ratio": self._ratio(layer)}
            if self.fields is not None:
                below, parameters["field_px"] = self._fields_below(layer)
                sources.append(below)
            arrays[name] = self._map(
                f"sigma-{name}-{layer.resolution}m",
                quality.uncertainty_of_block,
                layer,
                sources,
                dtype=np.float32,
                shared=[self.planes[name], self.spreads[name], self.scene],
                parameters=parameters,
            )
        dataset = self._dataset(layer, arrays, ENCODINGS["uncertainty"])
        for name in names:
            esa_name = BAND_INFO[name].esa_name
            dataset[name].attrs["long_name"] = f"uncertainty of surface reflectance {esa_name}"
        return dataset

    @cached_property
    def spreads(self) -> dict[str, Any]:
        """Terms of the uncertainty of each band on the cells."""
        make = dask.delayed(quality.uncertainty_of_cells, pure=True)
        return {
            name: make(self.scene, name, self.overview[name].data)
            for name in BANDS
            if name != "b10"
        }

    def flags(self) -> xr.Dataset:
        """Bits of `Flag` on the working grid."""
        layer = self.work
        inputs = [self._input(name, layer) for name in BANDS]
        numbers = [
            Source(found, 1, layer.overview_px, 1)
            for name in BANDS
            if (found := self._detectors(name, layer)) is not None
        ]
        sources = [source for _, source in inputs] + numbers
        if self.cirrus is not None:
            up = max(1, self.home["b10"].resolution // layer.resolution)
            sources.append(Source(self.cirrus, 1, up, 1))
        if self.fields is not None:
            sources.append(Source(self.fields))
        array = self._map(
            "flags",
            quality.flags_of_block,
            layer,
            sources,
            dtype=np.uint16,
            shared=[self.scene, dask.delayed(quality.flags_of_cells, pure=True)(self.scene)],
            parameters={
                "bands": tuple(band for band, _ in inputs),
                "detectors": len(numbers),
                "cirrus": self.cirrus is not None,
                "fields": self.fields is not None,
                "overview_px": layer.overview_px,
            },
        )
        dataset = self._dataset(layer, {"flags": array})
        dataset["flags"].attrs |= {
            "flag_masks": [int(flag) for flag in Flag],
            "flag_meanings": " ".join(str(flag.name).lower() for flag in Flag),
        }
        return dataset

    def _places(self, name: str, layer: _Layer) -> tuple[list[Source], dict[str, Any]]:
        """Detectors and slopes below the pixels of a band, as far as they are known."""
        sources: list[Source] = []
        parameters: dict[str, Any] = {}
        if self.cirrus is not None:
            up = max(1, self.home["b10"].resolution // layer.resolution)
            sources.append(Source(self.cirrus, 1, up, int(up > 1)))
            parameters["cirrus_px"] = up
        if (numbers := self._detectors(name, layer)) is not None:
            sources.append(Source(numbers, 1, layer.overview_px))
            parameters["detector_px"] = layer.overview_px
        if self.fields is not None:
            source, parameters["field_px"] = self._fields_below(layer)
            sources.append(source)
            wavelength = BAND_INFO[name].wavelength_nm[SENSORS.index(self.given.sensor)]
            parameters["limits"] = limits(self.given, wavelength)
        return sources, parameters

    @cached_property
    def snow_possible(self) -> bool:
        """Whether the snow climatology, if there is one, allows snow."""
        return snow_possible_of(self.l1c) is not False

    @cached_property
    def classified(self) -> Any:
        """Scene stage of the classification: what blocks need, and classes of the overview."""
        grid = self.given.grid
        terrain = {}
        if self.terrain is not None:
            terrain = {"elevation": self.terrain.wide, "corner": self.terrain.corner}
        return dask.delayed(classification.classify_counts, pure=True, nout=2)(
            self.scene_input,
            [self.overview[name].data for name in BANDS],
            maps=classification.maps_of(self.l1c, 60, grid),
            detectors=detector_numbers(self.l1c, "b08", grid, 1),
            snow_possible=self.snow_possible,
            **terrain,
        )

    def _class_inputs(self) -> tuple[list[Source], list[Any]]:
        """Pixels and maps that the classification of a block reads, and what all blocks share."""
        layer = self.work
        halo = classification.halo_of(self.config.classification, layer.grid.pixel_size)
        inputs = [self._input(name, layer, halo) for name in BANDS]
        sources = [source for _, source in inputs]
        maps = classification.maps_of(self.l1c, layer.resolution, layer.grid)
        sources += [Source(array, halo=halo) for array in maps.values()]
        names = tuple(maps)
        if self.terrain is not None and self.terrain.fine is not None:
            sources.append(Source(self.terrain.fine, halo=halo + 1))
            names += ("elevation",)
        spec = dask.delayed(classification.BlockInput, pure=True)(
            tuple(band for band, _ in inputs),
            self.scene_input,
            names,
            halo,
            layer.overview_px,
            self.snow_possible,
        )
        return sources, [self.classified[0], spec]

    @cached_property
    def classes(self) -> da.Array:
        """Class, cloud and snow probability on the working grid."""
        sources, shared = self._class_inputs()
        return self._map(
            "classify",
            classification.classify,
            self.work,
            sources,
            dtype=np.uint8,
            leading=(3,),
            shared=shared,
        )

    def traced(self, row: int, col: int) -> da.Array:
        """One pixel of the working grid with all that its class depends on, shape (1, 1)."""
        layer = self.work
        sources, shared = self._class_inputs()

        def around(at: int, size: int) -> tuple[int, ...]:
            return tuple(n for n in (at, 1, size - at - 1) if n)

        pixels = map_blocks(
            classification.traced,
            sources,
            chunks=(around(row, layer.grid.height), around(col, layer.grid.width)),
            offset=layer.offset,
            dtype=object,
            name="trace",
            shared=shared,
        )
        return pixels.blocks[int(row > 0), int(col > 0)]

    @cached_property
    def vapour(self) -> tuple[_Layer, da.Array]:
        """Water vapour column on the grid of B09."""
        layer = self.home["b09"]
        (b8a, source_b8a), (b09, source_b09) = (
            self._input(name, layer, halo=1) for name in ("b8a", "b09")
        )
        array = self._map(
            "tcwv",
            tasks.water_vapour,
            layer,
            [source_b8a, source_b09],
            dtype=np.float32,
            shared=[
                self.scene,
                self.planes["b8a"],
                dask.delayed(Scene.vapour_terms, pure=True)(self.scene),
            ],
            parameters={"b8a": b8a, "b09": b09, "overview_px": layer.overview_px},
        )
        return layer, array

    def atmosphere(self, layer: _Layer) -> xr.Dataset:
        """Aerosol and water vapour at a resolution."""
        home, column = self.vapour
        factor = home.resolution // layer.resolution
        if factor > 1:
            column = self._map(
                f"tcwv-{layer.resolution}m",
                tasks.refine,
                layer,
                [Source(column, 1, factor, UPSAMPLE_HALO)],
                dtype=np.float32,
                parameters={"factor": factor},
            )
        # A band of the same grid tells where there is data.
        name = next(n for n, where in self.home.items() if where is layer)
        aot = self._map(
            f"aot-{layer.resolution}m",
            tasks.interpolate,
            layer,
            [Source(layer.dataset[name].data)],
            dtype=np.float32,
            shared=[self.scene],
            parameters={"ratio": self._ratio(layer), "down": 1},
        )
        return self._dataset(layer, {"aot": aot, "wvp": column})

    def classification(self, layer: _Layer) -> xr.Dataset:
        """Scene classification at a resolution."""
        scl = self.classes[0]
        if layer is not self.work:
            factor = layer.resolution // self.work.resolution
            scl = self._map(
                f"scl-{layer.resolution}m",
                classification.decimate_classes,
                layer,
                [Source(scl, factor)],
                dtype=np.uint8,
                parameters={"factor": factor},
            )
        dataset = self._dataset(layer, {"scl": scl})
        dataset["scl"].attrs |= {
            "flag_values": [int(c) for c in SCL],
            "flag_meanings": " ".join(c.name.lower() for c in SCL),
        }
        return dataset

    def clouds(self) -> xr.Dataset:
        """Mask of clouds alone."""
        mask = self._map(
            "cloud-mask",
            classification.mask_of,
            self.work,
            [Source(self.classes[0])],
            dtype=np.uint8,
        )
        dataset = self._dataset(self.work, {"cloud": mask})
        dataset["cloud"].attrs |= {"flag_values": [0, 1], "flag_meanings": "no_cloud cloud"}
        return dataset

    def probabilities(self) -> xr.Dataset:
        """Cloud and snow probability."""
        return self._dataset(self.work, {"cld": self.classes[1], "snw": self.classes[2]})

    def retrieval(self) -> xr.Dataset:
        """What the scene stage found out, one number each."""
        summary = dask.delayed(Scene.summary, pure=True)(self.scene)
        kinds: dict[str, npt.DTypeLike] = {
            "aot_method": np.int8,
            "aot_mean": np.float32,
            "aot_uncertainty_mean": np.float32,
            "aot_prior_weight": np.float32,
            "aot_lowered": np.float32,
            "dark_vegetation_fraction": np.float32,
            "tcwv_mean": np.float32,
            "tcwv_uncertainty_mean": np.float32,
            "tcwv_fraction": np.float32,
            "adjacency": np.int8,
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
        state = dask.delayed(classification.parallax_state, pure=True)(self.classified[0])
        dataset["cloud_parallax"] = ((), da.from_delayed(state, shape=(), dtype=np.int8))
        dataset["cloud_parallax"].attrs |= {
            "flag_values": list(range(len(PARALLAX))),
            "flag_meanings": " ".join(PARALLAX),
        }
        dataset["aot_method"].attrs |= {
            "flag_values": list(range(len(AOT_METHODS))),
            "flag_meanings": " ".join(AOT_METHODS),
        }
        dataset["terrain_correction"].attrs |= {
            "flag_values": list(range(len(TERRAIN_METHODS))),
            "flag_meanings": " ".join(TERRAIN_METHODS),
        }
        return dataset

    def _dataset(
        self, layer: _Layer, arrays: dict[str, Any], encoding_of_all: Encoding | None = None
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

    # -- result ---------------------------------------------------------------------------------

    def tree(self) -> xr.DataTree:
        """The Level-2A tree."""
        nodes: dict[str, xr.Dataset] = {}
        for resolution, layer in self.layers.items():
            nodes[reflectance_path(resolution)] = self.reflectance(layer)
            nodes[atmosphere_path(resolution)] = self.atmosphere(layer)
            if resolution >= self.work.resolution:
                nodes[f"{SCL_PATH}/r{resolution}m"] = self.classification(layer)
        nodes[probability_path(self.work.resolution)] = self.probabilities()
        if self.config.classification.cloud_mask:
            nodes[f"{CLOUD_MASK}/r{self.work.resolution}m"] = self.clouds()
        nodes[f"{FLAGS}/r{self.work.resolution}m"] = self.flags()
        if self.config.uncertainty.enabled:
            for resolution, layer in self.layers.items():
                nodes[uncertainty_path(resolution)] = self.uncertainty(layer)
        nodes["quality/retrieval"] = self.retrieval()
        for path in (GEOMETRY, ECMWF, CAMS):
            if (carried := node_of(self.l1c, path)) is not None:
                nodes[path] = carried
        tree = xr.DataTree.from_dict({"/": xr.Dataset(), **nodes}, name=self.granule.l2a_name)
        tree.attrs = {"granule": self.l1c.attrs["granule"], "provenance": self._provenance()}
        return tree

    def _provenance(self) -> dict[str, Any]:
        table = lut.load(self.given.sensor, self.meteorology.aerosol_model)
        return {
            "software": "s2cloud",
            "version": VERSION,
            "configuration": self.config.model_dump(mode="json"),
            "configuration_digest": self.config.digest,
            "look_up_table": {
                "aerosol": self.meteorology.aerosol_model,
                "sha256": table.metadata["sha256"],
            },
            "meteorology": self.meteorology.to_attrs(),
            "classification_maps": self._classification_maps(),
            "auxiliary": list(self.l1c.attrs.get("auxiliary", [])),
            "input": self.granule.name,
            "input_note": self.l1c.attrs.get("image_size_note", ""),
        }

    def _classification_maps(self) -> list[str]:
        """Maps that the classification reads, on the overview and on the pixels."""
        grids = {60: self.given.grid, self.work.resolution: self.work.grid}
        names = {
            f"{name}_r{resolution}m"
            for resolution, grid in grids.items()
            for name in classification.maps_of(self.l1c, resolution, grid)
        }
        if self.terrain is not None:
            names.add("elevation_r60m")
            if self.terrain.fine is not None:
                names.add("elevation_r20m")
        if snow_possible_of(self.l1c) is not None:
            names.add("snow_climatology")
        return sorted(names)


def _number(summary: Any, name: str, kind: npt.DTypeLike) -> Any:
    return dask.delayed(_pick, pure=True)(summary, name, kind)


def _pick(summary: dict[str, Any], name: str, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.asarray(summary[name], dtype=kind)

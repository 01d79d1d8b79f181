"""Stages of one product as lazy arrays: the scene stage, and the local stages that others share.

Two kinds of stage meet here. The *scene* stage reads the 60 m overview and returns small fields;
*local* stages map a function over the 18.3 km blocks, each block with the halo it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np

from s2cloud.algorithms import illumination
from s2cloud.model.bands import BANDS
from s2cloud.model.granule import granule
from s2cloud.model.grid import BLOCK_PX, Grid, grid_of
from s2cloud.model.schema import OVERVIEW, reflectance_path
from s2cloud.processor import classification, quality, statistics, tasks
from s2cloud.processor.band_input import BandInput
from s2cloud.processor.inputs import (
    decoding_of,
    node_of,
    require_bands,
    scene_input,
    snow_possible_of,
)
from s2cloud.processor.maps import detector_numbers, terrain_model
from s2cloud.processor.meteorology import Meteorology, meteorology
from s2cloud.processor.neighbours import neighbour_of, with_neighbours
from s2cloud.processor.relief import Relief, light_of, pixel_fields, smoothing_px, with_relief
from s2cloud.processor.scene import Scene
from s2cloud.processor.windows import Source, block_edges, map_blocks, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from s2cloud.config import ProcessorConfig
    from s2cloud.model.bands import Resolution
    from s2cloud.processor.statistics import Memory

__all__ = ["Layer", "Plan"]

RESOLUTIONS: tuple[Resolution, ...] = (10, 20, 60)


@dataclass(frozen=True, slots=True)
class Layer:
    """Bands that share one grid."""

    resolution: Resolution
    dataset: xr.Dataset
    grid: Grid
    offset: tuple[int, int]
    chunks: tuple[tuple[int, ...], tuple[int, ...]]
    overview_px: int


class Plan:
    """Graph of one product; each property adds a stage."""

    def __init__(
        self,
        l1c: xr.DataTree,
        config: ProcessorConfig,
        neighbours: Sequence[xr.DataTree] = (),
        memory: Memory | None = None,
    ) -> None:
        self.memory = memory
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
        overview = grid_of(self.overview, crs=self.work.grid.crs)
        self.given = scene_input(l1c, overview, self.meteorology, config)
        near = neighbours if config.surface.adjacency_km > 0 else ()
        self.neighbours = [neighbour_of(l1c, self.given, tree) for tree in near]
        self.terrain = (
            terrain_model(l1c, self.given.grid, self.work.grid) if config.terrain.enabled else None
        )

    def _layer(self, resolution: Resolution) -> Layer | None:
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
        return Layer(resolution, dataset, grid, offset, chunks, factor)

    def input(self, name: str, target: Layer, halo: int = 0) -> tuple[BandInput, Source]:
        """Band on the grid of a layer: how to read it and how to bring it there."""
        home = self.home[name]
        scale, offset = decoding_of(home.dataset[name])
        down = max(1, target.resolution // home.resolution)
        up = max(1, home.resolution // target.resolution)
        band = BandInput(scale, offset, down, up, halo)
        source = Source(home.dataset[name].data, down, up, band.source_halo)
        return band, source

    def ratio(self, layer: Layer) -> float:
        """Cell side over pixel side."""
        return float(self.given.cell_px * layer.overview_px)

    def map(self, name: str, function: Any, layer: Layer, sources: list[Source], **kw: Any) -> Any:
        """`map_blocks` on the grid of a layer."""
        return map_blocks(
            function, sources, chunks=layer.chunks, offset=layer.offset, name=name, **kw
        )

    def detectors(self, name: str, layer: Layer) -> Any:
        """Number of the detector on the overview pixels below a layer, or None."""
        return detector_numbers(self.l1c, name, layer.grid, layer.overview_px)

    # -- scene stage ----------------------------------------------------------------------------

    @cached_property
    def seen(self) -> dict[str, Any]:
        """Counts of the overview, one value per band."""
        return {name: whole(self.overview[name].data) for name in BANDS}

    @cached_property
    def relief(self) -> Any:
        """Relief of the tile, None without a terrain model."""
        if self.terrain is None:
            return None
        return dask.delayed(Relief.of, pure=True)(
            self.given,
            whole(self.terrain.wide),
            self.terrain.corner,
            by_pixel=self.terrain.fine is not None,
        )

    @cached_property
    def scene_input(self) -> Any:
        """What the scene stage needs besides pixels, with relief and ground beyond the tile."""
        given: Any = self.given
        if self.neighbours:
            near = (neighbour.inputs for neighbour in self.neighbours)
            given = dask.delayed(with_neighbours, pure=True)(given, *near)
        if self.relief is None:
            return given
        return dask.delayed(with_relief, pure=True)(given, self.relief)

    @cached_property
    def remembered(self) -> Any:
        """Statistics from the memory, or on their way into it; None without a memory."""
        if self.memory is None:
            return None
        names = [self._retrieved.key, *(plane.key for plane in self._corrections.values())]
        key = statistics.memory_key(self.given, names)
        if self.memory.has(key):
            return dask.delayed(statistics.recalled, pure=True)(self.memory, key, self.scene_input)
        return dask.delayed(statistics.remembered, pure=True)(
            self.memory, key, self._retrieved, self.classified[0], self._corrections
        )

    def _part(self, computed: Any, part: str, band: str = "") -> Any:
        """A result of the scene stage, by way of the memory if there is one."""
        if self.remembered is None:
            return computed
        return dask.delayed(statistics.part_of, pure=True)(self.remembered, part, band)

    @cached_property
    def scene(self) -> Any:
        """The one barrier of the graph."""
        return self._part(self._retrieved, "scene")

    @cached_property
    def planes(self) -> dict[str, Any]:
        """Correction of each band on the cells."""
        return {n: self._part(plane, "planes", n) for n, plane in self._corrections.items()}

    @cached_property
    def class_scene(self) -> Any:
        """What blocks need to know of the scene to classify their pixels."""
        return self._part(self.classified[0], "classified")

    @cached_property
    def _retrieved(self) -> Any:
        overviews = [self.seen[name] for name in BANDS]
        return dask.delayed(Scene.retrieve, pure=True)(
            self.scene_input, *overviews, classified=self.classified
        )

    @cached_property
    def _corrections(self) -> dict[str, Any]:
        make = dask.delayed(Scene.planes, pure=True)
        return {
            name: make(
                self._retrieved,
                name,
                self.seen[name],
                by_detector=self.detectors(name, self.home[name]) is not None,
            )
            for name in BANDS
            if name != "b10"
        }

    @cached_property
    def spreads(self) -> dict[str, Any]:
        """Terms of the uncertainty of each band on the cells."""
        make = dask.delayed(quality.uncertainty_of_cells, pure=True)
        return {name: make(self.scene, name, self.seen[name]) for name in BANDS if name != "b10"}

    @cached_property
    def snow_possible(self) -> bool:
        """Whether the snow climatology, if there is one, allows snow."""
        return snow_possible_of(self.l1c) is not False

    @cached_property
    def classified(self) -> Any:
        """Scene stage of the classification: what blocks need, and classes of the overview."""
        grid = self.given.grid
        maps = classification.maps_of(self.l1c, 60, grid)
        terrain = {}
        if self.terrain is not None:
            terrain = {"elevation": whole(self.terrain.wide), "corner": self.terrain.corner}
        return dask.delayed(classification.classify_counts, pure=True, nout=2)(
            self.scene_input,
            [self.seen[name] for name in BANDS],
            maps={name: whole(found) for name, found in maps.items()},
            detectors=whole(detector_numbers(self.l1c, "b08", grid, 1)),
            snow_possible=self.snow_possible,
            **terrain,
        )

    # -- local stages that others share ---------------------------------------------------------

    @cached_property
    def fields(self) -> Any:
        """What slopes and horizon do to each 20 m pixel, None without a terrain model."""
        if self.terrain is None or self.terrain.fine is None:
            return None
        layer = self.work
        (height, width), px = layer.grid.shape, layer.overview_px
        grid = self.given.grid
        light = da.from_delayed(
            dask.delayed(light_of, pure=True)(
                self.scene_input, whole(self.terrain.wide), self.terrain.corner
            ),
            shape=(2, *grid.shape),
            dtype=np.uint8,
        )
        row, col = (at // px for at in layer.offset)
        seen = light[:, row : row - (-height // px), col : col - (-width // px)]
        halo = 1 + smoothing_px(self.config.terrain, layer.grid.pixel_size)
        return self.map(
            "slopes",
            pixel_fields,
            layer,
            [Source(self.terrain.fine, halo=halo), Source(seen, 1, px, 1)],
            dtype=np.float32,
            leading=(len(illumination.FIELDS),),
            shared=[self.scene],
            parameters={"halo": halo, "overview_px": px},
        )

    def fields_below(self, layer: Layer) -> tuple[Source, int]:
        """Fields of the slopes below a layer, and how they nest with its pixels."""
        fine = max(1, self.work.resolution // layer.resolution)
        coarse = max(1, layer.resolution // self.work.resolution)
        source = Source(self.fields, coarse, fine, int(fine > 1))
        return source, fine if coarse == 1 else -coarse

    @cached_property
    def cirrus(self) -> Any:
        """B10 on its own grid, None unless cirrus is to be taken away."""
        if not self.config.surface.cirrus_correction:
            return None
        layer = self.home["b10"]
        band, source = self.input("b10", layer, halo=1)
        return self.map(
            "cirrus",
            tasks.cirrus_light,
            layer,
            [source],
            dtype=np.float32,
            parameters={"band": band},
        )

    def _class_inputs(self) -> tuple[list[Source], list[Any]]:
        """Pixels and maps that the classification of a block reads, and what all blocks share."""
        layer = self.work
        halo = classification.halo_of(self.config.classification, layer.grid.pixel_size)
        inputs = [self.input(name, layer, halo) for name in BANDS]
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
        return sources, [self.class_scene, spec]

    @cached_property
    def classes(self) -> da.Array:
        """Class, cloud and snow probability on the working grid."""
        sources, shared = self._class_inputs()
        return self.map(
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
    def vapour(self) -> tuple[Layer, da.Array]:
        """Water vapour column on the grid of B09."""
        layer = self.home["b09"]
        (b8a, source_b8a), (b09, source_b09) = (
            self.input(name, layer, halo=1) for name in ("b8a", "b09")
        )
        array = self.map(
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

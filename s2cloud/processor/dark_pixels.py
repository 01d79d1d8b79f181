"""Pixels of the overview that tell of the aerosol: vegetation on clear land, and dark water."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from s2cloud.algorithms import aerosol
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import CLOUD_CLASSES, SCL
from s2cloud.processor.optics import CellOptics, SceneInput, cell_means, thinning
from s2cloud.processor.surroundings import surroundings

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["AEROSOL_CELLS", "AOT_NODES", "SAMPLE", "Pixels", "beside_clouds", "clear_masks"]

#: Cells per side of the larger cells in which dark pixels are gathered.
AEROSOL_CELLS: Final = 5
#: Optical thicknesses at which the dark pixels are corrected.
AOT_NODES: Final = np.array(
    [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.0], np.float32
)
#: Box within which cloud or snow spoils a dark pixel (ATBD: mean of the 0/255 mask above 5). [m]
REACH_M: Final = 1000.0
#: Share of the clear land that must lie beyond that distance; otherwise it is not kept.
LEAST_APART: Final = 0.1
#: Clear pixels looked at; more of them would tell nothing new.
SAMPLE: Final = 200_000


def clear_masks(
    scl: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Pixels that show the surface, and those of them that are land."""
    hidden = np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW])
    near = ndimage.binary_dilation(hidden, iterations=2)
    empty = scl <= SCL.SATURATED_OR_DEFECTIVE
    clear = ~near & ~empty
    return clear, clear & np.isin(scl, [SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.SNOW_ICE])


def beside_clouds(scl: npt.NDArray[np.uint8], pixel_size: float) -> npt.NDArray[np.bool_]:
    """Pixels that clouds or their shadows spoil."""
    return _near(np.isin(scl, [*CLOUD_CLASSES, SCL.CLOUD_SHADOW]), pixel_size)


def _near(spoilt: npt.NDArray[np.bool_], pixel_size: float) -> npt.NDArray[np.bool_]:
    side = 2 * round(REACH_M / pixel_size / 2) + 1
    near = ndimage.uniform_filter(spoilt.astype(np.float32), side, mode="nearest")
    return np.asarray(near > 5 / 255)


@dataclass(frozen=True, slots=True)
class Pixels:
    """Sample of the clear land of a scene, and which of it is green vegetation."""

    given: SceneInput
    toa: Floats
    clear: npt.NDArray[np.bool_]
    rows: npt.NDArray[np.intp]
    cols: npt.NDArray[np.intp]
    green: npt.NDArray[np.bool_]
    first: tuple[Floats, ...]
    optics: CellOptics
    tcwv: Floats
    thin: Floats
    guess: float
    #: Environment and optics by band: several relations share bands.
    known: dict[tuple[str, str], Any] = field(default_factory=dict)

    @classmethod
    def chosen(
        cls,
        given: SceneInput,
        toa: Floats,
        scl: npt.NDArray[np.uint8],
        land: npt.NDArray[np.bool_],
        pressure: Floats,
        tcwv: Floats,
        guess: float,
        size: int = SAMPLE,
    ) -> Pixels:
        """Every n-th pixel of the clear land far from clouds; near them if there is too little."""
        usable = land & np.isfinite(toa).all(axis=0)
        # Snow between plants is white in the visible and dark beyond: haze to every relation. Where
        # some lies, more lies unseen around.
        usable &= ~_near(scl == SCL.SNOW_ICE, given.grid.pixel_size)
        apart = usable & ~beside_clouds(scl, given.grid.pixel_size)
        if apart.sum() >= LEAST_APART * usable.sum():
            usable = apart
        return cls.of(given, toa, scl, usable, pressure, tcwv, guess, size).seen_through(guess)

    @classmethod
    def of(
        cls,
        given: SceneInput,
        toa: Floats,
        scl: npt.NDArray[np.uint8],
        usable: npt.NDArray[np.bool_],
        pressure: Floats,
        tcwv: Floats,
        guess: float,
        size: int = SAMPLE,
    ) -> Pixels:
        """Every n-th of some pixels, so that no more than `size` are left."""
        places = np.flatnonzero(usable)
        places = places[:: max(1, -(-places.size // size))]
        rows, cols = np.unravel_index(places, usable.shape)
        whole = np.ones(given.cells, dtype=bool)
        coarse_pressure, _ = cell_means(pressure, whole, AEROSOL_CELLS)
        coarse_tcwv, _ = cell_means(tcwv, whole, AEROSOL_CELLS)
        optics = CellOptics(given, coarse_pressure, AEROSOL_CELLS)
        clear, _ = clear_masks(scl)
        none = np.zeros(places.size, dtype=bool)
        thin, _ = cell_means(thinning(given), whole, AEROSOL_CELLS)
        return cls(given, toa, clear, rows, cols, none, (), optics, coarse_tcwv, thin, guess)

    def seen_through(self, aot550: float) -> Pixels:
        """The same pixels, green or not as they are with another guess of the aerosol."""
        first = tuple(self.surface(band, aot550) for band in aerosol.SELECTION_BANDS)
        return replace(self, green=aerosol.vegetation(*first), first=first)

    def under(self, model: str) -> Pixels:
        """The same pixels below another aerosol."""
        optics = CellOptics(self.given, self.optics.pressure, AEROSOL_CELLS, model=model)
        around = {key: found for key, found in self.known.items() if key[0] == "around"}
        return replace(self, optics=optics, known=around)

    def fewer(self, size: int) -> Pixels:
        """Every n-th of the pixels."""
        part = slice(None, None, max(1, -(-self.rows.size // size)))
        return replace(
            self,
            rows=self.rows[part],
            cols=self.cols[part],
            green=self.green[part],
            first=tuple(boa[part] for boa in self.first),
        )

    def surface(
        self, band: str, aot550: float, chosen: npt.NDArray[np.bool_] | slice = slice(None)
    ) -> Floats:
        """Surface reflectance of the pixels for a thickness above the mean height."""
        place = self.rows[chosen] // self.cell_px, self.cols[chosen] // self.cell_px
        at = np.stack([term[place] for term in self.terms(band, aot550)])
        return aerosol.surface_at(self.seen(band)[chosen], self.around(band)[chosen], at)

    @property
    def cell_px(self) -> int:
        """Overview pixels per side of a cell of aerosol."""
        return self.given.cell_px * AEROSOL_CELLS

    @property
    def fraction(self) -> float:
        """Share of green vegetation."""
        return float(self.green.mean()) if self.green.size else 0.0

    def seen(self, band: str) -> Floats:
        """Top-of-atmosphere reflectance of the pixels."""
        plane: Floats = self.toa[BAND_INDEX[band]]
        return plane[self.rows, self.cols]

    def around(self, band: str) -> Floats:
        """Mean of it over the environment of each pixel; the pixel itself without adjacency."""
        if self.given.config.surface.adjacency_km == 0:
            return self.seen(band)
        size = self.given.cell_px
        if ("around", band) not in self.known:
            means, share = cell_means(self.toa[BAND_INDEX[band]], self.clear, size)
            guess = np.float32(self.guess) * self.thin
            molecular = float(self.optics.molecular_share(band, guess).mean())
            self.known["around", band] = surroundings(
                self.given, means, share > 0, molecular, band=band
            )
        return np.asarray(self.known["around", band][self.rows // size, self.cols // size])

    def terms(self, band: str, aot550: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Optics of a band on the cells of aerosol, for a thickness above the mean height."""
        return self.optics.terms(band, np.float32(aot550) * self.thin, self.tcwv)

    def evidence(
        self, relation: aerosol.Relation, chosen: npt.NDArray[np.bool_] | None = None
    ) -> aerosol.AerosolRetrieval:
        """What the chosen pixels say, or all of them."""
        chosen = np.ones(self.rows.size, dtype=bool) if chosen is None else chosen
        toa, around = (
            np.stack([plane(band)[chosen] for band in relation.bands])
            for plane in (self.seen, self.around)
        )
        kinds = aerosol.kinds(*(boa[chosen] for boa in self.first)) if self.first else 1.0
        place = (self.rows[chosen] // self.cell_px, self.cols[chosen] // self.cell_px)
        corrections = tuple(self.correction(band) for band in relation.bands)
        return aerosol.retrieve(relation, toa, around, place, AOT_NODES, corrections, kinds)

    def correction(self, band: str) -> aerosol.Correction:
        """Optics of a band at all `AOT_NODES`."""
        if ("optics", band) not in self.known:
            nodes = [self.terms(band, float(aot)) for aot in AOT_NODES]
            terms = (np.stack([n[k] for n in nodes]) for k in range(4))
            self.known["optics", band] = aerosol.Correction(*terms)
        found: aerosol.Correction = self.known["optics", band]
        return found

"""Aerosol optical thickness from the colour of vegetation (scene stage).

What green plants reflect in the visible goes with what they reflect in the red edge, the near and
the short-wave infrared, which aerosols hardly touch. `CANOPIES` hold how the bands of real spectra
vary together; for the sun and the air of a scene follows from them the combination of bands that
tells most of the aerosol (`Canopy.relation`). For each pixel the optical thickness is sought at
which the corrected bands obey it. Single spectra err by 0.05 to 0.2, the more the higher the sun; a
quantile over a Gaussian neighbourhood stands for a place. Relations and a prior (a forecast or a
constant) are combined by their uncertainties, as in optimal estimation (Rodgers 2000,
doi:10.1142/3171).
"""

from s2cloud.algorithms.aerosol.canopies import CANOPIES, SPECTRUM, Canopy, leafiness
from s2cloud.algorithms.aerosol.dark_water import (
    QUANTILE,
    WATER_LIMIT,
    WATER_SURFACE,
    glint,
    glint_sigma,
    looks_like_water,
    unlikely,
)
from s2cloud.algorithms.aerosol.field import AerosolField, Prior, estimate
from s2cloud.algorithms.aerosol.pixels import (
    BINS,
    AerosolRetrieval,
    Correction,
    darkest,
    retrieve,
    surface_at,
)
from s2cloud.algorithms.aerosol.relations import (
    SELECTION_BANDS,
    WATER,
    Relation,
    kinds,
    vegetation,
)
from s2cloud.algorithms.aerosol.species import COMPONENT_SHARES, mixture_of_species

__all__ = [
    "BINS",
    "CANOPIES",
    "COMPONENT_SHARES",
    "QUANTILE",
    "SELECTION_BANDS",
    "SPECTRUM",
    "WATER",
    "WATER_LIMIT",
    "WATER_SURFACE",
    "AerosolField",
    "AerosolRetrieval",
    "Canopy",
    "Correction",
    "Prior",
    "Relation",
    "darkest",
    "estimate",
    "glint",
    "glint_sigma",
    "kinds",
    "leafiness",
    "looks_like_water",
    "mixture_of_species",
    "retrieve",
    "surface_at",
    "unlikely",
    "vegetation",
]

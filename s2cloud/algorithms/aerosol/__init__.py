"""Aerosol optical thickness from the colour of vegetation (scene stage).

Where leaves are green, what they reflect in the visible follows from the red edge, the near and
the short-wave infrared, which aerosols hardly touch: chlorophyll darkens B01 to B05 together, and
B06 to B12 tell how much of the ground is leaf. Two relations are used side by side. `DARK` is the
oldest: red is half of 2.2 um over dark dense vegetation (Kaufman et al. 1997,
doi:10.1109/36.628795; Sentinel-2 L2A ATBD, S2-PDGS-MPC-ATBD-L2A). `GREEN` expects the sum of B01,
B02 and B04 of any green vegetation from six bands at once, by a regression over real spectra. Blue
bands lie on one side of 550 nm and red on the other, so that a wrong guess of the particles' size
leaves the optical thickness at 550 nm about right.

For each pixel the optical thickness is sought at which the corrected bands obey the relation.
Single pixels err by about 0.1; a quantile over a Gaussian neighbourhood stands for a place. Both
relations and a prior (a forecast or a constant) are combined by their uncertainties, as in optimal
estimation (Rodgers 2000, doi:10.1142/3171).
"""

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
    DARK,
    GREEN,
    SELECTION_BANDS,
    WATER,
    Relation,
    kinds,
    vegetation,
)
from s2cloud.algorithms.aerosol.species import COMPONENT_SHARES, mixture_of_species

__all__ = [
    "BINS",
    "COMPONENT_SHARES",
    "DARK",
    "GREEN",
    "QUANTILE",
    "SELECTION_BANDS",
    "WATER",
    "WATER_LIMIT",
    "WATER_SURFACE",
    "AerosolField",
    "AerosolRetrieval",
    "Correction",
    "Prior",
    "Relation",
    "darkest",
    "estimate",
    "glint",
    "glint_sigma",
    "kinds",
    "looks_like_water",
    "mixture_of_species",
    "retrieve",
    "surface_at",
    "unlikely",
    "vegetation",
]

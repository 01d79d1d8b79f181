"""Molecular scattering against published and independent numbers."""

from __future__ import annotations

import numpy as np
import pytest

from s2cloud.model.bands import BANDS, SENSORS
from s2cloud.physics import rayleigh
from s2cloud.physics.spectral import band_weights

# Bodhaine optical depth, averaged over ESA's responses v4.0 and Thuillier's sun; S2A, S2B, S2C.
BAND_DEPTHS = {
    "b01": (0.23606, 0.23700, 0.23281),
    "b02": (0.15565, 0.15621, 0.16073),
    "b03": (0.09071, 0.09132, 0.09020),
    "b04": (0.04506, 0.04496, 0.04453),
    "b05": (0.03559, 0.03565, 0.03500),
    "b06": (0.02902, 0.02924, 0.02894),
    "b07": (0.02320, 0.02358, 0.02298),
    "b08": (0.01856, 0.01854, 0.01838),
    "b8a": (0.01552, 0.01557, 0.01546),
    "b09": (0.01085, 0.01094, 0.01075),
    "b10": (0.00243, 0.00240, 0.00244),
    "b11": (0.00129, 0.00130, 0.00129),
    "b12": (0.00039, 0.00040, 0.00039),
}


@pytest.mark.parametrize("band", BANDS)
def test_band_averages_of_the_optical_depth(band):
    for sensor, expected in zip(SENSORS, BAND_DEPTHS[band], strict=True):
        wavelength_nm, weight = band_weights(sensor, band)
        mean = float(weight @ rayleigh.optical_depth(wavelength_nm))
        # 2e-4: another sampling of the solar lines; 6e-6: the digits of the table.
        assert mean == pytest.approx(expected, rel=2e-4, abs=6e-6)


def test_optical_depth_of_the_paper():
    # Bodhaine et al. (1999), table 3, at 400, 550 and 700 nm.
    found = rayleigh.optical_depth([400.0, 550.0, 700.0])
    np.testing.assert_allclose(found, [3.60e-1, 9.73e-2, 3.65e-2], rtol=4e-3)


def test_optical_depth_is_in_proportion_to_pressure():
    half = rayleigh.optical_depth(500.0, rayleigh.STANDARD_PRESSURE / 2)
    assert half == pytest.approx(rayleigh.optical_depth(500.0) / 2)

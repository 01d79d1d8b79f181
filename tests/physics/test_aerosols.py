"""Aerosol models and spectral responses."""

from __future__ import annotations

import numpy as np
import pytest

from s2cloud.model.bands import BAND_INFO, SENSORS
from s2cloud.model.errors import UsageError
from s2cloud.physics import spectral
from s2cloud.physics.aerosols import AEROSOL_MODELS, Mixture, aerosol_model, number_fractions


@pytest.mark.parametrize("name", sorted(AEROSOL_MODELS))
def test_shares_sum_to_one(name):
    model = aerosol_model(name)
    assert sum(share for _, share in model.parts) == pytest.approx(1.0)
    assert number_fractions(model).sum() == pytest.approx(1.0)


def test_refractive_index_is_that_of_the_table():
    dust = AEROSOL_MODELS["continental"].parts[0][0]
    assert dust.refractive_index(550.0) == pytest.approx(1.53 - 0.008j)
    assert dust.refractive_index(2250.0) == pytest.approx(1.22 - 0.0085j)


def test_wrong_models_are_refused():
    dust = AEROSOL_MODELS["continental"].parts[0][0]
    with pytest.raises(UsageError, match="sum to one"):
        Mixture("half", ((dust, 0.5),), "")
    with pytest.raises(UsageError, match="no such aerosol model"):
        aerosol_model("moondust")


@pytest.mark.parametrize("sensor", SENSORS)
def test_band_centres_and_irradiances(sensor):
    index = SENSORS.index(sensor)
    for band, info in BAND_INFO.items():
        nm, response = spectral.response(sensor, band)
        centre = (nm * response).sum() / response.sum()
        assert centre == pytest.approx(info.wavelength_nm[index], abs=0.06)
        irradiance = (spectral.solar_irradiance(nm) * response).sum() / response.sum()
        assert irradiance == pytest.approx(info.irradiance[index], rel=6e-5)


def test_coarse_weights_average_like_the_fine_ones():
    nodes = np.arange(400.0, 620.0, 12.0)
    coarse = spectral.interpolation_weights("S2C", "b02", [nodes.tolist()])
    nm, weight = spectral.band_weights("S2C", "b02")
    assert coarse.sum() == pytest.approx(1.0)
    assert coarse @ nodes**-4 == pytest.approx(weight @ nm**-4, rel=2e-5)
    assert spectral.band_mean("S2C", "b02", nm, nm) == pytest.approx(weight @ nm)
    with pytest.raises(ValueError, match="no segment covers"):
        spectral.interpolation_weights("S2A", "b12", [nodes.tolist()])


def test_responses_carry_their_source():
    assert "COPE-GSEG-EOPG-TN-15-0007" in spectral.provenance()["srf_v4.npz"]
    assert "10.1023/A:1024048429145" in spectral.provenance()["solar_thuillier.npz"]

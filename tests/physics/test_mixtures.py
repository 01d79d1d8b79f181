"""Mixtures of tables: their spelling, and optics between those of their parts."""

import numpy as np
import pytest

from s2cloud.model.errors import UsageError
from s2cloud.physics import lut, mixtures

AT = {"sza": 40.0, "vza": 5.0, "raa": 60.0, "aot550": 0.3, "pressure": 1000.0}


def test_a_mixture_is_spelled_and_read():
    text = mixtures.spelled({"continental": 3.0, "maritime": 1.0, "urban": 0.001})
    assert text == "continental:0.750+maritime:0.250"
    assert mixtures.shares_of(text) == pytest.approx({"continental": 0.75, "maritime": 0.25})
    assert mixtures.spelled({"desert": 0.2}) == "desert"
    assert mixtures.shares_of("desert") == {"desert": 1.0}


@pytest.mark.parametrize("text", ["continental:a", "continental:0+urban:0"])
def test_what_is_no_mixture_is_refused(text):
    with pytest.raises(UsageError, match="not an aerosol mixture"):
        mixtures.shares_of(text)
    with pytest.raises(UsageError, match="positive share"):
        mixtures.spelled({"urban": 0.0})


def test_one_aerosol_alone_is_its_table():
    assert mixtures.load("S2A", "urban") is lut.load("S2A", "urban")


@pytest.mark.parametrize("band", ["b02", "b11"])
def test_scattering_adds_and_transmittances_multiply(band):
    parts = [lut.load("S2A", name).evaluate(band, **AT) for name in ("continental", "maritime")]
    both = mixtures.load("S2A", "continental:0.7+maritime:0.3").evaluate(band, **AT)
    for name in ("path_reflectance", "spherical_albedo"):
        one, two = (float(getattr(p, name)) for p in parts)
        assert float(getattr(both, name)) == pytest.approx(0.7 * one + 0.3 * two, rel=1e-5)
    # Optical thicknesses add, exactly for the light that is not scattered.
    one, two = (-np.log(float(p.transmittance_up_direct)) for p in parts)
    assert -np.log(float(both.transmittance_up_direct)) == pytest.approx(
        0.7 * one + 0.3 * two, rel=1e-4
    )
    assert float(both.path_reflectance_rayleigh) == pytest.approx(
        float(parts[0].path_reflectance_rayleigh), rel=1e-3
    )


def test_bounds_are_those_of_the_parts():
    mixed = mixtures.load("S2A", "continental:0.5+urban:0.5")
    assert mixed.bounds == lut.load("S2A", "continental").bounds
    assert mixed.aerosol == "continental:0.500+urban:0.500"

"""Gaseous transmittance: table values, limits, monotony, inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.model.bands import BANDS, SENSORS
from s2cloud.model.errors import UsageError
from s2cloud.physics import gases

WET_BANDS = ("b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09", "b10", "b11", "b12")

# 6SV2.1, S2A, airmass 2, water 0.5, 1, 2, 3, 4, 5 g cm-2.
WATER = {
    "b03": (0.9994, 0.9988, 0.9976, 0.9964, 0.9953, 0.9943),
    "b04": (0.9972, 0.9946, 0.9901, 0.9861, 0.9825, 0.9792),
    "b05": (0.9883, 0.9781, 0.9607, 0.9459, 0.9327, 0.9208),
    "b06": (0.9896, 0.9803, 0.9640, 0.9499, 0.9374, 0.9260),
    "b07": (0.9968, 0.9938, 0.9886, 0.9841, 0.9800, 0.9764),
    "b08": (0.9751, 0.9594, 0.9368, 0.9196, 0.9054, 0.8931),
    "b8a": (0.9996, 0.9993, 0.9986, 0.9980, 0.9973, 0.9967),
    "b09": (0.5178, 0.3893, 0.2658, 0.2011, 0.1602, 0.1319),
    "b10": (0.0503, 0.0178, 0.0046, 0.0018, 0.0008, 0.0004),
    "b11": (0.9994, 0.9988, 0.9977, 0.9966, 0.9955, 0.9944),
    "b12": (0.9860, 0.9749, 0.9574, 0.9435, 0.9318, 0.9216),
}
# 6SV2.1, S2A, airmass 2, 0.344 cm-atm.
OZONE = {
    "b01": 0.9983, "b02": 0.9834, "b03": 0.9346, "b04": 0.9663, "b05": 0.9861, "b06": 0.9926,
    "b8a": 1.0, "b11": 1.0,
}  # fmt: skip


def at(band, **changes):
    given_ = {"airmass": 2.0, "tcwv": 20.0, "tco3": 344.0, "pressure": 1013.25} | changes
    return gases.transmittance("S2A", band, **given_)


@pytest.mark.parametrize("band", sorted(WATER))
def test_water_vapour_of_the_table(band):
    found = at(band, tcwv=np.array([5.0, 10.0, 20.0, 30.0, 40.0, 50.0])).water_vapour
    np.testing.assert_allclose(found, WATER[band], atol=4e-3 if band == "b09" else 5e-4)


@pytest.mark.parametrize("band", sorted(OZONE))
def test_ozone_of_the_table(band):
    assert float(at(band).ozone) == pytest.approx(OZONE[band], abs=2e-4)


def test_mixed_gases_of_the_table_with_the_air_of_today():
    # 1980s: B11 .9734 (CO2) x .9929 (CH4), B12 .9997 x .9646 x .9967. Today there is more of all.
    assert 0.955 < float(at("b11").mixed) < 0.9734 * 0.9929
    assert 0.955 < float(at("b12").mixed) < 0.9997 * 0.9646 * 0.9967
    assert float(at("b04").mixed) == 1.0


def test_mixed_gases_follow_pressure_and_airmass():
    assert at("b11", pressure=700.0).mixed > at("b11").mixed > at("b11", airmass=3.0).mixed


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("sensor", SENSORS)
def test_no_gas_no_absorption(sensor, band):
    found = gases.transmittance(sensor, band, airmass=2.0, tcwv=0.0, tco3=0.0, pressure=0.0)
    assert [float(x) for x in (*found, found.total, found.other)] == [1.0] * 6


@pytest.mark.parametrize("law", sorted(gases.B09_LAWS))
@pytest.mark.parametrize("band", WET_BANDS)
def test_water_vapour_falls_with_column(band, law):
    column = np.geomspace(1e-4, 2000.0, 300)
    found = gases.water_vapour_transmittance("S2C", band, column, b09_law=law)
    assert np.all(np.diff(found) <= 0)
    assert np.all((found > 0) & (found <= 1))


@settings(deadline=None)
@given(
    st.sampled_from(SENSORS),
    st.sampled_from(sorted(gases.B09_LAWS)),
    st.floats(0.01, 3000.0, allow_nan=False),
)
def test_slant_column_is_the_inverse(sensor, law, column):
    seen = gases.water_vapour_transmittance(sensor, "B09", column, b09_law=law)
    assert float(gases.slant_column(sensor, "B09", seen, b09_law=law)) == pytest.approx(column)


def test_slant_column_at_the_edges():
    found = gases.slant_column("S2A", "b09", np.array([1.0, 1.2, np.nan]))
    np.testing.assert_array_equal(found, [0.0, 0.0, np.nan])
    with pytest.raises(UsageError, match="does not absorb"):
        gases.slant_column("S2A", "b02", 0.5)


def test_candidate_laws_of_b09():
    # Transmittance at 2 and 10 g cm-2 of slant column, S2A.
    expected: dict[gases.B09Law, tuple[float, float]] = {
        "6sv": (0.39, 0.13), "sen2cor": (0.38, 0.08), "lowtran7": (0.47, 0.13),
        "sunphotometer": (0.39, 0.09), "modtran": (0.421, 0.093),
    }  # fmt: skip
    for law, values in expected.items():
        found = gases.water_vapour_transmittance("S2A", "b09", np.array([20.0, 100.0]), b09_law=law)
        np.testing.assert_allclose(found, values, atol=6e-3)


def test_modtran_law_passes_through_the_spectra_it_was_fitted_to():
    # Two-way transmittance of S2A B09 in MODTRAN runs, see benchmarks/water_vapour_law.py.
    slant = np.array([1.382, 2.304, 4.147, 4.508])
    found = gases.water_vapour_transmittance("S2A", "b09", 10.0 * slant, b09_law="modtran")
    np.testing.assert_allclose(found, [0.502, 0.390, 0.259, 0.232], atol=6e-3)


@pytest.mark.parametrize("law", sorted(gases.B09_LAWS))
@pytest.mark.parametrize("sensor", SENSORS)
def test_column_uncertainty_spans_the_laws(sensor, law):
    slant = np.array([0.0, 1.0, 10.0, 40.0, 100.0, np.nan], np.float32)
    found = gases.b09_column_uncertainty(sensor, slant, b09_law=law)
    assert found.dtype == np.float32
    assert np.isnan(found[-1])
    assert np.all((found[2:-1] > 0.1) & (found[2:-1] < 0.6))
    assert found[0] == found[1]
    # By hand, at 40 kg m-2.
    seen = gases.water_vapour_transmittance(sensor, "b09", 40.0, b09_law=law)
    ratios = [
        float(gases.slant_column(sensor, "b09", seen, b09_law=other)) / 40.0
        for other in gases.B09_LAWS if other != law
    ]  # fmt: skip
    assert found[3] == pytest.approx(np.sqrt(np.mean(np.log(ratios) ** 2)), rel=1e-4)


def test_unknown_law_is_refused():
    with pytest.raises(UsageError, match="no such water-vapour law"):
        gases.water_vapour_transmittance("S2A", "b09", 1.0, b09_law="none")  # type: ignore[arg-type]


def test_float32_stays_float32_and_nan_stays_nan():
    tcwv = np.array([10.0, np.nan], np.float32)
    for band in ("b02", "b09", "b11"):
        found = at(band, tcwv=tcwv)
        assert found.total.dtype == np.float32
        assert np.isnan(found.water_vapour[1])
        assert np.isfinite(found.total[0])

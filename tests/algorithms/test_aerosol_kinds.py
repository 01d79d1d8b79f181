"""What tells kinds of aerosol: species of a forecast, and dark water."""

import numpy as np
import pytest

from s2cloud.algorithms.aerosol import (
    COMPONENT_SHARES,
    WATER_SURFACE,
    glint,
    glint_sigma,
    looks_like_water,
    mixture_of_species,
    unlikely,
)


@pytest.mark.parametrize("name", COMPONENT_SHARES)
def test_the_species_of_a_table_are_that_table(name):
    found = mixture_of_species(tuple(0.3 * share for share in COMPONENT_SHARES[name]))
    assert found[name] == pytest.approx(1.0, abs=1e-3)


def test_species_between_tables_are_a_mixture_of_them():
    names = ("continental", "maritime", "urban")
    shares = np.array([COMPONENT_SHARES[n] for n in names])
    found = mixture_of_species(tuple(np.array([0.5, 0.2, 0.3]) @ shares))
    assert [found[n] for n in names] == pytest.approx([0.5, 0.2, 0.3], abs=0.01)
    assert sum(found.values()) == pytest.approx(1.0)


def test_water_is_told_from_plants_soils_and_roofs():
    #        clear, hazy, muddy; grass, soil, asphalt, bright cloud
    b8a = np.array([0.006, 0.055, 0.030, 0.30, 0.15, 0.11, 0.50])
    b11 = np.array([0.005, 0.054, 0.006, 0.16, 0.20, 0.11, 0.40])
    b12 = np.array([0.004, 0.035, 0.004, 0.05, 0.18, 0.12, 0.35])
    assert looks_like_water(b8a, b11, b12).tolist() == [True] * 3 + [False] * 4


def test_glint_is_brightest_towards_the_mirrored_sun_and_spreads_with_the_wind():
    toward, away = glint(30.0, 10.0, 180.0, 5.0), glint(30.0, 10.0, 0.0, 5.0)
    assert toward > 5.0 * away
    assert glint(30.0, 10.0, 0.0, 10.0) > glint(30.0, 10.0, 0.0, 3.0)
    # Cox and Munk: Fresnel reflectance over four times the variance, looking into the mirror.
    assert glint(10.0, 10.0, 180.0, 5.0) == pytest.approx(
        0.02 / (4 * (0.003 + 0.0256) * np.cos(np.radians(10.0)) ** 2), rel=1e-6
    )
    assert glint_sigma(60.0, 3.0, 90.0) < 0.001


def test_haze_is_less_like_water_than_glint_is():
    none = float(unlikely(WATER_SURFACE, WATER_SURFACE, 0.0))
    assert none == pytest.approx(0.0)
    # Glint brightens both bands alike, coarse haze the first more.
    assert float(unlikely(0.03, 0.03, 0.02)) < 2.5
    assert float(unlikely(0.045, 0.028, 0.02)) > 20.0

"""What the classification is told of the air: water vapour over B10, views of single bands."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from s2cloud.config import ProcessorConfig
from s2cloud.model.bands import BAND_INDEX
from s2cloud.physics import gases
from s2cloud.processor import process
from s2cloud.processor.classification import above_vapour, sky_of
from s2cloud.processor.process import plan_of

B8A, B10, B11 = (BAND_INDEX[name] for name in ("b8a", "b10", "b11"))


def given(tree, tcwv, **options):
    made = plan_of(tree, ProcessorConfig(**options)).given
    return replace(made, meteorology=replace(made.meteorology, tcwv=tcwv))


@pytest.fixture
def pixels():
    toa = np.full((13, 2, 3), 0.2, np.float32)
    toa[B8A], toa[B11], toa[B10] = 0.4, 0.2, 0.02
    toa[:, 1, 2] = np.nan
    return toa


def test_in_dry_air_the_ground_is_taken_off_b10(make_l1c, pixels):
    dry = given(make_l1c(), 6.0)
    before = pixels.copy()
    found = above_vapour(dry, pixels)
    np.testing.assert_array_equal(pixels, before)
    taken = before[B10, 0, 0] - found[B10, 0, 0]
    # Sun and sensor overhead give the least, three times that path the most.
    most, least = (
        0.3 * float(gases.water_vapour_transmittance("S2A", "b10", 6.0 * mass)) for mass in (2, 6)
    )
    assert least < taken < most
    assert np.isnan(found[:, 1, 2]).all()
    others = [band for band in range(13) if band != B10]
    np.testing.assert_array_equal(found[others], before[others])
    assert (above_vapour(dry, pixels * np.float32(0.1))[B10, 0] > 0).all(), "never no-data"


def test_in_moist_air_and_in_the_classic_variant_b10_stays(make_l1c, pixels):
    tree = make_l1c()
    assert above_vapour(given(tree, 30.0), pixels) is pixels
    classic = given(tree, 6.0, classification={"variant": "classic"})
    assert above_vapour(classic, pixels) is pixels


def test_what_was_done_about_parallax_is_in_the_product(make_l1c):
    tree = make_l1c()
    on, off = (
        process(tree, config=ProcessorConfig(classification={"parallax": wanted}))[
            "quality/retrieval"
        ].to_dataset()
        for wanted in (True, False)
    )
    told = on["cloud_parallax"].attrs["flag_meanings"].split()
    assert told[int(off["cloud_parallax"])] == "off"
    assert told[int(on["cloud_parallax"])] == "bands_registered"
    assert float(on["aot_lowered"]) >= 0.0


def test_one_view_for_all_bands_is_said_and_replaced_by_the_design(make_l1c, caplog):
    made = given(make_l1c(), 20.0)
    alone = replace(made.points, view=np.repeat(made.points.view[:1], 13, axis=0), parity=None)
    with caplog.at_level(logging.WARNING):
        sky = sky_of(replace(made, points=alone))
    assert sky.shift_assumed
    assert "no view angles of single bands" in caplog.text
    assert sky.shift is not None
    assert np.hypot(*sky.shift) == pytest.approx(0.0169, abs=2e-4)

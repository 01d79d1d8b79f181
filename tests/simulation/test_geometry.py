"""Views as the metadata of real products have them."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree

from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.simulation.geometry import Viewing
from s2cloud.simulation.tiling import tile_grid

#: Delays after B02. [s] ESA, Sentinel-2 User Handbook (2015), table of inter-band measurements.
DELAYS = {
    "b08": 0.264, "b03": 0.527, "b10": 0.851, "b04": 1.005, "b05": 1.269, "b11": 1.468,
    "b06": 1.525, "b07": 1.790, "b8a": 2.055, "b12": 2.085, "b01": 2.314, "b09": 2.586,
}  # fmt: skip
ANGLES = ("Zenith", "Azimuth")


def vector(zenith, azimuth):
    slant, turn = np.tan(np.radians(zenith)), np.radians(azimuth)
    return np.stack([slant * np.sin(turn), slant * np.cos(turn)])


@pytest.fixture
def viewing():
    return Viewing.of(tile_grid("31TCJ", 10980))


def seen(viewing, band, *, odd):
    view = viewing.view(band, odd, np.array([viewing.y]), np.array([viewing.x]))
    return vector(view.zenith, view.azimuth)[:, 0]


@pytest.mark.parametrize("odd", [False, True])
def test_bands_look_along_the_track_in_the_order_of_their_delays(viewing, odd):
    first = seen(viewing, "b02", odd=odd)
    # Ground speed of 7.4 km/s, less the turn of the Earth, over 786 km.
    for band, delay in DELAYS.items():
        apart = float(np.hypot(*(seen(viewing, band, odd=odd) - first)))
        assert apart == pytest.approx(9.4e-3 * delay, rel=0.025)


def test_odd_and_even_detectors_look_opposite_ways(viewing):
    ways = [seen(viewing, "b8a", odd=odd) - seen(viewing, "b08", odd=odd) for odd in (False, True)]
    np.testing.assert_allclose(ways[0], -ways[1], atol=1e-9)
    # The parallax that tells clouds from ground: 17 m per kilometre of height.
    assert 0.012 < np.hypot(*ways[0]) < 0.018


@pytest.mark.realdata
def test_angle_grids_of_a_real_product(viewing):
    root = Path(os.environ.get("S2CLOUD_REALDATA", Path(__file__).parents[3] / "shared" / "data"))
    found = sorted((root / "safe_metadata_l1c").glob("*_N0510_*_T31TCJ_*.zip"))
    if not found:
        pytest.skip(f"no product T31TCJ of baseline 05.10 in {root}")
    with zipfile.ZipFile(found[0]) as file:
        name = next(n for n in file.namelist() if n.endswith("MTD_TL.xml"))
        tile = ElementTree.fromstring(file.read(name))
    grids = {
        (int(e.get("bandId", "")), int(e.get("detectorId", ""))): vector(
            *(
                np.array([[float(v) for v in (row.text or "").split()] for row in rows])
                for rows in (e.findall(f"{name}/Values_List/VALUES") for name in ANGLES)
            )
        )
        for e in tile.iter("Viewing_Incidence_Angles_Grids")
    }
    for band in BANDS:
        for detector in range(5, 9):
            odd = detector % 2 == 1
            own, first = grids[BAND_INFO[band].index, detector], grids[1, detector]
            real = np.nanmedian((own - first).reshape(2, -1), axis=1)
            ours = seen(viewing, band, odd=odd) - seen(viewing, "b02", odd=odd)
            np.testing.assert_allclose(ours, real, atol=3e-4)

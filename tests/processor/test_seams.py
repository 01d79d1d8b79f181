"""No seams: neither between blocks nor between the detectors of a simulated scene."""

import dask
import numpy as np
import pytest
import xarray as xr

from s2cloud.io.open import open_l1c
from s2cloud.model.bands import Resolution
from s2cloud.model.grid import BLOCK_PX
from s2cloud.model.schema import reflectance_path
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

BANDS: dict[str, Resolution] = {"b01": 60, "b02": 10, "b04": 10, "b8a": 20, "b11": 20, "b09": 60}
#: Blocks of 1.8 km at 10, 20 and 60 m.
BLOCKS: dict[Resolution, int] = {10: 180, 20: 90, 60: 30}


@pytest.fixture(scope="module")
def planes(tmp_path_factory):
    """Surface and TOA reflectance, truth and detectors of each band, made in small blocks."""
    folder = tmp_path_factory.mktemp("seams")
    made = simulate_l1c(folder, size=720, scene="vegetation", sza=50.0, seed=8, aot550=0.3)
    with pytest.MonkeyPatch.context() as patch:
        for resolution, size in BLOCKS.items():
            patch.setitem(BLOCK_PX, resolution, size)
        l1c = open_l1c(made.uri)
        l2a = process(l1c)
        wanted = {
            name: (
                l2a[f"measurements/reflectance/r{r}m/{name}"].data,
                l1c[f"{reflectance_path(r)}/{name}"].data,
                l1c[f"conditions/mask/detector_footprint/r{r}m/{name}"].data,
            )
            for name, r in BANDS.items()
        }
        with dask.config.set(scheduler="threads"):
            (found,) = dask.compute(wanted)
    with xr.open_datatree(made.truth_uri, engine="zarr", chunks={}) as truth:
        return {
            name: (
                boa,
                counts * 1e-4 - 0.1,
                np.squeeze(
                    np.asarray(truth[f"measurements/reflectance/r{BANDS[name]}m/{name}"].values)
                ),
                detectors,
            )
            for name, (boa, counts, detectors) in found.items()
        }


def steps(values, axis):
    """Mean absolute difference of neighbours across each line between pixels."""
    return np.nanmean(np.abs(np.diff(values, axis=axis)), axis=1 - axis)


@pytest.mark.parametrize("name", BANDS)
@pytest.mark.parametrize("axis", [0, 1])
def test_gradients_at_borders_of_blocks_are_those_of_the_rest(planes, name, axis):
    boa, _, truth, _ = planes[name]
    # Without the ground itself only what the processor adds is left.
    added = steps(boa - truth, axis)
    block = BLOCKS[BANDS[name]]
    border = np.arange(block, boa.shape[axis], block) - 1
    others = np.delete(added, border)
    assert border.size == 3
    assert added[border].mean() < others.mean() + 3 * others.std() / np.sqrt(border.size)
    assert (added[border] <= 1.05 * others.max()).all()


@pytest.mark.parametrize("name", ["b01", "b02"])
def test_stripes_of_detectors_shrink(planes, name):
    boa, toa, truth, detectors = planes[name]
    near = max(2, 60 // BANDS[name])
    left, right = [], []
    for row, line in enumerate(detectors):
        at = np.flatnonzero(np.diff(line.astype(int)))
        if at.size == 1 and near < at[0] < line.size - near - 1:
            left.append((row, at[0] - near + 1))
            right.append((row, at[0] + 1))
    assert len(left) > 0.5 * detectors.shape[0]
    reach = np.arange(near)

    def step(values):
        sides = [
            np.stack([values[row, col + reach] for row, col in side]) for side in (left, right)
        ]
        return float(np.nanmean(sides[1]) - np.nanmean(sides[0]))

    good = np.isfinite(boa)
    gain = np.polyfit(truth[good], toa[good], 1)[0]
    before = (step(toa) - gain * step(truth)) / gain
    after = step(boa) - step(truth)
    print(f"{name}: step between detectors {before:+.5f} before, {after:+.5f} after")  # noqa: T201
    assert abs(before) > 5e-4
    assert abs(after) < 0.5 * abs(before)


@pytest.mark.parametrize("name", ["b04", "b8a", "b11", "b09"])
def test_no_stripes_are_added(planes, name):
    boa, _, truth, detectors = planes[name]
    border = np.diff(detectors.astype(int), axis=1) != 0
    across = np.diff(boa - truth, axis=1)
    there, elsewhere = np.abs(across[border]), np.abs(across[~border])
    assert border.sum() > 0.5 * detectors.shape[0]
    error = np.nanstd(across[~border]) / np.sqrt(border.sum())
    assert np.nanmean(there) < np.nanmean(elsewhere) + 5 * error + 2e-4

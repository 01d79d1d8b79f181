"""Detector numbers at 60 m from footprint images of finer bands."""

import numpy as np
import pytest

from s2cloud.io.jp2_index import JP2Source
from s2cloud.io.safe_masks import detector_map
from s2cloud.io.stores import open_store
from s2cloud.model.grid import Grid
from s2cloud.simulation.jp2 import encode_mask


def slanted(size):
    """Numbers 4 to 6 in slanted strips, nothing in a corner."""
    y, x = np.mgrid[:size, :size]
    numbers = (4 + np.clip((x + y // 5) * 3 // (size + size // 5), 0, 2)).astype(np.uint8)
    numbers[(y - x) > size * 0.6] = 0
    return numbers


@pytest.mark.parametrize(("resolution", "size"), [(10, 2196), (20, 1098)])
def test_map_is_the_pixel_beside_the_centre(tmp_path, resolution, size):
    factor = 60 // resolution
    numbers = slanted(size)
    grid = Grid("EPSG:32632", 600000.0, 5100000.0, float(resolution), size, size)
    data = encode_mask(numbers, grid, resolution)
    (tmp_path / "mask.jp2").write_bytes(data)
    store = open_store(str(tmp_path))
    source = JP2Source(store, "mask.jp2", store.info("mask.jp2"))
    wanted = numbers[factor // 2 :: factor, factor // 2 :: factor]
    whole = detector_map(source, numbers.shape, factor, (0, 0, *wanted.shape))
    assert whole.npartitions == 1
    found = whole.compute(scheduler="sync")
    np.testing.assert_array_equal(found, wanted)
    part = detector_map(source, numbers.shape, factor, (20, 31, 40, 50)).compute(scheduler="sync")
    np.testing.assert_array_equal(part, wanted[20:60, 31:81])

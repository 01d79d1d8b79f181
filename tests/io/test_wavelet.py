"""The low-pass made from pixels is the one that the images hold."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from s2cloud.io import wavelet
from s2cloud.io.jp2_array import JP2Image
from s2cloud.io.jp2_index import JP2Source
from s2cloud.io.overview import block_mean
from s2cloud.io.stores import open_store


def noisy(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 32767, shape).astype(np.uint16)
    pixels[: shape[0] // 3, : shape[1] // 4] = 0
    return pixels


@pytest.mark.parametrize("factor", [3, 6])
@pytest.mark.parametrize("shape", [(300, 300), (252, 318)])
def test_overviews_from_pixels_are_those_of_the_images(
    factor, shape, factory, tmp_path, monkeypatch
):
    resolution = 60 // factor
    monkeypatch.setattr(wavelet, "REDUCE_PIXELS", 1)
    monkeypatch.setitem(wavelet.TILE_PX, resolution, 128)
    pixels = noisy(shape)
    factory.write_jp2(tmp_path / "band.jp2", pixels, pixel_size=resolution, tile=128)
    store = open_store(tmp_path)
    source = JP2Source(store, "band.jp2", store.info("band.jp2"))
    small = (shape[0] // factor, shape[1] // factor)
    expected = JP2Image(source, source.header()).overview(factor, small, least=1).compute()
    found = wavelet.overview_of(da.from_array(pixels, chunks=100), resolution, factor)
    assert found.shape == small
    np.testing.assert_array_equal(found.compute(), expected)
    assert (expected != block_mean(pixels, factor)).any()


def test_small_images_are_averaged():
    pixels = noisy((120, 120))
    found = wavelet.overview_of(da.from_array(pixels, chunks=60), 10, 6)
    np.testing.assert_array_equal(found.compute(), block_mean(pixels, 6))
    assert found.numblocks == (1, 1)

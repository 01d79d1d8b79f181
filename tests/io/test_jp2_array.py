"""Images as dask arrays: the same pixels, blocks at their places, and as few requests as can be."""

from __future__ import annotations

import pickle
from dataclasses import replace

import dask
import numpy as np
import pytest

from s2cloud.io.jp2 import decode_tile
from s2cloud.io.jp2_array import JP2Image, block_edges
from s2cloud.io.jp2_index import JP2Group, JP2Source
from s2cloud.io.overview import block_mean, low_pass_to_blocks
from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:600, 0:660]
    image = 3000 + 4 * x + 2 * y + 300 * np.sin(x / 60) + rng.normal(0, 20, x.shape)
    image[:150, :90] = 0
    return np.clip(image, 0, 32767).astype(np.uint16)


@pytest.fixture(scope="module")
def files(factory, pixels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jp2")
    factory.write_jp2(folder / "tlm.jp2", pixels, tile=128, tlm=True)
    factory.write_jp2(folder / "hop.jp2", pixels, tile=128, tlm=False)
    factory.write_jp2(folder / "no-plt.jp2", pixels, tile=128, tlm=False, PLT="NO")
    return folder


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Tiles decoded so far."""
    tiles: list[int] = []

    def watched(header, tile, pieces):
        tiles.append(tile)
        return decode_tile(header, tile, pieces)

    monkeypatch.setattr("s2cloud.io.jp2_array.decode_tile", watched)
    return tiles


def image_in(store, name: str) -> JP2Image:
    source = JP2Source(store, name, store.info(name))
    return JP2Image(source, source.header())


@pytest.fixture
def remote(files, bucket, s3_options):
    store = open_store(f"s3://{bucket}/p", s3_options)
    for path in files.iterdir():
        store.put_file(path, path.name)
    return open_store(f"s3://{bucket}/p", s3_options)


@pytest.mark.parametrize("name", ["tlm.jp2", "hop.jp2"])
def test_the_whole_image(name, files, pixels):
    array = image_in(open_store(files), name).array(block=183)
    assert array.chunks == ((183, 183, 183, 51), (183, 183, 183, 111))
    assert array.dtype == np.uint16
    np.testing.assert_array_equal(array.compute(), pixels)


@pytest.mark.parametrize("window", [(0, 0, 1, 1), (100, 50, 300, 400), (590, 650, 10, 10)])
def test_windows_keep_the_lattice_of_blocks(window, files, pixels):
    row, col, height, width = window
    array = image_in(open_store(files), "hop.jp2").array(window, block=183)
    np.testing.assert_array_equal(array.compute(), pixels[row : row + height, col : col + width])
    edges = np.cumsum([row, *array.chunks[0]])
    assert all(edge % 183 == 0 for edge in edges[1:-1])


def test_edges_of_blocks():
    assert block_edges(0, 600, 183) == [0, 183, 366, 549, 600]
    assert block_edges(183, 183, 183) == [183, 366]
    assert block_edges(100, 300, 183) == [100, 183, 366, 400]


def test_every_tile_is_decoded_once(files, decoded):
    image_in(open_store(files), "hop.jp2").array(block=183).compute()
    assert sorted(decoded) == list(range(30))


def test_one_block_decodes_only_its_tiles(files, decoded):
    image_in(open_store(files), "tlm.jp2").array(block=183).blocks[0, 0].compute()
    assert sorted(decoded) == [0, 1, 6, 7]


def test_nothing_is_read_before_computing(files):
    store = open_store(files)
    image = image_in(store, "hop.jp2")
    before = store.requests
    image.array(block=183)
    image.overview(6, (100, 110), least=1)
    assert store.requests == before


def test_names_are_equal_for_equal_content(files):
    first, second = (image_in(open_store(files), "tlm.jp2") for _ in range(2))
    assert first.array(block=183).name == second.array(block=183).name
    assert first.array(block=183).name != first.array((0, 0, 9, 9), block=183).name
    assert (
        first.array(block=183).name != image_in(open_store(files), "hop.jp2").array(block=183).name
    )


def test_tasks_travel(files, pixels):
    array = image_in(open_store(files), "hop.jp2").array(block=183)
    copy = pickle.loads(pickle.dumps(array))  # noqa: S301  # our own
    np.testing.assert_array_equal(copy.compute(), pixels)


# -- requests ---------------------------------------------------------------------------------


def requests(store, array) -> tuple[int, int]:
    before, read = store.requests, store.bytes_read
    array.compute(scheduler="synchronous")
    return store.requests - before, store.bytes_read - read


def test_with_a_table_a_row_of_tiles_is_one_request(remote, pixels):
    image = image_in(remote, "tlm.jp2")
    number, size = requests(remote, image.array(block=183))
    assert number == 5
    assert size < image.source.info.size
    np.testing.assert_array_equal(image.array(block=183).compute(), pixels)


def test_without_a_table_a_whole_image_is_one_request(remote):
    image = image_in(remote, "hop.jp2")
    assert requests(remote, image.array(block=183)) == (1, image.source.info.size)


def test_a_small_window_takes_few_bytes(remote, pixels):
    window = (300, 300, 60, 60)
    image = image_in(remote, "tlm.jp2")
    number, size = requests(remote, image.array(window, block=183))
    assert number == 1
    assert size < image.source.info.size / 20
    image = image_in(remote, "hop.jp2")
    array = image.array(window, block=183)
    number, size = requests(remote, array)
    assert number == 30 + 1
    assert size < image.source.info.size * 0.6
    np.testing.assert_array_equal(array.compute(), pixels[300:360, 300:360])


def test_window_and_overview_share_the_hops(remote):
    image = image_in(remote, "hop.jp2")
    window = (300, 300, 60, 60)
    arrays = image.array(window, block=183), image.overview(6, (100, 110), window=window, least=1)
    before = remote.requests
    dask.compute(*arrays, scheduler="synchronous")
    assert remote.requests - before <= 30 + 1 + 1


def test_whole_image_and_overview_share_the_file(remote):
    image = image_in(remote, "hop.jp2")
    before = remote.requests
    dask.compute(
        image.array(block=183), image.overview(6, (100, 110), least=1), scheduler="synchronous"
    )
    assert remote.requests - before == 1


def test_bands_of_a_product_are_hopped_through_together(remote, pixels, monkeypatch):
    one, other, third = (
        JP2Image(replace(i.source, info=replace(i.source.info, tag=tag)), i.header)
        for tag in "abc"
        for i in (image_in(remote, "hop.jp2"),)
    )
    group = JP2Group(tuple((image.source, image.header) for image in (one, other, third)))
    window = (300, 300, 60, 60)
    before = remote.requests
    replace(one, group=group).array(window, block=183).compute()
    assert remote.requests - before == 31
    replace(other, group=group).array(window, block=183).compute()
    assert remote.requests - before == 31 + 1 + 2 * 30
    found = replace(third, group=group).array(window, block=183).compute()
    assert remote.requests - before == 31 + 1 + 2 * 30 + 1
    np.testing.assert_array_equal(found, pixels[300:360, 300:360])


def test_an_overview_takes_a_fraction_of_the_bytes(files, bucket, s3_options, factory, tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(1000, 9000, (1024, 1024)).astype(np.uint16)
    factory.write_jp2(tmp_path / "big.jp2", noise, tile=512, tlm=True)
    store = open_store(f"s3://{bucket}/q", s3_options)
    store.put_file(tmp_path / "big.jp2", "big.jp2")
    image = image_in(store, "big.jp2")
    number, size = requests(store, image.overview(6, (170, 170), least=1))
    assert number <= 2 * 4
    assert size < image.source.info.size / 10


# -- overview ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tlm.jp2", "hop.jp2"])
@pytest.mark.parametrize("factor", [3, 6])
def test_the_overview_is_in_phase_with_block_means(name, factor, files, pixels):
    shape = (600 // factor, 660 // factor)
    small = image_in(open_store(files), name).overview(factor, shape, least=1).compute()
    means = block_mean(pixels, factor)
    assert small.shape == means.shape
    both = (small > 0) & (means > 0)
    both[[0, -1]] = both[:, [0, -1]] = False
    difference = small[both].astype(float) - means[both]
    # A shift by half a pixel would be 3 counts here, one by half a sample 24. The integer
    # wavelet rounds up: half a count per level on noisy pixels.
    assert abs(difference.mean()) < 2.5
    assert np.abs(difference).max() < 60
    # No-data grows by two or three samples, which are mixed with it, and never shrinks.
    assert not (small > 0)[means == 0].any()
    lost = (small == 0).sum() - (means == 0).sum()
    assert lost * factor**2 < (240 + 60) * 30


def test_small_images_and_those_without_packet_lengths_are_averaged(files, pixels):
    store = open_store(files)
    means = block_mean(pixels, 6)
    for name, least in (("no-plt.jp2", 1), ("tlm.jp2", 2048**2)):
        small = image_in(store, name).overview(6, means.shape, least=least)
        assert small.chunks == ((100,), (110,))
        np.testing.assert_array_equal(small.compute(), means)


def test_block_means_round_half_up_and_keep_no_data():
    counts = np.array([[1, 2, 5, 0], [1, 2, 5, 5], [9, 9, 7, 8]], np.uint16)
    np.testing.assert_array_equal(block_mean(counts, 2), [[2, 0], [9, 8]])
    np.testing.assert_array_equal(block_mean(counts, 1), counts)
    assert block_mean(np.full((600, 600), 65535, np.uint16), 600).tolist() == [[65535]]


def test_a_plane_keeps_its_values_when_resampled():
    # Sample i of a low-pass of three levels stands for pixel 8 i.
    y, x = np.mgrid[0:96:8, 0:96:8]
    low = (1000 + 10 * x + 4 * y).astype(np.uint16)
    rows, cols = np.mgrid[0:14, 0:14]
    expected = 1000 + 10 * (6 * cols + 2.5) + 4 * (6 * rows + 2.5)
    found = low_pass_to_blocks(low, 3, 6, (14, 14))
    assert np.abs(found - expected).max() <= 0.5


# -- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tlm.jp2", "hop.jp2"])
def test_a_file_that_shrank_since_it_was_opened(name, files, tmp_path):
    data = (files / name).read_bytes()
    (tmp_path / name).write_bytes(data)
    image = image_in(open_store(tmp_path), name)
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=name):
        image.array(block=183).compute()
    with pytest.raises(InputError, match=name):
        image.overview(6, (100, 110), least=1).compute()


def test_a_truncated_file_never_yields_zeros(files, tmp_path):
    for name in ("tlm.jp2", "hop.jp2"):
        data = (files / name).read_bytes()
        (tmp_path / name).write_bytes(data[:-5000])
        with pytest.raises(InputError, match="truncated image"):
            image_in(open_store(tmp_path), name).array(block=183).compute()

"""JPEG 2000: the index, tiles and reduced resolutions, against rasterio; damage is noticed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio

from s2cloud.io.jp2 import (
    decode_reduced,
    decode_tile,
    is_reducible,
    parts_in_memory,
    reduced_prefix,
    walk_parts,
)
from s2cloud.io.jp2_header import J2KHeader, georeference, read_header
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def header_of(data: bytes, name: str = "band.jp2") -> J2KHeader:
    return read_header(lambda start, stop: data[start:stop], len(data), name)


def whole(data: bytes) -> np.ndarray[Any, Any]:
    """Image put together from its tiles."""
    header = header_of(data)
    layers = () if header.components == 1 else (header.components,)
    image = np.zeros((*header.shape, *layers), header.dtype)
    for tile, pieces in parts_in_memory(header, data).items():
        top, left, bottom, right = header.tile_bounds(tile)
        image[top:bottom, left:right] = decode_tile(
            header, tile, [data[at : at + length] for at, length in pieces]
        )
    return image


def reduced(data: bytes, discard: int) -> np.ndarray[Any, Any]:
    """Image at a reduced resolution from prefixes of its tile-parts alone."""
    header, scale = header_of(data), 1 << discard
    low = np.zeros((-(-header.height // scale), -(-header.width // scale)), header.dtype)
    for tile, ((at, length),) in parts_in_memory(header, data).items():
        need = reduced_prefix(header, tile, data[at : at + length], discard)
        assert need
        top, left, bottom, right = (-(-v // scale) for v in header.tile_bounds(tile))
        low[top:bottom, left:right] = decode_reduced(header, tile, data[at : at + need], discard)
    return low


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:500, 0:430]
    image = 3000 + 4 * x + 2 * y + rng.normal(0, 100, x.shape)
    image[:150, :90] = 0
    return np.clip(image, 0, 32767).astype(np.uint16)


@pytest.fixture(scope="module", params=[True, False], ids=["tlm", "no-tlm"])
def image(request, factory, pixels, tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("jp2") / "band.jp2"
    factory.write_jp2(path, pixels, tile=256, tlm=request.param)
    return path


def test_tiles_equal_rasterio(image, pixels):
    np.testing.assert_array_equal(whole(image.read_bytes()), pixels)


def test_header_says_what_rasterio_says(image, pixels):
    header = header_of(image.read_bytes())
    assert header.shape == pixels.shape
    assert (header.tile_rows, header.tile_cols) == (2, 2)
    assert (header.levels, header.layers, header.progression, header.bits) == (4, 1, 0, 15)


def test_one_read_of_eight_kilobytes_is_enough(image):
    data, reads = image.read_bytes(), []

    def read(start, stop):
        reads.append((start, stop))
        return data[start:stop]

    read_header(read, len(data), "band.jp2")
    assert reads == [(0, 8192)]


def test_table_and_hops_agree(factory, pixels, tmp_path):
    factory.write_jp2(tmp_path / "a.jp2", pixels, tlm=True)
    data = (tmp_path / "a.jp2").read_bytes()
    header = header_of(data)
    assert header.parts
    assert walk_parts(header, lambda start, stop: data[start:stop])[0] == header.parts


@pytest.mark.parametrize("discard", [1, 2])
def test_reduced_resolutions_equal_rasterio(image, discard):
    with rasterio.open(image, OVERVIEW_LEVEL=discard - 1) as source:
        expected = source.read(1)
    np.testing.assert_array_equal(reduced(image.read_bytes(), discard), expected)


def test_reduced_resolutions_take_few_bytes(image):
    data = image.read_bytes()
    header = header_of(data)
    ((at, length),) = parts_in_memory(header, data)[0]
    assert 0 < (reduced_prefix(header, 0, data[at : at + length], 3) or 0) < length // 20


@pytest.mark.parametrize(
    "options",
    [
        {"tile": 512},
        {"TILEPARTS": "RESOLUTIONS"},
        {"PROGRESSION": "RPCL"},
        {"PROGRESSION": "CPRL", "PLT": "NO"},
        {"CODEBLOCK_WIDTH": "32", "CODEBLOCK_HEIGHT": "32"},
        {"SOP": "YES", "EPH": "YES"},
        {"RESOLUTIONS": "1"},
        {"CODEC": "J2K"},
    ],
    ids=str,
)
def test_other_codings_are_read_too(options, factory, pixels, tmp_path):
    path = tmp_path / ("band.j2k" if "CODEC" in options else "band.jp2")
    factory.write_jp2(path, pixels, **options)
    data = path.read_bytes()
    np.testing.assert_array_equal(whole(data), pixels)
    header = header_of(data)
    if is_reducible(header, 1):
        parts = parts_in_memory(header, data)
        at, length = parts[0][0]
        if reduced_prefix(header, 0, data[at : at + length], 1):
            with rasterio.open(path, OVERVIEW_LEVEL=0) as source:
                np.testing.assert_array_equal(reduced(data, 1), source.read(1))


def test_masks_of_several_layers(factory, tmp_path):
    layers = np.random.default_rng(1).integers(0, 2, (8, 100, 130)).astype(np.uint8)
    factory.write_jp2(tmp_path / "m.jp2", layers, tile=64)
    image = whole((tmp_path / "m.jp2").read_bytes())
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(np.moveaxis(image, -1, 0), layers)


def test_the_place_is_in_the_file(factory, pixels, tmp_path):
    factory.write_jp2(tmp_path / "a.jp2", pixels, pixel_size=20, corner=(399960.0, 4200000.0))
    data = (tmp_path / "a.jp2").read_bytes()
    assert georeference(data[:8192]) == (399960.0, 4200000.0, 20.0)
    assert georeference(b"nothing") is None


def test_no_truncation_yields_pixels(image):
    data = image.read_bytes()
    cuts = [*range(0, 4000, 97), *range(4000, len(data), len(data) // 60), len(data) - 1]
    for cut in cuts:
        with pytest.raises(InputError, match=r"band\.jp2|truncated|damaged|not a JPEG"):
            whole(data[:cut])


def test_no_damage_ends_in_another_error(image):
    data, rng = image.read_bytes(), np.random.default_rng(3)
    first = header_of(data).first_part
    for trial in range(60):
        bad = bytearray(data)
        # Half of the trials hit the headers, the rest anything.
        top = first + 200 if trial % 2 else len(bad)
        for position in rng.integers(0, top, 3):
            bad[position] = rng.integers(0, 256)
        # Damage within packets can go unseen, there is no checksum; anything else is named.
        with contextlib.suppress(InputError):
            assert whole(bytes(bad)).size


def test_pixels_of_another_tile_are_refused(image):
    data = image.read_bytes()
    header = header_of(data)
    ((at, length),) = parts_in_memory(header, data)[0]
    with pytest.raises(InputError, match="tile 1 is not where the index says"):
        decode_tile(header, 1, [data[at : at + length]])
    cut = data[at : at + 12] + bytes(length - 12)
    with pytest.raises(InputError, match=r"tile 0 cannot be decoded: band\.jp2"):
        decode_tile(header, 0, [cut])


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<html>no such file</html>" * 10])
def test_other_files_are_refused(data):
    with pytest.raises(InputError):
        header_of(data)


def test_a_header_that_asks_for_memory_is_refused(image):
    data = bytearray(image.read_bytes())
    at = data.index(b"\xff\x51")
    data[at + 6 : at + 10] = (2**31 - 1).to_bytes(4, "big")
    with pytest.raises(InputError, match="unusual image"):
        header_of(bytes(data))

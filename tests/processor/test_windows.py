"""Mapping functions over blocks: halos, nested grids, any chunking."""

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.processor.windows import Block, Source, block_edges, map_blocks


def box_sum(block: Block, values: np.ndarray, *, halo: int, factor: int = 1) -> np.ndarray:
    """Sum over the (2 halo + 1) square around each pixel, then over factor x factor."""
    out = np.zeros((block.height * factor, block.width * factor), np.int64)
    for i in range(2 * halo + 1):
        for j in range(2 * halo + 1):
            out += values[i : i + out.shape[0], j : j + out.shape[1]]
    square = out.reshape(block.height, factor, block.width, factor)
    return np.asarray(square.sum(axis=(1, 3)))


def reference(values: np.ndarray, halo: int) -> np.ndarray:
    padded = np.pad(values.astype(np.int64), halo, mode="edge")
    height, width = values.shape
    return box_sum(Block(0, 0, height, width), padded, halo=halo)


@pytest.mark.parametrize(
    ("size", "offset", "block", "expected"),
    [
        (10980, 0, 1830, (1830,) * 6),
        (1000, 1500, 1830, (330, 670)),
        (100, 1830, 1830, (100,)),
        (439, 0, 1830, (439,)),
    ],
)
def test_block_edges_fall_on_the_lattice_of_the_tile(size, offset, block, expected):
    assert block_edges(size, offset, block) == expected


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    source_chunk=st.integers(1, 17),
    block=st.integers(2, 23),
    halo=st.integers(0, 6),
    seed=st.integers(0, 5),
)
def test_halo_does_not_depend_on_source_chunks_or_blocks(
    height, width, source_chunk, block, halo, seed
):
    values = np.random.default_rng(seed).integers(0, 1000, (height, width)).astype(np.int32)
    array = da.from_array(values, chunks=(source_chunk, source_chunk + 2))
    result = map_blocks(
        box_sum,
        [Source(array, halo=halo)],
        chunks=(block_edges(height, 0, block), block_edges(width, 0, block)),
        offset=(0, 0),
        dtype=np.int64,
        name="sum",
        parameters={"halo": halo},
    )
    np.testing.assert_array_equal(result.compute(scheduler="sync"), reference(values, halo))


@pytest.mark.parametrize("chunk", [4, 7, 60])
def test_finer_source_arrives_with_the_pixels_below_the_block(chunk):
    values = np.arange(60 * 60).reshape(60, 60).astype(np.int64)
    result = map_blocks(
        box_sum,
        [Source(da.from_array(values, chunks=chunk), numerator=3)],
        chunks=((7, 7, 6), (12, 8)),
        offset=(0, 0),
        dtype=np.int64,
        name="sum",
        parameters={"halo": 0, "factor": 3},
    )
    expected = values.reshape(20, 3, 20, 3).sum(axis=(1, 3))
    np.testing.assert_array_equal(result.compute(scheduler="sync"), expected)


def test_coarser_source_covers_block_and_halo():
    def shapes(block: Block, values: np.ndarray) -> np.ndarray:
        first = block.row // 3 - 1
        rows = (block.row + np.arange(block.height)) // 3 - first
        cols = (block.col + np.arange(block.width)) // 3 - (block.col // 3 - 1)
        return values[np.ix_(rows, cols)]

    values = np.arange(100).reshape(10, 10)
    result = map_blocks(
        shapes,
        [Source(da.from_array(values, chunks=4), denominator=3, halo=1)],
        chunks=((12, 12, 6), (15, 15)),
        offset=(0, 0),
        dtype=values.dtype,
        name="repeat",
    )
    expected = values.repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(result.compute(scheduler="sync"), expected)


def test_block_position_counts_from_the_corner_of_the_tile():
    def position(block: Block, values: np.ndarray) -> np.ndarray:
        return np.full(values.shape, 1000 * block.row + block.col)

    array = da.zeros((10, 20), chunks=5)
    result = map_blocks(
        position,
        [Source(array)],
        chunks=((4, 6), (8, 12)),
        offset=(30, 50),
        dtype=np.int64,
        name="position",
    ).compute(scheduler="sync")
    assert result[0, 0] == 30050
    assert result[-1, -1] == 34058


def test_leading_dimension_and_shared_inputs():
    def pair(block: Block, values: np.ndarray, added: int) -> np.ndarray:
        return np.stack([values, values + added])

    array = da.ones((6, 6), chunks=3)
    result = map_blocks(
        pair,
        [Source(array)],
        chunks=((3, 3), (6,)),
        offset=(0, 0),
        dtype=float,
        leading=(2,),
        name="pair",
        shared=[dask.delayed(4)],
    )
    assert result.shape == (2, 6, 6)
    np.testing.assert_array_equal(result[1].compute(scheduler="sync"), np.full((6, 6), 5.0))


def test_one_task_per_block():
    array = da.zeros((100, 100), chunks=10)
    result = map_blocks(
        box_sum,
        [Source(array, halo=2)],
        chunks=((50, 50), (50, 50)),
        offset=(0, 0),
        dtype=np.int64,
        name="sum",
        parameters={"halo": 2},
    )
    layer = result.dask.layers[result.name]
    assert len(layer) == 4

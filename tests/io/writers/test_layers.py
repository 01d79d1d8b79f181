"""The quantiser and the inventory of rasters."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from s2cloud.io.layers import Summary, layers_of, quantise, summarise
from s2cloud.model.errors import InputError
from s2cloud.model.schema import ENCODINGS

REFLECTANCE = ENCODINGS["reflectance"]


@pytest.mark.parametrize("name", ["reflectance", "aot", "wvp"])
def test_every_stored_value_survives_decoding_to_float32(name):
    encoding = ENCODINGS[name]
    stored = np.arange(encoding.minimum, encoding.maximum + 1, dtype=np.uint16)
    decoded = (stored * encoding.scale + encoding.offset).astype(np.float32)
    np.testing.assert_array_equal(quantise(decoded, encoding), stored)


def test_no_data_negative_and_clipped_values():
    values = np.array([np.nan, -0.05, -0.2, 0.0, 3.5, np.inf, -np.inf], np.float32)
    # 3.5 is beyond 32767 * 1e-4 - 0.1 = 3.1767; -0.2 would be below the smallest valid count 1.
    expected = [0, 500, 1, 1000, 32767, 32767, 1]
    assert quantise(values, REFLECTANCE).tolist() == expected


def test_ties_round_to_even_as_numpy_does():
    # Halves that are exact in binary: scale 1, offset 0.
    values = np.array([0.5, 1.5, 2.5, 99.5], np.float32)
    assert quantise(values, ENCODINGS["cld"]).tolist() == np.rint(values).tolist()


@given(st.lists(st.floats(-1, 5, width=32), min_size=1, max_size=40))
def test_quantiser_equals_the_formula_in_float64(numbers):
    values = np.array(numbers, np.float32)
    exact = np.rint(np.clip((values.astype(np.float64) + 0.1) / 1e-4, 1, 32767))
    np.testing.assert_array_equal(quantise(values, REFLECTANCE), exact.astype(np.uint16))


def test_integers_pass_unchanged():
    scl = np.array([[0, 4], [11, 9]], np.uint8)
    assert quantise(scl, ENCODINGS["scl"]).tolist() == scl.tolist()


def test_summaries_of_parts_add_up_to_that_of_the_whole():
    counts = np.random.default_rng(0).integers(0, 6, (40, 30)).astype(np.uint16)
    counts[:20] = 0
    whole = summarise(counts, 0)
    parts = [summarise(part, 0) for part in np.array_split(counts, 7)]
    assert sum(parts, start=Summary()) == whole
    assert whole.valid == np.count_nonzero(counts)
    assert (whole.minimum, whole.maximum) == (1, 5)
    assert whole.total == counts.sum()


def test_rasters_come_in_blocks_counted_from_their_corner(make_l2a):
    # A window that starts in mid-block has a partial first chunk; Zarr knows regular chunks only.
    tree = make_l2a(chunks={10: ((30, 120, 90), (30, 120, 90))})
    layer = next(la for la in layers_of(tree) if la.key == "b02_10m")
    assert layer.counts.chunks == ((120, 120), (120, 120))


def test_arrays_in_memory_are_rasters_too(make_l2a):
    tree = make_l2a().compute()
    assert {la.key for la in layers_of(tree)} == {la.key for la in layers_of(make_l2a())}


def test_a_tree_without_reflectance_is_refused():
    with pytest.raises(InputError, match="not a Level-2A tree"):
        layers_of(xr.DataTree.from_dict({"conditions/geometry": xr.Dataset({"a": 1})}))

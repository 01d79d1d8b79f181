"""Masks of the Level-1C product in the SAFE product: copied where they fit, else coded anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from defusedxml.ElementTree import fromstring

from s2cloud.io.open import open_l1c
from s2cloud.io.product import write_product
from s2cloud.io.validate import validate
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.simulation import simulate_l1c
from s2cloud.simulation.tiling import tile_grid

#: The place of the Level-2A tree of these tests.
SIZE = 240
STEMS = {f"MSK_{k}_{BAND_INFO[b].esa_name}" for b in BANDS for k in ("DETFOO", "QUALIT")}
STEMS |= {"MSK_CLASSI_B00"}


@pytest.fixture(scope="module")
def level_1c(tmp_path_factory):
    """Product with a border between detectors and pixels without data."""
    folder = tmp_path_factory.mktemp("l1c")
    return Path(simulate_l1c(folder, size=SIZE, nodata_fraction=0.3).uri)


@pytest.fixture
def place():
    """Corner of the tile."""
    grid = tile_grid("32TQM", SIZE)
    return grid.ulx, grid.uly


def masks_of(product: Path) -> dict[str, Path]:
    return {path.stem: path for path in product.rglob("QI_DATA/MSK_*") if "PRB" not in path.stem}


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as opened:
        return np.asarray(opened.read())


def written(tree, folder: Path, l1c) -> Path:
    write_product(tree, folder, formats=("safe",), l1c=l1c, stac=False)
    assert validate(str(folder)).ok
    return next(folder.glob("*.SAFE"))


def test_masks_of_a_whole_tile_are_copies(make_l2a, place, level_1c, tmp_path):
    safe = written(make_l2a(corner=place), tmp_path, open_l1c(level_1c))
    theirs, ours = masks_of(level_1c), masks_of(safe)
    assert ours.keys() == theirs.keys() == STEMS
    assert all(ours[stem].read_bytes() == theirs[stem].read_bytes() for stem in STEMS)
    tile = fromstring(next(safe.rglob("MTD_TL.xml")).read_bytes())
    named = {
        Path(e.text or "").stem: (e.get("type"), e.get("bandId"))
        for e in tile.iter("MASK_FILENAME")
    }
    assert named["MSK_DETFOO_B8A"] == ("MSK_DETFOO", "8")
    assert named["MSK_QUALIT_B12"] == ("MSK_QUALIT", "12")
    assert named["MSK_CLASSI_B00"] == ("MSK_CLASSI", None)
    assert named["MSK_CLDPRB_20m"] == ("MSK_CLDPRB", None)
    assert named.keys() > STEMS


def test_masks_of_a_part_are_cut(make_l2a, place, level_1c, tmp_path):
    safe = written(make_l2a(side_m=1200, corner=place), tmp_path, open_l1c(level_1c))
    theirs, ours = masks_of(level_1c), masks_of(safe)
    assert ours.keys() == STEMS
    for stem, path in ours.items():
        found = pixels(path)
        np.testing.assert_array_equal(
            found, pixels(theirs[stem])[:, : found.shape[1], : found.shape[2]]
        )
    assert pixels(ours["MSK_DETFOO_B02"]).shape == (1, 120, 120)
    assert pixels(ours["MSK_QUALIT_B11"]).shape == (8, 60, 60)


def test_masks_of_zarr_and_of_polygons_become_images(
    make_l2a, make_chip, place, layouts, level_1c, tmp_path
):
    from_zarr = open_l1c(layouts.eopf(level_1c, tmp_path / "zarr"))
    safe = written(make_l2a(corner=place), tmp_path / "a", from_zarr)
    theirs, ours = masks_of(level_1c), masks_of(safe)
    assert ours.keys() == STEMS
    for stem, path in ours.items():
        np.testing.assert_array_equal(pixels(path), pixels(theirs[stem]))
    assert pixels(ours["MSK_QUALIT_B02"])[5].any()
    old = simulate_l1c(tmp_path / "l1c", size=SIZE, baseline="03.01", nodata_fraction=0.3)
    safe = written(make_chip(corner=place), tmp_path / "b", open_l1c(old.uri))
    same = pixels(masks_of(safe)["MSK_DETFOO_B01"]) == pixels(theirs["MSK_DETFOO_B01"])
    assert same.mean() > 0.95


def test_only_masks_of_pixel_sizes_that_the_product_has(make_chip, place, level_1c, tmp_path):
    safe = written(make_chip(corner=place), tmp_path, open_l1c(level_1c))
    expected = {stem for stem in STEMS if stem[-3:] in {"B01", "B09", "B10", "B00"}}
    assert masks_of(safe).keys() == expected


def test_without_the_level_1c_there_are_none(make_chip, place, tmp_path):
    assert masks_of(written(make_chip(corner=place), tmp_path, None)) == {}

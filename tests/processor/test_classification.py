"""Classification in the processor: chunks, maps, classifiers, masks, explanations."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import dask
import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

import s2cloud
from s2cloud.config import ClassificationConfig, ProcessorConfig
from s2cloud.model.errors import UsageError
from s2cloud.model.schema import SCL
from s2cloud.processor import classifier, process

SCL20 = "conditions/mask/l2a_classification/r20m/scl"
CLD20 = "quality/probability/r20m/cld"


def layer(tree: xr.DataTree, path: str) -> xr.DataArray:
    """A variable of a tree."""
    folder, _, name = path.rpartition("/")
    return tree[folder].to_dataset()[name]


def classes(tree, config=None, aux=None):
    options = ProcessorConfig(classification=config or {})
    with dask.config.set(scheduler="synchronous"):
        return layer(process(tree, aux, config=options), SCL20).values


@pytest.fixture
def toy(monkeypatch):
    """A classifier that finds cloud in the east, installed under the name ``toy``."""

    class Toy:
        name = "toy"
        halo = 2

        def probability(self, toa):
            assert toa.dtype == np.float32
            return np.where(toa[1] > 0.12, np.float32(1.0), np.float32(0.0))

    class Point(EntryPoint):
        def load(self):  # type: ignore[explicit-override]
            return {"toy": Toy, "broken": object}[self.name]

    points = [Point(name, "toys:Toy", classifier.GROUP) for name in ("toy", "broken")]
    monkeypatch.setattr(classifier, "entry_points", lambda group: points)
    classifier.classifier.cache_clear()
    yield Toy
    classifier.classifier.cache_clear()


def test_a_model_replaces_the_cloud_confidence(make_l1c, toy):
    tree = make_l1c()
    with dask.config.set(scheduler="synchronous"):
        l2a = process(tree, config=ProcessorConfig(classification={"model": "toy", "dilation": {
            "cloud": 0, "cirrus": 0, "shadow": 0, "snow": 0}, "parallax": False}))  # fmt: skip
        found = layer(l2a, CLD20).values
    valid = found <= 100
    assert set(np.unique(found[valid]).tolist()) <= {0, 100}
    assert 0 < (found[valid] == 100).mean() < 1
    assert not np.array_equal(classes(tree, {"model": "toy"}), classes(tree))


def test_a_model_of_no_weight_changes_nothing(make_l1c, toy):
    tree = make_l1c()
    np.testing.assert_array_equal(
        classes(tree, {"model": "toy", "model_weight": 0.0}), classes(tree)
    )


def test_models_that_cannot_be_used_are_refused_by_name(make_l1c, toy, monkeypatch):
    with pytest.raises(UsageError, match=r"no such cloud classifier.*nobody.*broken, toy"):
        process(make_l1c(), config=ProcessorConfig(classification={"model": "nobody"}))
    with pytest.raises(UsageError, match="not a cloud classifier"):
        process(make_l1c(), config=ProcessorConfig(classification={"model": "broken"}))
    monkeypatch.setattr(toy, "probability", lambda _, toa: toa[0, 1:])
    with pytest.raises(UsageError, match="does not return probabilities"):
        classes(make_l1c(), {"model": "toy"})


def test_cloud_mask_is_clouds_alone(make_l1c):
    tree = make_l1c()
    options = ProcessorConfig(classification={"cloud_mask": True})
    with dask.config.set(scheduler="synchronous"):
        l2a = process(tree, config=options)
        mask = layer(l2a, "conditions/mask/cloud/r20m/cloud").values
        scl = layer(l2a, SCL20).values
    np.testing.assert_array_equal(mask == 255, scl == SCL.NO_DATA)
    np.testing.assert_array_equal(mask == 1, np.isin(scl, (8, 9, 10)))
    assert "/conditions/mask/cloud" not in process(tree).groups


def test_thresholds_and_dilation_reach_the_blocks(make_l1c):
    tree = make_l1c()
    clouds = [
        np.isin(classes(tree, {"dilation": {"cloud": metres}, "parallax": False}), (8, 9)).sum()
        for metres in (0, 80, 200)
    ]
    assert clouds[0] < clouds[1] < clouds[2]
    strict = {"thresholds": {"red_low": 0.9, "red_high": 1.0}, "parallax": False}
    assert not np.isin(classes(tree, strict), (9,)).any()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"thresholds": {"nonsense": 1}}, "no such threshold: nonsense"),
        ({"thresholds": {"cloud_medium": 0.9}}, "not below"),
        ({"median": 4}, "odd"),
        ({"dilation": {"cloud": -1}}, "greater than or equal to 0"),
        ({"model_weight": 1.5}, "less than or equal to 1"),
    ],
)
def test_impossible_options_are_refused(wrong, words):
    with pytest.raises(ValidationError, match=words):
        ClassificationConfig.model_validate(wrong)


@pytest.mark.parametrize("variant", ["evolution", "classic"])
def test_explanations_end_where_the_product_does(make_l1c, variant):
    tree = make_l1c()
    config = ProcessorConfig(classification={"variant": variant})
    with dask.config.set(scheduler="synchronous"):
        l2a = process(tree, config=config)
        scl, cld = layer(l2a, SCL20).values, layer(l2a, CLD20).values
        y, x = (layer(l2a, SCL20)[axis].values for axis in ("y", "x"))
        rng = np.random.default_rng(4)
        places = [(0, 0), (269, 269), (67, 202), (189, 81)]
        places += [tuple(p) for p in rng.integers(0, scl.shape[0], (12, 2))]
        for row, col in places:
            found = s2cloud.explain(tree, float(x[col]), float(y[row]), config=config)
            assert (found.row, found.col) == (row, col)
            assert found.scl == scl[row, col] == found.steps[-1].scl
            assert found.cloud_probability == cld[row, col]
            if found.scl != SCL.NO_DATA:
                assert abs(100 * found.steps[-1].cloud - cld[row, col]) <= 0.51
    lines = str(found).splitlines()
    assert len(lines) == len(found.steps) + 2
    assert lines[1].startswith("step")


def test_explaining_a_place_outside_the_image_is_refused(make_l1c):
    with pytest.raises(UsageError, match="outside the image"):
        s2cloud.explain(make_l1c(), 0.0, 0.0)


def test_maps_are_used_and_recorded(make_l1c):
    tree = make_l1c()
    grid60 = tree["measurements/overview/r60m"].to_dataset()
    grid20 = tree["measurements/reflectance/r20m"].to_dataset()

    def maps(dataset, **values):
        shape = (dataset.sizes["y"], dataset.sizes["x"])
        return xr.Dataset(
            {n: (("y", "x"), np.full(shape, v, np.uint8)) for n, v in values.items()},
            coords={"y": dataset["y"], "x": dataset["x"]},
        )

    aux = xr.DataTree.from_dict(
        {
            "conditions/landcover/r60m": maps(grid60, land_cover=10, water_bodies=2),
            "conditions/landcover/r20m": maps(grid20, water_bodies=2),
        }
    )
    with dask.config.set(scheduler="synchronous"):
        l2a = process(tree, aux)
        found = layer(l2a, SCL20).values
    assert l2a.attrs["provenance"]["classification_maps"] == [
        "land_cover_r60m",
        "water_bodies_r20m",
        "water_bodies_r60m",
    ]
    assert not np.isin(found, (SCL.CAST_SHADOW, SCL.CLOUD_SHADOW)).any()
    assert process(tree).attrs["provenance"]["classification_maps"] == []

"""Statistics of a scene survive their process, and nothing stale is used."""

from __future__ import annotations

import numpy as np
import pytest

from s2cloud.config import ProcessorConfig
from s2cloud.io.open import open_l1c
from s2cloud.io.scene_cache import SceneCache
from s2cloud.model.errors import InputError
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

BAND = "measurements/reflectance/r10m/b04"
CLASSES = "conditions/mask/l2a_classification/r20m/scl"
NAMES = (BAND, CLASSES)
WINDOW = {"x": slice(100, 164), "y": slice(80, 144)}


@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    return simulate_l1c(folder, size=360, seed=3).uri


def test_second_process_makes_the_same_pixels_without_the_scene_stage(safe, tmp_path, monkeypatch):
    plain = process(open_l1c(safe))
    wanted = {name: plain[name].values for name in NAMES}
    cache = SceneCache(str(tmp_path))
    first = process(open_l1c(safe), cache=cache)
    np.testing.assert_array_equal(first[BAND].isel(WINDOW), plain[BAND].isel(WINDOW))
    (kept,) = tmp_path.iterdir()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the scene stage ran again")

    monkeypatch.setattr("s2cloud.processor.scene.aerosol_field", never)
    monkeypatch.setattr("s2cloud.processor.classification.classify_scene", never)
    second = process(open_l1c(safe), cache=cache)
    for name, pixels in wanted.items():
        np.testing.assert_array_equal(second[name], pixels)
    kept.write_bytes(kept.read_bytes()[:-7])
    with pytest.raises(InputError, match="damaged"):
        process(open_l1c(safe), cache=cache)[BAND].isel(WINDOW).compute()


def test_another_configuration_is_another_scene(safe, tmp_path):
    cache = SceneCache(str(tmp_path))
    process(open_l1c(safe), cache=cache)[BAND].isel(WINDOW).compute()
    other = ProcessorConfig(aerosol={"smoothing_km": 9.0})
    found = process(open_l1c(safe), cache=cache, config=other)[BAND].isel(WINDOW)
    plain = process(open_l1c(safe), config=other)[BAND].isel(WINDOW)
    np.testing.assert_array_equal(found, plain)
    assert len(list(tmp_path.iterdir())) == 2

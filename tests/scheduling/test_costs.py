"""The cost model: what it was fitted from it gives back, and it says how far it is off."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.model.errors import InputError
from s2cloud.scheduling.costs import FULL_TILE_MPX, CostModel, Measured
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.projection import project, project_by_name
from s2cloud.simulation import simulate_l1c


def products(fixed, slope, sizes=(1.0, 5.0, 20.0, 120.0)):
    return [Measured(megapixels=x, cpu_s=fixed + slope * x, serial_s=1.0) for x in sizes]


@given(fixed=st.floats(0.1, 50), slope=st.floats(0.01, 5))
@settings(max_examples=25, deadline=None)
def test_a_fit_gives_back_the_law_that_made_the_products(fixed, slope):
    model = CostModel().fitted(products(fixed, slope))
    assert model.cpu_s == pytest.approx((fixed, slope), rel=1e-6, abs=1e-6)
    assert model.error(products(fixed, slope)).worst == pytest.approx(0.0, abs=1e-3)
    assert model.products == 4


def test_products_of_one_size_scale_the_law_they_do_not_bend_it():
    before = CostModel()
    model = before.fitted([Measured(megapixels=10.0, cpu_s=2 * before.cost(10.0).cpu_s)] * 3)
    assert model.cost(100.0).cpu_s == pytest.approx(2 * before.cost(100.0).cpu_s)
    assert model.memory_bytes == before.memory_bytes  # not measured


def test_nothing_negative_comes_of_a_fit():
    falling = [Measured(megapixels=x, cpu_s=y) for x, y in ((1.0, 10.0), (5.0, 4.0), (9.0, 1.0))]
    model = CostModel().fitted(falling)
    assert min(model.cpu_s) >= 0


def test_error_is_that_of_products_left_out():
    measured = products(2.0, 1.0)
    odd = Measured(megapixels=50.0, cpu_s=104.0)  # twice the law
    error = CostModel().error([*measured, odd])
    assert error.count == 5
    assert error.worst == pytest.approx(50.0, abs=5.0)
    assert math.isnan(CostModel().error([]).mean)


def test_a_model_survives_its_file(tmp_path):
    path = tmp_path / "model.json"
    model = CostModel().fitted(products(3.0, 2.0))
    path.write_text(model.to_json())
    assert CostModel.read(str(path)) == model
    path.write_text("[]")
    with pytest.raises(InputError, match="not a cost model"):
        CostModel.read(str(path))


def test_a_receipt_tells_size_and_time():
    asset = {"shape": [5490, 5490], "resolution": 20, "size": 1000}
    timings = {"compute_s": 80.0, "total_s": 82.0}
    found = Measured.from_receipt({"assets": [asset, {"size": 5}], "timings": timings})
    assert found is not None
    assert found.megapixels == pytest.approx(FULL_TILE_MPX)
    assert (found.cpu_s, found.serial_s, found.bytes_written) == (80.0, 2.0, 1005.0)
    assert Measured.from_receipt({"assets": [{"size": 5}]}) is None


def test_a_product_is_projected_from_its_metadata(tmp_path):
    source = simulate_l1c(tmp_path, size=96).uri
    found = project(Job(source, "out"))
    assert found.megapixels == pytest.approx(96 * 96 / 1e6)
    assert (found.tile, found.date, found.cost.blocks) == ("32TQM", "2025-06-15", 1)
    assert found.product.startswith("S2A_MSIL2A_20250615T101559")
    with pytest.raises(InputError):
        project(Job(str(tmp_path / "none.SAFE"), "out"))


def test_a_name_tells_a_whole_tile():
    name = "S2B_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559.SAFE"
    found = project_by_name(Job(f"s3://bucket/{name}", "out"))
    assert (found.tile, found.date) == ("32TQM", "2025-06-15")
    assert found.cost.blocks == 36
    assert found.cost.cpu_s == pytest.approx(CostModel().cost().cpu_s)

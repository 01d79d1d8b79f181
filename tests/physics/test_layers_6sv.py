"""Why 6SV's path reflectance is brighter than the tables' above thick aerosol: its layers.

860 nm, maritime, aot550 0.8, sza 70, vza 12, raa 0. What 6SV2.1 printed for targets at sea level,
3.5 and 3.75 km (`benchmarks/layers_6sv.py jump`): molecular and aerosol optical depth, path
reflectance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s2cloud.physics.aerosols import aerosol_model
from s2cloud.physics.lut_solver import Solver, aerosol_optics

HAZE = np.array([0.71075])
PRINTED = {0.01595: 0.0877, 0.01039: 0.0848, 0.01006: 0.0813}


@pytest.fixture(scope="module")
def optics():
    return aerosol_optics(aerosol_model("maritime"), np.array([860.0]))


@pytest.fixture
def layers(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    return pytest.importorskip("layers_6sv")


def path(solver):
    return float(solver.path_reflectance(70.0, [12.0], [0.0]).squeeze())


def test_layers_as_in_6sv_make_its_path_reflectance(layers, optics):
    for molecules, printed in PRINTED.items():
        air = np.array([molecules])
        exact, coarse = path(Solver(air, HAZE, optics)), path(layers.Layered(air, HAZE, optics))
        assert printed - exact > 1.8e-3
        assert coarse == pytest.approx(printed, abs=8e-4)


def test_the_jump_of_6sv_is_not_in_the_atmosphere(layers, optics):
    # A fall of 3 % in the molecular depth: 6SV loses 0.0035, fifteen times what there is to lose.
    airs = np.array([0.01039]), np.array([0.01006])
    exact = [path(Solver(air, HAZE, optics)) for air in airs]
    coarse = [path(layers.Layered(air, HAZE, optics)) for air in airs]
    assert exact[0] - exact[1] == pytest.approx(2.4e-4, abs=3e-5)
    assert coarse[0] - coarse[1] == pytest.approx(3.5e-3, abs=5e-4)


def test_many_thin_layers_come_back_to_the_tables(layers, optics):
    air = np.array([0.01595])
    found = [layers.Layered(air, HAZE, optics, number=n) for n in (30, 500)]
    assert found[0].molecules_found() / air[0] == pytest.approx(1.43, abs=0.02)
    assert found[1].molecules_found() / air[0] == pytest.approx(1.0, abs=2e-3)
    assert path(found[1]) == pytest.approx(path(Solver(air, HAZE, optics)), abs=5e-5)

"""``s2cloud lut build`` from the command line; what it builds is tested with the physics."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from s2cloud.cli.lut import AEROSOLS, lut
from s2cloud.model.bands import SENSORS
from s2cloud.physics import lut_build
from s2cloud.physics.aerosols import AEROSOL_MODELS


@pytest.fixture
def asked(monkeypatch):
    """What the generator was asked for."""
    calls = []

    def build(aerosol, directory, *, sensors, reduced, jobs, progress):
        calls.append((aerosol, directory, sensors, reduced, jobs))
        progress(3, 4)
        return Path(directory) / f"lut_{aerosol}.npz"

    monkeypatch.setattr(lut_build, "build", build)
    return calls


def test_all_tables_are_built_unless_some_are_named(asked):
    done = CliRunner().invoke(lut, ["build", "--reduced"])
    assert done.exit_code == 0, done.output
    assert asked == [(name, "lut", SENSORS, True, 1) for name in AEROSOL_MODELS]
    assert set(AEROSOLS) == set(AEROSOL_MODELS)


def test_options_reach_the_generator(asked):
    options = ["there", "--aerosol", "urban", "--sensor", "S2C", "--sensor", "S2A", "--jobs", "2"]
    done = CliRunner().invoke(lut, ["build", *options])
    assert done.exit_code == 0, done.output
    assert asked == [("urban", "there", ("S2A", "S2C"), False, 2)]
    assert "lut_urban.npz" in done.output
    assert "75 %" in done.output


def test_an_unknown_aerosol_is_refused(asked):
    done = CliRunner().invoke(lut, ["build", "--aerosol", "moondust"])
    assert done.exit_code == 2
    assert not asked

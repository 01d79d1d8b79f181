"""The words of ``s2cloud simulate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

from s2cloud.cli import main
from s2cloud.physics.gases import B09_LAWS
from s2cloud.simulation.recipes import SCENES


def test_help_names_every_scene_and_law(capsys):
    assert main(["simulate", "--help"]) == 0
    text = "".join(capsys.readouterr().out.split())
    assert f"[{'|'.join(SCENES)}]" in text
    assert f"[{'|'.join(B09_LAWS)}]" in text


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--scene", "moon", "vegetation"),
        ("--b09-law", "dry", "lowtran7"),
        ("--rt", "guess", "direct"),
        ("--aerosol", "glitter", "continental"),
        ("--sza", "95", "95"),
        ("--date", "2025-06-15T22:00:00", "sun stands too low"),
    ],
)
def test_wrong_words_are_usage_errors(option, value, named, tmp_path, capsys):
    assert main(["simulate", str(tmp_path), "--size", "96", option, value]) == 2
    assert named in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_options_reach_the_product(tmp_path, capsys):
    words = [
        "simulate", str(tmp_path), "--size", "96", "--scene", "patches", "--sensor", "S2B",
        "--date", "2020-01-15T14:37:29", "--tile", "19HDA", "--baseline", "02.09",
        "--aot", "0.3", "--tcwv", "9", "--tco3", "280", "--aerosol", "maritime", "--rt", "tables",
        "--b09-law", "lowtran7", "--sza", "50", "--elevation", "700", "--seed", "3", "--json",
    ]  # fmt: skip
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"].startswith("S2B_MSIL1C_20200115T143729_N0209_R022_T19HDA_")
    assert Path(facts["uri"]).is_dir()
    with xr.open_datatree(facts["truth_uri"], engine="zarr") as truth:
        known = dict(truth.attrs)
        aot = truth["quality/atmosphere/r60m"].to_dataset()["aot"].values
    assert known["aerosol"] == "maritime"
    assert known["radiative_transfer"] == "tables"
    assert known["b09_law"] == "lowtran7"
    assert (known["scene"], known["elevation"], known["seed"]) == ("patches", 700, 3)
    assert aot.mean() == pytest.approx(0.3, rel=0.02)

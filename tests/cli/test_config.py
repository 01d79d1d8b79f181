"""Options and where they come from: default, file, environment, command line."""

from __future__ import annotations

import json

import pytest
import yaml

from s2cloud.config import ProcessorConfig, load_config
from s2cloud.model.errors import UsageError


@pytest.fixture
def options(tmp_path, monkeypatch):
    """A file and variables that both name some options."""
    path = tmp_path / "options.yaml"
    path.write_text("aerosol: {model: urban, fallback_aot550: 0.3}\nauxiliary: {dem: a}\n")
    monkeypatch.setenv("S2CLOUD_AEROSOL__MODEL", "maritime")
    monkeypatch.setenv("S2CLOUD_CLASSIFICATION__THRESHOLDS__CLOUD_MEDIUM", "0.3")
    monkeypatch.setenv("S2CLOUD_TERRAIN__LIMIT_INCIDENCE", "null")
    # What Kubernetes and other parts of s2cloud set is no option.
    monkeypatch.setenv("S2CLOUD_SERVICE_PORT", "80")
    monkeypatch.setenv("S2CLOUD_STORE_ATTEMPTS", "2")
    return path


def test_each_value_is_told_with_its_origin(options, run):
    code, out, err = run("config", "show", "--config", options, "--dem", "b", "--json")
    assert code == 0, err
    rows = {row["option"]: (row["value"], row["origin"]) for row in json.loads(out)}
    assert rows["aerosol.model"] == ("maritime", "S2CLOUD_AEROSOL__MODEL")
    assert rows["aerosol.fallback_aot550"] == (0.3, str(options))
    assert rows["auxiliary.dem"] == ("b", "--dem")
    assert rows["terrain.limit_incidence"] == (None, "S2CLOUD_TERRAIN__LIMIT_INCIDENCE")
    assert rows["classification.thresholds.cloud_medium"][0] == 0.3
    assert rows["aerosol.method"] == ("dark_vegetation", "default")


def test_what_is_shown_is_a_file_with_the_same_meaning(options, run, tmp_path, monkeypatch):
    code, out, _ = run("config", "show", "--config", options, "--changed")
    assert code == 0
    assert "model: maritime  # S2CLOUD_AEROSOL__MODEL" in out
    assert len(out.splitlines()) == 5 + 5
    shown, before = tmp_path / "shown.yaml", load_config(str(options))
    shown.write_text(out)
    for name in ("AEROSOL__MODEL", "CLASSIFICATION__THRESHOLDS__CLOUD_MEDIUM"):
        monkeypatch.delenv(f"S2CLOUD_{name}")
    monkeypatch.delenv("S2CLOUD_TERRAIN__LIMIT_INCIDENCE")
    assert load_config(str(shown)) == before != ProcessorConfig()
    shown.write_text(run("config", "show")[1])
    assert load_config(str(shown)) == ProcessorConfig()
    assert run("config", "show", "--changed")[1] == "{}\n"


@pytest.mark.parametrize(
    "name", ["AEROSOL__MODLE", "AEROSL__MODEL", "AUXILIARY__DEM__X", "AEROSOL__SMOOTHING_KM"]
)
def test_an_impossible_variable_is_named(name, monkeypatch):
    monkeypatch.setenv(f"S2CLOUD_{name}", "-1")
    with pytest.raises(UsageError, match=f"environment .found S2CLOUD_{name.split('__X')[0]}"):
        load_config(None)


def test_a_file_without_options_is_named(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("- aerosol\n")
    with pytest.raises(UsageError, match=r"holds no options.*found list"):
        load_config(str(path))


def test_schemas_name_every_option(run):
    for words in (("config", "schema"), ("config", "schema", "--service")):
        schema = json.loads(run(*words, "--json")[1])
        assert schema == json.loads(run(*words)[1])
        for name, group in schema["$defs"].items():
            for option, facts in group.get("properties", {}).items():
                # A group is told of where it is defined.
                told = {"description", "const", "$ref"} & set(facts)
                assert told or name == "Thresholds", f"{name}.{option} has no description"
    assert yaml.safe_load(run("config", "show")[1])["aerosol"]["model"] == "auto"

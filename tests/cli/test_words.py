"""What the command line understands and how it answers, without processing anything."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import click
import pytest
import yaml

import s2cloud
from s2cloud.cli import main
from s2cloud.cli.console import progress_bar, set_up_logging
from s2cloud.cli.options import is_remote, parse_storage_options
from s2cloud.config import ProcessorConfig


@pytest.fixture(autouse=True)
def _plain_logging():
    """Leave the logging of the test process as it was."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before
    logging.captureWarnings(capture=False)


def only_line(text):
    """The one line of a message."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"s2cloud, version {s2cloud.__version__}"


def test_help_names_every_command_and_exit_code(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for word in ("process", "info", "config", "simulate", "demo", "lut", "3 input unsuitable"):
        assert word in text


def test_no_arguments_is_help_and_a_usage_error(capsys):
    assert main([]) == 2
    assert "Usage: s2cloud" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["process"],
        ["process", "a", "b", "--bbox", "1,2,3"],
        ["process", "a", "b", "--bbox", "7,48,8,47"],
        ["process", "a", "b", "--format", "jp2"],
        ["process", "a", "b", "--format", ""],
        ["process", "a", "b", "--workers", "0"],
        ["process", "a", "b", "--cluster", "moon"],
        ["process", "a", "b", "--storage-option", "endpoint_url"],
        ["process", "a", "b", "--storage-options", "{"],
        ["process", "a", "b", "--storage-options", "[]"],
        ["process", "a", "b", "--config", "no-such-file.yaml"],
        ["lut", "build", "continental"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert only_line(captured.err).startswith("error: ")
    assert "Fix: " in captured.err


def test_all_problems_of_a_configuration_in_one_line(tmp_path, capsys):
    path = tmp_path / "options.yaml"
    path.write_text("aerosol: {model: lunar}\nsurfaces: {}\n")
    assert main(["process", "a", "b", "--config", str(path)]) == 2
    line = only_line(capsys.readouterr().err)
    assert "aerosol.model" in line
    assert "surfaces" in line
    assert str(path) in line


def test_config_show_is_a_configuration_file(tmp_path, capsys):
    assert main(["config", "show"]) == 0
    text = capsys.readouterr().out
    assert ProcessorConfig.model_validate(yaml.safe_load(text)) == ProcessorConfig()
    path = tmp_path / "options.yaml"
    path.write_text("aerosol: {model: maritime}\n")
    assert main(["config", "show", "--config", str(path)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["aerosol"]["model"] == "maritime"


def test_config_schema_is_json_schema(capsys):
    assert main(["config", "schema"]) == 0
    assert "aerosol" in json.loads(capsys.readouterr().out)["properties"]


def test_help_loads_nothing_heavy():
    words = "import sys; from s2cloud.cli import main; main(['--help']); print(*sys.modules)"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", words], check=True, capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "click" in loaded
    heavy = {"numpy", "xarray", "dask", "distributed", "numba", "pydantic", "rasterio", "zarr"}
    assert not heavy & loaded


def test_bug_prints_traceback_and_asks_for_a_report(capsys, monkeypatch):
    def broken(path):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("s2cloud.config.load_config", broken)
    assert main(["config", "show"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: internal error: ZeroDivisionError: a bug. Fix:")


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (MemoryError(), 5), (BrokenPipeError(), 141)]
)
def test_exit_codes_of_what_is_no_bug(error, code, capfd, monkeypatch):
    def failing(path):
        raise error

    monkeypatch.setattr("s2cloud.config.load_config", failing)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main(["config", "show"]) == code
    assert "Traceback" not in capfd.readouterr().err


def test_storage_options_from_words_and_json():
    options = parse_storage_options(
        ["anon=true", "key=0123", "client_kwargs.region_name=eu", "endpoint_url=http://h:1/?a=b"],
        '{"client_kwargs": {"verify": false}, "anon": false}',
    )
    assert options == {
        "anon": True,
        "key": "0123",
        "client_kwargs": {"region_name": "eu", "verify": False},
        "endpoint_url": "http://h:1/?a=b",
    }
    with pytest.raises(click.BadParameter, match="inside a plain value"):
        parse_storage_options(["a=1", "a.b=2"], None)


@pytest.mark.parametrize(
    ("url", "remote"),
    [("s3://b/x", True), ("file:///x", False), ("x/y.zip", False), ("zip://a::s3://b/x", True)],
)
def test_storage_options_are_for_remote_urls(url, remote):
    assert is_remote(url) is remote


def test_progress_without_a_terminal_is_plain_lines(capsys):
    with progress_bar("processing") as on_progress:
        for done in range(1001):
            on_progress(done, 1000)
    err = capsys.readouterr().err
    assert err.splitlines()[0] == "processing: 0 % (0 of 1000 tasks)"
    assert err.splitlines()[-1] == "processing: 100 % (1000 of 1000 tasks)"
    assert len(err.splitlines()) <= 11
    assert "\x1b" not in err
    assert "\r" not in err


def test_progress_on_a_terminal_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress_bar("processing") as on_progress:
        on_progress(3, 7)
    assert "3/7" in capsys.readouterr().err


@pytest.mark.parametrize(("verbose", "steps"), [(0, False), (1, True)])
def test_verbose_tells_steps_on_stderr(verbose, steps, capsys):
    set_up_logging(verbose)
    logging.getLogger("s2cloud.test").info("a step")
    logging.getLogger("s2cloud.test").warning("a warning")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("a step" in captured.err) is steps
    assert "a warning" in captured.err

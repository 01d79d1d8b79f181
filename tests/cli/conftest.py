"""A small simulated product in every form it may come in."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from s2cloud.cli import main
from s2cloud.demo.bucket import bucket_on_this_machine
from s2cloud.simulation import simulate_l1c

SIZE = 360


@pytest.fixture(autouse=True)
def _plain_logging():
    """Leave the logging of the test process as it was."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before
    logging.captureWarnings(capture=False)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """A simulated product; not to be written to."""
    return simulate_l1c(tmp_path_factory.mktemp("l1c"), size=SIZE)


@pytest.fixture
def safe(simulated, tmp_path):
    """A SAFE folder of one's own, to be damaged."""
    return Path(shutil.copytree(simulated.uri, tmp_path / Path(simulated.uri).name))


@pytest.fixture(scope="session")
def bucket():
    """Storage options of an object store with the empty bucket ``s3://test``."""
    with bucket_on_this_machine("test") as options:
        yield options


@pytest.fixture
def run(capsys):
    """The command line: words to exit code, standard output and standard error."""

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def receipt_of(run):
    """The command line with ``--json``: words to the receipt of a successful run."""

    def call(*words):
        code, out, err = run(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return call

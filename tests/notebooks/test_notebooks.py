"""Every notebook runs from its first cell to its last."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Wall time of one notebook on a machine that does nothing else. [s]
LIMIT = 60


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the notebooks, which share the products that they simulate."""
    copy = tmp_path_factory.mktemp("notebooks") / "notebooks"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("data", ".ipynb_checkpoints"))
    return copy


def test_there_are_eight():
    assert len(NOTEBOOKS) == 8


@pytest.mark.notebook
@pytest.mark.timeout(10 * LIMIT)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
# What the kernel's own client does with the event loop of this process.
@pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")
def test_notebook_runs(path, folder, monkeypatch, record_property):
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    notebook = nbformat.read(folder / path.name, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=8 * LIMIT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    began = time.monotonic()
    client.execute()
    record_property("seconds", time.monotonic() - began)
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert pictures


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem[:2])
def test_notebook_is_committed_clean(path):
    """No outputs, counts or machine in the file; text says what the notebook answers."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert notebook.cells[0].source.startswith("# ")
    assert all(len(cell.source.splitlines()) <= 32 for cell in notebook.cells)

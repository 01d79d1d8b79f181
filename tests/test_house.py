"""The house: imports go down, physics stays light, the front door opens fast."""

from __future__ import annotations

import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import s2cloud

ROOT = Path(__file__).parents[1]


def python(code: str) -> str:
    """Standard output of a fresh interpreter, started in the repository."""
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout.strip()


def loaded_by(statement: str, *suspects: str) -> set[str]:
    """Those of the suspects that a statement loads."""
    names = python(f"import sys; {statement}; print(*sys.modules)").split()
    return {name for name in suspects if name in names}


def test_import_contracts_hold():
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed; `make test` installs it")
    done = subprocess.run(  # noqa: S603  # our own words
        [str(command), "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_of_physics_loads_without_xarray_dask_and_stores():
    modules = [
        f"s2cloud.physics.{path.stem}"
        for path in sorted((ROOT / "s2cloud" / "physics").glob("*.py"))
        if path.stem != "__init__"
    ]
    statement = "import s2cloud.physics, " + ", ".join(modules)
    heavy = ("xarray", "dask", "distributed", "fsspec", "rasterio", "zarr", "pydantic")
    assert loaded_by(statement, *heavy) == set()


def test_import_s2cloud_loads_nothing_else():
    heavy = ("numpy", "xarray", "dask", "numba", "fsspec", "click", "pydantic", "rasterio")
    assert loaded_by("import s2cloud", *heavy) == set()


def test_command_line_starts_without_the_libraries_it_may_need():
    heavy = ("numpy", "xarray", "dask", "numba", "fsspec", "pydantic", "rasterio", "rich")
    assert loaded_by("import s2cloud.cli", *heavy) == set()


@pytest.mark.parametrize("name", sorted(set(s2cloud.__all__) - {"__version__"}))
def test_every_public_name_is_there(name):
    found = getattr(s2cloud, name)
    assert inspect.ismodule(found) if name == "plot" else callable(found)


def test_public_names_are_listed_and_others_refused():
    assert set(s2cloud.__all__) <= set(dir(s2cloud))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = s2cloud.nonsense


def test_version_is_that_of_the_installed_package():
    assert s2cloud.__version__ == importlib.metadata.version("s2cloud")

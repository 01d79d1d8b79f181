"""Readers of the real crops: those of the benchmark that reports on them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

READERS = Path(__file__).parents[2] / "benchmarks" / "real_scenes.py"


@pytest.fixture(scope="session")
def scenes() -> Any:
    """Module of benchmarks/real_scenes.py."""
    spec = importlib.util.spec_from_file_location("real_scenes", READERS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["real_scenes"] = module
    spec.loader.exec_module(module)
    return module

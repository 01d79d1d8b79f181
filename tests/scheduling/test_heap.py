"""The heap of a process on large arrays."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
from s2cloud.scheduling.heap import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(2**24, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = keep_freed_memory()
faults()
print(int(kept), faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_used_again_without_asking_the_kernel():
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
    )
    kept, faults = map(int, done.stdout.split())
    if not kept:
        pytest.skip("the C library is not glibc")
    assert faults < 100, "pages of four megabytes and more would be some 4000"

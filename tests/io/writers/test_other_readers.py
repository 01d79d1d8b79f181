"""What programs that need an environment of their own read; minutes, for their installation."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

from s2cloud.io.open import open_l1c
from s2cloud.io.product import write_product
from s2cloud.io.zarr_writer import ZarrOptions, to_zarr
from s2cloud.model.bands import L2A_BANDS
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c

if TYPE_CHECKING:
    from pathlib import Path

EOPF = """
import json, sys
from eopf.store.zarr import EOZarrStore
store = EOZarrStore(sys.argv[1])
store.open()
product = store.load()
names = ["measurements/reflectance/r10m/b02", "quality/atmosphere/r10m/aot",
         "conditions/mask/l2a_classification/r20m/scl", "quality/probability/r20m/cld"]
print(json.dumps({n: [list(product[n].data.shape), float(product[n].data.mean())] for n in names}))
"""
EOPF_SAFE = """
import json, sys
from eopf.store.safe import EOSafeStore
store = EOSafeStore(sys.argv[1])
store.open()
product = store.load()
found = {}
def walk(group, path):
    for name, item in group.items():
        if hasattr(item, "items"):
            walk(item, path + name + "/")
        else:
            found[path + name] = [list(item.data.shape), float(item.data.mean())]
walk(product, "")
print(json.dumps(found))
"""
XARRAY_EOPF = """
import json, sys
import xarray as xr
path = sys.argv[1]
found = {}
for r in (10, 20, 60):
    ds = xr.open_dataset(path, engine="eopf-zarr", op_mode="analysis", resolution=r)
    found[str(r)] = [list(ds.b04.shape), float(ds.b04.mean())]
found["groups"] = len(xr.open_datatree(path, engine="eopf-zarr", op_mode="native").groups)
print(json.dumps(found))
"""


def answer(python: Path, program: str, path: Path) -> dict[str, list[object]]:
    done = subprocess.run(  # noqa: S603
        [str(python), "-W", "ignore", "-c", program, str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, list[object]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture
def stores(make_l2a, granule, tmp_path):
    """A store of each version."""
    paths = {}
    for version in (2, 3):
        paths[version] = tmp_path / str(version) / f"{granule.l2a_name}.zarr"
        options = ZarrOptions(version=version, sharding=version == 3, overviews=version == 3)
        to_zarr(make_l2a(), paths[version], options=options)
    return paths


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eopf_loads_version_2(stores, environment):
    python = environment("eopf==2.8.1")
    found = answer(python, EOPF, stores[2])
    with xr.open_datatree(stores[2], engine="zarr") as tree:
        for name, (shape, mean) in found.items():
            assert shape == list(tree[name].shape)
            if name.endswith(("/b02", "/aot")):
                truth = float(np.nanmean(np.asarray(tree[name])))
                assert mean == pytest.approx(truth, abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eopf_loads_a_safe_product(tmp_path, environment):
    """It insists on the masks of the Level-1C product, and on as many angle grids in each band."""
    python = environment("eopf==2.8.1")
    l1c = open_l1c(simulate_l1c(tmp_path / "l1c", size=600).uri)
    write_product(process(l1c), tmp_path / "l2a", formats=("safe", "zarr"), l1c=l1c)
    found = answer(python, EOPF_SAFE, next((tmp_path / "l2a").glob("*.SAFE")))
    with xr.open_datatree(next((tmp_path / "l2a").glob("*.zarr")), engine="zarr") as tree:
        for resolution, names in L2A_BANDS.items():
            for name in names:
                path = f"measurements/reflectance/r{resolution}m/{name}"
                truth = float(np.nanmean(np.asarray(tree[path])))
                assert found[path] == [list(tree[path].shape), pytest.approx(truth, abs=1e-5)]
    masks = [f"{node.path}/{name}".strip("/") for node in l1c.subtree for name in node.data_vars]
    families = ("conditions/mask/detector_footprint", "quality/mask", "conditions/mask/l1c")
    compared = [name for name in masks if name.startswith(families) and name in found]
    assert len(compared) == 27
    for name in compared:
        assert found[name] == [list(l1c[name].shape), pytest.approx(float(l1c[name].mean()))]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", [2, 3])
def test_xarray_eopf_reads_both_versions(stores, environment, version):
    python = environment("xarray-eopf==0.3.1", "pystac-client", "zarr>=3")
    found = answer(python, XARRAY_EOPF, stores[version])
    with xr.open_datatree(stores[version], engine="zarr") as tree:
        for resolution in (10, 20, 60):
            truth = tree[f"measurements/reflectance/r{resolution}m/b04"]
            shape, mean = found[str(resolution)]
            assert shape == list(truth.shape)
            assert mean == pytest.approx(float(np.nanmean(np.asarray(truth))), abs=1e-4)
        assert int(str(found["groups"])) >= len(tree.groups)

"""Whether the pixels of two checkouts are the same to the bit.

    python benchmarks/golden.py SAFE --against COMMIT
    python benchmarks/golden.py SAFE --checkout FOLDER --checkout FOLDER

Processes a product with the code of this checkout and with that of a commit, or with that of
given folders, to GeoTIFF and Zarr, and compares the pixels of every raster and every overview. No
checksum is kept with the code: a change of the science changes pixels and should; a change for
speed must not, and this command tells so.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def digests(product: Path) -> dict[str, str]:
    """SHA-256 of the pixels of all rasters of a product, overviews included."""
    import numpy as np  # noqa: PLC0415 - the command itself starts without
    import rasterio  # noqa: PLC0415
    import xarray as xr  # noqa: PLC0415

    found: dict[str, str] = {}
    for path in sorted(product.glob("*.tif")):
        with rasterio.open(path) as image:
            levels = [None, *range(len(image.overviews(1)))]
        for level in levels:
            options: dict[str, Any] = {} if level is None else {"overview_level": level}
            with rasterio.open(path, **options) as image:
                name = path.stem if level is None else f"{path.stem} overview {level}"
                found[name] = hashlib.sha256(image.read().tobytes()).hexdigest()
    for store in product.glob("*.zarr"):
        tree = xr.open_datatree(store, engine="zarr", mask_and_scale=False, chunks=None)
        for node in tree.subtree:
            for key, variable in node.data_vars.items():
                values = np.ascontiguousarray(variable.values)
                found[f"{node.path}/{key}"] = hashlib.sha256(values.tobytes()).hexdigest()
    return found


def processed(source: str, checkout: Path) -> dict[str, str]:
    """Digests of a product as a checkout makes it, in an interpreter of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "s2cloud", "process", source, folder]
        env = {**os.environ, "PYTHONPATH": str(checkout)}
        done = subprocess.run(  # noqa: S603 - our own words
            command, cwd=checkout, env=env, check=False, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{checkout}: {done.stderr[-2000:]}")
        (product,) = (path for path in Path(folder).iterdir() if path.is_dir())
        return digests(product)


def exported(commit: str, folder: Path) -> Path:
    """Files of a commit in a folder."""
    done = subprocess.run(  # noqa: S603 - our own words
        ["git", "archive", commit],  # noqa: S607 - the git of the user
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def main() -> None:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--against", metavar="COMMIT", default="HEAD")
    parser.add_argument("--checkout", action="append", type=Path, default=[])
    parser.add_argument("--save", type=Path, help="JSON file of the digests of the first checkout")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pair = asked.checkout or [ROOT]
        if len(pair) == 1:
            pair = [*pair, exported(asked.against, Path(folder))]
        one, other = (processed(str(Path(asked.source).resolve()), path) for path in pair)
    if asked.save:
        asked.save.write_text(json.dumps(one, indent=1), encoding="utf-8")
    unequal = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    print(f"{len(one)} rasters and overviews, {len(unequal)} differ")
    for name in unequal:
        print("  differs:" if name in one and name in other else "  only in one:", name)
    sys.exit(bool(unequal))


if __name__ == "__main__":
    main()

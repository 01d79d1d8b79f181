"""How red follows 2.2 um over dark vegetation, in spectra and scenes no one here made.

    python benchmarks/dark_vegetation.py DATA

DATA is a folder with `spectra/spechomo_refcube_S2A_a.npz` (GFZ, Apache-2.0),
`l1c_l2a_pairs/433D_629L_3_1` (southern Chile) and `l2a_tile_T29UNU_20221005_N0400_north` (western
Ireland): field spectra and ESA Level-2A surface reflectance. Prints quantiles of
``red - 0.5 * swir`` over pixels with a 2.2 um reflectance of 0.01 to 0.05 and a normalised
difference of B8A and B12 above 0.6: where they cross zero is the best
`s2cloud.algorithms.aerosol.QUANTILE`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Bands = dict[str, npt.NDArray[Any]]

NAMES = ("B04", "B8A", "B12")


def sources(data: Path) -> Iterator[tuple[str, Bands]]:
    """Surface reflectance of the four bands from each source."""
    cube = np.load(data / "spectra" / "spechomo_refcube_S2A_a.npz")
    values = dict(zip(cube["bands"], cube["reflectance_x10000"].reshape(11, -1) / 1e4, strict=True))
    yield "field spectra", {name: values[name] for name in NAMES}
    with rasterio.open(data / "l1c_l2a_pairs" / "433D_629L_3_1" / "S2L2A.tif") as file:
        chile = (file.read((4, 9, 12)).astype(float) - 1000) / 1e4
    yield "southern Chile", dict(zip(NAMES, chile.reshape(3, -1), strict=True))
    tile = data / "l2a_tile_T29UNU_20221005_N0400_north"

    def band(name: str) -> npt.NDArray[Any]:
        with rasterio.open(tile / f"T29UNU_20221005T115411_{name}_60m_north.tif") as file:
            return np.asarray(file.read(1))

    vegetation = band("SCL") == 4
    yield "western Ireland", {n: (band(n)[vegetation].astype(float) - 1000) / 1e4 for n in NAMES}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    print("| source | pixels | 5 % | 25 % | 35 % | 50 % | 75 % |\n|---|---|---|---|---|---|---|")
    for name, bands in sources(parser.parse_args().data):
        red, nir, swir = (bands[n] for n in NAMES)
        dense = (nir - swir) > 0.6 * (nir + swir)
        dark = dense & (swir > 0.01) & (swir < 0.05) & (red > 0) & (red < 0.1)
        quantiles = np.quantile(red[dark] - 0.5 * swir[dark], (0.05, 0.25, 0.35, 0.5, 0.75))
        told = " | ".join(f"{q:.4f}" for q in quantiles)
        print(f"| {name} | {dark.sum()} | {told} |")


if __name__ == "__main__":
    main()

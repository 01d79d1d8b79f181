"""Real surface spectra for the studies of aerosol and water vapour, as reflectance of the bands.

DATA is a folder with `spectra/spechomo_refcube_S2A_a.npz` (GFZ, Apache-2.0; image spectra of 11
bands), `spectra/ecostress_library_with_mixtures_even.npz` (ECOSTRESS library, Meerdink et al.
2019, doi:10.1016/j.rse.2019.05.015; laboratory spectra and mixtures of them), and ESA Level-2A of
southern Chile (`l1c_l2a_pairs/433D_629L_3_1`) and western Ireland
(`l2a_tile_T29UNU_20221005_N0400_north`), which carry the errors of ESA's aerosol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import rasterio
from scipy import ndimage

from s2cloud.model.bands import BANDS
from s2cloud.physics.spectral import band_weights

if TYPE_CHECKING:
    from pathlib import Path

Bands = dict[str, npt.NDArray[Any]]


def refcube(data: Path) -> Bands:
    """Image spectra; no B09 and B10."""
    cube = np.load(data / "spectra" / "spechomo_refcube_S2A_a.npz")
    values = cube["reflectance_x10000"].reshape(11, -1) / 1e4
    return possible(dict(zip((str(name).lower() for name in cube["bands"]), values, strict=True)))


def ecostress(data: Path) -> Bands:
    """Laboratory spectra and their mixtures, all bands of S2A."""
    library = np.load(data / "spectra" / "ecostress_library_with_mixtures_even.npz")
    nm = library["wavelength_nm"].astype(float)
    spectra = library["reflectance"][:, nm < 2500.0].astype(float)
    nm = nm[nm < 2500.0]
    bands = {}
    for band in BANDS:
        at, weight = band_weights("S2A", band)
        fine = np.stack([np.interp(at, nm, spectrum) for spectrum in spectra])
        bands[band] = fine @ weight / weight.sum()
    return possible(bands)


def chile(data: Path) -> Bands:
    """Level-2A of farmland and forest."""
    with rasterio.open(data / "l1c_l2a_pairs" / "433D_629L_3_1" / "S2L2A.tif") as file:
        values = (file.read().astype(float) - 1000) / 1e4
    names = [band for band in BANDS if band != "b10"]
    return possible(dict(zip(names, values.reshape(12, -1), strict=True)))


def ireland(data: Path) -> Bands:
    """Level-2A of pasture and bog, half a kilometre and more from clouds and shadows."""
    folder = data / "l2a_tile_T29UNU_20221005_N0400_north"

    def plane(name: str) -> npt.NDArray[Any]:
        with rasterio.open(folder / f"T29UNU_20221005T115411_{name}_60m_north.tif") as file:
            return np.asarray(file.read(1))

    classes = plane("SCL")
    other = ~np.isin(classes, [4, 5, 6, 11])
    clear = (classes == 4) & ~ndimage.binary_dilation(other, iterations=8)
    names = [band for band in BANDS if band not in {"b08", "b10"}]
    return possible({n: (plane(n.upper())[clear].astype(float) - 1000) / 1e4 for n in names})


SOURCES = {
    "image spectra": refcube,
    "laboratory spectra": ecostress,
    "southern Chile": chile,
    "western Ireland": ireland,
}


def possible(bands: Bands) -> Bands:
    """Spectra between 0.001 and 1 in all bands."""
    stack = np.stack(list(bands.values()))
    keep = ((stack > 0.001) & (stack < 1.0)).all(axis=0)
    return {name: values[keep] for name, values in bands.items()}


def part(bands: Bands, chosen: Any) -> Bands:
    """Some of the spectra."""
    return {name: values[chosen] for name, values in bands.items()}

"""Surface between B8A and B09: derives and tests `s2cloud.algorithms.water_vapour.RATIO`.

    python benchmarks/water_vapour.py DATA

DATA as in `surfaces`. Robust regression of the ratio B09 / B8A on B07, B11 and B12 over B8A for
the odd spectra of the ECOSTRESS library; prints median and spread of what is left for the even
ones, and without the correction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from surfaces import ecostress, part

from s2cloud.algorithms.water_vapour import DARK_LIMIT, RATIO, surface_ratio

NAMES = ("b07", "b11", "b12")


def main() -> None:
    """Print coefficients and residuals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    library = ecostress(parser.parse_args().data)
    land = part(library, (library["b8a"] > DARK_LIMIT) & (library["b04"] < 0.6))
    ratio = land["b09"] / land["b8a"]
    x = np.stack([np.ones_like(ratio), *(land[n] / land["b8a"] for n in NAMES)], axis=1)
    odd = np.arange(ratio.size) % 2 == 1
    weight = np.ones(int(odd.sum()))
    for _ in range(100):
        root = np.sqrt(weight)
        k = np.linalg.lstsq(x[odd] * root[:, None], ratio[odd] * root, rcond=None)[0]
        error = ratio[odd] - x[odd] @ k
        weight = 1.0 / (1.0 + (error / (2.0 * 1.48 * np.median(np.abs(error)))) ** 2)
    print("constant,", ", ".join(NAMES), ":", np.round(k, 3), "in the code:", RATIO)
    found = surface_ratio(*(land[n].astype(np.float32) for n in ("b07", "b8a", "b11", "b12")))
    ndvi = (land["b8a"] - land["b04"]) / (land["b8a"] + land["b04"])
    print("| even spectra | number | median | deviation | 95 % within | uncorrected |")
    print("|---|---|---|---|---|---|")
    groups = {"all": ndvi > -1, "vegetation": ndvi > 0.5, "bare": ndvi < 0.3}
    for name, group in groups.items():
        chosen = group & ~odd
        error = (found - ratio)[chosen]
        raw = 1.0 - ratio[chosen]
        print(
            f"| {name} | {chosen.sum()} | {np.median(error):+.4f} | {error.std():.4f} "
            f"| {np.quantile(np.abs(error), 0.95):.4f} | {np.median(raw):+.4f}, {raw.std():.4f} |"
        )


if __name__ == "__main__":
    main()

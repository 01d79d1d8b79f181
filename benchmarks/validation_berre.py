"""A lagoon on 14 dates: classes of every date, and the noise that the correction leaves in time."""

from __future__ import annotations

import io
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import dask
import matplotlib.pyplot as plt
import numpy as np
import real_scenes
from matplotlib.colors import ListedColormap
from PIL import Image

import s2cloud as s2
from s2cloud.config import AerosolConfig, ProcessorConfig
from s2cloud.model.bands import BANDS
from s2cloud.model.schema import SCL
from s2cloud.physics.angles import airmass
from s2cloud.physics.gases import transmittance
from s2cloud.physics.lut import load

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

GROUPS: Final = {
    "water": (SCL.WATER,),
    "class 2": (SCL.CAST_SHADOW,),
    "cloud": (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY),
    "cirrus": (SCL.THIN_CIRRUS,),
}
BANDS_OF_NOISE: Final = ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b11",
                         "b12")  # fmt: skip
#: Optical thickness of the aerosol in a trial.
CLEAN: Final = 0.05
#: Colours of the scene classes in ESA's legend.
LEGEND: Final = (
    "#000000", "#ff0000", "#2f2f2f", "#643200", "#00a000", "#ffe65a", "#0000ff", "#808080",
    "#c0c0c0", "#ffffff", "#64c8ff", "#ff96ff",
)  # fmt: skip


@dataclass(frozen=True)
class Corrected:
    """One date after the processor."""

    date: real_scenes.Date
    scl: npt.NDArray[np.uint8]
    boa: dict[str, npt.NDArray[np.float32]]
    numbers: Any

    def share(self, group: str) -> float:
        """Percentage of a group of classes."""
        return 100.0 * float(np.isin(self.scl, GROUPS[group]).mean())


def correct(
    path: Path, day: str, *, vapour: bool = True, config: ProcessorConfig | None = None
) -> Corrected:
    """Process one date."""
    date = real_scenes.berre(path, day, vapour=vapour)
    l2a = s2.process(date.l1c, config=config)
    found, scl, numbers = dask.compute(
        l2a["measurements/reflectance/r10m"].to_dataset(),
        l2a["conditions/mask/l2a_classification/r10m/scl"],
        l2a["quality/retrieval"].to_dataset(),
    )
    boa = {str(name): found[name].values for name in found.data_vars}
    return Corrected(date, scl.values, boa, numbers)


def spread(stack: npt.NDArray[Any]) -> float:
    """Robust standard deviation over the first axis, median over the pixels."""
    off = np.abs(stack - np.median(stack, axis=0))
    return float(np.median(1.4826 * np.median(off, axis=0)))


def gain(band: str) -> float:
    """Surface over TOA reflectance in a typical atmosphere of the series."""
    sza, vza, aot550, pressure, tcwv, tco3 = 43.0, 7.3, 0.2, 1020.0, 12.0, 360.0
    optics = load("S2A").evaluate(
        band, sza=sza, vza=vza, raa=49.0, aot550=aot550, pressure=pressure
    )
    gas = transmittance("S2A", band, airmass=airmass(sza, vza), tcwv=tcwv, tco3=tco3)
    through = optics.transmittance_down * optics.transmittance_up
    return float(1.0 / (through * gas.water_vapour * gas.ozone * gas.mixed))


def noise(clear: list[Corrected], clean: list[Corrected]) -> list[str]:
    """Table of the spread in time over the steadiest half of the water."""
    b8a = np.stack([one.date.toa[BANDS.index("b8a")] for one in clear])
    off = np.median(np.abs(b8a - np.median(b8a, axis=0)), axis=0)
    steady = off <= np.median(off)
    lines = [
        f"| band | TOA median | spread | surface median | spread | ratio | AOT {CLEAN} | gain |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for band in BANDS_OF_NOISE:
        toa = np.stack([one.date.toa[BANDS.index(band)][steady] for one in clear])
        boa = np.stack([one.boa[band][steady] for one in clear])
        other = np.stack([one.boa[band][steady] for one in clean])
        before, after, thin = spread(toa), spread(boa), spread(other)
        lines.append(
            f"| {band.upper()} | {np.median(toa):.4f} | {before:.4f} | {np.median(boa):.4f} "
            f"| {after:.4f} | {after / before:.2f} | {thin / before:.2f} | {gain(band):.2f} |"
        )
    return lines


def picture(dates: list[Corrected], path: Path) -> None:
    """True colour over classes of every date."""
    columns = 7
    figure, axes = plt.subplots(4, columns, figsize=(9.1, 6.4), layout="constrained")
    for k, one in enumerate(dates):
        top = axes[2 * (k // columns), k % columns]
        colour = np.stack([one.boa[band] for band in ("b04", "b03", "b02")], axis=-1)
        top.imshow(np.clip(colour / 0.15, 0.0, 1.0) ** 0.7)
        top.set_title(f"{one.date.day}\n{one.date.content}", fontsize=7)
        axes[2 * (k // columns) + 1, k % columns].imshow(
            one.scl, cmap=ListedColormap(LEGEND), vmin=-0.5, vmax=11.5, interpolation="nearest"
        )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80)
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(buffer).convert("RGB").quantize(160, kmeans=1).save(path, optimize=True)


def section(data: Path, images: Path | None) -> str:
    """Classes and noise of the series."""
    days = real_scenes.berre_days(data)
    dates = [correct(path, day) for day, path in days.items()]
    lines = [
        "## A lagoon on 14 dates",
        "",
        "1 km of the Etang de Berre, February to April 2021, all 13 bands, relative orbit 108",
        "(test data of HYPERNETS; contains modified Copernicus Sentinel data), with the published",
        "angles, pressure, ozone and water vapour. 'Content' is the publisher's or from B10.",
        "",
        "| date | content | " + " % | ".join(GROUPS) + " % | TOA B10 | surface B02 | B04 | B8A |",
        "|---|---|" + "---|" * (len(GROUPS) + 4),
    ]
    for one in dates:
        cells = [one.date.day, one.date.content, *(f"{one.share(g):.1f}" for g in GROUPS)]
        cells.append(f"{np.median(one.date.toa[BANDS.index('b10')]):.4f}")
        cells += [f"{np.median(one.boa[b]):.4f}" for b in ("b02", "b04", "b8a")]
        lines.append("| " + " | ".join(cells) + " |")
    if images is not None:
        picture(dates, images / "validation_berre.png")
        lines += [
            "",
            "![True colour and classes of each date](images/validation_berre.png)",
            "",
            "*True colour (surface reflectance 0 to 0.15) and classes: blue water, pale blue",
            "cirrus, white and grey cloud, black class 2.*",
        ]
    cirrus = next(one for one in dates if one.date.content == "thin cirrus")
    b10 = cirrus.date.toa[BANDS.index("b10")]
    limit = 2 * b10.mean() - np.percentile(b10, 1)
    clear = [one for one in dates if one.date.content == "clear" and one.share("water") > 99]
    thin = ProcessorConfig(aerosol=AerosolConfig(method="constant", fallback_aot550=CLEAN))
    clean = [correct(days[one.date.day], one.date.day, config=thin) for one in clear]
    wet = sum(int((one.date.toa[BANDS.index("b8a")] >= 0.045).sum()) for one in clear)
    day = clear[0].date.day
    alone = correct(days[day], day, vapour=False)
    return "\n".join(
        [
            *lines,
            "",
            fill(
                "Overcast, thin cirrus and clear dates are told apart, and lagoon water stays "
                f"water: {max(one.share('class 2') for one in dates):.1f} % of a date at most "
                "falls into class 2. The cirrus of 2021-03-25 covers the whole crop (B10 "
                f"{b10.min():.4f} to {b10.max():.4f}), yet {cirrus.share('cirrus'):.0f} % carry "
                "its class: the limit over water is twice the mean of B10 over the scene's water "
                f"minus its first percentile (Sen2Cor's rule; {limit:.4f} for this crop), so a "
                "sheet that covers all water raises its own limit. In a whole tile clear water "
                "keeps it low. Haze or glint of February and March stays water, too, and stays "
                "in the visible as far as B8A, B11 and B12 of the water tell nothing of it.",
                100,
            ),
            "",
            f"### Noise in time, {len(clear)} clear dates",
            "",
            fill(
                "The crop holds no shore, hence neither bright nor invariant targets: the spread "
                "(1.4826 times the median absolute deviation over the dates, median over the "
                "steadier half of the pixels) contains the changes of the water, of glint and of "
                "aerosol, which only the water itself tells here (its B8A, B11 and B12): "
                "no land, no forecast. Gain is the change of surface for a change of TOA "
                "reflectance; a ratio of spreads equal to it means that the correction explains "
                "none of the changes, a smaller one that it explains some, a larger one that it "
                f"adds some. The column 'AOT {CLEAN}' repeats the ratio with that constant: by "
                "what the ratio is below it, the aerosol seen over water explains changes.",
                100,
            ),
            "",
            *noise(clear, clean),
            "",
            "### Water vapour",
            "",
            fill(
                f"{wet} pixels of the clear dates reach B8A 0.045: water is too dark for B8A and "
                "B09 to tell the column, and none is retrieved. Without the published one, the "
                "processor falls back on the configured constant "
                f"({float(alone.numbers['tcwv_mean']):.1f} instead of {alone.date.tcwv:.1f} kg m⁻² "
                f"on {day}); a comparison with the published column is not possible on this crop.",
                100,
            ),
        ]
    )

"""Scene classification against known truth and on real spectra.

    python benchmarks/classification.py scenes cloudy mountain snow --size 900 --seeds 2 3
    python benchmarks/classification.py scenes --write docs/validation.md
    python benchmarks/classification.py real FOLDER
    python benchmarks/classification.py speed

``scenes`` simulates products, classifies them with and without growing classes, and prints user's
and producer's accuracy of every class; ``mountain`` is given its terrain. ``real`` prints rates of
false alarms on labelled real data from FOLDER: EuroSAT patch statistics and a labelled Sentinel-2
scene of ukis-csmask. ``speed`` prints megapixels per CPU second.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr
from sections import replace_section

from s2cloud.algorithms.classification import (
    Dilation,
    Frame,
    Ground,
    Options,
    Sky,
    classify_pixels,
    classify_scene,
    classify_window,
)
from s2cloud.algorithms.classification.window import State, grown
from s2cloud.config import ProcessorConfig
from s2cloud.io.open import open_l1c
from s2cloud.model.schema import CLOUD_CLASSES, SCL, SCL_PATH, reflectance_path
from s2cloud.processor import process
from s2cloud.simulation import simulate_l1c
from s2cloud.simulation.accuracy import confusion
from s2cloud.simulation.raster import block_mean
from s2cloud.simulation.truth import MASK_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("cloudy", "mixed", "snow", "mountain", "patches", "coast", "desert")
_ALARMS = (
    "False alarms without growing, in percent of the clear pixels; bright ground taken for cloud "
    "in percent of the bright ground:"
)
_MATRIX = "Where the pixels of each class went without growing, in percent of its true pixels:"
#: Fewer true pixels than this in all scenes of a kind are no measure.
ENOUGH = 500


def classified(l1c: xr.DataTree, aux: xr.DataTree | None, *, plain: bool) -> xr.DataTree:
    """Classes of a product, computed; without growing if plain."""
    none = dict.fromkeys(("cloud", "cirrus", "shadow", "snow"), 0)
    options = {"dilation": none} if plain else {}
    l2a = process(l1c, aux, config=ProcessorConfig(classification=options))
    path = f"{SCL_PATH}/r20m"
    with dask.config.set(scheduler="synchronous"):
        return xr.DataTree.from_dict({path: l2a[path].to_dataset()[["scl"]].compute()})


def grown_truth(truth: xr.DataTree) -> xr.DataTree:
    """Truth with its clouds, cirrus, shadows and snow grown as the product's are."""
    path = f"{SCL_PATH}/r20m"
    classes = truth[path].to_dataset()
    scl = np.nan_to_num(np.asarray(classes["scl"].values)).astype(np.uint8)
    confidence = np.zeros((2, *scl.shape), np.float32)
    confidence[0, np.isin(scl, CLOUD_CLASSES)] = 1.0
    state = State(scl, confidence, np.zeros((1, 1), np.bool_))
    scl = grown(state, np.zeros(scl.shape, np.uint16), None, Options(), 20.0)
    fine = reflectance_path(10)
    return xr.DataTree.from_dict(
        {
            path: classes.assign(scl=(classes["scl"].dims, scl)),
            MASK_PATH: truth[MASK_PATH].to_dataset(),
            fine: truth[fine].to_dataset()[["b04"]],
        }
    )


@contextmanager
def simulated(
    kind: str, size: int, seed: int, kept: Path | None
) -> Iterator[tuple[xr.DataTree, xr.DataTree]]:
    """Product and truth of a scene; found again in a folder for kept ones."""
    with tempfile.TemporaryDirectory() as fresh:
        folder = Path(fresh) if kept is None else kept / f"{kind}_{seed}"
        found = sorted(folder.glob("*.SAFE"))
        if found:
            uri, beside = str(found[0]), str(found[0].with_suffix(".truth.zarr"))
        else:
            product = simulate_l1c(folder, size=size, scene=kind, seed=seed)
            uri, beside = product.uri, product.truth_uri
        yield open_l1c(uri), xr.open_datatree(beside, engine="zarr", chunks={})


def scenes(kinds: list[str], size: int, seeds: list[int], kept: Path | None = None) -> str:
    """Simulate, classify, compare; Markdown tables."""
    head = ["scene", "class", "pixels", "producer's", "user's", "F1", "pixels inside", "F1 inside"]
    head += ["producer's, grown", "user's, grown", "F1, grown"]
    rows = [f"| {' | '.join(head)} |", "|---|---" + "|--:" * (len(head) - 2) + "|"]
    matrix: list[str] = []
    notes = []
    for kind in kinds:
        sums: dict[str, Any] = dict.fromkeys(("found", "inside", "grown"), 0)
        bright: list[tuple[int, float]] = []
        for seed in seeds:
            with simulated(kind, size, seed, kept) as (l1c, truth):
                aux = None
                if kind == "mountain":
                    paths = ("conditions/terrain/r20m", "conditions/terrain/r60m")
                    aux = xr.DataTree.from_dict({p: truth[p].to_dataset() for p in paths})
                plain = classified(l1c, aux, plain=True)
                table = confusion(plain, truth)
                sums["found"] += table.counts
                sums["inside"] += confusion(plain, truth, inside=True).counts
                product = classified(l1c, aux, plain=False)
                sums["grown"] += confusion(product, grown_truth(truth)).counts
                if table.bright:
                    bright.append((table.bright, table.bright_as_cloud))
        names = table.names
        if not matrix:
            matrix = [f"| scene | truth | {' | '.join(names)} |", "|---|---" + "|--:" * len(names)]
            matrix[-1] += "|"
        scores = zip(*(accuracies(sums[name]) for name in sums), strict=True)
        for k, ((true, *found), (true_inside, *_, inside), (_, *grown_)) in enumerate(scores):
            if true >= ENOUGH:
                cells = [f"{100 * v:.1f}" for v in (*found, inside, *grown_)]
                cells.insert(3, str(true_inside))
                rows.append(f"| {kind} | {names[k]} | {true} | {' | '.join(cells)} |")
                shares = (f"{100 * v / true:.1f}" for v in sums["found"][k])
                matrix.append(f"| {kind} | {names[k]} | {' | '.join(shares)} |")
        clear = sums["found"][2:6].sum()
        false = [100 * sums["found"][2:6, k].sum() / clear for k in (0, 1)]
        water = 100 * (sums["found"][[2, 4, 5], 3].sum()) / clear
        total = sum(n for n, _ in bright)
        alarms = "-" if not total else f"{100 * sum(n * share for n, share in bright) / total:.2f}"
        notes.append(f"| {kind} | {false[0]:.2f} | {false[1]:.2f} | {water:.2f} | {alarms} |")
    return "\n".join(
        [
            *rows,
            "",
            _ALARMS,
            "",
            "| scene | cloud | cloud shadow | water | bright ground as cloud |",
            "|---|--:|--:|--:|--:|",
            *notes,
            "",
            _MATRIX,
            "",
            *matrix,
        ]
    )


def accuracies(counts: np.ndarray) -> list[tuple[int, float, float, float]]:
    """True pixels, producer's and user's accuracy and F1 of each group but ``other``."""
    out = []
    for k in range(len(counts) - 1):
        right, true, seen = counts[k, k], counts[k].sum(), counts[:, k].sum()
        shares = right / max(true, 1), right / max(seen, 1), 2 * right / max(true + seen, 1)
        out.append((int(true), *(float(v) for v in shares)))
    return out


def section(kinds: list[str], size: int, seeds: list[int], kept: Path | None = None) -> str:
    """Section of the page."""
    return f"""## Scene classification of simulated scenes

`python benchmarks/classification.py scenes --write docs/validation.md` simulates scenes of
{size} x {size} pixels of 10 m (seeds {", ".join(map(str, seeds))}; the steps were made on
seeds 1, 5, 6 and 11), classifies them and compares the classes with the truth, in percent of
pixels.
Without growing of classes the columns measure detection; *grown* is the product with its
default distances, against a truth grown alike. Cloud includes thin cirrus. The truth of a 20 m
pixel is what covers most of it; water in shadow is shadow. A cloud reflects 0.12 or more, and its
shadow takes 0.3 of the beam or more, which is what such a cloud takes. Pixels that clouds change
less are left out. *Inside* leaves out the pixels on the line between two classes and
accepts water in shadow under either name, as references drawn by people do (see
`s2cloud.simulation.accuracy.confusion`). `mountain` is given its terrain.
Shadows of clouds outside the small image are found by their darkness alone.

{scenes(kinds, size, seeds, kept)}"""


def real(folder: Path) -> None:
    """False alarms on real labelled data."""
    bands = [
        "b01",
        "b02",
        "b03",
        "b04",
        "b05",
        "b06",
        "b07",
        "b08",
        "b8a",
        "b09",
        "b10",
        "b11",
        "b12",
    ]
    stats = np.load(folder / "labelled" / "eurosat_ms_patch_stats_train.npz", allow_pickle=True)
    column = {str(name).lower(): k for k, name in enumerate(stats["bands"])}
    medians = np.full((len(stats["label"]), len(bands)), 0.0013, np.float32)
    for k, name in enumerate(bands):
        if name in column:
            medians[:, k] = stats["p50"][:, column[name]] / 10_000
    scl = classify_pixels(medians)[0]
    for k, name in enumerate(stats["classes"]):
        counts = np.bincount(scl[stats["label"] == k], minlength=12)
        share = 100 * counts / max(counts.sum(), 1)
        print(f"EuroSAT {name!s:22}", " ".join(f"{c}:{v:.1f}" for c, v in enumerate(share) if v))
    toa, labels = csmask(folder)
    scl, _, _ = classify_pixels(toa)
    _shares("csmask", scl, labels)
    for pixel_size in (20.0, 60.0):
        for grow in (False, True):
            scl, _ = neighboured(toa, pixel_size, grow=grow)
            _shares(f"csmask {pixel_size:.0f} m{' grown' if grow else ''}", scl, labels)
            for name, code, classes in (("cloud", 4, CLOUD_CLASSES), ("cloud shadow", 0, (3,))):
                true, seen = labels == code, np.isin(scl, classes)
                right = (true & seen).sum()
                print(
                    f"    {name}: producer's {100 * right / true.sum():.1f}, "
                    f"user's {100 * right / seen.sum():.1f}, "
                    f"F1 {200 * right / (true.sum() + seen.sum()):.1f}"
                )


#: Labels of the scene of ukis-csmask.
_LABELS = {0: "cloud shadow", 1: "water", 3: "land", 4: "cloud"}
#: Azimuth of the sun from the labels: moved 17 rows up and 7 columns to the left, most of the
#: clouds lie on shadows. The zenith is made up.
_CSMASK_SUN = (35.0, 157.6)


def csmask(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scene of ukis-csmask, shape (510, 255, 13), bands that are not in it made up; labels."""
    scene = np.load(folder / "labelled" / "csmask_sentinel2_west.npz")
    image, labels = scene["img"][:510, :255], np.squeeze(scene["msk"])[:510, :255]
    toa = np.full((*labels.shape, 13), np.nan, np.float32)
    blue, green, red, infrared, first, second = np.moveaxis(image, -1, 0)
    given = [1.05 * blue, blue, green, red, 1.05 * red, *[infrared] * 4, 0.4 * infrared]
    given += [np.full_like(blue, 0.0013), first, second]
    return np.stack(given, axis=-1, out=toa), labels


def neighboured(toa: np.ndarray, pixel_size: float, *, grow: bool) -> tuple[np.ndarray, Any]:
    """All steps but parallax on a scene as if its pixels were that large."""
    factor = 3 if pixel_size < 60 else 1
    none = Dilation(cloud=0, cirrus=0, shadow=0, snow=0)
    options = Options(parallax=False, dilation=Dilation() if grow else none)
    planes = np.ascontiguousarray(np.moveaxis(toa, -1, 0))
    overview = np.stack([block_mean(plane, factor) for plane in planes])
    sza, saa = _CSMASK_SUN
    sky = Sky(sza=sza, saa=saa, vza=0.0, vaa=0.0)
    found, _ = classify_scene(overview, factor * pixel_size, sky, Ground(), options)
    frame = Frame(0, 0, factor, pixel_size)
    return classify_window(planes, found, frame, options)[0], found


def _shares(title: str, scl: np.ndarray, labels: np.ndarray) -> None:
    """Print where the labelled pixels went, in percent."""
    for code, name in _LABELS.items():
        counts = np.bincount(scl[labels == code], minlength=12)
        share = 100 * counts / max(counts.sum(), 1)
        print(f"{title} {name:13}", " ".join(f"{k}:{v:.1f}" for k, v in enumerate(share) if v))


def csmask_picture(folder: Path, path: Path) -> None:
    """True colour, labels and classes of the scene of ukis-csmask, side by side."""
    from matplotlib import colors, image  # noqa: PLC0415

    from s2cloud.model.palette import CLASS_COLOURS  # noqa: PLC0415

    toa, labels = csmask(folder)
    table = np.array([colors.to_rgb(CLASS_COLOURS[code]) for code in SCL])
    colour = np.clip(toa[..., 3:0:-1] / 0.35, 0, 1)
    as_class = np.select([labels == code for code in (0, 1, 3, 4)], [3, 6, 5, 9], 0)
    parts = [colour]
    for scl in (as_class, neighboured(toa, 20.0, grow=False)[0]):
        parts += [np.ones((len(labels), 6, 3)), table[scl]]
    image.imsave(path, np.concatenate(parts, axis=1).astype(np.float32)[:270])


def speed(side: int = 915) -> None:
    """Megapixels per CPU second of the block and of the scene stage."""
    rng = np.random.default_rng(1)
    from scipy import ndimage  # noqa: PLC0415

    def scene(size: int) -> np.ndarray:
        base = ndimage.gaussian_filter(rng.normal(size=(size, size)), size / 40)
        base = np.clip(0.15 + 0.1 * base / base.std(), 0.02, 0.9)
        toa = np.stack([base * (0.8 + 0.03 * k) for k in range(13)]).astype(np.float32)
        toa[10] = 0.0015
        toa += rng.normal(scale=0.004, size=toa.shape).astype(np.float32)
        return np.abs(toa) + np.float32(0.001)

    options = Options()
    sky = Sky(sza=40.0, saa=150.0, vza=5.0, vaa=100.0, shift=(0.012, 0.003))
    overview = scene(1830)
    classify_scene(overview[:, :200, :200], 60.0, sky, Ground(), options)
    begin = time.process_time()
    found, scl = classify_scene(overview, 60.0, sky, Ground(), options)
    spent = time.process_time() - begin
    print(f"scene stage {spent:.2f} CPU s, {overview[0].size / spent / 1e6:.2f} Mpx/s")
    print("classes", np.bincount(scl.ravel(), minlength=12))
    block = scene(side + 48)
    frame = Frame(2000, 2000, 3, 20.0)
    classify_window(block[:, :99, :99], found, frame, options)
    begin = time.process_time()
    for _ in range(4):
        classify_window(block, found, frame, options)
    spent = (time.process_time() - begin) / 4
    print(f"block stage {spent:.3f} CPU s per {side} px, {side**2 / spent / 1e6:.2f} Mpx/s, "
          f"{36 * spent:.1f} CPU s per tile")  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("scenes")
    one.add_argument("kinds", nargs="*", default=list(KINDS))
    one.add_argument("--size", type=int, default=900)
    one.add_argument("--seeds", type=int, nargs="+", default=[2, 3])
    one.add_argument("--keep", type=Path, help="folder in which simulated products stay")
    one.add_argument("--write", type=Path, help="page whose section is replaced")
    actions.add_parser("real").add_argument("folder", type=Path)
    actions.add_parser("speed")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    if given.action == "scenes":
        text = section(given.kinds, given.size, given.seeds, given.keep)
        print(text)
        if given.write is not None:
            replace_section(given.write, "classification", text)
    elif given.action == "real":
        real(given.folder)
    else:
        speed()


if __name__ == "__main__":
    main()

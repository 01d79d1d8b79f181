"""Speed of kernels and writers alone, in megapixels per second of one core."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import imagecodecs
import numpy as np

from s2cloud.algorithms import resampling, surface
from s2cloud.io.cog_encode import CogProfile, encode_cog
from s2cloud.io.layers import quantise, summarise
from s2cloud.io.true_colour import true_colour
from s2cloud.model.bands import BANDS
from s2cloud.model.grid import Grid
from s2cloud.model.schema import ENCODINGS
from s2cloud.physics import lut

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["table_of_parts"]

SIDE = 1830


def speed(action: Callable[[], Any], pixels: float, seconds: float = 0.5) -> float:
    """Megapixels per processor second, after a first call that compiles."""
    action()
    start, calls = time.thread_time(), 0
    while time.thread_time() - start < seconds:
        action()
        calls += 1
    return calls * pixels / (time.thread_time() - start) / 1e6


def table_of_parts() -> list[str]:
    """Rows of a Markdown table; pixels of noise, so that codecs find as little as in images."""
    rng = np.random.default_rng(1)
    smooth = np.add.outer(np.arange(SIDE), np.arange(SIDE)) / 4
    counts = (smooth + rng.normal(1500, 12, (SIDE, SIDE))).astype(np.uint16)
    pixels = counts.size
    planes = rng.uniform(0.9, 1.1, (2, 3, 366, 366)).astype(np.float32)
    planes[:, 2] = 0
    detectors = np.broadcast_to(np.arange(305, dtype=np.uint8) // 60, (305, 305)).copy()
    toa = resampling.mean_reflectance(counts, 1, 1e-4, -0.1)
    encoding = ENCODINGS["reflectance"]
    table = lut.load("S2A")
    angles = np.linspace(20, 40, 90_000)
    cases: list[tuple[str, float]] = [
        ("counts to reflectance, 10 m", speed(
            lambda: resampling.mean_reflectance(counts, 1, 1e-4, -0.1), pixels)),
        ("counts to reflectance, 10 m to 20 m", speed(
            lambda: resampling.mean_reflectance(counts, 2, 1e-4, -0.1), pixels)),
        ("correction, one direction", speed(
            lambda: resampling.linear_by_cells(toa, planes[0, 0], planes[0, 1], 30.0, (0, 0)),
            pixels)),
        ("correction, directions of detectors", speed(
            lambda: surface.correct_by_detector(toa, planes, detectors, 6, 30.0, (0, 0)), pixels)),
        ("reflectance to stored integers", speed(lambda: quantise(toa, encoding), pixels)),
        ("summary of stored integers", speed(lambda: summarise(counts, 0), pixels)),
        ("true colour, one band", speed(lambda: true_colour(counts), pixels)),
        ("median of 3 x 3 pixels", speed(lambda: resampling.median3(toa), pixels)),
        ("look-up table, points", speed(
            lambda: table.evaluate(
                BANDS[1], sza=angles, vza=5.0, raa=90.0, aot550=0.2, pressure=1013.0),
            angles.size)),
    ]  # fmt: skip
    grid = Grid("EPSG:32632", 6e5, 5e6, 10.0, 2 * SIDE, 2 * SIDE)
    blocks = [[counts, counts], [counts, counts]]
    profile = CogProfile(dtype="uint16", nodata=0, bands=("B04",))
    colours = CogProfile(dtype="uint8", nodata=0, bands=("r", "g", "b"), rgb=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        cases += [
            ("GeoTIFF of a band with overviews", speed(
                lambda: encode_cog(path, grid, profile, [blocks]), 4 * pixels)),
            ("GeoTIFF in true colour with overviews", speed(
                lambda: encode_cog(path, grid, colours, [blocks] * 3, true_colour), 4 * pixels)),
        ]  # fmt: skip
    stored = np.ascontiguousarray(counts[:610, :610])
    cases += [
        ("Zarr chunk: Blosc, bit shuffle, ZSTD 1", speed(
            lambda: imagecodecs.blosc_encode(
                cast("Any", stored), level=1, compressor="zstd", shuffle="bitshuffle",
                typesize=2, numthreads=1),
            stored.size)),
        ("JPEG 2000, decoding", _decoding(rng)),
    ]  # fmt: skip
    lines = ["| part | million pixels per second and core |", "|---|---|"]
    return [*lines, *(f"| {words} | {value:.0f} |" for words, value in cases)]


def _decoding(rng: np.random.Generator) -> float:
    """OpenJPEG on a tile of noise upon a slope, about 7 bits for a pixel."""
    base = np.add.outer(np.arange(1024), np.arange(1024)) / 4
    tile = (base + rng.normal(1500, 30, (1024, 1024))).astype(np.uint16)
    data = imagecodecs.jpeg2k_encode(tile, level=0, reversible=True, numthreads=1)
    return speed(lambda: imagecodecs.jpeg2k_decode(data, numthreads=1), tile.size)

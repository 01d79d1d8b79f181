"""Pictures show the values of the tree, with units, at the resolution of a picture."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import s2cloud
from s2cloud import plot
from s2cloud.io.open import open_l1c
from s2cloud.model.errors import InputError, UsageError
from s2cloud.model.palette import CLASS_COLOURS
from s2cloud.model.preview import preview
from s2cloud.model.schema import SCL
from s2cloud.plot.rasters import WHITE, rasters
from s2cloud.processor import process

MAPS = ("true_colour", "false_colour", "classes", "aot", "water_vapour", "cloud_probability")


def image(ax: Any) -> Any:
    return np.asarray(ax.images[0].get_array())


@pytest.mark.parametrize("name", MAPS)
def test_maps_draw_on_the_axes_given_and_label_them(l2a, name):
    ax = Figure().subplots()
    assert getattr(plot, name)(l2a, ax=ax) is ax
    assert ax.get_xlabel() == "easting [km]"
    assert ax.get_ylabel() == "northing [km]"
    assert ax.get_title()
    west, east = ax.get_xlim()
    assert east - west == pytest.approx(2.4)


@pytest.mark.parametrize("name", [*MAPS, "flags", "quality"])
def test_a_whole_lazy_tile_is_drawn_from_its_coarsest_grid(whole_tile, name):
    getattr(plot, name)(whole_tile)


def test_more_pixels_take_a_finer_grid(whole_tile):
    with pytest.raises(AssertionError, match="a fine block was computed"):
        plot.true_colour(whole_tile, pixels=2000)


def test_colours_are_those_of_the_reflectance(l1c, l2a):
    ax = plot.true_colour(l2a, gamma=1.0)
    red = l2a["measurements/reflectance/r10m/b04"].values
    np.testing.assert_allclose(image(ax)[..., 0], np.clip(red / WHITE, 0, 1), atol=1e-6)
    assert "surface" in ax.get_title()
    ax = plot.true_colour(l1c, gamma=1.0)
    counts = l1c["measurements/reflectance/r10m/b04"]
    toa = counts.values * counts.attrs["scale_factor"] + counts.attrs["add_offset"]
    np.testing.assert_allclose(image(ax)[..., 0], np.clip(toa / WHITE, 0, 1), atol=1e-6)
    assert "top of atmosphere" in ax.get_title()


def test_no_data_is_transparent(l2a):
    tree = l2a.copy(deep=True)
    tree["measurements/reflectance/r10m/b04"][:5] = np.nan
    opacity = image(plot.true_colour(tree))[..., 3]
    assert (opacity[:5] == 0).all()
    assert (opacity[5:] == 1).all()


def test_the_near_infrared_of_a_grid_without_b08_is_b8a(l2a, whole_tile):
    assert plot.false_colour(l2a).get_title().startswith("B08, B04, B03")
    assert plot.false_colour(whole_tile).get_title().startswith("B8A, B04, B03")


def test_classes_have_their_colours_and_shares(l2a):
    ax: Any = plot.classes(l2a)
    scl = l2a["conditions/mask/l2a_classification/r20m/scl"].values
    np.testing.assert_array_equal(image(ax), scl)
    colours = ax.images[0].to_rgba(np.arange(12.0))
    for code in SCL:
        np.testing.assert_allclose(colours[code], to_rgba(CLASS_COLOURS[code]), atol=0.01)
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    share = 100 * (scl == SCL.VEGETATION).mean()
    assert f"4 vegetation {share:.0f} %" in words
    assert plot.classes(l2a, legend=None).get_legend() is None


def test_classes_are_thinned_and_fields_averaged():
    n = 8
    y, x = -10.0 * np.arange(n), 10.0 * np.arange(n)
    values = np.tile([4, 6], (n, n // 2))
    tree = xr.DataTree.from_dict(
        {
            f"conditions/mask/l2a_classification/r{20}m": xr.Dataset(
                {"scl": (("y", "x"), values.astype(np.uint8))}, {"y": y, "x": x}
            ),
            "quality/atmosphere/r20m": xr.Dataset(
                {"aot": (("y", "x"), values / 10.0)}, {"y": y, "x": x}
            ),
        }
    )
    assert set(np.unique(rasters(tree, ["scl"], pixels=4)["scl"])) == {6}
    np.testing.assert_allclose(rasters(tree, ["aot"], pixels=4)["aot"], 0.5)


def test_units_stand_at_the_colour_bars(l2a):
    for name, unit in (("aot", "[1]"), ("water_vapour", "kg m"), ("cloud_probability", "[%]")):
        ax = getattr(plot, name)(l2a)
        assert unit in ax.images[0].colorbar.ax.get_ylabel(), name
    assert plot.aot(l2a, limits=(0.0, 0.5)).images[0].get_clim() == (0.0, 0.5)


def test_uncertainty_needs_one(l2a, whole_tile):
    assert plot.uncertainty(l2a, "B08").get_title() == "Uncertainty of B08"
    with pytest.raises(InputError, match="uncertainty: enabled"):
        plot.uncertainty(whole_tile, "b08")


def test_spectrum_at_a_point(l1c, l2a):
    node = l2a["measurements/reflectance/r10m"]
    x, y = float(node["x"][31]), float(node["y"][57])
    ax: Any = plot.spectra(l1c, l2a, x, y)
    before, after = (line.lines[0].get_ydata() for line in ax.containers)
    assert after[3] == pytest.approx(float(node["b04"][57, 31]))
    coarse = l2a["measurements/reflectance/r20m"]
    assert after[-1] == pytest.approx(float(coarse["b12"][28, 15]))
    counts = l1c["measurements/reflectance/r10m/b04"]
    toa = float(counts[57, 31]) * counts.attrs["scale_factor"] + counts.attrs["add_offset"]
    assert before[3] == pytest.approx(toa, abs=1e-6)
    assert ax.get_xlabel() == "wavelength [nm]"
    assert ax.containers[1].has_yerr  # one sigma, which the top of the atmosphere has not
    assert not ax.containers[0].has_yerr
    with pytest.raises(UsageError, match="outside the image"):
        plot.spectra(l1c, l2a, x + 1e5, y)


def test_spectra_of_classes_are_medians(l1c, l2a):
    ax: Any = plot.class_spectra(l1c, l2a)
    scl = l2a["conditions/mask/l2a_classification/r60m/scl"].values
    b12 = l2a["measurements/reflectance/r60m/b12"].values
    expected = np.median(b12[scl == SCL.VEGETATION])
    drawn = [line.get_ydata()[-1] for line in ax.lines if len(line.get_ydata()) == 10]
    assert any(value == pytest.approx(expected) for value in drawn)


def test_quality_has_six_panels_and_flags_their_shares(l2a):
    axes = plot.quality(l2a)
    assert axes.shape == (2, 3)
    flags = l2a["quality/mask/flags/r20m/flags"].values
    valid = flags[flags & 1 > 0]
    widths = [bar.get_width() for bar in axes[1, 2].patches]
    shares = [100 * float(((valid & (1 << bit)) > 0).mean()) for bit in range(1, 11)]
    np.testing.assert_allclose(widths, shares)


def test_quality_computes_once(l1c):
    keys: list[Any] = []
    with Callback(pretask=lambda key, *_: keys.append(key)):
        plot.quality(process(l1c))
    scenes = [key for key in keys if "retrieve" in str(key)]
    assert len(scenes) == 1


def test_preview_is_the_tile_at_60_m(l1c, l2a):
    seen = process(preview(l1c))
    assert [n.path for n in seen.subtree if "b04" in n.data_vars] == [
        "/measurements/reflectance/r60m"
    ]
    after, full = (tree["measurements/reflectance/r60m"]["b04"].to_numpy() for tree in (seen, l2a))
    assert after.shape == full.shape
    assert np.nanmedian(np.abs(after - full)) < 0.003
    assert plot.true_colour(seen).get_title() == "B04, B03, B02, surface"


def test_preview_of_a_part_shows_the_tile(l1c):
    west, north = (float(l1c["measurements/overview/r60m"][a][0]) for a in ("x", "y"))
    box = (west + 600, north - 1200, west + 1200, north - 600)
    part = open_l1c(s2cloud.granule(l1c).uri, bbox=box, bbox_crs="EPSG:32632")
    assert dict(preview(part)["measurements/reflectance/r60m"].sizes) == {"y": 40, "x": 40}
    assert image(plot.true_colour(part)).shape[:2] == (66, 66)


def test_matplotlib_is_loaded_on_first_use_only():
    code = "import sys, s2cloud.plot, s2cloud.accessor; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "False"

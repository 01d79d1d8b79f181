"""The steps beyond the pixel: each by a small scene that comes out otherwise without it."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from s2cloud.algorithms.classification import (
    Dilation,
    Frame,
    Ground,
    Options,
    Sky,
    classify_scene,
    classify_window,
    overview_shadows,
    reach_of,
)
from s2cloud.model.schema import SCL

#                    b01   b02   b03   b04   b05   b06   b07   b08   b8a   b09   b10    b11   b12
VEGETATION = (0.13, 0.08, 0.075, 0.05, 0.10, 0.22, 0.26, 0.28, 0.30, 0.10, 0.0010, 0.15, 0.07)
SOIL = (0.14, 0.12, 0.12, 0.14, 0.17, 0.19, 0.21, 0.22, 0.24, 0.08, 0.0010, 0.30, 0.24)
LAKE = (0.12, 0.09, 0.06, 0.04, 0.03, 0.025, 0.022, 0.02, 0.018, 0.008, 0.0008, 0.006, 0.004)
CLOUD = (0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.50, 0.40, 0.0015, 0.40, 0.20)
SNOW = (0.70, 0.70, 0.70, 0.70, 0.70, 0.70, 0.70, 0.70, 0.65, 0.30, 0.0020, 0.08, 0.06)
ROOF = (0.28, 0.36, 0.36, 0.37, 0.38, 0.39, 0.40, 0.40, 0.42, 0.15, 0.0015, 0.40, 0.38)
DARK = (0.12, 0.09, 0.06, 0.055, 0.05, 0.05, 0.05, 0.05, 0.055, 0.02, 0.0010, 0.05, 0.04)
SKY = Sky(sza=40.0, saa=180.0, vza=0.0, vaa=0.0)
PLAIN = Options(parallax=False, dilation=Dilation(cloud=0, cirrus=0, shadow=0, snow=0))
SIZE = 20.0


def land(height=90, width=90, spectrum=VEGETATION, seed=1):
    """A window of one surface with a little texture, at 20 m."""
    rng = np.random.default_rng(seed)
    toa = np.empty((13, height, width), np.float32)
    toa[:] = np.array(spectrum, np.float32)[:, None, None]
    return toa * (1 + 0.02 * rng.standard_normal(toa.shape, dtype=np.float32))


def put(toa, spectrum, rows, columns):
    toa[:, rows, columns] = np.array(spectrum, np.float32)[:, None, None]


def overview(toa):
    bands, height, width = toa.shape
    return toa.reshape(bands, height // 3, 3, width // 3, 3).mean(axis=(2, 4))


def coarse(plane):
    return None if plane is None else plane[1::3, 1::3]


def classified(toa, options=PLAIN, ground=None, sky=SKY, **kw):
    """Classes of the 20 m window and the scene stage they rest on."""
    ground = ground or Ground()
    small = replace(
        ground,
        **{
            name: coarse(getattr(ground, name))
            for name in (
                "elevation", "slope", "cos_incidence", "cast", "land_cover", "water_bodies",
                "snow_condition",
            )
        },
    )  # fmt: skip
    scene, _ = classify_scene(overview(toa), 60.0, sky, small, options)
    frame = Frame(0, 0, 3, SIZE)
    return classify_window(toa, scene, frame, options, ground=ground, **kw), scene


def share(values, codes):
    return float(np.isin(values, codes).mean())


def test_classes_of_plain_surfaces():
    toa = land()
    put(toa, LAKE, slice(10, 30), slice(10, 30))
    put(toa, CLOUD, slice(50, 70), slice(50, 70))
    (scl, cloud, snow), _ = classified(toa)
    assert share(scl[10:30, 10:30], SCL.WATER) == 1
    assert share(scl[50:70, 50:70], SCL.CLOUD_HIGH_PROBABILITY) == 1
    assert (cloud[50:70, 50:70] == 100).all()
    assert scl[5, 5] == SCL.VEGETATION
    assert not snow.any()


# --- cloud shadow ---------------------------------------------------------------------------


def shadow_scene():
    """A cloud in the south, ground as dark as in shadow north of it and far in the west."""
    toa = land(180, 180)
    put(toa, CLOUD, slice(120, 141), slice(100, 121))
    shade = np.array(VEGETATION) * 0.30
    for columns in (slice(100, 121), slice(10, 31)):
        put(toa, shade, slice(50, 71), columns)
    return toa


@pytest.fixture
def nothing_beyond(monkeypatch):
    """No clouds beyond the edge of the image."""
    monkeypatch.setattr(overview_shadows, "_BEYOND", 0.0)


@pytest.mark.usefixtures("nothing_beyond")
def test_shadow_lies_where_the_sun_casts_it_and_nowhere_else():
    (scl, _, _), scene = classified(shadow_scene())
    assert share(scl[50:71, 102:119], SCL.CLOUD_SHADOW) > 0.9
    assert not (scl[:, :60] == SCL.CLOUD_SHADOW).any()
    assert scene.geometric[:, :20].max() == 0


@pytest.mark.usefixtures("nothing_beyond")
def test_the_sun_from_the_other_side_casts_no_shadow_there():
    (scl, _, _), _ = classified(shadow_scene(), sky=replace(SKY, saa=0.0))
    assert not (scl[50:71] == SCL.CLOUD_SHADOW).any()


def test_clouds_beyond_the_edge_cast_shadows_into_a_cloudy_scene_only():
    sky = replace(SKY, saa=0.0)
    (scl, _, _), scene = classified(shadow_scene(), sky=sky)
    assert share(scl[52:69, 12:29], SCL.CLOUD_SHADOW) > 0.9
    assert scene.geometric[58:, :20].max() < 13 < scene.geometric[:20, :20].min()
    clear = shadow_scene()
    put(clear, VEGETATION, slice(120, 141), slice(100, 121))
    (scl, _, _), _ = classified(clear, sky=sky)
    assert not (scl == SCL.CLOUD_SHADOW).any()


def test_dim_ground_far_from_deep_shadow_is_no_shadow():
    toa = shadow_scene()
    put(toa, np.array(VEGETATION) * 0.60, slice(50, 71), slice(100, 121))
    (scl, _, _), _ = classified(toa)
    assert not (scl[50:71, 100:121] == SCL.CLOUD_SHADOW).any()


def test_the_edge_of_a_shadow_is_shadow_by_the_land_beside_it():
    toa = shadow_scene()
    put(toa, np.array(VEGETATION) * 0.70, slice(48, 73), slice(98, 123))
    put(toa, np.array(VEGETATION) * 0.30, slice(50, 71), slice(100, 121))
    (scl, _, _), _ = classified(toa)
    assert share(scl[52:69, 98:100], SCL.CLOUD_SHADOW) > 0.9
    assert not (scl[52:69, 94:97] == SCL.CLOUD_SHADOW).any()


def test_specks_of_water_in_a_shadow_are_shadow():
    toa = shadow_scene()
    deep = np.array(VEGETATION) * 0.30
    deep[8] = 0.03  # B8A below B04, as in water
    for row in range(52, 69, 4):
        put(toa, deep, slice(row, row + 1), slice(102, 119))
    (scl, _, _), _ = classified(toa)
    assert share(scl[52:69, 102:119], SCL.CLOUD_SHADOW) > 0.95


def vapour_scene():
    """High clouds over land, and bright ground as low as the land."""
    toa = land(180, 180)
    high = np.array(CLOUD)
    high[10] = 0.010
    put(toa, high, slice(110, 170), slice(100, 170))
    return toa


def test_bright_ground_beside_clouds_shows_no_more_b10_than_the_ground():
    toa = vapour_scene()
    put(toa, CLOUD, slice(98, 104), slice(110, 116))
    (scl, _, _), scene = classified(toa)
    assert 0.002 < scene.facts.cloud_b10 < 0.02
    assert share(scl[98:104, 110:116], SCL.NOT_VEGETATED) == 1
    assert share(scl[113:167, 103:167], SCL.CLOUD_HIGH_PROBABILITY) == 1


def test_wide_low_cloud_stays_cloud_beside_high_clouds():
    toa = vapour_scene()
    put(toa, CLOUD, slice(20, 70), slice(30, 90))
    (scl, _, _), _ = classified(toa)
    assert share(scl[24:66, 34:86], (SCL.CLOUD_HIGH_PROBABILITY,)) == 1


def test_cirrus_over_all_water_does_not_hide_itself():
    toa = land(90, 90, LAKE)
    toa[10] = 0.006
    (scl, _, _), scene = classified(toa)
    assert scene.facts.cirrus_water <= 0.004
    assert share(scl, SCL.THIN_CIRRUS) > 0.95


def test_dark_ground_that_is_bright_in_the_infrared_is_bare():
    basalt = np.array(DARK)
    basalt[11] = 0.075
    (scl, _, _), _ = classified(land(60, 60, basalt))
    assert share(scl, SCL.NOT_VEGETATED) == 1


def test_water_in_the_reach_of_a_cloud_stays_water():
    toa = land(180, 180)
    put(toa, CLOUD, slice(120, 141), slice(100, 121))
    put(toa, LAKE, slice(50, 71), slice(100, 121))
    put(toa, LAKE, slice(10, 40), slice(10, 40))
    (scl, _, _), scene = classified(toa)
    assert scene.geometric[18:23, 34:40].min() > 128
    assert share(scl[50:71, 100:121], SCL.WATER) == 1


def test_what_is_darker_than_sunlit_water_is_shadow():
    toa = land(180, 180)
    put(toa, CLOUD, slice(120, 141), slice(100, 121))
    put(toa, LAKE, slice(10, 40), slice(10, 40))
    deep = np.array(LAKE)
    deep[11:] *= 0.5
    put(toa, deep, slice(50, 71), slice(100, 121))
    (scl, _, _), _ = classified(toa)
    assert share(scl[50:71, 102:119], SCL.CLOUD_SHADOW) > 0.9
    assert share(scl[10:40, 10:40], SCL.WATER) == 1


# --- bright ground --------------------------------------------------------------------------


def test_a_small_bright_roof_is_ground():
    toa = land()
    toa[:, 40:44, 40:44] = np.array(ROOF, np.float32)[:, None, None]
    (scl, cloud, _), _ = classified(toa)
    assert share(scl[40:44, 40:44], SCL.NOT_VEGETATED) == 1
    assert not cloud[40:44, 40:44].any()
    unmended = np.array(ROOF, np.float32)
    unmended[0] = 0.35  # too blue for ground
    unmended[8] = 0.44  # and no line of built-up land
    toa[:, 40:44, 40:44] = unmended[:, None, None]
    (scl, _, _), _ = classified(toa)
    assert share(scl[40:44, 40:44], (8, 9)) == 1


def test_a_large_cloud_is_not_taken_for_a_roof():
    toa = land(120, 120)
    put(toa, ROOF, slice(30, 80), slice(30, 80))
    (scl, _, _), scene = classified(toa)
    assert (scene.flags[15:22, 15:22] & 2).all()
    assert share(scl[35:75, 35:75], (8, 9)) > 0.9


def test_built_up_land_is_not_cloud_unless_beside_cloud():
    toa = land(120, 120)
    put(toa, CLOUD, slice(30, 60), slice(30, 60))
    cover = np.full((120, 120), 10, np.uint8)
    cover[24:66, 24:66] = 190
    ground = Ground(land_cover=cover)
    (scl, _, _), _ = classified(toa, ground=ground)
    # Class 9 is left alone, class 8 is ground.
    assert share(scl[30:60, 30:60], SCL.CLOUD_HIGH_PROBABILITY) == 1
    hazy = np.array((0.24, 0.20, 0.20, 0.18, 0.19, 0.20, 0.20, 0.21, 0.22, 0.12, 0.001, 0.17, 0.13))
    put(toa, hazy, slice(30, 60), slice(30, 60))
    assert share(classified(toa)[0][0][30:60, 30:60], (7, 8)) > 0.9
    (scl, _, _), _ = classified(toa, ground=ground)
    assert share(scl[30:60, 30:60], SCL.NOT_VEGETATED) == 1
    put(toa, CLOUD, slice(20, 70), slice(60, 70))
    put(toa, CLOUD, slice(20, 30), slice(20, 70))
    (scl, _, _), _ = classified(toa, ground=ground)
    assert share(scl[32:58, 32:58], SCL.CLOUD_MEDIUM_PROBABILITY) > 0.9


# --- parallax -------------------------------------------------------------------------------


def textured(shift):
    """Bright clumps that B8A sees displaced by so many 20 m pixels to the south."""
    rng = np.random.default_rng(7)
    toa = land(360, 360)
    field = ndimage.gaussian_filter(rng.standard_normal((360, 360)), 9, mode="wrap")
    field /= field.std()
    for band in range(13):
        moved = ndimage.shift(field, (shift if band == 8 else 0, 0), order=3, mode="grid-wrap")
        weight = np.clip(moved - 1.0, 0, 1).astype(np.float32)
        toa[band] = toa[band] * (1 - weight) + np.float32(CLOUD[band]) * weight
    return toa, np.clip(field - 1.0, 0, 1) > 0.8


@pytest.mark.parametrize(("height", "kept"), [(0.0, False), (2500.0, True)])
def test_what_does_not_move_is_ground(height, kept):
    shift = 0.016
    toa, bright = textured(height * shift / SIZE)
    sky = replace(SKY, shift=(shift, 0.0))
    (scl, _, _), scene = classified(toa, replace(PLAIN, parallax=True), sky=sky)
    assert scene.parallax == "used"
    found = share(scl[bright], (8, 9))
    assert found > 0.9 if kept else found < 0.05
    if kept:
        assert abs(scene.cloud_height[0] - height) < 300
    assert share(classified(toa, sky=sky)[0][0][bright], (8, 9)) > 0.95


def test_parallax_that_high_clouds_do_not_show_is_not_believed():
    toa, bright = textured(0.0)
    toa[10][bright] = 0.03
    sky = replace(SKY, shift=(0.016, 0.0))
    (scl, _, _), scene = classified(toa, replace(PLAIN, parallax=True), sky=sky)
    assert "registered" in scene.parallax
    assert share(scl[bright], (8, 9)) > 0.95


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("height", "kept"), [(0.0, False), (2500.0, True)])
def test_without_views_of_bands_the_design_tells_what_moves_to_either_side(height, kept, side):
    shift = 0.016
    toa, bright = textured(side * height * shift / SIZE)
    sky = replace(SKY, shift=(shift, 0.0), shift_assumed=True)
    (scl, _, _), scene = classified(toa, replace(PLAIN, parallax=True), sky=sky)
    assert "design" in scene.parallax
    found = share(scl[bright], (8, 9))
    assert found > 0.9 if kept else found < 0.05


def test_without_views_of_bands_thick_cloud_needs_no_parallax():
    toa = land(360, 360)
    put(toa, CLOUD, slice(100, 220), slice(100, 220))
    rng = np.random.default_rng(3)
    toa *= 1 + 0.05 * rng.standard_normal((1, 360, 360), dtype=np.float32)
    known = replace(SKY, shift=(0.016, 0.0))
    options = replace(PLAIN, parallax=True)
    inside = np.s_[110:210, 110:210]
    assert share(classified(toa, options, sky=known)[0][0][inside], (8, 9)) < 0.05
    assumed = replace(known, shift_assumed=True)
    assert share(classified(toa, options, sky=assumed)[0][0][inside], (8, 9)) > 0.95


# --- terrain, maps, snow, cirrus ------------------------------------------------------------


def terrain(shape, *, slope=0.0, facing=None, cast=None):
    level = np.float32(np.cos(np.radians(SKY.sza)))
    return {
        "elevation": np.full(shape, 500.0, np.float32),
        "slope": np.full(shape, slope, np.float32),
        "cos_incidence": np.full(shape, level if facing is None else facing, np.float32),
        "cast": np.zeros(shape, bool) if cast is None else cast,
    }


def test_dark_ground_is_terrain_shadow_only_where_terrain_shades():
    toa = land()
    put(toa, DARK, slice(20, 40), slice(20, 40))
    put(toa, DARK, slice(60, 80), slice(60, 80))
    assert share(classified(toa)[0][0][20:40, 20:40], SCL.CAST_SHADOW) == 1
    cast = np.zeros((90, 90), bool)
    cast[12:48, 12:48] = True
    (scl, _, _), _ = classified(toa, ground=Ground(**terrain((90, 90), facing=0.9, cast=cast)))
    assert share(scl[21:39, 21:39], SCL.CAST_SHADOW) == 1
    assert share(scl[62:78, 62:78], SCL.UNCLASSIFIED) == 1


def test_no_water_on_slopes():
    toa = land(spectrum=LAKE)
    assert share(classified(toa)[0][0], SCL.WATER) == 1
    steep = Ground(**terrain((90, 90), slope=20.0))
    assert not (classified(toa, ground=steep)[0][0] == SCL.WATER).any()


def test_maps_of_water_turn_dark_ground_into_water():
    toa = land()
    put(toa, DARK, slice(20, 40), slice(20, 40))
    water = np.ones((90, 90), np.uint8)
    water[15:45, 15:45] = 2
    (scl, _, _), scene = classified(toa, ground=Ground(water_bodies=water))
    assert share(scl[20:40, 20:40], SCL.WATER) == 1
    assert share(scl[15:20, 15:45], SCL.VEGETATION) == 1
    assert scene.maps == ("water_bodies",)


def test_snow_where_it_never_snows_is_cloud():
    toa = land()
    put(toa, SNOW, slice(20, 40), slice(20, 40))
    assert share(classified(toa)[0][0][20:40, 20:40], SCL.SNOW_ICE) == 1
    for value, code in ((0, SCL.CLOUD_MEDIUM_PROBABILITY), (255, SCL.SNOW_ICE), (60, SCL.SNOW_ICE)):
        condition = np.full((90, 90), value, np.uint8)
        (scl, cloud, snow), _ = classified(toa, ground=Ground(snow_condition=condition))
        assert share(scl[20:40, 20:40], code) == 1
        if value == 0:
            assert (cloud[20:40, 20:40] == 50).all()
            assert not snow.any()


def test_cloud_between_snow_and_soil_is_bare():
    toa = land(spectrum=SOIL)
    put(toa, SNOW, slice(20, 60), slice(20, 60))
    mixed = 0.55 * np.array(SNOW) + 0.45 * np.array(SOIL)
    mixed[11:] = 0.30
    mixed[0] = 0.5
    put(toa, mixed, slice(20, 60), slice(60, 62))
    assert share(classified(toa)[0][0][25:55, 60:62], SCL.NOT_VEGETATED) == 1
    alone = land()
    put(alone, mixed, slice(20, 60), slice(60, 62))
    assert share(classified(alone)[0][0][25:55, 60:62], (8, 9)) == 1


def test_a_veil_is_told_by_what_b10_shows_of_clear_ground():
    toa = land(120, 120)
    toa[10, 30:60, 30:60] = 0.006
    (scl, _, _), scene = classified(toa)
    assert share(scl[33:57, 33:57], SCL.THIN_CIRRUS) == 1
    assert share(scl[80:], SCL.VEGETATION) == 1
    assert 0.002 < scene.facts.cirrus_land < 0.006
    single = land(120, 120)
    single[10, 30:33, 30:33] = 0.006  # one pixel of B10
    assert not (classified(single)[0][0] == SCL.THIN_CIRRUS).any()


# --- growing --------------------------------------------------------------------------------


def test_classes_grow_by_metres():
    toa = land(120, 120)
    put(toa, CLOUD, slice(50, 70), slice(50, 70))
    for metres, pixels in ((0, 0), (80, 4), (200, 10)):
        options = replace(PLAIN, dilation=replace(PLAIN.dilation, cloud=metres))
        (scl, cloud, _), _ = classified(toa, options)
        line = np.flatnonzero(scl[60] >= 8)
        assert (line[0], line[-1]) == (50 - pixels, 69 + pixels)
        assert (cloud[scl == 8] == 0).all()


def test_specks_do_not_grow():
    toa = land()
    white = np.array(CLOUD)
    white[0], white[11] = 0.6, 0.3
    put(toa, white, slice(40, 41), slice(40, 43))
    options = replace(PLAIN, dilation=Dilation())
    (scl, _, _), _ = classified(toa, options)
    assert np.isin(scl, (8, 9)).sum() == 3


def test_classic_has_no_growing_and_leaves_the_rest_unclassified():
    toa = land(
        spectrum=(*VEGETATION[:2], 0.12, 0.10, *VEGETATION[4:8], 0.20, 0.1, 0.001, 0.20, 0.1)
    )
    put(toa, CLOUD, slice(40, 60), slice(40, 60))
    options = Options(variant="classic", parallax=False)
    (scl, _, _), _ = classified(toa, options)
    assert np.isin(scl, (8, 9)).sum() == 400
    assert share(scl[:30], (5, 7)) == 1


# --- windows --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy():
    rng = np.random.default_rng(12)
    toa = shadow_scene()
    put(toa, SNOW, slice(10, 40), slice(130, 170))
    put(toa, LAKE, slice(150, 175), slice(20, 60))
    put(toa, ROOF, slice(90, 96), slice(30, 36))
    toa[10, 80:110, 130:160] = 0.008
    toa *= (1 + 0.05 * rng.standard_normal(toa.shape)).astype(np.float32)
    toa[4, 100:104, 5:9] = np.nan
    defective = np.zeros(toa.shape[1:], bool)
    defective[90:92, 60:64] = True
    return toa, defective


@pytest.mark.parametrize("variant", ["evolution", "classic"])
@pytest.mark.parametrize("step", [(180, 60), (45, 45), (37, 100), (64, 180), (91, 23)])
def test_results_do_not_depend_on_the_window(busy, variant, step):
    toa, defective = busy
    options = Options(variant=variant, parallax=False)
    scene, _ = classify_scene(overview(toa), 60.0, SKY, Ground(), options)
    assert scene.geometric.any()
    halo = reach_of(SIZE, options)
    padded = np.pad(toa, ((0, 0), (halo, halo), (halo, halo)), mode="edge")
    flags = np.pad(defective, halo, mode="edge")

    def window(top, left, height, width):
        rows, columns = slice(top, top + height + 2 * halo), slice(left, left + width + 2 * halo)
        found = classify_window(
            padded[:, rows, columns],
            scene,
            Frame(top - halo, left - halo, 3, SIZE),
            options,
            defective=flags[rows, columns],
        )
        return [plane[halo:-halo, halo:-halo] for plane in found]

    whole = window(0, 0, 180, 180)
    assert len(np.unique(whole[0])) >= 7
    for top in range(0, 180, step[0]):
        for left in range(0, 180, step[1]):
            height, width = min(step[0], 180 - top), min(step[1], 180 - left)
            for a, b in zip(whole, window(top, left, height, width), strict=True):
                np.testing.assert_array_equal(a[top : top + height, left : left + width], b)


def test_scene_travels_and_is_small(busy):
    scene, _ = classify_scene(overview(busy[0]), 60.0, SKY, Ground(), PLAIN)
    again = pickle.loads(pickle.dumps(scene))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.flags, scene.flags)
    assert scene.flags.nbytes + scene.geometric.nbytes == 3 * scene.flags.size

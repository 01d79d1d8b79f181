"""Heights of clouds that were displaced by a known height."""

import numpy as np
import pytest
from scipy import fft

from s2cloud.algorithms.classification.parallax import HALO, cloud_height, parallax_vector
from s2cloud.model.errors import UsageError

VECTOR = (0.0146, -0.0034)


def texture(size, rng, roughness):
    """Fractal texture of zero mean and unit deviation, as its spectrum."""
    down, right = fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None]
    frequency = np.maximum(np.hypot(down, right), 1.0 / size)
    spectrum = fft.rfft2(rng.standard_normal((size, size))) * frequency**-roughness
    spectrum[0, 0] = 0
    return spectrum / fft.irfft2(spectrum, (size, size)).std()


def displaced(spectrum, dy, dx):
    """Image of a spectrum, moved by fractions of pixels."""
    size = spectrum.shape[0]
    down, right = fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None]
    phase = np.exp(-2j * np.pi * (down * dy + right * dx))
    return fft.irfft2(spectrum * phase, (size, size))


def scene(pixel, height, seed=0, field=14_400, vector=VECTOR):
    """B08 and B8A of clouds over ground, and where the clouds are in B08."""
    rng = np.random.default_rng(seed)
    factor = round(pixel / 20)
    size = field // 20
    ground, cover, bright = (texture(size, rng, beta) for beta in (1.3, 2.2, 1.4))
    soil = 0.25 + 0.04 * displaced(ground, 0, 0)
    images = []
    for seen, own in ((0.0, 1.0), (height / 20, 0.93)):
        shift = [seen * v for v in vector]
        share = np.clip((displaced(cover, *shift) - 0.2) / 0.3, 0, 1)
        cloud = own * (0.6 + 0.05 * displaced(bright, *shift))
        image = soil * (2 - own) + share * (cloud - soil * (2 - own))
        image += 0.002 * rng.standard_normal(image.shape)
        images.append(mean(image, factor).astype(np.float32))
    return *images, mean(np.clip((displaced(cover, 0, 0) - 0.2) / 0.3, 0, 1), factor) > 0.7


def mean(image, factor):
    rows, columns = (n // factor for n in image.shape)
    return image.reshape(rows, factor, columns, factor).mean(axis=(1, 3))


def test_what_stands_high_is_seen_away_from_the_sensor():
    # B8A looks 1.5 degrees from the south, B08 0.75: a cloud moves north from B08 to B8A.
    dy, dx = parallax_vector(0.75, 180.0, 1.5, 180.0)
    assert dy == pytest.approx(-0.0131, abs=1e-4)
    assert dx == pytest.approx(0.0, abs=1e-6)
    dy, dx = parallax_vector(np.zeros((2, 2)), 0.0, np.full((2, 2), 1.0), 90.0)
    np.testing.assert_allclose(dx, -0.01746, atol=1e-4)
    assert dx.shape == dy.shape == (2, 2)


@pytest.mark.parametrize("height", [1_000.0, 3_000.0, 8_000.0])
@pytest.mark.parametrize(("pixel", "tolerance"), [(60, 400), (20, 250)])
def test_heights_are_found_to_a_fraction_of_a_pixel(pixel, tolerance, height):
    b08, b8a, cloud = scene(pixel, height)
    found, reliable = cloud_height(b08, b8a, float(pixel), VECTOR)
    inside = np.zeros_like(cloud)
    rim = 1200 // pixel
    inside[rim:-rim, rim:-rim] = cloud[rim:-rim, rim:-rim]
    assert reliable[inside].mean() > 0.9
    error = found[inside & reliable] - height
    assert abs(np.median(error)) < tolerance
    assert np.sqrt(np.mean(error**2)) < 1.5 * tolerance


def test_the_ground_has_no_height():
    b08, b8a, _ = scene(60, 0.0)
    found, reliable = cloud_height(b08, b8a, 60.0, VECTOR)
    assert reliable.mean() > 0.9
    assert abs(np.median(found[reliable])) < 100
    assert np.percentile(np.abs(found[reliable]), 95) < 500


def test_detectors_of_both_kinds_in_one_image():
    height = 5_000.0
    odd = scene(60, height, seed=2)
    even = scene(60, height, seed=2, vector=tuple(-v for v in VECTOR))
    west = np.arange(odd[0].shape[1]) < 120
    b08, b8a, cloud = (np.where(west, a, b) for a, b in zip(odd, even, strict=True))
    sign = np.where(west, 1.0, -1.0) * np.ones_like(b08)
    found, reliable = cloud_height(b08, b8a, 60.0, tuple(v * sign for v in VECTOR))
    for half in (slice(20, 115), slice(125, -20)):
        at = np.s_[20:-20, half]
        error = found[at][(cloud & reliable)[at]] - height
        assert error.size > 500
        assert abs(np.median(error)) < 400


def test_no_texture_and_noise_are_not_reliable_and_no_data_has_no_height():
    flat = np.full((80, 80), 0.3, np.float32)
    flat[:10] = np.nan
    found, reliable = cloud_height(flat, flat, 60.0, VECTOR)
    assert np.isnan(found[:10]).all()
    assert not reliable.any()
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.3, 0.01, (2, 120, 120)).astype(np.float32)
    _, reliable = cloud_height(first, second, 60.0, VECTOR)
    assert reliable.mean() < 0.01


def test_what_moves_across_the_direction_is_not_reliable():
    vector = (0.0034, 0.0146)  # the displacement is perpendicular to what the angles say
    b08, b8a, cloud = scene(60, 5_000.0, vector=vector)
    _, reliable = cloud_height(b08, b8a, 60.0, VECTOR)
    assert reliable[cloud].mean() < 0.1


def test_heights_do_not_depend_on_how_the_image_is_cut():
    b08, b8a, _ = scene(20, 9_000.0)
    found, reliable = cloud_height(b08, b8a, 20.0, VECTOR)
    low, high = 270 - HALO, 330 + HALO
    part, sure = cloud_height(b08[low:high, low:high], b8a[low:high, low:high], 20.0, VECTOR)
    inner, outer = np.s_[HALO:-HALO, HALO:-HALO], np.s_[270:330, 270:330]
    np.testing.assert_array_equal(part[inner], found[outer])
    np.testing.assert_array_equal(sure[inner], reliable[outer])


def test_bad_input_is_refused():
    image = np.zeros((10, 10), np.float32)
    with pytest.raises(UsageError, match="whole 60 m pixels"):
        cloud_height(image, image, 20.0, VECTOR)
    with pytest.raises(UsageError, match="same direction"):
        cloud_height(image, image, 60.0, (0.0, 0.0))

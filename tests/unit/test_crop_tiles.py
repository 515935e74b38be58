"""What the reader of text is shown: covers every pixel, nothing twice, and comes from where it says."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dicom_ai.crop import tiles as shown
from dicom_ai.crop.tiles import ENLARGED, FLAT, OVERLAP, SIDE, boxes, evened, tiles

SIZES = st.integers(1, 2000)


@given(SIZES, SIZES)
def test_boxes_cover_the_picture_and_share_what_a_line_needs(rows, columns):
    covered = np.zeros((rows, columns), np.bool_)
    for x0, y0, x1, y1 in boxes(rows, columns):
        assert 0 <= x0 < x1 <= columns and 0 <= y0 < y1 <= rows  # noqa: PT018
        assert x1 - x0 == min(SIDE, columns)
        assert y1 - y0 == min(SIDE, rows)
        covered[y0:y1, x0:x1] = True
    assert covered.all()
    for axis in (0, 1):
        starts = sorted({box[axis] for box in boxes(rows, columns)})
        assert all(after - before <= SIDE - OVERLAP for before, after in pairwise(starts))


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@given(st.integers(1, 30), st.integers(1, 12))
def test_sources_of_a_clip(count, every):
    frames = noise(count, count, 32, 32, 1)
    sources = list(dict.fromkeys(tile.source for tile in tiles(frames, every)))
    if count == 1:
        assert sources == [0]
    else:
        assert sources[:3] == ["mean", "max", "min"]
        assert sources[3:] == sorted({*range(0, count, every), count - 1})


def test_projections_are_exact():
    frames = noise(3, 5, 64, 96, 3)
    plain = {tile.source: tile.picture for tile in tiles(frames, 10) if isinstance(tile.source, str)}
    assert set(plain) == {"mean", "max", "min"}
    pictures = dict(shown._pictures(frames, 10))
    assert_array_equal(pictures["mean"], np.rint(frames.mean(axis=0)).astype(np.uint8))
    assert_array_equal(pictures["max"], frames.max(axis=0))
    assert_array_equal(pictures["min"], frames.min(axis=0))


def test_nothing_is_shown_twice():
    still = noise(4, 1, 500, 700, 1)
    once = len(list(tiles(still, 1)))
    assert once == 2 * 4
    clip = np.repeat(still, 6, axis=0)
    assert len(list(tiles(clip, 1))) == once  # mean, max, min and every frame are the same picture


def test_what_is_flat_is_not_shown():
    frames = np.full((1, 100, 100, 1), 90, np.uint8)
    frames[0, 50, 50] += FLAT - 1
    assert list(tiles(frames, 1)) == []
    frames[0, 50, 50] += 1
    assert [tile.origin for tile in tiles(frames, 1)] == [(0, 0)] * 2


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tile_is_its_part_enlarged_and_a_small_one_is_filled_up(channels):
    frames = noise(5, 1, 40, SIDE + 10, channels)
    first, even, second, _ = tiles(frames, 1)
    assert (first.origin, second.origin) == ((0, 0), (10, 0))
    assert first.picture.shape == even.picture.shape == (64 * ENLARGED, SIDE * ENLARGED, 3)
    assert not first.picture[2 * 43 :].any()
    red = frames[0, :, :SIDE, 0].astype(float)
    seen = first.picture[:80, :, 2].astype(float)
    assert np.corrcoef(red.ravel(), seen.reshape(40, 2, SIDE, 2).mean(axis=(1, 3)).ravel())[0, 1] > 0.95


def test_evened_brings_out_letters_of_any_level_alike():
    rng = np.random.default_rng(6)
    ground, stood_out = rng.normal(0, 1, (200, 200)), []
    for level, spread in ((50, 12), (120, 24)):  # of less there is nothing to even out
        picture = np.clip(level + spread * ground, 0, 255)
        picture[80:120:8, 60:140] += 3 * spread
        even = evened(np.rint(picture.clip(0, 255)).astype(np.uint8)[:, :, None])[:, :, 0].astype(float)
        stood_out.append(even[80:120:8, 70:130].mean() - even[84:120:8, 70:130].mean())
        assert abs(even.mean() - 128) < 5
    assert min(stood_out) > 40  # 3 deviations, of 48 levels each, smoothed over half a stroke
    assert max(stood_out) < 1.3 * min(stood_out)


def test_blue_letters_are_bright_in_the_evened_picture():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[40:60:6, 30:70, 2] = 255
    assert evened(picture)[46, 50, 0] > 180


@pytest.mark.parametrize(
    ("frames", "every"),
    [
        (np.zeros((0, 10, 10, 1), np.uint8), 1),
        (np.zeros((1, 10, 10), np.uint8), 1),
        (np.zeros((1, 10, 10, 1), np.uint16), 1),
        (np.zeros((1, 10, 10, 2), np.uint8), 1),
        (np.zeros((1, 10, 10, 1), np.uint8), 0),
    ],
)
def test_what_is_no_clip_is_refused(frames, every):
    with pytest.raises(ValueError, match="uint8"):
        list(tiles(frames, every))

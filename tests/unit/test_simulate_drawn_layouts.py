"""Drawn screens: their parts lie where a believable screen has them; bent fans stay inside their exact shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_ai.simulate import phantom
from dicom_ai.simulate.beams import SHAPES, cut_sides, dimmed, reshaped
from dicom_ai.simulate.drawn_layouts import drawn_device, drawn_layout
from dicom_ai.simulate.screen import Header, screen

SMALL = (300, 360)


@given(seed=st.integers(0, 2**32))
def test_picture_lies_in_a_region_that_is_not_the_whole_frame(seed):
    layout = drawn_layout(np.random.default_rng(seed), "drawn")
    x, y, w, h = layout.picture
    x0, y0, x1, y1 = layout.region
    assert x0 <= x
    assert y0 < y
    assert x + w <= x1 + 1
    assert y + h < y1
    assert w >= 300
    assert h >= 300
    assert 0 <= x0 < x1 <= layout.columns
    assert layout.columns % 2 == 0
    assert 0 < y0 < y1 <= layout.rows
    assert (x1 - x0) * (y1 - y0) < 0.93 * layout.rows * layout.columns


def test_same_seed_same_screen_and_no_two_alike():
    drawn = [drawn_layout(np.random.default_rng(seed), "a") for seed in (*range(30), *range(30))]
    assert drawn[:30] == drawn[30:]
    assert len({(one.rows, one.columns, one.region, one.picture) for one in drawn}) == 30
    devices = {drawn_device(np.random.default_rng(seed), drawn[0]).encoding for seed in range(30)}
    assert devices == {"raw", "jpeg", "jpeg-lossless", "rle-ybr"}


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_bent_fan_is_drawn_inside_its_shape_and_fills_it(shape, seed):
    rng = np.random.default_rng(seed)
    bent = reshaped(phantom.noise(seed % 3, size=SMALL), shape, rng)
    inside = bent.sector_mask
    assert not bent.frames[:, ~inside].any()
    assert inside.mean() > 0.2
    assert not inside[:, [0, -1]].any()
    assert not inside[-1].any()
    assert (bent.frames[0][inside] > 0).mean() > 0.8


def test_cut_and_dimmed_pictures_keep_their_truth():
    whole = phantom.wrong_organ(3, size=SMALL)
    cut = cut_sides(whole, 0.1)
    lost = whole.sector_mask & ~cut.sector_mask
    assert 0 < lost.sum() < 0.2 * whole.sector_mask.sum()
    assert not cut.frames[:, lost].any()
    dark = dimmed(whole, 0.5, (0.5, 0.9))
    right = np.zeros_like(whole.sector_mask)
    right[:, 210:300] = True
    right &= whole.sector_mask
    assert dark.frames[0][right].mean() < 0.12 * whole.frames[0][right].mean()
    assert (dark.sector_mask == whole.sector_mask).all()


def test_screen_takes_a_drawn_layout():
    layout = drawn_layout(np.random.default_rng(4), "drawn-4")
    drawn = phantom.lung(4, labels=[], size=(layout.picture[3], layout.picture[2]))
    made = screen(drawn, layout, Header())
    x, y = made.sector_offset
    assert (made.frames[0][y : y + 300, x : x + 300] >= drawn.frames[0][:300, :300]).all()
    assert made.furniture.any()
    assert not (made.furniture & made.sector_mask).any()
    with pytest.raises(ValueError, match="needs a phantom of"):
        screen(phantom.lung(4, labels=[], size=SMALL), layout, Header())

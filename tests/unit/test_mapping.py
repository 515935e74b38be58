"""Crop and full frame there and back; `test_bright_square` sends a picture the whole way."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicom_ai.crop.polygon import box_of
from dicom_ai.kept import CropOutcome, mask_of
from dicom_ai.mapping import CropWindow, kept_mask
from models.preprocess import Letterbox

ROWS, COLUMNS = 90, 120


@st.composite
def windows(draw):
    x0, y0 = draw(st.integers(0, COLUMNS - 1)), draw(st.integers(0, ROWS - 1))
    return CropWindow((x0, y0, draw(st.integers(x0 + 1, COLUMNS)), draw(st.integers(y0 + 1, ROWS))))


coordinate = st.floats(-200, 400, allow_nan=False)
points = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=8)
whole_points = st.lists(st.tuples(*(st.integers(-400, 800).map(lambda n: n / 2),) * 2), min_size=1, max_size=8)


@given(windows(), points)
def test_points_come_back(window, there):
    assert np.allclose(window.to_crop(window.to_full(there)), there, rtol=0, atol=1e-9)


@given(windows(), whole_points)
def test_points_on_pixel_edges_and_centres_come_back_exactly(window, there):
    assert window.to_crop(window.to_full(there)) == there
    assert window.to_full(window.to_crop(there)) == there


@given(windows(), windows())
def test_a_box_comes_back_as_its_part_in_the_crop(window, other):
    inside = window.box_to_crop(other.box)
    common = np.zeros((ROWS, COLUMNS), bool)
    CropWindow((0, 0, COLUMNS, ROWS)).cut(common)[other.box[1] : other.box[3], other.box[0] : other.box[2]] = True
    common[: window.box[1]] = common[window.box[3] :] = False
    common[:, : window.box[0]] = common[:, window.box[2] :] = False
    assert (None if inside is None else window.box_to_full(inside)) == box_of(common)


@given(windows(), st.integers(0, 1000))
def test_a_plane_comes_back_and_nothing_is_placed_outside(window, seed):
    rng = np.random.default_rng(seed)
    crop = rng.integers(1, 255, (*window.size, 3), np.uint8)
    full = window.placed(crop, ROWS, COLUMNS)
    assert np.array_equal(window.cut(full), crop)
    assert np.count_nonzero(full) == crop.size
    with pytest.raises(ValueError, match="no place"):
        window.placed(crop[1:], ROWS, COLUMNS)
    with pytest.raises(ValueError, match="no place"):
        window.placed(crop, window.box[3] - 1, COLUMNS)


polygon = st.lists(st.tuples(st.floats(-9, 130), st.floats(-9, 99)), min_size=3, max_size=7).map(tuple)


@given(polygon, st.lists(windows(), max_size=2))
def test_an_outline_and_its_mask_go_the_same_way(outline, blank):
    mask = mask_of([outline], ROWS, COLUMNS)
    box = box_of(mask)
    assume(box is not None)
    window = CropWindow(box)
    moved = tuple(window.to_crop(outline))
    assert np.array_equal(mask_of([moved], *window.size), window.cut(mask))
    outcome = CropOutcome(
        "cropped", None, ROWS, COLUMNS, 1, keep=(outline,), blanked=tuple(one.box for one in blank), box=box
    )
    for one in blank:
        mask[one.box[1] : one.box[3], one.box[0] : one.box[2]] = False
    assert np.array_equal(window.placed(kept_mask(outcome), ROWS, COLUMNS), mask)


@given(windows(), st.sampled_from((64, 160, 224)), points)
def test_full_frame_to_network_input_and_back(window, size, there):
    letterbox = Letterbox.fit(*window.size, size)
    back = window.to_full(letterbox.to_picture(letterbox.to_input(window.to_crop(there))))
    assert np.allclose(back, there, rtol=0, atol=1e-6)

"""Crop and full frame there and back, and a bright square of known place through the whole chain."""

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dicom_ai.classify.scored import heat_shape
from dicom_ai.crop.emit import full_frame, kept
from dicom_ai.crop.polygon import box_of, polygons_of
from dicom_ai.kept import CropOutcome, mask_of
from dicom_ai.mapping import CropWindow, kept_mask
from dicom_ai.report.overlay import full_frames
from dicom_ai.report.region import contours
from dicom_ai.simulate.phantom import lung
from dicom_ai.simulate.screen import Header, screen, sector_size
from models.activation_map import to_heat
from models.preprocess import Letterbox, to_grey

ROWS, COLUMNS = 90, 120
LAYOUTS = ("logiq-e9-still", "voluson-e10", "epiq-7c-clip", "aplio-i800")
INPUT = 512


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


@cache
def drawn(layout):
    """A screen with a phantom, its sector as the outcome of a crop, and the sector's mask."""
    shown = screen(lung(3, labels=frozenset({"a_lines"}), size=sector_size(layout)), layout, Header())
    mask = shown.sector_mask
    keep = polygons_of(mask)
    inside = mask_of(keep, *mask.shape)
    return shown.frames[0], CropOutcome("cropped", None, *mask.shape, 1, keep=keep, box=box_of(inside)), inside


def corners(inside, width, height):
    """Upper left corners (y, x) of all rectangles of this size that lie wholly inside."""
    sums = np.pad(inside.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    filled = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return np.argwhere(filled == width * height)


@settings(max_examples=40)
@given(st.sampled_from(LAYOUTS), st.floats(0.0, 1.0), st.integers(24, 70), st.integers(24, 70))
def test_a_bright_square_of_known_place_comes_back_within_two_pixels(layout, share, width, height):
    frame, outcome, inside = drawn(layout)
    places = corners(inside, width, height)
    y, x = (int(value) for value in places[round(share * (len(places) - 1))])
    frame = frame // 4
    frame[y : y + height, x : x + width] = 255
    pixels = kept([frame[..., None]], [1], outcome)
    # what the network is shown, taken as its own map: the way back is that of every map
    letterbox = Letterbox.fit(*pixels.frames.shape[1:3], INPUT)
    shown = letterbox.place(to_grey(pixels.frames)[0], 0)
    heat = to_heat(shown[None].astype(np.float32), letterbox, pixels.frames.shape[1:3])[0] * heat_shape(pixels)
    first, *_ = contours(heat, outcome.box)
    xs, ys = np.array(first).T
    found = xs.min(), ys.min(), xs.max(), ys.max()
    assert np.abs(np.array(found) - (x, y, x + width, y + height)).max() <= 2.0, (layout, x, y, width, height, found)
    # and the picture drawn for people shows it at the same place
    drawn_for_people = full_frames(pixels, None, [])[0]
    assert np.array_equal(drawn_for_people[y : y + height, x : x + width], np.full((height, width, 3), 255))
    assert np.array_equal(full_frame(pixels, 0)[..., 0], np.where(inside, frame, 0))

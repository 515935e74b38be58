import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.crop.emit import full_frame, kept
from dicom_ai.crop.polygon import box_of
from dicom_ai.kept import CropOutcome, mask_of
from tests.unit.test_crop_polygon import is_inside

ROWS, COLUMNS = 20, 26
COORDINATE = st.floats(-3, 29, allow_nan=False).map(lambda value: round(value, 1))
POLYGON = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=6).map(tuple)


def outcome(*polygons, blanked=()):
    box = box_of(mask_of(polygons, ROWS, COLUMNS))
    return CropOutcome("cropped", None, ROWS, COLUMNS, 9, keep=polygons, blanked=blanked, box=box)


def frames(count, channels, seed=5):
    return np.random.default_rng(seed).integers(1, 256, (count, ROWS, COLUMNS, channels), np.uint8)  # never zero


@given(POLYGON, st.sampled_from((1, 3)))
def test_exactly_the_pixels_whose_centre_lies_inside_survive(polygon, channels):
    if not mask_of([polygon], ROWS, COLUMNS).any():
        return
    source = frames(2, channels)
    result = kept(source, (1, 5), outcome(polygon))
    for index in range(2):
        screen = full_frame(result, index)
        for r in range(ROWS):
            for c in range(COLUMNS):
                expected = source[index, r, c] if is_inside(polygon, c + 0.5, r + 0.5) else 0
                assert (screen[r, c] == expected).all()


def test_box_is_tight_and_frame_numbers_travel():
    result = kept(frames(2, 1), (1, 5), outcome(((3.0, 4.0), (9.0, 4.0), (9.0, 7.0), (3.0, 7.0))))
    assert result.frames.shape == (2, 3, 6, 1)
    assert result.outcome.box == (3, 4, 9, 7)
    assert result.frame_numbers == (1, 5)


def test_blanked_box_is_black():
    square = ((3.0, 4.0), (13.0, 4.0), (13.0, 14.0), (3.0, 14.0))
    screen = full_frame(kept(frames(1, 3), (1,), outcome(square, blanked=((5, 6, 8, 9),))), 0)
    assert not screen[6:9, 5:8].any()
    assert (screen[6:9, 8] > 0).all()


def test_source_is_not_touched_and_not_shared():
    source = frames(1, 1)
    before = source.copy()
    result = kept(source, (1,), outcome(((0.0, 0.0), (26.0, 0.0), (26.0, 20.0), (0.0, 20.0))))
    assert not np.shares_memory(result.frames, source)
    assert np.array_equal(source, before)


def test_frames_are_taken_one_at_a_time():
    alive = []

    def stream():
        for frame in frames(3, 1):
            alive.append(len(alive))
            yield frame

    kept(stream(), (1, 2, 3), outcome(((0.0, 0.0), (5.0, 0.0), (5.0, 5.0))))
    assert alive == [0, 1, 2]


@pytest.mark.parametrize(
    ("source", "numbers"),
    [(frames(1, 1), (1, 2)), (frames(2, 1), (1,)), (frames(1, 1)[:, :-1], (1,)), (frames(1, 1)[:0], ())],
)
def test_frames_that_do_not_fit_are_refused(source, numbers):
    with pytest.raises(ValueError, match=r"size|frame|zip"):
        kept(source, numbers, outcome(((0.0, 0.0), (5.0, 0.0), (5.0, 5.0))))


def test_quarantined_outcome_has_no_pixels():
    with pytest.raises(ValueError, match="only a cropped outcome"):
        kept(frames(1, 1), (1,), CropOutcome("quarantined", "no_regions", ROWS, COLUMNS, 1))
